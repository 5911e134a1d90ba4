//! Secrets as they are written: hex or base64, by value or in a file.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use data_encoding::HEXLOWER_PERMISSIVE;

use super::environment::Environment;
use crate::secret::Secret;

/// The fewest bytes of a secret.
pub(super) const LEAST: usize = 32;

/// Reads a secret's bytes from its text.
///
/// Hex and base64 (of both alphabets, with or without padding) are told apart by their characters; `hex:`, `base64:` and
/// `text:` in front say it.
pub(crate) fn decode(text: &str) -> Result<Secret<Vec<u8>>, &'static str> {
    let text = text.trim();
    if let Some(text) = text.strip_prefix("text:") {
        return Ok(Secret::new(text.as_bytes().to_vec()));
    }
    if let Some(hex) = text.strip_prefix("hex:") {
        return unhex(hex).map(Secret::new).ok_or("is not hex");
    }
    if let Some(encoded) = text.strip_prefix("base64:") {
        return unbase64(encoded).map(Secret::new).ok_or("is not base64");
    }
    let found = unhex(text).or_else(|| unbase64(text));
    found.map(Secret::new).ok_or("is neither hex nor base64; write `text:` in front of one that is neither")
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok().filter(|bytes| !bytes.is_empty())
}

fn unbase64(text: &str) -> Option<Vec<u8>> {
    let engines = [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD];
    engines.into_iter().find_map(|engine| engine.decode(text).ok()).filter(|bytes| !bytes.is_empty())
}

/// Words of secrets that stand in documentation.
const SAMPLES: [&str; 14] = [
    "secret",
    "password",
    "changeme",
    "change-me",
    "change_me",
    "example",
    "sample",
    "default",
    "test",
    "your-",
    "your_",
    "0123456789",
    "abcdefgh",
    "demo",
];

/// Why a secret is too weak to protect anything; `None` if it is not.
pub(super) fn weakness(bytes: &[u8]) -> Option<&'static str> {
    if bytes.len() < LEAST {
        return Some("has fewer than 32 bytes");
    }
    let mut distinct = [false; 256];
    for byte in bytes {
        if let Some(seen) = distinct.get_mut(usize::from(*byte)) {
            *seen = true;
        }
    }
    let steps = || bytes.windows(2).map(|pair| if let [a, b] = pair { b.wrapping_sub(*a) } else { 0 });
    let first = steps().next();
    if distinct.iter().filter(|seen| **seen).count() < 10 || steps().all(|step| Some(step) == first) {
        return Some("is not random");
    }
    let is_text = bytes.iter().all(u8::is_ascii_graphic);
    let lower = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    (is_text && SAMPLES.iter().any(|sample| lower.contains(sample))).then_some("is a sample, not a random secret")
}

/// A setting that is a value or the path of a file that holds it.
#[derive(Debug, Clone, Default)]
pub(super) struct Written {
    pub(super) value: Option<String>,
    pub(super) file: Option<String>,
}

impl Written {
    /// The text, read from its file if it has one.
    pub(super) fn text(&self, what: &str, folder: &Path) -> Result<Option<Secret<String>>, String> {
        match (&self.value, &self.file) {
            (Some(_), Some(_)) => Err(format!("`{what}` and `{what}_file` say the same thing; write one of them")),
            (Some(value), None) => Ok(Some(Secret::new(value.clone()))),
            (None, Some(path)) => {
                let path = Environment::beside(folder, path);
                let text = std::fs::read_to_string(&path)
                    .map_err(|error| format!("`{what}_file`: `{}` cannot be read: {error}", path.display()))?;
                Ok(Some(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned())))
            }
            (None, None) => Ok(None),
        }
    }

    /// The bytes of a secret.
    pub(super) fn secret(&self, what: &str, folder: &Path) -> Result<Option<Secret<Vec<u8>>>, String> {
        let Some(text) = self.text(what, folder)? else { return Ok(None) };
        decode(text.expose()).map(Some).map_err(|problem| format!("`{what}` {problem}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let bytes: Vec<u8> = (0..32).map(|n: u8| n.wrapping_mul(97) ^ 0x5a).collect();
        let hex = bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        for text in [
            hex.clone(),
            hex.to_uppercase(),
            format!("hex:{hex}"),
            STANDARD.encode(&bytes),
            URL_SAFE_NO_PAD.encode(&bytes),
            format!("base64:{}", STANDARD_NO_PAD.encode(&bytes)),
            format!(" {hex}\n"),
        ] {
            assert_eq!(*decode(&text).unwrap().expose(), bytes, "{text}");
        }
        assert_eq!(decode("text:pass word").unwrap().expose(), b"pass word");
        for bad in ["", "pass word", "hex:abc", "base64:*", "ä"] {
            assert!(decode(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn weak_secrets() {
        let random: Vec<u8> = (0..32).map(|n: u8| n.wrapping_mul(n).wrapping_mul(97) ^ 0x5a ^ n).collect();
        assert_eq!(weakness(&random), None);
        for weak in [
            &b"short"[..],
            &[0; 32],
            &[7; 64],
            b"0123456789abcdef0123456789abcdef",
            b"abababababababababababababababababab",
            b"my-super-secret-key-for-production-xyz",
            b"CHANGEME-q8w7e6r5t4y3u2i1o0p9a8s7d6",
            &std::array::from_fn::<u8, 40, _>(|n| u8::try_from(n).unwrap()),
        ] {
            assert!(weakness(weak).is_some(), "{weak:?}");
        }
    }
}
