//! The chain of authenticators, and the rules that hold for every credential.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use policy_core::Scope;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;

use super::hook::{HookCounters, PostAuthentication, run_hook};
use super::{Authenticated, Authenticator, AuthnCode, AuthnError, Outcome};
use crate::audit::AuditError;
use crate::clock::Clock;
use crate::credential::{Credential, Credentials, Facts, RequestedScope};
use crate::events::{Actor, Event, EventKind, EventSink};

/// Asks one authenticator for each presented credential.
///
/// Every presented credential must be proved, and all must prove the same participant; a credential that nobody knows is
/// refused. The scope that the request names must be the participant's, System sign-in must be allowed by the listener,
/// and the method must be on in the scope.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use policy_runtime::authn::{AuthnCode, Chain, Outcome};
/// use policy_runtime::credential::{Credential, Credentials};
///
/// let chain = Chain::builder().build();
/// assert!(matches!(chain.authenticate(&Credentials::default()).await, Outcome::NotPresented));
/// let key = Credential::ApiKey("pk_1".to_owned().into());
/// assert!(matches!(chain.authenticate(&Credentials::of(key)).await, Outcome::Rejected(_)), "nobody knows it");
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Chain {
    authenticators: Arc<[Arc<dyn Authenticator>]>,
    methods: Arc<RwLock<BTreeMap<Scope, BTreeSet<String>>>>,
    /// Which providers scopes use; without it, whichever an authenticator has.
    used: Option<watch::Receiver<BTreeMap<Scope, BTreeSet<String>>>>,
    hook: Option<Arc<dyn PostAuthentication>>,
    counters: Arc<HookCounters>,
    events: Option<(Arc<dyn EventSink>, Arc<dyn Clock>)>,
}

/// By what somebody came in: methods, and the names of providers. It lets in for as long as all of them do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ways {
    pub(super) methods: BTreeSet<String>,
    pub(super) providers: BTreeSet<String>,
}

impl Ways {
    /// The same, and a method.
    #[cfg(feature = "signin")]
    pub(crate) fn and(mut self, method: &str) -> Self {
        self.methods.insert(method.to_owned());
        self
    }

    pub(crate) fn join(&mut self, other: &Self) {
        self.methods.extend(other.methods.iter().cloned());
        self.providers.extend(other.providers.iter().cloned());
    }
}

/// Collects the parts of a [`Chain`].
///
/// ```
/// use policy_core::Participant;
/// use policy_core::value::Value;
/// use policy_runtime::Scope;
/// use policy_runtime::authn::{BoxFuture, Chain, PostAuthentication, Rejection};
/// use policy_runtime::credential::Facts;
///
/// #[derive(Debug)]
/// struct NobodyElse;
///
/// impl PostAuthentication for NobodyElse {
///     fn check<'a>(&'a self, _: &'a Participant, _: &'a Facts) -> BoxFuture<'a, Result<Vec<(String, Value)>, Rejection>> {
///         Box::pin(async { Ok(Vec::new()) })
///     }
/// }
/// let chain = Chain::builder().methods(Scope::System, ["api-key"]).hook(NobodyElse).build();
/// assert_eq!(chain.hook_counters().refused(), 0);
/// ```
#[derive(Debug, Default)]
pub struct ChainBuilder {
    authenticators: Vec<Arc<dyn Authenticator>>,
    methods: BTreeMap<Scope, BTreeSet<String>>,
    used: Option<watch::Receiver<BTreeMap<Scope, BTreeSet<String>>>>,
    hook: Option<Arc<dyn PostAuthentication>>,
    events: Option<(Arc<dyn EventSink>, Arc<dyn Clock>)>,
}

impl ChainBuilder {
    /// Adds an authenticator; the first that recognises a credential decides about it.
    #[must_use]
    pub fn with(mut self, authenticator: impl Authenticator + 'static) -> Self {
        self.authenticators.push(Arc::new(authenticator));
        self
    }

