use policy_runtime::Entity;

#[derive(Entity, serde::Serialize)]
#[abac_policy(all_read(entity.ownerId == participant.id))]
struct Photo {
    id: String,
    #[serde(rename = "ownerId")]
    #[abac_policy("participant.mfa")]
    owner_id: Option<String>,
}

fn main() {}
