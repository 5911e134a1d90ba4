//! One tier's policies, built once and then only read.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use super::asked::Asked;
use super::conform::{Check, Misfit};
use super::index::{Candidate, Rest, Slice, is_keyed};
use crate::cedar;
use crate::check::Typed;
use crate::decision::Revision;
use crate::eval::Truth;
use crate::ir::code::{Code, Seen};
use crate::ir::eval::{Env, Facts as _, holds};
use crate::ir::fold::Known;
use crate::ir::{Ir, Path};
use crate::name::{EntityUid, Tier};
use crate::platform;
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

/// How many times a policy about any action is expanded, over all of them, before it is rather asked anew each time.
const EXPANDED: usize = 100_000;

/// All policies of one tier (or of the program), indexed.
#[derive(Debug)]
pub(super) struct TierSet {
    pub(super) revision: Revision,
    /// Those of a shipped baseline are shared by all sets that begin with it.
    members: Vec<Arc<Member>>,
    by_action: Vec<OfAction>,
    slices: Vec<Slice>,
    /// Policies about any action that are found by a uid, or too many to be expanded.
    any: Option<Box<Slice>>,
    /// The set as Cedar has it, once Cedar was asked.
    pub(super) judge: OnceLock<Result<cedar::Judge, String>>,
}

/// What a set has for one action.
#[derive(Debug)]
struct OfAction {
    /// What is answered whatever the request is, where no permit is asked for and where one is.
    always: [Option<u32>; 2],
    slice: u32,
    /// What its policies read of data that may not be as it was declared: first what is looked at before each decision, then
    /// what an allowed decision proves by itself.
    checks: Vec<Check>,
    looked_at: usize,
}

impl OfAction {
    /// The program's own permit is asked in every decision, and to be satisfied it needs some of the data as declared.
    fn new(at: u32, mut checks: Vec<Check>, entry: &ActionEntry, slices: &[Slice], any: Option<&Slice>) -> Self {
        let condition = entry.permit.as_ref().and_then(|permit| permit.policy.condition.as_ref());
        let proven = |check: &Check| condition.is_some_and(|condition| check.is_proven_by(condition));
        checks.sort_by_key(proven);
        let looked_at = checks.iter().filter(|check| !proven(check)).count();
        let slice = slices.get(at as usize).filter(|_| looked_at == 0 && any.is_none());
        let always = [false, true].map(|permit| slice.and_then(|slice| slice.always(permit)));
        Self { always, slice: at, checks, looked_at }
    }
}

impl TierSet {
    pub(super) fn new(members: Vec<Arc<Member>>, registry: &Registry, revision: Revision) -> Self {
        let count = registry.actions().count();
        let mut own: Vec<Option<Slice>> = (0..count).map(|_| None).collect();
        let mut read: Vec<Reads<'_>> = (0..count).map(|_| Reads::default()).collect();
        let mut any: Option<Box<Slice>> = None;
        let mut expanded: Vec<(u32, &Member)> = Vec::new();
        let mut read_by_any = Reads::default();
        for (number, member) in (0..).zip(&members) {
            if member.policy.action == ActionConstraint::Any {
                if is_keyed(member) || (expanded.len() + 1) * count > EXPANDED {
                    any.get_or_insert_default().add(number, member, &Known::default());
                } else {
                    expanded.push((number, member));
                }
                read_by_any.add(member);
                continue;
            }
            for action in named(&member.policy.action, registry) {
                let at = action.0 as usize;
                if let (Some(entry), Some(slice), Some(read)) =
                    (registry.action(action), own.get_mut(at), read.get_mut(at))
                {
                    slice.get_or_insert_default().add(number, member, &known(entry));
                    read.add(member);
                }
            }
        }
        if let Some(any) = &mut any {
            any.sort();
        }
        let (mut numbers, mut slices) = (Vec::with_capacity(count), Vec::new());
        // Actions that nothing names and for which the same is settled have one slice.
        let mut alike: HashMap<Vec<bool>, u32> = HashMap::new();
        for ((_, entry), own) in registry.actions().zip(own) {
            let known = known(entry);
            let next = u32::try_from(slices.len()).unwrap_or(u32::MAX);
            let settled = || expanded.iter().map(|(number, member)| settled(*number, member, &known)).collect();
            let at = match (&own, own.is_none().then(settled).flatten()) {
                (None, Some(settled)) => *alike.entry(settled).or_insert(next),
                _ => next,
            };
            numbers.push(at);
            if at == next {
                let mut slice = own.unwrap_or_default();
                for (number, member) in &expanded {
                    slice.add(*number, member, &known);
                }
                slice.sort();
                slices.push(slice);
            }
        }
        let by_action = registry
            .actions()
            .zip(numbers.into_iter().zip(read))
            .map(|((_, entry), (slice, read))| {
                OfAction::new(slice, read.checks(&read_by_any, entry), entry, &slices, any.as_deref())
            })
            .collect();
        Self { revision, members, by_action, slices, any, judge: OnceLock::new() }
    }

