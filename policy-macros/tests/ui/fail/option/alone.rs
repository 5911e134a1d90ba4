use policy_runtime::{Denied, abac_policy};

#[abac_policy(callers(application))]
fn approve() -> Result<(), Denied> {
    Ok(())
}

fn main() {}
