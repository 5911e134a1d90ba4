use policy_runtime::{Denied, abac_policy};
async fn other() -> Result<(), Denied> {
    Ok(())
}

#[abac_policy(participant.mfa)]
fn approve() -> impl Future<Output = Result<(), Denied>> {
    other()
}

fn main() {}
