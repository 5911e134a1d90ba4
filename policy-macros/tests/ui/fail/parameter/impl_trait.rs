use policy_runtime::{Denied, abac_policy};

#[abac_policy(amount < 5)]
fn approve(amount: impl Into<u32>) -> Result<(), Denied> {
    Ok(())
}

fn main() {}
