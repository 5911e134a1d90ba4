//! The names that requests use for an application's resource types and actions.

use std::collections::{BTreeMap, BTreeSet};

use policy_core::ActionId;
use policy_core::ir::Root;
use policy_core::registry::{ActionEntry, Registry};

/// Resource types, each with its actions by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Mapping {
    types: BTreeMap<String, BTreeMap<String, ActionId>>,
}

/// What a name stands for.
#[derive(Debug)]
pub(super) struct Known<'a> {
    pub(super) action: ActionId,
    pub(super) entry: &'a ActionEntry,
    /// Whether it is about an entity, whose attributes rules read, and not about the application or a service of it.
    pub(super) entity: bool,
}

impl Mapping {
    /// The program's own names: the dotted type of the resource, and the action's id in its namespace and its full name.
    pub(super) fn of_program(registry: &Registry) -> Self {
        let mut out = Self::default();
        let tier = policy_core::Tier::Application;
        for (id, entry) in registry.actions().filter(|(_, e)| e.tier == tier && !e.places.is_empty()) {
            let kind = entry.resource.replace("::", ".");
            out.add(&kind, entry.name.id(), id);
            out.add(&kind, &entry.name.to_string(), id);
        }
        out
    }

    pub(super) fn add(&mut self, kind: &str, name: &str, action: ActionId) {
        self.types.entry(kind.to_owned()).or_default().insert(name.to_owned(), action);
    }

    pub(super) fn find<'a>(&self, registry: &'a Registry, kind: &str, name: &str) -> Option<Known<'a>> {
        let action = *self.types.get(kind)?.get(name)?;
        let entry = registry.action(action)?;
        Some(Known { action, entry, entity: is_about_entity(entry) })
    }

    /// The names of a type's actions, one for each action.
    pub(super) fn actions<'a>(&'a self, kind: &str) -> impl Iterator<Item = &'a str> {
        let mut seen = BTreeSet::new();
        let names = self.types.get(kind).into_iter().flatten();
        names.filter(move |(_, id)| seen.insert(**id)).map(|(name, _)| name.as_str())
    }
}

/// Whether rules about an action read attributes of a resource.
pub(super) fn is_about_entity(entry: &ActionEntry) -> bool {
    entry.env.roots.iter().any(|root| root.root == Root::Resource)
}
