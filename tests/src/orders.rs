//! The service that the acceptance suite calls.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt as _};
use policy_runtime::wire::ParticipantInfo;
use policy_runtime::{Attributes, Denied, SecurityContext, abac_policy, publish};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a method of the fixture fails with.
#[derive(Debug)]
#[non_exhaustive]
pub enum OrderError {
    /// A policy said no.
    Denied(Denied),
    /// The method says why.
    Failed(String),
}

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(denied) => denied.fmt(f),
            Self::Failed(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for OrderError {}

impl From<Denied> for OrderError {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

/// An order.
#[derive(Debug, Clone, Serialize, Deserialize, Attributes)]
#[non_exhaustive]
pub struct Order {
    /// What it costs.
    pub amount: i64,
}

/// The service.
#[derive(Debug, Default)]
pub struct OrderService {
    ticking: Arc<AtomicUsize>,
    placed: AtomicUsize,
}

/// Counts a running stream until it is dropped.
struct Ticking(Arc<AtomicUsize>);

impl Ticking {
    fn start(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count.clone())
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[publish("com.example")]
impl OrderService {
    /// Gives back what it gets.
    #[abac_policy(authenticated)]
    pub async fn echo(&self, v: Value) -> Result<Value, OrderError> {
        Ok(v)
    }

    /// Says who calls.
    #[abac_policy(authenticated)]
    pub async fn whoami(&self, #[context] cx: &SecurityContext) -> Result<ParticipantInfo, OrderError> {
        Ok(cx.participant().into())
    }

    /// Gives nothing.
    #[abac_policy(authenticated)]
    pub async fn void_null(&self) -> Result<(), OrderError> {
        Ok(())
    }

    /// Gives back what it gets, after a while.
    #[abac_policy(authenticated)]
    pub async fn slow(&self, ms: f64, v: Value) -> Result<Value, OrderError> {
        tokio::time::sleep(Duration::from_secs_f64(ms.clamp(0.0, 60_000.0) / 1_000.0)).await;
        Ok(v)
    }

    /// Takes the call and never answers.
    #[abac_policy(authenticated)]
    pub async fn never(&self) -> Result<(), OrderError> {
        std::future::pending().await
    }

    /// Fails with exactly that message.
    #[abac_policy(authenticated)]
    pub async fn fail(&self, message: String) -> Result<(), OrderError> {
        Err(OrderError::Failed(message))
    }

    /// Places an order.
    #[abac_policy("participant.roles contains 'finance' and order.amount < 50000")]
    pub async fn place_order(&self, order: Order) -> Result<Order, OrderError> {
        self.placed.fetch_add(1, Ordering::SeqCst);
        Ok(order)
    }

    /// Counts from 1.
    #[abac_policy(authenticated)]
    pub async fn count_to(&self, n: u32) -> Result<BoxStream<'static, Result<u32, OrderError>>, OrderError> {
        Ok(stream::iter(1..=n).map(Ok).boxed())
    }

    /// Counts from 1, then fails.
    #[abac_policy(authenticated)]
    pub async fn fail_after(&self, n: u32) -> Result<BoxStream<'static, Result<u32, OrderError>>, OrderError> {
        let end = stream::once(async { Err(OrderError::Failed("that was all".into())) });
        Ok(stream::iter(1..=n).map(Ok).chain(end).boxed())
    }

    /// Counts for ever, one value each `ms` milliseconds.
    #[abac_policy(authenticated)]
    pub async fn ticks(&self, ms: u64) -> Result<BoxStream<'static, Result<u64, OrderError>>, OrderError> {
        let ticking = Ticking::start(&self.ticking);
        let ticks = stream::unfold((0, ticking), move |(n, ticking)| async move {
            tokio::time::sleep(Duration::from_millis(ms.max(1))).await;
            Some((Ok(n + 1), (n + 1, ticking)))
        });
        Ok(ticks.boxed())
    }

    /// How many streams of [`OrderService::ticks`] run in the whole server.
    #[abac_policy(authenticated)]
    pub async fn active_streams(&self) -> Result<usize, OrderError> {
        Ok(self.ticking.load(Ordering::SeqCst))
    }

    /// How many orders have been placed: a refused call must not count.
    #[abac_policy(authenticated)]
    pub async fn placed(&self) -> Result<usize, OrderError> {
        Ok(self.placed.load(Ordering::SeqCst))
    }
}
