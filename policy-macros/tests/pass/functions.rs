//! Free functions and methods, sync and async, generic, with patterns, repeated, with every option.

use policy_runtime::{Attributes, Denied, Entity, SecurityContext, abac_policy};
use std::sync::Arc;

#[derive(Attributes, Clone)]
struct Order {
    amount: u32,
    lines: Vec<String>,
}

#[derive(Attributes)]
struct Staff {
    department: String,
}

#[derive(Entity, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[abac_policy(all_read = "entity.ownerId == participant.id", callers(application, organization))]
#[abac_policy(find_by_id(entity.width > 0), all_create(entity.ownerId == participant.id))]
struct Photo {
    id: u64,
    owner_id: String,
    width: u32,
}

struct Json<T>(T);

#[abac_policy(participant.roles contains "finance" and order.amount < 50_000)]
#[abac_policy("order.lines contains 'x' or not order.amount exists")]
fn twice(order: &Order) -> Result<u32, Denied> {
    Ok(order.amount)
}

#[abac_policy(amount < 5 and ids contains 3 and names contains "a" and orderId == "x")]
async fn borrowed(mut amount: u8, ids: &[i64], names: &[&str], order_id: &str) -> Result<usize, Denied> {
    amount += 1;
    Ok(usize::from(amount) + ids.len() + names.len() + order_id.len())
}

#[abac_policy(order.amount < 5 and a > 1)]
async fn patterns(
    Json(order): Json<Order>,
    (a, _): (u8, u8),
    Json((b, c)): Json<(u8, String)>,
) -> Result<String, Denied> {
    Ok(format!("{}{a}{b}{c}", order.amount))
}

#[abac_policy(order.amount < 5)]
fn pointers(order: Box<Order>, shared: Arc<Order>, lent: &mut Order) -> Result<u32, Denied> {
    lent.amount += shared.amount;
    Ok(order.amount)
}

/// What nobody reads needs no kind and need not be shared between threads.
#[abac_policy(order.amount < 5)]
async fn unread<T: Clone, const N: usize>(
    order: &Order,
    other: T,
    array: [T; N],
    cell: &std::cell::Cell<u8>,
    make: impl Fn() -> u8,
) -> Result<(T, u8), Denied> {
    let _ = (other, cell);
    let [first, ..] = array.as_slice() else { std::process::abort() };
    Ok((first.clone(), make() + u8::try_from(order.amount).unwrap_or(u8::MAX)))
}

#[abac_policy(photo.ownerId == participant.id, resource = photo, audit = required, action = "Photo.publish", was = ["Photo.show"])]
async fn resource(photo: &Photo) -> Result<u32, Denied> {
    Ok(photo.width + u32::try_from(photo.id).unwrap_or(0))
}

#[abac_policy(participant.department == "ops" and participant.mfa, participant = Staff)]
fn staff() -> Result<String, Denied> {
    Ok(Staff { department: "ops".into() }.department)
}

#[abac_policy(participant.anything == 5 and context.anything exists)]
fn undeclared(#[context] cx: &SecurityContext) -> Result<(), Denied> {
    let _ = cx;
    Ok(())
}

#[abac_policy(participant.mfa, tier = organization, callers(organization, system))]
fn of_the_organization() -> Result<(), Denied> {
    Ok(())
}

#[abac_policy(authenticated)]
fn anyone(#[context] cx: SecurityContext) -> Result<(), Denied> {
    Ok(())
}

#[abac_policy(participant.mfa)]
fn opaque(limit: u8) -> Result<impl Iterator<Item = u8>, Denied> {
    Ok(0..limit)
}

#[abac_policy(participant.mfa)]
#[expect(clippy::manual_async_fn, reason = "this form is guarded, too")]
fn future() -> impl Future<Output = Result<u8, Denied>> + Send {
    async move { Ok(1) }
}

struct Orders<S> {
    store: S,
}

impl<S: Clone> Orders<S> {
    #[abac_policy(order.amount < 5, action = "Orders.place")]
    fn place(&self, order: &Order, value: S) -> Result<(S, u32), Denied> {
        let _ = value;
        Ok((self.store.clone(), order.amount))
    }
}

#[abac_policy(participant.mfa)]
impl Order {
    pub fn merge(&mut self, other: &Self) -> Result<(), Denied> {
        self.amount += other.amount;
        Ok(())
    }

    #[abac_policy(other.amount < 5, action = "Order.replace")]
    pub async fn replace(&mut self, other: Self) -> Result<(), Denied> {
        *self = other;
        Ok(())
    }

    fn private(&self) -> Result<u32, Denied> {
        Ok(self.helper())
    }
}

impl Order {
    fn helper(&self) -> u32 {
        self.amount
    }
}

macro_rules! guarded {
    ($name:ident, $limit:literal, $rule:literal) => {
        #[abac_policy(order.amount < $limit)]
        #[abac_policy($rule)]
        fn $name(order: &Order) -> Result<(), Denied> {
            let _ = order;
            Ok(())
        }
    };
}
guarded!(by_macro, 5, "order.amount > 1");

fn refused<T>(result: Result<T, Denied>) {
    // Outside any context nothing is permitted.
    assert!(result.is_err());
}

#[tokio::test]
async fn holds() {
    let mut order = Order { amount: 1, lines: vec!["x".into()] };
    refused(twice(&order));
    refused(borrowed(1, &[1], &["a"], "x").await);
    refused(patterns(Json(order.clone()), (1, 2), Json((1, "c".into()))).await);
    refused(pointers(Box::new(order.clone()), Arc::new(order.clone()), &mut order.clone()));
    refused(unread(&order, "t", ["t"], &std::cell::Cell::new(1), || 1).await);
    refused(resource(&Photo { id: 1, owner_id: "a".into(), width: 2 }).await);
    refused(staff());
    refused(opaque(3));
    refused(future().await);
    refused(Orders { store: 1 }.place(&order, 2));
    let other = order.clone();
    refused(order.merge(&other));
    refused(order.replace(other).await);
    refused(by_macro(&order));
    assert_eq!(order.helper(), 1);
    refused(order.private());
    refused(of_the_organization());
    let _ = (undeclared, anyone);
}
