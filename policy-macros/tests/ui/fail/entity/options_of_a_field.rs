use policy_runtime::Entity;

#[derive(Entity)]
struct Person {
    id: String,
    #[abac_policy(write(participant.roles contains "hr"), callers(organization))]
    salary: i64,
}

fn main() {}
