use policy_runtime::Entity;

#[derive(Entity, serde::Serialize)]
#[abac_policy(all_read(entity.ownerId == participant.id))]
struct Photo {
    id: String,
    #[serde(rename = "ownerId")]
    #[abac_policy(read = "participant.mfa")]
    owner_id: String,
}

fn main() {}
