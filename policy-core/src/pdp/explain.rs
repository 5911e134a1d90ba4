//! Why: the slow way through the same policies, taken when a request is denied or somebody asks.

use std::sync::Arc;

use super::asked::Asked;
use super::set::{Member, TierSet};
use super::{Sets, not_asked};
use crate::decision::{Decision, Denial, DenialKind, Observed, Revision, TierAnswer};
use crate::eval::{Clause, Truth, blame, observe, shown, truth};
use crate::ir::eval::{Env, Facts as _, look};
use crate::ir::{Path, Root};
use crate::kind::Kind;
use crate::name::{Scope, Tier};
use crate::policy::Effect;
use crate::registry::ActionEntry;

/// A decision with what every tier answered.
///
/// ```
/// # use std::sync::Arc;
/// # use policy_core::context::{Context, Facts};
/// # use policy_core::pdp::Engine;
/// # use policy_core::registry::Registry;
/// # use policy_core::value::Millis;
/// # use policy_core::{Participant, Request, Scope};
/// # let engine = Engine::new(Arc::new(Registry::of(&[], &[]).unwrap())).unwrap();
/// # let operator = Participant::builder(Scope::System, "u-1").role("operator").build();
/// # let facts = Facts { mfa: true, ..Facts::default() };
/// # let request = Request { participant: &operator, action: engine.action("Platform.createOrganization").unwrap(),
/// #     scope: &Scope::System, resource: None, context: Context { time: Millis(0), facts: &facts }, args: &[] };
/// let explanation = engine.explain(&request);
/// assert!(explanation.decision.is_allowed());
/// assert_eq!(explanation.tiers.len(), 1, "only System was asked");
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// The decision.
    pub decision: Decision,
    /// The tiers that were asked, from System down.
    pub tiers: Vec<TierReport>,
}

/// What one tier answered.
///
/// ```
/// # use std::sync::Arc;
/// # use policy_core::context::{Context, Facts};
/// # use policy_core::pdp::Engine;
/// # use policy_core::registry::Registry;
/// # use policy_core::value::Millis;
/// # use policy_core::{Participant, Request, Scope};
/// # let engine = Engine::new(Arc::new(Registry::of(&[], &[]).unwrap())).unwrap();
/// # let operator = Participant::builder(Scope::System, "u-1").role("operator").build();
/// # let facts = Facts { mfa: true, ..Facts::default() };
/// # let request = Request { participant: &operator, action: engine.action("Platform.createOrganization").unwrap(),
/// #     scope: &Scope::System, resource: None, context: Context { time: Millis(0), facts: &facts }, args: &[] };
/// let report = &engine.explain(&request).tiers[0];
/// assert_eq!((report.tier, report.answer), (policy_core::Tier::System, policy_core::TierAnswer::Allow));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TierReport {
    /// The tier.
    pub tier: Tier,
    /// Its answer.
    pub answer: TierAnswer,
    /// The version of its set.
    pub revision: Revision,
    /// The policies that could apply, forbids first.
    pub policies: Vec<PolicyReport>,
}

/// What one policy said.
///
/// ```
/// # use std::sync::Arc;
/// # use policy_core::context::{Context, Facts};
/// # use policy_core::pdp::Engine;
/// # use policy_core::registry::Registry;
/// # use policy_core::value::Millis;
/// # use policy_core::{Participant, Request, Scope};
/// # let engine = Engine::new(Arc::new(Registry::of(&[], &[]).unwrap())).unwrap();
/// # let operator = Participant::builder(Scope::System, "u-1").role("operator").build();
/// # let facts = Facts { mfa: true, ..Facts::default() };
/// # let request = Request { participant: &operator, action: engine.action("Platform.createOrganization").unwrap(),
/// #     scope: &Scope::System, resource: None, context: Context { time: Millis(0), facts: &facts }, args: &[] };
/// let tiers = engine.explain(&request).tiers;
/// assert!(tiers[0].policies.iter().any(|policy| policy.outcome == Ok(true)));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PolicyReport {
    /// Its id.
    pub id: Arc<str>,
    /// Permit or forbid.
    pub effect: Effect,
    /// Whether it was satisfied, or why that cannot be told.
    pub outcome: Result<bool, String>,
    /// Where it was written.
    pub source: Option<Arc<str>>,
    /// For a permit that was not satisfied, and for a forbid that was: the clause that made it so.
    pub clause: Option<String>,
    /// What that clause read.
    pub values: Vec<Observed>,
    /// Whether that clause was unknown, because something that it reads is absent.
    pub unknown: bool,
    /// Whether Cedar itself decided it.
    pub by_cedar: bool,
}

