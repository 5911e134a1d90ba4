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
use crate::participant::Participant;
use crate::value::{Record, Slot, Value, ValueRef};

/// How deep expressions may nest; admission keeps every policy far below it.
const MAX_DEPTH: u32 = 200;

/// The uid of an entity of the request.
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
#[derive(Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Env<'a> {
    /// Who asks.
    pub principal: EntityRef<'a>,
    /// All entities that the principal is a member of, directly or through others.
    pub principal_parents: &'a [EntityUid],
    /// The attributes of the principal.
    pub participant: &'a Participant,
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
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EvalError(Box<EvalErrorKind>);

/// The reasons why a condition has no truth.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvalErrorKind {
    /// An attribute is read that is not there.
    #[error("`{0}` is absent")]
    Absent(String),
    /// An attribute is read that its kind cannot hold.
    #[error("a value is unusable: {0}")]
    Unusable(&'static str),
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
///     participant: &alice,
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

fn truth<'a>(ir: &'a Ir, env: &Env<'a>, depth: u32) -> Result<bool, EvalError> {
    if depth > MAX_DEPTH {
        return Err(EvalError::too_deep());
    }
    match ir {
        Ir::And(items) => {
            for item in items {
                if !truth(item, env, depth + 1)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        Ir::Or(items) => {
            for item in items {
                if truth(item, env, depth + 1)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Ir::Not(inner) => Ok(!truth(inner, env, depth + 1)?),
        Ir::Has(path) => has(path, env),
        Ir::If(parts) => {
            let [test, then, otherwise] = &**parts;
            truth(if truth(test, env, depth + 1)? { then } else { otherwise }, env, depth + 1)
        }
        Ir::Binary(op, operands) => {
            let [left, right] = &**operands;
            // What almost every rule is made of: an attribute beside a constant.
            if let (Ir::Path(path), Ir::Const(constant)) = (left, right) {
                with_constant(*op, read(path, env)?, constant)
            } else {
                let left = value(left, env, depth + 1)?;
                let right = value(right, env, depth + 1)?;
                operators::binary(*op, &left, &right, env)?.truth()
            }
        }
        Ir::Like(text, pattern) => match &**text {
            Ir::Path(path) => match read(path, env)? {
                ValueRef::Text(text) => Ok(like(pattern, text)),
                other => operators::like_value(&Val::Ref(other), pattern),
            },
            text => operators::like_value(&value(text, env, depth + 1)?, pattern),
        },
        Ir::Is(entity, kind) => Ok(operators::entity(&value(entity, env, depth + 1)?)?.kind == &**kind),
        Ir::Path(path) => Val::Ref(read(path, env)?).truth(),
        Ir::Const(constant) => Val::Ref(constant.as_ref()).truth(),
        Ir::Unary(op, operand) => operators::unary(*op, &value(operand, env, depth + 1)?)?.truth(),
        Ir::Duration(_) | Ir::Entity(_) | Ir::Var(_) | Ir::Set(_) | Ir::Record(_) => {
            Err(EvalError::kind_needed("a truth"))
        }
    }
}

/// Evaluates an expression of any kind.
pub(super) fn value<'a>(ir: &'a Ir, env: &Env<'a>, depth: u32) -> Result<Val<'a>, EvalError> {
    if depth > MAX_DEPTH {
        return Err(EvalError::too_deep());
    }
    Ok(match ir {
        Ir::Const(constant) => Val::Ref(constant.as_ref()),
        Ir::Path(path) => Val::Ref(read(path, env)?),
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

/// The value that is there, whatever it is; `Absent` when it or something before it is not.
#[inline]
pub(crate) fn look<'a>(path: &Path, env: &Env<'a>) -> Result<ValueRef<'a>, EvalError> {
    let (mut at, rest) = match &path.root {
        Root::Arg(place, _) => (env.args.get(usize::from(*place)).copied().unwrap_or(ValueRef::Absent), &*path.slots),
        root => {
            let Some((first, rest)) = path.slots.split_first() else {
                return Err(EvalError::kind_needed("an attribute"));
            };
            (first_field(root, first, env), rest)
        }
    };
    for slot in rest {
        match at {
            ValueRef::Record(record) => at = record.field(slot),
            ValueRef::Absent => return Ok(at),
            ValueRef::Unusable(why) => return Err(EvalError::unusable(why)),
            _ => return Err(EvalError::kind_needed("a record")),
        }
    }
    Ok(at)
}

#[inline]
fn first_field<'a>(root: &Root, slot: &Slot, env: &Env<'a>) -> ValueRef<'a> {
    match root {
        Root::Participant => env.participant.field(slot),
        Root::Context => env.context.attribute(slot),
        Root::Resource => env.attributes.map_or(ValueRef::Absent, |attributes| attributes.field(slot)),
        Root::Arg(..) => ValueRef::Absent,
    }
}

/// The value of an attribute; an error when there is none.
#[inline]
fn read<'a>(path: &Path, env: &Env<'a>) -> Result<ValueRef<'a>, EvalError> {
    match look(path, env)? {
        ValueRef::Absent => Err(EvalError::absent(path)),
        ValueRef::Unusable(why) => Err(EvalError::unusable(why)),
        found => Ok(found),
    }
}

fn has(path: &Path, env: &Env<'_>) -> Result<bool, EvalError> {
    match look(path, env)? {
        ValueRef::Absent => Ok(false),
        ValueRef::Unusable(why) => Err(EvalError::unusable(why)),
        _ => Ok(true),
    }
}

#[inline]
fn with_constant(op: Binary, found: ValueRef<'_>, constant: &Value) -> Result<bool, EvalError> {
    use Binary::{Contains, Eq, Greater, GreaterEq, Less, LessEq, Ne};
    match (op, found, constant) {
        (Eq, ValueRef::Text(a), Value::Text(b)) => Ok(a == &**b),
        (Ne, ValueRef::Text(a), Value::Text(b)) => Ok(a != &**b),
        (Eq, ValueRef::Bool(a), Value::Bool(b)) => Ok(a == *b),
        (Eq, ValueRef::Long(a), Value::Long(b)) => Ok(a == *b),
        (Less, ValueRef::Long(a), Value::Long(b)) => Ok(a < *b),
        (LessEq, ValueRef::Long(a), Value::Long(b)) => Ok(a <= *b),
        (Greater, ValueRef::Long(a), Value::Long(b)) => Ok(a > *b),
        (GreaterEq, ValueRef::Long(a), Value::Long(b)) => Ok(a >= *b),
        (Contains, ValueRef::Set(set), constant) => operators::set_contains(set, constant.as_ref()),
        _ => operators::binary_of_values(op, &Val::Ref(found), &Val::Ref(constant.as_ref()))?.truth(),
    }
}
