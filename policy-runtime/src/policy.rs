//! The policies of a process: one engine, its clock, and the application that it serves.
//!
//! In: what the program declares, and rules of the upper tiers. Out: [`Policy`]. Absent: storage.

#[cfg(any(feature = "pull", feature = "sqlite", feature = "postgres"))]
use std::collections::BTreeMap;
use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use policy_core::decision::Denial;
use policy_core::name::{NameError, nearest};
use policy_core::pdp::{Activation, Baseline, Engine, Explanation, SetError, SetSource};
use policy_core::registry::{Finding, Registry, RegistryError};
use policy_core::{ActionId, Decision, Request, Scope};
use tokio::sync::watch;

use crate::audit::AuditLog;
use crate::audit::required::Required;
use crate::clock::{Clock, SystemClock};
use crate::denied::Denied;
use crate::shadow::{Shadowed, Shadows};
use crate::tally::Tally;

/// How many denials are kept for [`Policy::denial`].
const REMEMBERED: usize = 1_024;

/// Why a program's policies cannot be set up.
///
/// ```
/// use policy_runtime::{Policy, PolicyError};
/// assert!(matches!(Policy::for_application("No Slug"), Err(PolicyError::Name(_))));
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// An organization or application is not named as it must be.
    #[error("an organization or application cannot be named so")]
    Name(#[from] NameError),
    /// What the program declares does not hold together.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A set of an upper tier is refused.
    #[error(transparent)]
    Set(#[from] SetError),
    /// Rules read attributes of the participant that nothing supplies, and `strict_attributes` is on.
    #[error("rules read attributes that nothing supplies:\n{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Attributes(Vec<Finding>),
}

/// The policies of a process. Cheap to clone.
///
/// ```
/// use policy_runtime::{Policy, Scope, SecurityContext, Participant};
/// let policy = Policy::for_application("shop")?;
/// let alice = Participant::builder(policy.application().clone(), "alice").role("clerk").build();
/// let cx = SecurityContext::new(&policy, alice.into());
/// assert_eq!(cx.participant().id(), "alice");
/// # Ok::<(), policy_runtime::PolicyError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Policy {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    engine: Engine,
    application: Scope,
    clock: Arc<dyn Clock>,
    audit: Option<Arc<dyn AuditLog>>,
    required: Required,
    /// The full names of actions, by number.
    names: Box<[Arc<str>]>,
    /// The application, as text.
    scope: Arc<str>,
    warnings: Vec<Finding>,
    changes: watch::Sender<u64>,
    denials: Mutex<VecDeque<(Arc<str>, Denial)>>,
    tally: Tally,
    /// Set by whoever follows sets that stand elsewhere.
    stale: AtomicBool,
    shadows: Shadows,
}

/// Collects what a process decides with.
///
/// ```
/// use policy_runtime::{Policy, SetSource};
///
/// let policy = Policy::builder()
///     .organization("acme")
///     .application("orders")
///     .also("acme", "parts")
///     .system_rule("no-new", "forbid Platform.createOrganization unless participant.mfa")
///     .organization_rule("careful", "forbid Platform.policies.own unless participant.mfa")
///     .organization_cedar("extra.cedar", r#"@id("x") forbid (principal, action, resource) when { principal.tier == "system" };"#)
///     .supplies(["department"])
///     .build()?;
/// let acme = policy.organization();
/// let done = policy.replace(&acme, &SetSource::default())?;
/// assert!(done.revision.number > done.before.number);
/// assert!(policy.denial("d-unknown").is_none());
/// # Ok::<(), policy_runtime::PolicyError>(())
/// ```
#[derive(Debug)]
pub struct PolicyBuilder {
    organization: String,
    application: String,
    sets: Vec<(SetScope, SetSource)>,
    supplied: BTreeSet<String>,
    strict_attributes: bool,
    clock: Arc<dyn Clock>,
    audit: Option<Arc<dyn AuditLog>>,
    more: Vec<(String, String)>,
    by_both: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SetScope {
    System,
    Organization,
    Application,
}

impl PolicyBuilder {
    /// Names the organization that the application belongs to (`default` otherwise).
    #[must_use]
    pub fn organization(mut self, id: &str) -> Self {
        id.clone_into(&mut self.organization);
        self
    }

