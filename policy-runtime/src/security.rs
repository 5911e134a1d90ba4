//! Who is calling, under which policies: what the gateway and the tower layer set and the guard reads.
//!
//! In: an authenticated participant and facts of its request. Out: [`SecurityContext`], explicit or task-local.
//! Absent: how the participant was authenticated.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use policy_core::pdp::Possible;
use policy_core::{ActionId, Context, Decision, Facts, Participant, Request, Scope};

use crate::audit::AuditLog;
use crate::code::Code;
use crate::denied::Denied;
use crate::policy::Policy;
use crate::question::Question;
use crate::rate::{ActionRates, TooOften};

/// How many questions are kept of one piece of work: those that opened it. What it asks later is decided then.
const KEPT: usize = 16;

tokio::task_local! {
    static CURRENT: SecurityContext;
}

/// The caller of a piece of work, under the policies that decide for it. Cheap to clone.
///
/// The guard of an annotated function finds it in the parameter marked `#[context]`, or else in the task.
///
/// ```
/// use policy_core::Facts;
/// use policy_runtime::{Participant, Policy, SecurityContext};
///
/// let policy = Policy::for_application("shop")?;
/// let alice = Participant::builder(policy.application().clone(), "alice").build();
/// let cx = SecurityContext::new(&policy, alice.into()).with_facts(Facts { mfa: true, ..Facts::default() });
/// let cx = cx.on(policy.application().clone());
/// cx.run(|| assert_eq!(SecurityContext::current().unwrap().participant().id(), "alice"));
/// assert!(SecurityContext::current().is_none());
/// # Ok::<(), policy_runtime::PolicyError>(())
/// ```
#[derive(Clone)]
pub struct SecurityContext {
    inner: Arc<Inner>,
}

#[derive(Clone)]
struct Inner {
    policy: Policy,
    participant: Arc<Participant>,
    scope: Scope,
    facts: Facts,
    audit: Option<Arc<dyn AuditLog>>,
    /// What limits single actions, if anything does.
    rates: Option<Arc<dyn ActionRates>>,
    noted: Arc<Mutex<Noted>>,
    /// What was allowed under this context, if it is to be decided again.
    kept: Option<Arc<Mutex<Vec<Question>>>>,
}

/// What is noted while the work goes on.
#[derive(Default)]
struct Noted {
    /// The last refusal: lets a dispatcher tell a refusal from a failure of the method.
    refusal: Option<Denied>,
    /// The action that was counted before its guard was asked, and how many more calls may come at once.
    counted: Option<(ActionId, u32)>,
    /// Whether an action was asked for: the first is the one that was called.
    called: bool,
}

impl SecurityContext {
    /// A context for calls of `participant` on the application that `policy` serves.
    pub fn new(policy: &Policy, participant: Arc<Participant>) -> Self {
        let facts = Facts { mfa: participant.mfa(), ..Facts::default() };
        Self {
            inner: Arc::new(Inner {
                scope: policy.application().clone(),
                audit: policy.audit().cloned(),
                policy: policy.clone(),
                participant,
                facts,
                rates: None,
                noted: Arc::default(),
                kept: None,
            }),
        }
    }

