//! Published services: called by name, with JSON arguments, in a caller's context; a contract as a trait; the typed proxy.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::stream::{BoxStream, Stream, StreamExt as _};
use policy_runtime::service::{Arguments, CallError, Invoke, Reply, Service};
use policy_runtime::{Attributes, Denied, SecurityContext, abac_policy, publish};
use serde::{Deserialize, Serialize};

#[derive(Attributes, Serialize, Deserialize, Clone)]
pub struct Order {
    amount: u32,
}

/// Only sent, never decoded here: the proxy asks for it only where it is called.
#[derive(Serialize, Debug)]
pub struct Receipt {
    number: u32,
}

#[derive(Debug)]
pub struct OrderError(String);

impl std::fmt::Display for OrderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Denied> for OrderError {
    fn from(denied: Denied) -> Self {
        Self(denied.to_string())
    }
}

pub struct OrderService {
    first: u32,
}

#[publish("com.example", version = "1.0.0")]
#[abac_policy(participant.roles contains "user")]
impl OrderService {
    pub fn new(first: u32) -> Self {
        Self { first }
    }

    #[abac_policy(participant.roles contains "finance" and order.amount < 50_000)]
    pub async fn place_order(&self, order: Order) -> Result<Receipt, OrderError> {
        Ok(Receipt { number: self.first + order.amount })
    }

    #[abac_policy(authenticated)]
    pub fn names(&self, prefix: &str, orders: &[Order], last: &Order) -> Result<Vec<String>, OrderError> {
        Ok(vec![prefix.to_owned(), orders.len().to_string(), last.amount.to_string(), self.helper()])
    }

    pub async fn count_up(
        &self,
        #[context] cx: &SecurityContext,
        to: u8,
    ) -> Result<BoxStream<'static, u8>, OrderError> {
        assert_eq!(cx.participant().id(), "alice");
        Ok(futures_util::stream::iter(0..to).boxed())
    }

    pub fn fallible(&self) -> Result<impl Stream<Item = Result<u8, OrderError>> + use<>, OrderError> {
        Ok(futures_util::stream::iter([Ok(1), Err(OrderError("no more".into()))]))
    }

    #[publish(name = "halt")]
    pub async fn stop(&self) -> Result<(), OrderError> {
        Ok(())
    }

    #[publish(skip, reason = "generic")]
    pub async fn internal<T: Clone>(&self, value: T) -> Result<T, OrderError> {
        Ok(value)
    }

    #[cfg(any())]
    pub fn gone(&self) -> Result<NotThere, OrderError> {}
}

impl OrderService {
    fn helper(&self) -> String {
        "helped".into()
    }
}

pub mod contract {
    use super::{Order, OrderError};
    use policy_runtime::{SecurityContext, abac_policy, publish};

    #[abac_policy(participant.roles contains "user")]
    #[publish("com.example")]
    pub trait Billing {
        #[abac_policy(order.amount < 50_000)]
        async fn bill(&self, order: Order, note: &str) -> Result<u32, OrderError>;
        async fn rest(&self, #[context] cx: SecurityContext) -> Result<(), OrderError>;
    }
}

pub struct Bills;

#[publish(impl)]
impl contract::Billing for Bills {
    #[abac_policy(order.amount > 1)]
    async fn bill(&self, order: Order, _note: &str) -> Result<u32, OrderError> {
        Ok(order.amount)
    }

    async fn rest(&self, #[context] _cx: SecurityContext) -> Result<(), OrderError> {
        Ok(())
    }
}

/// Calls a service in the same program, as a connection would.
struct Loopback<S>(Arc<S>, SecurityContext);

impl<S: Service> Invoke for Loopback<S> {
    fn invoke<'a>(
        &'a self,
        service: &'a str,
        method: &'a str,
        arguments: Vec<u8>,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, CallError>> + Send + 'a>> {
        let declaration = self.0.declaration();
        assert_eq!(service, format!("{}.{}", declaration.namespace, declaration.name));
        Box::pin(async move {
            match self.0.clone().call(method, Arguments::parse(&arguments)?, self.1.clone()).await? {
                Reply::Value(json) => Ok(json),
                Reply::Nothing => Ok(b"null".to_vec()),
                Reply::Stream(_) => Ok(b"\"a stream\"".to_vec()),
            }
        })
    }

    fn invoke_stream(&self, _: &str, _: &str, _: Vec<u8>) -> BoxStream<'static, Result<Vec<u8>, CallError>> {
        futures_util::stream::iter([Ok(b"1".to_vec()), Ok(b"2".to_vec())]).boxed()
    }
}

