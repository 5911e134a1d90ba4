use policy_runtime::Entity;

#[derive(Entity, serde::Serialize)]
#[abac_policy(all_read(entity.ownerID == participant.id), find_by_id = "entity.onwer == participant.id")]
struct Photo {
    id: String,
    #[serde(rename = "ownerId")]
    owner_id: String,
}

fn main() {}
