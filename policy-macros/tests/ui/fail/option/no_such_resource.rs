use policy_runtime::{Denied, abac_policy};

#[abac_policy(participant.mfa, resource = photo)]
fn approve() -> Result<(), Denied> {
    Ok(())
}

fn main() {}
