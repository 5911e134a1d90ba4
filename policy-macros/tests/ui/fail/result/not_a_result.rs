use policy_runtime::{abac_policy};

#[abac_policy(participant.mfa)]
fn approve() -> u32 {
    1
}

fn main() {}
