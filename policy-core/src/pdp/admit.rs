//! From what an administrator writes to policies that are let in: every check that `Engine::replace` promises.
//!
//! In: Cedar text and rules of the language. Out: members of a set, or every finding. A bad set changes nothing.
//!
//! Every set passes every check whenever it is loaded, at a start too: nothing that is stored vouches for it, so whoever can
//! write to the database gains nothing by that. What makes a start quick is that the same work is not done again for each
//! set: the shipped baseline is admitted once for a program, and so is the part of the schema that an action needs made.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, OnceLock};

use super::beside::{Beside, idle};
use super::set::{Member, TierSet};
use crate::cedar::{self, CedarSchema};
use crate::check::{self, RootType, RuleEnv, Typed};
use crate::decision::Revision;
use crate::diagnostic::{Diagnostic, Severity};
use crate::eval::Truth;
use crate::ir::{Ir, Root};
use crate::kind::{Described, Field, Kind};
use crate::lower::{Unknown, constant, lower};
use crate::name::{EntityUid, Scope, Tier, nearest};
use crate::platform;
use crate::policy::{ActionConstraint, Constraint, Effect, Policy};
use crate::registry::{ActionEntry, Finding, Registry};
use crate::syntax::ast::Expr;
use crate::syntax::rule::{Rule, RuleCondition, RuleEffect, parse_rule};

/// What a set is made of.
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
/// use policy_core::pdp::SetSource;
///
/// let rule = ("no-new".to_owned(), "forbid Platform.createOrganization unless participant.mfa".to_owned());
/// let set = SetSource { rules: vec![rule], ..SetSource::default() };
/// assert_eq!(engine.replace(&Scope::System, &set).unwrap().revision.number, 2);
/// assert!(!engine.decide(&request).is_allowed());
/// ```
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
/// use policy_core::pdp::{Baseline, SetSource};
///
/// let empty = SetSource { baseline: Baseline::Replaced, ..SetSource::default() };
/// engine.replace(&Scope::System, &empty).unwrap();
/// assert!(!engine.decide(&request).is_allowed(), "an empty set denies");
/// ```
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
/// use policy_core::pdp::SetSource;
///
/// let done = engine.replace(&Scope::System, &SetSource::default()).unwrap();
/// assert_eq!((done.before.number, done.revision.number), (1, 2));
/// assert!(done.warnings.is_empty());
/// ```
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
/// use policy_core::pdp::SetSource;
///
/// let broken = SetSource { rules: vec![("x".into(), "forbid Platform.nothing".into())], ..SetSource::default() };
/// let error = engine.replace(&Scope::System, &broken).unwrap_err();
/// assert_eq!(error.findings().len(), 1);
/// let again = policy_core::pdp::SetError::new(vec![]).and(error.findings().to_vec());
/// assert_eq!(again, error);
/// assert_eq!(engine.revisions(&Scope::System)[0].number, 1, "nothing has changed");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetError(Vec<Finding>);

impl SetError {
    pub(super) fn one(place: &str, message: &str) -> Self {
        Self(vec![Finding::new(place, message)])
    }

    /// Makes one of findings.
    pub const fn new(findings: Vec<Finding>) -> Self {
        Self(findings)
    }

