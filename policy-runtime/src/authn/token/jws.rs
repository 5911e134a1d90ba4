//! A signed token in its compact form, taken apart and not yet believed.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
#[cfg(feature = "signin")]
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::authn::{AuthnCode, AuthnError};
use crate::json::Json;

/// An algorithm of signatures that this library verifies.
///
/// ```
/// use policy_runtime::authn::token::Algorithm;
/// assert_eq!(Algorithm::parse("ES256"), Some(Algorithm::Es256));
/// assert_eq!(Algorithm::parse("none"), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// `RSASSA-PKCS1-v1_5` with SHA-256.
    Rs256,
    /// `RSASSA-PKCS1-v1_5` with SHA-384.
    Rs384,
    /// `RSASSA-PKCS1-v1_5` with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// `EdDSA` on Ed25519; RFC 9864 calls it `Ed25519`.
    EdDsa,
    /// HMAC with SHA-256, for configurations with a shared secret.
    Hs256,
}

impl Algorithm {
    /// The algorithms of RSA keys.
    pub const RSA: [Self; 6] = [Self::Rs256, Self::Rs384, Self::Rs512, Self::Ps256, Self::Ps384, Self::Ps512];
    /// All algorithms with a public key.
    pub const ASYMMETRIC: [Self; 9] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// Reads the name that a header or a key gives; `none` and all unknown names are no algorithm.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "EdDSA" | "Ed25519" => Self::EdDsa,
            "HS256" => Self::Hs256,
            _ => return None,
        })
    }

    /// The name in headers and keys.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
            Self::Hs256 => "HS256",
        }
    }

    /// The left half of a text's hash, by which an ID token names what was given with it (OpenID Connect Core, section
    /// 3.1.3.6); Ed25519 hashes with SHA-512.
    #[cfg(feature = "signin")]
    pub(crate) fn half_hash(self, text: &str) -> String {
        let hash = match self {
            Self::Rs256 | Self::Ps256 | Self::Es256 | Self::Hs256 => Sha256::digest(text.as_bytes()).to_vec(),
            Self::Rs384 | Self::Ps384 | Self::Es384 => Sha384::digest(text.as_bytes()).to_vec(),
            Self::Rs512 | Self::Ps512 | Self::EdDsa => Sha512::digest(text.as_bytes()).to_vec(),
        };
        URL_SAFE_NO_PAD.encode(hash.get(..hash.len() / 2).unwrap_or_default())
    }

    pub(super) const fn library(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::Rs384 => jsonwebtoken::Algorithm::RS384,
            Self::Rs512 => jsonwebtoken::Algorithm::RS512,
            Self::Ps256 => jsonwebtoken::Algorithm::PS256,
            Self::Ps384 => jsonwebtoken::Algorithm::PS384,
            Self::Ps512 => jsonwebtoken::Algorithm::PS512,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::Es384 => jsonwebtoken::Algorithm::ES384,
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
            Self::Hs256 => jsonwebtoken::Algorithm::HS256,
        }
    }
}

/// A token whose form is right; its signature was not looked at.
#[derive(Debug)]
pub(super) struct Unverified<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    pub(super) typ: Option<String>,
    pub(super) claims: Arc<Json>,
    pub(super) signed: &'a [u8],
    pub(super) signature: Vec<u8>,
}

/// Whether a bearer credential has the outer form of a signed token, good or bad.
pub(super) fn looks_signed(token: &str) -> bool {
    token.split('.').count() == 3 && token.starts_with("ey")
}

fn malformed(detail: &'static str) -> AuthnError {
    AuthnError::new(AuthnCode::TokenMalformed, detail)
}

impl<'a> Unverified<'a> {
    /// Takes a token apart.
    pub(super) fn parse(token: &'a str, max_bytes: usize) -> Result<Self, AuthnError> {
        if token.len() > max_bytes {
            return Err(AuthnError::new(AuthnCode::TokenTooLong, "the token is longer than allowed"));
        }
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed("the token does not have three parts"));
        };
        if header.is_empty() || payload.is_empty() || signature.is_empty() {
            return Err(malformed("a part of the token is empty"));
        }
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed("a part is not base64url"));
        let signed = token.as_bytes().get(..header.len() + 1 + payload.len()).unwrap_or_default();
        let json = |part: &str| {
            let value = Json::parse(&decode(part)?)
                .map_err(|error| AuthnError::new(AuthnCode::TokenMalformed, error.to_string()))?;
            if matches!(value, Json::Object(_)) { Ok(value) } else { Err(malformed("a part is not a JSON object")) }
        };
        let header = json(header)?;
        let (algorithm, kid, typ) = read_header(&header)?;
        Ok(Self { algorithm, kid, typ, claims: Arc::new(json(payload)?), signed, signature: decode(signature)? })
    }
}

fn read_header(header: &Json) -> Result<(Algorithm, Option<String>, Option<String>), AuthnError> {
    // RFC 7515, section 4.1.11: whoever does not understand what `crit` names must refuse; we understand none. A token
    // that says something about its encoding (`b64`, `zip`, `enc`) is none of those that are read here.
    for name in ["crit", "b64", "zip", "enc"] {
        if header.get(name).is_some() {
            return Err(malformed("the header asks for an extension"));
        }
    }
    let text = |name: &str, problem| match header.get(name) {
        None => Ok(None),
        Some(Json::Text(text)) => Ok(Some(text.clone())),
        Some(Json::Null | Json::Bool(_) | Json::Number(_) | Json::List(_) | Json::Object(_)) => Err(malformed(problem)),
    };
    let name = text("alg", "`alg` is not text")?.ok_or_else(|| malformed("`alg` is missing"))?;
    let algorithm = Algorithm::parse(&name)
        .ok_or_else(|| AuthnError::new(AuthnCode::TokenAlgorithm, "the algorithm is none that is verified here"))?;
    let kid = text("kid", "`kid` is not text")?;
    let typ = text("typ", "`typ` is not text")?;
    if text("cty", "`cty` is not text")?.is_some_and(|cty| cty.to_ascii_lowercase().contains("jwt")) {
        return Err(AuthnError::new(AuthnCode::TokenKind, "the token holds another token"));
    }
    Ok((algorithm, kid, typ))
}
