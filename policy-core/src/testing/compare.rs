//! One tier, one request, decided twice.
//!
//! In: random tiers and requests. Out: a [`Report`] of how often we and Cedar answered alike in every respect: the decision, the
//! policies that made it, and the policies that err.

use std::collections::BTreeSet;
use std::fmt;

use super::random::Random;
use super::world::{Facets, World};
use super::{admin, rules, shrink};
use crate::cedar::{self, Fallback, Judge};
use crate::ir::code::Code;
use crate::ir::eval::Env;
use crate::policy::{Effect, Policy};

/// Requests per tier.
const REQUESTS: u64 = 12;

/// What a run found.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Report {
    /// Requests that were decided both ways.
    pub cases: u64,
    /// Policies that were evaluated both ways, over all requests.
    pub policies: u64,
    /// Cases that were allowed.
    pub allowed: u64,
    /// Cases that were denied.
    pub denied: u64,
    /// Cases in which at least one policy erred.
    pub errored: u64,
    /// Evaluations that were left to Cedar, because the policy is not lowered.
    pub not_lowered: u64,
    /// What differed, made small.
    pub disagreements: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cases, policies, allowed, denied, errored, not_lowered, disagreements } = self;
        writeln!(f, "cases {cases}, allowed {allowed}, denied {denied}, errored {errored}")?;
        writeln!(f, "policies evaluated {policies}, of them by Cedar {not_lowered}")?;
        write!(f, "disagreements {}", disagreements.len())?;
        disagreements.iter().try_for_each(|d| write!(f, "\n\n{d}"))
    }
}

/// Compares our decisions with those of Cedar's `Authorizer` on random models, policies and requests.
pub fn differential(cases: u64, seed: u64) -> Report {
    let mut report = Report::default();
    let mut seeds = Random::new(seed);
    while report.cases < cases && report.disagreements.len() < 5 {
        let chance = seeds.next();
        play(chance, cases - report.cases, &mut report);
    }
    report
}

/// Compares again on worlds of these seeds, as a report names them.
pub fn replay(seeds: &[u64]) -> Report {
    let mut report = Report::default();
    for seed in seeds {
        play(*seed, REQUESTS, &mut report);
    }
    report
}

fn play(chance: u64, requests: u64, report: &mut Report) {
    let r = &mut Random::new(chance);
    let world = World::random(r, r.clone().percent(50));
    let count = 1 + r.below(4);
    let tier = if r.percent(65) {
        let policies: Vec<Policy> = (0..count).map(|id| rules::policy(r, &world, id)).collect();
        Tier::of_policies(policies, &world)
    } else {
        let texts: Vec<admin::Text> = (0..count).map(|id| admin::policy(r, &world, id)).collect();
        Tier::of_texts(texts, &world)
    };
    let tier = match tier {
        Ok(tier) => tier,
        Err(why) => {
            report.disagreements.push(format!("seed {chance}: {why}"));
            return;
        }
    };
    for _ in 0..REQUESTS.min(requests) {
        let facets = world.request(r);
        tier.case(&facets, &world, chance, report);
    }
}

/// What one side says of a tier.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    allow: bool,
    deciding: BTreeSet<String>,
    erring: BTreeSet<String>,
}

struct Member {
    policy: Policy,
    /// The condition as decisions use it.
    code: Option<Code>,
    fallback: Option<Fallback>,
    /// How it was written, when it was.
    text: Option<admin::Text>,
}

struct Tier {
    members: Vec<Member>,
    judge: Judge,
}

impl Tier {
    fn of_policies(policies: Vec<Policy>, world: &World) -> Result<Self, String> {
        let cedar = policies.iter().map(cedar::to_pst).collect::<Result<Vec<_>, _>>().map_err(|d| d.to_string())?;
        let judge = Judge::new(cedar, &world.model);
        let members = policies
            .into_iter()
            .map(|policy| Member { code: code(&policy), policy, fallback: None, text: None })
            .collect();
        Ok(Self { members, judge })
    }

    fn of_texts(texts: Vec<admin::Text>, world: &World) -> Result<Self, String> {
        let whole = texts.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        let schema = cedar::schema(&world.model).map_err(|d| d.to_string())?;
        let loaded = cedar::load(&whole, "random.cedar", &schema).map_err(|d| format!("{d}\n{whole}"))?;
        let judge = Judge::new(loaded.iter().map(|one| one.cedar.clone()), &world.model);
        let members = loaded.into_iter().zip(texts).map(|(one, text)| Member {
            fallback: one.not_lowered.is_some().then(|| Fallback::new(&one)),
            code: code(&one.policy),
            policy: one.policy,
            text: Some(text),
        });
        Ok(Self { members: members.collect(), judge })
    }

