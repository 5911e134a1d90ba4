//! Keys of an issuer elsewhere: found by discovery, kept, asked for again when one is missing, and served while the issuer
//! is down.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Mutex as Turn;
use tokio::task::JoinHandle;

use super::fetch::{FetchError, Fetcher, Reach, deadline};
use super::keys::{KeySet, KeySetError, MAX_KEY_SET};
use super::source::KeySource;
use crate::authn::{AuthnCode, AuthnError, BoxFuture};
use crate::clock::Clock;
use crate::json::Json;

/// Why an issuer's keys were not had.
///
/// ```
/// use policy_runtime::authn::token::JwksError;
/// assert_eq!(JwksError::NoKeys.to_string(), "the issuer has no key that can be used");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwksError {
    /// A document was not had.
    #[error("a document of the issuer was not had: {0}")]
    Fetch(#[from] FetchError),
    /// The metadata are not JSON, or lack `jwks_uri`.
    #[error("the issuer's metadata cannot be read")]
    Metadata,
    /// The metadata name another issuer.
    #[error("the metadata are those of another issuer")]
    OtherIssuer,
    /// The keys cannot be read.
    #[error("the issuer's keys cannot be read: {0}")]
    Keys(#[from] KeySetError),
    /// There is no key that can be used.
    #[error("the issuer has no key that can be used")]
    NoKeys,
}

/// How keys are kept; the defaults are for production.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use policy_runtime::authn::token::{Fetcher, JwksTimes, MAX_KEY_SET, Reach, RemoteKeys};
/// use policy_runtime::clock::SystemClock;
///
/// let mut times = JwksTimes::default();
/// times.refresh = Duration::from_mins(5);
/// let clock = Arc::new(SystemClock);
/// assert!(RemoteKeys::discover_with("https://idp.example", Reach::Public, clock.clone(), times).is_ok());
/// assert!(RemoteKeys::at_with("http://127.0.0.1:9/jwks", Reach::Loopback, clock.clone(), times).is_ok());
///
/// // An issuer inside a company, whose certificate the company's own authority has signed.
/// # let pem = include_str!("../../client/tests/tls/ca.pem");
/// let fetcher = Fetcher::trusting(Reach::Private, MAX_KEY_SET, pem).unwrap();
/// RemoteKeys::discover_by("https://idp.intranet", fetcher.clone(), clock.clone(), times);
/// RemoteKeys::at_by("https://idp.intranet/keys", fetcher, clock, times);
/// ```
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct JwksTimes {
    /// One deadline for discovery and keys together.
    pub deadline: Duration,
    /// After how long keys are asked for again.
    pub refresh: Duration,
    /// How long nobody asks again for a key that the issuer did not have, or after a failure.
    pub cool_down: Duration,
    /// How long keys are served while the issuer is down.
    pub stale: Duration,
}

impl Default for JwksTimes {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(5),
            refresh: Duration::from_mins(10),
            cool_down: Duration::from_secs(30),
            stale: Duration::from_hours(24),
        }
    }
}

/// The keys of an issuer, over HTTP.
///
/// One request at a time asks the issuer, the others wait for its answer. A token with an unknown key id causes at most one
/// question per cool-down. Keys older than the refresh time are renewed while they are served; older than twice that, a
/// request waits for the renewal, and is served the old keys only if that fails.
///
/// ```
/// use std::sync::Arc;
/// use policy_runtime::authn::token::RemoteKeys;
/// use policy_runtime::clock::SystemClock;
/// let keys = RemoteKeys::discover("https://accounts.google.com", Arc::new(SystemClock)).unwrap();
/// assert_eq!(keys.questions(), 0, "nothing is asked before a token comes");
/// ```
#[derive(Debug)]
pub struct RemoteKeys {
    place: Place,
    fetcher: Fetcher,
    clock: Arc<dyn Clock>,
    times: JwksTimes,
    state: Mutex<State>,
    turn: Turn<()>,
    questions: AtomicU64,
    own: Weak<Self>,
}

#[derive(Debug)]
enum Place {
    /// The issuer, whose metadata name the keys.
    Issuer(String),
    /// The keys themselves.
    Keys(String),
}

#[derive(Debug, Default)]
struct State {
    keys: Option<Arc<KeySet>>,
    fetched: Option<Duration>,
    /// When the issuer was last asked without getting what was needed.
    in_vain: Option<Duration>,
    attempts: u64,
    renewing: bool,
}

