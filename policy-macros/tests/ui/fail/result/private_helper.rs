use policy_runtime::{Denied, abac_policy};

struct Orders;

#[abac_policy(participant.mfa)]
impl Orders {
    pub fn new() -> Self {
        Self
    }

    pub fn count(&self) -> Result<u32, Denied> {
        Ok(self.helper())
    }

    fn helper(&self) -> u32 {
        1
    }

    fn reset(&mut self) {}
}

fn main() {}
