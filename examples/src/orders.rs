//! The application: one service with one guarded method. All of its authorization is the line above `place_order`.

use policy_runtime::{Attributes, Denied, abac_policy, publish};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug, Clone, Serialize, Deserialize, Attributes)]
pub struct Order {
    pub amount: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Receipt {
    pub number: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    #[error(transparent)]
    Denied(#[from] Denied),
}

#[derive(Debug, Default)]
pub struct OrderService {
    placed: AtomicU64,
}

#[publish("com.example")]
impl OrderService {
    #[abac_policy(participant.roles contains "finance" and order.amount < 50_000)]
    pub async fn place_order(&self, order: Order) -> Result<Receipt, OrderError> {
        let number = self.placed.fetch_add(1, Ordering::Relaxed) + 1;
        let _ = order.amount;
        Ok(Receipt { number })
    }
}
