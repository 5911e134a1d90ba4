use policy_runtime::{Denied, abac_policy};

#[abac_policy(participant.id == and participant.mfa && ordr.x)]
fn approve() -> Result<(), Denied> {
    Ok(())
}

fn main() {}
