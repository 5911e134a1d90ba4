//! Drafts in shadow: asked beside the active sets about each decision, and only counted.
//!
//! In: decisions with their requests, and what operations on rows were asked about. Out: [`Shadowed`], how many there were, which a
//! draft turns and which lists it changes. Absent: any effect on a decision, and where drafts are stored.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use policy_core::pdp::{Engine, SetError, SetSource, Supposition};
use policy_core::{Decision, Denial, Request, Scope};

#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) mod lists;

/// How many kinds of turns are kept apart for a draft; what comes after them is counted as others.
const KINDS: usize = 10_000;

/// A kind of decisions that another set turns.
///
/// ```
/// use policy_runtime::shadow::Turn;
/// let turn = Turn { opens: false, rule: "`mfa`".into(), action: "com.example.Orders.place".into(), caller: "org:acme/u-1".into() };
/// assert_eq!(turn.becomes(), "allow becomes deny");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Turn {
    /// Whether what is denied would be allowed; otherwise what is allowed would be denied.
    pub opens: bool,
    /// What denies: a policy, or where none does, the tier in which nothing permits.
    pub rule: String,
    /// The action's full name.
    pub action: String,
    /// `<scope>/<id>` of the participant; of a System draft, the scope alone: operators do not look into organizations.
    pub caller: String,
}

impl Turn {
    /// In which direction, in words.
    pub const fn becomes(&self) -> &'static str {
        if self.opens { "deny becomes allow" } else { "allow becomes deny" }
    }

    /// What turns where one set says `active` and another one `draft`; `None` where they agree.
    pub(crate) fn between(
        engine: &Engine,
        request: &Request<'_>,
        set: &Scope,
        (active, draft): (&Decision, &Decision),
    ) -> Option<Self> {
        let (opens, denial) = match (active, draft) {
            (Decision::Allow(_), Decision::Deny(denial)) => (false, denial),
            (Decision::Deny(denial), Decision::Allow(_)) => (true, denial),
            (Decision::Allow(_), Decision::Allow(_)) | (Decision::Deny(_), Decision::Deny(_)) => return None,
        };
        let action = engine.registry().action(request.action).map(|entry| entry.name.to_string()).unwrap_or_default();
        let (caller, _) = caller_of(set, request);
        Some(Self { opens, rule: blamed(denial), action, caller })
    }
}

/// Who is told of a request's participant to whom a set belongs, and whether it is the scope alone: operators do not look into
/// organizations.
pub(crate) fn caller_of(set: &Scope, request: &Request<'_>) -> (String, bool) {
    let participant = request.participant;
    let apart = *set == Scope::System && *participant.scope() != Scope::System;
    (if apart { participant.scope().to_string() } else { participant.uid_id().to_owned() }, apart)
}

/// What denies: a policy, or the tier in which nothing permits.
pub(crate) fn blamed(denial: &Denial) -> String {
    let policy = denial.policy.as_ref().map(|id| format!("`{id}`"));
    policy.or_else(|| denial.tier.map(|tier| tier.to_string())).unwrap_or_else(|| denial.message.clone())
}

/// What becomes of the rows of a list.
///
/// ```
/// use policy_runtime::shadow::Rows;
/// assert_eq!(Rows::Narrower.to_string(), "narrower");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "there is no fourth")]
pub enum Rows {
    /// None that was not there before.
    Narrower,
    /// All that were there before, and perhaps more.
    Wider,
    /// Some may go, others come; also where rows alone can tell.
    Other,
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Narrower => "narrower",
            Self::Wider => "wider",
            Self::Other => "other",
        })
    }
}

/// A kind of lists that another set changes.
///
/// ```
/// use policy_runtime::shadow::{ListTurn, Rows};
/// fn takes_away(turn: &ListTurn) -> bool {
///     turn.becomes != Rows::Wider
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct ListTurn {
    /// What becomes of their rows.
    pub becomes: Rows,
    /// The policies of the draft's scope that ask otherwise, or the tier.
    pub rule: String,
    /// The action's full name.
    pub action: String,
    /// `<scope>/<id>` of the participant; of a System draft the scope alone, as for calls.
    pub caller: String,
}

/// What was counted of a draft in shadow.
///
/// ```
/// use policy_runtime::{Policy, SetSource};
/// let policy = Policy::for_application("shop")?;
/// assert!(policy.shadowed(&policy.organization()).is_none(), "no draft is in shadow");
/// policy.shadow(&policy.organization(), 7, &SetSource::default())?;
/// assert_eq!(policy.shadowed(&policy.organization()).unwrap().decisions, 0);
/// # Ok::<(), policy_runtime::PolicyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Shadowed {
    /// How many decisions it was asked about.
    pub decisions: u64,
    /// How many of each kind it turns.
    pub turns: BTreeMap<Turn, u64>,
    /// How many lists of each kind it changes; they are among the decisions.
    pub lists: BTreeMap<ListTurn, u64>,
}

