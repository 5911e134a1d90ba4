//! Which actions are decided only with a record that was written before, beside those that declare it themselves.
//!
//! In: what the set-up of a process says of an action, and what administrators say at run time in a scope. Out: whether one must.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{PoisonError, RwLock};

use policy_core::Scope;

/// Of an action: nothing was said; something was said in some scope; always.
const NO: u8 = 0;
const SOMEWHERE: u8 = 1;
const ALWAYS: u8 = 2;

/// What was said of the actions of a process.
#[derive(Debug)]
pub(crate) struct Required {
    /// By the action's number: read in every decision, so that readers share nothing that is written.
    marks: Box<[AtomicU8]>,
    /// Full names of actions, by the scope in which, and below which, it was said; read only where a mark says so.
    said: RwLock<BTreeMap<Scope, BTreeSet<String>>>,
}

impl Required {
    /// Nothing, of this many actions.
    pub(crate) fn of(actions: usize) -> Self {
        Self { marks: (0..actions).map(|_| AtomicU8::new(NO)).collect(), said: RwLock::default() }
    }

    /// Always, of an action; false when there is none of that number.
    pub(crate) fn always(&self, number: usize) -> bool {
        let mark = self.marks.get(number);
        mark.inspect(|mark| mark.store(ALWAYS, Ordering::Release)).is_some()
    }

    /// Replaces what was said in scopes; `names` are those of all actions, by number.
    #[cfg(any(feature = "pull", feature = "sqlite", feature = "postgres"))]
    pub(crate) fn say<'a>(&self, said: BTreeMap<Scope, BTreeSet<String>>, names: impl Iterator<Item = &'a str>) {
        let mut known = self.said.write().unwrap_or_else(PoisonError::into_inner);
        if *known == said {
            return;
        }
        *known = said;
        for (mark, name) in self.marks.iter().zip(names) {
            let new = if known.values().any(|actions| actions.contains(name)) { SOMEWHERE } else { NO };
            // What the set-up says stays.
            let _ = mark.fetch_update(Ordering::AcqRel, Ordering::Acquire, |old| (old != ALWAYS).then_some(new));
        }
    }

    /// Whether a decision in a scope about an action must be recorded.
    #[inline]
    pub(crate) fn asks(&self, number: usize, name: &str, scope: &Scope) -> bool {
        match self.marks.get(number).map_or(NO, |mark| mark.load(Ordering::Acquire)) {
            NO => false,
            SOMEWHERE => self.asks_by_name(name, scope),
            _ => true,
        }
    }

    /// Whether it was said of an action that another program may declare.
    #[cold]
    pub(crate) fn asks_by_name(&self, name: &str, scope: &Scope) -> bool {
        let said = self.said.read().unwrap_or_else(PoisonError::into_inner);
        said.iter().any(|(at, actions)| at.covers(scope) && actions.contains(name))
    }
}

#[cfg(all(test, any(feature = "pull", feature = "sqlite", feature = "postgres")))]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_in_a_scope_holds_there_and_below_and_what_the_set_up_says_everywhere() {
        let shop = Scope::application("acme", "shop").unwrap();
        let (acme, globex) = (Scope::organization("acme").unwrap(), Scope::organization("globex").unwrap());
        let names = ["a.pay", "a.look", "a.sign"];
        let required = Required::of(names.len());
        assert!(required.always(2) && !required.always(3));
        let asks = |number: usize, scope: &Scope| required.asks(number, names[number], scope);
        assert_eq!([0, 1, 2].map(|number| asks(number, &shop)), [false, false, true]);
        let pay = || BTreeSet::from(["a.pay".to_owned(), "elsewhere.pay".to_owned(), "a.sign".to_owned()]);
        required.say([(acme.clone(), pay())].into(), names.into_iter());
        assert!(asks(0, &shop) && asks(0, &acme) && !asks(0, &globex) && !asks(0, &Scope::System) && !asks(1, &shop));
        assert!(required.asks_by_name("elsewhere.pay", &shop) && !required.asks_by_name("elsewhere.pay", &globex));
        required.say([(Scope::System, pay())].into(), names.into_iter());
        assert!(asks(0, &globex) && asks(0, &shop));
        required.say(BTreeMap::new(), names.into_iter());
        assert_eq!([0, 1, 2].map(|number| asks(number, &shop)), [false, false, true], "what the set-up says stays");
    }
}
