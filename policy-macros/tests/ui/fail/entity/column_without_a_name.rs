use policy_runtime::Entity;

#[derive(Entity)]
#[entity(table = "")]
struct Person {
    #[entity(column = "")]
    id: String,
}

fn main() {}
