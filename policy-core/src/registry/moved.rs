//! What a newer manifest says otherwise than an older one.
//!
//! In: two registries. Out: [`Moved`], for whoever wrote rules about the older one, and the actions that are new or changed.
//! Absent: whether a rule minds.

use std::collections::BTreeMap;
use std::fmt;

use super::declared::{Declared, Written};
use super::{ActionEntry, Registry};
use crate::kind::{Described, Kind};
use crate::name::nearest;

/// Something that rules can name, and that is gone or of another kind.
///
/// ```
/// use policy_core::registry::{Moved, Registry};
/// let (older, newer) = (Registry::of(&[], &[]).unwrap(), Registry::of(&[], &[]).unwrap());
/// let moved: Vec<Moved> = newer.moved_since(&older);
/// assert!(moved.is_empty() && newer.changed_since(Some(&older)).is_empty());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Moved {
    /// The action's full name.
    pub action: String,
    /// The attribute's path, such as `order.amount`; none where the action itself is gone.
    pub attribute: Option<String>,
    /// What became of it.
    pub change: Change,
}

/// What became of a name.
///
/// ```
/// use policy_core::registry::Change;
/// let gone = Change::Gone { near: Some("com.example.Orders.place".into()) };
/// assert_eq!(gone.to_string(), "is gone; `com.example.Orders.place` is near");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a name is gone, or means another kind")]
pub enum Change {
    /// It is not there.
    Gone {
        /// The nearest name that is.
        near: Option<String>,
    },
    /// It is of another kind.
    Kind {
        /// What it was.
        was: String,
        /// What it is.
        is: String,
    },
}

impl Moved {
    /// The word by which rules would mention it: the action's or the attribute's own name.
    pub fn word(&self) -> &str {
        let path = self.attribute.as_deref().unwrap_or(&self.action);
        path.rsplit('.').next().unwrap_or(path)
    }
}

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.attribute {
            Some(path) => write!(f, "`{path}` of `{}` {}", self.action, self.change),
            None => write!(f, "`{}` {}", self.action, self.change),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone { near: Some(near) } => write!(f, "is gone; `{near}` is near"),
            Self::Gone { near: None } => f.write_str("is gone"),
            Self::Kind { was, is } => write!(f, "was {was} and is {is}"),
        }
    }
}

impl Registry {
    /// What rules about an older manifest of the program could name and no longer can as they did.
    pub fn moved_since(&self, older: &Self) -> Vec<Moved> {
        let mut out = Vec::new();
        for (_, before) in older.actions().filter(|(_, entry)| !entry.places.is_empty()) {
            let action = before.name.to_string();
            let Some(now) = self.number(&before.name).and_then(|id| self.action(id)) else {
                let known: Vec<String> = self.actions().map(|(_, entry)| entry.name.to_string()).collect();
                let near = nearest(&action, known.iter().map(String::as_str)).map(str::to_owned);
                out.push(Moved { action, attribute: None, change: Change::Gone { near } });
                continue;
            };
            let readable = attributes(now);
            for (path, was) in attributes(before) {
                let change = match readable.get(&path) {
                    Some(is) if *is == was => continue,
                    Some(is) => Change::Kind { was, is: is.clone() },
                    None => {
                        Change::Gone { near: nearest(&path, readable.keys().map(String::as_str)).map(str::to_owned) }
                    }
                };
                out.push(Moved { action: action.clone(), attribute: Some(path), change });
            }
        }
        out
    }

    /// The full names of actions that are new or declared otherwise than in an older manifest; of all, where there is none.
    pub fn changed_since(&self, older: Option<&Self>) -> Vec<String> {
        let before = older.map_or(&[][..], |older| &older.declared);
        let is_new = |one: &&Declared| {
            before.iter().find(|old| old.name == one.name).is_none_or(|old| placeless(old) != placeless(one))
        };
        self.declared.iter().filter(is_new).map(|one| one.name.to_string()).collect()
    }
}

/// A declaration, wherever it stands.
fn placeless(declared: &Declared) -> Declared {
    let rules = declared.rules.iter().map(|rule| Written { text: rule.text.clone(), place: "".into() });
    Declared { places: Vec::new(), rules: rules.collect(), ..declared.clone() }
}

/// Every path that rules about an action can read, with its kind.
fn attributes(entry: &ActionEntry) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for root in &entry.env.roots {
        if let Some(ty) = &root.ty {
            describe(&mut out, &root.name, ty);
        }
        for ((_, name), kind) in entry.env.inferred.iter().filter(|((of, _), _)| root.open && *of == root.name) {
            describe(&mut out, &format!("{}.{name}", root.name), &Described::optional(kind.clone()));
        }
    }
    out
}

fn describe(out: &mut BTreeMap<String, String>, path: &str, ty: &Described) {
    if let Kind::Record(record) = &ty.kind {
        for field in &record.fields {
            describe(out, &format!("{path}.{}", field.name), &field.ty);
        }
    } else {
        out.insert(path.to_owned(), ty.kind.to_string());
    }
}
