//! One tier's policies, built once and then only read.

use std::sync::Arc;

use super::index::Slice;
use crate::cedar;
use crate::check::Typed;
use crate::decision::Revision;
use crate::eval::Truth;
use crate::ir::eval::{Env, holds, look};
use crate::ir::{Ir, Path, Root};
use crate::kind::Kind;
use crate::name::EntityUid;
use crate::policy::{ActionConstraint, Effect, Policy};
use crate::registry::{ActionEntry, Registry};
use crate::request::ActionId;
use crate::value::ValueRef;

/// A policy that was admitted.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) policy: Policy,
    /// Decides where the condition is not lowered.
    pub(super) fallback: Option<cedar::Fallback>,
    /// For people: rules of the language, and what each must be for a permit to be satisfied, or for a forbid not to be.
    pub(super) rules: Vec<(Typed, Truth)>,
    /// Cedar as an administrator wrote it.
    pub(super) written: Option<Arc<str>>,
}

impl Member {
    /// Whether the policy is satisfied.
    pub(super) fn satisfied(&self, env: &Env<'_>) -> Result<bool, String> {
        let Policy { principal, resource, .. } = &self.policy;
        // The index has seen to the action.
        if !principal.admits(env.principal, env.principal_parents)
            || !resource.admits(env.resource, env.resource_parents)
        {
            return Ok(false);
        }
        match (&self.policy.condition, &self.fallback) {
            (Some(condition), _) => holds(condition, env).map_err(|e| e.to_string()),
            (None, Some(fallback)) => fallback.satisfied(env),
            (None, None) => Err("the policy has no condition".to_owned()),
        }
    }

    pub(super) fn cedar_text(&self) -> String {
        match &self.written {
            Some(text) => text.to_string(),
            None => cedar::render(&self.policy).unwrap_or_else(|e| format!("// {e}")),
        }
    }
}

/// All policies of one tier (or of the program), indexed.
#[derive(Debug)]
pub(super) struct TierSet {
    pub(super) revision: Revision,
    members: Vec<Member>,
    /// For each action its slice.
    by_action: Vec<u32>,
    slices: Vec<Slice>,
}

impl TierSet {
    pub(super) fn new(members: Vec<Member>, registry: &Registry, revision: Revision) -> Self {
        let count = registry.actions().count();
        // Slice 0 is of the actions that no policy names.
        let mut set = Self { revision, members: Vec::new(), by_action: vec![0; count], slices: vec![Slice::default()] };
        let anyone: Vec<u32> =
            numbered(&members).filter(|(_, m)| m.policy.action == ActionConstraint::Any).map(|(n, _)| n).collect();
        for (_, member) in numbered(&members) {
            for action in named(&member.policy.action, registry) {
                if let Some(at) = set.by_action.get_mut(action.0 as usize).filter(|at| **at == 0) {
                    *at = u32::try_from(set.slices.len()).unwrap_or(0);
                    set.slices.push(Slice::default());
                }
            }
        }
        for (number, member) in numbered(&members) {
            let wild = anyone.contains(&number) && member.policy.action == ActionConstraint::Any;
            if wild {
                set.slices.iter_mut().for_each(|slice| add(slice, number, member));
            } else {
                for action in named(&member.policy.action, registry) {
                    let at = set.by_action.get(action.0 as usize).copied().unwrap_or(0) as usize;
                    if let Some(slice) = set.slices.get_mut(at).filter(|_| at > 0) {
                        add(slice, number, member);
                    }
                }
            }
        }
        for (action, entry) in registry.actions() {
            let at = set.by_action.get(action.0 as usize).copied().unwrap_or(0) as usize;
            let mut paths = Vec::new();
            if at > 0 {
                for member in members.iter().filter(|m| m.policy.condition.is_some()) {
                    if matches!(member.policy.action, ActionConstraint::Any)
                        || named(&member.policy.action, registry).contains(&action)
                    {
                        fallible(member, entry, &mut paths);
                    }
                }
            }
            if let Some(slice) = set.slices.get_mut(at).filter(|_| at > 0) {
                slice.fallible = paths;
            }
        }
        set.members = members;
        set
    }

    /// The permits of the program's own annotations.
    pub(super) fn of_code(registry: &Registry) -> Self {
        let members = registry
            .actions()
            .filter_map(|(_, entry)| entry.permit.as_ref())
            .map(|permit| Member {
                policy: permit.policy.clone(),
                fallback: None,
                rules: permit.rules.iter().map(|rule| (rule.clone(), Truth::True)).collect(),
                written: None,
            })
            .collect();
        Self::new(members, registry, Revision { epoch: 0, number: 1, hash: 0 })
    }

    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    pub(super) fn member(&self, number: u32) -> Option<&Member> {
        self.members.get(number as usize)
    }

