//! Private keys of our own tokens, and the ring of those that are in use.
//!
//! In: 32 secret bytes and an algorithm. Out: signatures, and the public half as a JWK. Absent: where keys are kept, and when
//! one takes over from another.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::Signer as _;
use serde_json::{Value, json};

use super::jws::Algorithm;
use super::keys::KeySet;
use crate::authn::{AuthnCode, AuthnError};
use crate::secret::Secret;

/// How often a random number is drawn until it is a scalar of P-256; each draw fails once in 2^32.
const DRAWS: usize = 4;

/// A private key that signs tokens of our own: Ed25519, or ES256 for verifiers that know no other.
///
/// ```
/// use policy_runtime::authn::token::{Algorithm, SigningKey};
/// let key = SigningKey::generate(Algorithm::Es256).unwrap();
/// assert_eq!(key.public()["crv"], "P-256");
/// assert!(SigningKey::generate(Algorithm::Rs256).is_err(), "none is made for RSA");
/// ```
#[derive(Clone)]
pub struct SigningKey {
    kid: String,
    material: Material,
}

#[derive(Clone)]
enum Material {
    Ed25519(ed25519_dalek::SigningKey),
    Es256(p256::ecdsa::SigningKey),
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

fn unusable(detail: &'static str) -> AuthnError {
    AuthnError::new(AuthnCode::TokenKey, detail)
}

impl SigningKey {
    /// Makes a fresh key.
    ///
    /// # Errors
    /// When the system gives no random numbers, or nothing is signed by that algorithm here.
    pub fn generate(algorithm: Algorithm) -> Result<Self, AuthnError> {
        let mut last = Err(unusable("no key was drawn"));
        for _ in 0..DRAWS {
            let mut secret = [0; 32];
            getrandom::fill(&mut secret)
                .map_err(|_| AuthnError::new(AuthnCode::Unavailable, "the system gives no random numbers"))?;
            last = Self::from_secret(algorithm, &Secret::new(secret));
            if last.is_ok() {
                break;
            }
        }
        last
    }

    /// Takes a key that is kept elsewhere: an Ed25519 seed, or a scalar of P-256.
    ///
    /// # Errors
    /// When the bytes are no key, or nothing is signed by that algorithm here.
    ///
    /// ```
    /// use policy_runtime::authn::token::{Algorithm, SigningKey};
    /// let key = SigningKey::generate(Algorithm::EdDsa).unwrap();
    /// let again = SigningKey::from_secret(key.algorithm(), &key.secret()).unwrap();
    /// assert_eq!(again.kid(), key.kid());
    /// ```
    pub fn from_secret(algorithm: Algorithm, secret: &Secret<[u8; 32]>) -> Result<Self, AuthnError> {
        let material = match algorithm {
            Algorithm::EdDsa => Material::Ed25519(ed25519_dalek::SigningKey::from_bytes(secret.expose())),
            Algorithm::Es256 => Material::Es256(
                p256::ecdsa::SigningKey::from_slice(secret.expose()).map_err(|_| unusable("it is no key of P-256"))?,
            ),
            Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512
            | Algorithm::Es384
            | Algorithm::Hs256 => return Err(unusable("nothing is signed by that algorithm here")),
        };
        let mut key = Self { kid: String::new(), material };
        key.kid = key.public().get("x").and_then(Value::as_str).unwrap_or_default().chars().take(12).collect();
        Ok(key)
    }

    /// Takes a key of P-256 that somebody else made and named: PKCS#8 in PEM, as Apple hands it out.
    #[cfg(feature = "signin")]
    pub(super) fn from_pem(kid: &str, pem: &Secret<String>) -> Result<Self, AuthnError> {
        use p256::pkcs8::DecodePrivateKey as _;
        let key =
            p256::ecdsa::SigningKey::from_pkcs8_pem(pem.expose()).map_err(|_| unusable("it is no key of P-256"))?;
        Ok(Self { kid: kid.to_owned(), material: Material::Es256(key) })
    }

    /// The key's id, made from its public half.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// How it signs.
    pub const fn algorithm(&self) -> Algorithm {
        match &self.material {
            Material::Ed25519(_) => Algorithm::EdDsa,
            Material::Es256(_) => Algorithm::Es256,
        }
    }

