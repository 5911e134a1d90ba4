//! The keys of an issuer: what a JWKS document may and may not say.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;

use super::jws::{Algorithm, Unverified};
use crate::authn::{AuthnCode, AuthnError};
use crate::json::Json;
use crate::secret::Secret;

/// The longest key set that is read, in bytes.
pub const MAX_KEY_SET: usize = 512 * 1024;
/// How many keys a set may have.
pub const MAX_KEYS: usize = 200;
/// The longest RSA modulus that is used, in bits.
const MAX_RSA_BITS: usize = 4096;

/// Why a key set as a whole is refused.
///
/// ```
/// use policy_runtime::authn::token::{KeySet, KeySetError};
/// assert_eq!(KeySet::parse(b"[]").unwrap_err(), KeySetError::NotAKeySet);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeySetError {
    /// The document is too long.
    #[error("the key set is longer than allowed")]
    TooLong,
    /// The document is not what it should be.
    #[error("the key set is not a JSON object with an array `keys`")]
    NotAKeySet,
    /// There are too many keys.
    #[error("the key set has too many keys")]
    TooMany,
}

/// The public keys of one issuer that can be used for verifying.
///
/// A key that cannot be used (of an unknown kind, for encryption, private, symmetric, weak, broken) is left out, so that
/// it spoils nothing; [`KeySet::skipped`] says why.
///
/// ```
/// use policy_runtime::authn::token::KeySet;
/// let keys = KeySet::parse(br#"{"keys": [{"kty": "oct", "kid": "a", "k": "c2VjcmV0"}]}"#).unwrap();
/// assert!(keys.is_empty(), "a secret is no public key");
/// assert_eq!(keys.skipped().len(), 1);
/// ```
#[derive(Clone, Default)]
pub struct KeySet {
    keys: Vec<Key>,
    skipped: Vec<(Option<String>, &'static str)>,
}

#[derive(Clone)]
struct Key {
    kid: Option<String>,
    /// What this key may verify; never empty.
    algorithms: Vec<Algorithm>,
    material: DecodingKey,
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kids: Vec<_> = self.keys.iter().map(|key| (&key.kid, &key.algorithms)).collect();
        f.debug_struct("KeySet").field("keys", &kids).field("skipped", &self.skipped).finish()
    }
}

impl KeySet {
    /// Reads a JWKS document (RFC 7517).
    ///
    /// # Errors
    /// When the document is too long, has too many keys, or is no key set at all.
    pub fn parse(document: &[u8]) -> Result<Self, KeySetError> {
        if document.len() > MAX_KEY_SET {
            return Err(KeySetError::TooLong);
        }
        let document = Json::parse(document).map_err(|_| KeySetError::NotAKeySet)?;
        let entries = document.get("keys").and_then(Json::as_list).ok_or(KeySetError::NotAKeySet)?;
        if entries.len() > MAX_KEYS {
            return Err(KeySetError::TooMany);
        }
        let mut set = Self::default();
        for entry in entries {
            match read_key(entry) {
                Ok(key) => set.keys.push(key),
                Err(reason) => {
                    let kid = entry.get("kid").and_then(Json::as_text);
                    set.skipped.push((kid.map(|kid| kid.chars().take(80).collect()), reason));
                }
            }
        }
        Ok(set)
    }

    /// How many keys can be used.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key can be used.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that were left out, and why.
    pub fn skipped(&self) -> &[(Option<String>, &'static str)] {
        &self.skipped
    }

    /// Whether a key of that id is known; a token without an id asks for no new keys.
    pub(super) fn knows(&self, kid: Option<&str>) -> bool {
        kid.is_none_or(|kid| self.keys.iter().any(|key| key.kid.as_deref() == Some(kid)))
    }

    pub(super) fn verify(&self, token: &Unverified<'_>) -> Result<(), AuthnError> {
        let mut named = self.keys.iter().filter(|key| token.kid.is_none() || key.kid == token.kid).peekable();
        if named.peek().is_none() {
            return Err(AuthnError::new(AuthnCode::TokenKey, "the issuer has no key of that id"));
        }
        // The key says which algorithm; the header can only agree.
        let mut fitting = named.filter(|key| key.algorithms.contains(&token.algorithm));
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => check_signature(token, &key.material),
            (None, _) => Err(AuthnError::new(AuthnCode::TokenAlgorithm, "the key is not for the token's algorithm")),
            (Some(_), Some(_)) => Err(AuthnError::new(AuthnCode::TokenKey, "more than one key fits the token")),
        }
    }
}

/// A secret that an issuer shares with us, for HS256.
///
/// ```
/// use policy_runtime::authn::token::SharedSecret;
/// use policy_runtime::secret::Secret;
/// assert!(SharedSecret::new(&Secret::new(b"too short".to_vec())).is_err());
/// ```
#[derive(Clone)]
pub struct SharedSecret {
    material: Secret<DecodingKey>,
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSecret(..)")
    }
}

impl SharedSecret {
    /// Takes a secret of at least 32 bytes (RFC 7518, section 3.2).
    ///
    /// # Errors
    /// When it is shorter, or all of its bytes are equal.
    pub fn new(secret: &Secret<Vec<u8>>) -> Result<Self, AuthnError> {
        let bytes = secret.expose();
        if bytes.len() < 32 || bytes.iter().all(|b| Some(b) == bytes.first()) {
            return Err(AuthnError::new(AuthnCode::TokenKey, "a shared secret has at least 32 random bytes"));
        }
        Ok(Self { material: Secret::new(DecodingKey::from_secret(bytes)) })
    }