impl PolicyReport {
    fn of(member: &Member, entry: &ActionEntry, env: &Env<'_>) -> Self {
        let outcome = member.satisfied(env);
        let told = match (member.policy.effect, &outcome) {
            (Effect::Permit, Ok(false)) | (Effect::Forbid, Ok(true)) => clause(member, entry, env),
            (Effect::Permit | Effect::Forbid, _) => None,
        };
        let unknown = told.as_ref().is_some_and(|c| c.unknown);
        let (clause, values) = told.map_or((None, Vec::new()), |c| (Some(c.text), c.values));
        Self {
            id: member.policy.id.clone(),
            effect: member.policy.effect,
            outcome,
            source: member.policy.annotation("source").map(Arc::from),
            clause,
            values,
            unknown,
            by_cedar: member.fallback.is_some(),
        }
    }

    /// Whether it kept its tier from answering Allow.
    fn stops(&self) -> bool {
        match self.effect {
            Effect::Forbid => self.outcome != Ok(false),
            Effect::Permit => self.outcome != Ok(true),
        }
    }
}

/// The clause of a rule of the language; for Cedar as written, everything that the condition reads.
fn clause(member: &Member, entry: &ActionEntry, env: &Env<'_>) -> Option<Clause> {
    for (rule, wanted) in &member.rules {
        if let Some(found) = blame(rule, *wanted, env) {
            return Some(found);
        }
    }
    if let Some((rule, _)) = member.rules.first() {
        // Scope constraints made it so; say what the rule read all the same.
        return Some(Clause::new(rule.to_string(), observe(rule, env), truth(rule, env) == Truth::Unknown));
    }
    let condition = member.policy.condition.as_ref()?;
    let mut values: Vec<Observed> = Vec::new();
    condition.each_path(&mut |path| {
        let (text, secret) = spelled(path, entry);
        let value = match look(path, env) {
            Ok(_) if secret => "(secret)".to_owned(),
            Ok(found) => shown(&found),
            Err(e) => format!("({e})"),
        };
        let seen = Observed::new(text, value);
        if values.len() < 8 && !values.contains(&seen) {
            values.push(seen);
        }
    });
    Some(Clause::new(member.policy.id.to_string(), values, false))
}

/// A path as rules spell it, and whether it is secret.
pub(super) fn spelled(path: &Path, entry: &ActionEntry) -> (String, bool) {
    let root = entry.env.roots.iter().find(|r| match (&r.root, &path.root) {
        (Root::Arg(a, _), Root::Arg(b, _)) => a == b,
        (a, b) => a == b,
    });
    let mut text = match (root, &path.root) {
        (Some(root), _) => root.name.to_string(),
        (None, Root::Resource) => "resource".to_owned(),
        (None, Root::Participant) => "participant".to_owned(),
        (None, Root::Context) => "context".to_owned(),
        (None, Root::Arg(_, name)) => name.to_string(),
    };
    let mut ty = root.and_then(|r| r.ty.as_ref());
    let mut secret = false;
    for slot in &path.slots {
        text.push('.');
        text.push_str(&slot.name);
        ty = match ty.map(|t| &t.kind) {
            Some(Kind::Record(record)) => record.field(&slot.name).map(|(_, field)| {
                secret |= field.secret;
                &field.ty
            }),
            _ => None,
        };
    }
    (text, secret)
}

pub(super) fn report(sets: &Sets<'_>, tier: Tier, asked: &Asked<'_>) -> TierReport {
    let (entry, env) = (asked.entry, asked.env());
    let mut policies = Vec::new();
    for set in sets.parts(tier) {
        policies.extend(set.candidates(asked).into_iter().map(|m| PolicyReport::of(m, entry, env)));
    }
    policies.sort_by_key(|p| p.effect == Effect::Permit);
    let allowed = sets.quick(tier, asked, false).is_some();
    TierReport {
        tier,
        answer: if allowed { TierAnswer::Allow } else { TierAnswer::Deny },
        revision: sets.stack.set(tier).map(|s: &TierSet| s.revision).unwrap_or_default(),
        policies,
    }
}