    /// The permits of the program's own annotations.
    pub(super) fn of_code(registry: &Registry) -> Self {
        let members = registry
            .actions()
            .filter_map(|(_, entry)| entry.permit.as_ref())
            .map(|permit| {
                Arc::new(Member {
                    policy: permit.policy.clone(),
                    fallback: None,
                    rules: permit.rules.iter().map(|rule| (rule.clone(), Truth::True)).collect(),
                    written: None,
                })
            })
            .collect();
        let mut set = Self::new(members, registry, Revision { epoch: 0, number: 1, hash: 0 });
        for ((_, entry), own) in registry.actions().zip(&mut set.by_action) {
            // An argument that its kind cannot hold refuses the call, whether a rule reads it or not.
            let parameters =
                entry.env.roots.iter().filter(|root| entry.params.iter().any(|(name, _)| *name == root.name));
            let mut checks = std::mem::take(&mut own.checks);
            for (root, ty) in parameters.filter_map(|root| Some((&root.root, root.ty.as_ref()?))) {
                checks
                    .extend(Check::fallible(root, ty).into_iter().filter(|c| !checks.contains(c)).collect::<Vec<_>>());
            }
            *own = OfAction::new(own.slice, checks, entry, &set.slices, set.any.as_deref());
        }
        set
    }

    /// The set as Cedar has it.
    pub(super) fn prepare(&self, registry: &Registry) -> Result<cedar::Judge, String> {
        let written = self.members.iter().filter_map(|member| {
            let actions = match &member.policy.action {
                ActionConstraint::Any => None,
                constraint @ (ActionConstraint::Eq(_) | ActionConstraint::In(_)) => {
                    let actions = named(constraint, registry).into_iter();
                    Some(actions.filter_map(|action| Some(registry.action(action)?.uid.clone())).collect::<Vec<_>>())
                }
            };
            // A policy about nothing that there is cannot apply.
            let applies = actions.as_ref().is_none_or(|actions| !actions.is_empty());
            applies.then_some(cedar::Written { policy: &member.policy, text: member.written.as_deref(), actions })
        });
        cedar::judge_of(written.collect(), registry.model()).map_err(|d| d.to_string())
    }

