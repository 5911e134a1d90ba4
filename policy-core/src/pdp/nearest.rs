//! What would have to be otherwise: the fewest conditions whose change turns a denial into Allow.
//!
//! In: a denied request. Out: [`Nearest`], tried before it is told. Absent: whether anybody should make the change.

#![expect(clippy::wildcard_enum_match_arm, reason = "what is not understood here cannot be changed")]

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::altered::{Altered, Edit};
use super::asked::Asked;
use super::set::{Member, TierSet};
use super::stack::Sets;
use super::{Engine, explain};
use crate::check::{Leaf, Term, Test, Typed, TypedPath};
use crate::decision::{DenialKind, Observed};
use crate::eval::{Truth, observe, truth};
use crate::ir::eval::{Facts as _, look};
use crate::ir::like::like;
use crate::ir::{Binary, Ir, Path, Root, Var};
use crate::kind::Kind;
use crate::name::EntityUid;
use crate::policy::{Constraint, Effect};
use crate::request::Request;
use crate::syntax::ast::{CompareOp, PatternPart};
use crate::value::{Decimal, IpRange, Millis, Slot, Value};

/// How many ways are followed at once.
const WAYS: usize = 48;

/// The nearest change that opens.
///
/// ```
/// # use policy_core::pdp::{Engine, Nearest, SetSource};
/// # use policy_core::registry::Registry;
/// # use policy_core::{Context, Facts, Participant, Request, Scope, value::Millis};
/// # let engine = Engine::new(Registry::of(&[], &[]).unwrap().into()).unwrap();
/// # let facts = Facts::default();
/// # let visitor = Participant::builder(Scope::System, "u-1").build();
/// # let request = Request { participant: &visitor, action: engine.action("Platform.createOrganization").unwrap(),
/// #     scope: &Scope::System, resource: None, context: Context { time: Millis(0), facts: &facts }, args: &[] };
/// let Nearest::Change { flips, .. } = engine.nearest(&request) else { panic!("a role is missing") };
/// assert!(flips[0].wanted.starts_with("participant.roles contains '"), "{flips:?}");
/// ```
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "there are three answers")]
pub enum Nearest {
    /// It is allowed as it is.
    Allowed,
    /// These conditions, all of them, and no fewer were found.
    Change {
        /// The conditions.
        flips: Vec<Flip>,
        /// Values with which the engine allows the request.
        edits: Vec<Edit>,
    },
    /// Nothing was found that the request could say to be allowed.
    None {
        /// Why, in one line.
        because: String,
    },
}

/// A condition that would have to be otherwise.
///
/// ```
/// # use policy_core::pdp::{Engine, Nearest};
/// # use policy_core::registry::Registry;
/// # use policy_core::{Context, Facts, Participant, Request, Scope, value::Millis};
/// # let engine = Engine::new(Registry::of(&[], &[]).unwrap().into()).unwrap();
/// # let facts = Facts::default();
/// # let visitor = Participant::builder(Scope::System, "u-1").build();
/// # let request = Request { participant: &visitor, action: engine.action("Platform.createOrganization").unwrap(),
/// #     scope: &Scope::System, resource: None, context: Context { time: Millis(0), facts: &facts }, args: &[] };
/// let Nearest::Change { flips, .. } = engine.nearest(&request) else { panic!("a role is missing") };
/// assert_eq!(flips[0].now[0].value, "[]");
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Flip {
    /// The policy that asks for it.
    pub policy: Arc<str>,
    /// The condition as it must be: `order.amount < 50000`.
    pub wanted: String,
    /// What it reads now, secrets redacted.
    pub now: Vec<Observed>,
}

/// A condition in negation normal form, over numbered leaves.
enum Need {
    Always,
    Never,
    Leaf(usize, bool),
    All(Vec<Self>),
    Any(Vec<Self>),
}

/// What leaves must be, by their numbers.
type Way = BTreeMap<usize, bool>;

struct Known {
    leaf: Leaf,
    policy: Arc<str>,
    now: Truth,
    /// What makes it true, and what makes it false.
    edits: [Option<Edit>; 2],
}

