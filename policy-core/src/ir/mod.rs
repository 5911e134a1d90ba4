//! One representation for every rule, whatever it was written in: Cedar's operators over attribute slots.
//!
//! In: typed rules of the language (guarded so that they cannot err) and Cedar that administrators wrote. Out: [`Ir`], which
//! becomes Cedar for the record, is evaluated over borrowed values for a decision, and is partially evaluated for a filter.
//! Absent: names that are still to be resolved, and `cedar_policy`.

#[cfg(feature = "engine")]
pub(crate) mod code;
pub mod eval;
#[cfg(feature = "engine")]
pub(crate) mod fold;
#[cfg(feature = "engine")]
pub(crate) mod known;
pub(crate) mod like;
mod operators;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::kind::Kind;

use crate::name::EntityUid;
use crate::syntax::ast::PatternPart;
use crate::value::{Slot, Value};

/// What a path starts from.
///
/// ```
/// use policy_core::ir::{Path, Root};
/// assert_eq!(Path { root: Root::Arg(0, "order".into()), slots: vec![] }.to_string(), "order");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "every back end must decide about every root")]
pub enum Root {
    /// `principal`
    Participant,
    /// `resource`
    Resource,
    /// `context`
    Context,
    /// `context.args.<name>`: the argument at this place.
    Arg(u16, Arc<str>),
}

/// An attribute: `principal.roles`, `context.args.order.amount`.
///
/// ```
/// use policy_core::ir::{Path, Root};
/// use policy_core::value::Slot;
/// let roles = Path { root: Root::Participant, slots: vec![Slot::named("roles")] };
/// assert_eq!(roles.to_string(), "participant.roles");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Path {
    /// Where it starts.
    pub root: Root,
    /// The attributes that follow.
    pub slots: Vec<Slot>,
}

/// As a rule of the language names it: `participant.roles`, `order.amount`.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.root {
            Root::Participant => "participant",
            Root::Resource => "resource",
            Root::Context => "context",
            Root::Arg(_, name) => name,
        })?;
        self.slots.iter().try_for_each(|slot| write!(f, ".{}", slot.name))
    }
}

/// A variable that is an entity.
///
/// ```
/// use policy_core::EntityUid;
/// use policy_core::ir::{Binary, Ir, Var};
/// let role = Ir::Entity(EntityUid::new("Platform::Role", "sys/operator"));
/// let member = Ir::Binary(Binary::In, Box::new([Ir::Var(Var::Principal), role]));
/// assert!(matches!(member, Ir::Binary(Binary::In, _)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "Cedar has these three")]
pub enum Var {
    /// The participant.
    Principal,
    /// The action.
    Action,
    /// The resource.
    Resource,
}

/// An operator of two operands.
///
/// ```
/// # use policy_core::context::{Context, Facts};
/// # use policy_core::ir::eval::{EntityRef, Env};
/// # use policy_core::value::Millis;
/// # use policy_core::{Participant, Scope};
/// # let alice = Participant::builder(Scope::System, "u-1").role("finance").build();
/// # let facts = Facts::default();
/// # let context = Context { time: Millis(0), facts: &facts };
/// # let principal = EntityRef { kind: "Platform::Participant", id: alice.uid_id() };
/// # let action = EntityRef { kind: "Platform::Action", id: "createOrganization" };
/// # let resource = EntityRef { kind: "Platform::System", id: "system" };
/// # let env = Env { principal, principal_parents: alice.parents(), participant: (&alice).into(), action, action_groups: &[], resource,
/// #     resource_parents: &[], attributes: None, context, args: &[] };
/// use policy_core::ir::{Binary, Ir, eval::holds};
/// use policy_core::value::Value;
///
/// let long = |n| Ir::Const(Value::Long(n));
/// assert_eq!(holds(&Ir::Binary(Binary::Less, Box::new([long(1), long(2)])), &env), Ok(true));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "every back end must decide about every operator")]
pub enum Binary {
    /// `==`, of any two values.
    Eq,
    /// `!=`
    Ne,
    /// `<` of Long, Datetime or Duration; for Decimal see [`Binary::of_kind`].
    Less,
    /// `<=`
    LessEq,
    /// `>`
    Greater,
    /// `>=`
    GreaterEq,
    /// `lessThan`: Cedar's `<` of Decimals is a method, and `<` itself an error.
    DecimalLess,
    /// `lessThanOrEqual`
    DecimalLessEq,
    /// `greaterThan`
    DecimalGreater,
    /// `greaterThanOrEqual`
    DecimalGreaterEq,
    /// `+`; an overflow is an error.
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// Entity hierarchy: `principal in Role::"x"`, also in a set of entities.
    In,
    /// A set and an item.
    Contains,
    /// A set and a set.
    ContainsAll,
    /// A set and a set.
    ContainsAny,
    /// An address and a range.
    IsInRange,
    /// A datetime and a duration.
    Offset,
    /// Two datetimes.
    DurationSince,
}

