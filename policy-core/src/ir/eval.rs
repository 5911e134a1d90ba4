//! The meaning of a condition: true, false or an error, as Cedar decides it, over values that are only borrowed.
//!
//! In: an [`Ir`] and the facts of a request ([`Env`]). Out: a truth, or an [`EvalError`] that says why there is none. Absent:
//! effects, tiers and decisions; any allocation on the way of a condition that compares attributes with constants.

#![expect(clippy::wildcard_enum_match_arm, reason = "all other kinds of values are one error")]

use super::like::like;
use super::operators::{self, Val};
use super::{Binary, Ir, Path, Root, Var};
use crate::context::Context;
use crate::name::EntityUid;
use crate::participant::Caller;
use crate::value::{Record, Slot, Value, ValueRef};

/// How deep expressions may nest; admission keeps every policy far below it.
pub(super) const MAX_DEPTH: u32 = 200;

/// The uid of an entity of the request.
///
/// ```
/// use policy_core::EntityUid;
/// use policy_core::ir::eval::EntityRef;
/// let role = EntityUid::new("Platform::Role", "sys/operator");
/// assert_eq!(EntityRef::from(&role), EntityRef { kind: "Platform::Role", id: "sys/operator" });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct EntityRef<'a> {
    /// The type, as Cedar writes it.
    pub kind: &'a str,
    /// The id.
    pub id: &'a str,
}

impl<'a> From<&'a EntityUid> for EntityRef<'a> {
    fn from(uid: &'a EntityUid) -> Self {
        Self { kind: uid.kind(), id: uid.id() }
    }
}

/// The facts of one request, all borrowed.
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
/// use policy_core::ir::eval::holds;
/// use policy_core::ir::{Ir, Path, Root};
/// use policy_core::value::Slot;
///
/// let mfa = Ir::Path(Path { root: Root::Context, slots: vec![Slot::named("mfa")] });
/// assert_eq!(holds(&mfa, &env), Ok(false));
/// assert!(holds(&mfa, &Env { context: Context { time: Millis(0), facts: &Facts { mfa: true, ..facts.clone() } }, ..env }).unwrap());
/// ```
#[derive(Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Env<'a> {
    /// Who asks.
    pub principal: EntityRef<'a>,
    /// All entities that the principal is a member of, directly or through others.
    pub principal_parents: &'a [EntityUid],
    /// The attributes of the principal.
    pub participant: Caller<'a>,
    /// What is asked for.
    pub action: EntityRef<'a>,
    /// All groups that the action belongs to.
    pub action_groups: &'a [EntityUid],
    /// What it is about.
    pub resource: EntityRef<'a>,
    /// All entities that the resource belongs to.
    pub resource_parents: &'a [EntityUid],
    /// The attributes of the resource, if it has any.
    pub attributes: Option<&'a (dyn Record + Sync)>,
    /// The environment of the request.
    pub context: Context<'a>,
    /// The arguments of the call, in the order of [`Root::Arg`].
    pub args: &'a [ValueRef<'a>],
}

/// What a condition can read without knowing any uid; the whole of it only where it asks for one.
pub(crate) trait Facts<'a> {
    /// The attributes of the principal.
    fn participant(&self) -> Caller<'a>;
    /// The attributes of the resource, if it has any.
    fn attributes(&self) -> Option<&'a (dyn Record + Sync)>;
    /// The environment of the request.
    fn context(&self) -> Context<'a>;
    /// The arguments of the call.
    fn args(&self) -> &'a [ValueRef<'a>];
    /// All of it.
    #[cfg(feature = "engine")]
    fn env(&self) -> &Env<'a>;
}

impl<'a> Facts<'a> for Env<'a> {
    #[inline]
    fn participant(&self) -> Caller<'a> {
        self.participant
    }

    #[inline]
    fn attributes(&self) -> Option<&'a (dyn Record + Sync)> {
        self.attributes
    }

    #[inline]
    fn context(&self) -> Context<'a> {
        self.context
    }

    #[inline]
    fn args(&self) -> &'a [ValueRef<'a>] {
        self.args
    }

    #[cfg(feature = "engine")]
    #[inline]
    fn env(&self) -> &Self {
        self
    }
}

impl std::fmt::Debug for Env<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Env")
            .field("principal", &self.principal)
            .field("action", &self.action)
            .field("resource", &self.resource)
            .finish_non_exhaustive()
    }
}

