use policy_runtime::{Attributes, Denied, abac_policy};

#[derive(Attributes, serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Order {
    owner_id: String,
    #[serde(rename = "buyer")]
    customer_name: String,
}

#[abac_policy("order.owner_id == participant.id")]
fn approve(order: &Order) -> Result<(), Denied> {
    Ok(())
}

fn main() {}
