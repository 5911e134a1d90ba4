//! The guard: the call inside an annotated function that runs before anything of it.
//!
//! In: a declaration, the caller, borrowed arguments. Out: a [`Permit`] or a [`Denied`]. Absent: how a decision is made.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use policy_core::decision::{Denial, DenialKind};
use policy_core::decl::ActionDecl;
use policy_core::value::{Record, ValueRef};
use policy_core::{ActionId, Context, Decision, Facts, Request, Resource, Scope, Tier};

use crate::audit;
use crate::code::Code;
use crate::denied::Denied;
use crate::security::SecurityContext;

/// The guard of one function; a `static` beside it.
///
/// ```
/// use policy_runtime::guard::Guard;
/// use policy_runtime::{Code, Tier};
/// use policy_core::decl::{ActionDecl, ResourceDecl};
/// use policy_core::source::Place;
///
/// static STOP: ActionDecl = ActionDecl { package: "shop", namespace: "shop", id: "stop", function: "shop::stop",
///     place: Place { file: "src/lib.rs", line: 3 }, was: &[], tier: Tier::Application, callers: &[Tier::Application],
///     organization: None, must_audit: false, participant: None, resource: ResourceDecl::Scope, params: &[], rules: &[], authenticated: true };
/// static GUARD: Guard = Guard::new(&STOP);
/// let denied = GUARD.check(None, &[], None).unwrap_err();
/// assert_eq!(denied.code(), Code::NoContext);
/// ```
#[derive(Debug)]
pub struct Guard {
    declaration: &'static ActionDecl,
    /// The action's number in the program's registry, looked up once.
    action: OnceLock<Option<ActionId>>,
}

impl Guard {
    /// Makes the guard of a declaration.
    pub const fn new(declaration: &'static ActionDecl) -> Self {
        Self { declaration, action: OnceLock::new() }
    }

    /// Decides whether the caller may go on. Without a context, explicit or of the task, it denies.
    ///
    /// # Errors
    /// [`Denied`], which says only a code and an id; why is in the log.
    pub fn check(
        &self,
        caller: Option<&SecurityContext>,
        args: &[ValueRef<'_>],
        resource: Option<(&str, &(dyn Record + Sync))>,
    ) -> Result<Permit, Denied> {
        match caller {
            Some(cx) => self.decide(cx, args, resource),
            None => SecurityContext::with_current(|cx| match cx {
                Some(cx) => self.decide(cx, args, resource),
                None => Err(self.no_context()),
            }),
        }
    }

    fn no_context(&self) -> Denied {
        let denied = Denied::new(Code::NoContext);
        tracing::error!(
            target: "policy",
            decision = denied.id(),
            code = denied.code().as_str(),
            action = self.declaration.id,
            "denied: `{}` at {} was called outside any security context; run it in `SecurityContext::scope`, pass a `#[context]` parameter, or put it behind the gateway or the tower layer",
            self.declaration.function,
            self.declaration.place,
        );
        denied
    }

    fn decide(
        &self,
        cx: &SecurityContext,
        args: &[ValueRef<'_>],
        resource: Option<(&str, &(dyn Record + Sync))>,
    ) -> Result<Permit, Denied> {
        let policy = cx.policy();
        let engine = policy.engine();
        let action = *self.action.get_or_init(|| engine.registry().id_of(self.declaration));
        let named = self.declaration.organization.map(|at| args.get(usize::from(at)).copied());
        let scope = match (self.declaration.tier, named) {
            (Tier::Organization, Some(named)) => named_organization(cx, named),
            (tier, _) => resource_scope(tier, cx),
        };
        let (Some(action), Some(scope)) = (action, scope) else {
            let denied = Denied::new(if action.is_none() { Code::UnknownAction } else { Code::AccessDenied });
            tracing::error!(target: "policy", decision = denied.id(), code = denied.code().as_str(), action = self.declaration.id,
                "denied: {}", if action.is_none() { "the action is not in the registry" } else { "the call is not about the caller's own organization, and none else is named" });
            cx.note_refusal(&denied);
            return Err(denied);
        };
        let facts = counted(cx, action, self.declaration.id)?;
        let request = Request {
            participant: cx.participant(),
            action,
            scope: &scope,
            resource: resource.map(|(id, attributes)| Resource { id, attributes }),
            context: Context { time: policy.clock().now(), facts: &facts },
            args,
        };
        ask(cx, &request, self.declaration.id, self.declaration.must_audit)
    }
}

/// Decides, and has the decision recorded where that is wanted.
pub(crate) fn ask(cx: &SecurityContext, request: &Request<'_>, id: &str, must_audit: bool) -> Result<Permit, Denied> {
    let policy = cx.policy();
    let begun = policy.tally().begin();
    let span = tracing::info_span!(target: "policy", "decide", action = id, decision = tracing::field::Empty);
    let decision = span.in_scope(|| policy.decide(request));
    span.record("decision", if decision.is_allowed() { "allow" } else { "deny" });
    policy.tally().end(begun, decision.is_allowed());
    match decision {
        Decision::Allow(allowed) => {
            cx.keep(request);
            let must = must_audit || policy.must_audit(request.action, request.scope);
            if !must && !is_wanted(cx, request.action, true) {
                return Ok(Permit { due: None });
            }
            let record = record(cx, request, name_of(cx, request, id), "allow").revisions(&allowed.revisions);
            Ok(Permit::due(cx, record, must, must))
        }
        Decision::Deny(denial) => Err(denied(cx, request, id, *denial)),
    }
}

/// What records call the action of a request.
fn name_of(cx: &SecurityContext, request: &Request<'_>, id: &str) -> Arc<str> {
    cx.policy().name_of(request.action).map_or_else(|| id.into(), Arc::clone)
}

/// Counts the call against the rate of its action, if that has one. Rules read what is left as `context.quota`.
pub(crate) fn counted<'cx>(cx: &'cx SecurityContext, action: ActionId, id: &str) -> Result<Cow<'cx, Facts>, Denied> {
    let facts = cx.facts();
    match cx.count(action) {
        Ok(None) => Ok(Cow::Borrowed(facts)),
        Ok(Some(left)) => {
            let quota = facts.quota.map_or(left, |quota| quota.min(left));
            Ok(Cow::Owned(Facts { quota: Some(quota), ..facts.clone() }))
        }
        Err(refused) => {
            let denied = Denied::too_early(refused.wait());
            tracing::warn!(target: "policy", decision = denied.id(), code = denied.code().as_str(), action = id, participant = cx.participant().id(), "denied: the action is called too often");
            cx.note_refusal(&denied);
            Err(denied)
        }
    }
}