    fn slice(&self, action: ActionId) -> Option<&Slice> {
        self.slices.get(*self.by_action.get(action.0 as usize)? as usize)
    }

    /// The first attribute that a policy reads and whose value its kind cannot hold.
    pub(super) fn unusable(&self, action: ActionId, env: &Env<'_>) -> Option<(&Path, &'static str)> {
        self.slice(action)?.fallible.iter().find_map(|path| match look(path, env) {
            Ok(ValueRef::Unusable(why)) => Some((path, why)),
            Ok(ValueRef::Set(set)) => {
                let mut found = None;
                set.each(&mut |item| {
                    if let ValueRef::Unusable(why) = item {
                        found = Some((path, why));
                    }
                    found.is_none()
                });
                found
            }
            _ => None,
        })
    }

    /// Whether no forbid is satisfied, and none failed.
    pub(super) fn no_forbid(&self, action: ActionId, env: &Env<'_>) -> bool {
        let Some(slice) = self.slice(action) else { return true };
        !slice.forbids.any(env, &mut |n| self.member(n).is_none_or(|m| m.satisfied(env) != Ok(false)))
    }

    /// The number of the first satisfied permit.
    pub(super) fn permit(&self, action: ActionId, env: &Env<'_>) -> Option<u32> {
        let mut found = None;
        self.slice(action)?.permits.any(env, &mut |n| {
            if self.member(n).is_some_and(|m| m.satisfied(env) == Ok(true)) {
                found = Some(n);
            }
            found.is_some()
        });
        found
    }

    /// All policies that can apply, forbids first.
    pub(super) fn candidates(&self, action: ActionId, env: &Env<'_>) -> Vec<&Member> {
        let mut numbers = Vec::new();
        if let Some(slice) = self.slice(action) {
            for bucket in [&slice.forbids, &slice.permits] {
                bucket.any(env, &mut |n| {
                    numbers.push(n);
                    false
                });
            }
        }
        numbers.into_iter().filter_map(|n| self.member(n)).collect()
    }
}

fn numbered(members: &[Member]) -> impl Iterator<Item = (u32, &Member)> {
    (0..).zip(members)
}

fn add(slice: &mut Slice, number: u32, member: &Member) {
    let bucket = match member.policy.effect {
        Effect::Permit => &mut slice.permits,
        Effect::Forbid => &mut slice.forbids,
    };
    bucket.add(number, &member.policy.principal, &member.policy.resource);
}

/// The actions that a policy names, itself or by group; former names count.
fn named(constraint: &ActionConstraint, registry: &Registry) -> Vec<ActionId> {
    let of = |uid: &EntityUid| -> Vec<ActionId> {
        registry.by_uid(uid).into_iter().chain(registry.members(uid).iter().copied()).collect()
    };
    match constraint {
        ActionConstraint::Any => Vec::new(),
        ActionConstraint::Eq(uid) => registry.by_uid(uid).into_iter().collect(),
        ActionConstraint::In(uids) => uids.iter().flat_map(of).collect(),
    }
}

fn fallible(member: &Member, entry: &ActionEntry, out: &mut Vec<Path>) {
    let Some(condition) = &member.policy.condition else { return };
    condition.each_path(&mut |path| {
        if is_fallible(path, entry) && !out.contains(path) {
            out.push(path.clone());
        }
    });
}

fn is_fallible(path: &Path, entry: &ActionEntry) -> bool {
    let root = entry.env.roots.iter().find(|r| match (&r.root, &path.root) {
        (Root::Arg(a, _), Root::Arg(b, _)) => a == b,
        (a, b) => a == b,
    });
    let Some(mut ty) = root.and_then(|r| r.ty.as_ref()) else { return false };
    for slot in &path.slots {
        let Kind::Record(record) = &ty.kind else { return false };
        let Some((_, field)) = record.field(&slot.name) else { return false };
        ty = &field.ty;
    }
    ty.fallible
}

impl Ir {
    /// Calls `visit` with every attribute that is read or asked for.
    pub(crate) fn each_path<'a>(&'a self, visit: &mut dyn FnMut(&'a Path)) {
        match self {
            Self::Path(path) | Self::Has(path) => visit(path),
            Self::Not(inner) | Self::Unary(_, inner) | Self::Like(inner, _) | Self::Is(inner, _) => {
                inner.each_path(visit)
            }
            Self::And(items) | Self::Or(items) | Self::Set(items) => items.iter().for_each(|i| i.each_path(visit)),
            Self::If(parts) => parts.iter().for_each(|i| i.each_path(visit)),
            Self::Binary(_, sides) => sides.iter().for_each(|i| i.each_path(visit)),
            Self::Record(fields) => fields.values().for_each(|i| i.each_path(visit)),
            Self::Const(_) | Self::Duration(_) | Self::Entity(_) | Self::Var(_) => {}
        }
    }
}
