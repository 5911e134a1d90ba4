//! Facts that a decision needs and nobody brought: asked of [`AttributeSource`]s when they are wanted. The gateway and the
//! tower layer ask by themselves, before each call, those that were given to them.
//!
//! In: a caller, or the name of a resource. Out: the caller with more attributes, or a record about the resource. Each source
//! has a deadline, and its answers are kept for a while; what a source does not say in time is absent, which rules see as
//! such. Absent: which rule reads what.
//!
//! ```
//! use std::time::Duration;
//! use policy_runtime::authn::BoxFuture;
//! use policy_runtime::pip::{About, AttributeSource, Facts, SourceError, Sources};
//! use policy_runtime::value::Value;
//! use policy_runtime::{Denied, SecurityContext, abac_policy};
//!
//! #[derive(Debug)]
//! struct Entitlements;
//!
//! impl AttributeSource for Entitlements {
//!     fn fetch<'a>(&'a self, about: &'a About<'a>) -> BoxFuture<'a, Result<Facts, SourceError>> {
//!         Box::pin(async move {
//!             let About::Participant(participant) = about else { return Ok(Facts::new()) };
//!             let plan = if participant.id() == "alice" { "gold" } else { "free" };
//!             Ok(Facts::from([("plan".into(), Value::text(plan))]))
//!         })
//!     }
//! }
//!
//! #[abac_policy(participant.plan == "gold", action = "Reports.export")]
//! fn export() -> Result<&'static str, Denied> {
//!     Ok("exported")
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let sources = Sources::default().participant(Entitlements, Duration::from_millis(500), Duration::from_secs(30));
//! let alice = SecurityContext::test().id("alice");
//! assert!(alice.run(export).is_err());
//! assert!(sources.complete(SecurityContext::clone(&alice)).await.run(export).is_ok());
//! # });
//! ```

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use policy_core::Participant;
use policy_core::value::Value;
use tokio::time::Instant;

use crate::authn::{BoxFuture, with_attributes};
use crate::security::SecurityContext;

/// Attributes by name.
///
/// ```
/// use policy_runtime::{pip::Facts, value::Value};
/// let facts = Facts::from([("plan".into(), Value::text("gold"))]);
/// assert_eq!(facts["plan"], Value::text("gold"));
/// ```
pub type Facts = BTreeMap<Arc<str>, Value>;

/// Why a source gives no answer.
///
/// ```
/// let error: policy_runtime::pip::SourceError = "the service is down".into();
/// assert_eq!(error.to_string(), "the service is down");
/// ```
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// What is asked about.
///
/// ```
/// use policy_runtime::pip::About;
/// let about = About::Resource("Photo", "a1");
/// assert!(matches!(about, About::Resource("Photo", id) if id == "a1"));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum About<'a> {
    /// The caller; what is answered is read as `participant.<name>`.
    Participant(&'a Participant),
    /// The caller's request; what is answered is read as `context.<name>`.
    Context(&'a SecurityContext),
    /// A resource, by type and id; what is answered is a record to hand to the guarded function.
    Resource(&'a str, &'a str),
}

/// Knows facts that requests do not carry: another service, another database.
///
/// ```
/// use policy_runtime::authn::BoxFuture;
/// use policy_runtime::pip::{About, AttributeSource, Facts, SourceError};
/// use policy_runtime::value::Value;
///
/// /// Which photos are embargoed.
/// #[derive(Debug)]
/// struct Embargoes;
///
/// impl AttributeSource for Embargoes {
///     fn fetch<'a>(&'a self, about: &'a About<'a>) -> BoxFuture<'a, Result<Facts, SourceError>> {
///         let embargoed = matches!(about, About::Resource("Photo", "a1"));
///         Box::pin(async move { Ok(Facts::from([("embargoed".into(), Value::Bool(embargoed))])) })
///     }
/// }
/// ```
pub trait AttributeSource: fmt::Debug + Send + Sync {
    /// Answers what is known; an error counts as knowing nothing.
    fn fetch<'a>(&'a self, about: &'a About<'a>) -> BoxFuture<'a, Result<Facts, SourceError>>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Participant,
    Context,
    Resource,
}

