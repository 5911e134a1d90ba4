use policy_runtime::{Attributes, Denied, abac_policy};

#[derive(Attributes)]
struct Order {
    amount: u32,
}

#[abac_policy(participant == "alice")]
fn approve(order: &Order) -> Result<(), Denied> {
    Ok(())
}

fn main() {}
