//! Versions and activations.

use policy_core::pdp::{Activation, SetError, SetSource};
use policy_core::registry::{Finding, ManifestError};
use policy_core::value::Millis;
use policy_core::{Revision, Scope};

use super::content::{hash, of_json, to_json};
use super::manifests::Kept;
use crate::database::{Arg, Database, DatabaseError, Listener, Row, Transaction};
use crate::policy::Policy;

/// Where a version stands.
///
/// ```
/// use policy_runtime::sets::SetState;
/// assert_eq!(SetState::Superseded.as_str(), "superseded");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there are four states")]
pub enum SetState {
    /// Written down.
    Draft,
    /// Checked against what the program declares.
    Validated,
    /// The one that decides.
    Active,
    /// Was active before.
    Superseded,
}

impl SetState {
    /// The state's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Validated => "validated",
            Self::Active => "active",
            Self::Superseded => "superseded",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Draft, Self::Validated, Self::Active, Self::Superseded].into_iter().find(|state| state.as_str() == text)
    }
}

/// A version of a scope's set.
///
/// ```
/// use policy_runtime::sets::SetVersion;
/// fn line(version: &SetVersion) -> String {
///     format!("{} {} by {}: {}", version.number, version.state.as_str(), version.author, version.comment)
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetVersion {
    /// Its number in its scope, from 1.
    pub number: i64,
    /// Where it stands.
    pub state: SetState,
    /// What it is made of.
    pub source: SetSource,
    /// SHA-256 of its content, in hexadecimal digits.
    pub hash: String,
    /// Who wrote it.
    pub author: String,
    /// When, in milliseconds since 1970.
    pub time: i64,
    /// Why.
    pub comment: String,
}

