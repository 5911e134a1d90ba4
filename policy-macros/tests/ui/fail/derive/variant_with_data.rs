use policy_runtime::Attributes;

#[derive(Attributes)]
enum Status {
    Open,
    Closed(u32),
}

fn main() {}
