//! Rules of the policy language, from their text to Cedar's answer.
//!
//! In: random texts. Out: a [`Report`] of whether all ways agree: the three-valued meaning of the typed rule, the lowered
//! condition for what permits and for what forbids, and Cedar over the policy that is generated.

#![expect(clippy::wildcard_enum_match_arm, reason = "all other kinds are scalars, and alike here")]

use std::collections::BTreeMap;
use std::sync::Arc;

use super::compare::Report;
use super::random::Random;
use super::world::{self, Facets, World};
use crate::cedar::{self, Judge};
use crate::check::{self, RootType, RuleEnv, Typed};
use crate::eval::{Truth, truth};
use crate::ir::code::Code;
use crate::ir::{Path, Root};
use crate::kind::{Described, Kind};
use crate::lower::{Unknown, lower};
use crate::name::EntityUid;
use crate::policy::{ActionConstraint, Constraint, Effect, Policy};
use crate::syntax;
use crate::value::Value;

/// Requests per rule.
const REQUESTS: u64 = 8;
/// Words that mean something else at the start of a path.
const KEYWORDS: [&str; 8] = ["and", "or", "not", "contains", "in", "like", "exists", "true"];

/// Compares the meaning of random rules with their evaluation and with Cedar's answer to the policies made of them.
pub fn language(cases: u64, seed: u64) -> Report {
    let mut report = Report::default();
    let mut seeds = Random::new(seed);
    // A rule that the checker refuses (a literal that its kind cannot hold) is no case; few are.
    let mut attempts = cases * 2 + 100;
    while report.cases < cases && report.disagreements.len() < 5 && attempts > 0 {
        attempts -= 1;
        let chance = seeds.next();
        let r = &mut Random::new(chance);
        let world = World::random(r, false);
        let env = environment(&world);
        let text = rule(r, &world, 3);
        let typed = match syntax::parse(&text).and_then(|tree| check::check(&tree, &env)) {
            Ok(typed) => typed,
            Err(found) => {
                let fine = found.0.iter().all(|d| d.code == "literal");
                if !fine {
                    report.disagreements.push(format!("seed {chance}: refused: {text}\n{found}"));
                }
                continue;
            }
        };
        let sides = [(Effect::Permit, Unknown::Fails), (Effect::Forbid, Unknown::Holds)]
            .map(|(effect, unknown)| Side::new(effect, unknown, &typed, &world));
        for _ in 0..REQUESTS.min(cases - report.cases) {
            let facets = world.request(r);
            case(&typed, &sides, &facets, &mut report, &|what| {
                format!("seed {chance}: {text}\n{what}\n{}", facets.describe())
            });
        }
    }
    report
}

struct Side {
    effect: Effect,
    policy: Policy,
    judge: Result<Judge, String>,
}

impl Side {
    fn new(effect: Effect, unknown: Unknown, typed: &Typed, world: &World) -> Self {
        let policy = Policy {
            id: "rule".into(),
            effect,
            principal: Constraint::Any,
            action: ActionConstraint::Eq(EntityUid::new("com::example::Action", "Photos.open")),
            resource: Constraint::Any,
            condition: Some(lower(typed, unknown)),
            annotations: vec![],
        };
        let judge = cedar::to_pst(&policy).map(|p| Judge::new([p], &world.model)).map_err(|d| d.to_string());
        Self { effect, policy, judge }
    }
}

fn case(typed: &Typed, sides: &[Side; 2], facets: &Facets, report: &mut Report, tell: &dyn Fn(String) -> String) {
    report.cases += 1;
    let meaning = facets.with_env(|env| truth(typed, env));
    report.allowed += u64::from(meaning == Truth::True);
    report.denied += u64::from(meaning != Truth::True);
    for Side { effect, policy, judge } in sides {
        report.policies += 1;
        let wanted = match effect {
            Effect::Permit => meaning == Truth::True,
            Effect::Forbid => meaning != Truth::False,
        };
        let ours = facets.with_env(|env| policy.satisfied(env));
        let ready =
            policy.condition.as_ref().and_then(|condition| facets.with_env(|env| Code::of(condition).holds(env)));
        let cedars = judge.as_ref().map_err(Clone::clone).and_then(|judge| facets.with_env(|env| judge.decide(env)));
        let satisfied = cedars.as_ref().map(|c| !c.deciding.is_empty());
        let clean = cedars.as_ref().is_ok_and(|c| c.erring.is_empty());
        report.errored += u64::from(!clean);
        if ours != Some(Ok(wanted)) || ready != Some(wanted) || satisfied != Ok(wanted) || !clean {
            let text = cedar::render(policy).unwrap_or_default();
            report.disagreements.push(tell(format!(
                "means {meaning:?}; we say {ours:?}, made ready {ready:?}; Cedar says {cedars:?}\n{text}"
            )));
            return;
        }
    }
}