    /// Names the application that this process serves (`default` otherwise).
    #[must_use]
    pub fn application(mut self, id: &str) -> Self {
        id.clone_into(&mut self.application);
        self
    }

    /// Adds another application that this process serves.
    #[must_use]
    pub fn also(mut self, organization: &str, application: &str) -> Self {
        self.more.push((organization.into(), application.into()));
        self
    }

    fn set(mut self, scope: SetScope, change: impl FnOnce(&mut SetSource)) -> Self {
        if let Some((_, source)) = self.sets.iter_mut().find(|(s, _)| *s == scope) {
            change(source);
        } else {
            let mut source = SetSource::default();
            change(&mut source);
            self.sets.push((scope, source));
        }
        self
    }

    /// Adds a rule of the operator of the platform.
    #[must_use]
    pub fn system_rule(self, id: &str, rule: &str) -> Self {
        self.set(SetScope::System, |source| source.rules.push((id.into(), rule.into())))
    }

    /// Adds a rule of the organization's admins.
    #[must_use]
    pub fn organization_rule(self, id: &str, rule: &str) -> Self {
        self.set(SetScope::Organization, |source| source.rules.push((id.into(), rule.into())))
    }

    /// Adds Cedar of the organization's admins.
    #[must_use]
    pub fn organization_cedar(self, name: &str, text: &str) -> Self {
        self.set(SetScope::Organization, |source| source.cedar.push((name.into(), text.into())))
    }

    /// Starts the organization's set from nothing instead of the shipped baseline: what is not permitted is denied.
    #[must_use]
    pub fn without_organization_baseline(self) -> Self {
        self.set(SetScope::Organization, |source| source.baseline = Baseline::Replaced)
    }

    /// Adds a forbid for the application.
    ///
    /// ```
    /// use policy_runtime::Policy;
    /// let error = Policy::builder().application_rule("open", "permit Platform.policies.own").build().unwrap_err();
    /// assert!(!error.to_string().is_empty(), "nothing at run time opens what the code closed");
    /// ```
    #[must_use]
    pub fn application_rule(self, id: &str, rule: &str) -> Self {
        self.set(SetScope::Application, |source| source.rules.push((id.into(), rule.into())))
    }

    /// Says which attributes of participants the sign-in supplies, beside the built-in ones.
    #[must_use]
    pub fn supplies<'a>(mut self, attributes: impl IntoIterator<Item = &'a str>) -> Self {
        self.supplied.extend(attributes.into_iter().map(str::to_owned));
        self
    }

    /// Refuses to start when a rule reads an attribute of the participant that nothing supplies.
    #[must_use]
    pub const fn strict_attributes(mut self) -> Self {
        self.strict_attributes = true;
        self
    }

    /// Tells the time by this clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Records decisions here.
    #[must_use]
    pub fn audit(mut self, audit: Arc<dyn AuditLog>) -> Self {
        self.audit = Some(audit);
        self
    }

    /// Puts every decision to Cedar's own evaluator too. Where it does not say the same, the call is denied as
    /// [`Code::Disagreement`](crate::Code::Disagreement) and the event in the log says what differs. This costs what Cedar
    /// costs, for every policy of every tier.
    ///
    /// ```
    /// let policy = policy_runtime::Policy::builder().application("shop").by_both().build()?;
    /// # Ok::<(), policy_runtime::PolicyError>(())
    /// ```
    #[must_use]
    pub const fn by_both(mut self) -> Self {
        self.by_both = true;
        self
    }

