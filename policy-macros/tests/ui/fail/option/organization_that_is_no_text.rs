use policy_runtime::{Denied, abac_policy};

#[abac_policy(participant.mfa, tier = organization, callers(organization, system), organization = number)]
fn members(number: u32) -> Result<u32, Denied> {
    Ok(number)
}

fn main() {}
