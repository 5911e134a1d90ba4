use policy_runtime::{abac_policy};

#[abac_policy(participant.mfa)]
fn approve() {
    let _ = 1;
}

fn main() {}