fn environment(world: &World) -> RuleEnv {
    let roots = world.roots().into_iter().map(|(name, root, ty)| RootType {
        name: name.into(),
        rust_name: name.into(),
        root,
        ty: Some(ty),
        open: false,
    });
    RuleEnv { roots: roots.collect(), inferred: BTreeMap::new() }
}

pub(super) fn rule(r: &mut Random, world: &World, depth: usize) -> String {
    if depth == 0 {
        return predicate(r, world);
    }
    let down = |r: &mut Random| rule(r, world, depth - 1);
    match r.below(9) {
        0..=2 => format!("({} and {})", down(r), down(r)),
        3..=4 => format!("({} or {})", down(r), down(r)),
        5 | 6 => format!("not ({})", down(r)),
        _ => predicate(r, world),
    }
}

fn predicate(r: &mut Random, world: &World) -> String {
    let usable: Vec<&(Path, Described)> = world.paths.iter().filter(|(path, _)| can_start(path)).collect();
    let Some((path, ty)) = r.pick(&usable).copied() else { return "participant.mfa".to_owned() };
    let text = written(path);
    let same = |r: &mut Random, kind: &Kind| {
        let fitting: Vec<&&(Path, Described)> = usable.iter().filter(|(_, ty)| ty.kind == *kind).collect();
        r.pick(&fitting).map(|(path, _)| written(path))
    };
    if r.percent(12) {
        return format!("{text} exists");
    }
    match &ty.kind {
        Kind::Set(item) if item.is_scalar() => match same(r, item).filter(|_| r.clone().percent(40)) {
            Some(other) if r.percent(50) => format!("{other} in {text}"),
            Some(other) => format!("{text} contains {other}"),
            None => format!("{text} contains {}", literal(r, item)),
        },
        Kind::Set(_) | Kind::Record(_) => format!("{text} exists"),
        Kind::Bool if r.percent(50) => text,
        Kind::Text if r.percent(25) => {
            format!("{text} like {}", r.one(&["'*'", "'a*'", "'*b*'", "'\\**'", "''", "'*\\\"*'"]))
        }
        Kind::Ip if r.percent(40) => format!("{text} in {}", r.one(&["'10.0.0.0/8'", "'::/0'", "'127.0.0.1'"])),
        kind if r.percent(25) => {
            let count = r.below(4);
            let items: Vec<String> = (0..count).map(|_| literal(r, kind)).collect();
            format!("{text} in [{}]", items.join(", "))
        }
        kind => {
            let op = if kind.is_ordered() { r.one(&["==", "!=", "<", "<=", ">", ">="]) } else { r.one(&["==", "!="]) };
            let other = same(r, kind).filter(|_| r.clone().percent(35)).unwrap_or_else(|| literal(r, kind));
            if r.percent(80) { format!("{text} {op} {other}") } else { format!("{other} {op} {text}") }
        }
    }
}

/// Whether a rule can begin with the root's name.
fn can_start(path: &Path) -> bool {
    match &path.root {
        Root::Arg(_, name) => {
            let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphabetic());
            // A parameter of this name would hide nothing and mean something else.
            plain && !KEYWORDS.contains(&&**name)
        }
        Root::Participant | Root::Resource | Root::Context => true,
    }
}

fn written(path: &Path) -> String {
    let root: Arc<str> = match &path.root {
        Root::Participant => "participant".into(),
        Root::Context => "context".into(),
        Root::Resource => "entity".into(),
        Root::Arg(_, name) => name.clone(),
    };
    path.slots.iter().fold(root.to_string(), |at, slot| {
        let plain = slot.name.chars().all(|c| c.is_ascii_alphabetic());
        if plain { format!("{at}.{}", slot.name) } else { format!("{at}[{}]", quoted(&slot.name)) }
    })
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

fn literal(r: &mut Random, kind: &Kind) -> String {
    match world::value(r, kind) {
        Value::Bool(b) => b.to_string(),
        Value::Long(n) => n.to_string(),
        Value::Decimal(d) => d.to_string(),
        Value::Text(t) => quoted(&t),
        Value::Uuid(u) => quoted(&crate::value::uuid_text(u)),
        Value::Datetime(t) => match t.to_string() {
            text if text.len() == 24 && !text.starts_with('-') => quoted(&text),
            _ => quoted("2027-01-01T12:00:00+02:30"),
        },
        Value::Ip(ip) => quoted(&ip.to_string()),
        Value::Set(_) | Value::Record(_) => "true".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_means_the_same_every_way() {
        let report = language(1_000, 1);
        assert!(report.disagreements.is_empty(), "{report}");
        assert!(report.allowed > 100 && report.denied > 100 && report.errored == 0, "{report}");
    }
}