impl Shadowed {
    fn count(&mut self, turn: Option<Turn>) {
        self.decisions += 1;
        let Some(mut turn) = turn else { return };
        if self.turns.len() >= KINDS && !self.turns.contains_key(&turn) {
            turn = Turn { opens: turn.opens, rule: others(), action: others(), caller: others() };
        }
        *self.turns.entry(turn).or_default() += 1;
    }

    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    fn count_list(&mut self, turn: Option<ListTurn>) {
        self.decisions += 1;
        let Some(mut turn) = turn else { return };
        if self.lists.len() >= KINDS && !self.lists.contains_key(&turn) {
            turn = ListTurn { becomes: turn.becomes, rule: others(), action: others(), caller: others() };
        }
        *self.lists.entry(turn).or_default() += 1;
    }
}

fn others() -> String {
    "(others)".to_owned()
}

/// A draft in shadow.
#[derive(Debug)]
struct Beside {
    /// What whoever put it there knows it by; the same one is not put there twice.
    number: i64,
    supposition: Supposition,
    shadowed: Mutex<Shadowed>,
}

impl Beside {
    fn shadowed<T>(&self, work: impl FnOnce(&mut Shadowed) -> T) -> T {
        work(&mut self.shadowed.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The drafts in shadow of a process.
#[derive(Debug, Default)]
pub(crate) struct Shadows {
    /// All that a decision reads where there are none.
    on: AtomicBool,
    drafts: RwLock<Vec<Arc<Beside>>>,
}

impl Shadows {
    /// Asks the drafts about a decision that was made.
    #[inline]
    pub(crate) fn look(&self, engine: &Engine, request: &Request<'_>, decision: &Decision) {
        if self.on.load(Ordering::Relaxed) {
            self.ask(engine, request, decision);
        }
    }

    #[cold]
    fn ask(&self, engine: &Engine, request: &Request<'_>, decision: &Decision) {
        let drafts = self.drafts.read().unwrap_or_else(PoisonError::into_inner).clone();
        for draft in drafts.iter().filter(|draft| draft.supposition.scope().covers(request.scope)) {
            let supposed = engine.decide_supposing(&draft.supposition, request);
            let turn = Turn::between(engine, request, draft.supposition.scope(), (decision, &supposed));
            draft.shadowed(|shadowed| shadowed.count(turn));
        }
    }

    /// Asks the drafts which rows an operation is open for.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    #[inline]
    pub(crate) fn look_at_rows(&self, engine: &Engine, request: &Request<'_>) {
        if self.on.load(Ordering::Relaxed) {
            self.ask_of_rows(engine, request);
        }
    }

    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    #[cold]
    fn ask_of_rows(&self, engine: &Engine, request: &Request<'_>) {
        let drafts = self.drafts.read().unwrap_or_else(PoisonError::into_inner).clone();
        for draft in drafts.iter().filter(|draft| draft.supposition.scope().covers(request.scope)) {
            let Some(rows) = engine.rows_supposing(&draft.supposition, request) else { continue };
            let turn = lists::turned(engine, draft.supposition.scope(), request, &rows);
            draft.shadowed(|shadowed| shadowed.count_list(turn));
        }
    }

    pub(crate) fn put(&self, engine: &Engine, scope: &Scope, number: i64, source: &SetSource) -> Result<(), SetError> {
        if self.find(scope, |draft| draft.number) == Some(number) {
            return Ok(());
        }
        let supposition = engine.suppose(scope, source)?;
        let draft = Arc::new(Beside { number, supposition, shadowed: Mutex::default() });
        self.change(|drafts| {
            drafts.retain(|known| known.supposition.scope() != scope);
            drafts.push(draft);
        });
        Ok(())
    }

    pub(crate) fn end(&self, scope: &Scope) {
        self.change(|drafts| drafts.retain(|known| known.supposition.scope() != scope));
    }

    fn change(&self, work: impl FnOnce(&mut Vec<Arc<Beside>>)) {
        let mut drafts = self.drafts.write().unwrap_or_else(PoisonError::into_inner);
        work(&mut drafts);
        self.on.store(!drafts.is_empty(), Ordering::Relaxed);
    }

    fn find<T>(&self, scope: &Scope, work: impl FnOnce(&Beside) -> T) -> Option<T> {
        let drafts = self.drafts.read().unwrap_or_else(PoisonError::into_inner);
        drafts.iter().find(|draft| draft.supposition.scope() == scope).map(|draft| work(draft))
    }

    pub(crate) fn shadowed(&self, scope: &Scope) -> Option<Shadowed> {
        self.find(scope, |draft| draft.shadowed(|shadowed| shadowed.clone()))
    }

    /// The drafts: whose, which, and what was counted since it was taken last.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn take(&self) -> Vec<(Scope, i64, Shadowed)> {
        let drafts = self.drafts.read().unwrap_or_else(PoisonError::into_inner);
        let taken =
            |draft: &Arc<Beside>| (draft.supposition.scope().clone(), draft.number, draft.shadowed(std::mem::take));
        drafts.iter().map(taken).collect()
    }

    /// Puts back what was taken and could not be kept elsewhere.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn put_back(&self, scope: &Scope, number: i64, taken: Shadowed) {
        self.find(scope, |draft| {
            if draft.number == number {
                draft.shadowed(|shadowed| {
                    shadowed.decisions += taken.decisions;
                    taken.turns.into_iter().for_each(|(turn, n)| *shadowed.turns.entry(turn).or_default() += n);
                    taken.lists.into_iter().for_each(|(turn, n)| *shadowed.lists.entry(turn).or_default() += n);
                });
            }
        });
    }
}