impl Binary {
    /// The operator that Cedar uses for operands of this kind: `<` of Decimals is another one.
    ///
    /// ```
    /// use policy_core::{ir::Binary, kind::Kind};
    /// assert_eq!(Binary::Less.of_kind(&Kind::Decimal), Binary::DecimalLess);
    /// assert_eq!(Binary::Less.of_kind(&Kind::Long), Binary::Less);
    /// ```
    #[must_use]
    pub const fn of_kind(self, kind: &Kind) -> Self {
        match (self, kind) {
            (Self::Less, Kind::Decimal) => Self::DecimalLess,
            (Self::LessEq, Kind::Decimal) => Self::DecimalLessEq,
            (Self::Greater, Kind::Decimal) => Self::DecimalGreater,
            (Self::GreaterEq, Kind::Decimal) => Self::DecimalGreaterEq,
            (op, _) => op,
        }
    }
}

/// An operator of one operand.
///
/// ```
/// # use policy_core::context::{Context, Facts};
/// # use policy_core::ir::eval::{EntityRef, Env};
/// # use policy_core::value::Millis;
/// # use policy_core::{Participant, Scope};
/// # let alice = Participant::builder(Scope::System, "u-1").role("finance").build();
/// # let facts = Facts::default();
/// # let context = Context { time: Millis(0), facts: &facts };
/// # let principal = EntityRef { kind: "Platform::Participant", id: alice.uid_id() };
/// # let action = EntityRef { kind: "Platform::Action", id: "createOrganization" };
/// # let resource = EntityRef { kind: "Platform::System", id: "system" };
/// # let env = Env { principal, principal_parents: alice.parents(), participant: (&alice).into(), action, action_groups: &[], resource,
/// #     resource_parents: &[], attributes: None, context, args: &[] };
/// use policy_core::ir::{Ir, Unary, eval::holds};
/// use policy_core::value::Value;
///
/// let address = Ir::Const(Value::Ip("127.0.0.1".parse().unwrap()));
/// assert_eq!(holds(&Ir::Unary(Unary::IsLoopback, Box::new(address)), &env), Ok(true));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "every back end must decide about every operator")]
pub enum Unary {
    /// `-`
    Neg,
    /// `isEmpty`
    IsEmpty,
    /// `isIpv4`
    IsIpv4,
    /// `isIpv6`
    IsIpv6,
    /// `isLoopback`
    IsLoopback,
    /// `isMulticast`
    IsMulticast,
    /// `toDate`
    ToDate,
    /// `toTime`
    ToTime,
    /// `toMilliseconds`
    ToMilliseconds,
    /// `toSeconds`
    ToSeconds,
    /// `toMinutes`
    ToMinutes,
    /// `toHours`
    ToHours,
    /// `toDays`
    ToDays,
}

/// An expression with Cedar's meaning: `And` and `Or` evaluate from the left and stop early, an absent attribute is an error
/// where it is read and `false` where `Has` asks.
///
/// ```
/// # use policy_core::context::{Context, Facts};
/// # use policy_core::ir::eval::{EntityRef, Env};
/// # use policy_core::value::Millis;
/// # use policy_core::{Participant, Scope};
/// # let alice = Participant::builder(Scope::System, "u-1").role("finance").build();
/// # let facts = Facts::default();
/// # let context = Context { time: Millis(0), facts: &facts };
/// # let principal = EntityRef { kind: "Platform::Participant", id: alice.uid_id() };
/// # let action = EntityRef { kind: "Platform::Action", id: "createOrganization" };
/// # let resource = EntityRef { kind: "Platform::System", id: "system" };
/// # let env = Env { principal, principal_parents: alice.parents(), participant: (&alice).into(), action, action_groups: &[], resource,
/// #     resource_parents: &[], attributes: None, context, args: &[] };
/// use policy_core::ir::{Ir, eval::holds};
/// use policy_core::value::Value;
///
/// let (yes, text) = (Ir::Const(Value::Bool(true)), Ir::Const(Value::text("no truth")));
/// assert_eq!(holds(&Ir::Or(vec![yes.clone(), text.clone()]), &env), Ok(true), "it stops at the first");
/// assert!(holds(&Ir::And(vec![yes, text]), &env).is_err());
/// ```
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "every back end must decide about every form")]
pub enum Ir {
    /// A constant.
    Const(Value),
    /// A duration in milliseconds.
    Duration(i64),
    /// The uid of an entity.
    Entity(EntityUid),
    /// The principal, action or resource itself.
    Var(Var),
    /// The value of an attribute.
    Path(Path),
    /// Whether an attribute (and all before it) is there.
    Has(Path),
    /// `!`
    Not(Box<Self>),
    /// All, from the left.
    And(Vec<Self>),
    /// Any, from the left.
    Or(Vec<Self>),
    /// `if a then b else c`
    If(Box<[Self; 3]>),
    /// An operator of one operand.
    Unary(Unary, Box<Self>),
    /// An operator of two operands.
    Binary(Binary, Box<[Self; 2]>),
    /// `like`
    Like(Box<Self>, Vec<PatternPart>),
    /// `is`
    Is(Box<Self>, Arc<str>),
    /// A set that is built.
    Set(Vec<Self>),
    /// A record that is built.
    Record(BTreeMap<Arc<str>, Self>),
}
