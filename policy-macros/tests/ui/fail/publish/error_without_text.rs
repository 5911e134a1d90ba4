use policy_runtime::{Denied, abac_policy, publish};

pub struct OrderError;

impl From<Denied> for OrderError {
    fn from(_: Denied) -> Self {
        Self
    }
}

struct Orders;

#[publish("com.example")]
impl Orders {
    #[abac_policy(participant.mfa)]
    pub fn place(&self) -> Result<(), OrderError> {
        Ok(())
    }
}

fn main() {}
