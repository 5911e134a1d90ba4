use policy_runtime::Entity;

#[derive(Entity)]
#[entity(tabel = "people")]
struct Person {
    #[entity(key)]
    id: String,
}

fn main() {}
