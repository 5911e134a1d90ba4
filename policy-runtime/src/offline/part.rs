//! A value of which some parts may be withheld: a rule that reads one of those cannot be decided.

use std::collections::BTreeMap;
use std::sync::Arc;

use policy_core::value::{Record, Slot, Value, ValueRef};

/// Why a rule cannot read what is withheld.
pub(super) const WITHHELD: &str = "it was not kept";

/// A value as far as it is known.
#[derive(Debug, Clone)]
pub(super) enum Part {
    Value(Value),
    Tree(BTreeMap<Arc<str>, Self>),
    Withheld,
}

impl Part {
    pub(super) fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Value(value) => value.as_ref(),
            Self::Tree(_) => ValueRef::record(self),
            Self::Withheld => ValueRef::Unusable(WITHHELD),
        }
    }

    /// Withholds what a path leads to.
    #[cfg(feature = "admin")]
    pub(super) fn withhold(&mut self, path: &[&str]) {
        let Some((first, rest)) = path.split_first() else {
            *self = Self::Withheld;
            return;
        };
        if let Self::Value(Value::Record(fields)) = self {
            let fields = std::mem::take(fields);
            *self = Self::Tree(fields.into_iter().map(|(name, value)| (name, Self::Value(value))).collect());
        }
        match self {
            Self::Tree(fields) => fields.entry((*first).into()).or_insert(Self::Withheld).withhold(rest),
            Self::Value(_) | Self::Withheld => *self = Self::Withheld,
        }
    }
}

impl Record for Part {
    fn field(&self, slot: &Slot) -> ValueRef<'_> {
        match self {
            Self::Value(Value::Record(fields)) => fields.field(slot),
            Self::Value(_) => ValueRef::Absent,
            Self::Tree(fields) => fields.get(&slot.name).map_or(ValueRef::Absent, Self::as_ref),
            Self::Withheld => ValueRef::Unusable(WITHHELD),
        }
    }

    fn each_field(&self, visit: &mut dyn FnMut(&str, ValueRef<'_>)) {
        match self {
            Self::Value(Value::Record(fields)) => fields.each_field(visit),
            Self::Tree(fields) => fields.iter().for_each(|(name, part)| visit(name, part.as_ref())),
            Self::Value(_) | Self::Withheld => {}
        }
    }
}
