use policy_runtime::{abac_policy, publish};

struct Orders;

#[publish("com.example")]
impl Orders {
    #[abac_policy(participant.mfa)]
    pub fn place(&self) -> u32 {
        1
    }
}

fn main() {}
