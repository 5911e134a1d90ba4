use policy_runtime::{Denied, SecurityContext, abac_policy};

#[abac_policy(participant.mfa)]
fn approve(cx: &SecurityContext) -> Result<(), Denied> {
    Ok(())
}

fn main() {}