    /// Says which methods are on in a scope; where nothing is said, all are.
    #[must_use]
    pub fn methods<'a>(mut self, scope: Scope, methods: impl IntoIterator<Item = &'a str>) -> Self {
        self.methods.insert(scope, methods.into_iter().map(str::to_owned).collect());
        self
    }

    /// Follows which providers scopes use: what one of them has opened ends when it is used no more.
    #[cfg(feature = "server")]
    #[must_use]
    pub(crate) fn using(mut self, used: watch::Receiver<BTreeMap<Scope, BTreeSet<String>>>) -> Self {
        self.used = Some(used);
        self
    }

    /// Sets the hook that runs after each successful authentication.
    #[must_use]
    pub fn hook(mut self, hook: impl PostAuthentication + 'static) -> Self {
        self.hook = Some(Arc::new(hook));
        self
    }

    /// Tells every sign-in and every failure.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use policy_runtime::authn::Chain;
    /// use policy_runtime::clock::SystemClock;
    /// use policy_runtime::events::MemoryEvents;
    /// let told = Arc::new(MemoryEvents::default());
    /// let chain = Chain::builder().events(told.clone(), Arc::new(SystemClock)).build();
    /// # drop(chain);
    /// ```
    #[must_use]
    pub fn events(mut self, sink: Arc<dyn EventSink>, clock: Arc<dyn Clock>) -> Self {
        self.events = Some((sink, clock));
        self
    }

    /// Finishes the chain.
    pub fn build(self) -> Chain {
        let chain = Chain {
            authenticators: self.authenticators.into(),
            methods: Arc::new(RwLock::new(self.methods)),
            used: self.used,
            hook: self.hook,
            counters: Arc::default(),
            events: self.events,
        };
        chain.tell_off(&chain.methods.read().unwrap_or_else(PoisonError::into_inner));
        chain
    }
}

impl Chain {
    /// Whether a hook decides about participants too.
    pub const fn has_hook(&self) -> bool {
        self.hook.is_some()
    }

    /// Starts an empty chain.
    pub fn builder() -> ChainBuilder {
        ChainBuilder::default()
    }

    /// How the hook has fared.
    pub fn hook_counters(&self) -> &HookCounters {
        &self.counters
    }

    /// Checks everything that was presented, then runs the hook.
    pub async fn authenticate(&self, request: &Credentials) -> Outcome {
        let started = Instant::now();
        let outcome = actor(None, None, request.facts()).scope(self.decide(request)).await;
        self.told(outcome, request, &presented(request), started).await
    }

    /// Lets in whoever is proved otherwise than by a credential of the request, under the same rules. Where nobody may come to
    /// the scope by the method, nothing is proved, and so nobody provisioned.
    #[cfg(feature = "signin")]
    pub(crate) async fn vouched(
        &self,
        (scope, method): (&Scope, &str),
        proved: impl Future<Output = Result<Authenticated, AuthnError>>,
        request: &Credentials,
    ) -> Outcome {
        let started = Instant::now();
        let outcome = actor(None, None, request.facts()).scope(async {
            self.admit_to(scope, method, request)?;
            let mut found = proved.await?;
            found.ways.methods.insert(found.method().to_owned());
            self.admit(&found, request)?;
            self.hooked(found, request).await
        });
        let outcome = outcome.await.unwrap_or_else(Outcome::Rejected);
        self.told(outcome, request, "provider", started).await
    }

    /// Tells what came of it.
    async fn told(&self, outcome: Outcome, request: &Credentials, method: &str, started: Instant) -> Outcome {
        let facts = request.facts();
        match &outcome {
            Outcome::NotPresented => outcome,
            // To come back with a cookie is not to sign in.
            Outcome::Authenticated(_) if is_return(request) => outcome,
            Outcome::Authenticated(found) => {
                let participant = found.participant();
                let actor = actor(Some(participant.id()), Some(participant.scope()), facts);
                let told = |clock: &dyn Clock| Event::new(EventKind::SignIn, clock.now(), actor, found.method());
                match self.tell(told, started).await {
                    Ok(()) => outcome,
                    Err(error) => AuthnError::new(AuthnCode::Unavailable, error.to_string()).into(),
                }
            }
            Outcome::Rejected(error) => {
                self.tell_failure(error, request, method, started).await;
                outcome
            }
        }
    }

