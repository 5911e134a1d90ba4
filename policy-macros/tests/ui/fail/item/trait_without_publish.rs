use policy_runtime::{Denied, abac_policy};

#[abac_policy(participant.mfa)]
trait Orders {
    fn place(&self) -> Result<(), Denied>;
}

fn main() {}
