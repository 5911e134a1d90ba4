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

#[abac_policy(price.amount < 500 and price.currency == "Euro")]
fn pay(#[attributes(with = Money)] price: &vendor::Money) -> Result<u32, Denied> {
    Ok(price.amount)
}

#[abac_policy("not discount exists or discount.amount < 5")]
async fn take(#[attributes(with = Money)] discount: Option<Box<vendor::Money>>) -> Result<u32, Denied> {
    Ok(discount.map_or(0, |money| money.amount))
}

/// Unread parameters of foreign types need no mirror, and may have one.
#[abac_policy(reference == "C1")]
fn refer(
    #[attributes(with = Reference)] Json(reference): Json<vendor::Reference>,
    #[attributes(with = Money)] _price: &vendor::Money,
) -> Result<usize, Denied> {
    Ok(reference.0.len())
}

struct Json<T>(T);

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

#[tokio::test]
async fn parameters_of_foreign_types_are_read_through_mirrors() {
    let alice = SecurityContext::test().id("alice");
    let money = |amount, currency| vendor::Money { amount, currency, note: "unread" };
    let paid = |amount, currency| alice.run(|| pay(&money(amount, currency))).ok();
    assert_eq!(paid(499, vendor::Currency::Euro), Some(499));
    assert_eq!(paid(500, vendor::Currency::Euro), None);
    assert_eq!(paid(499, vendor::Currency::Dollar), None);
    let taken = async |amount: Option<u32>| {
        let discount = amount.map(|amount| Box::new(money(amount, vendor::Currency::Euro)));
        alice.scope(take(discount)).await.ok()
    };
    assert_eq!((taken(Some(4)).await, taken(Some(5)).await, taken(None).await), (Some(4), None, Some(0)));
    let referred = |text: &str| {
        let reference = Json(vendor::Reference(text.to_owned()));
        alice.run(|| refer(reference, &money(1, vendor::Currency::Euro))).ok()
    };
    assert_eq!((referred("C1"), referred("C2")), (Some(2), None));
}
