//! What decides in programs that run elsewhere: what they registered, made an engine again, over the sets that are active.
//!
//! In: a scope, and what is asked about it. Out: a [`Decider`]: this process's engine where it runs the program, otherwise one of
//! the program's manifest, which carries every rule, kind and secret that the program's own engine has. Absent: attributes that a
//! program adds to participants by code of its own; nothing registers them.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use policy_core::Scope;
use policy_core::pdp::Engine;
use policy_core::registry::Registry;

use super::programs::Program;
use super::store::{Head, PolicySets, SetsError, apart};
use crate::policy::Policy;

/// How many engines are kept.
const KEPT: usize = 32;
/// How often sets are read again when one was activated meanwhile.
const ATTEMPTS: usize = 5;

/// An engine of the program that is asked about.
#[derive(Debug, Clone)]
pub(crate) enum Decider<'p> {
    Own(&'p Engine),
    Elsewhere(Arc<Engine>),
}

impl Deref for Decider<'_> {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        match self {
            Self::Own(engine) => engine,
            Self::Elsewhere(engine) => engine,
        }
    }
}

/// What an engine is good for: as long as neither manifests nor the sets above its application change.
#[derive(Debug, Clone, PartialEq)]
struct Stamp {
    changes: Option<i64>,
    heads: Vec<Option<Head>>,
}

#[derive(Debug)]
struct Made {
    application: Scope,
    hash: String,
    #[cfg_attr(not(feature = "authzen"), expect(dead_code, reason = "only AuthZEN asks so often that it matters"))]
    newest: bool,
    stamp: Stamp,
    engine: Arc<Engine>,
}

/// Engines that were made before, those asked last at the end.
#[derive(Debug, Clone, Default)]
pub(super) struct Engines(Arc<Mutex<VecDeque<Made>>>);

impl Engines {
    fn find(&self, stamp: &Stamp, is_meant: impl Fn(&Made) -> bool) -> Option<Arc<Engine>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = all.iter().position(|made| made.stamp == *stamp && is_meant(made))?;
        let found = all.remove(at)?;
        let engine = found.engine.clone();
        all.push_back(found);
        Some(engine)
    }

    fn keep(&self, new: Made) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|made| (&made.application, &made.hash) != (&new.application, &new.hash));
        if all.len() >= KEPT {
            all.pop_front();
        }
        all.push_back(new);
    }
}

/// A program that a question may be about; `None` for this process's own.
type Candidate = Option<(Program, bool)>;

impl PolicySets {
    /// What decides about an action in a scope: the newest program of the application that declares it; above applications this
    /// process's own before others. Where none declares it, the newest program, to which the action is unknown.
    #[cfg(feature = "admin")]
    pub(crate) async fn decider<'p>(
        &self,
        policy: &'p Policy,
        scope: &Scope,
        action: &str,
    ) -> Result<Decider<'p>, SetsError> {
        let mut all = self.candidates(policy, scope).await?;
        let declares = |one: &Candidate| registry_of(policy, one).find(action).is_some();
        let at = all.iter().position(declares).unwrap_or(0);
        let meant = if at < all.len() { all.swap_remove(at) } else { None };
        self.made(policy, meant).await
    }

    /// What decides in each program of a scope, the newest first.
    #[cfg(feature = "admin")]
    pub(crate) async fn deciders<'p>(&self, policy: &'p Policy, scope: &Scope) -> Result<Vec<Decider<'p>>, SetsError> {
        // A draft is checked beside what others declare, in this process too.
        self.know_of(policy, scope).await?;
        let mut all = Vec::new();
        for one in self.candidates(policy, scope).await? {
            all.push(self.made(policy, one).await?);
        }
        Ok(all)
    }

    /// What decides in the newest program of an application.
    #[cfg(feature = "authzen")]
    pub(crate) async fn newest<'p>(&self, policy: &'p Policy, application: &Scope) -> Result<Decider<'p>, SetsError> {
        let stamp = self.stamp(application).await?;
        if let Some(engine) = self.kept.made().find(&stamp, |made| made.newest && made.application == *application) {
            return Ok(Decider::Elsewhere(engine));
        }
        let first = self.candidates(policy, application).await?.into_iter().next().flatten();
        self.made(policy, first).await
    }

    async fn candidates(&self, policy: &Policy, scope: &Scope) -> Result<Vec<Candidate>, SetsError> {
        let own = policy.engine();
        let is_own = |program: &Program| program.hash == self.kept.own(policy) && own.knows(&program.scope);
        let newest_first = self.programs(scope, policy.clock().now()).await?.into_iter().rev();
        let mut all: Vec<Candidate> = Vec::new();
        if scope.application_id().is_some() {
            for (nth, program) in newest_first.enumerate() {
                all.push(if is_own(&program) { None } else { Some((program, nth == 0)) });
            }
            if all.is_empty() || (policy.application() == scope && all.iter().all(Option::is_some)) {
                all.push(None);
            }
            return Ok(all);
        }
        // Of a program that runs elsewhere, only what it declares above applications is asked about here.
        let tier = scope.tier();
        let has_more = |registry: &Registry| {
            let mut actions = registry.actions().filter(|(_, entry)| entry.tier == tier);
            actions.any(|(_, entry)| own.registry().number(&entry.name).is_none())
        };
        all.push(None);
        all.extend(newest_first.filter(|program| has_more(&program.registry)).map(|program| Some((program, false))));
        Ok(all)
    }

    async fn made<'p>(&self, policy: &'p Policy, candidate: Candidate) -> Result<Decider<'p>, SetsError> {
        let Some((program, newest)) = candidate else { return Ok(Decider::Own(policy.engine())) };
        for _ in 0..ATTEMPTS {
            let stamp = self.stamp(&program.scope).await?;
            let is_meant = |made: &Made| made.application == program.scope && made.hash == program.hash;
            if let Some(engine) = self.kept.made().find(&stamp, is_meant) {
                return Ok(Decider::Elsewhere(engine));
            }
            let engine = self.make(&program).await?;
            if self.stamp(&program.scope).await? == stamp {
                let Program { scope: application, hash, .. } = program;
                self.kept.made().keep(Made { application, hash, newest, stamp, engine: engine.clone() });
                return Ok(Decider::Elsewhere(engine));
            }
        }
        Err(SetsError::Moving)
    }

    async fn make(&self, program: &Program) -> Result<Arc<Engine>, SetsError> {
        let mut sets = Vec::new();
        for scope in program.scope.chain() {
            let (source, revision) = self.active_set(&scope).await?;
            let beside = self.beside(&scope, &program.scope, &program.hash).await?;
            sets.push((scope, source, revision, beside));
        }
        let Program { scope: application, registry, .. } = program.clone();
        apart(move || {
            let engine = Engine::new(registry)?;
            for (scope, _, _, beside) in &sets {
                engine.set_beside(scope, beside.clone());
            }
            engine.add_application(&application)?;
            for (scope, source, (epoch, number), _) in &sets {
                engine.replace_as(scope, source, *epoch, *number)?;
            }
            Ok(Arc::new(engine))
        })
        .await
    }

    async fn stamp(&self, application: &Scope) -> Result<Stamp, SetsError> {
        let (changes, mut heads) = (self.changes().await?, Vec::new());
        for scope in application.chain() {
            heads.push(self.head(&scope).await?);
        }
        Ok(Stamp { changes, heads })
    }
}

#[cfg(feature = "admin")]
fn registry_of<'c>(policy: &'c Policy, candidate: &'c Candidate) -> &'c Registry {
    candidate.as_ref().map_or(policy.engine().registry(), |(program, _)| &program.registry)
}