    pub(super) fn verify(&self, token: &Unverified<'_>) -> Result<(), AuthnError> {
        if token.algorithm != Algorithm::Hs256 {
            return Err(AuthnError::new(AuthnCode::TokenAlgorithm, "a shared secret is for HS256 alone"));
        }
        check_signature(token, self.material.expose())
    }
}

fn check_signature(token: &Unverified<'_>, key: &DecodingKey) -> Result<(), AuthnError> {
    let wrong = || AuthnError::new(AuthnCode::TokenSignature, "the signature is wrong");
    // The provider is named here, because the library's default depends on the features of other crates in the program.
    let provider = &jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;
    let verifier = (provider.verifier_factory)(&token.algorithm.library(), key).map_err(|_| wrong())?;
    verifier.verify(token.signed, &token.signature).map_err(|_| wrong())
}

/// Members of a JWK that only a private or symmetric key has (RFC 7518, section 6).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

fn read_key(entry: &Json) -> Result<Key, &'static str> {
    let text = |name: &str| match entry.get(name) {
        None => Ok(None),
        Some(value) => value.as_text().map(Some).ok_or("a member of the key is not text"),
    };
    if PRIVATE.iter().any(|name| entry.get(name).is_some()) {
        return Err("the key is private or symmetric, and published");
    }
    let kid = text("kid")?.map(str::to_owned);
    if text("use")?.is_some_and(|usage| usage != "sig") {
        return Err("the key is not for signatures");
    }
    if let Some(operations) = entry.get("key_ops") {
        let operations = operations.as_list().ok_or("`key_ops` is not a list")?;
        if !operations.iter().any(|operation| operation.as_text() == Some("verify")) {
            return Err("the key is not for verifying");
        }
    }
    let member = |name: &str| -> Result<Vec<u8>, &'static str> {
        let value = text(name)?.ok_or("a member of the key is missing")?;
        URL_SAFE_NO_PAD.decode(value).map_err(|_| "a member of the key is not base64url")
    };
    let (mut algorithms, material) = match (text("kty")?.unwrap_or_default(), text("crv")?) {
        ("RSA", None) => (Algorithm::RSA.to_vec(), rsa_key(&member("n")?, &member("e")?)?),
        ("EC", Some("P-256")) => (vec![Algorithm::Es256], ec_key::<32>(&member("x")?, &member("y")?)?),
        ("EC", Some("P-384")) => (vec![Algorithm::Es384], ec_key::<48>(&member("x")?, &member("y")?)?),
        ("OKP", Some("Ed25519")) => (vec![Algorithm::EdDsa], ed25519_key(&member("x")?)?),
        _ => return Err("keys of that kind are not used here"),
    };
    if let Some(name) = text("alg")? {
        let pinned = Algorithm::parse(name).ok_or("the key is for an algorithm that is not used here")?;
        algorithms.retain(|algorithm| *algorithm == pinned);
        if algorithms.is_empty() {
            return Err("the key's algorithm does not fit its kind");
        }
    }
    Ok(Key { kid, algorithms, material })
}

fn rsa_key(modulus: &[u8], exponent: &[u8]) -> Result<DecodingKey, &'static str> {
    // Some servers publish the sign octet of their big-number library; back ends disagree about it.
    let strip = |bytes: &[u8]| bytes.iter().copied().skip_while(|b| *b == 0).collect::<Vec<u8>>();
    let (modulus, exponent) = (strip(modulus), strip(exponent));
    let bits = modulus.len() * 8 - modulus.first().map_or(0, |b| b.leading_zeros() as usize);
    if bits < 2048 {
        return Err("the modulus is shorter than 2048 bits");
    }
    if bits > MAX_RSA_BITS {
        return Err("the modulus is longer than 4096 bits");
    }
    if modulus.last().is_none_or(|b| b % 2 == 0) {
        return Err("the modulus is even");
    }
    match exponent.as_slice() {
        [] | [1] => return Err("the exponent is too small"),
        bytes if bytes.len() > 4 => return Err("the exponent is too large"),
        bytes if bytes.last().is_none_or(|b| b % 2 == 0) => return Err("the exponent is even"),
        _ => {}
    }
    Ok(DecodingKey::from_rsa_raw_components(&modulus, &exponent))
}

fn ec_key<const N: usize>(x: &[u8], y: &[u8]) -> Result<DecodingKey, &'static str> {
    if x.len() != N || y.len() != N {
        return Err("a coordinate has the wrong length");
    }
    let point = [&[4][..], x, y].concat();
    let on_curve = match N {
        32 => p256::PublicKey::from_sec1_bytes(&point).is_ok(),
        _ => p384::PublicKey::from_sec1_bytes(&point).is_ok(),
    };
    if !on_curve {
        return Err("the point is not on the curve");
    }
    Ok(DecodingKey::from_ec_der(&point))
}

fn ed25519_key(x: &[u8]) -> Result<DecodingKey, &'static str> {
    let bytes = <&[u8; 32]>::try_from(x).map_err(|_| "the key has the wrong length")?;
    let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| "the point is not on the curve")?;
    if key.is_weak() {
        return Err("the point is of small order: one signature would fit many tokens");
    }
    Ok(DecodingKey::from_ed_der(x))
}
