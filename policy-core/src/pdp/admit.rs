//! From what an administrator writes to policies that are let in: every check that `Engine::replace` promises.
//!
//! In: Cedar text and rules of the language. Out: members of a set, or every finding. A bad set changes nothing.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::set::Member;
use crate::cedar;
use crate::check::{self, RuleEnv, Typed};
use crate::decision::Revision;
use crate::diagnostic::{Diagnostic, Severity};
use crate::eval::Truth;
use crate::ir::{Ir, Root};
use crate::lower::{Unknown, lower};
use crate::name::{EntityUid, Scope, Tier, cedar_type, nearest};
use crate::policy::{ActionConstraint, Constraint, Effect, Policy};
use crate::registry::{ActionEntry, Finding, Registry};
use crate::syntax::rule::{Rule, RuleCondition, RuleEffect, parse_rule};

/// What a set is made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_structs, reason = "whoever writes a set says all of it")]
pub struct SetSource {
    /// What the set starts from. An application's set has no baseline: its permits are in its code.
    pub baseline: Baseline,
    /// Cedar files: name and text.
    pub cedar: Vec<(String, String)>,
    /// Rules of the policy language: id and text.
    pub rules: Vec<(String, String)>,
}

/// What a System or Organization set starts from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_enums, reason = "shipped, or not")]
pub enum Baseline {
    /// The shipped one, readable as Cedar.
    #[default]
    Shipped,
    /// None: `cedar` has everything. An empty set denies.
    Replaced,
}

/// What a replacement did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Activation {
    /// The revision that decides from now on.
    pub revision: Revision,
    /// The one that did before.
    pub before: Revision,
    /// What is worth a look.
    pub warnings: Vec<Finding>,
}

/// Why a set was refused; nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetError(Vec<Finding>);

impl SetError {
    pub(super) fn one(place: &str, message: &str) -> Self {
        Self(vec![Finding::new(place, message)])
    }

