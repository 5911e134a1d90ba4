use policy_runtime::abac_policy;

#[abac_policy(participant.mfa)]
mod orders {}

fn main() {}