/// Why a condition has no truth.
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
/// use policy_core::ir::eval::{EvalErrorKind, holds};
/// use policy_core::ir::{Ir, Path, Root};
/// use policy_core::value::Slot;
///
/// let email = Ir::Path(Path { root: Root::Participant, slots: vec![Slot::named("email")] });
/// let error = holds(&email, &env).unwrap_err();
/// assert!(matches!(error.kind(), EvalErrorKind::Absent(path) if path == "participant.email"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EvalError(Box<EvalErrorKind>);

/// The reasons why a condition has no truth.
///
/// ```
/// use policy_core::ir::eval::EvalErrorKind;
/// assert_eq!(EvalErrorKind::Overflow("+").to_string(), "`+` leaves the range of its kind");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvalErrorKind {
    /// An attribute is read that is not there.
    #[error("`{0}` is absent")]
    Absent(String),
    /// An attribute is read that its kind cannot hold.
    #[error("a value is unusable: {0}")]
    Unusable(&'static str),
    /// The same, where it is known which.
    #[error("`{0}` is unusable: {1}")]
    UnusableAt(String, &'static str),
    /// A number, an instant or a duration would leave its range.
    #[error("`{0}` leaves the range of its kind")]
    Overflow(&'static str),
    /// An operator met a value that it does not work on.
    #[error("{0} is needed, and another kind of value was found")]
    Type(&'static str),
    /// The expression nests too deeply.
    #[error("the condition nests too deeply")]
    TooDeep,
}

impl EvalError {
    /// What is wrong.
    pub const fn kind(&self) -> &EvalErrorKind {
        &self.0
    }

    #[cold]
    pub(super) fn absent(path: &Path) -> Self {
        Self(Box::new(EvalErrorKind::Absent(path.to_string())))
    }

    #[cold]
    pub(super) fn unusable(why: &'static str) -> Self {
        Self(Box::new(EvalErrorKind::Unusable(why)))
    }

    #[cold]
    fn unusable_at(path: &Path, why: &'static str) -> Self {
        if why == NO_RECORD {
            Self::kind_needed("a record")
        } else {
            Self(Box::new(EvalErrorKind::UnusableAt(path.to_string(), why)))
        }
    }

    #[cold]
    pub(super) fn overflow(operator: &'static str) -> Self {
        Self(Box::new(EvalErrorKind::Overflow(operator)))
    }

    #[cold]
    pub(super) fn kind_needed(what: &'static str) -> Self {
        Self(Box::new(EvalErrorKind::Type(what)))
    }

    #[cold]
    fn too_deep() -> Self {
        Self(Box::new(EvalErrorKind::TooDeep))
    }
}

/// Decides whether a condition is true.
///
/// # Errors
/// As Cedar's evaluator: an absent attribute is read, a number overflows, an operator meets a value of the wrong kind. `And`
/// and `Or` stop at the first operand that settles them, so that an error to the right of it does not count.
///
/// ```
/// use policy_core::context::{Context, Facts};
/// use policy_core::ir::eval::{EntityRef, Env, holds};
/// use policy_core::ir::{Binary, Ir, Path, Root};
/// use policy_core::value::{Millis, Slot, Value};
/// use policy_core::{Participant, Scope};
///
/// let alice = Participant::builder(Scope::System, "u-1").role("finance").build();
/// let facts = Facts::default();
/// let context = Context { time: Millis(0), facts: &facts };
/// let env = Env {
///     principal: EntityRef { kind: "Platform::Participant", id: alice.uid_id() },
///     principal_parents: alice.parents(),
///     participant: (&alice).into(),
///     action: EntityRef { kind: "Platform::Action", id: "createOrganization" },
///     action_groups: &[],
///     resource: EntityRef { kind: "Platform::System", id: "system" },
///     resource_parents: &[],
///     attributes: None,
///     context,
///     args: &[],
/// };
/// let roles = Ir::Path(Path { root: Root::Participant, slots: vec![Slot::named("roles")] });
/// let finance = Ir::Binary(Binary::Contains, Box::new([roles, Ir::Const(Value::text("finance"))]));
/// assert_eq!(holds(&finance, &env), Ok(true));
/// ```
pub fn holds(ir: &Ir, env: &Env<'_>) -> Result<bool, EvalError> {
    truth(ir, env, 0)
}

/// The forms that rules are made of; all others are elsewhere, so that this stays small and needs no large frame.
fn truth<'a>(ir: &'a Ir, env: &Env<'a>, depth: u32) -> Result<bool, EvalError> {
    match ir {
        Ir::And(items) if depth < MAX_DEPTH => {
            for item in items {
                if !truth(item, env, depth + 1)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        Ir::Or(items) if depth < MAX_DEPTH => {
            for item in items {
                if truth(item, env, depth + 1)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Ir::Not(inner) if depth < MAX_DEPTH => Ok(!truth(inner, env, depth + 1)?),
        Ir::Has(path) => match fetch(path, env) {
            ValueRef::Absent => Ok(false),
            ValueRef::Unusable(why) => Err(EvalError::unusable_at(path, why)),
            _ => Ok(true),
        },
        Ir::Path(path) => match fetch(path, env) {
            ValueRef::Bool(b) => Ok(b),
            found => settled(path, found)?.truth(),
        },
        Ir::Binary(op, operands) => match &**operands {
            [Ir::Path(path), Ir::Const(constant)] => with_constant(*op, path, constant, env),
            [Ir::Path(left), Ir::Path(right)] => with_path(*op, left, right, env),
            _ => other_truth(ir, env, depth),
        },
        _ => other_truth(ir, env, depth),
    }
}

#[inline(never)]
fn other_truth<'a>(ir: &'a Ir, env: &Env<'a>, depth: u32) -> Result<bool, EvalError> {
    if depth >= MAX_DEPTH {
        return Err(EvalError::too_deep());
    }
    match ir {
        Ir::If(parts) => {
            let [test, then, otherwise] = &**parts;
            truth(if truth(test, env, depth + 1)? { then } else { otherwise }, env, depth + 1)
        }
        Ir::Binary(op, operands) => {
            let [left, right] = &**operands;
            let (left, right) = (value(left, env, depth + 1)?, value(right, env, depth + 1)?);
            operators::binary(*op, &left, &right, env)?.truth()
        }
        Ir::Like(text, pattern) => match &**text {
            Ir::Path(path) => match fetch(path, env) {
                ValueRef::Text(text) => Ok(like(pattern, text)),
                found => operators::like_value(&settled(path, found)?, pattern),
            },
            text => operators::like_value(&value(text, env, depth + 1)?, pattern),
        },
        Ir::Is(entity, kind) => Ok(operators::entity(&value(entity, env, depth + 1)?)?.kind == &**kind),
        Ir::Const(constant) => Val::Ref(constant.as_ref()).truth(),
        Ir::Unary(op, operand) => operators::unary(*op, &value(operand, env, depth + 1)?)?.truth(),
        Ir::Duration(_) | Ir::Entity(_) | Ir::Var(_) | Ir::Set(_) | Ir::Record(_) => {
            Err(EvalError::kind_needed("a truth"))
        }
        Ir::And(_) | Ir::Or(_) | Ir::Not(_) | Ir::Has(_) | Ir::Path(_) => truth(ir, env, depth),
    }
}

/// Evaluates an expression of any kind.
pub(super) fn value<'a>(ir: &'a Ir, env: &Env<'a>, depth: u32) -> Result<Val<'a>, EvalError> {
    if depth >= MAX_DEPTH {
        return Err(EvalError::too_deep());
    }
    Ok(match ir {
        Ir::Const(constant) => Val::Ref(constant.as_ref()),
        Ir::Path(path) => settled(path, fetch(path, env))?,
        Ir::Duration(millis) => Val::Duration(*millis),
        Ir::Entity(uid) => Val::Entity(uid.into()),
        Ir::Var(Var::Principal) => Val::Entity(env.principal),
        Ir::Var(Var::Action) => Val::Entity(env.action),
        Ir::Var(Var::Resource) => Val::Entity(env.resource),
        Ir::If(parts) => {
            let [test, then, otherwise] = &**parts;
            value(if truth(test, env, depth + 1)? { then } else { otherwise }, env, depth + 1)?
        }
        Ir::Unary(op, operand) => operators::unary(*op, &value(operand, env, depth + 1)?)?,
        Ir::Binary(op, operands) => {
            let [left, right] = &**operands;
            operators::binary(*op, &value(left, env, depth + 1)?, &value(right, env, depth + 1)?, env)?
        }
        Ir::Set(items) => {
            Val::Set(items.iter().map(|item| value(item, env, depth + 1)).collect::<Result<_, EvalError>>()?)
        }
        Ir::Record(fields) => Val::Record(
            fields
                .iter()
                .map(|(name, field)| Ok((&**name, value(field, env, depth + 1)?)))
                .collect::<Result<_, EvalError>>()?,
        ),
        Ir::Has(_) | Ir::Not(_) | Ir::And(_) | Ir::Or(_) | Ir::Like(..) | Ir::Is(..) => {
            Val::Ref(ValueRef::Bool(truth(ir, env, depth)?))
        }
    })
}

/// What stands for an attribute of something that is not a record; typed data has none.
const NO_RECORD: &str = "an attribute of something that is not a record";

/// The value that is there, whatever it is; `Absent` when it or something before it is not.
///
/// # Errors
/// When something before it is unusable or not a record.
pub(crate) fn look<'a>(path: &Path, env: &impl Facts<'a>) -> Result<ValueRef<'a>, EvalError> {
    match fetch(path, env) {
        ValueRef::Unusable(NO_RECORD) => Err(EvalError::kind_needed("a record")),
        found => Ok(found),
    }
}

#[inline]
pub(crate) fn fetch<'a>(path: &Path, facts: &impl Facts<'a>) -> ValueRef<'a> {
    let (mut at, rest) = match (&path.root, path.slots.as_slice()) {
        (Root::Arg(place, _), slots) => {
            (facts.args().get(usize::from(*place)).copied().unwrap_or(ValueRef::Absent), slots)
        }
        (Root::Participant, [first, rest @ ..]) => (facts.participant().attribute(first), rest),
        (Root::Context, [first, rest @ ..]) => (facts.context().attribute(first), rest),
        (Root::Resource, [first, rest @ ..]) => match facts.attributes() {
            Some(attributes) => (attributes.field(first), rest),
            None => return ValueRef::Absent,
        },
        (_, []) => return ValueRef::Unusable(NO_RECORD),
    };
    for slot in rest {
        at = step(at, slot);
    }
    at
}

/// An attribute of what is there.
#[inline]
pub(super) fn step<'a>(at: ValueRef<'a>, slot: &Slot) -> ValueRef<'a> {
    match at {
        ValueRef::Record(record) => record.field(slot),
        ValueRef::Absent | ValueRef::Unusable(_) => at,
        _ => ValueRef::Unusable(NO_RECORD),
    }
}