    /// The findings.
    pub fn findings(&self) -> &[Finding] {
        &self.0
    }
}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the policy set is refused, and nothing has changed")?;
        for finding in &self.0 {
            write!(f, "\n\n{finding}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SetError {}

/// Counts and hashes a set (FNV-1a, 64 bits: a name for the content, no proof of it).
pub(super) fn revision(epoch: u64, number: u64, source: &SetSource) -> Revision {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut feed = |text: &str| {
        for byte in text.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    feed(match source.baseline {
        Baseline::Shipped => cedar::baseline::ORGANIZATION,
        Baseline::Replaced => "",
    });
    for (name, text) in source.cedar.iter().chain(&source.rules) {
        feed(name);
        feed(text);
    }
    Revision { epoch, number, hash }
}

pub(super) fn admit(
    registry: &Registry,
    scope: &Scope,
    source: &SetSource,
) -> Result<(Vec<Member>, Vec<Finding>), SetError> {
    let (mut members, mut errors, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
    let baseline = match (scope.tier(), &source.baseline) {
        (Tier::System, Baseline::Shipped) => Some(("baseline/system.cedar", cedar::baseline::SYSTEM)),
        (Tier::Organization, Baseline::Shipped) => Some(("baseline/organization.cedar", cedar::baseline::ORGANIZATION)),
        (Tier::Application, _) | (_, Baseline::Replaced) => None,
    };
    if let Some((name, text)) = baseline {
        load(registry, name, text, None, &mut members, &mut errors, &mut warnings);
    }
    for (name, text) in &source.cedar {
        load(registry, name, text, Some(scope.tier()), &mut members, &mut errors, &mut warnings);
    }
    for (id, text) in &source.rules {
        match rule(registry, scope, id, text) {
            Ok(member) => members.push(member),
            Err(findings) => errors.extend(findings),
        }
    }
    let mut seen = BTreeSet::new();
    for member in &members {
        if !seen.insert(member.policy.id.clone()) {
            errors.push(Finding::new(
                scope,
                format!("two policies have the id `{}`\nhelp: ids are unique in a set", member.policy.id),
            ));
        }
        if scope.tier() == Tier::Application && member.policy.effect == Effect::Permit {
            errors.push(no_permit(registry, &member.policy));
        }
    }
    if errors.is_empty() { Ok((members, warnings)) } else { Err(SetError(errors)) }
}

/// An application's admins only forbid; the refusal says where the door is.
fn no_permit(registry: &Registry, policy: &Policy) -> Finding {
    let uids: Vec<&EntityUid> = match &policy.action {
        ActionConstraint::Any => Vec::new(),
        ActionConstraint::Eq(uid) => vec![uid],
        ActionConstraint::In(uids) => uids.iter().collect(),
    };
    let actions =
        uids.iter().flat_map(|uid| registry.by_uid(uid).into_iter().chain(registry.members(uid).iter().copied()));
    let doors: BTreeSet<String> = actions
        .filter_map(|id| registry.action(id))
        .flat_map(|entry| entry.places.iter().map(move |place| format!("`{}` at {place}", entry.name)))
        .collect();
    let doors = if doors.is_empty() { "the code".to_owned() } else { doors.into_iter().collect::<Vec<_>>().join(", ") };
    Finding::new(
        &policy.id,
        format!(
            "an application's admin can only forbid: nothing at run time opens what the code closed\nhelp: the door is the annotation of {doors}"
        ),
    )
}

/// `admin` is the tier whose admin wrote the text; `None` for what is shipped.
fn load(
    registry: &Registry,
    name: &str,
    text: &str,
    admin: Option<Tier>,
    members: &mut Vec<Member>,
    errors: &mut Vec<Finding>,
    warnings: &mut Vec<Finding>,
) {
    let loaded = match cedar::load(text, name, registry.schema()) {
        Ok(loaded) => loaded,
        Err(found) => {
            errors.extend(found.0.iter().map(|d| Finding::in_rule(name, text, d)));
            return;
        }
    };
    let policies: Vec<_> = loaded.iter().map(|one| one.cedar.clone()).collect();
    let mut found = cedar::validate(&policies, registry.schema()).0;
    if admin.is_some() {
        found.extend(loaded.iter().filter_map(|one| cedar::unscoped_permit(&one.policy)));
        found.extend(policies.iter().flat_map(|policy| cedar::lets_absence_through(policy).0));
    }
    for diagnostic in found {
        let finding = Finding::in_rule(name, text, &diagnostic);
        // What can never apply is an error when somebody saves it.
        if diagnostic.severity == Severity::Error || admin.is_some() && diagnostic.code == cedar::IMPOSSIBLE {
            errors.push(finding);
        } else {
            warnings.push(finding);
        }
    }
    for one in loaded {
        let fallback = one.not_lowered.is_some().then(|| cedar::Fallback::new(&one));
        let written = Some(one.text());
        members.push(Member { fallback, rules: Vec::new(), written, policy: one.policy });
    }
}

fn rule(registry: &Registry, scope: &Scope, id: &str, text: &str) -> Result<Member, Vec<Finding>> {
    let at = |d: &Diagnostic| Finding::in_rule(id, text, d);
    let parsed = parse_rule(text).map_err(|found| found.0.iter().map(at).collect::<Vec<_>>())?;
    let (action, entries) = target(registry, &parsed).map_err(|d| vec![at(&d)])?;
    let mut env = common_env(&entries);
    if scope.tier() == Tier::System {
        // System rules hold for every application, so they read only what every application has.
        env.roots.retain(|root| matches!(root.root, Root::Participant | Root::Context));
        env.inferred.clear();
        for root in &mut env.roots {
            root.open = false;
        }
    }
    let (effect, unknown, satisfied) = match parsed.effect {
        RuleEffect::Permit => (Effect::Permit, Unknown::Fails, Truth::True),
        RuleEffect::Forbid => (Effect::Forbid, Unknown::Holds, Truth::False),
    };
    let mut rules = Vec::new();
    let mut condition = Ir::And(Vec::new());
    if let Some(written) = &parsed.condition {
        let typed = check::check(written.expr(), &env).map_err(|found| found.0.iter().map(at).collect::<Vec<_>>())?;
        let (typed, wanted) = match written {
            RuleCondition::When(_) => (typed, satisfied),
            RuleCondition::Unless(_) => (typed, !satisfied),
        };
        let lowered = match written {
            RuleCondition::When(_) => lower(&typed, unknown),
            RuleCondition::Unless(_) => lower(&Typed::Not(Box::new(typed.clone())), unknown),
        };
        condition = Ir::And(vec![Ir::And(vec![lowered])]);
        rules.push((typed, wanted));
    }
    let policy = Policy {
        id: id.into(),
        effect,
        principal: Constraint::Any,
        action,
        resource: Constraint::Any,
        condition: Some(condition),
        annotations: vec![(Arc::from("rule"), Arc::from(text))],
    };
    if scope.tier() == Tier::Application && effect == Effect::Permit {
        return Err(vec![no_permit(registry, &policy)]);
    }
    let cedar_policy = cedar::to_pst(&policy).map_err(|d| vec![Finding::new(id, d.to_string())])?;
    let found = cedar::validate(std::slice::from_ref(&cedar_policy), registry.schema());
    if !found.0.is_empty() {
        // What can never be true is an error when somebody saves it.
        return Err(found.0.iter().map(|d| Finding::new(id, d.to_string())).collect());
    }
    Ok(Member { policy, fallback: None, rules, written: None })
}

/// An action, a service or an entity's group, by its dotted name.
fn target<'r>(registry: &'r Registry, rule: &Rule) -> Result<(ActionConstraint, Vec<&'r ActionEntry>), Diagnostic> {
    let name = rule.target.name();
    let name = name.strip_suffix(".*").unwrap_or(&name);
    if let Some(entry) = registry.find(name).and_then(|id| registry.action(id)) {
        return Ok((ActionConstraint::Eq(entry.uid.clone()), vec![entry]));
    }
    let group = registry
        .actions()
        .flat_map(|(_, entry)| entry.groups.iter().map(move |group| (entry, group)))
        .find(|(entry, group)| dotted(entry, group) == name)
        .map(|(_, group)| group.clone());
    if let Some(group) = group {
        let entries = registry.members(&group).iter().filter_map(|id| registry.action(*id)).collect();
        return Ok((ActionConstraint::In(vec![group]), entries));
    }
    let mut known: BTreeSet<String> = registry.actions().map(|(_, e)| e.name.to_string()).collect();
    known.extend(registry.actions().flat_map(|(_, e)| e.groups.iter().map(move |g| dotted(e, g))));
    let help = match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "a target is an action, a service or an entity's group, such as `com.example.OrderService.placeOrder`"
            .to_owned(),
    };
    Err(Diagnostic::error("unknown-target", rule.target.span, format!("there is no action, service or group `{name}`"))
        .with_help(help))
}

fn dotted(entry: &ActionEntry, group: &EntityUid) -> String {
    debug_assert_eq!(group.kind(), cedar_type(entry.name.namespace(), "Action"));
    if entry.name.namespace().is_empty() {
        group.id().to_owned()
    } else {
        format!("{}.{}", entry.name.namespace(), group.id())
    }
}

/// The roots that all actions of a target have in common.
fn common_env(entries: &[&ActionEntry]) -> RuleEnv {
    let Some((first, rest)) = entries.split_first() else { return RuleEnv::default() };
    let mut env = first.env.clone();
    env.roots.retain(|root| {
        rest.iter().all(|entry| {
            entry
                .env
                .roots
                .iter()
                .any(|other| other.name == root.name && other.root == root.root && other.ty == root.ty)
        })
    });
    env
}
