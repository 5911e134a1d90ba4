use policy_runtime::{Denied, abac_policy};

#[abac_policy(amount < 5)]
fn approve(amount: f64) -> Result<(), Denied> {
    Ok(())
}

fn main() {}
