//! With other attributes, above and below: `tracing::instrument`, `async_trait`, axum's.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use policy_runtime::{Attributes, Denied, abac_policy};

#[derive(Attributes, serde::Deserialize, Debug)]
struct Order {
    amount: u32,
}

#[derive(Debug)]
struct ApiError(Denied);

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        Self(denied)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (StatusCode::FORBIDDEN, self.0.to_string()).into_response()
    }
}

#[axum::debug_handler]
#[abac_policy(order.amount < 5)]
async fn above(Json(order): Json<Order>) -> Result<String, ApiError> {
    Ok(order.amount.to_string())
}

#[abac_policy(order.amount < 5)]
#[axum::debug_handler]
async fn below(Json(order): Json<Order>) -> Result<String, ApiError> {
    Ok(order.amount.to_string())
}

#[tracing::instrument]
#[abac_policy(order.amount < 5)]
async fn traced_above(order: Order) -> Result<u32, ApiError> {
    tokio::task::yield_now().await;
    Ok(order.amount)
}

#[abac_policy(order.amount < 5)]
#[tracing::instrument]
async fn traced_below(order: Order) -> Result<u32, ApiError> {
    tokio::task::yield_now().await;
    Ok(order.amount)
}

#[async_trait::async_trait]
trait Shop {
    async fn place(&self, order: Json<Order>) -> Result<u32, ApiError>;
    async fn cancel(&self, order: &Order) -> Result<u32, ApiError>;
    async fn traced(&self, order: Json<Order>) -> Result<u32, ApiError>;
}

struct Corner;

#[async_trait::async_trait]
impl Shop for Corner {
    #[abac_policy(order.amount < 5, action = "Shop.place")]
    async fn place(&self, Json(order): Json<Order>) -> Result<u32, ApiError> {
        tokio::task::yield_now().await;
        Ok(order.amount)
    }

    #[abac_policy(order.amount < 5, action = "Shop.cancel")]
    async fn cancel(&self, order: &Order) -> Result<u32, ApiError> {
        Ok(order.amount)
    }

    #[tracing::instrument(skip_all)]
    #[abac_policy(order.amount < 5, action = "Shop.traced")]
    async fn traced(&self, Json(order): Json<Order>) -> Result<u32, ApiError> {
        Ok(order.amount)
    }
}

#[abac_policy(participant.mfa)]
#[async_trait::async_trait]
impl Shop for u8 {
    async fn place(&self, Json(order): Json<Order>) -> Result<u32, ApiError> {
        Ok(order.amount)
    }

    async fn cancel(&self, order: &Order) -> Result<u32, ApiError> {
        Ok(order.amount)
    }

    async fn traced(&self, Json(order): Json<Order>) -> Result<u32, ApiError> {
        Ok(order.amount)
    }
}

fn send<T: Send>(value: T) -> T {
    value
}

#[tokio::test]
async fn holds() {
    let order = || Order { amount: 1 };
    let _router: axum::Router =
        axum::Router::new().route("/a", axum::routing::post(above)).route("/b", axum::routing::post(below));
    assert!(send(traced_above(order())).await.is_err());
    assert!(send(traced_below(order())).await.is_err());
    assert!(Corner.place(Json(order())).await.is_err());
    assert!(Corner.cancel(&order()).await.is_err());
    assert!(Corner.traced(Json(order())).await.is_err());
    assert!(1u8.place(Json(order())).await.is_err());
}
