//! Keys of machines.
//!
//! A key reads `pk_<id>_<secret><checksum>`: an id of 96 random bits by which it is found, a secret of 256 random bits of
//! which only a hash is stored, and six characters by which a scanner (and this authenticator) knows a key from a typing
//! error without asking anybody.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use data_encoding::HEXLOWER;
use policy_core::Scope;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{Authenticated, Authenticator, AuthnCode, AuthnError, BoxFuture, Off, Outcome};
use crate::clock::Clock;
use crate::credential::{Credential, Credentials};
use crate::id::random_id;
use crate::identity::{ApiKeyRecord, KeyStore};
use crate::secret::Secret;

/// What every key starts with.
pub const PREFIX: &str = "pk_";
const ID: usize = 24;
const SECRET: usize = 64;
const CHECKSUM: usize = 6;

/// Makes a key and the record of it; the key is shown once and nowhere kept.
///
/// ```
/// use policy_core::Scope;
/// use policy_runtime::authn::api_key::generate;
/// let (key, record) = generate(Scope::organization("acme").unwrap()).unwrap();
/// assert!(key.expose().starts_with("pk_"));
/// assert!(!format!("{record:?}").contains(key.expose()));
/// ```
///
/// # Errors
/// When the system gives no random numbers.
pub fn generate(scope: Scope) -> Result<(Secret<String>, ApiKeyRecord), AuthnError> {
    let (mut id, mut secret) = ([0_u8; ID / 2], [0_u8; SECRET / 2]);
    getrandom::fill(&mut id)
        .and_then(|()| getrandom::fill(&mut secret))
        .map_err(|_| AuthnError::new(AuthnCode::Unavailable, "the system gives no random numbers"))?;
    let (id, secret) = (HEXLOWER.encode(&id), HEXLOWER.encode(&secret));
    let body = format!("{PREFIX}{id}_{secret}");
    let key = format!("{body}{}", checksum(&body));
    let record = ApiKeyRecord::new(id, digest(&key), scope, format!("k_{}", random_id()?));
    Ok((Secret::new(key), record))
}

fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

fn checksum(body: &str) -> String {
    let digest = Sha256::digest(format!("policy api key checksum:{body}").as_bytes());
    URL_SAFE_NO_PAD.encode(digest).chars().filter(char::is_ascii_alphanumeric).take(CHECKSUM).collect()
}

/// The id of a text that has the form of a key and whose checksum is right.
fn id_of(text: &str) -> Option<&str> {
    let (id, rest) = text.strip_prefix(PREFIX)?.split_once('_')?;
    let lower_hex = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let (secret, sum) = rest.split_at_checked(SECRET)?;
    let body = text.strip_suffix(sum)?;
    (id.len() == ID && lower_hex(id) && lower_hex(secret) && sum.len() == CHECKSUM && checksum(body) == sum)
        .then_some(id)
}

/// Signs machines in by API key, sent as `X-Api-Key` or as a bearer token.
///
/// ```
/// use std::sync::Arc;
/// use policy_runtime::authn::Chain;
/// use policy_runtime::authn::api_key::ApiKeyAuthenticator;
/// use policy_runtime::clock::SystemClock;
/// use policy_runtime::identity::MemoryStore;
///
/// let keys = Arc::new(MemoryStore::default());
/// let chain = Chain::builder().with(ApiKeyAuthenticator::new(keys, Arc::new(SystemClock))).build();
/// ```
#[derive(Debug)]
pub struct ApiKeyAuthenticator {
    keys: Arc<dyn KeyStore>,
    clock: Arc<dyn Clock>,
    off: Off,
}

impl ApiKeyAuthenticator {
    /// Makes an authenticator over a store.
    pub fn new(keys: Arc<dyn KeyStore>, clock: Arc<dyn Clock>) -> Self {
        Self { keys, clock, off: Off::default() }
    }

    async fn check(&self, text: &str) -> Result<Authenticated, AuthnError> {
        let wrong = |detail| AuthnError::new(AuthnCode::WrongCredentials, detail);
        let Some(id) = id_of(text) else { return Err(wrong("the key is mistyped")) };
        let unavailable =
            |error: crate::identity::StoreError| AuthnError::new(AuthnCode::Unavailable, error.to_string());
        let record = self.keys.key(id).await.map_err(unavailable)?;
        // The same comparison for an unknown key.
        let stored = record.as_ref().map_or([0; 32], |record| record.hash);
        let fits = bool::from(stored.ct_eq(&digest(text)));
        let Some(record) = record else { return Err(wrong("there is no such key")) };
        let refused = |detail| Err(wrong(detail).concerning(&record.participant, &record.scope));
        if !fits {
            return refused("the key's secret is wrong");
        }
        let now = self.clock.now();
        if !record.enabled {
            return refused("the key is disabled");
        }
        if record.expires_at.is_some_and(|end| end <= now) {
            return refused("the key has ended");
        }
        self.off.check(&record.scope)?;
        if let Err(error) = self.keys.used(id, now).await {
            // When it was last used is for people to read; the sign-in does not hang on it.
            tracing::warn!(key = id, %error, "the use of a key could not be noted");
        }
        let found = Authenticated::new(record.participant(), "api-key").epoch(record.epoch);
        Ok(match record.expires_at {
            Some(end) => found.expires_at(end),
            None => found,
        })
    }
}

