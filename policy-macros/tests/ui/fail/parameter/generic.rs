use policy_runtime::{Denied, abac_policy};

#[abac_policy(order.amount < 5)]
fn approve<T: Clone>(order: &T) -> Result<(), Denied> {
    Ok(())
}

fn main() {}
