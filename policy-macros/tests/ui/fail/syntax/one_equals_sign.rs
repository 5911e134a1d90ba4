use policy_runtime::{Denied, abac_policy};

#[abac_policy("participant.id = 'alice'")]
fn approve() -> Result<(), Denied> {
    Ok(())
}

fn main() {}
