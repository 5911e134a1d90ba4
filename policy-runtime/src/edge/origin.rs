//! Which pages may send a cookie along.
//!
//! In: `Origin`, `Sec-Fetch-Site` and `Host` of a request. Out: whether it comes from this site or one that was allowed. A
//! browser sends cookies along with whatever other sites make it send; a bearer token it does not.

use http::HeaderMap;

/// The origins of pages (`https://app.example.com`) that may use cookies here, beside this site's own.
///
/// ```
/// use policy_runtime::edge::Origins;
///
/// let origins = Origins::new(["https://app.example"]);
/// let mut headers = http::HeaderMap::new();
/// headers.insert("origin", "https://app.example".parse().unwrap());
/// assert!(origins.admit(&headers, Some("shop.example"), true));
/// headers.insert("origin", "https://evil.example".parse().unwrap());
/// assert!(!origins.admit(&headers, Some("shop.example"), true));
/// // A handshake without an origin comes from no page.
/// assert!(origins.admit_upgrade(&http::HeaderMap::new(), true));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origins(Vec<String>);

impl Origins {
    /// Allows these origins; a slash at the end is passed over.
    pub fn new<S: Into<String>>(origins: impl IntoIterator<Item = S>) -> Self {
        let mut all = Self::default();
        for origin in origins {
            all.allow(origin.into());
        }
        all
    }

    pub(crate) fn allow(&mut self, origin: impl Into<String>) {
        let origin: String = origin.into();
        self.0.push(origin.trim_end_matches('/').to_ascii_lowercase());
    }

    /// Whether the origin was allowed.
    pub fn contains(&self, origin: &str) -> bool {
        self.0.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
    }

    /// Whether a request with a cookie, that can change something, may be believed. One that says nothing of where it comes
    /// from may not.
    ///
    /// `host` is what the request was sent to when it has no `Host`, as in HTTP/2.
    pub fn admit(&self, headers: &HeaderMap, host: Option<&str>, secure: bool) -> bool {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let origin = header("origin");
        if origin.is_some_and(|origin| self.contains(origin)) {
            return true;
        }
        match header("sec-fetch-site") {
            Some(site) => site == "same-origin" || site == "none",
            None => origin.is_some_and(|origin| is_own(origin, header("host").or(host), secure)),
        }
    }

    /// Whether a WebSocket handshake with a cookie may be believed. Every browser sends `Origin` with one (RFC 6455, section
    /// 4.1), so one without it comes from no page.
    pub fn admit_upgrade(&self, headers: &HeaderMap, secure: bool) -> bool {
        let silent = !headers.contains_key("origin") && !headers.contains_key("sec-fetch-site");
        silent || self.admit(headers, None, secure)
    }
}

/// Whether a page was loaded from the host that it now talks to, over TLS if the request came so.
fn is_own(origin: &str, host: Option<&str>, secure: bool) -> bool {
    let Some((scheme, from)) = origin.split_once("://") else { return false };
    (scheme == "https" || (scheme == "http" && !secure)) && host.is_some_and(|host| host.eq_ignore_ascii_case(from))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect::<HeaderMap>()
    }

    #[test]
    fn cookies_come_from_this_site_or_an_allowed_one() {
        let origins = Origins::new(["https://app.example/"]);
        let post = |pairs: &[(&'static str, &str)]| origins.admit(&headers(pairs), Some("shop.example"), true);
        assert!(post(&[("origin", "https://app.example")]));
        assert!(post(&[("origin", "https://shop.example")]));
        assert!(post(&[("sec-fetch-site", "same-origin"), ("origin", "https://shop.example")]));
        assert!(!post(&[("origin", "http://shop.example")]), "a page that anybody on the way could write");
        assert!(!post(&[("origin", "https://shop.example:8443")]));
        assert!(!post(&[("origin", "https://evil.example")]));
        assert!(!post(&[("origin", "null")]));
        assert!(!post(&[("sec-fetch-site", "cross-site")]));
        assert!(!post(&[]));
        assert!(!post(&[("host", "other.example"), ("origin", "https://shop.example")]));
    }

    #[test]
    fn a_handshake_without_origin_comes_from_no_page() {
        let origins = Origins::default();
        let open = |pairs: &[(&'static str, &str)]| origins.admit_upgrade(&headers(pairs), false);
        assert!(open(&[("host", "shop.example")]));
        assert!(open(&[("host", "shop.example"), ("origin", "http://shop.example")]));
        assert!(!open(&[("host", "shop.example"), ("origin", "https://evil.example")]));
        assert!(!open(&[("host", "shop.example"), ("sec-fetch-site", "cross-site")]));
    }
}
