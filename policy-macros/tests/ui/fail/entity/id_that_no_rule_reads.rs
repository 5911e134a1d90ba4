use policy_runtime::Entity;

#[derive(Entity)]
#[entity(table = "people")]
struct Person {
    #[attributes(skip)]
    id: String,
    name: String,
}

fn main() {}
