//! Ids of requests: the peer's if it is plain, else a fresh one.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

/// The longest id that is taken from a peer.
const LONGEST: usize = 128;

/// What ties a request to the logs; an extension of every request that passed the tower layer, and `X-Request-Id` of its response.
///
/// ```
/// use policy_runtime::tower::RequestId;
///
/// fn id_of<B>(request: &http::Request<B>) -> Option<&str> {
///     request.extensions().get::<RequestId>().map(RequestId::as_str)
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// The header that carries it.
    pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

    /// Makes an id.
    pub fn fresh() -> Self {
        Self(uuid::Uuid::new_v4().simple().to_string().into())
    }

    /// Takes the id that the peer sent if it is short and plain, so that it can stand in logs and headers, else makes one.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let sent = headers.get(&Self::HEADER).and_then(|value| value.to_str().ok()).filter(|id| is_plain(id));
        sent.map_or_else(Self::fresh, |id| Self(id.into()))
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[cfg(feature = "tower")]
    pub(crate) fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    pub(crate) fn header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0).ok()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether an id that a peer sent is short and plain enough for logs and headers.
pub(crate) fn is_plain(id: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=:@".contains(&b);
    !id.is_empty() && id.len() <= LONGEST && id.bytes().all(plain)
}
