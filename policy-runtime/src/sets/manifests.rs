//! Manifests of programs in the database: registered at each start, accepted, flagged or refused.
//!
//! ```text
//! manifest ─► does every active rule check in it, and has it what rules name? ─► yes: accepted
//!                                                                            └► no:  refused, or flagged: what is new or
//!                                                                                    changed is denied until it is accepted
//! ```
//!
//! A manifest is live while programs that registered it are heard of, and the last one of each application always. Sets are
//! checked against all that are live, and know by name what all that were ever registered declare. Absent: who may register.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use policy_core::Scope;
use policy_core::pdp::{Beside, Engine, SetSource};
use policy_core::registry::{Finding, Registry};
use policy_core::value::Millis;
use serde_json::{Value, json};

use super::content::hash;
use super::programs::{self, Program};
use super::store::{Head, PolicySets, SetsError};
use crate::database::{Arg, DatabaseError, Row, Transaction};
use crate::policy::Policy;

/// For how long a program counts as running after it was heard of.
const LIVE_MS: i64 = 10 * 60 * 1_000;
/// How many manifests are kept parsed.
const PARSED: usize = 256;
/// How often a registration is tried again when policies were activated meanwhile.
const ATTEMPTS: usize = 5;

/// What becomes of a manifest that breaks an active rule.
///
/// ```
/// use policy_runtime::sets::OnBreak;
/// assert_eq!(OnBreak::default(), OnBreak::Refuse);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_enums, reason = "there are two ways to stay closed")]
pub enum OnBreak {
    /// The program is told to stop.
    #[default]
    Refuse,
    /// The program runs, and what is new or changed in it is denied until an administrator accepts the manifest.
    Flag,
}

/// How a manifest stands.
///
/// ```
/// use policy_runtime::sets::ManifestState;
/// assert_eq!(ManifestState::Flagged.as_str(), "flagged");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there are three")]
pub enum ManifestState {
    /// All that it declares is open to those whom the policies let in.
    Accepted,
    /// Some of it is denied until it is accepted.
    Flagged,
    /// It was not registered.
    Refused,
}

impl ManifestState {
    /// The state's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Flagged => "flagged",
            Self::Refused => "refused",
        }
    }
}

/// A manifest as it was registered.
///
/// ```
/// use policy_runtime::sets::RegisteredManifest;
/// fn told(manifest: &RegisteredManifest) -> String {
///     format!("{} {}: {}, {} rules broken", manifest.scope, manifest.version, manifest.state.as_str(), manifest.broken.len())
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegisteredManifest {
    /// The application.
    pub scope: Scope,
    /// What the program calls itself.
    pub version: String,
    /// SHA-256 of the manifest.
    pub hash: String,
    /// How it stands.
    pub state: ManifestState,
    /// The rules that it broke, each with its scope and place.
    pub broken: Vec<String>,
    /// The actions that are denied until it is accepted.
    pub closed: Vec<String>,
    /// When it was first registered, in milliseconds since 1970.
    pub registered: i64,
    /// When a program with it was last heard of.
    pub seen: i64,
}

/// What was read of manifests before.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept {
    parsed: Arc<Mutex<HashMap<String, Arc<Registry>>>>,
    known: Arc<Mutex<Known>>,
    /// The hash of this process's own manifest.
    own: Arc<OnceLock<String>>,
    #[cfg(any(feature = "admin", feature = "authzen"))]
    made: super::elsewhere::Engines,
}

/// What sets were loaded beside.
#[derive(Debug, Default)]
struct Known {
    /// How many changes of manifests there had been.
    changes: Option<i64>,
    beside: HashMap<Scope, Beside>,
}

impl Kept {
    fn parsed(&self) -> MutexGuard<'_, HashMap<String, Arc<Registry>>> {
        self.parsed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(any(feature = "admin", feature = "authzen"))]
    pub(super) const fn made(&self) -> &super::elsewhere::Engines {
        &self.made
    }

    pub(super) fn own(&self, policy: &Policy) -> &str {
        self.own.get_or_init(|| hash(&policy.engine().registry().manifest().to_string()))
    }
}

