//! Questions that belong together, answered by the sets of one moment.
//!
//! In: an engine. Out: answers that no replacement of a set comes between. Absent: how each is found.

use std::sync::Arc;

use super::current::Numbered;
use super::{Engine, Filter, TierFilter};
use crate::decision::{Decision, Denial, Revision};
use crate::name::Scope;
use crate::request::Request;
use crate::table::Table;

/// The sets of all tiers as they were when it was made. Whoever asks several times for one piece of work asks of one moment, so
/// that two revisions never decide about halves of it. Until when sets are known to be the active ones is asked each time.
///
/// ```
/// # use std::sync::Arc;
/// # use policy_core::{Context, Facts, Participant, Request, Scope};
/// # use policy_core::pdp::{Engine, SetSource};
/// # use policy_core::registry::Registry;
/// # use policy_core::value::Millis;
/// # let engine = Engine::new(Arc::new(Registry::of(&[], &[]).unwrap())).unwrap();
/// # let operator = Participant::builder(Scope::System, "u-1").role("operator").build();
/// # let facts = Facts { mfa: true, ..Facts::default() };
/// # let request = Request { participant: &operator, action: engine.action("Platform.createOrganization").unwrap(),
/// #     scope: &Scope::System, resource: None, context: Context { time: Millis(0), facts: &facts }, args: &[] };
/// let moment = engine.moment();
/// let closed = SetSource { cedar: vec![("no".into(), "forbid(principal, action, resource);".into())], ..SetSource::default() };
/// engine.replace(&Scope::System, &closed)?;
/// assert!(!engine.decide(&request).is_allowed());
/// assert!(moment.of(&engine).decide(&request).is_allowed());
/// # Ok::<(), policy_core::pdp::SetError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Moment(Arc<Numbered>);

impl Engine {
    /// The sets that decide now, for several questions.
    pub fn moment(&self) -> Moment {
        Moment(self.current.keep())
    }
}

impl Moment {
    /// What an engine answers by the sets of this moment, which is to be one of its own.
    pub fn of<'m>(&'m self, engine: &'m Engine) -> At<'m> {
        At { engine, sets: &self.0 }
    }
}

/// An engine at a moment.
///
/// ```
/// # use std::sync::Arc;
/// # use policy_core::pdp::{Engine, SetSource};
/// # use policy_core::registry::Registry;
/// use policy_core::Scope;
/// # let engine = Engine::new(Arc::new(Registry::of(&[], &[]).unwrap())).unwrap();
/// let moment = engine.moment();
/// engine.replace(&Scope::System, &SetSource::default())?;
/// assert_ne!(moment.of(&engine).revisions(&Scope::System), engine.revisions(&Scope::System));
/// # Ok::<(), policy_core::pdp::SetError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct At<'m> {
    engine: &'m Engine,
    sets: &'m Numbered,
}

impl At<'_> {
    /// As [`Engine::decide`].
    pub fn decide(self, request: &Request<'_>) -> Decision {
        self.engine.decide_in(self.sets, request)
    }

    /// As [`Engine::filter`].
    ///
    /// # Errors
    /// As there.
    pub fn filter(self, request: &Request<'_>, table: &Table) -> Result<Filter, Box<Denial>> {
        self.engine.filter_in(self.sets, request, table)
    }

    /// As [`Engine::explain_filter`].
    ///
    /// # Errors
    /// As there.
    pub fn explain_filter(self, request: &Request<'_>, table: &Table) -> Result<Vec<TierFilter>, Box<Denial>> {
        self.engine.explain_filter_in(self.sets, request, table)
    }

    /// As [`Engine::revisions`].
    pub fn revisions(self, scope: &Scope) -> [Revision; 3] {
        self.sets.revisions(scope)
    }
}
