use policy_runtime::{Denied, SecurityContext, abac_policy, publish};

struct Orders;

#[publish("com.example")]
impl Orders {
    #[abac_policy(participant.mfa)]
    pub fn place(&self, cx: &SecurityContext) -> Result<(), Denied> {
        Ok(())
    }
}

fn main() {}