const ALL: &str = "SELECT scope, version, hash, closed, broken, registered, seen, names FROM policy_manifests \
                   ORDER BY registered, hash";
const CHANGED: &str = "UPDATE policy_manifest_changes SET changes = changes + 1 WHERE id = 1";

/// A manifest and the names that rules may use of it.
pub(super) struct Entry {
    pub(super) manifest: RegisteredManifest,
    pub(super) names: Beside,
}

impl Entry {
    pub(super) fn is_live(&self, all: &[Self], now: Millis) -> bool {
        let newest = all.iter().rfind(|other| other.manifest.scope == self.manifest.scope);
        now.0.saturating_sub(self.manifest.seen) <= LIVE_MS
            || newest.is_some_and(|newest| newest.manifest.hash == self.manifest.hash)
    }
}

/// What a manifest does to the active rules.
struct Judged {
    broken: Vec<String>,
    closed: Vec<String>,
}

impl PolicySets {
    /// Registers what the program of an application declares, as it does at each start.
    ///
    /// # Errors
    /// When it is no manifest, or the database fails. That it was refused is an answer.
    pub async fn register_manifest(
        &self,
        application: &Scope,
        version: &str,
        manifest: &str,
        on_break: OnBreak,
        now: Millis,
    ) -> Result<RegisteredManifest, SetsError> {
        let registry = Arc::new(Registry::from_manifest(manifest)?);
        let content = registry.manifest().to_string();
        let hash = hash(&content);
        let version: String = if version.is_empty() { hash.chars().take(12).collect() } else { version.to_owned() };
        for _ in 0..ATTEMPTS {
            let (entries, heads) = (self.entries().await?, self.heads().await?);
            let Judged { broken, closed } = self.judge(application, (&registry, &hash), &entries, on_break).await?;
            let known = entries.iter().find(|one| one.manifest.hash == hash && one.manifest.scope == *application);
            let state = match (broken.is_empty(), on_break) {
                (true, _) => ManifestState::Accepted,
                (false, OnBreak::Flag) => ManifestState::Flagged,
                (false, OnBreak::Refuse) => ManifestState::Refused,
            };
            let manifest = RegisteredManifest {
                scope: application.clone(),
                version: version.clone(),
                hash: hash.clone(),
                state,
                broken,
                closed,
                registered: known.map_or(now.0, |known| known.manifest.registered),
                seen: now.0,
            };
            if state == ManifestState::Refused || self.store_manifest(&manifest, &content, &registry, &heads).await? {
                return Ok(manifest);
            }
        }
        Err(DatabaseError::Unavailable("policies are activated again and again".into()).into())
    }

