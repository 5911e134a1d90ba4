use policy_runtime::Attributes;

#[derive(Attributes)]
struct Pair(u32, u32);

fn main() {}