/// A source, how long it may take, and what it said a while ago.
#[derive(Debug)]
struct Kept {
    subject: Subject,
    source: Box<dyn AttributeSource>,
    deadline: Duration,
    keep: Duration,
    answers: Mutex<HashMap<String, (Instant, Facts)>>,
}

/// How many answers of a source are kept at most.
const MOST: usize = 10_000;

impl Kept {
    /// What the source says; nothing when it fails or is late, which is not kept.
    async fn ask(&self, key: String, about: &About<'_>) -> Facts {
        let now = Instant::now();
        if let Some((until, facts)) = self.answers.lock().unwrap_or_else(PoisonError::into_inner).get(&key)
            && *until > now
        {
            return facts.clone();
        }
        let facts = match tokio::time::timeout(self.deadline, self.source.fetch(about)).await {
            Ok(Ok(facts)) => facts,
            Ok(Err(error)) => {
                tracing::warn!(target: "policy", source = ?self.source, %error, "attributes are absent: their source failed");
                return Facts::new();
            }
            Err(_) => {
                tracing::warn!(target: "policy", source = ?self.source, "attributes are absent: their source took too long");
                return Facts::new();
            }
        };
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= MOST {
            answers.retain(|_, (until, _)| *until > now);
            if answers.len() >= MOST {
                answers.clear();
            }
        }
        answers.insert(key, (now + self.keep, facts.clone()));
        facts
    }
}

/// Sources by what they know about. Cheap to clone; clones share what they keep.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let none = policy_runtime::pip::Sources::default();
/// assert!(none.about("Photo", "a1").await.is_empty(), "what nobody knows is absent");
/// # });
/// ```
#[derive(Debug, Clone, Default)]
pub struct Sources(Arc<[Arc<Kept>]>);

impl Sources {
    fn with(
        self,
        subject: Subject,
        source: impl AttributeSource + 'static,
        deadline: Duration,
        keep: Duration,
    ) -> Self {
        let kept = Kept { subject, source: Box::new(source), deadline, keep, answers: Mutex::default() };
        Self(self.0.iter().cloned().chain([Arc::new(kept)]).collect())
    }

    /// Adds a source of `participant.<name>`, with its deadline and how long its answers are kept.
    #[must_use]
    pub fn participant(self, source: impl AttributeSource + 'static, deadline: Duration, keep: Duration) -> Self {
        self.with(Subject::Participant, source, deadline, keep)
    }

    /// Adds a source of `context.<name>`.
    #[must_use]
    pub fn context(self, source: impl AttributeSource + 'static, deadline: Duration, keep: Duration) -> Self {
        self.with(Subject::Context, source, deadline, keep)
    }

    /// Adds a source of facts about resources.
    #[must_use]
    pub fn resource(self, source: impl AttributeSource + 'static, deadline: Duration, keep: Duration) -> Self {
        self.with(Subject::Resource, source, deadline, keep)
    }

    async fn ask(&self, subject: Subject, key: &str, about: &About<'_>) -> Facts {
        let asked = self.0.iter().filter(|kept| kept.subject == subject).map(|kept| kept.ask(key.to_owned(), about));
        join_all(asked).await.into_iter().flatten().collect()
    }

    /// The same caller with what the sources know about it and its request. A built-in attribute is never replaced.
    ///
    /// What is known of a participant is kept by its id, of a request by participant, address and kind of connection.
    pub async fn complete(&self, cx: SecurityContext) -> SecurityContext {
        if self.0.is_empty() {
            return cx;
        }
        let participant = cx.participant();
        let (about_participant, about_context) = (About::Participant(participant), About::Context(&cx));
        let facts = cx.facts();
        let request = format!("{}\0{:?}\0{:?}\0{}", participant.uid_id(), facts.ip, facts.connection, facts.mfa);
        let (own, around) = futures_util::join!(
            self.ask(Subject::Participant, participant.uid_id(), &about_participant),
            self.ask(Subject::Context, &request, &about_context),
        );
        let added = own.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
        let completed = with_attributes(participant, added).unwrap_or_else(|_| {
            tracing::warn!(target: "policy", "attributes are absent: a source named a built-in one");
            participant.clone()
        });
        let mut facts = cx.facts().clone();
        facts.attributes.extend(&around);
        cx.knowing(Arc::new(completed), facts)
    }

