use policy_runtime::Attributes;

#[derive(Attributes)]
struct Order {
    #[attributes(secrt)]
    iban: String,
}

fn main() {}
