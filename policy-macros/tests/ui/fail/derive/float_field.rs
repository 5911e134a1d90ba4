use policy_runtime::Attributes;

#[derive(Attributes)]
struct Order {
    amount: f64,
    rates: Vec<f32>,
}

fn main() {}
