//! Kinds of attributes that nothing declares, from how rules use them.
//!
//! A use beside something whose kind is known is *hard* evidence; a use beside a literal is *soft*, since a text can also be an
//! instant and a whole number a decimal. Two uses that cannot both be are a [`Conflict`], which names both places.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::resolve::{Resolved, resolve};
use super::{RuleEnv, literal};
use crate::diagnostic::Diagnostic;
use crate::kind::{Kind, RecordType};
use crate::name::nearest;
use crate::source::Span;
use crate::syntax::ast::{Expr, ExprKind, Literal, LiteralKind, Operand, Path, SetOperand};

/// One use of an attribute that nothing declares.
///
/// ```
/// # use policy_core::check::{RootType, RuleEnv, check};
/// # use policy_core::ir::Root;
/// # use policy_core::kind::{Described, Kind};
/// # use policy_core::{participant, syntax};
/// # let ty = Described::required(Kind::Record(participant::BUILT_IN.clone().into()));
/// # let root = RootType { name: "participant".into(), rust_name: "participant".into(), root: Root::Participant, ty: Some(ty), open: true };
/// # let roots = RuleEnv { roots: vec![root], ..RuleEnv::default() };
/// use policy_core::check::{Evidence, collect, solve};
///
/// let mut evidence: Vec<Evidence> = Vec::new();
/// collect(&syntax::parse("participant.level > 3").unwrap(), &roots, &"a.rs:1".into(), &mut evidence);
/// assert_eq!(solve(&evidence).unwrap()[&("participant".into(), "level".into())], Kind::Long);
/// ```
#[derive(Debug, Clone)]
pub struct Evidence {
    root: Arc<str>,
    attribute: Arc<str>,
    says: Says,
    place: Arc<str>,
    span: Span,
}

#[derive(Debug, Clone)]
enum Says {
    Hard(Kind),
    /// Literals that it stands beside; `true` when it is a set of such.
    Soft(Vec<Literal>, bool),
    /// Of the kind of another undeclared attribute.
    Same(Arc<str>, Arc<str>),
    /// Only asked for existence.
    Nothing,
}

/// Two uses of an attribute that cannot both be right.
///
/// ```
/// # use policy_core::check::{RootType, RuleEnv, check};
/// # use policy_core::ir::Root;
/// # use policy_core::kind::{Described, Kind};
/// # use policy_core::{participant, syntax};
/// # let ty = Described::required(Kind::Record(participant::BUILT_IN.clone().into()));
/// # let root = RootType { name: "participant".into(), rust_name: "participant".into(), root: Root::Participant, ty: Some(ty), open: true };
/// # let roots = RuleEnv { roots: vec![root], ..RuleEnv::default() };
/// use policy_core::check::{Conflict, collect, solve};
///
/// let mut evidence = Vec::new();
/// collect(&syntax::parse("participant.level like 'a*'").unwrap(), &roots, &"a.rs:1".into(), &mut evidence);
/// collect(&syntax::parse("participant.level").unwrap(), &roots, &"b.rs:2".into(), &mut evidence);
/// let conflicts: Vec<Conflict> = solve(&evidence).unwrap_err();
/// assert_eq!(conflicts[0].attribute, "participant.level");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{attribute}` is used as {first} at {first_place} and as {second} at {second_place}{}", remedy(attribute))]
pub struct Conflict {
    /// The attribute, with its root.
    pub attribute: String,
    first: String,
    first_place: Arc<str>,
    second: String,
    second_place: Arc<str>,
}

fn remedy(attribute: &str) -> &'static str {
    if attribute.starts_with("participant.") { "; declare it with `participant = Type`" } else { "" }
}

/// Collects how a rule uses attributes that nothing declares.
///
/// ```
/// # use policy_core::check::{RootType, RuleEnv, check};
/// # use policy_core::ir::Root;
/// # use policy_core::kind::{Described, Kind};
/// # use policy_core::{participant, syntax};
/// # let ty = Described::required(Kind::Record(participant::BUILT_IN.clone().into()));
/// # let root = RootType { name: "participant".into(), rust_name: "participant".into(), root: Root::Participant, ty: Some(ty), open: true };
/// # let roots = RuleEnv { roots: vec![root], ..RuleEnv::default() };
/// use policy_core::check::collect;
///
/// let mut evidence = Vec::new();
/// collect(&syntax::parse("participant.mfa and participant.level > 3").unwrap(), &roots, &"a.rs:1".into(), &mut evidence);
/// assert_eq!(evidence.len(), 1, "`mfa` is declared");
/// ```
pub fn collect(expr: &Expr, env: &RuleEnv, place: &Arc<str>, out: &mut Vec<Evidence>) {
    match &expr.kind {
        ExprKind::And(items) | ExprKind::Or(items) => items.iter().for_each(|item| collect(item, env, place, out)),
        ExprKind::Not(inner) => collect(inner, env, place, out),
        ExprKind::Compare { op, left, right } => {
            sides(left, right, op.is_ordering(), env, place, out);
            sides(right, left, op.is_ordering(), env, place, out);
        }
        ExprKind::Contains { set, item } | ExprKind::In { item, set: SetOperand::Operand(set @ Operand::Path(_)) } => {
            members(set, item, env, place, out);
        }
        ExprKind::In { item, set: SetOperand::Operand(Operand::Literal(_)) } => {
            note(item, Says::Hard(Kind::Ip), env, place, out);
        }
        ExprKind::In { item, set: SetOperand::List(list, _) } => {
            note(item, Says::Soft(list.clone(), false), env, place, out);
        }
        ExprKind::Like { value, .. } => note(value, Says::Hard(Kind::Text), env, place, out),
        ExprKind::Exists(path) => note(&Operand::Path(path.clone()), Says::Nothing, env, place, out),
        ExprKind::Truth(path) => note(&Operand::Path(path.clone()), Says::Hard(Kind::Bool), env, place, out),
    }
}