    fn ours(&self, env: &Env<'_>) -> Answer {
        let (mut permits, mut forbids, mut erring) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for Member { policy, fallback, code, .. } in &self.members {
            let evaluated = policy.satisfied(env);
            if let (Some(code), Some(evaluated)) = (code, &evaluated)
                && policy.is_about(env)
                && code.holds(env) != evaluated.as_ref().ok().copied()
            {
                erring.insert(format!("{}: made ready it is {:?} and not {evaluated:?}", policy.id, code.holds(env)));
            }
            let satisfied = match (evaluated, fallback) {
                (Some(satisfied), _) => satisfied.map_err(|e| e.to_string()),
                (None, Some(fallback)) => fallback.satisfied(env),
                (None, None) => Err("neither lowered nor left to Cedar".to_owned()),
            };
            let id = policy.id.to_string();
            let _ = match (satisfied, policy.effect) {
                (Ok(true), Effect::Permit) => permits.insert(id),
                (Ok(true), Effect::Forbid) => forbids.insert(id),
                (Ok(false), _) => false,
                (Err(_), _) => erring.insert(id),
            };
        }
        let allow = forbids.is_empty() && !permits.is_empty();
        Answer { allow, deciding: if forbids.is_empty() { permits } else { forbids }, erring }
    }

    fn cedars(&self, env: &Env<'_>) -> Result<Answer, String> {
        let judgement = self.judge.decide(env)?;
        let erring = judgement.erring.into_iter().map(|(id, _)| id).collect();
        Ok(Answer { allow: judgement.allow, deciding: judgement.deciding, erring })
    }

    fn agrees(&self, env: &Env<'_>) -> bool {
        self.cedars(env).is_ok_and(|cedars| cedars == self.ours(env))
    }

    fn case(&self, facets: &Facets, world: &World, seed: u64, report: &mut Report) {
        let (ours, cedars) = facets.with_env(|env| (self.ours(env), self.cedars(env)));
        report.cases += 1;
        report.policies += self.members.len() as u64;
        report.not_lowered += self.members.iter().filter(|m| m.fallback.is_some()).count() as u64;
        report.allowed += u64::from(ours.allow);
        report.denied += u64::from(!ours.allow);
        report.errored += u64::from(!ours.erring.is_empty());
        if cedars.as_ref() == Ok(&ours) {
            return;
        }
        let mut out = format!("seed {seed}: we say {ours:?}\nCedar says {cedars:?}\n{}", facets.describe());
        for Member { policy, text, .. } in &self.members {
            let small = match text {
                None => small_policy(policy, facets, world),
                Some(text) => small_text(text, facets, world),
            };
            if let Some(small) = small {
                out.push_str("\nsmallest that differs: ");
                out.push_str(&small);
            }
        }
        report.disagreements.push(out);
    }
}

fn code(policy: &Policy) -> Option<Code> {
    policy.condition.as_ref().map(Code::of)
}

fn small_policy(policy: &Policy, facets: &Facets, world: &World) -> Option<String> {
    let with = |condition| Policy { condition: Some(condition), ..policy.clone() };
    let differs = |policy: Policy| match Tier::of_policies(vec![policy], world) {
        Ok(tier) => !facets.with_env(|env| tier.agrees(env)),
        Err(_) => false,
    };
    let condition = policy.condition.clone()?;
    if !differs(policy.clone()) {
        return None;
    }
    let small = with(shrink::shrink(condition, &|ir| differs(with(ir.clone()))));
    Some(format!("{}\n{:?}", cedar::render(&small).unwrap_or_default(), small.condition))
}

fn small_text(text: &admin::Text, facets: &Facets, world: &World) -> Option<String> {
    let differs = |text: &admin::Text| match Tier::of_texts(vec![text.clone()], world) {
        Ok(tier) => !facets.with_env(|env| tier.agrees(env)),
        Err(_) => false,
    };
    if !differs(text) {
        return None;
    }
    let mut small = text.clone();
    while let Some(smaller) = small.smaller().into_iter().find(|t| differs(t)) {
        small = smaller;
    }
    Some(small.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_cases_again() {
        let (once, again) = (differential(200, 3), differential(200, 3));
        assert_eq!(once.to_string(), again.to_string());
        assert_ne!(once.to_string(), differential(200, 4).to_string());
    }

    #[test]
    fn all_outcomes_happen() {
        let report = differential(1_000, 1);
        assert!(report.disagreements.is_empty(), "{report}");
        let least = report.cases / 10;
        assert!(report.allowed > least && report.denied > least && report.errored > least, "{report}");
        assert!(report.not_lowered > 0 && report.not_lowered < report.policies / 5, "{report}");
    }
}
