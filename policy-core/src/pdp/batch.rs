//! Many requests of one kind: what the participant, the action and the context settle of the policies is settled once.
//!
//! In: requests. Out: a decision for each, the same as alone. Absent: requests that share nothing; they are decided alone.

use super::asked::Asked;
use super::conform::Check;
use super::index::Rest;
use super::set::TierSet;
use super::stack::{Sets, Snapshot};
use super::{Engine, explain};
use crate::decision::{Allowed, Decision};
use crate::ir::code::{Code, Seen};
use crate::name::Tier;
use crate::registry::ActionEntry;
use crate::request::Request;

/// From how many requests on it is worth to settle anything.
const WORTH: usize = 4;

impl Engine {
    /// Decides many requests under one snapshot. Those that follow each other with the same participant, action, scope and
    /// context are put to policies of which the rest is settled before, and cost less than alone.
    pub fn decide_all(&self, requests: &[Request<'_>]) -> Vec<Decision> {
        let snapshot = self.current.load();
        let mut out = Vec::with_capacity(requests.len());
        for alike in requests.chunk_by(alike) {
            let batch = match alike.first() {
                Some(first) if alike.len() >= WORTH && !self.both => self.batch(&snapshot, first),
                _ => None,
            };
            match batch {
                Some(batch) => out.extend(alike.iter().map(|request| batch.decide(request))),
                None => out.extend(alike.iter().map(|request| self.decide_in(&snapshot, request))),
            }
        }
        out
    }

    fn batch<'s>(&'s self, snapshot: &'s Snapshot, first: &Request<'_>) -> Option<Batch<'s>> {
        let entry = self.registry.action(first.action)?;
        let sets = snapshot.sets(entry, first).ok()?;
        let asked = Asked::new(entry, first, sets.stack);
        let mut parts = Vec::new();
        for tier in sets.tiers() {
            parts.push(Part {
                tier,
                plan: Plan::of(sets.stack.set(tier)?, &asked, tier != Tier::Application)?,
                told: true,
            });
            match sets.code_of(tier) {
                Some(code) => {
                    parts.push(Part { tier, plan: Plan::of(code, &asked, true)?, told: tier == Tier::Application });
                }
                None if tier == Tier::Application => return None,
                None => {}
            }
        }
        Some(Batch { entry, sets, parts })
    }
}

fn alike(a: &Request<'_>, b: &Request<'_>) -> bool {
    std::ptr::eq(a.participant, b.participant)
        && a.action == b.action
        && a.context.time == b.context.time
        && std::ptr::eq(a.context.facts, b.context.facts)
        && (std::ptr::eq(a.scope, b.scope) || a.scope == b.scope)
}

/// What is left of all policies for one participant, action and context.
struct Batch<'s> {
    entry: &'s ActionEntry,
    sets: Sets<'s>,
    parts: Vec<Part<'s>>,
}

struct Part<'s> {
    tier: Tier,
    plan: Plan<'s>,
    /// Whether it is the one whose permit is told.
    told: bool,
}

/// What is left of a set.
enum Plan<'s> {
    /// This permit is satisfied, and nothing forbids, whatever the call is.
    Settled(u32),
    Open {
        checks: Vec<&'s Check>,
        forbids: Vec<Code>,
        permits: Vec<(u32, Code)>,
        permit: bool,
    },
    /// Policies that are found by what they constrain.
    Whole(&'s TierSet, bool),
}

impl<'s> Plan<'s> {
    /// `None` where some data that is the same for all is not as declared.
    fn of(set: &'s TierSet, asked: &Asked<'_>, permit: bool) -> Option<Self> {
        let (slice, checks) = set.open(asked.request.action)?;
        let mut left = Vec::new();
        for check in checks {
            if check.is_open() {
                left.push(check);
            } else if !check.fits(asked) {
                return None;
            }
        }
        let Some(slice) = slice else { return Some(Self::Whole(set, permit)) };
        let (Some(mut forbids), Some(all)) = (rest(slice.forbids.open(), asked), rest(slice.permits.open(), asked))
        else {
            return Some(Self::Whole(set, permit));
        };
        forbids.retain(|(_, code)| !matches!(code, Code::Const(false)));
        let mut permits = Vec::new();
        for (number, code) in all {
            let settled = matches!(code, Code::Const(true));
            if !matches!(code, Code::Const(false) | Code::Fails) {
                permits.push((number, code));
            }
            if settled {
                break;
            }
        }
        Some(match permits.first() {
            Some((number, Code::Const(true))) if forbids.is_empty() && left.is_empty() => Self::Settled(*number),
            None if !permit && forbids.is_empty() && left.is_empty() => Self::Settled(0),
            _ => {
                let forbids = forbids.into_iter().map(|(_, code)| code).collect();
                Self::Open { checks: left, forbids, permits, permit }
            }
        })
    }

    #[inline]
    fn quick(&self, asked: &Asked<'_>) -> Option<u32> {
        match self {
            Self::Settled(number) => Some(*number),
            Self::Open { checks, forbids, permits, permit } => {
                if !checks.iter().all(|check| check.fits(asked))
                    || !forbids.iter().all(|forbid| forbid.holds(asked) == Some(false))
                {
                    return None;
                }
                let satisfied = permits.iter().find(|(_, code)| code.holds(asked) == Some(true));
                satisfied.map(|(number, _)| *number).or_else(|| (!permit).then_some(0))
            }
            Self::Whole(set, permit) => set.quick(asked, *permit, true),
        }
    }
}

/// What the participant, the action and the context leave of conditions; `None` where one is not known alone.
fn rest(all: &[Rest], asked: &Asked<'_>) -> Option<Vec<(u32, Code)>> {
    let nothing = Seen { uid: false, attributes: false };
    all.iter().map(|rest| Some((rest.number, rest.condition.as_ref()?.rest(asked, nothing)))).collect()
}

impl Batch<'_> {
    fn decide(&self, request: &Request<'_>) -> Decision {
        let asked = Asked::new(self.entry, request, self.sets.stack);
        let mut allowed = Allowed { revisions: self.sets.stack.revisions, permits: [None; 3] };
        for part in &self.parts {
            let Some(number) = part.plan.quick(&asked) else {
                return Decision::Deny(Box::new(explain::denial(&self.sets, &asked)));
            };
            if let (true, Some(slot)) = (part.told, allowed.permits.get_mut(part.tier as usize)) {
                *slot = Some(number);
            }
        }
        Decision::Allow(allowed)
    }
}
