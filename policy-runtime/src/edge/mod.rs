//! What stands between a socket and a caller: proxies, pages of other sites, ids of requests, rates.
//!
//! In: addresses and headers. Out: where a request comes from, whether it may carry a cookie, what it is called, and whether
//! it comes too often. Shared by the gateway and the tower layer. Absent: credentials and what they prove.

#[cfg(feature = "gateway")]
mod arrival;
mod origin;
mod proxies;
mod rates;
mod request_id;

pub use crate::rate::TooOften;
#[cfg(feature = "gateway")]
pub use arrival::Arrival;
pub use origin::Origins;
pub use proxies::TrustedProxies;
pub use rates::{Limiter, Rate, Rates};
pub use request_id::RequestId;
#[cfg(feature = "gateway")]
pub(crate) use request_id::is_plain;
