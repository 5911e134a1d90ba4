use policy_runtime::{Denied, abac_policy};

#[abac_policy(order_id == "a")]
fn approve(order_id: &str) -> Result<(), Denied> {
    Ok(())
}

fn main() {}
