//! What a draft would do to decisions that were made, and how two versions differ.

use std::collections::BTreeMap;

use policy_core::decision::DenialKind;
use policy_core::pdp::{Engine, Supposition};
use policy_core::{Denial, Request, Scope};
use serde_json::Value;

use super::decide::Right;
use super::lists::{self, ListChange};
use super::{Admin, AdminError};
use crate::audit::journal::{Filter, Stored};
use crate::audit::{INPUTS, TOO_LARGE};
use crate::offline::{Hypothetical, difference};
use crate::security::SecurityContext;
use crate::shadow::lists::Changed;
use crate::shadow::{ListTurn, Turn};

/// How many decisions are looked at.
const MOST: usize = 100_000;
/// How many ids of decisions are told of each kind.
pub(super) const TOLD: usize = 10;

/// What a draft would have decided otherwise.
///
/// ```
/// use policy_runtime::admin::DryRun;
/// fn is_harmless(run: &DryRun) -> bool {
///     run.turns.is_empty() && run.lists.is_empty() && run.not_replayed.is_empty() && !run.more
/// }
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct DryRun {
    /// How many recorded decisions were looked at.
    pub looked: usize,
    /// How many of them were decided again, by the active sets and with the draft.
    pub replayed: usize,
    /// What the draft turns: by what denies, the action and the caller; how often, and the ids of some.
    pub turns: BTreeMap<Turn, (u64, Vec<String>)>,
    /// What it changes of lists, by what becomes of their rows, the policy, the action and the caller.
    pub lists: BTreeMap<ListTurn, ListChange>,
    /// Why others were not decided again, and how many.
    pub not_replayed: BTreeMap<String, u64>,
    /// Whether there are more records than are looked at.
    pub more: bool,
}

impl Admin {
    /// Decides what was recorded again, by the active sets and with a version in place of its scope's: what it would turn. Nothing
    /// is guessed: a decision that cannot be made again exactly as it was is told with the reason.
    ///
    /// # Errors
    /// When the caller may not try policies, or the version does not check.
    pub async fn dry_run(
        &self,
        cx: &SecurityContext,
        scope: &Scope,
        number: i64,
        filter: Filter,
    ) -> Result<DryRun, AdminError> {
        let _ = self.permit(cx, Right::TRY, scope).await?;
        let version = self.sets.version(scope, number).await?;
        let mut run = DryRun::default();
        for below in self.below(scope).await? {
            let engines = self.sets.deciders(&self.policy, &below).await?;
            let programs: Vec<(&Engine, Supposition)> = engines
                .iter()
                .map(|engine| Ok((&**engine, engine.suppose(scope, &version.source)?)))
                .collect::<Result<_, AdminError>>()?;
            let kind = Some("decision".to_owned());
            let mut page = Filter { scope: below.to_string(), kind, ..filter.clone() };
            loop {
                let records = self.journal.query(&page).await?;
                let Some(last) = records.last() else { break };
                page.after = Some(last.number);
                for record in &records {
                    if run.looked >= MOST {
                        run.more = true;
                        return Ok(run);
                    }
                    let declares = |(engine, _): &&(&Engine, Supposition)| engine.action(&record.action).is_some();
                    // To the first one the action is unknown, where it is to all.
                    if let Some((engine, draft)) = programs.iter().find(declares).or(programs.first()) {
                        run.look(engine, draft, record);
                    }
                }
                tokio::task::yield_now().await;
            }
        }
        Ok(run)
    }

    /// The scopes whose records belong to a scope's policies: of an organization, its applications', too. Operators do not look
    /// into organizations.
    async fn below(&self, scope: &Scope) -> Result<Vec<Scope>, AdminError> {
        let mut all = vec![scope.clone()];
        if let (Some(organization), None) = (scope.organization_id(), scope.application_id()) {
            for application in self.store.applications(organization.as_str()).await? {
                all.push(Scope::Application { organization: organization.clone(), application });
            }
        }
        Ok(all)
    }

