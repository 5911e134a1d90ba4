use policy_runtime::{Attributes, Denied, abac_policy};

#[derive(Attributes, serde::Serialize)]
#[serde(rename_all = "camelCase")]
enum Status {
    Open,
    InReview,
}

#[derive(Attributes)]
struct Order {
    amount: u32,
    note: String,
    tags: Vec<String>,
    status: Status,
    price: rust_decimal::Decimal,
    id: uuid::Uuid,
    open: bool,
}

#[abac_policy("context.ip in '10.0.0.0/33'")]
fn approve(order: &Order) -> Result<(), Denied> {
    Ok(())
}

fn main() {}
