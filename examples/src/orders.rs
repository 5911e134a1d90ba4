//! The application: one service with one guarded method. All of its authorization is the line above `place_order`.

use std::sync::atomic::{AtomicU64, Ordering};

use policy_runtime::{Attributes, Denied, abac_policy, publish};
use serde::{Deserialize, Serialize};

/// What a caller wants.
#[derive(Debug, Clone, Serialize, Deserialize, Attributes)]
pub struct Order {
    /// In the smallest unit of the currency.
    pub amount: i64,
}

/// What a caller gets.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Receipt {
    /// Counts from 1.
    pub number: u64,
}

/// Why there is no receipt.
#[expect(clippy::exhaustive_enums, reason = "whoever answers a caller decides about every case")]
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// A policy said no.
    #[error(transparent)]
    Denied(#[from] Denied),
}

/// Takes orders.
#[derive(Debug, Default)]
pub struct OrderService {
    placed: AtomicU64,
}

#[publish("com.example")]
impl OrderService {
    #[abac_policy(participant.roles contains "finance" and order.amount < 50_000)]
    pub async fn place_order(&self, order: Order) -> Result<Receipt, OrderError> {
        debug_assert!(order.amount < 50_000, "the guard ran first");
        Ok(Receipt { number: self.placed.fetch_add(1, Ordering::Relaxed) + 1 })
    }
}
