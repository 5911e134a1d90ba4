use policy_runtime::{Denied, abac_policy};

#[abac_policy(participant.mfa, action = "approve order")]
fn approve() -> Result<(), Denied> {
    Ok(())
}

fn main() {}
