//! The same method behind plain HTTP: axum, and one layer.

use std::sync::Arc;

use anyhow::Result;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use examples::orders::{Order, OrderError, OrderService};
use http_body_util::BodyExt as _;
use policy_runtime::Policy;
use policy_runtime::authn::Chain;
use policy_runtime::tower::AuthenticateLayer;
use tower::ServiceExt as _;

/// An answer over HTTP.
pub(crate) struct Answer {
    pub(crate) caller: &'static str,
    pub(crate) status: u16,
    pub(crate) body: String,
}

async fn place(State(orders): State<Arc<OrderService>>, Json(order): Json<Order>) -> Response {
    match orders.place_order(order).await {
        Ok(receipt) => Json(receipt).into_response(),
        Err(OrderError::Denied(denied)) => denied.into_response(),
    }
}

/// The application's router: nothing in it knows who calls.
pub(crate) fn router(policy: Policy, chain: Chain, orders: Arc<OrderService>) -> Router {
    Router::new().route("/orders", post(place)).with_state(orders).layer(AuthenticateLayer::new(policy, chain))
}

/// Sends one order with these headers.
pub(crate) async fn order(
    router: &Router,
    caller: &'static str,
    headers: &[(String, String)],
    amount: i64,
) -> Result<Answer> {
    let mut request = axum::http::Request::post("/orders").header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Body::from(serde_json::to_vec(&Order { amount })?))?;
    let response = router.clone().oneshot(request).await?;
    let status = response.status().as_u16();
    let body = String::from_utf8_lossy(&response.into_body().collect().await?.to_bytes()).into_owned();
    Ok(Answer { caller, status, body })
}
