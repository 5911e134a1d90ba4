use policy_runtime::Entity;

#[derive(Entity, serde::Serialize)]
#[abac_policy(all_read(photo.ownerId == participant.id))]
struct Photo {
    id: String,
    #[serde(rename = "ownerId")]
    owner_id: String,
}

fn main() {}
