//! The store in a database: SQLite or PostgreSQL, the same statements for both.
//!
//! Every change is one transaction. It writes the rows it changes first and the one row of `policy_deployment` last, so
//! that changes are numbered in the order in which they become visible and no two of them wait for each other in a circle.

use std::sync::Arc;

use policy_core::Scope;

use super::{Changes, NewUser, Organization, PasswordRules, StoreError, User, encode};
use crate::database::{Arg, Database, DatabaseError, Transaction};
use crate::id::random_id;
use crate::seal::SealingKeys;

mod directory;
mod factors;
#[cfg(feature = "signin")]
pub(super) mod identities;
mod keys;
#[cfg(feature = "signin")]
pub(super) mod links;
mod once;
mod personal;
mod providers;
mod rules;
mod sessions;
mod users;

/// How many changes are remembered one by one.
const REMEMBERED: i64 = 10_000;

/// Organizations, applications, users, keys and configurations in a database.
///
/// ```
/// # #[cfg(feature = "sqlite")]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use policy_core::Scope;
/// use policy_runtime::database::{Database, DatabaseAddress};
/// use policy_runtime::identity::{Directory, NewUser, SqlStore};
/// use policy_runtime::seal::SealingKeys;
/// use policy_runtime::secret::Secret;
/// let database = Database::open(&DatabaseAddress::Memory).await.unwrap();
/// let store = SqlStore::new(database).sealing(SealingKeys::new(&Secret::new([1; 32])));
/// store.add_organization("acme").await.unwrap();
/// let acme = Scope::organization("acme").unwrap();
/// let alice = store.add_user(NewUser::new(acme, "alice@example.com").role("admin")).await.unwrap();
/// assert!(alice.roles.contains("admin"));
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct SqlStore {
    database: Database,
    sealing: Option<Arc<SealingKeys>>,
}

impl SqlStore {
    /// Makes the store over an open database; without sealing keys it keeps no secret that must be read again.
    pub const fn new(database: Database) -> Self {
        Self { database, sealing: None }
    }

    /// Takes the keys under which secrets are sealed.
    #[must_use]
    pub fn sealing(mut self, keys: SealingKeys) -> Self {
        self.sealing = Some(Arc::new(keys));
        self
    }

    /// The database.
    pub const fn database(&self) -> &Database {
        &self.database
    }

    /// The keys under which secrets are sealed.
    #[cfg(feature = "signin")]
    pub(crate) fn sealing_keys(&self) -> Option<&Arc<SealingKeys>> {
        self.sealing.as_ref()
    }

    async fn add_organization(&self, id: &str) -> Result<(), StoreError> {
        let mut tx = self.database.begin().await?;
        insert_organization(&mut tx, id).await?;
        Ok(tx.commit().await?)
    }

    async fn found_organization(&self, id: &str, founder: &NewUser) -> Result<User, StoreError> {
        founder.must_be_in(id)?;
        let mut tx = self.database.begin().await?;
        insert_organization(&mut tx, id).await?;
        let user = users::insert_in(&mut tx, founder).await?;
        tx.commit().await?;
        Ok(user)
    }

    async fn organizations(&self) -> Result<Vec<Organization>, StoreError> {
        let rows = self.database.rows("SELECT id, suspended FROM policy_organizations", vec![]).await?;
        let mut all = Vec::with_capacity(rows.len());
        for row in rows {
            all.push(Organization::new(slug(&row.text(0)?)?, row.bool(1)?));
        }
        all.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(all)
    }

    async fn set_suspended(&self, id: &str, suspended: bool) -> Result<(), StoreError> {
        let mut tx = self.database.begin().await?;
        let sql = "UPDATE policy_organizations SET suspended = $2 WHERE id = $1";
        if tx.run(sql, vec![id.into(), suspended.into()]).await? == 0 {
            return Err(missing("organization", id));
        }
        let sql = "UPDATE policy_users SET epoch = epoch + 1 WHERE organization = $1 RETURNING id";
        let mut concerned = texts(&tx.rows(sql, vec![id.into()]).await?)?;
        let sql = "UPDATE policy_api_keys SET epoch = epoch + 1 WHERE organization = $1 RETURNING participant";
        concerned.extend(texts(&tx.rows(sql, vec![id.into()]).await?)?);
        announce(tx, &concerned).await
    }

