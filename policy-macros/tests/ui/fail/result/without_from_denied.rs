use policy_runtime::{abac_policy};
struct OrderError;

#[abac_policy(participant.mfa)]
fn approve() -> Result<(), OrderError> {
    Ok(())
}

fn main() {}