    /// The public half as a JWK (RFC 7517).
    pub fn public(&self) -> Value {
        match &self.material {
            Material::Ed25519(key) => {
                let x = URL_SAFE_NO_PAD.encode(key.verifying_key().to_bytes());
                json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": self.kid, "x": x})
            }
            Material::Es256(key) => {
                let point = key.verifying_key().to_encoded_point(false);
                let text = |part: Option<&p256::FieldBytes>| URL_SAFE_NO_PAD.encode(part.copied().unwrap_or_default());
                let (x, y) = (text(point.x()), text(point.y()));
                json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.kid, "x": x, "y": y})
            }
        }
    }

    /// The bytes that [`SigningKey::from_secret`] takes, to be sealed and kept.
    pub fn secret(&self) -> Secret<[u8; 32]> {
        Secret::new(match &self.material {
            Material::Ed25519(key) => key.to_bytes(),
            Material::Es256(key) => key.to_bytes().into(),
        })
    }

    /// Signs claims as a token of a kind.
    pub(super) fn sign(&self, kind: &str, claims: &Value) -> Secret<String> {
        let header = json!({"alg": self.algorithm().as_str(), "typ": kind, "kid": self.kid}).to_string();
        let mut token = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = match &self.material {
            Material::Ed25519(key) => key.sign(token.as_bytes()).to_bytes(),
            Material::Es256(key) => {
                let signature: p256::ecdsa::Signature = p256::ecdsa::signature::Signer::sign(key, token.as_bytes());
                signature.to_bytes().into()
            }
        };
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(signature));
        Secret::new(token)
    }
}

/// The keys of an issuer at one moment: the one that signs, and all by which its tokens are verified.
///
/// ```
/// use policy_runtime::authn::token::{Algorithm, KeyRing, SigningKey};
/// let key = || SigningKey::generate(Algorithm::EdDsa).unwrap();
/// let (old, new) = (key(), key());
/// let ring = KeyRing::new(new, &[old.public()]).unwrap();
/// assert!(ring.published().contains(old.kid()), "tokens that it signed stay good");
/// ```
#[derive(Debug, Clone)]
pub struct KeyRing {
    pub(super) active: SigningKey,
    pub(super) verifying: KeySet,
    published: String,
}

impl KeyRing {
    /// Takes the key that signs, and the public halves of those that only verify.
    ///
    /// # Errors
    /// When one of them cannot be used for verifying.
    pub fn new(active: SigningKey, others: &[Value]) -> Result<Self, AuthnError> {
        let own = active.public();
        let others = others.iter().filter(|key| key.get("kid") != own.get("kid"));
        let keys: Vec<&Value> = std::iter::once(&own).chain(others).collect();
        let published = json!({ "keys": keys }).to_string();
        let verifying = KeySet::parse(published.as_bytes()).map_err(|_| unusable("the keys make no key set"))?;
        match verifying.skipped().first() {
            Some((_, reason)) => Err(unusable(reason)),
            None => Ok(Self { active, verifying, published }),
        }
    }

    /// The key that signs.
    pub const fn active(&self) -> &SigningKey {
        &self.active
    }

    /// The public halves of all of them as a JWKS document.
    pub fn published(&self) -> &str {
        &self.published
    }
}

#[cfg(test)]
mod tests {
    use policy_core::value::Millis;

    use super::super::rules::{TokenRules, verify};
    use super::*;

    #[test]
    fn both_kinds_sign_what_the_ring_verifies() {
        for algorithm in [Algorithm::EdDsa, Algorithm::Es256] {
            let (old, new) = (SigningKey::generate(algorithm).unwrap(), SigningKey::generate(algorithm).unwrap());
            let claims = json!({"iss": "i", "aud": "a", "sub": "u-1", "iat": 100, "exp": 160});
            let (by_old, by_new) = (old.sign("at+jwt", &claims), new.sign("at+jwt", &claims));
            let again = SigningKey::from_secret(algorithm, &old.secret()).unwrap();
            assert_eq!(again.sign("at+jwt", &claims).expose(), by_old.expose(), "signatures are deterministic");
            let both = KeyRing::new(new.clone(), &[old.public()]).unwrap();
            let rules = TokenRules::new("i", "a");
            for token in [&by_old, &by_new] {
                verify(token.expose(), &rules, &both.verifying, Millis(100_000)).unwrap();
            }
            let alone = KeyRing::new(new, &[]).unwrap();
            let gone = verify(by_old.expose(), &rules, &alone.verifying, Millis(100_000)).unwrap_err();
            assert_eq!(gone.code(), AuthnCode::TokenKey, "a retired key verifies nothing");
            let secret = URL_SAFE_NO_PAD.encode(old.secret().expose());
            assert!(!both.published().contains(&secret) && !both.published().contains("\"d\""));
            assert!(!format!("{old:?}").contains(&secret));
        }
        assert!(SigningKey::from_secret(Algorithm::Es256, &Secret::new([0; 32])).is_err(), "zero is no scalar");
    }
}
