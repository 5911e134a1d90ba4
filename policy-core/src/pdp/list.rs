//! What may this participant do here: for user interfaces, which show a button only where it can work.

#![expect(clippy::wildcard_enum_match_arm, reason = "all other forms have no parts that matter here")]

use super::set::Member;
use super::{Engine, asked};
use crate::context::Context;
use crate::ir::eval::{Env, holds};
use crate::ir::{Ir, Root, Var};
use crate::name::{ActionName, Scope};
use crate::participant::Participant;
use crate::policy::Effect;
use crate::request::{ActionId, Request};

/// Whether an action is open, as far as it can be told without arguments and without a resource.
///
/// ```
/// # use std::sync::Arc;
/// # use policy_core::context::{Context, Facts};
/// # use policy_core::pdp::Engine;
/// # use policy_core::registry::Registry;
/// # use policy_core::value::Millis;
/// # use policy_core::{Participant, Request, Scope};
/// # let engine = Engine::new(Arc::new(Registry::of(&[], &[]).unwrap())).unwrap();
/// # let operator = Participant::builder(Scope::System, "u-1").role("operator").build();
/// # let facts = Facts { mfa: true, ..Facts::default() };
/// # let request = Request { participant: &operator, action: engine.action("Platform.createOrganization").unwrap(),
/// #     scope: &Scope::System, resource: None, context: Context { time: Millis(0), facts: &facts }, args: &[] };
/// use policy_core::pdp::May;
///
/// assert_eq!(engine.may(&request), May::Always);
/// let visitor = Participant::builder(Scope::System, "u-2").build();
/// assert_eq!(engine.may(&Request { participant: &visitor, ..request }), May::Never);
/// ```
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
///
/// ```
/// # use std::sync::Arc;
/// # use policy_core::context::{Context, Facts};
/// # use policy_core::pdp::Engine;
/// # use policy_core::registry::Registry;
/// # use policy_core::value::Millis;
/// # use policy_core::{Participant, Request, Scope};
/// # let engine = Engine::new(Arc::new(Registry::of(&[], &[]).unwrap())).unwrap();
/// # let operator = Participant::builder(Scope::System, "u-1").role("operator").build();
/// # let facts = Facts { mfa: true, ..Facts::default() };
/// # let request = Request { participant: &operator, action: engine.action("Platform.createOrganization").unwrap(),
/// #     scope: &Scope::System, resource: None, context: Context { time: Millis(0), facts: &facts }, args: &[] };
/// use policy_core::pdp::May;
///
/// let open = engine.possible(&operator, &Scope::System, request.context);
/// assert!(open.iter().any(|one| one.action.id() == "createOrganization" && one.may == May::Always));
/// ```
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
        let mut stranger = None;
        let asked = asked(entry, request, sets.stack, &mut stranger);
        let env = &asked.env;
        // What the request is about is known where it is a scope or a service, and not where it is an entity.
        let known = request.resource.is_none() && !entry.env.roots.iter().any(|root| root.root == Root::Resource);
        let mut all = May::Always;
        for tier in sets.tiers() {
            for set in sets.parts(tier) {
                for member in set.possible(request.action, &asked, known) {
                    if member.policy.effect == Effect::Forbid {
                        match settled(member, env, known) {
                            Some(true) => return May::Never,
                            Some(false) => {}
                            None => all = weaker(all, May::Depends),
                        }
                    }
                }
            }
            let mut none = true;
            for set in sets.permitting(tier) {
                none = false;
                let mut permitted = May::Never;
                for member in set.possible(request.action, &asked, known) {
                    if member.policy.effect == Effect::Permit {
                        match settled(member, env, known) {
                            Some(true) => permitted = May::Always,
                            None if permitted == May::Never => permitted = May::Depends,
                            Some(false) | None => {}
                        }
                    }
                }
                all = weaker(all, permitted);
            }
            if none {
                return May::Never;
            }
        }
        all
    }

    /// The action of a declaration's full dotted name.
    pub fn action(&self, full: &str) -> Option<ActionId> {
        self.registry().find(full)
    }
}

/// Whether a policy is satisfied; `None` when that depends, or may err.
fn settled(member: &Member, env: &Env<'_>, known: bool) -> Option<bool> {
    let condition = match &member.policy.condition {
        Some(condition) => settle(condition, env, known),
        None => None,
    };
    match (member.scoped(env, known), condition) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

const fn weaker(a: May, b: May) -> May {
    match (a, b) {
        (May::Never, _) | (_, May::Never) => May::Never,
        (May::Depends, _) | (_, May::Depends) => May::Depends,
        (May::Always, May::Always) => May::Always,
    }
}

/// The truth of a condition whose arguments and resource are not known; `None` when it depends on them, or may err.
fn settle(ir: &Ir, env: &Env<'_>, known: bool) -> Option<bool> {
    match ir {
        Ir::And(items) => {
            let settled: Vec<Option<bool>> = items.iter().map(|i| settle(i, env, known)).collect();
            if settled.contains(&Some(false)) {
                Some(false)
            } else {
                settled.iter().all(Option::is_some).then_some(true)
            }
        }
        Ir::Or(items) => {
            let settled: Vec<Option<bool>> = items.iter().map(|i| settle(i, env, known)).collect();
            if settled.contains(&Some(true)) {
                Some(true)
            } else {
                settled.iter().all(Option::is_some).then_some(false)
            }
        }
        Ir::Not(inner) => settle(inner, env, known).map(|b| !b),
        _ => {
            let mut open = false;
            ir.each_path(&mut |path| open |= matches!(path.root, Root::Arg(..) | Root::Resource));
            if open || (!known && asks_resource(ir)) { None } else { holds(ir, env).ok() }
        }
    }
}

/// Whether an expression asks about the resource itself.
fn asks_resource(ir: &Ir) -> bool {
    match ir {
        Ir::Var(Var::Resource) => true,
        Ir::Not(inner) | Ir::Unary(_, inner) | Ir::Like(inner, _) => asks_resource(inner),
        // Its type is known.
        Ir::Is(..) | Ir::Const(_) | Ir::Duration(_) | Ir::Entity(_) | Ir::Var(_) | Ir::Path(_) | Ir::Has(_) => false,
        Ir::And(items) | Ir::Or(items) | Ir::Set(items) => items.iter().any(asks_resource),
        Ir::If(parts) => parts.iter().any(asks_resource),
        Ir::Binary(_, sides) => sides.iter().any(asks_resource),
        Ir::Record(fields) => fields.values().any(asks_resource),
    }
}
