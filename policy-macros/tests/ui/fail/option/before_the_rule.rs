use policy_runtime::{Denied, abac_policy};

#[abac_policy(callers(application), participant.mfa)]
fn approve() -> Result<(), Denied> {
    Ok(())
}

fn main() {}
