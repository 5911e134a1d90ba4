//! What may this participant do here: for user interfaces, which show a button only where it can work.

use super::{Engine, env};
use crate::context::Context;
use crate::ir::eval::{Env, holds};
use crate::ir::{Ir, Root};
use crate::name::{ActionName, Scope, Tier};
use crate::participant::Participant;
use crate::policy::Effect;
use crate::request::{ActionId, Request};

/// Whether an action is open, as far as it can be told without arguments and without a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there are three answers")]
pub enum May {
    /// Whatever the arguments are.
    Always,
    /// It depends on them.
    Depends,
    /// Whatever the arguments are, no.
    Never,
}

/// An action and whether it is open.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Possible {
    /// The action's name.
    pub action: ActionName,
    /// Whether it is open.
    pub may: May,
}

impl Engine {
    /// Every action of the scope's tier, and whether it is open to the participant.
    pub fn possible(&self, participant: &Participant, scope: &Scope, context: Context<'_>) -> Vec<Possible> {
        let of_tier = self.registry().actions().filter(|(_, entry)| entry.tier == scope.tier());
        of_tier
            .map(|(action, entry)| {
                let may = self.may(&Request { participant, action, scope, resource: None, context, args: &[] });
                Possible { action: entry.name.clone(), may }
            })
            .collect()
    }

    /// Whether the action is open when its arguments and its resource are not known yet; those of the request are not read.
    pub fn may(&self, request: &Request<'_>) -> May {
        let snapshot = self.current.load();
        let Some(entry) = self.registry().action(request.action) else { return May::Never };
        let Ok(sets) = snapshot.sets(entry, request) else { return May::Never };
        let env = env(entry, request, sets.chain);
        let mut all = May::Always;
        for tier in sets.tiers() {
            let mut permitted = May::Never;
            for set in sets.parts(tier) {
                for member in set.candidates(request.action, &env) {
                    let outcome = match (&member.policy.condition, &member.fallback) {
                        (Some(condition), _) => settle(condition, &env),
                        _ => None,
                    };
                    match (member.policy.effect, outcome) {
                        (Effect::Forbid, Some(true)) => return May::Never,
                        (Effect::Permit, Some(true)) if scoped(member, &env) => permitted = May::Always,
                        (Effect::Forbid, None) => all = weaker(all, May::Depends),
                        (Effect::Permit, None) if permitted == May::Never => permitted = May::Depends,
                        _ => {}
                    }
                }
            }
            if tier == Tier::Application && sets.code.is_none() {
                permitted = May::Never;
            }
            all = weaker(all, permitted);
        }
        all
    }

    /// The action of a declaration's full dotted name.
    pub fn action(&self, full: &str) -> Option<ActionId> {
        self.registry().find(full)
    }
}

fn scoped(member: &super::set::Member, env: &Env<'_>) -> bool {
    member.satisfied(env) != Ok(false) || member.policy.condition.as_ref().is_some_and(|c| holds(c, env) != Ok(true))
}

const fn weaker(a: May, b: May) -> May {
    match (a, b) {
        (May::Never, _) | (_, May::Never) => May::Never,
        (May::Depends, _) | (_, May::Depends) => May::Depends,
        (May::Always, May::Always) => May::Always,
    }
}

/// The truth of a condition whose arguments and resource are not known; `None` when it depends on them, or may err.
fn settle(ir: &Ir, env: &Env<'_>) -> Option<bool> {
    match ir {
        Ir::And(items) => {
            let settled: Vec<Option<bool>> = items.iter().map(|i| settle(i, env)).collect();
            if settled.contains(&Some(false)) {
                Some(false)
            } else {
                settled.iter().all(Option::is_some).then_some(true)
            }
        }
        Ir::Or(items) => {
            let settled: Vec<Option<bool>> = items.iter().map(|i| settle(i, env)).collect();
            if settled.contains(&Some(true)) {
                Some(true)
            } else {
                settled.iter().all(Option::is_some).then_some(false)
            }
        }
        Ir::Not(inner) => settle(inner, env).map(|b| !b),
        _ => {
            let mut open = false;
            ir.each_path(&mut |path| open |= matches!(path.root, Root::Arg(..) | Root::Resource));
            if open { None } else { holds(ir, env).ok() }
        }
    }
}
