//! Where a request comes from, when a proxy of ours brought it.
//!
//! In: the address of the socket and the headers. Out: one address. `X-Forwarded-For` is believed from trusted proxies only,
//! from the right: what a peer wrote there itself stands to the left of what the proxies added.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use policy_core::value::IpRange;

/// The addresses whose forwarded headers are believed; nobody's by default.
///
/// ```
/// use policy_runtime::edge::TrustedProxies;
/// let proxies = TrustedProxies::new(["10.0.0.0/8".parse().unwrap()]);
/// let mut headers = http::HeaderMap::new();
/// headers.insert("x-forwarded-for", "1.1.1.1, 192.0.2.7".parse().unwrap());
/// assert_eq!(proxies.client([10, 0, 0, 1].into(), &headers).to_string(), "192.0.2.7");
/// assert_eq!(proxies.client([203, 0, 113, 9].into(), &headers).to_string(), "203.0.113.9");
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TrustedProxies(Vec<IpRange>);

impl TrustedProxies {
    /// Believes these addresses.
    pub fn new(addresses: impl IntoIterator<Item = IpRange>) -> Self {
        Self(addresses.into_iter().collect())
    }

    pub(crate) fn extend(&mut self, addresses: impl IntoIterator<Item = IpRange>) {
        self.0.extend(addresses);
    }

    /// Whether an address is one of a trusted proxy.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|range| range.contains(address.to_canonical()))
    }

    /// The address to count, to log and to decide by.
    pub fn client(&self, socket: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut address = socket.to_canonical();
        for value in headers.get_all("x-forwarded-for").iter().rev() {
            let Ok(value) = value.to_str() else { return address };
            for hop in value.rsplit(',') {
                if !self.contains(address) {
                    return address;
                }
                // What cannot be read ends the chain at the last hop that could.
                let Some(hop) = hop_address(hop.trim()) else { return address };
                address = hop;
            }
        }
        address
    }

    /// Whether the peer spoke TLS: to us, or as a trusted proxy says by `X-Forwarded-Proto`, to the proxy.
    ///
    /// ```
    /// use policy_runtime::edge::TrustedProxies;
    ///
    /// let proxies = TrustedProxies::new(["10.0.0.0/8".parse().unwrap()]);
    /// let mut headers = http::HeaderMap::new();
    /// headers.insert("x-forwarded-proto", "https".parse().unwrap());
    /// assert!(proxies.is_secure([10, 0, 0, 1].into(), &headers, false));
    /// assert!(!proxies.is_secure([203, 0, 113, 9].into(), &headers, false), "anybody can say so");
    /// ```
    pub fn is_secure(&self, socket: IpAddr, headers: &HeaderMap, tls: bool) -> bool {
        let forwarded = headers.get("x-forwarded-proto").and_then(|value| value.to_str().ok());
        match forwarded.and_then(|value| value.rsplit(',').next()) {
            Some(scheme) if self.contains(socket) => matches!(scheme.trim(), "https" | "wss"),
            Some(_) | None => tls,
        }
    }
}

/// An address, or one with a port as some proxies write it.
fn hop_address(hop: &str) -> Option<IpAddr> {
    let address = hop.parse().ok().or_else(|| hop.parse().ok().map(|with: SocketAddr| with.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted = TrustedProxies::new(["10.0.0.0/8", "::1"].map(|range| range.parse().unwrap()));
        let check = |socket: &str, forwarded: &[&str], expect: &str| {
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append("x-forwarded-for", value.parse().unwrap());
            }
            let found = trusted.client(socket.parse().unwrap(), &headers);
            assert_eq!(found, expect.parse::<IpAddr>().unwrap(), "{socket} {forwarded:?}");
        };
        check("192.0.2.1", &["1.1.1.1"], "192.0.2.1");
        check("10.0.0.1", &[], "10.0.0.1");
        check("10.0.0.1", &["192.0.2.7"], "192.0.2.7");
        check("10.0.0.1", &["192.0.2.7:4711"], "192.0.2.7");
        check("10.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1");
        check("10.0.0.1", &["1.1.1.1, 192.0.2.7"], "192.0.2.7");
        check("10.0.0.1", &["1.1.1.1", "192.0.2.7, 10.0.0.2"], "192.0.2.7");
        check("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3");
        check("10.0.0.1", &["192.0.2.7, nonsense, 10.0.0.2"], "10.0.0.2");
        check("::1", &["::ffff:192.0.2.7"], "192.0.2.7");
        check("::ffff:10.0.0.1", &["192.0.2.7"], "192.0.2.7");
    }

    #[test]
    fn only_trusted_proxies_say_that_the_peer_spoke_tls() {
        let trusted = TrustedProxies::new(["10.0.0.0/8".parse().unwrap()]);
        let check = |socket: [u8; 4], proto: Option<&str>, tls: bool| {
            let mut headers = HeaderMap::new();
            if let Some(proto) = proto {
                headers.insert("x-forwarded-proto", proto.parse().unwrap());
            }
            trusted.is_secure(socket.into(), &headers, tls)
        };
        assert!(check([10, 0, 0, 1], Some("https"), false));
        assert!(!check([10, 0, 0, 1], Some("https, http"), true), "the last proxy says http");
        assert!(!check([192, 0, 2, 1], Some("https"), false));
        assert!(check([192, 0, 2, 1], Some("http"), true));
        assert!(!check([10, 0, 0, 1], None, false));
    }
}
