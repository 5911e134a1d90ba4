use policy_runtime::Entity;

#[derive(Entity)]
struct Person {
    #[abac_policy(write(participant.roles contains "hr"))]
    id: String,
}

fn main() {}
