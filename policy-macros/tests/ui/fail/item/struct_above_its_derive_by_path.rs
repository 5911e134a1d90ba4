use policy_runtime::Entity;

#[policy_runtime::abac_policy(all_read = "entity.id == participant.id")]
#[derive(Entity)]
struct Photo {
    id: String,
}

fn main() {}
