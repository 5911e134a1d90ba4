//! One tier's policies, built once and then only read.

use std::sync::Arc;

use super::conform::{Check, Misfit};
use super::index::Slice;
use crate::cedar;
use crate::check::Typed;
use crate::decision::Revision;
use crate::eval::Truth;
use crate::ir::eval::{Env, holds};
use crate::ir::{Ir, Path};
use crate::name::EntityUid;
use crate::policy::{ActionConstraint, Constraint, Effect, Policy};
use crate::registry::{ActionEntry, Registry};
use crate::request::ActionId;

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

    /// Whether its principal and resource are those that the policy is about; `None` when the resource is not `known` yet and
    /// it depends on that.
    pub(super) fn scoped(&self, env: &Env<'_>, known: bool) -> Option<bool> {
        let principal = self.policy.principal.admits(env.principal, env.principal_parents);
        let resource = self.policy.resource.admits(env.resource, env.resource_parents);
        let told = known || !matches!(self.policy.resource, Constraint::Eq(_));
        match (principal, resource) {
            (false, _) => Some(false),
            (true, resource) if told => Some(resource),
            (true, _) => None,
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
    /// For each action what its policies read of data that may not be as it was declared.
    checks: Vec<Vec<Check>>,
}

impl TierSet {
    pub(super) fn new(members: Vec<Member>, registry: &Registry, revision: Revision) -> Self {
        let count = registry.actions().count();
        // Slice 0 is of the actions that no policy names.
        let mut set = Self {
            revision,
            members: Vec::new(),
            by_action: vec![0; count],
            slices: vec![Slice::default()],
            checks: vec![Vec::new(); count],
        };
        let wild = |member: &Member| member.policy.action == ActionConstraint::Any;
        let targets: Vec<Vec<ActionId>> = members.iter().map(|m| named(&m.policy.action, registry)).collect();
        for action in targets.iter().flatten() {
            if let Some(at) = set.by_action.get_mut(action.0 as usize).filter(|at| **at == 0) {
                *at = u32::try_from(set.slices.len()).unwrap_or(0);
                set.slices.push(Slice::default());
            }
        }
        for ((number, member), actions) in numbered(&members).zip(&targets) {
            if wild(member) {
                set.slices.iter_mut().for_each(|slice| add(slice, number, member));
            }
            for action in actions {
                let at = set.by_action.get(action.0 as usize).copied().unwrap_or(0) as usize;
                if let Some(slice) = set.slices.get_mut(at).filter(|_| at > 0) {
                    add(slice, number, member);
                }
            }
        }
        for ((action, entry), checks) in registry.actions().zip(&mut set.checks) {
            for member in members.iter().filter(|m| wild(m)) {
                reads(member, entry, checks);
            }
            for (member, _) in members.iter().zip(&targets).filter(|(_, actions)| actions.contains(&action)) {
                reads(member, entry, checks);
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
        let mut set = Self::new(members, registry, Revision { epoch: 0, number: 1, hash: 0 });
        for ((_, entry), checks) in registry.actions().zip(&mut set.checks) {
            // An argument that its kind cannot hold refuses the call, whether a rule reads it or not.
            let parameters =
                entry.env.roots.iter().filter(|root| entry.params.iter().any(|(name, _)| *name == root.name));
            for (root, ty) in parameters.filter_map(|root| Some((&root.root, root.ty.as_ref()?))) {
                checks
                    .extend(Check::fallible(root, ty).into_iter().filter(|c| !checks.contains(c)).collect::<Vec<_>>());
            }
        }
        set
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

    /// The first attribute that a policy reads and whose value is not what the policy was checked against.
    pub(super) fn misfit(&self, action: ActionId, env: &Env<'_>) -> Option<Misfit<'_>> {
        self.checks.get(action.0 as usize)?.iter().find_map(|check| check.look(env).err())
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

    /// All policies that can apply when the resource may not be known yet.
    pub(super) fn possible(&self, action: ActionId, env: &Env<'_>, known: bool) -> Vec<&Member> {
        if known {
            return self.candidates(action, env);
        }
        let buckets = self.slice(action).into_iter().flat_map(|slice| [&slice.forbids, &slice.permits]);
        buckets.flat_map(|bucket| bucket.all(env)).filter_map(|n| self.member(n)).collect()
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

/// What is to be looked at before a policy is asked; a policy that Cedar decides may read anything.
fn reads(member: &Member, entry: &ActionEntry, out: &mut Vec<Check>) {
    let mut found = Vec::new();
    match &member.policy.condition {
        Some(condition) => condition.each_path(&mut |path| found.extend(Check::of(path, entry))),
        None => found = Check::all(entry),
    }
    // What is never absent is not in the condition; it was there all the same when the rule was checked.
    for (rule, _) in &member.rules {
        rule.each_leaf(&mut |leaf| found.extend(leaf.test.paths().iter().filter_map(|p| Check::of(&p.path, entry))));
    }
    for check in found {
        if !out.contains(&check) {
            out.push(check);
        }
    }
}

impl Ir {
    /// Calls `visit` with every attribute that is read or asked for.
    pub(crate) fn each_path<'a>(&'a self, visit: &mut dyn FnMut(&'a Path)) {
        match self {
            Self::Path(path) | Self::Has(path) => visit(path),
            Self::Not(inner) | Self::Unary(_, inner) | Self::Like(inner, _) | Self::Is(inner, _) => {
                inner.each_path(visit);
            }
            Self::And(items) | Self::Or(items) | Self::Set(items) => items.iter().for_each(|i| i.each_path(visit)),
            Self::If(parts) => parts.iter().for_each(|i| i.each_path(visit)),
            Self::Binary(_, sides) => sides.iter().for_each(|i| i.each_path(visit)),
            Self::Record(fields) => fields.values().for_each(|i| i.each_path(visit)),
            Self::Const(_) | Self::Duration(_) | Self::Entity(_) | Self::Var(_) => {}
        }
    }
}
