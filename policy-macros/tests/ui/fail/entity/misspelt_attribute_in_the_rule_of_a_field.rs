use policy_runtime::Entity;

#[derive(Entity)]
struct Person {
    id: String,
    manager: String,
    #[abac_policy(read(entity.manger == participant.id))]
    salary: Option<i64>,
}

fn main() {}