struct Search<'a> {
    asked: &'a Asked<'a>,
    leaves: Vec<Known>,
    /// The numbers of leaves, by their text: what is spelled alike reads the same of one request.
    numbers: HashMap<Arc<str>, usize>,
}

impl Engine {
    /// Finds the fewest conditions that would have to be otherwise for the request to be allowed, with values for which the
    /// engine does allow it. Who asks, and about which resource, stays as it is. The search is bounded: where a request could be
    /// opened in very many ways, the way that is told opens, and another might need fewer changes.
    pub fn nearest(&self, request: &Request<'_>) -> Nearest {
        let snapshot = self.current.load();
        let decision = self.decide_in(&snapshot, request);
        let Some(denial) = decision.denial() else { return Nearest::Allowed };
        let none = |because: String| Nearest::None { because };
        if !matches!(denial.kind, DenialKind::Forbidden | DenialKind::NotPermitted | DenialKind::ForbidFailed) {
            return none(denial.message.clone());
        }
        let entry_sets =
            self.registry.action(request.action).and_then(|entry| Some((entry, snapshot.sets(entry, request).ok()?)));
        let Some((entry, sets)) = entry_sets else { return none(denial.message.clone()) };
        let asked = Asked::new(entry, request, sets.stack);
        let mut search = Search { asked: &asked, leaves: Vec::new(), numbers: HashMap::new() };
        let ways = match search.needs(&sets) {
            Ok(need) => search.ways(&need),
            Err(because) => return none(because),
        };
        for way in ways {
            let flips: Vec<(usize, bool)> = way.into_iter().filter(|(n, to)| !search.is(*n, *to)).collect();
            let edits = search.edits(&flips);
            let mut altered = Altered::of(request);
            if edits.iter().all(|edit| altered.edit(edit).is_some())
                && altered.ask(request, |changed| self.decide_in(&snapshot, changed).is_allowed())
            {
                return Nearest::Change { flips: search.flips(&flips), edits };
            }
        }
        none("no change was found with which every tier allows it".to_owned())
    }
}

