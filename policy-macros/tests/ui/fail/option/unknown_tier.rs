use policy_runtime::{Denied, abac_policy};

#[abac_policy(participant.mfa, callers(application, organisation), tier = admin)]
fn approve() -> Result<(), Denied> {
    Ok(())
}

fn main() {}
