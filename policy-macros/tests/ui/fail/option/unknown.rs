use policy_runtime::{Denied, abac_policy};

#[abac_policy(participant.mfa, acton = "approve")]
fn approve() -> Result<(), Denied> {
    Ok(())
}

fn main() {}
