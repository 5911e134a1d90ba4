use policy_runtime::{Denied, abac_policy};

#[abac_policy(participant.mfa, tier = organization, callers(organization, system), organization = orgnization)]
fn members(organization: &str) -> Result<usize, Denied> {
    Ok(organization.len())
}

#[abac_policy(participant.mfa, organization = id)]
fn orders(id: &str) -> Result<usize, Denied> {
    Ok(id.len())
}

fn main() {}
