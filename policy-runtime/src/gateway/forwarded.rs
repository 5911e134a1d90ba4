//! Where a request comes from, when a proxy of ours brought it.
//!
//! In: the address of the socket and the headers. Out: one address. `X-Forwarded-For` is believed from trusted proxies only,
//! from the right: what a peer wrote there itself stands to the left of what the proxies added.

use std::net::IpAddr;

use http::HeaderMap;
use policy_core::value::IpRange;

/// The address to count, to log and to decide by.
pub(super) fn client_address(socket: IpAddr, headers: &HeaderMap, trusted: &[IpRange]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|range| range.contains(address));
    let mut address = socket;
    let values = headers.get_all("x-forwarded-for").iter().rev();
    for value in values {
        let Ok(value) = value.to_str() else { return address };
        for hop in value.rsplit(',') {
            if !is_trusted(address) {
                return address;
            }
            // What cannot be read ends the chain at the last hop that could.
            let Ok(hop) = hop.trim().parse::<IpAddr>() else { return address };
            address = hop.to_canonical();
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted = ["10.0.0.0/8", "::1"].map(|range| range.parse().unwrap());
        let check = |socket: &str, forwarded: &[&str], expect: &str| {
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append("x-forwarded-for", value.parse().unwrap());
            }
            let found = client_address(socket.parse().unwrap(), &headers, &trusted);
            assert_eq!(found, expect.parse::<IpAddr>().unwrap(), "{socket} {forwarded:?}");
        };
        check("192.0.2.1", &["1.1.1.1"], "192.0.2.1");
        check("10.0.0.1", &[], "10.0.0.1");
        check("10.0.0.1", &["192.0.2.7"], "192.0.2.7");
        check("10.0.0.1", &["1.1.1.1, 192.0.2.7"], "192.0.2.7");
        check("10.0.0.1", &["1.1.1.1", "192.0.2.7, 10.0.0.2"], "192.0.2.7");
        check("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3");
        check("10.0.0.1", &["192.0.2.7, nonsense, 10.0.0.2"], "10.0.0.2");
        check("::1", &["::ffff:192.0.2.7"], "192.0.2.7");
    }
}