    /// Writes a manifest, unless other sets are active by now than it was judged by.
    async fn store_manifest(
        &self,
        manifest: &RegisteredManifest,
        content: &str,
        registry: &Registry,
        heads: &[(String, Head)],
    ) -> Result<bool, SetsError> {
        let mut names = Beside::default();
        names.add(registry);
        let names = serde_json::to_string(&names).unwrap_or_default();
        let list = |texts: &[String]| Value::from(texts).to_string();
        let mut tx = self.database.begin().await?;
        // Locks out activations, which look at it too.
        tx.run(CHANGED, vec![]).await?;
        if heads_in(&mut tx).await? != heads {
            return Ok(false);
        }
        let row: Vec<Arg> = vec![
            manifest.scope.to_string().into(),
            manifest.hash.as_str().into(),
            manifest.version.as_str().into(),
            content.into(),
            names.into(),
            list(&manifest.closed).into(),
            list(&manifest.broken).into(),
            manifest.registered.into(),
            manifest.seen.into(),
        ];
        let sql = "INSERT INTO policy_manifests \
                   (scope, hash, version, content, names, closed, broken, registered, seen) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (scope, hash) DO UPDATE SET \
                   version = excluded.version, closed = excluded.closed, broken = excluded.broken, seen = excluded.seen";
        tx.run(sql, row).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn judge(
        &self,
        application: &Scope,
        (registry, hash): (&Arc<Registry>, &str),
        entries: &[Entry],
        on_break: OnBreak,
    ) -> Result<Judged, SetsError> {
        let own = || entries.iter().filter(|entry| entry.manifest.scope == *application);
        let accepted = || own().filter(|entry| entry.manifest.closed.is_empty());
        let is_accepted = accepted().any(|entry| entry.manifest.hash == hash);
        let before = accepted().rfind(|entry| entry.manifest.hash != hash);
        let engine = Engine::new(registry.clone())?;
        let mut active: Vec<(Scope, SetSource, Beside)> = Vec::new();
        for scope in application.chain() {
            let source = self.active_set(&scope).await?.0;
            let mut names = Beside::default();
            entries
                .iter()
                .filter(|entry| scope.covers(&entry.manifest.scope))
                .for_each(|entry| names.join(&entry.names));
            active.push((scope, source, names));
        }
        let broken = |strict: bool, closed: &[String]| {
            let mut broken = Vec::new();
            for (scope, source, names) in &active {
                let mut names = names.clone();
                if let Some(before) = before.filter(|_| strict) {
                    // What rules name and the program had is not to be lost unseen, though another program has it.
                    names.leave_out(&before.names);
                }
                let names = names.close(closed.iter().map(String::as_str));
                if let Err(error) = engine.check_beside(scope, source, &names) {
                    broken.extend(error.findings().iter().map(|finding| format!("{scope}: {finding}")));
                }
            }
            broken
        };
        let found = broken(!is_accepted, &[]);
        if found.is_empty() || on_break == OnBreak::Refuse {
            return Ok(Judged { broken: found, closed: Vec::new() });
        }
        let before = match before {
            Some(before) => Some(self.registry(&before.manifest).await?),
            None => None,
        };
        let mut closed = registry.changed_since(before.as_deref());
        if closed.is_empty() || !broken(false, &closed).is_empty() {
            closed = registry.changed_since(None);
        }
        Ok(Judged { broken: found, closed })
    }

    /// Opens what a flagged manifest has closed.
    ///
    /// # Errors
    /// When there is none of that hash, or an active rule does not check in it: every finding.
    pub async fn accept_manifest(&self, application: &Scope, hash: &str) -> Result<RegisteredManifest, SetsError> {
        let entries = self.entries().await?;
        let found = entries.iter().find(|one| one.manifest.scope == *application && one.manifest.hash == hash);
        let manifest = found.map(|one| one.manifest.clone()).ok_or(SetsError::NoManifest)?;
        let engine = Engine::new(self.registry(&manifest).await?)?;
        for scope in application.chain() {
            let mut names = Beside::default();
            entries
                .iter()
                .filter(|entry| scope.covers(&entry.manifest.scope))
                .for_each(|entry| names.join(&entry.names));
            engine.check_beside(&scope, &self.active_set(&scope).await?.0, &names)?;
        }
        let mut tx = self.database.begin().await?;
        tx.run(CHANGED, vec![]).await?;
        let sql = "UPDATE policy_manifests SET closed = '[]' WHERE scope = $1 AND hash = $2";
        tx.run(sql, vec![application.to_string().into(), hash.into()]).await?;
        tx.commit().await?;
        Ok(RegisteredManifest { state: ManifestState::Accepted, closed: Vec::new(), ..manifest })
    }

    /// The manifests of a scope's applications, the earliest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn manifests(&self, scope: &Scope) -> Result<Vec<RegisteredManifest>, SetsError> {
        let entries = self.entries().await?.into_iter().map(|entry| entry.manifest);
        Ok(entries.filter(|manifest| scope.covers(&manifest.scope)).collect())
    }