/// A value that is there and usable, or the error of reading it.
#[inline(never)]
fn settled<'a>(path: &Path, found: ValueRef<'a>) -> Result<Val<'a>, EvalError> {
    match found {
        ValueRef::Absent => Err(EvalError::absent(path)),
        ValueRef::Unusable(why) => Err(EvalError::unusable_at(path, why)),
        found => Ok(Val::Ref(found)),
    }
}

#[inline]
fn with_constant<'a>(op: Binary, path: &Path, constant: &'a Value, env: &Env<'a>) -> Result<bool, EvalError> {
    use Binary::{Contains, Eq, Greater, GreaterEq, Less, LessEq, Ne};
    match (fetch(path, env), constant, op) {
        (ValueRef::Text(a), Value::Text(b), Eq) => Ok(a == &**b),
        (ValueRef::Text(a), Value::Text(b), Ne) => Ok(a != &**b),
        (ValueRef::Bool(a), Value::Bool(b), Eq) => Ok(a == *b),
        (ValueRef::Long(a), Value::Long(b), Eq) => Ok(a == *b),
        (ValueRef::Long(a), Value::Long(b), Less) => Ok(a < *b),
        (ValueRef::Long(a), Value::Long(b), LessEq) => Ok(a <= *b),
        (ValueRef::Long(a), Value::Long(b), Greater) => Ok(a > *b),
        (ValueRef::Long(a), Value::Long(b), GreaterEq) => Ok(a >= *b),
        (ValueRef::Set(set), constant, Contains) => operators::set_contains(set, constant.as_ref()),
        (found, constant, op) => with_any(op, path, found, constant.as_ref()),
    }
}

#[inline(never)]
fn with_any<'a>(op: Binary, path: &Path, found: ValueRef<'a>, other: ValueRef<'a>) -> Result<bool, EvalError> {
    operators::binary_of_values(op, &settled(path, found)?, &Val::Ref(other))?.truth()
}

#[inline]
fn with_path(op: Binary, left: &Path, right: &Path, env: &Env<'_>) -> Result<bool, EvalError> {
    match (fetch(left, env), fetch(right, env), op) {
        (ValueRef::Text(a), ValueRef::Text(b), Binary::Eq) => Ok(a == b),
        (ValueRef::Text(a), ValueRef::Text(b), Binary::Ne) => Ok(a != b),
        (a, b, op) => with_any_path(op, (left, a), (right, b)),
    }
}

#[inline(never)]
fn with_any_path<'a>(
    op: Binary,
    (left, a): (&Path, ValueRef<'a>),
    (right, b): (&Path, ValueRef<'a>),
) -> Result<bool, EvalError> {
    operators::binary_of_values(op, &settled(left, a)?, &settled(right, b)?)?.truth()
}