/// A root and an attribute of it that nothing declares.
type Open = (Arc<str>, Arc<str>);

fn kind_of(path: &Path, env: &RuleEnv) -> Option<Result<Kind, Open>> {
    match resolve(path, env).ok()? {
        Resolved::Known(path) => Some(Ok(path.kind)),
        Resolved::Open { root, attribute } => Some(Err((root, attribute))),
    }
}

fn sides(one: &Operand, other: &Operand, ordered: bool, env: &RuleEnv, place: &Arc<str>, out: &mut Vec<Evidence>) {
    let says = match other {
        // Text orders nowhere, so this one is an instant.
        Operand::Literal(Literal { kind: LiteralKind::Text(_), .. }) if ordered => Says::Hard(Kind::Datetime),
        Operand::Literal(literal) => Says::Soft(vec![literal.clone()], false),
        Operand::Path(path) => match kind_of(path, env) {
            Some(Ok(kind)) => Says::Hard(kind),
            Some(Err((root, attribute))) => Says::Same(root, attribute),
            None => return,
        },
    };
    note(one, says, env, place, out);
}

fn members(set: &Operand, item: &Operand, env: &RuleEnv, place: &Arc<str>, out: &mut Vec<Evidence>) {
    let of_item = match item {
        Operand::Literal(literal) => Some(Says::Soft(vec![literal.clone()], true)),
        Operand::Path(path) => match kind_of(path, env) {
            Some(Ok(kind)) => Some(Says::Hard(Kind::Set(Arc::new(kind)))),
            // An undeclared item in an undeclared set: texts, unless another use says more.
            Some(Err(_)) => Some(Says::Soft(Vec::new(), true)),
            None => None,
        },
    };
    if let Some(says) = of_item {
        note(set, says, env, place, out);
    }
    let Operand::Path(path) = set else { return };
    if let Some(Ok(Kind::Set(of))) = kind_of(path, env) {
        note(item, Says::Hard((*of).clone()), env, place, out);
    }
}

fn note(operand: &Operand, says: Says, env: &RuleEnv, place: &Arc<str>, out: &mut Vec<Evidence>) {
    let Operand::Path(path) = operand else { return };
    if let Some(Err((root, attribute))) = kind_of(path, env) {
        let span = path.fields().first().map_or(path.span, |segment| segment.span);
        out.push(Evidence { root, attribute, says, place: place.clone(), span });
    }
}

/// Says which attributes nothing declared before, each once and at its word: read by a forbid, one that is misspelt is always
/// absent.
///
/// ```
/// # use policy_core::check::{RootType, RuleEnv, collect};
/// # use policy_core::ir::Root;
/// # use policy_core::kind::{Described, Kind};
/// # use policy_core::{participant, syntax};
/// # let ty = Described::required(Kind::Record(participant::BUILT_IN.clone().into()));
/// # let root = RootType { name: "participant".into(), rust_name: "participant".into(), root: Root::Participant, ty: Some(ty), open: true };
/// # let roots = RuleEnv { roots: vec![root], ..RuleEnv::default() };
/// use policy_core::check::undeclared;
/// let mut evidence = Vec::new();
/// collect(&syntax::parse("participant.mfaa").unwrap(), &roots, &"r".into(), &mut evidence);
/// assert_eq!(undeclared(&evidence, &roots)[0].help.as_deref(), Some("did you mean `mfa`?"));
/// ```
pub fn undeclared(evidence: &[Evidence], env: &RuleEnv) -> Vec<Diagnostic> {
    let mut seen = BTreeSet::new();
    let first = evidence.iter().filter(|e| seen.insert((e.root.clone(), e.attribute.clone())));
    first
        .map(|Evidence { root, attribute, span, .. }| {
            let declared = env.roots.iter().filter(|known| known.name == *root).filter_map(|known| known.ty.as_ref());
            let declared = declared.filter_map(|ty| record_of(&ty.kind)).flat_map(|record| &record.fields);
            let read = env.inferred.keys().filter(|(of, _)| of == root).map(|(_, name)| &**name);
            let help = match nearest(attribute, declared.map(|field| &*field.name).chain(read)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "whoever signs in has it only where the sign-in supplies it".to_owned(),
            };
            let message = format!("nothing declares `{root}.{attribute}`, and no rule of the program reads it");
            Diagnostic::warning(UNDECLARED, *span, message).with_help(help)
        })
        .collect()
}