    /// Checks everything and starts.
    ///
    /// # Errors
    /// Everything that is wrong with what the program declares, or with a set.
    pub fn build(self) -> Result<Policy, PolicyError> {
        let registry = Registry::program()?;
        let mut warnings = registry.warnings().to_vec();
        let missing = unsupplied(&registry, &self.supplied);
        if self.strict_attributes && !missing.is_empty() {
            return Err(PolicyError::Attributes(missing));
        }
        warnings.extend(missing);
        let names: Box<[Arc<str>]> = registry.actions().map(|(_, entry)| entry.name.to_string().into()).collect();
        let engine = Engine::new(registry)?.in_epoch(u64::try_from(self.clock.now().0).unwrap_or(0));
        let engine = if self.by_both { engine.by_both() } else { engine };
        let application = Scope::application(&self.organization, &self.application)?;
        engine.add_application(&application)?;
        for (organization, application) in &self.more {
            engine.add_application(&Scope::application(organization, application)?)?;
        }
        for (scope, source) in &self.sets {
            let scope = match scope {
                SetScope::System => Scope::System,
                SetScope::Organization => Scope::organization(&self.organization)?,
                SetScope::Application => application.clone(),
            };
            warnings.extend(engine.replace(&scope, source)?.warnings);
        }
        for warning in &warnings {
            tracing::warn!(target: "policy", "{warning}");
        }
        Ok(Policy {
            inner: Arc::new(Inner {
                engine,
                clock: self.clock,
                audit: self.audit,
                required: Required::of(names.len()),
                names,
                scope: application.to_string().into(),
                warnings,
                changes: watch::Sender::new(0),
                denials: Mutex::default(),
                tally: Tally::default(),
                stale: AtomicBool::new(false),
                shadows: Shadows::default(),
                application,
            }),
        })
    }
}

