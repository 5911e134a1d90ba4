//! Sets of policies that nobody has checked, for tests: they also hold what admission would refuse.

use std::sync::Arc;

use super::Engine;
use super::set::{Member, TierSet};
use crate::cedar::Fallback;
use crate::check::Typed;
use crate::decision::Revision;
use crate::eval::Truth;
use crate::name::Scope;
use crate::policy::Policy;

/// A policy with what else a set keeps of it.
pub(crate) struct Unchecked {
    pub(crate) policy: Policy,
    pub(crate) fallback: Option<Fallback>,
    pub(crate) rules: Vec<(Typed, Truth)>,
}

impl Engine {
    /// Puts a set in its place as it is; whether the scope can have it.
    pub(crate) fn put(&self, scope: &Scope, members: Vec<Unchecked>) -> bool {
        let members = members
            .into_iter()
            .map(|Unchecked { policy, fallback, rules }| Arc::new(Member { policy, fallback, rules, written: None }))
            .collect();
        let mut next = super::Snapshot::clone(&self.current.load());
        let set = TierSet::new(members, &self.registry, Revision { epoch: 9, number: 1, hash: 0 });
        let done = next.replace(scope, Arc::new(set)).is_ok();
        self.current.replace(next);
        done
    }
}
