use policy_runtime::Entity;

#[derive(Entity, serde::Serialize)]
#[entity(table = "people")]
struct Person {
    id: String,
    #[attributes(rename = "owner")]
    owner_id: String,
}

fn main() {}