    /// Notes that a program with a manifest runs; answers whether there is one of that hash.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn heard_of(&self, application: &Scope, hash: &str, now: Millis) -> Result<bool, SetsError> {
        let mut tx = self.database.begin().await?;
        let sql = "UPDATE policy_manifests SET seen = $3 WHERE scope = $1 AND hash = $2";
        let known = tx.run(sql, vec![application.to_string().into(), hash.into(), now.0.into()]).await? == 1;
        tx.commit().await?;
        Ok(known)
    }

    /// Checks a set in this process's program and in every live one that it can concern.
    ///
    /// # Errors
    /// Every finding, with its place in the text and the program.
    pub async fn check(
        &self,
        policy: &Policy,
        scope: &Scope,
        source: &SetSource,
        now: Millis,
    ) -> Result<Vec<Finding>, SetsError> {
        self.know_of(policy, scope).await?;
        let programs = self.programs(scope, now).await?;
        Ok(programs::check(policy.engine(), self.kept.own(policy), &programs, scope, source)?)
    }

    /// What has moved in the programs since a set was written, as far as the set mentions it.
    pub(super) async fn moved(
        &self,
        scope: &Scope,
        source: &SetSource,
        written: i64,
        now: Millis,
    ) -> Result<Vec<Finding>, SetsError> {
        let (entries, mut found) = (self.entries().await?, Vec::new());
        for program in self.programs(scope, now).await? {
            let older = entries.iter().rfind(|e| e.manifest.scope == program.scope && e.manifest.registered <= written);
            if let Some(older) = older.filter(|older| older.manifest.hash != program.hash) {
                found.extend(programs::moved(source, self.registry(&older.manifest).await?.as_ref(), &program));
            }
        }
        Ok(found)
    }

    /// What there is to write rules about: all that the live programs of a scope declare, and this process's own.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn vocabulary(&self, policy: &Policy, scope: &Scope, now: Millis) -> Result<Value, SetsError> {
        let mut all = policy.engine().registry().manifest();
        for program in self.programs(scope, now).await?.iter().rev() {
            let other = program.registry.manifest();
            for (list, name) in [("actions", "action"), ("services", "service")] {
                let theirs = other.get(list).and_then(Value::as_array).cloned().unwrap_or_default();
                let Some(own) = all.get_mut(list).and_then(Value::as_array_mut) else { continue };
                for one in theirs {
                    if own.iter().all(|known| known.get(name) != one.get(name)) {
                        own.push(one);
                    }
                }
            }
        }
        Ok(all)
    }

    /// The live programs of a scope's applications.
    pub(super) async fn programs(&self, scope: &Scope, now: Millis) -> Result<Vec<Program>, SetsError> {
        let (entries, mut programs) = (self.entries().await?, Vec::new());
        for entry in entries.iter().filter(|entry| scope.covers(&entry.manifest.scope) && entry.is_live(&entries, now))
        {
            let RegisteredManifest { scope, version, hash, closed, .. } = entry.manifest.clone();
            let registry = self.registry(&entry.manifest).await?;
            programs.push(Program { scope, version, hash, registry, closed });
        }
        Ok(programs)
    }

    /// Tells the engine what other programs declare and what is closed in this one, if that has changed; answers the scopes
    /// whose sets are to be loaded again.
    pub(super) async fn know(&self, policy: &Policy) -> Result<Vec<Scope>, SetsError> {
        let changes = self.changes().await?;
        if changes == self.kept.known().changes {
            return Ok(Vec::new());
        }
        let all = self.besides(policy).await?;
        let mut known = self.kept.known();
        let mut again = Vec::new();
        for (scope, beside) in &all {
            if known.beside.get(scope) != Some(beside) {
                policy.engine().set_beside(scope, beside.clone());
                again.push(scope.clone());
            }
        }
        *known = Known { changes, beside: all };
        drop(known);
        Ok(again)
    }

    /// How many changes of manifests there have been.
    pub(super) async fn changes(&self) -> Result<Option<i64>, SetsError> {
        let row = self.database.row("SELECT changes FROM policy_manifest_changes WHERE id = 1", vec![]).await?;
        Ok(row.map(|row| row.long(0)).transpose()?)
    }

    /// As [`PolicySets::know`], for a set that is about to be loaded here.
    pub(super) async fn know_of(&self, policy: &Policy, scope: &Scope) -> Result<(), SetsError> {
        if let Some(beside) = self.besides(policy).await?.remove(scope) {
            policy.engine().set_beside(scope, beside);
        }
        Ok(())
    }

    /// What sets are checked beside in this process, scope by scope.
    async fn besides(&self, policy: &Policy) -> Result<HashMap<Scope, Beside>, SetsError> {
        let mut all: HashMap<Scope, Beside> = HashMap::new();
        for entry in self.entries().await? {
            for scope in entry.manifest.scope.chain() {
                all.entry(scope).or_default().join(&entry.names);
            }
            if entry.manifest.hash == self.kept.own(policy) {
                let beside = all.entry(entry.manifest.scope.clone()).or_default();
                *beside = std::mem::take(beside).close(entry.manifest.closed.iter().map(String::as_str));
            }
        }
        Ok(all)
    }

    /// What a scope's sets are checked beside in a program with a manifest.
    #[cfg(any(feature = "admin", feature = "authzen"))]
    pub(crate) async fn beside(&self, scope: &Scope, application: &Scope, hash: &str) -> Result<Beside, SetsError> {
        let (mut beside, mut known) = (Beside::default(), false);
        for entry in self.entries().await?.iter().filter(|entry| scope.covers(&entry.manifest.scope)) {
            beside.join(&entry.names);
            if entry.manifest.scope == *application && entry.manifest.hash == hash {
                known = true;
                if scope == application {
                    beside = beside.close(entry.manifest.closed.iter().map(String::as_str));
                }
            }
        }
        if known { Ok(beside) } else { Err(SetsError::NoManifest) }
    }

    pub(super) async fn entries(&self) -> Result<Vec<Entry>, SetsError> {
        self.database.rows(ALL, vec![]).await?.iter().map(entry).collect()
    }

    pub(super) async fn registry(&self, manifest: &RegisteredManifest) -> Result<Arc<Registry>, SetsError> {
        if let Some(known) = self.kept.parsed().get(&manifest.hash) {
            return Ok(known.clone());
        }
        let sql = "SELECT content FROM policy_manifests WHERE scope = $1 AND hash = $2";
        let row =
            self.database.row(sql, vec![manifest.scope.to_string().into(), manifest.hash.as_str().into()]).await?;
        let content = row.ok_or(SetsError::NoManifest)?.text(0)?;
        if hash(&content) != manifest.hash {
            return Err(SetsError::ManifestChanged(manifest.scope.to_string()));
        }
        let registry = Arc::new(Registry::from_manifest(&content)?);
        let mut parsed = self.kept.parsed();
        if parsed.len() >= PARSED {
            parsed.clear();
        }
        parsed.insert(manifest.hash.clone(), registry.clone());
        drop(parsed);
        Ok(registry)
    }
}

