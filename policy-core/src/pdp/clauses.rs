//! Which rules and clauses there are, and what each said of a request: for tests of policies and their coverage.

use std::sync::Arc;

use super::Engine;
use super::asked::Asked;
use super::set::{Member, TierSet};
use crate::check::Typed;
use crate::eval::{Truth, truth};
use crate::name::{Scope, Tier};
use crate::policy::Effect;
use crate::request::Request;

/// A policy and the predicates of its rules.
///
/// ```
/// # use policy_core::Scope;
/// # use policy_core::pdp::{Engine, SetSource};
/// # use policy_core::registry::Registry;
/// # let engine = Engine::new(Registry::of(&[], &[]).unwrap().into()).unwrap();
/// let rule = ("mfa".to_owned(), "forbid Platform.organizations.* unless participant.mfa".to_owned());
/// engine.replace(&Scope::System, &SetSource { rules: vec![rule], ..SetSource::default() }).unwrap();
/// let rules = engine.rules(&Scope::System);
/// assert_eq!(rules.iter().find(|rule| &*rule.id == "mfa").unwrap().clauses, ["participant.mfa".into()]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RuleClauses {
    /// The tier that it counts for.
    pub tier: Tier,
    /// Its id.
    pub id: Arc<str>,
    /// The predicates, in order; none for Cedar as it was written.
    pub clauses: Vec<Arc<str>>,
}

/// What a policy about an action said of one request.
///
/// ```
/// # use policy_core::pdp::Engine;
/// # use policy_core::registry::Registry;
/// # use policy_core::{Context, Facts, Participant, Request, Scope, value::Millis};
/// # let engine = Engine::new(Registry::of(&[], &[]).unwrap().into()).unwrap();
/// # let operator = Participant::builder(Scope::System, "u-1").role("operator").build();
/// # let request = Request { participant: &operator, action: engine.action("Platform.createOrganization").unwrap(),
/// #     scope: &Scope::System, resource: None, context: Context { time: Millis(0), facts: &Facts::default() }, args: &[] };
/// assert!(engine.heard(&request).iter().any(|heard| heard.satisfied));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Heard {
    /// The tier that it counts for.
    pub tier: Tier,
    /// Its id.
    pub id: Arc<str>,
    /// Permit or forbid.
    pub effect: Effect,
    /// Whether it was satisfied.
    pub satisfied: bool,
    /// The predicates of its rules, and what each was.
    pub clauses: Vec<(Arc<str>, Truth)>,
}

impl Engine {
    /// Every policy that decides for a scope, the program's own included.
    pub fn rules(&self, scope: &Scope) -> Vec<RuleClauses> {
        let snapshot = self.current.load();
        let own = scope.tier();
        let of = |tier: Tier, member: &Member| {
            let mut clauses: Vec<Arc<str>> = Vec::new();
            for (rule, _) in &member.rules {
                rule.each_leaf(&mut |leaf| {
                    if !clauses.contains(&leaf.text) {
                        clauses.push(leaf.text.clone());
                    }
                });
            }
            RuleClauses { tier, id: member.policy.id.clone(), clauses }
        };
        let tiers = Tier::ALL.into_iter().filter(|tier| *tier <= own);
        let stack = snapshot.stack(scope);
        let sets = tiers.filter_map(|tier| Some((tier, stack?.set(tier)?)));
        let code = (own == Tier::Application).then(|| (own, &**snapshot.code()));
        sets.chain(code).flat_map(|(tier, set)| set.members().map(move |member| of(tier, member))).collect()
    }

    /// What every policy about the action said of a request; nothing where no policy is asked.
    pub fn heard(&self, request: &Request<'_>) -> Vec<Heard> {
        let snapshot = self.current.load();
        let Some(entry) = self.registry.action(request.action) else { return Vec::new() };
        let Ok(sets) = snapshot.sets(entry, request) else { return Vec::new() };
        let asked = Asked::new(entry, request, sets.stack);
        let env = crate::ir::eval::Facts::env(&asked);
        let mut out = Vec::new();
        for tier in sets.tiers() {
            let members = sets.parts(tier).flat_map(TierSet::members);
            for member in members.filter(|m| m.policy.action.admits(env.action, env.action_groups)) {
                let mut clauses: Vec<(Arc<str>, Truth)> = Vec::new();
                for (rule, _) in &member.rules {
                    rule.each_leaf(&mut |leaf| {
                        clauses.push((leaf.text.clone(), truth(&Typed::Leaf(leaf.clone()), env)));
                    });
                }
                out.push(Heard {
                    tier,
                    id: member.policy.id.clone(),
                    effect: member.policy.effect,
                    satisfied: member.satisfied(env) == Ok(true),
                    clauses,
                });
            }
        }
        out
    }
}
