//! Decisions by both: what our own evaluation says is put to Cedar too, and whatever differs denies.
//!
//! In: a request that was decided. Out: nothing, or the difference. Absent: enforcement, and any way to let a difference pass.

use std::collections::BTreeSet;

use super::Engine;
use super::asked::Asked;
use super::set::TierSet;
use super::stack::Sets;
use crate::decision::{Allowed, Decision, Denial, DenialKind};
use crate::ir::eval::Facts as _;
use crate::name::Tier;
use crate::policy::Effect;

impl Engine {
    /// Puts every decision to Cedar too, whole sets as they were written. Where the two differ in the answer of a tier, in
    /// the policies that made it or in those that err, the decision is a denial of [`DenialKind::Disagreement`].
    ///
    /// This costs what Cedar costs, for every policy of every tier; a set is prepared for Cedar when it is first asked.
    ///
    /// ```
    /// use policy_core::pdp::Engine;
    /// use policy_core::registry::Registry;
    /// use policy_core::{Context, Facts, Participant, Request, Scope};
    /// use policy_core::value::Millis;
    ///
    /// let engine = Engine::new(Registry::of(&[], &[]).unwrap().into()).unwrap().by_both();
    /// let operator = Participant::builder(Scope::System, "u-1").role("operator").build();
    /// let facts = Facts::default();
    /// let request = Request { participant: &operator, action: engine.action("Platform.createOrganization").unwrap(),
    ///     scope: &Scope::System, resource: None, context: Context { time: Millis(0), facts: &facts }, args: &[] };
    /// assert!(engine.decide(&request).is_allowed());
    /// ```
    #[must_use]
    pub fn by_both(mut self) -> Self {
        self.both = true;
        self
    }

    /// Makes Cedar judge a scope's set by other policies, so that a test can see what a disagreement does; `false` when the
    /// set is unknown or was put to Cedar before.
    #[doc(hidden)]
    #[cfg(any(test, feature = "testing"))]
    pub fn judge_by(&self, scope: &crate::name::Scope, cedar: &str) -> bool {
        let snapshot = self.current.load();
        let Some(set) = snapshot.stack(scope).and_then(|stack| stack.set(scope.tier())) else { return false };
        let Ok(loaded) = crate::cedar::load(cedar, "judge.cedar", self.registry.schema()) else { return false };
        let judge = crate::cedar::Judge::new(loaded.into_iter().map(|one| one.cedar), self.registry.model());
        set.judge.set(Ok(judge)).is_ok()
    }

    /// What Cedar makes of a decision.
    pub(super) fn judged(&self, decided: Result<Allowed, Denial>, sets: &Sets<'_>, asked: &Asked<'_>) -> Decision {
        // No policy was asked.
        if let Err(denial) = &decided
            && denial.kind == DenialKind::Unusable
        {
            return Decision::Deny(Box::new(denial.clone()));
        }
        let difference = sets.tiers().find_map(|tier| Some((tier, self.difference(sets, tier, asked)?)));
        match (difference, decided) {
            (None, Ok(allowed)) => Decision::Allow(allowed),
            (None, Err(denial)) => Decision::Deny(Box::new(denial)),
            (Some((tier, difference)), decided) => {
                let before = match &decided {
                    Ok(_) => "it was allowed".to_owned(),
                    Err(denial) => denial.message.clone(),
                };
                let message =
                    format!("Cedar does not say the same of the {tier}, so it is denied: {difference} ({before})");
                let known = decided.err().unwrap_or_else(|| Denial::of(DenialKind::Disagreement, String::new()));
                Decision::Deny(Box::new(Denial {
                    kind: DenialKind::Disagreement,
                    tier: Some(tier),
                    message,
                    revisions: sets.stack.revisions,
                    ..known
                }))
            }
        }
    }

    fn difference(&self, sets: &Sets<'_>, tier: Tier, asked: &Asked<'_>) -> Option<String> {
        let mut allow = true;
        for set in sets.parts(tier) {
            let ours = Answer::ours(set, asked);
            let cedars = match self.cedars(set, asked) {
                Ok(cedars) => cedars,
                Err(why) => return Some(format!("Cedar cannot be asked: {why}")),
            };
            if ours != cedars {
                return Some(format!("we say {ours}, Cedar says {cedars}"));
            }
            allow &= !cedars.forbids(set);
        }
        for set in sets.permitting(tier) {
            allow &= Answer::ours(set, asked).permits(set);
        }
        allow &= sets.permitting(tier).next().is_some();
        // What was decided in the short way, against both.
        let decided = sets.quick(tier, asked, false).is_some();
        (decided != allow).then(|| format!("it was decided as {decided}, and both say {allow}"))
    }

    fn cedars(&self, set: &TierSet, asked: &Asked<'_>) -> Result<Answer, String> {
        let judge = set.judge.get_or_init(|| set.prepare(&self.registry)).as_ref().map_err(Clone::clone)?;
        let judgement = judge.decide(asked.env())?;
        Ok(Answer { deciding: judgement.deciding, erring: judgement.erring.into_iter().map(|(id, _)| id).collect() })
    }
}

/// What a set says of a request.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    /// The satisfied forbids, or if there are none the satisfied permits.
    deciding: BTreeSet<String>,
    erring: BTreeSet<String>,
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids = |ids: &BTreeSet<String>| ids.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ");
        write!(f, "[{}] decide and [{}] err", ids(&self.deciding), ids(&self.erring))
    }
}

impl Answer {
    fn ours(set: &TierSet, asked: &Asked<'_>) -> Self {
        let (mut permits, mut forbids, mut erring) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for member in set.candidates(asked) {
            let id = member.policy.id.to_string();
            match (member.satisfied(asked.env()), member.policy.effect) {
                (Ok(true), Effect::Permit) => permits.insert(id),
                (Ok(true), Effect::Forbid) => forbids.insert(id),
                (Ok(false), _) => false,
                (Err(_), _) => erring.insert(id),
            };
        }
        Self { deciding: if forbids.is_empty() { permits } else { forbids }, erring }
    }

    fn any(ids: &BTreeSet<String>, set: &TierSet, effect: Effect) -> bool {
        set.members().any(|member| member.policy.effect == effect && ids.contains(&*member.policy.id))
    }

    /// Whether a forbid is satisfied or errs.
    fn forbids(&self, set: &TierSet) -> bool {
        Self::any(&self.deciding, set, Effect::Forbid) || Self::any(&self.erring, set, Effect::Forbid)
    }

    fn permits(&self, set: &TierSet) -> bool {
        Self::any(&self.deciding, set, Effect::Permit)
    }
}
