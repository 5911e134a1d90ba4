use policy_runtime::{Denied, abac_policy};

trait Orders {
    #[abac_policy(participant.mfa, action = "Orders.place")]
    fn place(&self) -> Result<(), Denied>;
}

fn main() {}
