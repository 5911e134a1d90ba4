//! A web application with axum, without a gateway: the policy stands above the handler, one layer says who calls.
//!
//! `cargo run -p examples --bin axum_service` listens, then:
//!
//! ```text
//! curl -u ada@example.com:correct-horse -d '{"amount":100}' -H content-type:application/json localhost:3000/orders
//! curl -u ada@example.com:correct-horse -d '{"amount":50000}' -H content-type:application/json localhost:3000/orders
//! ```

#![expect(clippy::print_stdout, reason = "it says where it listens")]

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use axum::http::request::Parts;
use axum::routing::{get, post};
use axum::{Json, Router};
use examples::orders::{Order, Receipt};
use policy_runtime::authn::Chain;
use policy_runtime::authn::password::{PasswordAuthenticator, hash};
use policy_runtime::clock::SystemClock;
use policy_runtime::identity::{MemoryStore, NewUser};
use policy_runtime::secret::Secret;
use policy_runtime::tower::{AuthenticateLayer, Participant, RefuseEarlyLayer};
use policy_runtime::{Attributes, Denied, Policy, abac_policy};

#[abac_policy(participant.roles contains "finance" and order.amount < 50_000 and context.region == "eu")]
async fn place_order(Json(order): Json<Order>) -> Result<Json<Receipt>, Denied> {
    Ok(Json(Receipt { number: order.amount.unsigned_abs() }))
}

async fn whoami(participant: Participant) -> String {
    format!("{} {:?}\n", participant.email().unwrap_or("-"), participant.roles())
}

/// What the application knows of a request: rules read it as `context.region`.
#[derive(Attributes)]
struct Way {
    region: String,
}

fn way(request: &Parts) -> Way {
    let region = request.headers.get("x-region").and_then(|region| region.to_str().ok());
    Way { region: region.unwrap_or("eu").to_owned() }
}

/// The set-up: policies, who may sign in, routes, one layer.
fn app() -> Result<Router> {
    let policy = Policy::for_application("orders")?;
    let passwords = PasswordAuthenticator::new(Arc::new(people(&policy)?), Arc::new(SystemClock));
    let finance_only = RefuseEarlyLayer::new(&policy, "axum_service::place_order")?;
    let authenticate = AuthenticateLayer::new(policy, Chain::builder().with(passwords).build()).context_of(way);
    Ok(Router::new()
        .route("/orders", post(place_order).layer(finance_only))
        .route("/whoami", get(whoami))
        .layer(authenticate))
}

/// Ada of the finance department, and Bob.
fn people(policy: &Policy) -> Result<MemoryStore> {
    let (store, scope) = (MemoryStore::default(), policy.application().clone());
    store.create_organization("default")?;
    store.create_application("default", "orders")?;
    let password = hash(&Secret::new("correct-horse".to_owned()))?;
    for (email, role) in [("ada@example.com", "finance"), ("bob@example.com", "clerk")] {
        store.create_user(NewUser::new(scope.clone(), email).role(role).password_hash(password.clone()))?;
    }
    Ok(store)
}

#[tokio::main]
async fn main() -> Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app()?.into_make_service_with_connect_info::<SocketAddr>()).await?)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::{Request, header};
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    async fn order(login: &str, amount: i64, region: &str) -> (u16, String) {
        let request = Request::post("/orders")
            .header(header::AUTHORIZATION, format!("Basic {}", STANDARD.encode(login)))
            .header(header::CONTENT_TYPE, "application/json")
            .header("x-region", region)
            .body(Body::from(format!("{{\"amount\":{amount}}}")))
            .unwrap();
        let response = app().unwrap().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        (status, body.get("code").unwrap_or(&body).to_string())
    }

    #[tokio::test]
    async fn the_commands_above() {
        let ada = "ada@example.com:correct-horse";
        assert_eq!(order(ada, 100, "eu").await, (200, "{\"number\":100}".into()));
        assert_eq!(order(ada, 50_000, "eu").await, (403, "\"ACCESS_DENIED\"".into()));
        assert_eq!(order(ada, 100, "us").await, (403, "\"ACCESS_DENIED\"".into()));
        assert_eq!(order("bob@example.com:correct-horse", 100, "eu").await, (403, "\"ACCESS_DENIED\"".into()));
        assert_eq!(order("ada@example.com:wrong", 100, "eu").await, (401, "\"UNAUTHENTICATED\"".into()));
    }
}