    /// Refuses before the chain was asked, or instead of it, and tells it like any failure.
    ///
    /// ```
    /// use policy_runtime::authn::{AuthnError, Chain};
    /// use policy_runtime::credential::{CredentialError, Facts};
    /// async fn unreadable(chain: &Chain, error: CredentialError) -> AuthnError {
    ///     chain.refuse(error, &Facts::default()).await
    /// }
    /// ```
    pub async fn refuse(&self, error: impl Into<AuthnError>, facts: &Facts) -> AuthnError {
        let error = error.into();
        let request = Credentials::default().knowing(facts.clone());
        self.tell_failure(&error, &request, &presented(&request), Instant::now()).await;
        error
    }

    async fn tell_failure(&self, error: &AuthnError, request: &Credentials, method: &str, started: Instant) {
        let scope = match request.effective_scope() {
            RequestedScope::Exactly(scope) => Some(scope),
            RequestedScope::Application(_) | RequestedScope::Unnamed => None,
        };
        let kind = if error.code() == AuthnCode::Throttled { EventKind::Lockout } else { EventKind::SignInFailed };
        let told = |clock: &dyn Clock| {
            let actor = actor(None, scope.as_ref(), request.facts());
            let event = Event::new(kind, clock.now(), actor, method).failed(error.code().as_str());
            match error.concerns() {
                Some((user, scope)) => event.target(user).within(scope),
                None => event,
            }
        };
        // It is refused in any case, and the sink's own failure stands in the log.
        let _ = self.tell(told, started).await;
    }

    async fn tell(&self, event: impl FnOnce(&dyn Clock) -> Event, started: Instant) -> Result<(), AuditError> {
        let Some((sink, clock)) = &self.events else { return Ok(()) };
        let event = event(clock.as_ref()).took(started.elapsed());
        let told = sink.note(&event).await;
        told.inspect_err(|error| tracing::error!(target: "policy", %error, ?event, "an event was not taken"))
    }

    async fn decide(&self, request: &Credentials) -> Outcome {
        let mut agreed: Option<Authenticated> = None;
        for credential in request.presented() {
            let found = match self.check(credential, request).await {
                Ok(found) => found,
                Err(error) => return Outcome::Rejected(error),
            };
            agreed = Some(match agreed {
                None => found,
                Some(earlier) => match both(earlier, found) {
                    Ok(joined) => joined,
                    Err(error) => return Outcome::Rejected(error),
                },
            });
        }
        let Some(authenticated) = agreed else { return Outcome::NotPresented };
        self.hooked(authenticated, request).await.unwrap_or_else(Outcome::Rejected)
    }

    async fn hooked(&self, mut found: Authenticated, request: &Credentials) -> Result<Outcome, AuthnError> {
        if let Some(hook) = &self.hook {
            let participant = run_hook(hook.as_ref(), found.participant(), request.facts(), &self.counters).await?;
            found.replace_participant(participant);
        }
        Ok(Outcome::Authenticated(Box::new(found)))
    }

    async fn check(&self, credential: &Credential, request: &Credentials) -> Result<Authenticated, AuthnError> {
        for authenticator in self.authenticators.iter() {
            match authenticator.authenticate(credential, request).await {
                Outcome::NotPresented => {}
                Outcome::Rejected(error) => return Err(error),
                Outcome::Authenticated(mut found) => {
                    // A session is as good as what it was opened with, and so is a ticket of it.
                    let is_of_session = found.session().is_some();
                    let method = if is_of_session { found.method() } else { authenticator.method() }.to_owned();
                    found.ways.methods.insert(method);
                    self.admit(&found, request)?;
                    return Ok(*found);
                }
            }
        }
        Err(AuthnError::new(
            AuthnCode::Unrecognised,
            format!("no authenticator knows a {} credential", credential.kind()),
        ))
    }