    pub(super) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().map(|member| &**member)
    }

    pub(super) fn member(&self, number: u32) -> Option<&Member> {
        self.members.get(number as usize).map(|member| &**member)
    }

    fn slice(&self, action: ActionId) -> Option<&Slice> {
        self.slices.get(self.by_action.get(action.0 as usize)?.slice as usize)
    }

    /// The first attribute that a policy reads and whose value is not what the policy was checked against.
    pub(super) fn misfit(&self, asked: &Asked<'_>) -> Option<Misfit<'_>> {
        self.by_action.get(asked.request.action.0 as usize)?.checks.iter().find_map(|check| check.look(asked).err())
    }

    /// The number of a satisfied permit, when no forbid is satisfied or failed; where no `permit` is asked for, any number.
    /// With `look`, only when the data is as declared, as far as an allowed decision does not prove that.
    #[inline]
    pub(super) fn quick(&self, asked: &Asked<'_>, permit: bool, look: bool) -> Option<u32> {
        let own = self.by_action.get(asked.request.action.0 as usize)?;
        match own.always.get(usize::from(permit)) {
            Some(Some(number)) => Some(*number),
            _ => self.asked(own, asked, permit, look),
        }
    }

    #[inline(never)]
    fn asked(&self, own: &OfAction, asked: &Asked<'_>, permit: bool, look: bool) -> Option<u32> {
        let (slice, any) = (self.slices.get(own.slice as usize)?, self.any.as_deref());
        if look && !own.checks.iter().take(own.looked_at).all(|check| check.fits(asked)) {
            return None;
        }
        if !self.no_forbid(slice, asked) || any.is_some_and(|any| !self.no_forbid(any, asked)) {
            return None;
        }
        if !permit {
            return Some(0);
        }
        self.permit(slice, asked).or_else(|| self.permit(any?, asked))
    }

    /// What an action is decided by: the slice, unless some policies are found by what they constrain, and what is looked at
    /// before.
    pub(super) fn open(&self, action: ActionId) -> Option<(Option<&Slice>, &[Check])> {
        let own = self.by_action.get(action.0 as usize)?;
        let slice = self.slices.get(own.slice as usize)?;
        let open = self.any.is_none() && slice.forbids.is_open() && slice.permits.is_open();
        Some((open.then_some(slice), own.checks.get(..own.looked_at).unwrap_or_default()))
    }

    /// Whether a policy is satisfied. Why it cannot be told is not asked here.
    #[inline]
    fn satisfied(&self, rest: &Rest, asked: &Asked<'_>) -> Option<bool> {
        match &rest.condition {
            Some(condition) => condition.holds(asked),
            None => self.whole(rest.number, asked),
        }
    }

    #[inline(never)]
    fn whole(&self, number: u32, asked: &Asked<'_>) -> Option<bool> {
        self.member(number)?.satisfied(asked.env()).ok()
    }

    /// Whether no forbid of a slice is satisfied, and none failed.
    #[inline]
    fn no_forbid(&self, slice: &Slice, asked: &Asked<'_>) -> bool {
        slice.forbids.open().iter().all(|rest| self.satisfied(rest, asked) == Some(false))
            && !slice.forbids.keyed(asked, &mut |number| self.whole(number, asked) != Some(false))
    }

    /// The number of the first satisfied permit of a slice.
    #[inline]
    fn permit(&self, slice: &Slice, asked: &Asked<'_>) -> Option<u32> {
        let open = slice.permits.open().iter().find(|rest| self.satisfied(rest, asked) == Some(true));
        open.map(|rest| rest.number).or_else(|| {
            let mut found = None;
            slice.permits.keyed(asked, &mut |number| {
                found = found.or((self.whole(number, asked) == Some(true)).then_some(number));
                found.is_some()
            });
            found
        })
    }

    /// Visits the policies that can apply to a row.
    pub(super) fn rows<'s>(&'s self, asked: &Asked<'_>, visit: &mut impl FnMut(&'s Member)) {
        let mut candidate = |candidate: Candidate<'s>| {
            if let Some(member) = self.member(candidate.number()) {
                visit(member);
            }
        };
        for slice in self.slice(asked.request.action).into_iter().chain(self.any.as_deref()) {
            slice.forbids.rows(asked, &mut candidate);
            slice.permits.rows(asked, &mut candidate);
        }
    }

    /// The attributes that are looked at before the policies of an action are asked.
    pub(super) fn checks(&self, action: ActionId) -> &[Check] {
        self.by_action.get(action.0 as usize).map_or(&[], |own| &own.checks)
    }

    /// Whether the set allows where the call is not `known` yet: `None` when that depends. `permit` says whether a permit has to
    /// be satisfied for that.
    pub(super) fn allows(&self, asked: &Asked<'_>, known: Seen, permit: bool) -> Option<bool> {
        let [unforbidden, permitted] = self.by_action.get(asked.request.action.0 as usize)?.always;
        let unforbidden = match unforbidden {
            Some(_) => Some(true),
            None => self.settled(Effect::Forbid, asked, known).map(|forbidden| !forbidden),
        };
        if unforbidden == Some(false) || !permit || permitted.is_some() {
            return unforbidden;
        }
        match self.settled(Effect::Permit, asked, known) {
            Some(true) => unforbidden,
            other => other,
        }
    }

    /// Whether a policy of an effect is satisfied where the call is not `known` yet: `None` when that depends.
    fn settled(&self, effect: Effect, asked: &Asked<'_>, known: Seen) -> Option<bool> {
        let slice = self.slice(asked.request.action);
        let (mut open, mut yes) = (false, false);
        let mut visit = |candidate: Candidate<'_>| {
            match self.candidate(candidate, asked, known) {
                Some(truth) => yes |= truth,
                None => open = true,
            }
            yes
        };
        for slice in [slice, self.any.as_deref()].into_iter().flatten() {
            let bucket = match effect {
                Effect::Permit => &slice.permits,
                Effect::Forbid => &slice.forbids,
            };
            if if known.uid { bucket.any(asked, &mut visit) } else { bucket.all(asked, &mut visit) } {
                break;
            }
        }
        if yes { Some(true) } else { (!open).then_some(false) }
    }

    fn candidate(&self, candidate: Candidate<'_>, asked: &Asked<'_>, known: Seen) -> Option<bool> {
        if let Candidate::Rest(Rest { condition: Some(condition), .. }) = candidate {
            return condition.settled(asked, known);
        }
        let member = self.member(candidate.number())?;
        let condition =
            member.policy.condition.as_ref().and_then(|condition| Code::of(condition).settled(asked, known));
        match (member.scoped(asked.env(), known.uid), condition) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        }
    }

    /// All policies that can apply, forbids first, in the order in which they were written.
    pub(super) fn candidates(&self, asked: &Asked<'_>) -> Vec<&Member> {
        let mut numbers = Vec::new();
        let slices = || self.slice(asked.request.action).into_iter().chain(self.any.as_deref());
        for buckets in [slices().map(|s| &s.forbids).collect::<Vec<_>>(), slices().map(|s| &s.permits).collect()] {
            let start = numbers.len();
            for bucket in buckets {
                bucket.any(asked, &mut |candidate| {
                    numbers.push(candidate.number());
                    false
                });
                numbers.extend(bucket.never());
            }
            if let Some(own) = numbers.get_mut(start..) {
                own.sort_unstable();
            }
        }
        numbers.into_iter().filter_map(|n| self.member(n)).collect()
    }
}