    async fn add_application(&self, organization: &str, id: &str) -> Result<(), StoreError> {
        let (organization, id) = (slug(organization)?, slug(id)?);
        let mut tx = self.database.begin().await?;
        let sql = "INSERT INTO policy_applications (id, organization) VALUES ($1, $2)";
        let done = tx.run(sql, vec![id.as_str().into(), organization.as_str().into()]).await;
        done.map_err(|error| {
            if error == DatabaseError::Reference {
                missing("organization", organization.as_str())
            } else {
                named(error, "application", id.as_str())
            }
        })?;
        Ok(tx.commit().await?)
    }

    async fn applications(&self, organization: &str) -> Result<Vec<policy_core::Slug>, StoreError> {
        let sql = "SELECT id FROM policy_applications WHERE organization = $1";
        let rows = self.database.rows(sql, vec![organization.into()]).await?;
        let mut ids = texts(&rows)?.iter().map(|id| slug(id)).collect::<Result<Vec<_>, _>>()?;
        ids.sort();
        Ok(ids)
    }

    async fn scopes(&self) -> Result<Vec<Scope>, StoreError> {
        let sql = "SELECT 'org:' || id FROM policy_organizations UNION ALL \
                   SELECT 'app:' || organization || '/' || id FROM policy_applications";
        texts(&self.database.rows(sql, vec![]).await?)?.iter().map(|scope| encode::scope(scope)).collect()
    }

    async fn set_methods(
        &self,
        scope: &Scope,
        methods: Option<&std::collections::BTreeSet<String>>,
    ) -> Result<(), StoreError> {
        let mut tx = self.database.begin().await?;
        require(&mut tx, scope).await?;
        let at = Arg::from(scope.to_string());
        tx.run("DELETE FROM policy_scope_methods WHERE scope = $1", vec![at.clone()]).await?;
        if let Some(methods) = methods {
            let sql = "INSERT INTO policy_scope_methods (scope, methods) VALUES ($1, $2)";
            tx.run(sql, vec![at, encode::from_set(methods).into()]).await?;
        }
        announce(tx, &[]).await
    }

    async fn methods(&self) -> Result<Vec<(Scope, std::collections::BTreeSet<String>)>, StoreError> {
        let rows = self.database.rows("SELECT scope, methods FROM policy_scope_methods", vec![]).await?;
        let mut all = Vec::with_capacity(rows.len());
        for row in rows {
            all.push((encode::scope(&row.text(0)?)?, encode::set(&row.text(1)?)?));
        }
        all.sort();
        Ok(all)
    }

    async fn write_password_rules(&self, scope: &Scope, rules: Option<&PasswordRules>) -> Result<(), StoreError> {
        rules.map_or(Ok(()), PasswordRules::check)?;
        let mut tx = self.database.begin().await?;
        require(&mut tx, scope).await?;
        let at = Arg::from(scope.to_string());
        tx.run("DELETE FROM policy_scope_passwords WHERE scope = $1", vec![at.clone()]).await?;
        if let Some(rules) = rules {
            let sql = "INSERT INTO policy_scope_passwords (scope, rules) VALUES ($1, $2)";
            tx.run(sql, vec![at, encode::from_rules(rules)?.into()]).await?;
        }
        Ok(tx.commit().await?)
    }

    async fn read_password_rules(&self, scope: &Scope) -> Result<Option<PasswordRules>, StoreError> {
        let sql = "SELECT rules FROM policy_scope_passwords WHERE scope = $1";
        let row = self.database.row(sql, vec![scope.to_string().into()]).await?;
        row.map(|row| encode::rules(&row.text(0)?)).transpose()
    }

