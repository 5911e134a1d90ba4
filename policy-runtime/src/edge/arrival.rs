//! Where a request comes from, for routes beside those of the gateway.

use std::net::IpAddr;

/// Where a request comes from, with what trusted proxies said; an extension of every request that the gateway hands on.
///
/// ```
/// use policy_runtime::edge::Arrival;
///
/// async fn whence(axum::Extension(arrival): axum::Extension<Arrival>) -> String {
///     arrival.address.to_string()
/// }
/// # let _ = whence;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Arrival {
    /// The address of whoever sent it.
    pub address: IpAddr,
    /// Whether it came over TLS.
    pub secure: bool,
}

impl Arrival {
    pub(crate) const fn new(address: IpAddr, secure: bool) -> Self {
        Self { address, secure }
    }
}
