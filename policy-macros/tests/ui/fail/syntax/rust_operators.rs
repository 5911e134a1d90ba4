use policy_runtime::{Denied, abac_policy};

#[abac_policy(participant.mfa && !participant.roles.is_empty())]
fn approve() -> Result<(), Denied> {
    Ok(())
}

fn main() {}
