use policy_runtime::{Denied, abac_policy};
struct Order {
    amount: u32,
}

#[abac_policy(order.amount < 5)]
fn approve(order: &Order) -> Result<(), Denied> {
    Ok(())
}

fn main() {}
