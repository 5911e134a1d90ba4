//! Types of another crate, read through a local mirror.

use policy_runtime::{Attributes, Denied, SecurityContext, abac_policy};

/// What another crate would have.
mod vendor {
    pub struct Money {
        pub amount: u32,
        pub currency: Currency,
        #[expect(dead_code, reason = "a mirror leaves out what no rule reads")]
        pub note: &'static str,
    }

    pub enum Currency {
        Euro,
        Dollar,
    }

    pub struct Reference(pub String);
}

#[derive(Attributes)]
#[attributes(remote = "vendor::Money")]
struct Money {
    amount: u32,
    #[attributes(with = Currency)]
    currency: vendor::Currency,
}

#[derive(Attributes)]
#[attributes(remote = "vendor::Currency")]
enum Currency {
    Euro,
    Dollar,
}

#[derive(Attributes)]
#[attributes(remote = "vendor::Reference")]
struct Reference(String);

#[derive(Attributes)]
struct Order {
    #[attributes(with = Money)]
    price: vendor::Money,
    #[attributes(with = Money)]
    discount: Option<vendor::Money>,
    #[attributes(with = Reference, rename = "customer")]
    reference: vendor::Reference,
}

#[abac_policy(order.price.amount < 500 and order.price.currency == "Euro" and order.customer == "C1")]
fn approve(order: &Order) -> Result<u32, Denied> {
    Ok(order.price.amount)
}

#[abac_policy(order.discount exists and order.discount.amount < 5)]
fn rebate(order: &Order) -> Result<u32, Denied> {
    Ok(order.discount.as_ref().map_or(0, |money| money.amount))
}

fn order(amount: u32, currency: vendor::Currency, discount: Option<u32>, customer: &str) -> Order {
    let money = |amount, currency| vendor::Money { amount, currency, note: "unread" };
    Order {
        price: money(amount, currency),
        discount: discount.map(|amount| money(amount, vendor::Currency::Euro)),
        reference: vendor::Reference(customer.to_owned()),
    }
}

#[test]
fn foreign_types_are_read_through_their_mirrors() {
    let alice = SecurityContext::test().id("alice");
    let approved = |amount, currency, customer| alice.run(|| approve(&order(amount, currency, None, customer))).ok();
    assert_eq!(approved(499, vendor::Currency::Euro, "C1"), Some(499));
    assert_eq!(approved(500, vendor::Currency::Euro, "C1"), None);
    assert_eq!(approved(499, vendor::Currency::Dollar, "C1"), None);
    assert_eq!(approved(499, vendor::Currency::Euro, "C2"), None);
    let rebated = |discount| alice.run(|| rebate(&order(1, vendor::Currency::Euro, discount, "C1"))).ok();
    assert_eq!((rebated(Some(4)), rebated(Some(5)), rebated(None)), (Some(4), None, None));
}
