use policy_runtime::{Attributes, Denied, abac_policy};

#[derive(Attributes)]
struct Order {
    amount: u32,
}

impl Order {
    #[abac_policy(other.amount < 5, action = "Order.merge")]
    fn merge(&mut self, other: &Self) -> Result<(), Denied> {
        self.amount += other.amount;
        Ok(())
    }
}

fn main() {}
