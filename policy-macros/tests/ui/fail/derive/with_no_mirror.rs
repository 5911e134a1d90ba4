use policy_runtime::Attributes;

mod vendor {
    pub struct Money {
        pub amount: u32,
    }
}

#[derive(Attributes)]
struct Money {
    amount: u32,
}

#[derive(Attributes)]
#[attributes(remote = "vendor::Money")]
struct Mirror {
    amount: u32,
}

#[derive(Attributes)]
struct Order {
    #[attributes(with = Money)]
    price: vendor::Money,
    #[attributes(with = Mirror)]
    total: u32,
}

fn main() {}
