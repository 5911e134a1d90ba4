//! Ids of requests: the peer's if it is plain, else a fresh one.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

pub(super) static HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is taken from a peer.
const LONGEST: usize = 128;

/// What ties a request to the logs; an extension of every request that passed the layer, and `X-Request-Id` of its response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// Takes the id that the peer sent if it is short and plain, so that it can stand in logs and headers, else makes one.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let sent = headers.get(&HEADER).and_then(|value| value.to_str().ok()).filter(|id| is_plain(id));
        Self(sent.map_or_else(|| uuid::Uuid::new_v4().simple().to_string().into(), Arc::from))
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    pub(super) fn header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0).ok()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_plain(id: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=:@".contains(&b);
    !id.is_empty() && id.len() <= LONGEST && id.bytes().all(plain)
}