pub(super) fn denial(sets: &Sets<'_>, asked: &Asked<'_>) -> Denial {
    let (entry, env) = (asked.entry, asked.env());
    let reports: Vec<TierReport> = sets.tiers().map(|tier| report(sets, tier, asked)).collect();
    let mut tiers = not_asked();
    for report in &reports {
        if let Some(slot) = tiers.get_mut(report.tier as usize) {
            *slot = report.answer;
        }
    }
    let mut denial =
        Denial { tiers, revisions: sets.stack.revisions, ..Denial::of(DenialKind::NotPermitted, String::new()) };
    denial.errors = reports
        .iter()
        .flat_map(|r| &r.policies)
        .filter_map(|p| p.outcome.as_ref().err().map(|e| (p.id.clone(), e.clone())))
        .collect();
    if let Some(misfit) = sets.misfit(asked) {
        let (text, _) = spelled(misfit.path, entry);
        denial.kind = DenialKind::Unusable;
        denial.message = format!("`{text}` is unusable: {}", misfit.why);
        denial.values = vec![Observed::new(text, "unusable")];
        denial.tiers = not_asked();
        return denial;
    }
    let Some(first) = reports.into_iter().find(|r| r.answer == TierAnswer::Deny) else {
        "no policy decided it".clone_into(&mut denial.message);
        return denial;
    };
    denial.tier = Some(first.tier);
    if let Some(forbid) = first.policies.iter().find(|p| p.effect == Effect::Forbid && p.stops()) {
        tell(&mut denial, forbid);
        return denial;
    }
    // The program's permit and a permit of the tier's own set are both needed: what lacks one is told.
    let permits = |set: &TierSet| -> Vec<PolicyReport> {
        let all = set.candidates(asked).into_iter();
        all.filter(|m| m.policy.effect == Effect::Permit).map(|m| PolicyReport::of(m, entry, env)).collect()
    };
    let lacking = sets
        .permitting(first.tier)
        .map(permits)
        .find(|permits| permits.iter().all(PolicyReport::stops))
        .unwrap_or_default();
    match lacking.as_slice() {
        [] => denial.message = format!("no policy of the {} permits it", first.tier),
        [one] => tell(&mut denial, one),
        many => {
            let ids: Vec<String> = many.iter().take(8).map(|p| format!("`{}`", p.id)).collect();
            let more = if many.len() > ids.len() { ", .." } else { "" };
            denial.message = format!(
                "none of the {} permits of the {} is satisfied: {}{more}",
                many.len(),
                first.tier,
                ids.join(", ")
            );
        }
    }
    denial
}

fn tell(denial: &mut Denial, policy: &PolicyReport) {
    denial.policy = Some(policy.id.clone());
    denial.source.clone_from(&policy.source);
    denial.clause.clone_from(&policy.clause);
    denial.values.clone_from(&policy.values);
    let values: Vec<String> = policy.values.iter().map(|v| format!("{} is {}", v.path, v.value)).collect();
    let values = values.join(", ");
    let clause = policy.clause.as_deref().unwrap_or_default();
    (denial.kind, denial.message) = match (policy.effect, &policy.outcome) {
        (Effect::Forbid, Err(e)) => {
            (DenialKind::ForbidFailed, format!("the forbid `{}` cannot be decided, so it denies: {e}", policy.id))
        }
        (Effect::Forbid, Ok(_)) => (DenialKind::Forbidden, format!("{}: {values}", policy.id)),
        (Effect::Permit, Err(e)) => (
            DenialKind::NotPermitted,
            format!("the permit `{}` cannot be decided, so it does not count: {e}", policy.id),
        ),
        (Effect::Permit, Ok(_)) if policy.unknown => {
            (DenialKind::NotPermitted, format!("`{clause}` was unknown: {values}"))
        }
        (Effect::Permit, Ok(_)) if values.is_empty() => {
            (DenialKind::NotPermitted, format!("`{}` is not satisfied", policy.id))
        }
        (Effect::Permit, Ok(_)) => (DenialKind::NotPermitted, format!("`{clause}` was false: {values}")),
    };
}

impl Denial {
    pub(super) fn of(kind: DenialKind, message: String) -> Self {
        Self {
            kind,
            tier: None,
            policy: None,
            source: None,
            clause: None,
            values: Vec::new(),
            message,
            errors: Vec::new(),
            tiers: not_asked(),
            revisions: [Revision::default(); 3],
        }
    }

    pub(super) fn unknown_action() -> Self {
        Self::of(DenialKind::UnknownAction, "the engine has no such action".to_owned())
    }

    pub(super) fn unknown_scope(scope: &Scope) -> Self {
        Self::of(DenialKind::UnknownScope, format!("`{scope}` has no policy set here"))
    }

    pub(super) fn stale() -> Self {
        let message = "the policy sets could not be confirmed to be the active ones for longer than the bound";
        Self::of(DenialKind::Stale, message.to_owned())
    }

    pub(super) fn isolation(caller: &Scope, scope: &Scope, entry: &ActionEntry) -> Self {
        let message = if entry.tier != scope.tier() {
            format!("isolation: `{}` belongs to the {}, and `{scope}` is not of that tier", entry.name, entry.tier)
        } else if caller.covers(scope) {
            format!("isolation: `{}` is not open to callers of the {}", entry.name, caller.tier())
        } else {
            let name = |s: &Scope| {
                s.application_id().or(s.organization_id()).map_or("the platform".to_owned(), ToString::to_string)
            };
            let outside = caller.organization_id() != scope.organization_id();
            let own = if outside {
                caller.organization_id().map_or_else(|| name(caller), ToString::to_string)
            } else {
                name(caller)
            };
            let other = if outside {
                scope.organization_id().map_or_else(|| name(scope), ToString::to_string)
            } else {
                name(scope)
            };
            format!("isolation: {own} never reaches {other}")
        };
        Self::of(DenialKind::Isolation, message)
    }
}
