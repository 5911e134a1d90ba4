use policy_runtime::{Attributes, Denied, abac_policy, publish};

#[derive(Attributes, serde::Serialize, serde::Deserialize)]
pub struct Order {
    amount: u32,
}

struct Orders;

#[publish("com.example")]
impl Orders {
    #[abac_policy(order.amuont < 50_000)]
    pub fn place(&self, order: Order) -> Result<(), Denied> {
        let _ = order.amount;
        Ok(())
    }
}

fn main() {}