    async fn changed_since(&self, number: Option<u64>) -> Result<Changes, StoreError> {
        let row = self.database.row("SELECT changes FROM policy_deployment WHERE id = 1", vec![]).await?;
        let latest = row.map(|row| row.long(0)).transpose()?.unwrap_or(0);
        let mut changes = Changes { number: u64::try_from(latest).unwrap_or(0), ..Changes::default() };
        let Some(number) = number else { return Ok(changes) };
        let asked = i64::try_from(number).unwrap_or(i64::MAX);
        // An older state came back, or what came between is no longer remembered.
        if asked > latest || latest - asked >= REMEMBERED {
            changes.everybody = true;
            return Ok(changes);
        }
        let sql = "SELECT participant, ends FROM policy_changes WHERE number > $1 AND number <= $2 ORDER BY number";
        for row in self.database.rows(sql, vec![asked.into(), latest.into()]).await? {
            let (participant, ends) = (row.text(0)?, u64::try_from(row.long(1)?).unwrap_or(0));
            if ends > 0 {
                changes.ended.insert(participant.clone(), ends);
            }
            changes.participants.insert(participant);
        }
        Ok(changes)
    }
}

/// Numbers a change, notes whom it concerns, and keeps the transaction.
async fn announce(tx: Transaction, participants: &[String]) -> Result<(), StoreError> {
    announce_end(tx, participants, 0).await
}

/// As [`announce`]; what a participant opened before this epoch of theirs ends.
async fn announce_end(mut tx: Transaction, participants: &[String], ends: i64) -> Result<(), StoreError> {
    let sql = "UPDATE policy_deployment SET changes = changes + 1 WHERE id = 1 RETURNING changes";
    let row =
        tx.row(sql, vec![]).await?.ok_or_else(|| StoreError::Unavailable("the deployment's row is gone".into()))?;
    let number = row.long(0)?;
    for participant in participants {
        let sql = "INSERT INTO policy_changes (number, participant, ends) VALUES ($1, $2, $3)";
        tx.run(sql, vec![number.into(), participant.as_str().into(), ends.into()]).await?;
    }
    tx.run("DELETE FROM policy_changes WHERE number <= $1", vec![(number - REMEMBERED).into()]).await?;
    Ok(tx.commit().await?)
}

async fn insert_organization(tx: &mut Transaction, id: &str) -> Result<(), StoreError> {
    let id = slug(id)?;
    let sql = "INSERT INTO policy_organizations (id, suspended) VALUES ($1, 0)";
    tx.run(sql, vec![id.as_str().into()]).await.map_err(|e| named(e, "organization", id.as_str()))?;
    Ok(())
}

/// Checks that a scope is there, and holds it until the transaction ends.
async fn require(tx: &mut Transaction, scope: &Scope) -> Result<(), StoreError> {
    let found = match scope {
        Scope::System => return Ok(()),
        Scope::Organization(id) => {
            tx.row("SELECT id FROM policy_organizations WHERE id = $1", vec![id.as_str().into()]).await?
        }
        Scope::Application { organization, application } => {
            let sql = "SELECT id FROM policy_applications WHERE id = $1 AND organization = $2";
            tx.row(sql, vec![application.as_str().into(), organization.as_str().into()]).await?
        }
    };
    found.map(|_| ()).ok_or_else(|| missing("scope", &scope.to_string()))
}

fn organization_of(scope: &Scope) -> Arg {
    scope.organization_id().map(policy_core::Slug::as_str).into()
}

fn texts(rows: &[crate::database::Row]) -> Result<Vec<String>, StoreError> {
    rows.iter().map(|row| Ok(row.text(0)?)).collect()
}

fn slug(id: &str) -> Result<policy_core::Slug, StoreError> {
    policy_core::Slug::new(id).map_err(|error| StoreError::Invalid(error.to_string()))
}

fn missing(what: &'static str, name: &str) -> StoreError {
    StoreError::Missing { what, name: name.to_owned() }
}

/// Names what a row that is there already is.
fn named(error: DatabaseError, what: &'static str, name: &str) -> StoreError {
    if error == DatabaseError::Exists { StoreError::Exists { what, name: name.to_owned() } } else { error.into() }
}

fn new_id(prefix: &str) -> Result<String, StoreError> {
    Ok(format!("{prefix}{}", random_id().map_err(|error| StoreError::Unavailable(error.to_string()))?))
}

impl From<DatabaseError> for StoreError {
    fn from(error: DatabaseError) -> Self {
        Self::Unavailable(error.to_string())
    }
}