    fn changed(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.inner));
        self
    }

    /// Sets what is known of the request.
    #[must_use]
    pub fn with_facts(self, facts: Facts) -> Self {
        self.changed(|inner| {
            inner.facts = facts;
            inner.noted = Arc::default();
        })
    }

    /// The same piece of work for the participant as more is known of it.
    #[cfg(feature = "identity")]
    pub(crate) fn knowing(self, participant: Arc<Participant>, facts: Facts) -> Self {
        self.changed(|inner| {
            inner.participant = participant;
            inner.facts = facts;
        })
    }

    /// Sets what limits single actions: guards count by it.
    #[cfg(any(feature = "gateway", feature = "tower"))]
    pub(crate) fn counting(self, rates: Option<Arc<dyn ActionRates>>) -> Self {
        self.changed(|inner| inner.rates = rates)
    }

    /// Counts a call to an action, unless [`SecurityContext::count_early`] just did, and says how many more may come at once;
    /// `None` where it is not limited.
    pub(crate) fn count(&self, action: ActionId) -> Result<Option<u32>, TooOften> {
        let Some(rates) = &self.inner.rates else { return Ok(None) };
        let mut noted = self.noted();
        if let Some((_, left)) = noted.counted.take_if(|(counted, _)| *counted == action) {
            return Ok(Some(left));
        }
        let is_called = !std::mem::replace(&mut noted.called, true);
        drop(noted);
        match self.policy().engine().registry().action(action) {
            Some(entry) => rates.take(self.participant(), &entry.name.to_string(), is_called),
            None => Ok(None),
        }
    }

    /// Counts a call before its guard is asked, which then does not count it again.
    #[cfg(feature = "tower")]
    pub(crate) fn count_early(&self, action: ActionId) -> Result<(), TooOften> {
        if let Some(left) = self.count(action)? {
            self.noted().counted = Some((action, left));
        }
        Ok(())
    }

    /// Sets the application that is called, where a process serves several.
    #[must_use]
    pub fn on(self, scope: Scope) -> Self {
        self.changed(|inner| inner.scope = scope)
    }

    /// Sets where decisions are recorded.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use policy_runtime::SecurityContext;
    /// use policy_runtime::audit::MemoryAudit;
    /// let cx = SecurityContext::clone(&SecurityContext::test().id("alice")).with_audit(Arc::new(MemoryAudit::default()));
    /// assert!(cx.audit().is_some());
    /// ```
    #[must_use]
    pub fn with_audit(self, audit: Arc<dyn AuditLog>) -> Self {
        self.changed(|inner| inner.audit = Some(audit))
    }

    /// Keeps what is allowed under this context from now on, for [`SecurityContext::decide_again`].
    #[must_use]
    pub fn keeping(self) -> Self {
        self.changed(|inner| inner.kept = Some(Arc::default()))
    }

    pub(crate) fn keep(&self, request: &Request<'_>) {
        if let Some(kept) = &self.inner.kept {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() < KEPT {
                kept.push(Question::of(request));
            }
        }
    }

    /// Decides everything that was kept once more, for the participant as it is now and under the policies of now. Whoever
    /// holds something open for a caller, such as a stream, asks when [`Policy::changes`] moves.
    ///
    /// # Errors
    /// [`Denied`] when one of them is not allowed any more.
    pub fn decide_again(&self, participant: &Participant) -> Result<(), Denied> {
        let Some(kept) = &self.inner.kept else { return Ok(()) };
        let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        for question in kept.iter() {
            if let Decision::Deny(denial) = question.decide(self.policy(), participant, self.facts()) {
                let denied = Denied::new(Code::AccessDenied);
                tracing::warn!(target: "policy", decision = denied.id(), participant = participant.id(), "no longer allowed: {}", denial.message);
                self.policy().remember(&denied, *denial);
                return Err(denied);
            }
        }
        Ok(())
    }

    /// The context of the running task, if there is one.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// Runs a future as this caller.
    pub async fn scope<F: Future>(&self, future: F) -> F::Output {
        CURRENT.scope(self.clone(), future).await
    }

    /// Runs a closure as this caller.
    pub fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self.clone(), work)
    }

    /// Starts a task as this caller.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use policy_runtime::SecurityContext;
    /// let cx = SecurityContext::test().id("alice");
    /// let id = cx.spawn(async { SecurityContext::current().unwrap().participant().id().to_owned() }).await.unwrap();
    /// assert_eq!(id, "alice");
    /// assert!(SecurityContext::clone(&cx).keeping().decide_again(cx.participant()).is_ok(), "nothing was asked yet");
    /// # }
    /// ```
    pub fn spawn<F>(&self, future: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        tokio::spawn(CURRENT.scope(self.clone(), future))
    }

    /// Who calls.
    pub fn participant(&self) -> &Participant {
        &self.inner.participant
    }

    /// The policies that decide.
    pub fn policy(&self) -> &Policy {
        &self.inner.policy
    }

    /// The scope of the application that is called.
    pub fn application(&self) -> &Scope {
        &self.inner.scope
    }

    /// What is known of the request.
    pub fn facts(&self) -> &Facts {
        &self.inner.facts
    }

    /// The caller as events name it, with the request's address and id.
    #[cfg(feature = "admin")]
    pub(crate) fn actor(&self) -> crate::events::Actor {
        let (who, facts) = (self.participant(), self.facts());
        let actor = crate::events::Actor::new(Some(who.id()), Some(who.scope()));
        actor.from_address(facts.ip.map(|range| range.bounds().0)).in_request(facts.request_id.as_deref())
    }

    /// Where decisions are recorded.
    pub fn audit(&self) -> Option<&Arc<dyn AuditLog>> {
        self.inner.audit.as_ref()
    }

    /// What this caller may do in the application that it calls, as far as it can be told without arguments.
    pub fn possible(&self) -> Vec<Possible<'_>> {
        let policy = self.policy();
        let context = Context { time: policy.clock().now(), facts: self.facts() };
        policy.engine().possible(self.participant(), self.application(), context)
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.inner.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note_refusal(&self, denied: &Denied) {
        self.noted().refusal = Some(denied.clone());
    }

    /// The last refusal under this context, if there was one.
    pub fn refusal(&self) -> Option<Denied> {
        self.noted().refusal.clone()
    }

    /// Borrows the running task's context without touching its counter.
    pub(crate) fn with_current<T>(mut work: impl FnMut(Option<&Self>) -> T) -> T {
        match CURRENT.try_with(|cx| work(Some(cx))) {
            Ok(done) => done,
            Err(_) => work(None),
        }
    }
}

impl fmt::Debug for SecurityContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecurityContext")
            .field("participant", &self.inner.participant)
            .field("application", &self.inner.scope.to_string())
            .finish_non_exhaustive()
    }
}