async fn call<S: Service>(service: &Arc<S>, cx: &SecurityContext, method: &str, json: &str) -> Result<String, String> {
    let arguments = Arguments::parse(json.as_bytes()).map_err(|e| e.to_string())?;
    match service.clone().call(method, arguments, cx.clone()).await {
        Ok(Reply::Value(json)) => Ok(String::from_utf8(json).unwrap()),
        Ok(Reply::Nothing) => Ok("nothing".into()),
        Ok(Reply::Stream(values)) => {
            let values: Vec<String> = values
                .map(|value| value.map_or_else(|e| e.to_string(), |json| String::from_utf8(json).unwrap()))
                .collect()
                .await;
            Ok(values.join(" "))
        }
        Err(error) => Err(format!("{:?}", error.code())),
    }
}

#[tokio::test]
async fn holds() {
    let alice = SecurityContext::test().id("alice").role("user").role("finance");
    let bob = SecurityContext::test().id("bob").role("user");
    let nobody = SecurityContext::test().id("nobody");

    let orders = Arc::new(OrderService::new(100));
    let declared: Vec<&str> = orders.declaration().methods.iter().map(|m| m.name).collect();
    assert_eq!(declared, ["placeOrder", "names", "countUp", "fallible", "halt"]);
    assert_eq!(call(&orders, &alice, "placeOrder", r#"[{"amount":5}]"#).await.unwrap(), r#"{"number":105}"#);
    assert_eq!(call(&orders, &alice, "placeOrder", r#"[{"amount":50000}]"#).await.unwrap_err(), "AccessDenied");
    assert_eq!(call(&orders, &bob, "placeOrder", r#"[{"amount":5}]"#).await.unwrap_err(), "AccessDenied");
    assert_eq!(call(&orders, &nobody, "names", r#"["a",[],{"amount":1}]"#).await.unwrap_err(), "AccessDenied");
    assert_eq!(
        call(&orders, &bob, "names", r#"["a",[{"amount":1}],{"amount":7}]"#).await.unwrap(),
        r#"["a","1","7","helped"]"#
    );
    assert_eq!(call(&orders, &alice, "countUp", "[3]").await.unwrap(), "0 1 2");
    assert_eq!(call(&orders, &alice, "fallible", "").await.unwrap(), "1 no more");
    assert_eq!(call(&orders, &alice, "halt", "[]").await.unwrap(), "nothing");
    assert_eq!(call(&orders, &alice, "stop", "[]").await.unwrap_err(), "UnknownMethod");
    assert_eq!(call(&orders, &alice, "internal", "[1]").await.unwrap_err(), "UnknownMethod");
    assert_eq!(call(&orders, &alice, "placeOrder", "[]").await.unwrap_err(), "BadArguments");
    assert_eq!(call(&orders, &alice, "placeOrder", "[5]").await.unwrap_err(), "BadArguments");
    assert!(alice.scope(orders.internal("x")).await.is_ok());
    assert!(nobody.scope(orders.internal("x")).await.is_err());

    let bills = Arc::new(Bills);
    assert_eq!(bills.declaration().name, "Billing");
    assert_eq!(call(&bills, &bob, "bill", r#"[{"amount":5},"x"]"#).await.unwrap(), "5");
    // The trait's rule and the implementation's both hold.
    assert_eq!(call(&bills, &bob, "bill", r#"[{"amount":50000},"x"]"#).await.unwrap_err(), "AccessDenied");
    assert_eq!(call(&bills, &bob, "bill", r#"[{"amount":1},"x"]"#).await.unwrap_err(), "AccessDenied");
    assert_eq!(call(&bills, &bob, "rest", "[]").await.unwrap(), "nothing");
    assert_eq!(call(&bills, &nobody, "rest", "[]").await.unwrap_err(), "AccessDenied");

    let proxy = contract::BillingProxy::new(Arc::new(Loopback(bills, (*bob).clone())));
    assert_eq!(proxy.bill(Order { amount: 9 }, "note").await.unwrap(), 9);
    assert!(proxy.rest().await.is_ok());
    let proxy = OrderServiceProxy::new(Arc::new(Loopback(orders, (*alice).clone())));
    assert_eq!(proxy.names("a", &[], &Order { amount: 3 }).await.unwrap().len(), 4);
    assert!(proxy.stop().await.is_ok());
    let counted: Vec<u8> = proxy.count_up(2).unwrap().map(Result::unwrap).collect().await;
    assert_eq!(counted, [1, 2]);
}
