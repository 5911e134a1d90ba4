//! Who may open a connection, and how a refusal is told.
//!
//! In: what a peer presented. Out: [`Admission`]. Absent: how credentials are checked.
//!
//! The npm client takes a 401 on the upgrade for a network failure and tries again and again; only an ERROR in answer to
//! CONNECT makes its `connect()` fail at once. After an ERROR it never reconnects, though, so a client whose token has merely
//! run out must get the 401: it then asks its token function again. An upgrade does not say whether it is a first one. What
//! does: a connection with a bearer token *was lost* (ended without DISCONNECT) at that address a short while ago, for the
//! same subject where the token names one, and has not come back. Such a reconnect is *owed*; a refused upgrade that has
//! an owed reconnect is answered with the status, any other with ERROR.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::time::Instant;

use crate::authn::{Answer, Authenticated, AuthnCode, AuthnError};
use crate::credential::{Credential, Credentials};
use crate::service::CallError;

/// How a refused upgrade is told.
///
/// ```
/// use policy_runtime::gateway::Refusals;
/// assert_eq!(Refusals::default(), Refusals::Adaptive);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Refusals {
    /// By ERROR in answer to CONNECT, unless a client is coming back after a loss and what is wrong may pass (an expired
    /// token, a busy server): then by the HTTP status.
    #[default]
    Adaptive,
    /// Always by ERROR in answer to CONNECT.
    AtConnect,
    /// Always by the HTTP status, 401 above all.
    Status,
}

/// What an upgrade came to.
#[derive(Debug)]
pub(super) enum Admission {
    /// Credentials were presented and are good.
    Authenticated(Box<Authenticated>),
    /// None were presented; CONNECT may bring them.
    Unknown,
    /// The refusal is told when CONNECT comes.
    RefusedAtConnect(CallError),
    /// The refusal is told now.
    RefusedNow(Answer),
}

/// A reconnect that is expected: from where, and of whom if the token says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Returning {
    address: IpAddr,
    subject: Option<String>,
}

impl Returning {
    /// What a connection that is opened with these credentials would come back as; `None` if it never does with another one.
    pub(super) fn of(credentials: &Credentials, address: IpAddr) -> Option<Self> {
        let token = credentials.presented().iter().find_map(|credential| {
            let Credential::Bearer(token) = credential else { return None };
            Some(token.expose())
        })?;
        Some(Self { address, subject: subject(token) })
    }
}

/// Issuer and subject as a token claims them. They tell returning clients apart and are believed for nothing else.
fn subject(token: &str) -> Option<String> {
    let payload = token.split('.').nth(1)?;
    let claims: serde_json::Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    let claim = |name: &str| claims.get(name).and_then(serde_json::Value::as_str);
    Some(format!("{} {}", claim("iss").unwrap_or_default(), claim("sub")?))
}

/// How long a lost connection is expected back: the client's longest pause is 120 s and 5 s of jitter, twice.
const WINDOW: Duration = Duration::from_secs(250);
/// How many lost connections are remembered; beyond it the oldest are forgotten.
const REMEMBERED: usize = 10_000;

/// The reconnects that are owed.
#[derive(Debug, Default)]
pub(super) struct Owed(Mutex<HashMap<Returning, Vec<Instant>>>);

impl Owed {
    fn with<T>(&self, now: Instant, work: impl FnOnce(&mut HashMap<Returning, Vec<Instant>>) -> T) -> T {
        let mut owed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if owed.len() >= REMEMBERED {
            owed.retain(|_, lost| lost.last().is_some_and(|at| now.duration_since(*at) < WINDOW));
            if owed.len() >= REMEMBERED {
                owed.clear();
            }
        }
        work(&mut owed)
    }

    /// A connection was lost.
    pub(super) fn lost(&self, who: Returning, now: Instant) {
        self.with(now, |owed| {
            let lost = owed.entry(who).or_default();
            lost.retain(|at| now.duration_since(*at) < WINDOW);
            if lost.len() < 1_000 {
                lost.push(now);
            }
        });
    }