    fn admit(&self, found: &Authenticated, request: &Credentials) -> Result<(), AuthnError> {
        let scope = found.participant().scope();
        found.ways.methods.iter().try_for_each(|method| self.admit_to(scope, method, request))?;
        if self.still_takes(scope, &found.ways) { Ok(()) } else { Err(AuthnError::provider_off(scope)) }
    }

    fn admit_to(&self, scope: &Scope, method: &str, request: &Credentials) -> Result<(), AuthnError> {
        if !request.requested_scope().admits(scope) {
            return Err(AuthnError::new(AuthnCode::ScopeMismatch, format!("the credential is of scope `{scope}`")));
        }
        if *scope == Scope::System && !request.facts().listener.system {
            return Err(AuthnError::new(AuthnCode::ScopeMismatch, "this listener takes nobody of the system scope"));
        }
        if !self.is_on(scope, method) {
            return Err(AuthnError::method_off(scope));
        }
        Ok(())
    }

    /// Whether a scope takes a method.
    pub(crate) fn is_on(&self, scope: &Scope, method: &str) -> bool {
        let methods = self.methods.read().unwrap_or_else(PoisonError::into_inner);
        methods.get(scope).is_none_or(|on| on.contains(method))
    }

    /// Whether a scope takes all by which somebody came in: its methods are on, and its providers used.
    pub(crate) fn still_takes(&self, scope: &Scope, ways: &Ways) -> bool {
        let is_used = |name: &String| {
            self.used.as_ref().is_none_or(|used| used.borrow().get(scope).is_some_and(|own| own.contains(name)))
        };
        ways.methods.iter().all(|method| self.is_on(scope, method)) && ways.providers.iter().all(is_used)
    }

    /// Says which methods are on in a scope from now on, or with `None` that all are. What others have opened ends: sessions are
    /// not taken any more, and gateways close connections.
    ///
    /// ```
    /// use policy_runtime::Scope;
    /// use policy_runtime::authn::Chain;
    /// let chain = Chain::builder().methods(Scope::System, ["password"]).build();
    /// chain.set_methods(&Scope::System, Some(["oidc".to_owned()].into()));
    /// ```
    pub fn set_methods(&self, scope: &Scope, on: Option<BTreeSet<String>>) {
        let mut methods = self.methods.write().unwrap_or_else(PoisonError::into_inner);
        match on {
            Some(on) => drop(methods.insert(scope.clone(), on)),
            None => drop(methods.remove(scope)),
        }
        self.tell_off(&methods);
    }

    fn tell_off(&self, methods: &BTreeMap<Scope, BTreeSet<String>>) {
        for authenticator in self.authenticators.iter() {
            let off = methods.iter().filter(|(_, on)| !on.contains(authenticator.method()));
            authenticator.off_in(&off.map(|(scope, _)| scope.clone()).collect());
        }
    }
}

/// The kinds of what was presented.
fn presented(request: &Credentials) -> String {
    let kinds: Vec<&str> = request.presented().iter().map(Credential::kind).collect();
    if kinds.is_empty() { "unreadable".to_owned() } else { kinds.join("+") }
}

/// Whether somebody only comes back with a cookie.
fn is_return(request: &Credentials) -> bool {
    let presented = request.presented();
    !presented.is_empty() && presented.iter().all(|credential| matches!(credential, Credential::Session(_)))
}

fn actor(id: Option<&str>, scope: Option<&Scope>, facts: &Facts) -> Actor {
    let request = facts.request_id.as_deref().or_else(|| facts.header("x-request-id"));
    Actor::new(id, scope).from_address(facts.peer).in_request(request)
}

