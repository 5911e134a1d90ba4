use policy_runtime::{Denied, abac_policy};

#[abac_policy(participant.mfa)]
const fn approve() -> Result<(), Denied> {
    Ok(())
}

fn main() {}