    /// A connection was opened.
    pub(super) fn returned(&self, who: &Returning, now: Instant) {
        self.with(now, |owed| {
            if let Some(lost) = owed.get_mut(who) {
                lost.pop();
                if lost.is_empty() {
                    owed.remove(who);
                }
            }
        });
    }

    /// Whether a reconnect is expected.
    pub(super) fn expects(&self, who: &Returning, now: Instant) -> bool {
        self.with(now, |owed| owed.get(who).is_some_and(|lost| lost.iter().any(|at| now.duration_since(*at) < WINDOW)))
    }
}

/// Decides how a refusal is told.
pub(super) fn refuse(refusals: Refusals, error: &AuthnError, is_returning: bool) -> Admission {
    let answer = error.answer();
    let may_pass = matches!(
        error.code(),
        AuthnCode::TokenExpired
            | AuthnCode::TokenNotYetValid
            | AuthnCode::TokenReplayed
            | AuthnCode::TokenKey
            | AuthnCode::Unavailable
            | AuthnCode::Busy
            | AuthnCode::Throttled
    );
    match refusals {
        Refusals::Status => Admission::RefusedNow(answer),
        Refusals::Adaptive if is_returning && may_pass => Admission::RefusedNow(answer),
        Refusals::Adaptive | Refusals::AtConnect => Admission::RefusedAtConnect(told(&answer)),
    }
}

/// A refused sign-in in the words of the table of codes.
pub(super) fn told(answer: &Answer) -> CallError {
    let error = CallError::new(answer.code, answer.message.as_str());
    match answer.retry_after_s {
        Some(seconds) => error.with_retry_after(Duration::from_secs(seconds)),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn returning(token: &str, last: u8) -> Returning {
        let credentials = Credentials::of(Credential::Bearer(Secret::new(token.to_owned())));
        Returning::of(&credentials, [10, 0, 0, last].into()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_connection_is_owed_one_reconnect_for_a_while() {
        let owed = Owed::default();
        let alice = |payload: &str, last| returning(&format!("h.{}.s", URL_SAFE_NO_PAD.encode(payload)), last);
        let (first, second) = (alice(r#"{"sub":"alice","exp":1}"#, 1), alice(r#"{"sub":"alice","exp":2}"#, 1));
        let now = Instant::now();
        assert!(!owed.expects(&first, now));
        owed.lost(first, now);
        assert!(owed.expects(&second, now), "of the same subject with another token");
        assert!(!owed.expects(&alice(r#"{"sub":"bob"}"#, 1), now));
        assert!(!owed.expects(&alice(r#"{"sub":"alice"}"#, 2), now));
        assert!(!owed.expects(&second, now + WINDOW));
        owed.returned(&second, now);
        assert!(!owed.expects(&second, now));
    }

    #[test]
    fn refusals_are_told_so_that_the_client_does_the_right_thing() {
        let check = |refusals, code, is_returning, expect: &str| {
            let told = match refuse(refusals, &AuthnError::new(code, "x"), is_returning) {
                Admission::RefusedNow(answer) => answer.status.to_string(),
                Admission::RefusedAtConnect(error) => error.message().to_owned(),
                Admission::Authenticated(_) | Admission::Unknown => panic!(),
            };
            assert_eq!(told, expect, "{code}");
        };
        check(Refusals::Adaptive, AuthnCode::TokenExpired, false, "invalid credentials");
        check(Refusals::Adaptive, AuthnCode::TokenExpired, true, "401");
        check(Refusals::Adaptive, AuthnCode::Unavailable, true, "503");
        check(Refusals::Adaptive, AuthnCode::WrongCredentials, true, "invalid credentials");
        check(Refusals::AtConnect, AuthnCode::TokenExpired, true, "invalid credentials");
        check(Refusals::Status, AuthnCode::WrongCredentials, false, "401");
    }

    #[test]
    fn tokens_without_claims_are_told_apart_by_address() {
        assert_eq!(returning("tok.alice.1", 1), returning("tok.alice.2", 1));
        assert_ne!(returning("tok.alice.1", 1), returning("tok.alice.1", 2));
    }
}
