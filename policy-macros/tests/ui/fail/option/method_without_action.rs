use policy_runtime::{Denied, abac_policy};

struct Orders;

impl Orders {
    #[abac_policy(participant.mfa)]
    fn place_order(&self) -> Result<(), Denied> {
        Ok(())
    }
}

fn main() {}
