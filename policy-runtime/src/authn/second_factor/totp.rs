//! One-time passwords by time (RFC 6238): SHA-1, six digits, thirty seconds, as every app on a telephone makes them.

use hmac::{Hmac, KeyInit as _, Mac as _};
use policy_core::value::Millis;
use sha1::Sha1;
use subtle::ConstantTimeEq as _;

/// How long one is shown, in milliseconds.
const STEP_MS: i64 = 30_000;
/// How many steps before and after now are looked at, for clocks that do not agree (RFC 6238, section 5.2).
const SKEW: i64 = 1;
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The six digits of a step.
fn digits(seed: &[u8], step: i64) -> Option<String> {
    let mut mac = Hmac::<Sha1>::new_from_slice(seed).ok()?;
    mac.update(&step.to_be_bytes());
    let hash = mac.finalize().into_bytes();
    let at = usize::from(hash.last()? & 0x0f);
    let four: [u8; 4] = hash.get(at..at + 4)?.try_into().ok()?;
    Some(format!("{:06}", (u32::from_be_bytes(four) & 0x7fff_ffff) % 1_000_000))
}

/// The step whose digits a code is, if it is one of about now.
pub(super) fn step_of(seed: &[u8], code: &str, now: Millis) -> Option<i64> {
    let current = now.0.div_euclid(STEP_MS);
    let mut found = None;
    // All are looked at, whichever it is.
    for step in current - SKEW..=current + SKEW {
        if bool::from(digits(seed, step)?.as_bytes().ct_eq(code.as_bytes())) {
            found = Some(step);
        }
    }
    found
}

/// Bytes as people type them into an app (RFC 4648, section 6).
pub(super) fn base32(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(5) {
        let mut group = [0_u8; 8];
        for (at, byte) in chunk.iter().enumerate() {
            if let Some(slot) = group.get_mut(3 + at) {
                *slot = *byte;
            }
        }
        let bits = u64::from_be_bytes(group);
        let letters = (chunk.len() * 8).div_ceil(5);
        for at in 0..letters {
            let letter = (bits >> (35 - 5 * at)) & 31;
            text.extend(usize::try_from(letter).ok().and_then(|n| ALPHABET.get(n)).map(|b| char::from(*b)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_rfc_6238() {
        // Appendix B, whose codes have eight digits: the last six of them.
        let seed = b"12345678901234567890";
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(step_of(seed, code, Millis(seconds * 1_000)), Some(seconds / 30), "{code}");
        }
    }

    #[test]
    fn a_code_is_good_for_one_step_more_on_either_side() {
        let (seed, now) = (b"12345678901234567890", Millis(1_111_111_111_000));
        let code = digits(seed, now.0 / STEP_MS).unwrap();
        for (shift, good) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
            assert_eq!(step_of(seed, &code, Millis(now.0 + shift * STEP_MS)).is_some(), good, "{shift}");
        }
        for wrong in ["", "05047", "0504710", "O50471", "abcdef"] {
            assert_eq!(step_of(seed, wrong, now), None, "{wrong}");
        }
    }

    #[test]
    fn the_vectors_of_rfc_4648() {
        for (bytes, text) in
            [("", ""), ("f", "MY"), ("fo", "MZXQ"), ("foo", "MZXW6"), ("foob", "MZXW6YQ"), ("foobar", "MZXW6YTBOI")]
        {
            assert_eq!(base32(bytes.as_bytes()), text);
        }
    }
}