/// Why a set was not saved, checked or activated; nothing has changed.
///
/// ```
/// use policy_runtime::sets::SetsError;
/// let error = SetsError::Conflict { expected: 3, active: 4 };
/// assert_eq!(error.to_string(), "version 4 is active, not version 3: somebody else has activated one meanwhile");
/// ```
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SetsError {
    /// The set does not check.
    #[error(transparent)]
    Refused(#[from] SetError),
    /// Another version is active than the one that was to be replaced.
    #[error("version {active} is active, not version {expected}: somebody else has activated one meanwhile")]
    Conflict {
        /// The version that was to be replaced; 0 for what a scope begins with.
        expected: i64,
        /// The one that is active.
        active: i64,
    },
    /// There is no such version.
    #[error("there is no version {0}")]
    Missing(i64),
    /// A draft is to be validated before it can be activated.
    #[error("version {0} is a draft: validate it first")]
    Draft(i64),
    /// The database knows of no activation that this server decides by: it was restored, and no epoch was begun.
    #[error("the database has an earlier set of `{0}` than this server: after a restore, run `policy restored`")]
    Earlier(String),
    /// What was stored is not what was written.
    #[error("version {0} was changed in the database: its hash is another")]
    Changed(i64),
    /// It is no manifest of a program.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// No such manifest is registered.
    #[error("no such manifest is registered")]
    NoManifest,
    /// What was stored of a manifest is not what was registered.
    #[error("a manifest of `{0}` was changed in the database: its hash is another")]
    ManifestChanged(String),
    /// A program was registered, or a version activated, in the middle of something that looks at both.
    #[error("programs or active versions have changed meanwhile: try again")]
    Moving,
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// The sets of all scopes in a database. Cheap to clone.
///
/// ```
/// # #[cfg(feature = "sqlite")]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use policy_core::pdp::SetSource;
/// use policy_runtime::database::{Database, DatabaseAddress};
/// use policy_runtime::sets::PolicySets;
/// use policy_runtime::{Policy, value::Millis};
///
/// let policy = Policy::for_application("shop").unwrap();
/// let sets = PolicySets::new(Database::open(&DatabaseAddress::Memory).await.unwrap());
/// let acme = policy.organization();
/// let rule = ("mfa".to_owned(), "forbid Platform.policies.activate unless participant.mfa".to_owned());
/// let source = SetSource { rules: vec![rule], ..SetSource::default() };
///
/// let draft = sets.draft(&acme, &source, "ann", "second factor", Millis(1_000)).await.unwrap();
/// assert!(sets.validate(&policy, &acme, draft).await.unwrap().is_empty(), "no warnings");
/// let revision = sets.activate(&policy, &acme, draft, 0, "ann", Millis(2_000)).await.unwrap();
/// assert_eq!(policy.engine().revisions(&acme)[1], revision);
/// assert_eq!((sets.active(&acme).await.unwrap(), sets.before(&acme).await.unwrap()), (draft, None));
/// assert_eq!(sets.history(&acme).await.unwrap()[0].hash, sets.version(&acme, draft).await.unwrap().hash);
/// sets.recover(&acme, "the operator", Millis(3_000)).await.unwrap();
/// sets.begin_epoch(Millis(4_000)).await.unwrap(); // after a restore
///
/// // What a program declares, and a draft that is asked beside the active set.
/// # use policy_runtime::Scope;
/// # use policy_runtime::sets::OnBreak;
/// let shop = Scope::application("default", "shop").unwrap();
/// let manifest = policy.engine().registry().manifest().to_string();
/// let registered = sets.register_manifest(&shop, "1.0", &manifest, OnBreak::Refuse, Millis(5_000)).await.unwrap();
/// assert!(sets.heard_of(&shop, &registered.hash, Millis(6_000)).await.unwrap());
/// assert_eq!(sets.manifests(&shop).await.unwrap().len(), 1);
/// sets.accept_manifest(&shop, &registered.hash).await.unwrap();
/// # #[cfg(feature = "admin")]
/// # {
/// assert!(sets.moved_in(&shop, &registered.hash).await.unwrap().is_empty());
/// assert!(sets.prune_manifests(&shop, Millis(7_000)).await.unwrap().is_empty());
/// # }
/// assert!(sets.shadow_of(&acme).await.unwrap().is_none());
/// sets.cast_shadows(&policy).await.unwrap();
/// // No call of these runs before its record, here and on every server that follows.
/// sets.require_audit(&acme, &["com.example.Orders.refund".to_owned()].into()).await.unwrap();
/// assert_eq!(sets.required_audit().await.unwrap()[&acme].len(), 1);
/// sets.follow_required_audit(&policy).await.unwrap();
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct PolicySets {
    pub(super) database: Database,
    pub(super) kept: Kept,
}

/// The active version of a scope, as its row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) active: i64,
    pub(super) epoch: i64,
    pub(super) activations: i64,
}

/// Where activations are announced.
const CHANNEL: &str = "policy_sets";

const COLUMNS: &str =
    "SELECT number, state, content, hash, author, time, comment FROM policy_sets WHERE scope = $1 AND number = $2";

const BEFORE: &str = "SELECT number FROM policy_set_activations WHERE scope = $1 AND number <> \
                      (SELECT active FROM policy_set_heads WHERE scope = $1) ORDER BY activation DESC LIMIT 1";

impl PolicySets {
    /// Makes the store over an open database.
    pub fn new(database: Database) -> Self {
        Self { database, kept: Kept::default() }
    }

    /// The database that they are in.
    #[cfg(feature = "admin")]
    pub(crate) const fn database(&self) -> &Database {
        &self.database
    }

    /// Saves a draft; answers its number.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn draft(
        &self,
        scope: &Scope,
        source: &SetSource,
        author: &str,
        comment: &str,
        now: Millis,
    ) -> Result<i64, SetsError> {
        let mut tx = self.database.begin().await?;
        let number = insert(&mut tx, &scope.to_string(), source, SetState::Draft, (author, comment, now)).await?;
        tx.commit().await?;
        Ok(number)
    }

    /// Checks a draft against what the program declares; answers what is worth a look.
    ///
    /// # Errors
    /// Every finding, with its place in the text; then it stays a draft.
    pub async fn validate(&self, policy: &Policy, scope: &Scope, number: i64) -> Result<Vec<Finding>, SetsError> {
        let version = self.version(scope, number).await?;
        let now = policy.clock().now();
        let warnings = match self.check(policy, scope, &version.source, now).await {
            Err(SetsError::Refused(error)) => {
                let moved = self.moved(scope, &version.source, version.time, now).await?;
                return Err(error.and(moved).into());
            }
            checked => checked?,
        };
        let mut tx = self.database.begin().await?;
        let sql = "UPDATE policy_sets SET state = 'validated' WHERE scope = $1 AND number = $2 AND state = 'draft'";
        tx.run(sql, vec![scope.to_string().into(), number.into()]).await?;
        tx.commit().await?;
        Ok(warnings)
    }

    /// Makes a validated version, or one that was active before, the active one, in place of version `expected` (0 for what a
    /// scope begins with). It is checked again; other servers follow.
    ///
    /// # Errors
    /// When it does not check, was never validated, or another version is active than was expected.
    pub async fn activate(
        &self,
        policy: &Policy,
        scope: &Scope,
        number: i64,
        expected: i64,
        actor: &str,
        now: Millis,
    ) -> Result<Revision, SetsError> {
        let version = self.version(scope, number).await?;
        if version.state == SetState::Draft {
            return Err(SetsError::Draft(number));
        }
        let manifests = self.database.row(MANIFESTS, vec![]).await?.map(|row| row.long(0)).transpose()?;
        self.check(policy, scope, &version.source, now).await?;
        let mut tx = self.database.begin().await?;
        // Locks out registrations, which look at what is active.
        if tx.row(SAME_MANIFESTS, vec![]).await?.map(|row| row.long(0)).transpose()? != manifests {
            return Err(SetsError::Moving);
        }
        let head = move_head(&mut tx, &scope.to_string(), number, Some(expected), (actor, now)).await?;
        tx.commit().await?;
        Ok(load(policy, scope, version.source, head).await?.revision)
    }

    /// Break-glass, offline: makes the version active that was before the present one, or the shipped baseline if there was none;
    /// answers the version. Servers follow.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn recover(&self, scope: &Scope, actor: &str, now: Millis) -> Result<i64, SetsError> {
        let name = scope.to_string();
        let mut tx = self.database.begin().await?;
        let before = tx.row(BEFORE, vec![name.as_str().into()]).await?.map(|row| row.long(0)).transpose()?;
        let number = if let Some(number) = before {
            number
        } else {
            let source = SetSource::default();
            insert(&mut tx, &name, &source, SetState::Validated, (actor, "the shipped baseline", now)).await?
        };
        move_head(&mut tx, &name, number, None, (actor, now)).await?;
        tx.commit().await?;
        Ok(number)
    }

    /// Begins an epoch, after a restore: no revision from now on is one that was given out before, also by what was not restored.
    /// Servers follow.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn begin_epoch(&self, now: Millis) -> Result<(), SetsError> {
        let mut tx = self.database.begin().await?;
        let sql = "UPDATE policy_set_heads SET epoch = CASE WHEN epoch < $1 THEN $1 ELSE epoch + 1 END";
        tx.run(sql, vec![now.0.into()]).await?;
        tx.announce(CHANNEL).await?;
        Ok(tx.commit().await?)
    }

    /// A version.
    ///
    /// # Errors
    /// When there is none of that number, or it was changed in the database.
    pub async fn version(&self, scope: &Scope, number: i64) -> Result<SetVersion, SetsError> {
        let row = self.database.row(COLUMNS, vec![scope.to_string().into(), number.into()]).await?;
        version(&row.ok_or(SetsError::Missing(number))?)
    }

    /// All versions of a scope, the latest first.
    ///
    /// # Errors
    /// When the database fails, or a version was changed in it.
    pub async fn history(&self, scope: &Scope) -> Result<Vec<SetVersion>, SetsError> {
        let sql = "SELECT number, state, content, hash, author, time, comment FROM policy_sets WHERE scope = $1 ORDER BY number DESC";
        self.database.rows(sql, vec![scope.to_string().into()]).await?.iter().map(version).collect()
    }

    /// The number of the active version; 0 for what a scope begins with.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn active(&self, scope: &Scope) -> Result<i64, SetsError> {
        Ok(self.head(scope).await?.map_or(0, |head| head.active))
    }

    /// The version that was active before the present one, if there was one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn before(&self, scope: &Scope) -> Result<Option<i64>, SetsError> {
        let row = self.database.row(BEFORE, vec![scope.to_string().into()]).await?;
        Ok(row.map(|row| row.long(0)).transpose()?)
    }

    /// The heads of all scopes that have an active version.
    pub(super) async fn heads(&self) -> Result<Vec<(String, Head)>, SetsError> {
        Ok(heads_of(&self.database.rows(HEADS, vec![]).await?)?)
    }

    /// What decides for a scope, and the epoch and number of its revision.
    pub(super) async fn active_set(&self, scope: &Scope) -> Result<(SetSource, (u64, u64)), SetsError> {
        match self.head(scope).await?.filter(|head| head.active > 0) {
            Some(head) => Ok((self.version(scope, head.active).await?.source, head.revision())),
            None => Ok((SetSource::default(), FIRST)),
        }
    }

    /// Hears of activations as they happen; `None` where none is announced.
    pub(super) async fn listen(&self) -> Result<Option<Listener>, DatabaseError> {
        self.database.listen(CHANNEL).await
    }

    pub(super) async fn head(&self, scope: &Scope) -> Result<Option<Head>, SetsError> {
        let sql = "SELECT active, epoch, activations FROM policy_set_heads WHERE scope = $1";
        let row = self.database.row(sql, vec![scope.to_string().into()]).await?;
        Ok(row.as_ref().map(head).transpose()?)
    }
}