impl Authenticator for ApiKeyAuthenticator {
    fn method(&self) -> &'static str {
        "api-key"
    }

    fn authenticate<'a>(&'a self, credential: &'a Credential, _: &'a Credentials) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let text = match credential {
                Credential::ApiKey(key) => key.expose(),
                Credential::Bearer(token) if token.expose().starts_with(PREFIX) => token.expose(),
                Credential::Bearer(_)
                | Credential::Login { .. }
                | Credential::Session(_)
                | Credential::Custom { .. } => {
                    return Outcome::NotPresented;
                }
            };
            match self.check(text).await {
                Ok(found) => Outcome::Authenticated(Box::new(found)),
                Err(error) => Outcome::Rejected(error),
            }
        })
    }

    fn off_in(&self, scopes: &BTreeSet<Scope>) {
        self.off.learn(scopes);
    }
}

#[cfg(test)]
mod tests {
    use policy_core::value::{Millis, Value};

    use super::*;
    use crate::authn::Chain;
    use crate::clock::FixedClock;
    use crate::identity::MemoryStore;

    async fn present(chain: &Chain, credential: Credential) -> Result<Authenticated, AuthnError> {
        match chain.authenticate(&Credentials::of(credential)).await {
            Outcome::Authenticated(found) => Ok(*found),
            Outcome::Rejected(error) => Err(error),
            Outcome::NotPresented => panic!("nothing was presented"),
        }
    }

    fn fixture() -> (Arc<MemoryStore>, FixedClock, Chain, Secret<String>, String) {
        let store = Arc::new(MemoryStore::default());
        store.create_organization("acme").unwrap();
        let clock = FixedClock::at(1_000);
        let (key, mut record) = generate(Scope::organization("acme").unwrap()).unwrap();
        record.roles.insert("importer".into());
        record.attributes.push(("region".into(), Value::text("eu")));
        record.expires_at = Some(Millis(5_000));
        let id = record.id.clone();
        store.insert_key(record).unwrap();
        let chain = Chain::builder().with(ApiKeyAuthenticator::new(store.clone(), Arc::new(clock.clone()))).build();
        (store, clock, chain, key, id)
    }

    #[tokio::test]
    async fn a_key_proves_its_own_participant() {
        let (store, _, chain, key, id) = fixture();
        for credential in [Credential::ApiKey(key.clone()), Credential::Bearer(key.clone())] {
            let found = present(&chain, credential).await.unwrap();
            assert_eq!((found.participant().auth_type(), found.expiry()), ("api-key", Some(Millis(5_000))));
            assert_eq!(found.participant().roles(), ["importer".into()]);
            assert_eq!(found.participant().attributes(), [("region".into(), Value::text("eu"))]);
        }
        assert_eq!(store.key(&id).await.unwrap().unwrap().last_used, Some(Millis(1_000)));
    }

    #[tokio::test]
    async fn wrong_ended_and_disabled_keys_have_one_answer() {
        let (store, clock, chain, key, id) = fixture();
        let refuse = async |text: String| {
            let error = present(&chain, Credential::ApiKey(Secret::new(text))).await.unwrap_err();
            assert_eq!((error.code(), error.answer().status), (AuthnCode::WrongCredentials, 401));
            error.detail().to_owned()
        };
        let text = key.expose().clone();
        let (other, _) = generate(Scope::organization("acme").unwrap()).unwrap();
        assert_eq!(refuse(other.expose().clone()).await, "there is no such key");
        assert_eq!(refuse(format!("{text}x")).await, "the key is mistyped");
        assert_eq!(refuse("pk_".into()).await, "the key is mistyped");
        assert_eq!(refuse(String::new()).await, "the key is mistyped");
        let forged = format!("{PREFIX}{id}_{}", "0".repeat(SECRET));
        assert_eq!(refuse(format!("{forged}{}", checksum(&forged))).await, "the key's secret is wrong");
        store.update_key(&id, |record| record.enabled = false).unwrap();
        assert_eq!(refuse(text.clone()).await, "the key is disabled");
        store.update_key(&id, |record| record.enabled = true).unwrap();
        store.suspend_organization("acme", true).unwrap();
        assert_eq!(refuse(text.clone()).await, "the key is disabled");
        store.suspend_organization("acme", false).unwrap();
        clock.advance(4_000);
        assert_eq!(refuse(text).await, "the key has ended");
    }

    proptest::proptest! {
        #[test]
        fn reading_never_panics(text in "(pk_)?[0-9a-f]{20,26}_?[0-9a-zé]{60,80}|.{0,30}") {
            let _ = id_of(&text);
        }
    }
}
