use policy_runtime::Entity;

#[derive(Entity)]
#[abac_policy(all_tenant_read(participant.mfa))]
struct Person {
    id: String,
    #[entity(tenant)]
    team: String,
}

fn main() {}