/// The code of the finding that a rule reads what nothing declares.
const UNDECLARED: &str = "undeclared-attribute";

fn record_of(kind: &Kind) -> Option<&RecordType> {
    if let Kind::Record(record) = kind { Some(record) } else { None }
}

/// Settles the kinds. What is only asked for existence, or only compared with its like, is Text.
///
/// # Errors
/// Every attribute that is used in two ways.
///
/// ```
/// assert!(policy_core::check::solve(&[]).unwrap().is_empty());
/// ```
pub fn solve(evidence: &[Evidence]) -> Result<BTreeMap<Open, Kind>, Vec<Conflict>> {
    let mut kinds = Kinds::new();
    let mut conflicts = Vec::new();
    let key = |e: &Evidence| (e.root.clone(), e.attribute.clone());
    for e in evidence {
        if let Says::Hard(kind) = &e.says {
            settle(&mut kinds, &mut conflicts, key(e), kind, &e.place);
        }
    }
    // Kinds travel along comparisons of undeclared attributes; each round settles at least one, or none is left.
    for _ in 0..evidence.len() {
        let before = kinds.len();
        for e in evidence {
            if let Says::Same(root, attribute) = &e.says
                && let Some((kind, _)) = kinds.get(&(root.clone(), attribute.clone())).cloned()
            {
                settle(&mut kinds, &mut conflicts, key(e), &kind, &e.place);
            }
        }
        // A number with a point first: beside it whole numbers are decimals, beside a whole number it is nothing.
        let decimal = |e: &Evidence| matches!(&e.says, Says::Soft(l, _) if l.iter().any(|l| matches!(l.kind, LiteralKind::Decimal(_))));
        for e in evidence.iter().filter(|e| decimal(e)).chain(evidence.iter().filter(|e| !decimal(e))) {
            if let Says::Soft(literals, set) = &e.says {
                soften(&mut kinds, &mut conflicts, e, literals, *set);
            }
        }
        if kinds.len() == before {
            break;
        }
    }
    for e in evidence {
        kinds.entry(key(e)).or_insert_with(|| (Kind::Text, e.place.clone()));
    }
    let order = |c: &Conflict| (c.attribute.clone(), c.first_place.clone(), c.second_place.clone(), c.second.clone());
    conflicts.sort_by_key(order);
    conflicts.dedup();
    if conflicts.is_empty() { Ok(kinds.into_iter().map(|(k, (kind, _))| (k, kind)).collect()) } else { Err(conflicts) }
}

type Kinds = BTreeMap<Open, (Kind, Arc<str>)>;

fn settle(kinds: &mut Kinds, conflicts: &mut Vec<Conflict>, key: (Arc<str>, Arc<str>), kind: &Kind, place: &Arc<str>) {
    match kinds.get(&key) {
        None => {
            kinds.insert(key, (kind.clone(), place.clone()));
        }
        Some((known, first)) if known != kind => conflicts.push(Conflict {
            attribute: format!("{}.{}", key.0, key.1),
            first: known.to_string(),
            first_place: first.clone(),
            second: kind.to_string(),
            second_place: place.clone(),
        }),
        Some(_) => {}
    }
}

fn soften(kinds: &mut Kinds, conflicts: &mut Vec<Conflict>, e: &Evidence, literals: &[Literal], set: bool) {
    let key = (e.root.clone(), e.attribute.clone());
    let known = kinds.get(&key).map(|(kind, _)| kind.clone());
    let item = match (&known, set) {
        (Some(Kind::Set(of)), true) => Some((**of).clone()),
        (Some(kind), false) => Some(kind.clone()),
        _ => None,
    };
    let fits = item.as_ref().is_some_and(|kind| literals.iter().all(|l| literal::read(l, kind, "").is_ok()));
    if known.is_some() && fits {
        return;
    }
    let only_numbers = |l: &Literal| matches!(l.kind, LiteralKind::Integer(_) | LiteralKind::Decimal(_));
    let natural = literals.iter().fold(Kind::Text, |_, l| match l.kind {
        LiteralKind::Text(_) => Kind::Text,
        LiteralKind::Integer(_) => Kind::Long,
        LiteralKind::Decimal(_) => Kind::Decimal,
        LiteralKind::Bool(_) => Kind::Bool,
    });
    let natural =
        if literals.iter().all(only_numbers) && literals.iter().any(|l| matches!(l.kind, LiteralKind::Decimal(_))) {
            Kind::Decimal
        } else {
            natural
        };
    let natural = if set { Kind::Set(Arc::new(natural)) } else { natural };
    settle(kinds, conflicts, key, &natural, &e.place);
}
