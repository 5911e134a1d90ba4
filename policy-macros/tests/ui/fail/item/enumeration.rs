use policy_runtime::abac_policy;

#[abac_policy(participant.mfa)]
enum Status {
    Open,
}

fn main() {
    let _ = Status::Open;
}
