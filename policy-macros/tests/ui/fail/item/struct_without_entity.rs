use policy_runtime::abac_policy;

#[abac_policy(all_read = "entity.ownerId == participant.id")]
struct Photo {
    owner_id: String,
}

fn main() {
    let _ = Photo { owner_id: String::new() };
}
