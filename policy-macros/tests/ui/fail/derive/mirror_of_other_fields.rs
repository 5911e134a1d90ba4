use policy_runtime::Attributes;

mod vendor {
    pub struct Money {
        pub amount: u32,
        pub currency: String,
    }
}

#[derive(Attributes)]
#[attributes(remote = "vendor::Money")]
struct Money {
    amuont: u32,
    currency: u32,
}

fn main() {}
