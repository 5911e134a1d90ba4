//! Bytes to frames, in two pieces, and back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policy_runtime::wire::{Cri, Decoder, Incoming, Limits, header};

fuzz_target!(|input: (&[u8], &[u8])| {
    let mut decoder = Decoder::new(Limits::default());
    for piece in [input.0, input.1] {
        decoder.feed(piece.to_vec().into());
        while let Ok(Some(incoming)) = decoder.next() {
            let Incoming::Frame(frame) = incoming else { continue };
            if let Some(destination) = frame.header(header::DESTINATION) {
                let _ = Cri::parse(destination);
            }
            if let Ok(encoded) = frame.encode() {
                let mut again = Decoder::new(Limits::default());
                again.feed(encoded.into());
                assert!(matches!(again.next(), Ok(Some(Incoming::Frame(_)))));
            }
        }
    }
});
