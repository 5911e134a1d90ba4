use policy_runtime::Entity;

#[derive(Entity)]
struct Person {
    #[entity(tenant)]
    id: String,
}

fn main() {}
