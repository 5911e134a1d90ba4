//! Secrets that must be read again (shared secrets, client secrets, seeds), sealed before they are stored.
//!
//! In: a secret and the name of its place. Out: a text that only the same key opens, and only at the same place. The keys
//! come from outside the database; the first seals, all of them open, so that a key can be replaced. Absent: passwords and
//! API keys, of which only hashes are stored.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sha2::{Digest as _, Sha256};

use crate::secret::Secret;

/// Keys that seal and open.
///
/// ```
/// use policy_runtime::seal::SealingKeys;
/// use policy_runtime::secret::Secret;
/// let (old, new) = (Secret::new([1; 32]), Secret::new([2; 32]));
/// let sealed = SealingKeys::new(&old).seal("configurations/main", b"hush").unwrap();
/// let rotated = SealingKeys::new(&new).and_earlier(&old);
/// assert_eq!(rotated.open("configurations/main", &sealed).unwrap().expose(), b"hush");
/// assert!(rotated.open("configurations/other", &sealed).is_err());
/// assert!(SealingKeys::new(&new).open("configurations/main", &sealed).is_err());
/// ```
pub struct SealingKeys {
    keys: Vec<(String, LessSafeKey)>,
}

/// Shows which keys there are, not what they are.
impl fmt::Debug for SealingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|(id, _)| id)).finish()
    }
}

/// Why a secret cannot be sealed or opened.
///
/// ```
/// use policy_runtime::seal::{SealError, SealingKeys};
/// use policy_runtime::secret::Secret;
/// let keys = SealingKeys::new(&Secret::new([1; 32]));
/// assert_eq!(keys.open("configurations/main", "1.abc").unwrap_err(), SealError::Unopened);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The system gave no random numbers.
    #[error("the system gives no random numbers")]
    NoRandom,
    /// No key here opens it: the key was replaced, or it was sealed for another place.
    #[error("no sealing key opens the stored secret")]
    Unopened,
}

impl SealingKeys {
    /// Takes the key that seals.
    pub fn new(key: &Secret<[u8; 32]>) -> Self {
        Self { keys: Vec::new() }.and_earlier(key)
    }

    /// Takes an earlier key, which only opens.
    #[must_use]
    pub fn and_earlier(mut self, key: &Secret<[u8; 32]>) -> Self {
        let digest = Sha256::digest([b"policy sealing key:", &key.expose()[..]].concat());
        let id = URL_SAFE_NO_PAD.encode(digest.get(..6).unwrap_or_default());
        if let Ok(key) = UnboundKey::new(&AES_256_GCM, key.expose()) {
            self.keys.push((id, LessSafeKey::new(key)));
        }
        self
    }

    /// Seals a secret for a place.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn seal(&self, place: &str, secret: &[u8]) -> Result<String, SealError> {
        let (id, key) = self.keys.first().ok_or(SealError::Unopened)?;
        // 96 random bits: enough for the few secrets that one key ever seals.
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|_| SealError::NoRandom)?;
        let mut sealed = secret.to_vec();
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(place.as_bytes()), &mut sealed)
            .map_err(|_| SealError::Unopened)?;
        Ok(format!("1.{id}.{}.{}", URL_SAFE_NO_PAD.encode(nonce), URL_SAFE_NO_PAD.encode(sealed)))
    }

    /// Opens a secret of a place.
    ///
    /// # Errors
    /// When no key here opens it.
    pub fn open(&self, place: &str, sealed: &str) -> Result<Secret<Vec<u8>>, SealError> {
        let mut parts = sealed.split('.');
        let (Some("1"), Some(id), Some(nonce), Some(sealed), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(SealError::Unopened);
        };
        let (_, key) = self.keys.iter().find(|(known, _)| known == id).ok_or(SealError::Unopened)?;
        let nonce: [u8; NONCE_LEN] =
            URL_SAFE_NO_PAD.decode(nonce).ok().and_then(|n| n.try_into().ok()).ok_or(SealError::Unopened)?;
        let mut sealed = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| SealError::Unopened)?;
        let opened = key
            .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(place.as_bytes()), &mut sealed)
            .map_err(|_| SealError::Unopened)?;
        Ok(Secret::new(opened.to_vec()))
    }

    /// Whether a text was sealed by the key that seals now.
    ///
    /// ```
    /// use policy_runtime::seal::SealingKeys;
    /// use policy_runtime::secret::Secret;
    /// let (old, new) = (Secret::new([1; 32]), Secret::new([2; 32]));
    /// let sealed = SealingKeys::new(&old).seal("configurations/main", b"hush").unwrap();
    /// assert!(!SealingKeys::new(&new).and_earlier(&old).is_current(&sealed), "it is to be sealed again");
    /// ```
    pub fn is_current(&self, sealed: &str) -> bool {
        self.keys.first().is_some_and(|(id, _)| sealed.split('.').nth(1) == Some(id))
    }
}
