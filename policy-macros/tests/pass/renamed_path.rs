//! The façade under another name, said by `crate = ..`.

mod vendor {
    pub mod guards {
        pub use ::policy_runtime::__private;
        pub use ::policy_runtime::*;
    }
}
use vendor::guards::{Attributes, Denied, Entity, abac_policy, publish};

#[derive(Attributes)]
#[attributes(crate = crate::renamed_path::vendor::guards)]
struct Order {
    amount: u32,
}

#[derive(Entity)]
#[entity(crate = "crate::renamed_path::vendor::guards")]
#[abac_policy(all_read(entity.id == 1))]
struct Photo {
    id: u32,
}

#[abac_policy(order.amount < 5, crate = crate::renamed_path::vendor::guards)]
fn approve(order: &Order) -> Result<u32, Denied> {
    Ok(order.amount)
}

pub struct Orders;

#[publish("renamed.example", crate = crate::renamed_path::vendor::guards)]
impl Orders {
    #[abac_policy(amount < 5)]
    pub fn place(&self, amount: u32) -> Result<u32, Denied> {
        Ok(amount)
    }
}

#[test]
fn holds() {
    assert!(approve(&Order { amount: 1 }).is_err());
    let _ = Photo { id: 1 }.id;
    assert!(Orders.place(1).is_err());
}