pub(super) async fn heads_in(tx: &mut Transaction) -> Result<Vec<(String, Head)>, SetsError> {
    Ok(super::store::heads_of(&tx.rows(super::store::HEADS, vec![]).await?)?)
}

fn entry(row: &Row) -> Result<Entry, SetsError> {
    let (scope, version, hash) = (row.text(0)?, row.text(1)?, row.text(2)?);
    let changed = || SetsError::ManifestChanged(scope.clone());
    let closed: Vec<String> = serde_json::from_str(&row.text(3)?).map_err(|_| changed())?;
    let manifest = RegisteredManifest {
        scope: scope.parse().map_err(|_| changed())?,
        version,
        hash,
        state: if closed.is_empty() { ManifestState::Accepted } else { ManifestState::Flagged },
        broken: serde_json::from_str(&row.text(4)?).map_err(|_| changed())?,
        closed,
        registered: row.long(5)?,
        seen: row.long(6)?,
    };
    Ok(Entry { names: serde_json::from_str(&row.text(7)?).map_err(|_| changed())?, manifest })
}

impl RegisteredManifest {
    /// As JSON, for whoever registered it and for administrators.
    pub fn to_json(&self) -> Value {
        json!({
            "scope": self.scope.to_string(), "version": self.version, "hash": self.hash, "state": self.state.as_str(),
            "broken": self.broken, "closed": self.closed, "registered": self.registered, "seen": self.seen,
        })
    }
}
