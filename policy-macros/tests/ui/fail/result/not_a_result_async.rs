use policy_runtime::{abac_policy};

#[abac_policy(participant.mfa)]
async fn approve() -> Option<u32> {
    None
}

fn main() {}