    /// What the sources know about a resource.
    pub async fn about(&self, kind: &str, id: &str) -> Facts {
        self.ask(Subject::Resource, &format!("{kind}\0{id}"), &About::Resource(kind, id)).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use policy_core::context::{Context, Facts as Known};
    use policy_core::value::{Millis, Slot, ValueRef};

    use super::*;
    use crate::policy::Policy;

    /// Answers `n = <how often it was asked>`; slow or broken on request.
    #[derive(Debug)]
    struct Counted(Arc<AtomicU32>, &'static str);

    impl AttributeSource for Counted {
        fn fetch<'a>(&'a self, _: &'a About<'a>) -> BoxFuture<'a, Result<Facts, SourceError>> {
            Box::pin(async move {
                let n = self.0.fetch_add(1, Ordering::SeqCst);
                match self.1 {
                    "slow" => tokio::time::sleep(Duration::from_mins(1)).await,
                    "broken" => return Err("down".into()),
                    "forger" => return Ok(Facts::from([("roles".into(), Value::text("admin"))])),
                    _ => {}
                }
                Ok(Facts::from([("n".into(), Value::Long(i64::from(n)))]))
            })
        }
    }

    fn caller() -> SecurityContext {
        let policy = Policy::for_application("shop").unwrap();
        let participant = Participant::builder(policy.application().clone(), "p").role("user").build();
        SecurityContext::new(&policy, Arc::new(participant))
    }

    const DEADLINE: Duration = Duration::from_millis(100);

    #[tokio::test(start_paused = true)]
    async fn answers_are_kept_for_a_while() {
        let asked = Arc::new(AtomicU32::new(0));
        let keep = Duration::from_secs(10);
        let sources = Sources::default().participant(Counted(asked.clone(), ""), DEADLINE, keep);
        let n = async || sources.complete(caller()).await.participant().attributes().to_vec();
        assert_eq!(n().await, [("n".into(), Value::Long(0))]);
        assert_eq!(n().await, [("n".into(), Value::Long(0))]);
        tokio::time::advance(Duration::from_secs(11)).await;
        assert_eq!(n().await, [("n".into(), Value::Long(1))]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_late_or_broken_is_absent_and_asked_again() {
        for kind in ["slow", "broken", "forger"] {
            let asked = Arc::new(AtomicU32::new(0));
            let sources = Sources::default().participant(Counted(asked.clone(), kind), DEADLINE, DEADLINE);
            let began = Instant::now();
            let completed = sources.complete(caller()).await;
            assert!(began.elapsed() <= DEADLINE + Duration::from_millis(5), "{kind}");
            assert_eq!((completed.participant().attributes(), completed.participant().roles().len()), (&[][..], 1));
        }
    }

    #[tokio::test]
    async fn about_the_request_and_about_resources() {
        let asked = Arc::new(AtomicU32::new(7));
        let sources = Sources::default().context(Counted(asked.clone(), ""), DEADLINE, DEADLINE).resource(
            Counted(asked, ""),
            DEADLINE,
            DEADLINE,
        );
        let completed = sources.complete(caller()).await;
        let context = Context { time: Millis(0), facts: completed.facts() };
        assert!(matches!(context.attribute(&Slot::named("n")), ValueRef::Long(7)));
        let elsewhere = Known { ip: Some("192.0.2.1".parse().unwrap()), ..Known::default() };
        let elsewhere = sources.complete(caller().with_facts(elsewhere)).await;
        let context = Context { time: Millis(0), facts: elsewhere.facts() };
        assert!(
            matches!(context.attribute(&Slot::named("n")), ValueRef::Long(8)),
            "not what was said of another address"
        );
        assert_eq!(sources.about("Photo", "p1").await, Facts::from([("n".into(), Value::Long(9))]));
        assert_eq!(sources.about("Photo", "p2").await, Facts::from([("n".into(), Value::Long(10))]));
    }
}
