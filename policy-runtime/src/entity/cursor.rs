//! Cursors: where a page ended, sealed for one caller and one question.
//!
//! In: the last row's keys, and what the cursor is bound to. Out: text that nobody else can read or use. Absent: SQL.
//!
//! Sealed with ChaCha20-Poly1305 (RFC 8439): the keys are values of a row, and another caller or another query must get
//! nothing from them. What it is bound to is authenticated with it and is not in it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde_json::Value;

use super::error::EntityError;

/// The longest cursor that is looked at.
const LONGEST: usize = 16_384;

/// Seals and opens cursors.
pub(super) struct Cursors {
    key: LessSafeKey,
    lifetime: i64,
}

impl std::fmt::Debug for Cursors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cursors").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

impl Cursors {
    /// With a key; servers that share one take each other's cursors.
    pub(super) fn new(key: &[u8; 32], lifetime: Duration) -> Option<Self> {
        let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).ok()?);
        Some(Self { key, lifetime: i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX) })
    }

    /// Seals the keys of a row.
    pub(super) fn seal(&self, keys: &[Value], bound: &str, now: i64) -> Option<String> {
        let ends = now.saturating_add(self.lifetime);
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).ok()?;
        let mut body = serde_json::to_vec(&(ends, keys)).ok()?;
        let tag = self
            .key
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(bound), &mut body)
            .ok()?;
        let sealed: Vec<u8> = nonce.iter().chain(&body).chain(tag.as_ref()).copied().collect();
        Some(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Opens what was sealed for the same question, and not too long ago.
    pub(super) fn open(&self, cursor: &str, bound: &str, now: i64) -> Result<Vec<Value>, EntityError> {
        if cursor.len() > LONGEST {
            return Err(EntityError::Cursor);
        }
        let sealed = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| EntityError::Cursor)?;
        let (nonce, body) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(EntityError::Cursor)?;
        let mut body = body.to_vec();
        let opened = self
            .key
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(bound), &mut body)
            .map_err(|_| EntityError::Cursor)?;
        let (ends, keys): (i64, Vec<Value>) = serde_json::from_slice(opened).map_err(|_| EntityError::Cursor)?;
        if now >= ends { Err(EntityError::Cursor) } else { Ok(keys) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_same_question_opens_a_cursor_and_not_for_ever() {
        let cursors = Cursors::new(&[7; 32], Duration::from_mins(1)).unwrap();
        let keys = vec![json!("a secret title"), json!(7)];
        let sealed = cursors.seal(&keys, "alice|Photo|title", 1_000).unwrap();
        assert_eq!(cursors.open(&sealed, "alice|Photo|title", 60_999).unwrap(), keys);
        for (cursor, bound, now) in [
            (sealed.as_str(), "bob|Photo|title", 1_000),
            (&sealed, "alice|Photo|size", 1_000),
            (&sealed, "alice|Photo|title", 61_000),
            (sealed.get(1..).unwrap(), "alice|Photo|title", 1_000),
            ("", "alice|Photo|title", 1_000),
            ("no base64!", "alice|Photo|title", 1_000),
        ] {
            assert!(matches!(cursors.open(cursor, bound, now), Err(EntityError::Cursor)), "{bound} at {now}");
        }
        let other = Cursors::new(&[8; 32], Duration::from_mins(1)).unwrap();
        assert!(other.open(&sealed, "alice|Photo|title", 1_000).is_err());
        let plain = String::from_utf8_lossy(&URL_SAFE_NO_PAD.decode(&sealed).unwrap()).into_owned();
        assert!(!plain.contains("secret"), "the keys can be read");
    }
}
