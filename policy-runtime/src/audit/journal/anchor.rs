//! Signed ends of chains.

use std::fmt;

use data_encoding::HEXLOWER;
use ed25519_dalek::{Signature, Signer as _, SigningKey, Verifier as _, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// The key that ends of chains are signed with.
///
/// ```
/// use policy_runtime::audit::journal::AnchorKey;
/// use policy_runtime::secret::Secret;
/// let key = AnchorKey::new(&Secret::new([7; 32]));
/// assert_eq!(key.public().len(), 64);
/// ```
pub struct AnchorKey(SigningKey);

impl fmt::Debug for AnchorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AnchorKey").field(&self.public()).finish()
    }
}

/// The end of a scope's chain at one moment, signed. Keep it apart from the journal.
///
/// ```
/// use policy_runtime::audit::journal::{Anchor, AnchorKey};
/// fn is_ours(key: &AnchorKey, anchor: &Anchor) -> bool {
///     key.verifies(anchor)
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Anchor {
    /// The chain.
    pub scope: String,
    /// The number of its last record.
    pub number: i64,
    /// That record's hash.
    pub hash: String,
    /// When it was signed, in milliseconds since 1970.
    pub time: i64,
    /// Over all of these.
    pub signature: String,
}

impl Anchor {
    fn message(&self) -> Vec<u8> {
        let Self { scope, number, hash, time, .. } = self;
        format!("policy audit anchor\n{}:{scope}\n{number}\n{hash}\n{time}", scope.len()).into_bytes()
    }
}

impl AnchorKey {
    /// Makes the key of its 32 secret octets.
    pub fn new(secret: &Secret<[u8; 32]>) -> Self {
        Self(SigningKey::from_bytes(secret.expose()))
    }

    /// A key of this process alone.
    pub(super) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self(SigningKey::from_bytes(&bytes)))
    }

    /// The public key, in hexadecimal digits.
    pub fn public(&self) -> String {
        HEXLOWER.encode(self.0.verifying_key().as_bytes())
    }

    pub(super) fn sign(&self, scope: &str, number: i64, hash: &str, time: i64) -> Anchor {
        let mut anchor =
            Anchor { scope: scope.to_owned(), number, hash: hash.to_owned(), time, signature: String::new() };
        anchor.signature = HEXLOWER.encode(&self.0.sign(&anchor.message()).to_bytes());
        anchor
    }

    /// Whether an anchor was signed with this key.
    pub fn verifies(&self, anchor: &Anchor) -> bool {
        verifies(&self.0.verifying_key(), anchor)
    }
}

fn verifies(key: &VerifyingKey, anchor: &Anchor) -> bool {
    let signature =
        HEXLOWER.decode(anchor.signature.as_bytes()).ok().and_then(|bytes| Signature::from_slice(&bytes).ok());
    signature.is_some_and(|signature| key.verify(&anchor.message(), &signature).is_ok())
}