impl Search<'_> {
    /// What every tier needs; or the forbid or the tier for which no change is enough.
    fn needs(&mut self, sets: &Sets<'_>) -> Result<Need, String> {
        let mut all = Vec::new();
        for tier in sets.tiers() {
            for set in sets.parts(tier) {
                for member in self.about(set, Effect::Forbid) {
                    let need = self.not_forbidden(member);
                    if self.ways(&need).is_empty() {
                        return Err(format!("no change of the request can: forbidden by `{}`", member.policy.id));
                    }
                    all.push(need);
                }
            }
            for set in sets.permitting(tier) {
                let any: Vec<Need> = self.about(set, Effect::Permit).map(|member| self.permitted(member)).collect();
                let any = Need::Any(any);
                if self.ways(&any).is_empty() {
                    return Err(format!("no change of the request can: no policy of the {tier} permits it"));
                }
                all.push(any);
            }
        }
        Ok(Need::All(all))
    }

    fn about<'s>(&self, set: &'s TierSet, effect: Effect) -> impl Iterator<Item = &'s Member> + use<'s> {
        let env = self.asked.env();
        let (action, groups) = (env.action, env.action_groups);
        let admits =
            move |member: &&Member| member.policy.effect == effect && member.policy.action.admits(action, groups);
        set.members().filter(admits).collect::<Vec<_>>().into_iter()
    }

    fn permitted(&mut self, member: &Member) -> Need {
        let mut all = vec![self.principal(member), self.resource(member)];
        all.push(self.condition(member, true));
        Need::All(all)
    }

    fn not_forbidden(&mut self, member: &Member) -> Need {
        if let (Constraint::Any, Need::Always) = (&member.policy.principal, self.resource(member)) {
            return self.condition(member, false);
        }
        let env = self.asked.env();
        let meant = member.policy.principal.admits(env.principal, env.principal_parents)
            && member.policy.resource.admits(env.resource, env.resource_parents);
        // Nobody is told to shed a role.
        if meant { self.condition(member, false) } else { Need::Always }
    }

    fn principal(&mut self, member: &Member) -> Need {
        let env = self.asked.env();
        match &member.policy.principal {
            constraint if constraint.admits(env.principal, env.principal_parents) => Need::Always,
            Constraint::In(uid) => self.role(uid, &member.policy.id).map_or(Need::Never, |n| Need::Leaf(n, true)),
            _ => Need::Never,
        }
    }

    fn resource(&self, member: &Member) -> Need {
        let env = self.asked.env();
        let meant = member.policy.resource.admits(env.resource, env.resource_parents);
        if meant { Need::Always } else { Need::Never }
    }

    /// A role of the participant's own scope, as a leaf.
    fn role(&mut self, uid: &EntityUid, policy: &Arc<str>) -> Option<usize> {
        let role = uid.id().rsplit_once('/')?.1;
        (EntityUid::of_role(self.asked.request.participant.scope(), role) == *uid).then_some(())?;
        let path = Path { root: Root::Participant, slots: vec![Slot { index: 3, name: "roles".into() }] };
        let kind = Kind::Set(Arc::new(Kind::Text));
        let path = TypedPath { path, kind, optional: false, secret: false, text: "participant.roles".into() };
        let text = format!("participant.roles contains {}", Value::text(role).as_ref()).into();
        Some(self.leaf(Leaf { test: Test::Contains(path, Term::Value(Value::text(role))), text }, policy))
    }

    /// The condition of a permit as it must be, or of a forbid as it must not be.
    fn condition(&mut self, member: &Member, permits: bool) -> Need {
        let id = &member.policy.id;
        if !member.rules.is_empty() {
            let needs =
                member.rules.iter().map(|(rule, wanted)| self.typed(rule, *wanted == Truth::True, id)).collect();
            return Need::All(needs);
        }
        if let Some(condition) = &member.policy.condition {
            return self.ir(condition, permits, id);
        }
        let fits = member.satisfied(self.asked.env()) == Ok(permits);
        if fits { Need::Always } else { Need::Never }
    }

    fn typed(&mut self, rule: &Typed, wanted: bool, policy: &Arc<str>) -> Need {
        match (rule, wanted) {
            (Typed::And(items), true) | (Typed::Or(items), false) => {
                Need::All(items.iter().map(|item| self.typed(item, wanted, policy)).collect())
            }
            (Typed::And(items), false) | (Typed::Or(items), true) => {
                Need::Any(items.iter().map(|item| self.typed(item, wanted, policy)).collect())
            }
            (Typed::Not(inner), _) => self.typed(inner, !wanted, policy),
            (Typed::Leaf(leaf), _) => Need::Leaf(self.leaf(leaf.clone(), policy), wanted),
        }
    }

    /// Cedar as an administrator wrote it, as far as its parts are those of the language.
    fn ir(&mut self, ir: &Ir, wanted: bool, policy: &Arc<str>) -> Need {
        match (ir, wanted) {
            (Ir::And(items), true) | (Ir::Or(items), false) => {
                Need::All(items.iter().map(|item| self.ir(item, wanted, policy)).collect())
            }
            (Ir::And(items), false) | (Ir::Or(items), true) => {
                Need::Any(items.iter().map(|item| self.ir(item, wanted, policy)).collect())
            }
            (Ir::Not(inner), _) => self.ir(inner, !wanted, policy),
            (Ir::Const(Value::Bool(b)), _) => {
                if *b == wanted {
                    Need::Always
                } else {
                    Need::Never
                }
            }
            (Ir::Binary(Binary::In, sides), _) if matches!(sides.first(), Some(Ir::Var(Var::Principal))) => {
                match sides.get(1) {
                    Some(Ir::Entity(uid)) => self.role(uid, policy).map_or(Need::Never, |n| Need::Leaf(n, wanted)),
                    _ => Need::Never,
                }
            }
            _ => {
                if let Some(leaf) = self.leaf_of(ir) {
                    return Need::Leaf(self.leaf(leaf, policy), wanted);
                }
                let holds = crate::ir::eval::holds(ir, self.asked.env());
                if holds == Ok(wanted) { Need::Always } else { Need::Never }
            }
        }
    }

    fn leaf_of(&self, ir: &Ir) -> Option<Leaf> {
        let typed = |path: &Path, kind: Kind| {
            let (text, secret) = explain::spelled(path, self.asked.entry);
            TypedPath { path: path.clone(), kind, optional: true, secret, text: text.into() }
        };
        let (test, shown) = match ir {
            Ir::Path(path) => {
                let path = typed(path, Kind::Bool);
                (Test::Truth(path.clone()), path.text.to_string())
            }
            Ir::Has(path) => {
                let path = typed(path, Kind::Text);
                let text = format!("{} exists", path.text);
                (Test::Exists(path), text)
            }
            Ir::Binary(op, sides) => {
                let [Ir::Path(path), Ir::Const(value)] = &**sides else { return None };
                let path = typed(path, kind_of(value)?);
                let compare = |op, word| {
                    let text = format!("{} {word} {}", path.text, value.as_ref());
                    (Test::Compare(op, Term::Path(path.clone()), Term::Value(value.clone())), text)
                };
                match op {
                    Binary::Eq => compare(CompareOp::Eq, "=="),
                    Binary::Ne => compare(CompareOp::Ne, "!="),
                    Binary::Less | Binary::DecimalLess => compare(CompareOp::Lt, "<"),
                    Binary::LessEq | Binary::DecimalLessEq => compare(CompareOp::Le, "<="),
                    Binary::Greater | Binary::DecimalGreater => compare(CompareOp::Gt, ">"),
                    Binary::GreaterEq | Binary::DecimalGreaterEq => compare(CompareOp::Ge, ">="),
                    Binary::Contains => {
                        let text = format!("{} contains {}", path.text, value.as_ref());
                        let path = TypedPath { kind: Kind::Set(Arc::new(path.kind)), ..path };
                        (Test::Contains(path, Term::Value(value.clone())), text)
                    }
                    _ => return None,
                }
            }
            _ => return None,
        };
        Some(Leaf { test, text: shown.into() })
    }

    fn leaf(&mut self, leaf: Leaf, policy: &Arc<str>) -> usize {
        if let Some(known) = self.numbers.get(&leaf.text) {
            return *known;
        }
        self.numbers.insert(leaf.text.clone(), self.leaves.len());
        let edits = [true, false].map(|wanted| self.edit(&leaf.test, wanted));
        let now = truth(&Typed::Leaf(leaf.clone()), self.asked.env());
        self.leaves.push(Known { leaf, policy: policy.clone(), now, edits });
        self.leaves.len() - 1
    }

    fn is(&self, leaf: usize, wanted: bool) -> bool {
        self.leaves.get(leaf).is_some_and(|known| known.now == Truth::from(wanted))
    }

    fn changes(&self, way: &Way) -> usize {
        way.iter().filter(|(leaf, wanted)| !self.is(**leaf, **wanted)).count()
    }

    /// The ways in which a need is met, those with the fewest changes first.
    fn ways(&self, need: &Need) -> Vec<Way> {
        let mut found: Vec<Way> = match need {
            Need::Always => vec![Way::new()],
            Need::Never => Vec::new(),
            Need::Leaf(leaf, wanted) => {
                let can = self.leaves.get(*leaf).and_then(|known| known.edits.get(usize::from(!wanted))?.as_ref());
                let open = self.is(*leaf, *wanted) || can.is_some();
                open.then(|| Way::from([(*leaf, *wanted)])).into_iter().collect()
            }
            Need::Any(needs) => needs.iter().flat_map(|need| self.ways(need)).collect(),
            Need::All(needs) => {
                let mut all = vec![Way::new()];
                for need in needs {
                    let next = self.ways(need);
                    all = all.iter().flat_map(|way| next.iter().filter_map(|other| joined(way, other))).collect();
                    self.fewest(&mut all);
                }
                all
            }
        };
        self.fewest(&mut found);
        found
    }

    fn fewest(&self, ways: &mut Vec<Way>) {
        ways.sort_by_cached_key(|way| (self.changes(way), way.clone()));
        ways.dedup();
        ways.truncate(WAYS);
    }

    fn flips(&self, flips: &[(usize, bool)]) -> Vec<Flip> {
        let of = |(leaf, wanted): &(usize, bool)| {
            let Known { leaf, policy, .. } = self.leaves.get(*leaf)?;
            let rule = Typed::Leaf(leaf.clone());
            let now = observe(&rule, self.asked.env());
            let rule = if *wanted { rule } else { Typed::Not(Box::new(rule)) };
            Some(Flip { policy: policy.clone(), wanted: rule.to_string(), now })
        };
        flips.iter().filter_map(of).collect()
    }

    /// The edits of flips: what must be there before what it must be, and what is added to one set in one edit.
    fn edits(&self, flips: &[(usize, bool)]) -> Vec<Edit> {
        let mut out: Vec<Edit> = Vec::new();
        let of = |(leaf, wanted): &(usize, bool)| {
            let known = self.leaves.get(*leaf)?;
            Some((&known.leaf.test, known.edits.get(usize::from(!wanted))?.clone()?))
        };
        let mut all: Vec<_> = flips.iter().filter_map(of).collect();
        all.sort_by_key(|(test, _)| !matches!(test, Test::Exists(_)));
        for (test, edit) in all {
            match (out.iter_mut().find(|known| known.path == edit.path), test) {
                (Some(known), Test::Contains(..)) => {
                    let (Some(Value::Set(have)), Some(Value::Set(more))) = (&mut known.to, &edit.to) else { continue };
                    for item in more {
                        if !have.contains(item) {
                            have.push(item.clone());
                        }
                    }
                }
                (Some(known), _) => *known = edit,
                (None, _) => out.push(edit),
            }
        }
        out
    }

    /// What makes a predicate what is wanted, where one attribute can.
    fn edit(&self, test: &Test, wanted: bool) -> Option<Edit> {
        let (path, to) = match test {
            Test::Compare(op, left, right) => self.compare(*op, left, right, wanted)?,
            Test::Contains(path, item) => {
                let item = self.term(item)?;
                let mut items = match self.value(path) {
                    Some(Value::Set(items)) => items,
                    _ => Vec::new(),
                };
                items.retain(|known| *known != item);
                items.extend(wanted.then_some(item));
                (path, Some(Value::Set(items)))
            }
            Test::OneOf(path, list) if wanted => (path, list.first().cloned()),
            Test::OneOf(path, list) => {
                let other =
                    list.iter().filter_map(|value| other(value, &path.kind)).find(|value| !list.contains(value));
                (path, Some(other?))
            }
            Test::InRange(path, range) => (path, Some(Value::Ip(IpRange::single(address(range, wanted)?)))),
            Test::Like(path, pattern) => {
                let plain: String = pattern
                    .iter()
                    .filter_map(|part| if let PatternPart::Char(c) = part { Some(*c) } else { None })
                    .collect();
                let all = [plain, String::new(), "x".to_owned()];
                let fitting = all.into_iter().find(|text| like(pattern, text) == wanted)?;
                (path, Some(Value::text(&fitting)))
            }
            Test::Exists(path) if wanted => (path, Some(some(&path.kind)?)),
            Test::Exists(path) => (path, path.optional.then_some(None)?),
            Test::Truth(path) => (path, Some(Value::Bool(wanted))),
        };
        to.is_some().then_some(()).or_else(|| matches!(test, Test::Exists(_)).then_some(()))?;
        editable(&path.path).then(|| Edit { path: path.path.clone(), text: path.text.clone(), to, secret: path.secret })
    }

    fn value(&self, path: &TypedPath) -> Option<Value> {
        look(&path.path, self.asked.env()).ok()?.to_value()
    }

    fn term(&self, term: &Term) -> Option<Value> {
        match term {
            Term::Path(path) => self.value(path),
            Term::Value(value) => Some(value.clone()),
        }
    }

    fn compare<'t>(
        &self,
        op: CompareOp,
        left: &'t Term,
        right: &'t Term,
        wanted: bool,
    ) -> Option<(&'t TypedPath, Option<Value>)> {
        let op = if wanted { op } else { opposite(op) };
        let side = |path: &'t Term, other: &Term, op| match path {
            Term::Path(path) if editable(&path.path) => Some((path, Some(beside(op, &self.term(other)?, &path.kind)?))),
            _ => None,
        };
        side(left, right, op).or_else(|| side(right, left, mirrored(op)))
    }
}

