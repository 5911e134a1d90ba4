use policy_runtime::{Denied, abac_policy};

#[abac_policy(participant.mfa, audit = maybe)]
fn approve() -> Result<(), Denied> {
    Ok(())
}

fn main() {}