/// Joins two proofs of one participant: the earlier end counts, and both ways of proof.
fn both(first: Authenticated, second: Authenticated) -> Result<Authenticated, AuthnError> {
    let (a, b) = (first.participant(), second.participant());
    if a.id() != b.id() || a.scope() != b.scope() {
        return Err(AuthnError::new(AuthnCode::Conflicting, "the credentials prove different participants"));
    }
    let ends = match (first.expiry(), second.expiry()) {
        (Some(x), Some(y)) => Some(x.min(y)),
        (x, y) => x.or(y),
    };
    let mut joined = first;
    joined.expires_at = ends;
    joined.epoch = joined.epoch.min(second.epoch);
    joined.session = joined.session.or(second.session);
    joined.ways.join(&second.ways);
    for proof in second.amr {
        if !joined.amr.contains(&proof) {
            joined.amr.push(proof);
        }
    }
    Ok(joined)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use policy_core::Participant;
    use policy_core::value::{Millis, Value};

    use super::super::{BoxFuture, Rejection};
    use super::*;
    use crate::credential::Listener;
    use crate::secret::Secret;

    /// Knows bearer tokens `id@expiry`; refuses `bad`.
    #[derive(Debug)]
    struct Stand(Scope);

    impl Authenticator for Stand {
        fn method(&self) -> &'static str {
            "stand"
        }

        fn authenticate<'a>(&'a self, credential: &'a Credential, _: &'a Credentials) -> BoxFuture<'a, Outcome> {
            Box::pin(async move {
                let Credential::Bearer(token) = credential else { return Outcome::NotPresented };
                let Some((id, ends)) = token.expose().split_once('@') else {
                    return AuthnError::new(AuthnCode::WrongCredentials, "no").into();
                };
                let participant = Participant::builder(self.0.clone(), id).role("user").tenant("t").build();
                let found = Authenticated::new(participant, "stand").expires_at(Millis(ends.parse().unwrap()));
                Outcome::Authenticated(Box::new(found))
            })
        }
    }

    fn orders() -> Scope {
        Scope::application("acme", "orders").unwrap()
    }

    fn bearer(text: &str) -> Credential {
        Credential::Bearer(Secret::new(text.to_owned()))
    }

    fn code(outcome: Outcome) -> AuthnCode {
        match outcome {
            Outcome::Rejected(error) => error.code(),
            other @ (Outcome::NotPresented | Outcome::Authenticated(_)) => panic!("{other:?}"),
        }
    }

    fn good(outcome: Outcome) -> Authenticated {
        match outcome {
            Outcome::Authenticated(found) => *found,
            other @ (Outcome::NotPresented | Outcome::Rejected(_)) => panic!("{other:?}"),
        }
    }

    #[cfg(feature = "signin")]
    #[tokio::test]
    async fn where_a_method_is_off_nobody_is_asked_to_prove_anything() {
        for (method, right) in [("stand", true), ("password", false)] {
            let chain = Chain::builder().methods(orders(), [method]).build();
            let asked = std::cell::Cell::new(false);
            let proved = async {
                asked.set(true);
                Ok(Authenticated::new(Participant::builder(orders(), "u1").build(), "stand"))
            };
            let outcome = chain.vouched((&orders(), "stand"), proved, &Credentials::default()).await;
            assert_eq!((matches!(outcome, Outcome::Authenticated(_)), asked.get()), (right, right));
        }
    }

    #[tokio::test]
    async fn three_outcomes() {
        let chain = Chain::builder().with(Stand(orders())).build();
        assert!(matches!(chain.authenticate(&Credentials::default()).await, Outcome::NotPresented));
        assert_eq!(code(chain.authenticate(&Credentials::of(bearer("bad"))).await), AuthnCode::WrongCredentials);
        let found = good(chain.authenticate(&Credentials::of(bearer("u1@5"))).await);
        assert_eq!((found.participant().id(), found.expiry()), ("u1", Some(Millis(5))));
        let unknown = Credentials::of(Credential::ApiKey(Secret::new("k".into())));
        assert_eq!(code(chain.authenticate(&unknown).await), AuthnCode::Unrecognised);
    }

    #[tokio::test]
    async fn several_credentials_must_agree() {
        let chain = Chain::builder().with(Stand(orders())).build();
        let same = Credentials::of(bearer("u1@9")).with(bearer("u1@5"));
        assert_eq!(good(chain.authenticate(&same).await).expiry(), Some(Millis(5)));
        let other = Credentials::of(bearer("u1@9")).with(bearer("u2@9"));
        assert_eq!(code(chain.authenticate(&other).await), AuthnCode::Conflicting);
        let half = Credentials::of(bearer("u1@9")).with(bearer("bad"));
        assert_eq!(code(chain.authenticate(&half).await), AuthnCode::WrongCredentials);
        let unknown = Credentials::of(bearer("u1@9")).with(Credential::ApiKey(Secret::new("k".into())));
        assert_eq!(code(chain.authenticate(&unknown).await), AuthnCode::Unrecognised);
    }

    #[tokio::test]
    async fn scopes_and_methods() {
        let chain = Chain::builder().with(Stand(orders())).build();
        let elsewhere = Credentials::of(bearer("u1@9")).in_scope(Scope::organization("acme").unwrap());
        assert_eq!(code(chain.authenticate(&elsewhere).await), AuthnCode::ScopeMismatch);
        let off = Chain::builder().with(Stand(orders())).methods(orders(), ["password"]).build();
        let error = off.authenticate(&Credentials::of(bearer("u1@9"))).await;
        assert_eq!(code(error), AuthnCode::MethodOff);
        let system = Chain::builder().with(Stand(Scope::System)).build();
        let request = Credentials::of(bearer("u1@9"));
        assert_eq!(code(system.authenticate(&request).await), AuthnCode::ScopeMismatch);
        let request = request.on(Listener::default().with_system());
        assert_eq!(*request.requested_scope(), RequestedScope::Unnamed);
        good(system.authenticate(&request).await);
    }

    type Answered = Result<Vec<(String, Value)>, Rejection>;
    type Asked = fn(&Facts) -> Answered;

    #[derive(Debug)]
    struct Hook(Asked);

    impl PostAuthentication for Hook {
        fn check<'a>(&'a self, _: &'a Participant, facts: &'a Facts) -> BoxFuture<'a, Answered> {
            Box::pin(async move {
                if facts.path == "/slow" {
                    tokio::time::sleep(Duration::from_secs(10)).await;
                }
                (self.0)(facts)
            })
        }
    }

    async fn hooked(hook: Asked, path: &str) -> (Outcome, u64) {
        let chain = Chain::builder().with(Stand(orders())).hook(Hook(hook)).build();
        let outcome = chain.authenticate(&Credentials::of(bearer("u1@9")).at("GET", path)).await;
        (outcome, chain.hook_counters().failed())
    }

    #[tokio::test(start_paused = true)]
    async fn the_hook_adds_refuses_and_fails() {
        let plan = |_: &Facts| Ok(vec![("plan".to_owned(), Value::text("gold"))]);
        let (outcome, failed) = hooked(plan, "/").await;
        let found = good(outcome);
        assert_eq!(found.participant().attributes(), [("plan".into(), Value::text("gold"))]);
        assert_eq!(found.participant().tenant(), Some("t"), "the rest is kept");
        assert_eq!(found.participant().roles(), ["user".into()]);
        assert_eq!(failed, 0);

        let (outcome, failed) = hooked(|_| Err(Rejection::forbidden("no contract")), "/").await;
        let Outcome::Rejected(error) = outcome else { panic!() };
        let answer = error.answer();
        assert_eq!((answer.status, answer.message.as_str(), failed), (403, "no contract", 0));

        let failures: [(Asked, &str); 4] = [
            (|_| Err(std::fmt::Error.into()), "/"),
            (|_| panic!("hook panics"), "/"),
            (|_| Ok(vec![]), "/slow"),
            (|_| Ok(vec![("roles".to_owned(), Value::text("admin"))]), "/"),
        ];
        for (hook, path) in failures {
            let (outcome, failed) = hooked(hook, path).await;
            let Outcome::Rejected(error) = outcome else { panic!() };
            assert_eq!((error.code(), error.answer().status, failed), (AuthnCode::HookFailed, 500, 1), "{error}");
            assert!(error.answer().message.contains(error.id().unwrap()));
        }
    }
}
