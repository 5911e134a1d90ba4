use policy_runtime::{Denied, abac_policy, publish};

#[publish("com.example")]
pub trait Orders {
    #[abac_policy(participant.mfa)]
    async fn place(&self, amount: u32) -> Result<(), Denied>;
}

struct Shop;

impl Orders for Shop {
    async fn place(&self, _amount: u32) -> Result<(), Denied> {
        Ok(())
    }
}

fn main() {}
