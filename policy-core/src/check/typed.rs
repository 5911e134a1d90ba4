//! The typed tree: constructed only by the checker, so that its kinds are right.

use std::fmt;
use std::sync::Arc;

use crate::ir::Path;
use crate::kind::Kind;
use crate::syntax::ast::{CompareOp, PatternPart};
use crate::value::{IpRange, Value};

/// A checked condition.
///
/// ```
/// # use policy_core::check::{RootType, RuleEnv, check};
/// # use policy_core::ir::Root;
/// # use policy_core::kind::{Described, Kind};
/// # use policy_core::{participant, syntax};
/// # let ty = Described::required(Kind::Record(participant::BUILT_IN.clone().into()));
/// # let root = RootType { name: "participant".into(), rust_name: "participant".into(), root: Root::Participant, ty: Some(ty), open: true };
/// # let roots = RuleEnv { roots: vec![root], ..RuleEnv::default() };
/// use policy_core::check::Typed;
///
/// let typed = check(&syntax::parse("participant.mfa and not participant.id == 'u'").unwrap(), &roots).unwrap();
/// assert!(matches!(&typed, Typed::And(parts) if matches!(parts[1], Typed::Not(_))));
/// let mut leaves = Vec::new();
/// typed.each_leaf(&mut |leaf| leaves.push(leaf.text.to_string()));
/// assert_eq!(leaves, ["participant.mfa", "participant.id == 'u'"]);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "every back end must decide about every form")]
pub enum Typed {
    /// All.
    And(Vec<Self>),
    /// Any.
    Or(Vec<Self>),
    /// Not.
    Not(Box<Self>),
    /// A predicate.
    Leaf(Leaf),
}

/// A predicate and its text.
///
/// ```
/// # use policy_core::check::{RootType, RuleEnv, check};
/// # use policy_core::ir::Root;
/// # use policy_core::kind::{Described, Kind};
/// # use policy_core::{participant, syntax};
/// # let ty = Described::required(Kind::Record(participant::BUILT_IN.clone().into()));
/// # let root = RootType { name: "participant".into(), rust_name: "participant".into(), root: Root::Participant, ty: Some(ty), open: true };
/// # let roots = RuleEnv { roots: vec![root], ..RuleEnv::default() };
/// use policy_core::check::{Leaf, Typed};
///
/// let typed = check(&syntax::parse("participant.mfa  ==  true").unwrap(), &roots).unwrap();
/// let Typed::Leaf(Leaf { text, .. }) = typed else { panic!("one predicate") };
/// assert_eq!(&*text, "participant.mfa == true");
/// ```
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Leaf {
    /// What it asks.
    pub test: Test,
    /// In canonical form.
    pub text: Arc<str>,
}

/// What a predicate asks.
///
/// ```
/// # use policy_core::check::{RootType, RuleEnv, check};
/// # use policy_core::ir::Root;
/// # use policy_core::kind::{Described, Kind};
/// # use policy_core::{participant, syntax};
/// # let ty = Described::required(Kind::Record(participant::BUILT_IN.clone().into()));
/// # let root = RootType { name: "participant".into(), rust_name: "participant".into(), root: Root::Participant, ty: Some(ty), open: true };
/// # let roots = RuleEnv { roots: vec![root], ..RuleEnv::default() };
/// use policy_core::check::{Leaf, Test, Typed};
///
/// let typed = check(&syntax::parse("participant.roles contains 'finance'").unwrap(), &roots).unwrap();
/// let Typed::Leaf(Leaf { test: Test::Contains(set, _), .. }) = typed else { panic!("one predicate") };
/// assert_eq!(&*set.text, "participant.roles");
/// ```
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "every back end must decide about every form")]
pub enum Test {
    /// Both sides are of one kind.
    Compare(CompareOp, Term, Term),
    /// The path is a set of the term's kind.
    Contains(TypedPath, Term),
    /// The path is a scalar of the list's kind; the list may be empty.
    OneOf(TypedPath, Vec<Value>),
    /// The path is an Ip.
    InRange(TypedPath, IpRange),
    /// The path is Text.
    Like(TypedPath, Vec<PatternPart>),
    /// Any path.
    Exists(TypedPath),
    /// The path is a Bool.
    Truth(TypedPath),
}

