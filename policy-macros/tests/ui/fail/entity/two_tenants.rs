use policy_runtime::Entity;

#[derive(Entity)]
struct Person {
    id: String,
    #[entity(tenant)]
    team: String,
    #[entity(tenant = "organization")]
    company: String,
}

fn main() {}