fn record(cx: &SecurityContext, request: &Request<'_>, action: Arc<str>, outcome: &'static str) -> audit::Record {
    let (principal, scope) = (cx.participant().shared_uid_id(), cx.policy().text_of(request.scope));
    let time = request.context.time.0;
    let record = audit::Record::new(audit::RecordKind::Decision, time, principal, action, scope, outcome);
    let record = record.request(cx.facts().request_id.clone());
    let entry = cx.policy().engine().registry().action(request.action);
    let record = match (entry, cx.audit()) {
        (Some(entry), Some(log)) if log.wants_inputs() => record.inputs(request, entry),
        (_, _) => record,
    };
    match (request.resource, entry) {
        (Some(resource), Some(entry)) => record.about(&entry.resource, resource.id),
        (_, _) => record,
    }
}

/// What the caller is told of a denial; why goes to the log and the audit, and is kept for whoever may ask.
pub(crate) fn denied(cx: &SecurityContext, request: &Request<'_>, id: &str, denial: Denial) -> Denied {
    let code = code_of(&denial);
    let lifted = code == Code::AccessDenied && is_lifted(cx, request);
    let denied = Denied::new(if lifted { Code::StepUpRequired } else { code });
    report(&denied, id, cx, &denial);
    cx.note_refusal(&denied);
    if let Some(log) = cx.audit()
        && is_wanted(cx, request.action, false)
    {
        let record = record(cx, request, name_of(cx, request, id), "deny").decision(denied.id()).denial(&denial);
        if let Err(error) = log.note_blocking(&record) {
            tracing::error!(target: "policy", decision = denied.id(), %error, "a denial is not in the audit");
        }
    }
    cx.policy().remember(&denied, denial);
    denied
}