    /// How one version of a scope's set differs from another, in words and as data; 0 is what the scope began with.
    ///
    /// # Errors
    /// When the caller may not see the policies, or there is no such version.
    pub async fn difference(
        &self,
        cx: &SecurityContext,
        scope: &Scope,
        before: i64,
        after: i64,
    ) -> Result<(String, Value), AdminError> {
        let _ = self.permit(cx, Right::LIST_POLICIES, scope).await?;
        let (before, after) = (self.source(scope, before).await?, self.source(scope, after).await?);
        let engines = self.sets.deciders(&self.policy, scope).await?;
        let engine = engines.first().map_or(self.policy.engine(), |engine| engine);
        Ok(difference(engine, scope, &before, &after))
    }
}

impl DryRun {
    fn look(&mut self, engine: &Engine, draft: &Supposition, record: &Stored) {
        self.looked += 1;
        match again(engine, draft, record) {
            Ok(turn) => {
                self.replayed += 1;
                match turn {
                    Again::Same => {}
                    Again::Turned(turn) => {
                        let (count, ids) = self.turns.entry(turn).or_default();
                        *count += 1;
                        if ids.len() < TOLD {
                            ids.push(record.decision.clone());
                        }
                    }
                    Again::List((turn, clauses)) => self.lists.entry(turn).or_default().add(&record.decision, clauses),
                }
            }
            Err(why) => *self.not_replayed.entry(why).or_default() += 1,
        }
    }
}

/// What comes of a decision that is made again with a draft.
enum Again {
    Same,
    Turned(Turn),
    List(Changed),
}

/// What was decided about, as a record has it.
pub(super) fn recorded(engine: &Engine, record: &Stored) -> Result<Hypothetical, String> {
    let body: Value = serde_json::from_str(&record.body).unwrap_or_default();
    let Some(text) = record.personal(INPUTS) else {
        let said = body.get("details").and_then(|details| details.get(INPUTS));
        return Err(match said {
            None => "what it was about was not recorded: `inputs` of `[audit]` is off",
            Some(said) if said.as_str() == Some(TOO_LARGE) => "what it was about is too large to be kept",
            Some(_) => "what it was about was erased",
        }
        .to_owned());
    };
    Hypothetical::recorded(text, engine.registry()).map_err(|wrong| {
        // Its help is for who writes requests.
        wrong.message.lines().next().unwrap_or_default().to_owned()
    })
}

fn again(engine: &Engine, draft: &Supposition, record: &Stored) -> Result<Again, String> {
    let asked = recorded(engine, record)?;
    asked.ask(|request| {
        if asked.is_list(engine.registry()) {
            let changed = lists::again(engine, draft, record, &asked, request)?;
            return Ok(changed.map_or(Again::Same, Again::List));
        }
        let (active, supposed) = (engine.decide(request), engine.decide_supposing(draft, request));
        for decision in [&active, &supposed] {
            decision.denial().map_or(Ok(()), |denial| is_sure(&asked, denial))?;
        }
        is_as_recorded(engine, request, record, active.is_allowed() == (record.outcome == "allow"))?;
        let turn = Turn::between(engine, request, draft.scope(), (&active, &supposed));
        Ok(turn.map_or(Again::Same, Again::Turned))
    })
}

/// By the sets that decided then, what was decided must come out again.
pub(super) fn is_as_recorded(
    engine: &Engine,
    request: &Request<'_>,
    record: &Stored,
    same: bool,
) -> Result<(), String> {
    let body: Value = serde_json::from_str(&record.body).unwrap_or_default();
    let revisions = engine.revisions(request.scope).map(|revision| Value::from(revision.to_string()));
    if !same && body.get("revisions").and_then(Value::as_array).is_some_and(|then| **then == revisions) {
        return Err("by the same policies it does not come out as it was recorded".to_owned());
    }
    Ok(())
}

/// Whether a denial does not come of what is not known.
pub(super) fn is_sure(asked: &Hypothetical, denial: &Denial) -> Result<(), String> {
    let known = asked.is_unabridged() || (denial.kind != DenialKind::Unusable && denial.errors.is_empty());
    let scope = matches!(denial.kind, DenialKind::UnknownScope | DenialKind::Stale);
    match (known, scope) {
        (true, false) => Ok(()),
        (false, _) => Err("a rule reads a secret that it was about, which is not kept".to_owned()),
        (true, true) => Err(denial.message.clone()),
    }
}