impl RemoteKeys {
    /// Finds the keys by OpenID Connect Discovery. The issuer's text is exact; if it stands on loopback, so may its keys.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn discover(issuer: &str, clock: Arc<dyn Clock>) -> Result<Arc<Self>, FetchError> {
        Self::discover_with(issuer, Reach::of(issuer), clock, JwksTimes::default())
    }

    /// Takes the keys from a URL.
    ///
    /// # Errors
    /// As [`RemoteKeys::discover`].
    pub fn at(jwks_uri: &str, clock: Arc<dyn Clock>) -> Result<Arc<Self>, FetchError> {
        Self::at_with(jwks_uri, Reach::of(jwks_uri), clock, JwksTimes::default())
    }

    /// As [`RemoteKeys::discover`], saying how far to reach and how long to keep.
    ///
    /// # Errors
    /// As [`RemoteKeys::discover`].
    pub fn discover_with(
        issuer: &str,
        reach: Reach,
        clock: Arc<dyn Clock>,
        times: JwksTimes,
    ) -> Result<Arc<Self>, FetchError> {
        Ok(Self::discover_by(issuer, Fetcher::new(reach, MAX_KEY_SET)?, clock, times))
    }

    /// As [`RemoteKeys::at`], saying how far to reach and how long to keep.
    ///
    /// # Errors
    /// As [`RemoteKeys::discover`].
    pub fn at_with(
        jwks_uri: &str,
        reach: Reach,
        clock: Arc<dyn Clock>,
        times: JwksTimes,
    ) -> Result<Arc<Self>, FetchError> {
        Ok(Self::at_by(jwks_uri, Fetcher::new(reach, MAX_KEY_SET)?, clock, times))
    }

    /// As [`RemoteKeys::discover`], by a fetcher that says whom it trusts.
    pub fn discover_by(issuer: &str, fetcher: Fetcher, clock: Arc<dyn Clock>, times: JwksTimes) -> Arc<Self> {
        Self::with(Place::Issuer(issuer.to_owned()), fetcher, clock, times)
    }

    /// As [`RemoteKeys::at`], by a fetcher that says whom it trusts.
    pub fn at_by(jwks_uri: &str, fetcher: Fetcher, clock: Arc<dyn Clock>, times: JwksTimes) -> Arc<Self> {
        Self::with(Place::Keys(jwks_uri.to_owned()), fetcher, clock, times)
    }

    fn with(place: Place, fetcher: Fetcher, clock: Arc<dyn Clock>, times: JwksTimes) -> Arc<Self> {
        Arc::new_cyclic(|own| Self {
            place,
            fetcher,
            clock,
            times,
            state: Mutex::default(),
            turn: Turn::default(),
            questions: AtomicU64::new(0),
            own: own.clone(),
        })
    }

    /// How often the issuer was asked.
    pub fn questions(&self) -> u64 {
        self.questions.load(Ordering::Relaxed)
    }

    /// Asks the issuer now, whatever is kept: for a look at a configuration.
    ///
    /// # Errors
    /// When its keys cannot be had.
    pub async fn ask(&self) -> Result<KeySet, JwksError> {
        self.questions.fetch_add(1, Ordering::Relaxed);
        let until = deadline(self.times.deadline);
        let jwks_uri = match &self.place {
            Place::Keys(uri) => uri.clone(),
            Place::Issuer(issuer) => {
                let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
                let metadata = Json::parse(&self.fetcher.get(&url, until).await?).map_err(|_| JwksError::Metadata)?;
                if metadata.get("issuer").and_then(Json::as_text) != Some(issuer) {
                    return Err(JwksError::OtherIssuer);
                }
                metadata.get("jwks_uri").and_then(Json::as_text).ok_or(JwksError::Metadata)?.to_owned()
            }
        };
        let keys = KeySet::parse(&self.fetcher.get(&jwks_uri, until).await?)?;
        if keys.is_empty() { Err(JwksError::NoKeys) } else { Ok(keys) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn plan(&self, kid: Option<&str>) -> Plan {
        let now = self.clock.steady();
        let since = |at: Option<Duration>| at.map_or(Duration::MAX, |at| now.saturating_sub(at));
        let mut state = self.state();
        let age = since(state.fetched);
        if age > self.times.stale {
            state.keys = None;
        }
        let attempts = state.attempts;
        let rested = since(state.in_vain);
        let Some(keys) = state.keys.clone() else {
            // Nobody can sign in meanwhile, so the issuer is asked sooner.
            let cool = rested >= self.times.cool_down / 6;
            return if cool { Plan::Wait(attempts) } else { Plan::Nothing };
        };
        let cool = rested >= self.times.cool_down;
        if cool && (!keys.knows(kid) || age >= self.times.refresh.saturating_mul(2)) {
            return Plan::Wait(attempts);
        }
        if cool && age >= self.times.refresh && !state.renewing {
            state.renewing = true;
            return Plan::ServeAndRenew(keys, attempts);
        }
        Plan::Serve(keys)
    }

    /// Asks the issuer on a task of its own, which does not end when the peer that caused it hangs up.
    fn renew_aside(&self, attempts: u64, kid: Option<&str>) -> Option<JoinHandle<()>> {
        let own = self.own.upgrade()?;
        let kid = kid.map(str::to_owned);
        Some(tokio::spawn(async move { own.renew(attempts, kid.as_deref()).await }))
    }

    /// Asks the issuer, unless somebody else did so since `attempts` was read.
    async fn renew(&self, attempts: u64, kid: Option<&str>) {
        let _turn = self.turn.lock().await;
        if self.state().attempts != attempts {
            return;
        }
        let answer = self.ask().await;
        let now = Some(self.clock.steady());
        let mut state = self.state();
        state.attempts += 1;
        state.renewing = false;
        match answer {
            Ok(keys) => {
                // A question that found the key was a good one: the next rotation may come at once.
                state.in_vain = if keys.knows(kid) { None } else { now };
                state.keys = Some(Arc::new(keys));
                state.fetched = now;
            }
            Err(error) => {
                state.in_vain = now;
                drop(state);
                tracing::warn!(place = ?self.place, %error, "the keys of an issuer could not be renewed");
            }
        }
    }
}

enum Plan {
    Serve(Arc<KeySet>),
    /// Serve these, and ask the issuer aside.
    ServeAndRenew(Arc<KeySet>, u64),
    /// Ask the issuer first, if nobody did since.
    Wait(u64),
    /// There are no keys, and it is too early to ask again.
    Nothing,
}

impl KeySource for RemoteKeys {
    fn keys<'a>(&'a self, kid: Option<&'a str>) -> BoxFuture<'a, Result<Arc<KeySet>, AuthnError>> {
        Box::pin(async move {
            let unavailable = || AuthnError::new(AuthnCode::Unavailable, "the issuer's keys cannot be had");
            match self.plan(kid) {
                Plan::Serve(keys) => Ok(keys),
                Plan::ServeAndRenew(keys, attempts) => {
                    drop(self.renew_aside(attempts, None));
                    Ok(keys)
                }
                Plan::Nothing => Err(unavailable()),
                Plan::Wait(attempts) => {
                    if let Some(renewal) = self.renew_aside(attempts, kid) {
                        // It ends at the deadline; had it panicked, what is kept is looked at all the same.
                        let _ = renewal.await;
                    }
                    self.state().keys.clone().ok_or_else(unavailable)
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::clock::FixedClock;

    const KEY: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#;

    struct Stand {
        keys: Arc<RemoteKeys>,
        clock: FixedClock,
        down: Arc<AtomicBool>,
    }

    /// An issuer that publishes the key `k1`, until it is down.
    async fn stand() -> Stand {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/jwks", listener.local_addr().unwrap());
        let down = Arc::new(AtomicBool::new(false));
        let state = down.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let body = format!(r#"{{"keys":[{KEY},"kid":"k1"}}]}}"#);
                let status = if state.load(Ordering::SeqCst) { "500 Down" } else { "200 OK" };
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        let clock = FixedClock::at(1_000_000);
        let keys = RemoteKeys::at(&uri, Arc::new(clock.clone())).unwrap();
        Stand { keys, clock, down }
    }

    impl Stand {
        async fn asks(&self, kid: &str) -> (Result<bool, AuthnCode>, u64) {
            let found = self.keys.keys(Some(kid)).await;
            (found.map(|keys| keys.knows(Some(kid))).map_err(|error| error.code()), self.keys.questions())
        }
    }

    #[tokio::test]
    async fn keys_are_kept_and_unknown_ones_asked_for_once_in_a_while() {
        let stand = stand().await;
        assert_eq!(stand.asks("k1").await, (Ok(true), 1));
        assert_eq!(stand.asks("k1").await, (Ok(true), 1));
        assert_eq!(stand.asks("x").await, (Ok(false), 2));
        assert_eq!(stand.asks("y").await, (Ok(false), 2), "in the cool-down nobody asks");
        stand.clock.advance(30_000);
        assert_eq!(stand.asks("y").await, (Ok(false), 3));
    }

    #[tokio::test]
    async fn old_keys_are_renewed_aside_then_waited_for_then_gone() {
        let stand = stand().await;
        stand.asks("k1").await.0.unwrap();
        stand.clock.advance(11 * 60_000);
        stand.asks("k1").await.0.unwrap();
        for _ in 0..100 {
            if stand.keys.state().attempts == 2 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(stand.asks("k1").await, (Ok(true), 2), "renewed without a wait");
        stand.down.store(true, Ordering::SeqCst);
        stand.clock.advance(21 * 60_000);
        assert_eq!(stand.asks("k1").await, (Ok(true), 3), "asked first, then served stale");
        assert_eq!(stand.asks("k1").await, (Ok(true), 3));
        stand.clock.jump(-48 * 3_600_000);
        stand.clock.advance(24 * 3_600_000);
        assert_eq!(stand.asks("k1").await, (Err(AuthnCode::Unavailable), 4), "not for ever");
        assert_eq!(stand.asks("k1").await, (Err(AuthnCode::Unavailable), 4));
        stand.down.store(false, Ordering::SeqCst);
        stand.clock.advance(5_000);
        assert_eq!(stand.asks("k1").await, (Ok(true), 5));
    }
}