/// A side of a comparison.
///
/// ```
/// # use policy_core::check::{RootType, RuleEnv, check};
/// # use policy_core::ir::Root;
/// # use policy_core::kind::{Described, Kind};
/// # use policy_core::{participant, syntax};
/// # let ty = Described::required(Kind::Record(participant::BUILT_IN.clone().into()));
/// # let root = RootType { name: "participant".into(), rust_name: "participant".into(), root: Root::Participant, ty: Some(ty), open: true };
/// # let roots = RuleEnv { roots: vec![root], ..RuleEnv::default() };
/// use policy_core::check::{Leaf, Term, Test, Typed};
/// use policy_core::value::Value;
///
/// let typed = check(&syntax::parse("participant.id == 'u-1'").unwrap(), &roots).unwrap();
/// let Typed::Leaf(Leaf { test: Test::Compare(_, Term::Path(_), Term::Value(value)), .. }) = typed else { panic!("a comparison") };
/// assert_eq!(value, Value::text("u-1"));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "every back end must decide about every form")]
pub enum Term {
    /// An attribute.
    Path(TypedPath),
    /// A constant of the other side's kind.
    Value(Value),
}

/// An attribute whose kind is known.
///
/// ```
/// # use policy_core::check::{RootType, RuleEnv, check};
/// # use policy_core::ir::Root;
/// # use policy_core::kind::{Described, Kind};
/// # use policy_core::{participant, syntax};
/// # let ty = Described::required(Kind::Record(participant::BUILT_IN.clone().into()));
/// # let root = RootType { name: "participant".into(), rust_name: "participant".into(), root: Root::Participant, ty: Some(ty), open: true };
/// # let roots = RuleEnv { roots: vec![root], ..RuleEnv::default() };
/// use policy_core::check::{Leaf, Test, Typed};
///
/// let typed = check(&syntax::parse("participant.email like '*@example.com'").unwrap(), &roots).unwrap();
/// let Typed::Leaf(Leaf { test: Test::Like(path, _), .. }) = typed else { panic!("a pattern") };
/// assert!(path.optional && path.kind == Kind::Text && !path.secret);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct TypedPath {
    /// Where it is.
    pub path: Path,
    /// What it is.
    pub kind: Kind,
    /// Whether it, or something before it, may be absent.
    pub optional: bool,
    /// Whether no explanation may show it.
    pub secret: bool,
    /// As the rule spells it.
    pub text: Arc<str>,
}

impl Test {
    /// The attributes that are read, in order.
    pub fn paths(&self) -> Vec<&TypedPath> {
        let term = |t: &'_ Term| match t {
            Term::Path(_) => true,
            Term::Value(_) => false,
        };
        match self {
            Self::Compare(_, a, b) => [a, b]
                .into_iter()
                .filter(|t| term(t))
                .filter_map(|t| match t {
                    Term::Path(path) => Some(path),
                    Term::Value(_) => None,
                })
                .collect(),
            Self::Contains(set, Term::Path(item)) => vec![set, item],
            Self::Contains(path, Term::Value(_))
            | Self::OneOf(path, _)
            | Self::InRange(path, _)
            | Self::Like(path, _)
            | Self::Exists(path)
            | Self::Truth(path) => vec![path],
        }
    }
}

impl Typed {
    /// Calls `visit` with every predicate.
    pub fn each_leaf<'a>(&'a self, visit: &mut dyn FnMut(&'a Leaf)) {
        match self {
            Self::And(items) | Self::Or(items) => items.iter().for_each(|item| item.each_leaf(visit)),
            Self::Not(inner) => inner.each_leaf(visit),
            Self::Leaf(leaf) => visit(leaf),
        }
    }
}

/// In canonical form.
impl fmt::Display for Typed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, items: &[Self], word: &str| {
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    write!(f, " {word} ")?;
                }
                match item {
                    Self::Or(_) => write!(f, "({item})")?,
                    Self::And(_) if word == "and" => write!(f, "({item})")?,
                    Self::And(_) | Self::Not(_) | Self::Leaf(_) => write!(f, "{item}")?,
                }
            }
            Ok(())
        };
        match self {
            Self::And(items) => list(f, items, "and"),
            Self::Or(items) => list(f, items, "or"),
            Self::Not(inner) => match **inner {
                Self::And(_) | Self::Or(_) => write!(f, "not ({inner})"),
                Self::Not(_) | Self::Leaf(_) => write!(f, "not {inner}"),
            },
            Self::Leaf(leaf) => f.write_str(&leaf.text),
        }
    }
}