fn joined(way: &Way, other: &Way) -> Option<Way> {
    let agree = other.iter().all(|(leaf, wanted)| way.get(leaf).is_none_or(|known| known == wanted));
    agree.then(|| way.iter().chain(other).map(|(leaf, wanted)| (*leaf, *wanted)).collect())
}

/// Who asks is not the request's to say.
fn editable(path: &Path) -> bool {
    let first = path.slots.first().map(|slot| &*slot.name);
    match path.root {
        Root::Participant => !matches!(first, Some("id" | "tier" | "organization" | "application") | None),
        Root::Context => !matches!(first, Some("requestId") | None),
        Root::Resource | Root::Arg(..) => true,
    }
}

const fn opposite(op: CompareOp) -> CompareOp {
    match op {
        CompareOp::Eq => CompareOp::Ne,
        CompareOp::Ne => CompareOp::Eq,
        CompareOp::Lt => CompareOp::Ge,
        CompareOp::Ge => CompareOp::Lt,
        CompareOp::Gt => CompareOp::Le,
        CompareOp::Le => CompareOp::Gt,
    }
}

const fn mirrored(op: CompareOp) -> CompareOp {
    match op {
        CompareOp::Lt => CompareOp::Gt,
        CompareOp::Gt => CompareOp::Lt,
        CompareOp::Le => CompareOp::Ge,
        CompareOp::Ge => CompareOp::Le,
        CompareOp::Eq | CompareOp::Ne => op,
    }
}