/// What all requests to an action have in common.
fn known(entry: &ActionEntry) -> Known<'_> {
    // A request to the platform's own action is about its scope; nothing else has such a type.
    let scope = match entry.tier {
        Tier::System => platform::SYSTEM,
        Tier::Organization => platform::ORGANIZATION,
        Tier::Application => platform::APPLICATION,
    };
    let settled = !entry.resource.starts_with("Platform::") || *entry.resource == *scope;
    Known { action: Some(&entry.uid), groups: &entry.groups, resource: settled.then_some(&*entry.resource) }
}

/// The actions that a policy names, itself or by group; former names count.
pub(super) fn named(constraint: &ActionConstraint, registry: &Registry) -> Vec<ActionId> {
    let of = |uid: &EntityUid| -> Vec<ActionId> {
        registry.by_uid(uid).into_iter().chain(registry.members(uid).iter().copied()).collect()
    };
    let mut actions: Vec<ActionId> = match constraint {
        ActionConstraint::Any => Vec::new(),
        ActionConstraint::Eq(uid) => registry.by_uid(uid).into_iter().collect(),
        ActionConstraint::In(uids) => uids.iter().flat_map(of).collect(),
    };
    actions.sort_unstable();
    actions.dedup();
    actions
}

/// Whether the action settles a policy, and how.
fn settled(number: u32, member: &Member, known: &Known<'_>) -> Option<bool> {
    match Rest::of(number, member, known) {
        Some(rest) => rest.always().then_some(true),
        None => Some(false),
    }
}

/// What policies read of a request.
#[derive(Default)]
struct Reads<'m> {
    paths: HashSet<&'m Path>,
    /// Cedar decides one of them: it may read anything.
    anything: bool,
}

impl<'m> Reads<'m> {
    fn add(&mut self, member: &'m Member) {
        match &member.policy.condition {
            Some(condition) => condition.each_path(&mut |path| {
                self.paths.insert(path);
            }),
            None => self.anything = true,
        }
        // What is never absent is not in the condition; it was there all the same when the rule was checked.
        for (rule, _) in &member.rules {
            rule.each_leaf(&mut |leaf| self.paths.extend(leaf.test.paths().iter().map(|p| &p.path)));
        }
    }

    /// What is to be looked at before these policies, and those about any action, are asked.
    fn checks(self, any: &Self, entry: &ActionEntry) -> Vec<Check> {
        let mut paths: Vec<&Path> = self.paths.union(&any.paths).copied().collect();
        paths.sort_unstable();
        let mut out = if self.anything || any.anything { Check::all(entry) } else { Vec::new() };
        for check in paths.into_iter().filter_map(|path| Check::of(path, entry)) {
            if !out.contains(&check) {
                out.push(check);
            }
        }
        out
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
