use policy_runtime::Entity;

#[derive(Entity)]
#[entity(table = "people")]
struct Person {
    id: String,
    name: String,
    #[entity(column = "NAME")]
    title: String,
}

fn main() {}