/// A value for which `value op than` holds, as near to `than` as there is one.
fn beside(op: CompareOp, than: &Value, kind: &Kind) -> Option<Value> {
    let step = match op {
        CompareOp::Eq | CompareOp::Le | CompareOp::Ge => return Some(than.clone()),
        CompareOp::Ne => return other(than, kind),
        CompareOp::Lt => -1,
        CompareOp::Gt => 1,
    };
    moved(than, step)
}

fn moved(value: &Value, step: i64) -> Option<Value> {
    Some(match value {
        Value::Long(n) => Value::Long(n.checked_add(step)?),
        Value::Decimal(d) => Value::Decimal(Decimal::from_scaled(d.scaled().checked_add(step)?)),
        Value::Datetime(t) => Value::Datetime(Millis(t.0.checked_add(step)?)),
        _ => return None,
    })
}

fn other(value: &Value, kind: &Kind) -> Option<Value> {
    match (value, kind) {
        (Value::Bool(b), _) => Some(Value::Bool(!b)),
        (Value::Text(text), Kind::Enum(variants)) => variants.iter().find(|v| *v != text).cloned().map(Value::Text),
        (Value::Text(text), _) => Some(Value::text(&format!("{text}-other"))),
        (Value::Ip(ip), _) => address(ip, false).map(|address| Value::Ip(IpRange::single(address))),
        (value, _) => moved(value, 1).or_else(|| moved(value, -1)),
    }
}

