//! Names and values of headers to credentials, addresses and origins.
#![no_main]

#[path = "../../tests/src/fuzzing.rs"]
#[expect(dead_code, reason = "each target uses its part")]
mod fuzzing;

libfuzzer_sys::fuzz_target!(|pairs: Vec<(&str, &[u8])>| fuzzing::handshake(&pairs));