/// Whether the same call would be allowed after a second factor.
fn is_lifted(cx: &SecurityContext, request: &Request<'_>) -> bool {
    if cx.participant().mfa() && request.context.facts.mfa {
        return false;
    }
    let participant = cx.participant().clone().with_mfa(true);
    let facts = Facts { mfa: true, ..request.context.facts.clone() };
    let context = Context { time: request.context.time, facts: &facts };
    let asked = Request { participant: &participant, context, ..*request };
    cx.policy().engine().decide(&asked).is_allowed()
}

/// A refusal of rows that no policy made by itself.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) fn refuse(cx: &SecurityContext, action: &str, code: Code, why: &str) -> Denied {
    let denied = Denied::new(code);
    tracing::warn!(target: "policy", decision = denied.id(), code = code.as_str(), action, participant = cx.participant().id(), "denied: {why}");
    cx.note_refusal(&denied);
    denied
}

/// The permit of an operation on rows. A list is one record, with the hash of the filter that it was made by, and where records
/// have what was decided about, with what each tier contributed to it; its end, which is recorded wherever its beginning is, says how
/// many rows it was.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) fn permit(
    cx: &SecurityContext,
    request: &Request<'_>,
    revisions: &[policy_core::Revision; 3],
    action: &str,
    filter: Option<&policy_core::filter::Predicate>,
    tiers: impl FnOnce() -> Vec<policy_core::pdp::TierFilter>,
) -> Permit {
    let entry = cx.policy().engine().registry().action(request.action);
    let must = entry.is_some_and(|entry| entry.must_audit) || cx.policy().must_audit(request.action, request.scope);
    if !must && !is_wanted(cx, request.action, true) {
        return Permit { due: None };
    }
    let mut record = record(cx, request, name_of(cx, request, action), "allow").revisions(revisions);
    if let Some(filter) = filter {
        // As it is shown, so without what secret attributes are compared with.
        let hash = ring::digest::digest(&ring::digest::SHA256, filter.to_string().as_bytes());
        record = record.detail("filter", audit::Detail::Plain(data_encoding::HEXLOWER.encode(hash.as_ref())));
        if cx.audit().is_some_and(|log| log.wants_inputs()) {
            for part in tiers() {
                // What holds beside the policies is of tenants.
                let name = format!("filter.{}", part.tier.map_or("tenant", Tier::as_str));
                record = record.detail(&name, audit::Detail::Personal(part.predicate.to_string()));
            }
        }
    }
    Permit::due(cx, record, must, must || filter.is_some())
}

/// The organization that a parameter names: any for the System tier, and for others their own alone.
fn named_organization<'cx>(cx: &'cx SecurityContext, named: Option<ValueRef<'_>>) -> Option<Cow<'cx, Scope>> {
    let Some(ValueRef::Text(id)) = named else { return None };
    let own = cx.participant().scope();
    let meant = match own.organization_id() {
        Some(own) => own.as_str() == id,
        None => *own == Scope::System,
    };
    if meant { Scope::organization(id).ok().map(Cow::Owned) } else { None }
}

fn is_wanted(cx: &SecurityContext, action: ActionId, allowed: bool) -> bool {
    let Some(log) = cx.audit() else { return false };
    let entry = cx.policy().engine().registry().action(action);
    entry.is_some_and(|entry| log.wants(&entry.name, allowed))
}

/// The scope that a request's resource belongs to.
pub(crate) fn resource_scope(tier: Tier, cx: &SecurityContext) -> Option<Cow<'_, Scope>> {
    match tier {
        // Borrowed, so that threads which share a context share no counter.
        Tier::Application => Some(Cow::Borrowed(cx.application())),
        Tier::Organization => {
            cx.participant().scope().organization_id().cloned().map(|id| Cow::Owned(Scope::Organization(id)))
        }
        Tier::System => Some(Cow::Owned(Scope::System)),
    }
}

fn code_of(denial: &Denial) -> Code {
    if denial.kind == DenialKind::UnknownAction {
        Code::UnknownAction
    } else if denial.kind == DenialKind::Unusable {
        Code::UnusableValue
    } else if denial.kind == DenialKind::Disagreement {
        Code::Disagreement
    } else if denial.kind == DenialKind::Stale {
        Code::StalePolicy
    } else {
        Code::AccessDenied
    }
}

