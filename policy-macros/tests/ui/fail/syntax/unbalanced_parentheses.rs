use policy_runtime::{Denied, abac_policy};

#[abac_policy("(participant.mfa or participant.tier == 'system'")]
fn approve() -> Result<(), Denied> {
    Ok(())
}

fn main() {}
