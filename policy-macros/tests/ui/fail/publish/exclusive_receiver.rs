use policy_runtime::{Denied, abac_policy, publish};

struct Orders;

#[publish("com.example")]
impl Orders {
    #[abac_policy(participant.mfa)]
    pub fn place(&mut self) -> Result<(), Denied> {
        Ok(())
    }
}

fn main() {}