/// One event per denial, for whoever can fix it.
fn report(denied: &Denied, action: &str, cx: &SecurityContext, denial: &Denial) {
    let values: Vec<String> = denial.values.iter().map(|v| format!("{} is {}", v.path, v.value)).collect();
    tracing::warn!(
        target: "policy",
        decision = denied.id(),
        code = denied.code().as_str(),
        action,
        participant = cx.participant().id(),
        tier = denial.tier.map_or("-", Tier::as_str),
        policy = denial.policy.as_deref().unwrap_or("-"),
        clause = denial.clause.as_deref().unwrap_or("-"),
        values = values.join(", "),
        "denied: {}",
        denial.message,
    );
}

#[derive(Debug)]
struct Due {
    /// Whether the work may begin only after the record was written.
    must: bool,
    /// Whether the end of the work is recorded too.
    closes: bool,
    context: SecurityContext,
    record: audit::Record,
}

/// Proof that a guard let the caller through. Where a record is due, the work may begin only after it was written.
///
/// ```
/// # use policy_runtime::{Denied, guard::Permit};
/// async fn work(permit: Permit) -> Result<(), Denied> {
///     let _open = permit.begin().await?;
///     // The opening record is written; the closing one follows when `_open` is dropped.
///     Ok(())
/// }
/// ```
#[derive(Debug)]
#[must_use = "the work may begin only after `begin`"]
pub struct Permit {
    due: Option<Box<Due>>,
}

impl Permit {
    fn due(cx: &SecurityContext, record: audit::Record, must: bool, closes: bool) -> Self {
        Self { due: Some(Box::new(Due { must, closes, context: cx.clone(), record })) }
    }

    /// Writes the opening record, if one is due.
    ///
    /// # Errors
    /// [`Code::AuditUnavailable`] when there is no audit log or it cannot write.
    pub async fn begin(self) -> Result<Opened, Denied> {
        let Some(due) = self.due else { return Ok(Opened { closing: None }) };
        let written = match due.context.audit() {
            Some(log) if due.must => log.begin(&due.record).await.map_err(|e| e.to_string()),
            Some(log) => log.note(&due.record).await.map_err(|e| e.to_string()),
            None => Err("there is no audit log".to_owned()),
        };
        opened(due, written)
    }

    /// Writes the opening record from code that cannot await.
    ///
    /// # Errors
    /// As [`Permit::begin`]; also when the log can only be awaited.
    pub fn begin_blocking(self) -> Result<Opened, Denied> {
        let Some(due) = self.due else { return Ok(Opened { closing: None }) };
        let write = |log: &Arc<dyn audit::AuditLog>| {
            if due.must { log.begin_blocking(&due.record) } else { Some(log.note_blocking(&due.record)) }
        };
        let written = match due.context.audit().map(write) {
            Some(Some(written)) => written.map_err(|e| e.to_string()),
            Some(None) => Err("this audit log can only be awaited, and the function is not async".to_owned()),
            None => Err("there is no audit log".to_owned()),
        };
        opened(due, written)
    }
}

fn opened(due: Box<Due>, written: Result<(), String>) -> Result<Opened, Denied> {
    match written {
        Ok(()) => {
            let Due { context, record, closes, .. } = *due;
            let log = context.audit().filter(|_| closes).cloned();
            Ok(Opened { closing: log.map(|log| Box::new(Closing { log, record, rows: None })) })
        }
        Err(why) => {
            let denied = Denied::new(Code::AuditUnavailable);
            tracing::error!(target: "policy", decision = denied.id(), code = denied.code().as_str(), action = &*due.record.action, "denied: the audit record is required and {why}");
            due.context.note_refusal(&denied);
            Err(denied)
        }
    }
}

/// Work under a permit; dropping it closes the record.
///
/// ```
/// use policy_runtime::{Denied, guard::{Opened, Permit}};
///
/// fn work(permit: Permit) -> Result<(), Denied> {
///     let open: Opened = permit.begin_blocking()?;
///     drop(open);
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Opened {
    closing: Option<Box<Closing>>,
}

#[derive(Debug)]
struct Closing {
    log: Arc<dyn audit::AuditLog>,
    record: audit::Record,
    rows: Option<u64>,
}

impl Opened {
    /// Counts rows that the work gave or changed.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn add_rows(&mut self, rows: u64) {
        if let Some(closing) = &mut self.closing {
            closing.rows = Some(closing.rows.unwrap_or_default().saturating_add(rows));
        }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let Some(closing) = self.closing.take() {
            closing.log.complete(&closing.record, closing.rows);
        }
    }
}
