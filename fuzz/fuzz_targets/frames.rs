//! Bytes to frames, in two pieces, and back.
#![no_main]

#[path = "../../tests/src/fuzzing.rs"]
#[expect(dead_code, reason = "each target uses its part")]
mod fuzzing;

libfuzzer_sys::fuzz_target!(|input: (&[u8], &[u8])| fuzzing::frames(input.0, input.1));
