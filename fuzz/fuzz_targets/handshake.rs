//! Names and values of headers to credentials, addresses, origins and ids.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policy_runtime::credential::Credentials;
use policy_runtime::edge::{Origins, TrustedProxies};

fuzz_target!(|pairs: Vec<(&str, &[u8])>| {
    if let Ok(credentials) = Credentials::from_pairs(pairs.iter().copied(), None, &[]) {
        let _ = format!("{credentials:?}");
    }
    let mut headers = http::HeaderMap::new();
    for (name, value) in pairs {
        if let (Ok(name), Ok(value)) = (name.parse::<http::HeaderName>(), http::HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    let _ = TrustedProxies::new(["0.0.0.0/0".parse().unwrap()]).client([10, 0, 0, 1].into(), &headers);
    let _ = Origins::default().admit_upgrade(&headers, true);
});
