use policy_runtime::{Denied, abac_policy};

#[abac_policy(participant.mfa participant.mfa)]
fn approve() -> Result<(), Denied> {
    Ok(())
}

fn main() {}
