use policy_runtime::{Denied, abac_policy, publish};

#[publish("com.example")]
pub trait Orders<T> {
    #[abac_policy(participant.mfa)]
    async fn place(&self, amount: u32) -> Result<(), Denied>;
}

fn main() {}
