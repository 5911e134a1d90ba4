use policy_runtime::abac_policy;

#[abac_policy(participant.mfa)]
const LIMIT: u32 = 5;

fn main() {
    let _ = LIMIT;
}
