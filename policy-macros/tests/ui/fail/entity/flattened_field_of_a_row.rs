use policy_runtime::{Attributes, Entity};

#[derive(Attributes, serde::Serialize)]
struct Address {
    town: String,
}

#[derive(Entity, serde::Serialize)]
#[entity(table = "people")]
struct Person {
    id: String,
    #[attributes(skip)]
    #[serde(flatten)]
    address: Address,
}

fn main() {}
