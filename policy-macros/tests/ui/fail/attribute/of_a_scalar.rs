use policy_runtime::{Attributes, Denied, abac_policy};

#[derive(Attributes)]
struct Order {
    amount: u32,
}

#[abac_policy(order.amount.cents < 5)]
fn approve(order: &Order) -> Result<(), Denied> {
    Ok(())
}

fn main() {}
