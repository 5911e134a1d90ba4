use policy_runtime::Entity;

#[derive(Entity, serde::Serialize)]
#[abac_policy(all_read(entity.name == participant.id))]
struct Photo {
    name: String,
}

fn main() {}
