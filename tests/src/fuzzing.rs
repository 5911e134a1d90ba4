//! What `fuzz/` does without end and `tests/fuzz.rs` for a while: bytes and headers of a peer, through everything that reads them.

use policy_runtime::credential::Credentials;
use policy_runtime::edge::{Origins, TrustedProxies};
use policy_runtime::wire::{Cri, Decoder, ErrorBody, Frame, HeartBeat, Incoming, Limits, header};

/// Reads bytes as one piece and as two: the same frames come of it, and each can be written and read again.
///
/// # Panics
/// When that does not hold.
pub fn frames(first: &[u8], second: &[u8]) {
    let whole = read(&[&[first, second].concat()]);
    assert_eq!(whole, read(&[first, second]), "it depends on the pieces");
    for frame in whole {
        if let Some(destination) = frame.header(header::DESTINATION)
            && let Ok(cri) = Cri::parse(destination)
        {
            assert_eq!(Cri::parse(&cri.to_string()), Ok(cri), "an address reads otherwise once it was written");
        }
        let _ = HeartBeat::parse(frame.header(header::HEART_BEAT));
        let _ = ErrorBody::parse(&frame.body);
        if let Ok(encoded) = frame.encode() {
            let again = read_within(WRITTEN, &[&encoded]);
            assert_eq!(again, [frame], "a frame reads otherwise once it was written");
        }
    }
}

/// Escapes may make headers longer than they were.
const WRITTEN: Limits = Limits { headers: 200, header: 100 * 1024, head: 200 * 1024, body: 32 * 1024 * 1024 };

fn read(pieces: &[&[u8]]) -> Vec<Frame> {
    read_within(Limits::default(), pieces)
}

fn read_within(limits: Limits, pieces: &[&[u8]]) -> Vec<Frame> {
    let mut decoder = Decoder::new(limits);
    let mut found = Vec::new();
    for piece in pieces {
        decoder.feed(piece.to_vec().into());
        loop {
            match decoder.next() {
                Ok(Some(Incoming::Frame(frame))) => found.push(frame),
                Ok(Some(Incoming::HeartBeat)) => {}
                Ok(None) => break,
                Err(_) => return found,
            }
        }
    }
    found
}

/// Reads names and values of headers as credentials, addresses and origins.
pub fn handshake(pairs: &[(&str, &[u8])]) {
    let mut headers = http::HeaderMap::new();
    for (name, value) in pairs {
        if let (Ok(name), Ok(value)) = (name.parse::<http::HeaderName>(), http::HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    for read in [Credentials::from_pairs(pairs.iter().copied(), None, &[]), Credentials::from_headers(&headers, None)] {
        let _ = read.map(|credentials| format!("{credentials:?}"));
    }
    let everywhere = ["0.0.0.0/0", "::/0"].iter().filter_map(|range| range.parse().ok());
    let proxies = TrustedProxies::new(everywhere);
    let _ = proxies.client([10, 0, 0, 1].into(), &headers);
    let _ = proxies.is_secure([10, 0, 0, 1].into(), &headers, false);
    let _ = Origins::default().admit_upgrade(&headers, true);
}
