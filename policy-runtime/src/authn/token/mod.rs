//! Bearer tokens: verified offline against the keys of their issuer.
//!
//! In: a token, [`TokenRules`], the issuer's [`KeySet`] or a [`SharedSecret`], and the time. Out: a [`VerifiedToken`], and
//! through a [`ClaimMapping`] a participant. The library below checks signatures and nothing else; form, kind, algorithm,
//! key, issuer, audience, times and subject are checked here.
//!
//! ```text
//! token ─► form (jws, json) ─► header ─► key (keys, jwks) ─► signature ─► claims (rules) ─► attributes (mapping)
//! ```

#[cfg(feature = "users")]
mod configured;
mod fetch;
#[cfg(feature = "issue")]
mod issuer;
mod jwks;
mod jws;
mod keys;
mod mapping;
mod path;
mod presets;
#[cfg(feature = "users")]
mod provision;
#[cfg(feature = "signin")]
mod relying;
mod rules;
#[cfg(feature = "issue")]
mod signing;
mod source;

pub use crate::json::{Json, JsonError};
#[cfg(feature = "users")]
pub use configured::{ProviderFault, is_for_browsers_alone, issuer_of, keys_of, mapping_of, rules_of, token_sources};
#[cfg(feature = "pull")]
pub(crate) use fetch::{Errand, may_be_asked};
pub use fetch::{FetchError, Fetcher, Reach};
#[cfg(feature = "issue")]
pub use issuer::{ACCESS_TOKEN_S, GivenOut, Issuer, LONGEST_TOKEN_S, TICKET_S};
pub use jwks::{JwksError, JwksTimes, RemoteKeys};
pub use jws::Algorithm;
pub use keys::{KeySet, KeySetError, MAX_KEY_SET, MAX_KEYS, SharedSecret};
pub use mapping::{ClaimKind, ClaimMapping, Mapped, MappingError, OnMismatch};
pub use path::ClaimPath;
pub use presets::{KeyPlace, PRESETS, Preset};
#[cfg(feature = "signin")]
pub(crate) use provision::DISABLED;
#[cfg(feature = "users")]
pub use provision::{Provisioned, Provisioning};
#[cfg(feature = "signin")]
pub(crate) use relying::name_in_addresses;
#[cfg(feature = "signin")]
pub use relying::{Answer, LoginProvider, Offered, Question, login_providers};
pub use rules::{
    IssuerRule, MAX_TOKEN, MachineRule, Subject, SubjectClaim, TokenRules, VerifiedToken, verify, verify_shared,
};
#[cfg(feature = "issue")]
pub use signing::{KeyRing, SigningKey};
pub use source::{DryRun, KeySource, ParticipantIds, TokenAuthenticator, TokenCheck, TokenSource, TokenUsers};
