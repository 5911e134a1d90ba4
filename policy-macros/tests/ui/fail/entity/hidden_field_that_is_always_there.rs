use policy_runtime::Entity;

#[derive(Entity)]
#[entity(table = "people")]
struct Person {
    id: String,
    #[abac_policy(read(participant.roles contains "hr"))]
    salary: i64,
}

fn main() {}
