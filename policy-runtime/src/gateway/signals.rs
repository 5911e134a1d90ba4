//! What reaches a connection beside its socket and its calls: orders, changed policies, the end of the gateway.
//!
//! In: channels that all connections share. Out: one stream of [`Signal`]s, which looks at a channel only after it moved; a
//! connection that is busy with calls does not touch them.

use futures_util::stream::{self, BoxStream, SelectAll, StreamExt as _};
use tokio::sync::watch;

use super::sessions::Order;
use super::shared::{Run, Shared};

/// Something that a connection did not ask for.
#[derive(Debug)]
pub(super) enum Signal {
    /// The connection is to go on otherwise, or to end.
    Order(Order),
    /// The policies changed.
    Policies,
    /// The gateway drains, or is over.
    Run(Run),
}

/// The signals of one connection.
pub(super) struct Signals(SelectAll<BoxStream<'static, Signal>>);

impl Signals {
    /// Listens to what concerns every connection.
    pub(super) fn new(shared: &Shared) -> Self {
        let policies = stream::unfold(shared.policy.changes(), async |mut policies| {
            policies.changed().await.ok()?;
            Some((Signal::Policies, policies))
        });
        let run = stream::unfold((shared.run.subscribe(), Run::Serving), async |(mut run, known)| {
            if known == Run::Over {
                return None;
            }
            let next = run.wait_for(|run| *run > known).await.map_or(Run::Over, |run| *run);
            Some((Signal::Run(next), (run, next)))
        });
        Self(stream::select_all([policies.boxed(), run.boxed()]))
    }

    /// Listens to orders, too. When nobody can give any, it is as if the connection had been ordered to end.
    pub(super) fn obey(&mut self, orders: watch::Receiver<Order>) {
        let orders = stream::unfold(Some(orders), async |orders| {
            let mut orders = orders?;
            match orders.changed().await {
                Ok(()) => {
                    let order = orders.borrow_and_update().clone();
                    Some((Signal::Order(order), Some(orders)))
                }
                Err(_) => Some((Signal::Order(Order::Revoked), None)),
            }
        });
        self.0.push(orders.boxed());
    }

    /// The next signal; none comes of channels that have all ended.
    pub(super) async fn next(&mut self) -> Signal {
        match self.0.next().await {
            Some(signal) => signal,
            None => std::future::pending().await,
        }
    }
}
