use policy_runtime::Attributes;

struct Customer;

#[derive(Attributes)]
struct Order {
    customer: Customer,
}

fn main() {}
