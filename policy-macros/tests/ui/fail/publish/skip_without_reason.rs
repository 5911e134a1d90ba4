use policy_runtime::{publish};

struct Orders;

#[publish("com.example")]
impl Orders {
    #[publish(skip)]
    pub fn cancel(&self) {}
}

fn main() {}
