//! The value of an expression that does not read the resource.

use super::eval::{Env, EvalError, value};
use super::operators::Val;
use super::{Ir, Root, Var};
use crate::name::EntityUid;
use crate::value::Value;

/// What an expression gives.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Known {
    /// Data.
    Value(Value),
    /// Milliseconds.
    Duration,
    /// An entity.
    Entity(EntityUid),
    /// A set of entities.
    Entities(Vec<EntityUid>),
    /// A set or a record of anything else.
    Other,
}

/// Evaluates an expression for which [`Ir::is_open`] is false.
pub(crate) fn known(ir: &Ir, env: &Env<'_>) -> Result<Known, EvalError> {
    Ok(of(&value(ir, env, 0)?))
}

fn of(val: &Val<'_>) -> Known {
    match val {
        Val::Ref(found) => found.to_value().map_or(Known::Other, Known::Value),
        Val::Duration(_) => Known::Duration,
        Val::Entity(uid) => Known::Entity(EntityUid::new(uid.kind, uid.id)),
        Val::Record(_) => Known::Other,
        Val::Set(items) => {
            let (mut values, mut uids) = (Vec::new(), Vec::new());
            for item in items {
                match of(item) {
                    Known::Value(value) => values.push(value),
                    Known::Entity(uid) => uids.push(uid),
                    Known::Duration | Known::Entities(_) | Known::Other => return Known::Other,
                }
            }
            match (values.is_empty(), uids.is_empty()) {
                (_, true) => Known::Value(Value::Set(values)),
                (true, false) => Known::Entities(uids),
                (false, false) => Known::Other,
            }
        }
    }
}

impl Ir {
    /// Whether the value depends on which resource it is: its attributes, or its uid.
    pub(crate) fn is_open(&self) -> bool {
        match self {
            Self::Path(path) | Self::Has(path) => path.root == Root::Resource,
            Self::Var(var) => *var == Var::Resource,
            // Its type is known.
            Self::Is(entity, _) => **entity != Self::Var(Var::Resource) && entity.is_open(),
            Self::Not(inner) | Self::Unary(_, inner) | Self::Like(inner, _) => inner.is_open(),
            Self::And(items) | Self::Or(items) | Self::Set(items) => items.iter().any(Self::is_open),
            Self::If(parts) => parts.iter().any(Self::is_open),
            Self::Binary(_, sides) => sides.iter().any(Self::is_open),
            Self::Record(fields) => fields.values().any(Self::is_open),
            Self::Const(_) | Self::Duration(_) | Self::Entity(_) => false,
        }
    }
}
