use policy_runtime::Entity;

#[derive(Entity)]
#[entity(table = "people", tenant = orgnization)]
struct Person {
    id: String,
    organization: String,
}

fn main() {}