fn address(range: &IpRange, within: bool) -> Option<IpAddr> {
    const OUTSIDE: [IpAddr; 4] = [
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
        IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)),
    ];
    if within { Some(range.bounds().0) } else { OUTSIDE.into_iter().find(|address| !range.contains(*address)) }
}

/// Any value of a kind.
fn some(kind: &Kind) -> Option<Value> {
    Some(match kind {
        Kind::Bool => Value::Bool(true),
        Kind::Long => Value::Long(0),
        Kind::Decimal => Value::Decimal(Decimal::from_scaled(0)),
        Kind::Text => Value::text("x"),
        Kind::Enum(variants) => Value::Text(variants.first()?.clone()),
        Kind::Datetime => Value::Datetime(Millis(0)),
        Kind::Set(_) => Value::Set(Vec::new()),
        Kind::Uuid | Kind::Ip | Kind::Record(_) => return None,
    })
}

fn kind_of(value: &Value) -> Option<Kind> {
    Some(match value {
        Value::Bool(_) => Kind::Bool,
        Value::Long(_) => Kind::Long,
        Value::Decimal(_) => Kind::Decimal,
        Value::Text(_) => Kind::Text,
        Value::Uuid(_) => Kind::Uuid,
        Value::Datetime(_) => Kind::Datetime,
        Value::Ip(_) => Kind::Ip,
        Value::Set(_) | Value::Record(_) => return None,
    })
}
