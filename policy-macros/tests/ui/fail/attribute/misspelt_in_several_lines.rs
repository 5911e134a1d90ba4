use policy_runtime::{Attributes, Denied, abac_policy};

#[derive(Attributes)]
struct Order {
    amount: u32,
}

#[abac_policy(
    "participant.roles contains 'finance'
     and participant.rolse contains 'x'
     and order.amuont < 50000"
)]
fn approve(order: &Order) -> Result<(), Denied> {
    Ok(())
}

fn main() {}
