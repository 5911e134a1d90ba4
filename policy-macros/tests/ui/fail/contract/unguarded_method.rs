use policy_runtime::{Denied, publish};

#[publish("com.example")]
pub trait Orders {
    async fn place(&self, amount: u32) -> Result<(), Denied>;
}

fn main() {}
