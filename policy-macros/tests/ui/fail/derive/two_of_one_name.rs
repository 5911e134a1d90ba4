use policy_runtime::Attributes;

#[derive(Attributes)]
struct Order {
    id: u32,
    #[attributes(rename = "id")]
    number: u32,
}

fn main() {}