/// Attributes of participants that some rule reads and nothing supplies: always absent, so nothing that needs them opens.
fn unsupplied(registry: &Registry, supplied: &BTreeSet<String>) -> Vec<Finding> {
    let participant = registry.model().entities.iter().find(|e| &*e.name == policy_core::platform::PARTICIPANT);
    let built_in = || policy_core::participant::BUILT_IN.fields.iter().map(|f| &*f.name);
    let read = participant.map_or(&[][..], |p| &p.attributes);
    let missing = read.iter().filter(|field| !supplied.contains(&*field.name));
    missing
        .map(|field| {
            let known = supplied.iter().map(String::as_str).chain(built_in());
            let near = nearest(&field.name, known).map_or_else(
                || "supply it at sign-in and name it in `supplies`, or declare `participant = Type`".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            let rules: Vec<String> = registry
                .actions()
                .filter_map(|(_, entry)| entry.permit.as_ref())
                .filter(|p| {
                    p.policy.annotation("rule").is_some_and(|r| r.contains(&format!("participant.{}", field.name)))
                })
                .filter_map(|p| p.policy.annotation("source").map(str::to_owned))
                .collect();
            Finding::new(
                if rules.is_empty() { "a rule".to_owned() } else { rules.join(", ") },
                format!("nothing supplies `participant.{}`, so it is always absent\nhelp: {near}", field.name),
            )
        })
        .collect()
}

impl Policy {
    /// A complete set-up for one application: the upper tiers with their baselines, no database, no file.
    ///
    /// # Errors
    /// As [`PolicyBuilder::build`].
    pub fn for_application(application: &str) -> Result<Self, PolicyError> {
        Self::builder().application(application).build()
    }

    /// Starts a set-up.
    pub fn builder() -> PolicyBuilder {
        PolicyBuilder {
            organization: "default".into(),
            application: "default".into(),
            sets: Vec::new(),
            supplied: BTreeSet::new(),
            strict_attributes: false,
            clock: Arc::new(SystemClock),
            audit: None,
            more: Vec::new(),
            by_both: false,
        }
    }

    /// The application that this process serves.
    pub fn application(&self) -> &Scope {
        &self.inner.application
    }

    /// The organization that the application belongs to.
    pub fn organization(&self) -> Scope {
        match self.inner.application.organization_id() {
            Some(id) => Scope::Organization(id.clone()),
            None => Scope::System,
        }
    }

    /// What decides.
    pub fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    /// Decides, and asks the drafts in shadow too, which changes nothing.
    #[inline]
    pub(crate) fn decide(&self, request: &Request<'_>) -> Decision {
        let decision = self.inner.engine.decide(request);
        self.cast_shadow(request, &decision);
        decision
    }

    /// Asks the drafts in shadow about a decision that was made.
    #[inline]
    pub(crate) fn cast_shadow(&self, request: &Request<'_>, decision: &Decision) {
        self.inner.shadows.look(&self.inner.engine, request, decision);
    }

    /// Asks the drafts in shadow which rows an operation is open for.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    #[inline]
    pub(crate) fn cast_shadow_on_rows(&self, request: &Request<'_>) {
        self.inner.shadows.look_at_rows(&self.inner.engine, request);
    }

    /// Puts a draft of a scope's set into shadow, in place of an earlier one: guards ask it about each decision, beside the
    /// active set, and it is only counted what it would turn. While there is none, a decision costs nothing more.
    ///
    /// ```
    /// use policy_runtime::{Attributes, Denied, Policy, SecurityContext, SetSource, abac_policy};
    ///
    /// #[abac_policy(authenticated)]
    /// fn close() -> Result<(), Denied> { Ok(()) }
    ///
    /// let policy = Policy::for_application("shop")?;
    /// let acme = policy.organization();
    /// let rule = ("nobody".to_owned(), "forbid Platform.service.*".to_owned());
    /// assert!(policy.shadow(&acme, 1, &SetSource { rules: vec![rule], ..SetSource::default() }).is_err(), "it does not check");
    /// policy.shadow(&acme, 1, &SetSource { baseline: policy_runtime::Baseline::Replaced, ..SetSource::default() })?;
    /// let alice = policy_runtime::Participant::builder(policy.application().clone(), "alice").build();
    /// assert!(SecurityContext::new(&policy, alice.into()).run(close).is_ok(), "the draft decides nothing");
    /// let shadowed = policy.shadowed(&acme).unwrap();
    /// assert_eq!((shadowed.decisions, shadowed.turns.len()), (1, 1));
    /// policy.end_shadow(&acme);
    /// # Ok::<(), policy_runtime::PolicyError>(())
    /// ```
    ///
    /// # Errors
    /// When the draft does not check.
    pub fn shadow(&self, scope: &Scope, number: i64, draft: &SetSource) -> Result<(), SetError> {
        self.inner.shadows.put(&self.inner.engine, scope, number, draft)
    }

    /// Asks a scope's draft no more.
    pub fn end_shadow(&self, scope: &Scope) {
        self.inner.shadows.end(scope);
    }

    /// What was counted of a scope's draft in shadow; `None` while there is none.
    pub fn shadowed(&self, scope: &Scope) -> Option<Shadowed> {
        self.inner.shadows.shadowed(scope)
    }

    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn shadows(&self) -> &Shadows {
        &self.inner.shadows
    }

    /// What tells the time.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    /// Where decisions are recorded, unless a context says otherwise.
    pub fn audit(&self) -> Option<&Arc<dyn AuditLog>> {
        self.inner.audit.as_ref()
    }

    /// What was worth a look at the start.
    pub fn warnings(&self) -> &[Finding] {
        &self.inner.warnings
    }

    /// Replaces a scope's set as a whole; the next decision is made under it. A bad set changes nothing.
    ///
    /// # Errors
    /// Every finding, with its place in the text.
    pub fn replace(&self, scope: &Scope, source: &SetSource) -> Result<Activation, SetError> {
        let activation = self.inner.engine.replace(scope, source)?;
        self.inner.changes.send_modify(|n| *n += 1);
        Ok(activation)
    }

    /// Serves an organization or an application from now on, with the baselines.
    ///
    /// # Errors
    /// When an application of that name belongs to another organization.
    pub fn add(&self, scope: &Scope) -> Result<(), SetError> {
        match scope {
            Scope::System => Ok(()),
            Scope::Organization(id) => self.inner.engine.add_organization(id),
            Scope::Application { .. } => self.inner.engine.add_application(scope),
        }
    }

    /// Replaces a scope's set by one whose revision was given out elsewhere.
    #[cfg(any(feature = "pull", feature = "sqlite", feature = "postgres"))]
    pub(crate) fn replace_as(
        &self,
        scope: &Scope,
        source: &SetSource,
        (epoch, number): (u64, u64),
    ) -> Result<Activation, SetError> {
        let activation = self.inner.engine.replace_as(scope, source, epoch, number)?;
        self.inner.changes.send_modify(|n| *n += 1);
        Ok(activation)
    }

    /// Counts changes of any set; whoever holds something open for a caller decides again when it moves.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes.subscribe()
    }

    /// Makes every call of an action need an audit record that was written before.
    ///
    /// # Errors
    /// The name, when there is no such action.
    ///
    /// ```
    /// use policy_runtime::Policy;
    /// let policy = Policy::for_application("shop")?;
    /// assert!(policy.require_audit("com.example.Orders.nowhere").is_err(), "this program has no such action");
    /// # Ok::<(), policy_runtime::PolicyError>(())
    /// ```
    pub fn require_audit(&self, action: &str) -> Result<(), String> {
        let id = self.inner.engine.action(action).filter(|id| self.inner.required.always(id.number()));
        id.map(|_| ()).ok_or_else(|| format!("there is no action `{action}`"))
    }

    /// Replaces what scopes say of that; actions of which nothing is said by this program go on as they are.
    #[cfg(any(feature = "pull", feature = "sqlite", feature = "postgres"))]
    pub(crate) fn required_in(&self, said: BTreeMap<Scope, BTreeSet<String>>) {
        self.inner.required.say(said, self.inner.names.iter().map(|name| &**name));
    }

    /// Whether whoever follows the sets of this process reports that it cannot confirm them now. Decisions go on until its bound.
    ///
    /// ```
    /// assert!(!policy_runtime::Policy::for_application("shop")?.is_stale());
    /// # Ok::<(), policy_runtime::PolicyError>(())
    /// ```
    pub fn is_stale(&self) -> bool {
        self.inner.stale.load(Ordering::Relaxed)
    }

    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn report_stale(&self, stale: bool) {
        self.inner.stale.store(stale, Ordering::Relaxed);
    }

    pub(crate) fn tally(&self) -> &Tally {
        &self.inner.tally
    }

    /// An action's full name.
    pub(crate) fn name_of(&self, action: ActionId) -> Option<&Arc<str>> {
        self.inner.names.get(action.number())
    }

    /// A scope as text.
    pub(crate) fn text_of(&self, scope: &Scope) -> Arc<str> {
        if *scope == self.inner.application { Arc::clone(&self.inner.scope) } else { scope.to_string().into() }
    }

    pub(crate) fn must_audit(&self, action: ActionId, scope: &Scope) -> bool {
        let name = self.inner.names.get(action.number()).map_or("", |name| name);
        self.inner.required.asks(action.number(), name, scope)
    }

    /// The same of an action that another program declares.
    #[cfg(feature = "authzen")]
    pub(crate) fn must_audit_named(&self, action: &str, scope: &Scope) -> bool {
        self.inner.required.asks_by_name(action, scope)
    }

    pub(crate) fn remember(&self, denied: &Denied, denial: Denial) {
        #[cfg(feature = "testing")]
        last::note(&denial);
        let mut denials = self.inner.denials.lock().unwrap_or_else(PoisonError::into_inner);
        if denials.len() >= REMEMBERED {
            denials.pop_front();
        }
        denials.push_back((denied.id().into(), denial));
    }

    /// Why a decision was a denial, by the id that the caller was told. The last 1,024 are known.
    pub fn denial(&self, id: &str) -> Option<Denial> {
        let denials = self.inner.denials.lock().unwrap_or_else(PoisonError::into_inner);
        denials.iter().rev().find(|(known, _)| &**known == id).map(|(_, denial)| denial.clone())
    }

    /// Says what every tier would answer a call of a participant, without making it.
    ///
    /// ```
    /// use policy_core::{Context, Facts, Request};
    /// use policy_runtime::{Participant, Policy, Scope};
    ///
    /// let policy = Policy::for_application("shop")?;
    /// let visitor = Participant::builder(Scope::System, "u-1").build();
    /// let action = policy.engine().action("Platform.createOrganization").unwrap();
    /// let context = Context { time: policy.clock().now(), facts: &Facts::default() };
    /// let request = Request { participant: &visitor, action, scope: &Scope::System, resource: None, context, args: &[] };
    /// assert!(!policy.explain(&request).decision.is_allowed());
    /// # Ok::<(), policy_runtime::PolicyError>(())
    /// ```
    pub fn explain(&self, request: &Request<'_>) -> Explanation {
        self.inner.engine.explain(request)
    }
}

/// The last denial on this thread, for assertions in tests.
#[cfg(feature = "testing")]
pub(crate) mod last {
    use std::cell::RefCell;

    use policy_core::decision::Denial;

    thread_local! {
        static LAST: RefCell<Option<Denial>> = const { RefCell::new(None) };
    }

    pub(super) fn note(denial: &Denial) {
        LAST.with(|last| *last.borrow_mut() = Some(denial.clone()));
    }

    /// Takes it, so that nobody reads an older one later.
    pub(crate) fn take() -> Option<Denial> {
        LAST.with(|last| last.borrow_mut().take())
    }
}
