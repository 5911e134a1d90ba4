//! The same identity and guard for any HTTP service, without a gateway.
//!
//! In: HTTP requests. Out: handlers that run in a [`SecurityContext`](crate::SecurityContext), so that `#[abac_policy]` works on
//! them, and refusals as problems (RFC 9457). Absent: how credentials are checked (a [`Chain`](crate::authn::Chain) does
//! that) and what is allowed.
//!
//! ```text
//! request ─► AuthenticateLayer ─► (RefuseEarlyLayer) ─► handler with its guard ─► response
//!              401, 403, 429        403, body unread     403                        │ refusals that an error swallowed: 403
//! ```
//!
//! ```
//! use policy_runtime::authn::Chain;
//! use policy_runtime::tower::AuthenticateLayer;
//! use policy_runtime::value::Value;
//! use policy_runtime::Policy;
//!
//! let policy = Policy::for_application("shop")?;
//! let chain = Chain::builder().build();
//! let layer = AuthenticateLayer::new(policy, chain).context(|request, attributes| {
//!     let region = request.headers.get("x-region").and_then(|region| region.to_str().ok());
//!     attributes.insert("region", Value::text(region.unwrap_or("eu")));
//! });
//! # Ok::<(), policy_runtime::PolicyError>(())
//! ```
//!
//! # Errors that swallow a refusal
//!
//! A handler that returns `anyhow::Error`, or any error that answers 500 to whatever it holds, would turn a refusal into a server
//! error. The context notes each refusal, and the layer answers it where the handler would answer 500. A handler that
//! goes on after a refusal and succeeds is left alone.

#[cfg(feature = "axum")]
mod axum;
mod body;
mod early;
mod layer;
mod problem;

#[cfg(feature = "axum")]
pub use self::axum::Participant;
pub use crate::edge::RequestId;
pub use body::ResponseBody;
pub use early::{RefuseEarly, RefuseEarlyLayer, UnknownAction};
pub use layer::{Authenticate, AuthenticateLayer};
pub use problem::Problem;
