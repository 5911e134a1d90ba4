use policy_runtime::Attributes;

#[derive(Attributes)]
union Order {
    id: u32,
}

fn main() {}