    /// With more findings behind its own.
    #[must_use]
    pub fn and(mut self, more: impl IntoIterator<Item = Finding>) -> Self {
        self.0.extend(more);
        self
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

/// Epoch and number of what a scope begins with.
const FIRST: (u64, u64) = (0, 1);

/// Counts and hashes a set (FNV-1a, 64 bits: a name for the content, no proof of it).
pub(super) fn revision(scope: &Scope, source: &SetSource, (epoch, number): (u64, u64)) -> Revision {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut feed = |text: &str| {
        for byte in (text.len() as u64).to_le_bytes().into_iter().chain(text.bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    feed(baseline(scope, source).map_or("", |(_, text)| text));
    for (section, entries) in [("cedar", &source.cedar), ("rules", &source.rules)] {
        feed(section);
        for (name, text) in entries {
            feed(name);
            feed(text);
        }
    }
    Revision { epoch, number, hash }
}

/// How many policies a set may have.
const POLICIES: usize = 200_000;

/// How many bytes a set may have: far more than as many policies have, and far less than a process.
const BYTES: usize = 64 << 20;

/// Whether a set can be looked at at all: asked before anything of it is parsed.
fn measured(scope: &Scope, source: &SetSource) -> Result<(), SetError> {
    let bytes: usize = source.cedar.iter().chain(&source.rules).map(|(name, text)| name.len() + text.len()).sum();
    // Every policy ends so; a `;` in a text counts too, which only errs on the safe side.
    let ends = |text: &str| text.bytes().filter(|byte| *byte == b';').count();
    let policies = source.rules.len() + source.cedar.iter().map(|(_, text)| ends(text)).sum::<usize>();
    for (found, most, what) in [(bytes, BYTES, "bytes"), (policies, POLICIES, "policies")] {
        if found > most {
            let message =
                format!("the set has {found} {what}, more than {most}\nhelp: keep what differs as attributes or roles");
            return Err(SetError::one(&scope.to_string(), &message));
        }
    }
    Ok(())
}

/// The baseline that a set starts from, if it has one.
fn baseline(scope: &Scope, source: &SetSource) -> Option<(&'static str, &'static str)> {
    match (scope.tier(), &source.baseline) {
        (Tier::System, Baseline::Shipped) => Some(("baseline/system.cedar", cedar::baseline::SYSTEM)),
        (Tier::Organization, Baseline::Shipped) => Some(("baseline/organization.cedar", cedar::baseline::ORGANIZATION)),
        (Tier::Application, _) | (_, Baseline::Replaced) => None,
    }
}

/// What a set has, and what is worth a look.
pub(super) type Admitted = (Vec<Arc<Member>>, Vec<Finding>);

/// What no administrator writes, made once for a program and shared by all sets.
#[derive(Debug, Default)]
pub(super) struct Shipped {
    /// The baselines of System and of organizations.
    baselines: [OnceLock<Result<Admitted, SetError>>; 2],
    /// What scopes begin with, by tier.
    first: [OnceLock<Result<Arc<TierSet>, SetError>>; 3],
}

impl Shipped {
    /// What a scope begins with: the same everywhere, so no epoch is needed to tell it apart.
    pub(super) fn first(&self, registry: &Registry, scope: &Scope, beside: &Beside) -> Result<Arc<TierSet>, SetError> {
        let source = SetSource::default();
        let make = || {
            let (members, _) = admit(registry, self, scope, &source, beside)?;
            Ok(Arc::new(TierSet::new(members, registry, revision(scope, &source, FIRST))))
        };
        match self.first.get(scope.tier() as usize).filter(|_| *beside == Beside::default()) {
            Some(kept) => kept.get_or_init(make).clone(),
            None => make(),
        }
    }

    /// It is about the platform alone, so it is the same beside whatever.
    fn baseline(
        &self,
        registry: &Registry,
        schema: &CedarSchema,
        scope: &Scope,
        source: &SetSource,
    ) -> Result<Admitted, SetError> {
        let Some((name, text)) = baseline(scope, source) else { return Ok(Admitted::default()) };
        let make = || {
            let (mut admitted, mut errors) = (Admitted::default(), Vec::new());
            load((registry, schema, &Beside::default()), (name, text), None, &mut admitted, &mut errors);
            if errors.is_empty() { Ok(admitted) } else { Err(SetError(errors)) }
        };
        match self.baselines.get(scope.tier() as usize) {
            Some(kept) => kept.get_or_init(make).clone(),
            None => make(),
        }
    }
}

pub(super) fn admit(
    registry: &Registry,
    shipped: &Shipped,
    scope: &Scope,
    source: &SetSource,
    beside: &Beside,
) -> Result<Admitted, SetError> {
    measured(scope, source)?;
    // One stack for the whole set, and not one for each of its rules.
    cedar::on_large_stack(|| admit_here(registry, shipped, scope, source, beside))
        .unwrap_or_else(|failed| Err(SetError::one(&scope.to_string(), &failed.to_string())))
}

fn admit_here(
    registry: &Registry,
    shipped: &Shipped,
    scope: &Scope,
    source: &SetSource,
    beside: &Beside,
) -> Result<Admitted, SetError> {
    // System rules hold for every application, so they read only what every application has.
    let schema = if scope.tier() == Tier::System { registry.platform_schema() } else { registry.schema() };
    let mut errors = Vec::new();
    let mut admitted = shipped.baseline(registry, schema, scope, source).unwrap_or_else(|SetError(found)| {
        errors.extend(found);
        Admitted::default()
    });
    for (name, text) in &source.cedar {
        load((registry, schema, beside), (name, text), Some(scope.tier()), &mut admitted, &mut errors);
    }
    let (mut members, mut warnings) = admitted;
    let mut inferred = Inferred::new();
    for (id, text) in &source.rules {
        match rule((registry, beside), scope, (id, text), &mut warnings, &mut inferred) {
            Ok(member) => members.push(Arc::new(member)),
            Err(findings) => errors.extend(findings),
        }
    }
    if scope.tier() == Tier::Application {
        members.extend(beside.closing(registry).map(Arc::new));
    }
    let mut seen = BTreeSet::new();
    for member in &members {
        if member.policy.id.is_empty() {
            errors.push(Finding::new(scope, "a rule has no id\nhelp: give it one, such as `mfa-for-orders`"));
        }
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
    (registry, schema, beside): (&Registry, &CedarSchema, &Beside),
    (name, text): (&str, &str),
    admin: Option<Tier>,
    (members, warnings): &mut Admitted,
    errors: &mut Vec<Finding>,
) {
    let loaded = match cedar::load(text, name, schema) {
        Ok(loaded) => loaded,
        Err(found) => {
            errors.extend(found.0.iter().map(|d| Finding::in_rule(name, text, d)));
            return;
        }
    };
    let mut here = Vec::with_capacity(loaded.len());
    for one in loaded {
        match beside.narrow(registry, one) {
            Ok(one) => here.push(one),
            Err(idle) => members.push(Arc::new(*idle)),
        }
    }
    let loaded = here;
    let policies: Vec<_> = loaded.iter().map(|one| one.cedar.clone()).collect();
    let mut found = cedar::validate(&policies, schema).0;
    if admin.is_some() {
        for one in &loaded {
            let own = cedar::unscoped_permit(&one.policy).into_iter().chain(cedar::lets_absence_through(&one.cedar).0);
            found.extend(own.map(|d| Diagnostic { span: one.span, ..d }));
        }
    }
    for diagnostic in found {
        let finding = Finding::in_rule(name, text, &diagnostic);
        match (diagnostic.code == cedar::IMPOSSIBLE, admin) {
            // What is shipped is for every program, also for one that has no actions of its own.
            (true, None) => {}
            // What can never apply is an error when somebody saves it.
            (true, Some(_)) => errors.push(finding),
            (false, _) if diagnostic.severity == Severity::Error => errors.push(finding),
            (false, _) => warnings.push(finding),
        }
    }
    for one in loaded {
        let fallback = one.not_lowered.is_some().then(|| cedar::Fallback::new(&one));
        let written = Some(one.text());
        members.push(Arc::new(Member { fallback, rules: Vec::new(), written, policy: one.policy }));
    }
}

/// The schemas that attributes which no type declares have led to, so that the rules of a set share them.
type Inferred = Vec<(BTreeMap<(Arc<str>, Arc<str>), Kind>, CedarSchema)>;

fn rule(
    (registry, beside): (&Registry, &Beside),
    scope: &Scope,
    (id, text): (&str, &str),
    warnings: &mut Vec<Finding>,
    inferred: &mut Inferred,
) -> Result<Member, Vec<Finding>> {
    let at = |d: &Diagnostic| Finding::in_rule(id, text, d);
    let parsed = parse_rule(text).map_err(|found| found.0.iter().map(at).collect::<Vec<_>>())?;
    let (action, entries) = target(registry, beside, &parsed).map_err(|d| vec![at(&d)])?;
    let effect = match parsed.effect {
        RuleEffect::Permit => Effect::Permit,
        RuleEffect::Forbid => Effect::Forbid,
    };
    let mut policy = Policy {
        id: id.into(),
        effect,
        principal: Constraint::Any,
        action,
        resource: Constraint::Any,
        condition: None,
        annotations: vec![(Arc::from("rule"), Arc::from(text.trim()))],
    };
    if scope.tier() == Tier::Application && effect == Effect::Permit {
        return Err(vec![no_permit(registry, &policy)]);
    }
    if beside.here(registry, &policy.action).is_none() {
        return Ok(idle(policy, text.trim().into()));
    }
    let (mut env, mut schema) = (common_env(&entries), Cow::Borrowed(registry.schema()));
    if scope.tier() == Tier::System {
        env = common_env(&[]);
        schema = Cow::Borrowed(registry.platform_schema());
    } else if let (RuleEffect::Forbid, Some(written)) = (parsed.effect, &parsed.condition) {
        // A permit reads only what is declared: a value of an unexpected kind must not open anything.
        schema = with_inferred(registry, written.expr(), &mut env, (id, text), warnings, inferred)?;
    }
    let (unknown, satisfied) = match effect {
        Effect::Permit => (Unknown::Fails, Truth::True),
        Effect::Forbid => (Unknown::Holds, Truth::False),
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
        if let Some(always) = constant(&lowered) {
            let (what, help) = if always {
                ("always holds", "leave the condition out")
            } else {
                ("never holds", "drop the rule, or say what it should ask")
            };
            let told =
                Diagnostic::error("constant", written.expr().span, format!("this rule {what}, whatever the data"));
            return Err(vec![at(&told.with_help(help))]);
        }
        condition = Ir::And(vec![Ir::And(vec![lowered])]);
        rules.push((typed, wanted));
    }
    policy.condition = Some(condition);
    let cedar_policy = cedar::to_pst(&policy).map_err(|d| vec![Finding::new(id, d.to_string())])?;
    let found = cedar::validate(std::slice::from_ref(&cedar_policy), &schema);
    if !found.0.is_empty() {
        // What can never be true is an error when somebody saves it.
        let told = |d: &Diagnostic| Finding { code: d.code, ..Finding::new(id, d.to_string()) };
        return Err(found.0.iter().map(told).collect());
    }
    Ok(Member { policy, fallback: None, rules, written: None })
}

/// Attributes that no type declares and no rule of the program reads yet: the rule itself says their kinds, and the schema
/// that it is validated against has them.
fn with_inferred<'r>(
    registry: &'r Registry,
    condition: &Expr,
    env: &mut RuleEnv,
    (id, text): (&str, &str),
    warnings: &mut Vec<Finding>,
    inferred: &mut Inferred,
) -> Result<Cow<'r, CedarSchema>, Vec<Finding>> {
    let mut evidence = Vec::new();
    check::collect(condition, env, &id.into(), &mut evidence);
    let found = check::solve(&evidence)
        .map_err(|conflicts| conflicts.iter().map(|c| Finding::new(id, c.to_string())).collect::<Vec<_>>())?;
    if found.is_empty() {
        return Ok(Cow::Borrowed(registry.schema()));
    }
    warnings.extend(check::undeclared(&evidence, env).iter().map(|d| Finding::in_rule(id, text, d)));
    env.inferred.extend(found.clone());
    if let Some((_, schema)) = inferred.iter().find(|(known, _)| *known == found) {
        return Ok(Cow::Owned(schema.clone()));
    }
    let mut model = registry.model().clone();
    for ((root, name), kind) in &found {
        let field =
            Field { name: name.clone(), rust_name: name.clone(), ty: Described::optional(kind.clone()), secret: false };
        if &**root == "context" {
            model.context.push(field);
        } else if let Some(participant) = model.entities.iter_mut().find(|e| &*e.name == platform::PARTICIPANT) {
            participant.attributes.push(field);
        }
    }
    let schema = cedar::schema(&model).map_err(|e| vec![Finding::new(id, e.to_string())])?;
    inferred.push((found, schema.clone()));
    Ok(Cow::Owned(schema))
}

/// An action, a service or an entity's group, by its dotted name.
fn target<'r>(
    registry: &'r Registry,
    beside: &Beside,
    rule: &Rule,
) -> Result<(ActionConstraint, Vec<&'r ActionEntry>), Diagnostic> {
    let name = rule.target.name();
    let name = name.as_str();
    if let Some(entry) = registry.find(name).filter(|_| !rule.target.wildcard).and_then(|id| registry.action(id)) {
        return Ok((ActionConstraint::Eq(entry.uid.clone()), vec![entry]));
    }
    let group = registry.actions().flat_map(|(_, entry)| &entry.groups).find(|group| dotted(group) == name).cloned();
    if let Some(group) = group {
        let entries = registry.members(&group).iter().filter_map(|id| registry.action(*id)).collect();
        return Ok((ActionConstraint::In(vec![group]), entries));
    }
    if let Some(uid) = beside.uids().find(|uid| dotted(uid) == name) {
        return Ok((ActionConstraint::Eq(uid), Vec::new()));
    }
    let mut known: BTreeSet<String> = registry.actions().map(|(_, e)| e.name.to_string()).collect();
    known.extend(registry.actions().flat_map(|(_, e)| e.groups.iter().map(dotted)));
    known.extend(beside.uids().map(|uid| dotted(&uid)));
    let help = match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "a target is an action, a service or an entity's group, such as `com.example.OrderService.placeOrder`"
            .to_owned(),
    };
    Err(Diagnostic::error("unknown-target", rule.target.span, format!("there is no action, service or group `{name}`"))
        .with_help(help))
}

fn dotted(group: &EntityUid) -> String {
    match group.kind().rsplit_once("::") {
        Some((namespace, _)) => format!("{}.{}", namespace.replace("::", "."), group.id()),
        None => group.id().to_owned(),
    }
}

/// The roots that all actions of a target have in common; participant and context always, if only with what is built in.
fn common_env(entries: &[&ActionEntry]) -> RuleEnv {
    let mut env = entries.first().map(|first| first.env.clone()).unwrap_or_default();
    let rest = entries.get(1..).unwrap_or_default();
    env.roots.retain(|root| {
        rest.iter().all(|entry| {
            entry.env.roots.iter().any(|other| {
                other.name == root.name && other.root == root.root && other.ty == root.ty && other.open == root.open
            })
        })
    });
    for (at, (name, root, built_in)) in [
        ("participant", Root::Participant, &crate::participant::BUILT_IN),
        ("context", Root::Context, &crate::context::BUILT_IN),
    ]
    .into_iter()
    .enumerate()
    {
        if !env.roots.iter().any(|r| r.root == root) {
            let ty = Some(Described::required(Kind::Record(Arc::new((**built_in).clone()))));
            env.roots.insert(at, RootType { name: name.into(), rust_name: name.into(), root, ty, open: false });
        }
    }
    env
}