impl Head {
    /// Epoch and number of the revision. What a scope begins with is number 1.
    pub(super) fn revision(self) -> (u64, u64) {
        (u64::try_from(self.epoch).unwrap_or(0), u64::try_from(self.activations).unwrap_or(0).saturating_add(1))
    }
}

/// Makes a set decide, without holding up what else this thread has to do.
pub(super) async fn load(
    policy: &Policy,
    scope: &Scope,
    source: SetSource,
    head: Head,
) -> Result<Activation, SetsError> {
    let (policy, scope) = (policy.clone(), scope.clone());
    apart(move || Ok(policy.replace_as(&scope, &source, head.revision())?)).await
}

pub(super) async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SetsError> + Send + 'static,
) -> Result<T, SetsError> {
    let ended = |_| DatabaseError::Unavailable("the process ends".into());
    tokio::task::spawn_blocking(work).await.map_err(ended)?
}

/// The heads of all scopes that have an active version.
pub(super) const HEADS: &str =
    "SELECT active, epoch, activations, scope FROM policy_set_heads WHERE active > 0 ORDER BY scope";

/// How often manifests were registered or accepted.
const MANIFESTS: &str = "SELECT changes FROM policy_manifest_changes WHERE id = 1";
const SAME_MANIFESTS: &str = "UPDATE policy_manifest_changes SET changes = changes WHERE id = 1 RETURNING changes";

