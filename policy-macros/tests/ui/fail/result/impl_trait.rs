use policy_runtime::{abac_policy};

#[abac_policy(participant.mfa)]
fn approve() -> impl Sized {
    1
}

fn main() {}
