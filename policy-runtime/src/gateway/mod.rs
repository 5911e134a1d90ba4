//! The gateway: one port where clients connect, sign in and call services by name.
//!
//! In: policies, a chain of authenticators, services. Out: a listening [`Gateway`]. Absent: how credentials are checked
//! ([`authn`](crate::authn)), what is allowed (the guard in each service), what is said on the wire ([`wire`]).
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use policy_runtime::{Policy, authn::Chain, gateway::{Gateway, Mount}, service::Service};
//! # async fn example(orders: Arc<dyn Service>) -> Result<(), Box<dyn std::error::Error>> {
//! let gateway = Gateway::builder(Policy::for_application("orders")?, Chain::builder().build())
//!     .service(Mount::new(orders))
//!     .bind("0.0.0.0:58503")
//!     .await?;
//! println!("listening on {}", gateway.local_addr());
//! gateway.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # What listens
//!
//! | path | what |
//! | --- | --- |
//! | `/v1` | connections: WebSocket with STOMP 1.2; credentials on the upgrade, or in a legacy CONNECT |
//! | `/api/auth/me` | 204 to whoever presents good credentials, else 401 |
//! | `/health` | 200 while the process lives |
//! | `/ready` | 200 while connections are taken, `STALE` where policies could not be confirmed just now; 503 while the gateway drains, or denies for that |
//! | `/metrics` | numbers for Prometheus, to this machine only unless [`GatewayBuilder::metrics`] says otherwise |
//!
//! # Promises
//!
//! * A call that is refused or fails is an error reply; it ends neither the connection nor the process. ERROR frames are for
//!   violations of the protocol and for a refused CONNECT.
//! * A reply address is good for the connection that it was made for. A call with another one is dropped, unexecuted and
//!   unanswered: it comes from before a reconnect, and its caller was told that it failed.
//! * When its credential ends or is revoked, a connection is closed within a second, with all its calls and streams; nothing
//!   that was waiting to be sent is sent.
//! * What a peer does costs at most its own connection: every queue is bounded, and whoever does not read is closed.
//!
//! # Services of clients
//!
//! A client may host a service by subscribing to `srv://<name>`, and others call it like any service, once an organization
//! has granted both: `permit Platform.service.host when ..` and `permit Platform.service.call when ..`, with `service` for the
//! name. A second participant joins where both are also granted `Platform.service.share`; they take turns. Until then, and for
//! the name of a Rust service always, nothing comes of such a subscription. A host answers only what it was asked.
//!
//! How refused sign-ins are told is explained at [`Refusals`].

use crate::wire;

mod admission;
mod call;
mod connected;
mod connection;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod entities;
mod handle;
mod hosts;
mod limits;
mod meter;
mod metrics;
mod outbound;
mod presence;
mod routes;
mod server;
mod services;
mod session;
mod sessions;
mod shared;
mod signals;
mod stored;
mod tls;
mod upgrade;

pub use admission::Refusals;
pub use connected::Connected;
pub use handle::GatewayHandle;
pub use limits::Limits;
pub use presence::{Changed, Feed, renewed};
pub use server::{BindError, Gateway, GatewayBuilder, MetricsFor};
pub use services::{Mount, MountError};
pub use stored::StoredChanges;
pub use tls::{Tls, TlsError};
pub use wire::DEFAULT_PORT;