/// Epoch and number of what a scope begins with.
pub(super) const FIRST: (u64, u64) = (0, 1);

pub(super) fn heads_of(rows: &[Row]) -> Result<Vec<(String, Head)>, DatabaseError> {
    rows.iter().map(|row| Ok((row.text(3)?, head(row)?))).collect()
}

fn head(row: &Row) -> Result<Head, DatabaseError> {
    Ok(Head { active: row.long(0)?, epoch: row.long(1)?, activations: row.long(2)? })
}

async fn insert(
    tx: &mut Transaction,
    scope: &str,
    source: &SetSource,
    state: SetState,
    (author, comment, now): (&str, &str, Millis),
) -> Result<i64, SetsError> {
    let make = "INSERT INTO policy_set_heads (scope, last, active, epoch, activations) VALUES ($1, 0, 0, $2, 0) ON CONFLICT (scope) DO NOTHING";
    tx.run(make, vec![scope.into(), now.0.into()]).await?;
    let row = tx
        .row("UPDATE policy_set_heads SET last = last + 1 WHERE scope = $1 RETURNING last", vec![scope.into()])
        .await?;
    let number = row.ok_or(SetsError::Missing(0))?.long(0)?;
    let content = to_json(source).to_string();
    let row: Vec<Arg> = vec![
        scope.into(),
        number.into(),
        state.as_str().into(),
        content.as_str().into(),
        hash(&content).into(),
        author.into(),
        now.0.into(),
        comment.into(),
    ];
    let sql = "INSERT INTO policy_sets (scope, number, state, content, hash, author, time, comment) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    tx.run(sql, row).await?;
    Ok(number)
}

/// Makes a version the active one. The head's row is locked from here to the commit.
async fn move_head(
    tx: &mut Transaction,
    scope: &str,
    number: i64,
    expected: Option<i64>,
    (actor, now): (&str, Millis),
) -> Result<Head, SetsError> {
    let sql = "UPDATE policy_set_heads SET activations = activations + 1 WHERE scope = $1 RETURNING active, epoch, activations";
    let before = tx.row(sql, vec![scope.into()]).await?;
    let before = head(&before.ok_or(SetsError::Missing(number))?)?;
    if let Some(expected) = expected
        && before.active != expected
    {
        return Err(SetsError::Conflict { expected, active: before.active });
    }
    let state = "UPDATE policy_sets SET state = $3 WHERE scope = $1 AND number = $2";
    tx.run(state, vec![scope.into(), before.active.into(), SetState::Superseded.as_str().into()]).await?;
    tx.run(state, vec![scope.into(), number.into(), SetState::Active.as_str().into()]).await?;
    tx.run("UPDATE policy_set_heads SET active = $2 WHERE scope = $1", vec![scope.into(), number.into()]).await?;
    let sql = "INSERT INTO policy_set_activations (scope, activation, number, actor, time) VALUES ($1, $2, $3, $4, $5)";
    tx.run(sql, vec![scope.into(), before.activations.into(), number.into(), actor.into(), now.0.into()]).await?;
    tx.announce(CHANNEL).await?;
    Ok(Head { active: number, ..before })
}

fn version(row: &Row) -> Result<SetVersion, SetsError> {
    let (number, content, stored) = (row.long(0)?, row.text(2)?, row.text(3)?);
    let changed = || SetsError::Changed(number);
    if hash(&content) != stored {
        return Err(changed());
    }
    Ok(SetVersion {
        number,
        state: SetState::parse(&row.text(1)?).ok_or_else(changed)?,
        source: serde_json::from_str(&content).ok().and_then(|v| of_json(&v)).ok_or_else(changed)?,
        hash: stored,
        author: row.text(4)?,
        time: row.long(5)?,
        comment: row.text(6)?,
    })
}
