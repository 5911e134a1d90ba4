use policy_runtime::{Attributes, Denied, abac_policy};

#[derive(Attributes)]
struct Order {
    amount: u32,
}

#[abac_policy(amount < 5)]
fn approve(Order { amount }: Order) -> Result<(), Denied> {
    Ok(())
}

fn main() {}
