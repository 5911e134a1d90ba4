//! Codes, grants and refresh tokens: what was given to a client on a user's behalf, and what becomes of it.
//!
//! Each is good once, and the database says who was first: a code becomes a grant in the transaction that uses it, a refresh
//! token its successor. One that comes a second time was stolen, now or then, so that its grant ends with all that came of it.

use policy_core::value::Millis;

use super::SignInError;
use super::clients::{Clients, digest, fresh_secret};
use crate::authn::Authenticated;
use crate::authn::Ways;
use crate::authn::session::going_on;
use crate::authn::token::GivenOut;
use crate::clock::Clock;
use crate::database::{Arg, Database, Row, Transaction};
use crate::id::random_id;
use crate::identity::{SessionStore as _, SqlStore, StoreError, Stored, UserStore as _};
use crate::secret::Secret;

/// How long a code is good, in seconds.
pub const CODE_S: u32 = 60;
/// How long a refresh token is good that nobody uses, in seconds.
pub const REFRESH_S: u32 = 7 * 24 * 3_600;
/// How long a grant goes on, however often it is refreshed, in seconds.
pub const GRANT_S: u32 = 30 * 24 * 3_600;

/// What a user lets a client have, before the client has come for it.
#[derive(Debug)]
pub(super) struct Leave<'a> {
    pub(super) client: &'a str,
    pub(super) user: &'a str,
    pub(super) redirect_uri: &'a str,
    pub(super) challenge: &'a str,
    pub(super) nonce: Option<&'a str>,
    pub(super) words: &'a str,
    pub(super) amr: &'a str,
    /// When the user signed in, if it was for this.
    pub(super) auth_time: Option<Millis>,
    /// The session that it is given in, with which it ends when somebody ends that.
    pub(super) session: Option<&'a str>,
    /// By what the user had come in.
    pub(super) ways: &'a Ways,
}

/// What was given to a client on a user's behalf.
///
/// ```
/// use policy_runtime::signin::Grant;
/// fn told(grant: &Grant) -> String {
///     format!("{} has `{}` since {}", grant.client, grant.words, grant.since)
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Grant {
    /// Its id, which is no secret.
    pub id: String,
    /// To which client.
    pub client: String,
    /// On whose behalf.
    pub user: String,
    /// What, in the words of `scope`.
    pub words: String,
    /// Since when.
    pub since: Millis,
    /// Until when at the latest.
    pub until: Millis,
    pub(super) amr: String,
    pub(super) auth_time: Option<Millis>,
    pub(super) ways: Ways,
}

/// Whether a word is among words of `scope`.
pub(super) fn has(words: &str, word: &str) -> bool {
    words.split(' ').any(|own| own == word)
}

/// What came of a code.
#[derive(Debug)]
pub(super) struct Exchanged {
    pub(super) grant: Grant,
    pub(super) redirect_uri: String,
    pub(super) challenge: String,
    pub(super) nonce: Option<String>,
    /// Its first refresh token, if the user lets the client go on alone.
    pub(super) refresh: Option<Secret<String>>,
}

/// What came of showing something that is good once.
#[derive(Debug)]
pub(super) enum Shown<T> {
    Good(T),
    /// It is unknown, over, or somebody else's.
    Unknown,
    /// It was used before; its grant has ended now.
    Replayed,
}

/// The grants of a deployment. Cheap to clone.
///
/// ```
/// use policy_runtime::signin::{Grants, SignInError};
///
/// /// Signs a user out of every client.
/// async fn end_all(grants: &Grants, user: &str) -> Result<usize, SignInError> {
///     let all = grants.of_user(user).await?;
///     for grant in &all {
///         grants.end(&grant.id).await?;
///     }
///     Ok(all.len())
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Grants {
    database: Database,
    clock: std::sync::Arc<dyn Clock>,
}

fn read(row: &Row) -> Result<Grant, SignInError> {
    Ok(Grant {
        id: row.text(0)?,
        client: row.text(1)?,
        user: row.text(2)?,
        words: row.text(3)?,
        since: Millis(row.long(4)?),
        until: Millis(row.long(5)?),
        amr: row.text(6)?,
        auth_time: row.maybe_long(7)?.map(Millis),
        ways: ways(row.maybe_text(8)?)?,
    })
}

fn ways(text: Option<String>) -> Result<Ways, SignInError> {
    let read = |text: String| serde_json::from_str(&text).map_err(|error| damaged(&error));
    text.map_or_else(|| Ok(Ways::default()), read)
}

fn damaged(error: &serde_json::Error) -> SignInError {
    StoreError::Unavailable(format!("what a user came in by: {error}")).into()
}

fn written(ways: &Ways) -> Result<Arg, SignInError> {
    Ok(serde_json::to_string(ways).map_err(|error| damaged(&error))?.into())
}

impl Grants {
    pub(super) const fn new(database: Database, clock: std::sync::Arc<dyn Clock>) -> Self {
        Self { database, clock }
    }

    fn after(&self, seconds: u32) -> Millis {
        Millis(self.clock.now().0.saturating_add(i64::from(seconds) * 1_000))
    }

    /// The grants of a user that go on, the oldest first.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn of_user(&self, user: &str) -> Result<Vec<Grant>, SignInError> {
        let sql = "SELECT id, client, user_id, words, since, until, amr, auth_time, ways FROM policy_grants \
                   WHERE user_id = $1 AND until > $2 ORDER BY since, id";
        self.database.rows(sql, vec![user.into(), self.clock.now().0.into()]).await?.iter().map(read).collect()
    }

    /// Ends a grant with its refresh tokens; its access tokens are refused here, and end elsewhere by their short life.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn end(&self, id: &str) -> Result<bool, SignInError> {
        let mut tx = self.database.begin().await?;
        let done = tx.run("DELETE FROM policy_grants WHERE id = $1", vec![id.into()]).await? == 1;
        tx.commit().await?;
        Ok(done)
    }

    pub(super) async fn find(&self, id: &str) -> Result<Option<Grant>, SignInError> {
        let sql = "SELECT id, client, user_id, words, since, until, amr, auth_time, ways FROM policy_grants \
                   WHERE id = $1 AND until > $2 AND client IN (SELECT id FROM policy_clients WHERE enabled = 1)";
        let row = self.database.row(sql, vec![id.into(), self.clock.now().0.into()]).await?;
        row.map(|row| read(&row)).transpose()
    }

    /// Makes a code, unless its session has ended, and forgets what has been over for long.
    pub(super) async fn offer(&self, leave: &Leave<'_>) -> Result<Option<Secret<String>>, SignInError> {
        let (code, hash) = fresh_secret("")?;
        let mut tx = self.database.begin().await?;
        if let Some(session) = leave.session {
            // Takes the row's lock, so that whoever ends it at once either is seen here or finds the code.
            let sql = "UPDATE policy_sessions SET idle_ends = idle_ends WHERE id = $1";
            if tx.run(sql, vec![session.into()]).await? == 0 {
                return Ok(None);
            }
        }
        // A used code is remembered as long as its first access token could be good.
        let now = self.clock.now().0;
        tx.run("DELETE FROM policy_codes WHERE until < $1", vec![(now - 3_600_000).into()]).await?;
        tx.run("DELETE FROM policy_grants WHERE until < $1", vec![now.into()]).await?;
        let row: Vec<Arg> = vec![
            hash.into(),
            leave.client.into(),
            leave.user.into(),
            random_id()?.into(),
            leave.redirect_uri.into(),
            leave.challenge.into(),
            leave.nonce.into(),
            leave.words.into(),
            leave.amr.into(),
            leave.auth_time.map(|at| at.0).into(),
            self.after(CODE_S).0.into(),
            leave.session.into(),
            written(leave.ways)?,
        ];
        let sql = "INSERT INTO policy_codes (hash, client, user_id, grant_id, redirect_uri, challenge, nonce, words, amr, \
                   auth_time, used, until, session, ways) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, $11, $12, $13)";
        tx.run(sql, row).await?;
        tx.commit().await?;
        Ok(Some(code))
    }

    /// Uses a code. It is used up whatever `check` says of it, and becomes a grant only if that says yes.
    pub(super) async fn exchange(
        &self,
        client: &str,
        code: &str,
        check: impl FnOnce(&Exchanged) -> bool,
    ) -> Result<Shown<Exchanged>, SignInError> {
        let (hash, now) = (digest(code), self.clock.now());
        let mut tx = self.database.begin().await?;
        // Locks are taken from the user down, as by whoever removes the user, so that neither waits for the other in a circle.
        let sql = "UPDATE policy_users SET epoch = epoch WHERE id IN \
                   (SELECT user_id FROM policy_codes WHERE hash = $1 AND client = $2)";
        tx.run(sql, vec![hash.as_str().into(), client.into()]).await?;
        // Whoever changes the row was first.
        let sql = "UPDATE policy_codes SET used = 1 WHERE hash = $1 AND client = $2 AND used = 0 AND until > $3 \
                   RETURNING grant_id, user_id, words, amr, auth_time, redirect_uri, challenge, nonce, session, ways";
        let args = vec![hash.as_str().into(), client.into(), now.0.into()];
        let Some(row) = tx.row(sql, args).await? else {
            let sql = "DELETE FROM policy_grants WHERE client = $2 AND id IN \
                       (SELECT grant_id FROM policy_codes WHERE hash = $1 AND used = 1)";
            let ended = tx.run(sql, vec![hash.into(), client.into()]).await?;
            tx.commit().await?;
            return Ok(if ended > 0 { Shown::Replayed } else { Shown::Unknown });
        };
        let mut found = Exchanged {
            grant: Grant {
                id: row.text(0)?,
                client: client.to_owned(),
                user: row.text(1)?,
                words: row.text(2)?,
                since: now,
                until: self.after(GRANT_S),
                amr: row.text(3)?,
                auth_time: row.maybe_long(4)?.map(Millis),
                ways: ways(row.maybe_text(9)?)?,
            },
            redirect_uri: row.text(5)?,
            challenge: row.text(6)?,
            nonce: row.maybe_text(7)?,
            refresh: None,
        };
        let is_good = check(&found);
        if is_good {
            insert(&mut tx, &found.grant, row.maybe_text(8)?).await?;
            if has(&found.grant.words, "offline_access") {
                found.refresh = Some(self.add_refresh(&mut tx, &found.grant).await?);
            }
        }
        tx.commit().await?;
        Ok(if is_good { Shown::Good(found) } else { Shown::Unknown })
    }

    async fn add_refresh(&self, tx: &mut Transaction, grant: &Grant) -> Result<Secret<String>, SignInError> {
        let (token, hash) = fresh_secret("rt_")?;
        let until = self.after(REFRESH_S).min(grant.until);
        let sql = "INSERT INTO policy_refresh_tokens (hash, grant_id, used, until) VALUES ($1, $2, 0, $3)";
        tx.run(sql, vec![hash.into(), grant.id.as_str().into(), until.0.into()]).await?;
        Ok(token)
    }

    /// Uses a refresh token, and gives its successor. What `check` refuses uses nothing up, since the client may ask again.
    pub(super) async fn refresh(
        &self,
        client: &str,
        token: &str,
        check: impl FnOnce(&Grant) -> bool,
    ) -> Result<Shown<(Grant, Secret<String>)>, SignInError> {
        let (hash, now) = (digest(token), self.clock.now().0);
        let mut tx = self.database.begin().await?;
        // The grant's lock first, as by whoever ends it: it goes on until this is done, or has ended before.
        let sql = "UPDATE policy_grants SET until = until WHERE client = $2 AND id IN \
                   (SELECT grant_id FROM policy_refresh_tokens WHERE hash = $1)";
        tx.run(sql, vec![hash.as_str().into(), client.into()]).await?;
        let sql = "UPDATE policy_refresh_tokens SET used = 1 WHERE hash = $1 AND used = 0 AND until > $2 AND grant_id IN \
                   (SELECT id FROM policy_grants WHERE client = $3 AND until > $2) RETURNING grant_id";
        let args = vec![hash.as_str().into(), now.into(), client.into()];
        let Some(row) = tx.row(sql, args).await? else {
            let sql = "DELETE FROM policy_grants WHERE client = $2 AND id IN \
                       (SELECT grant_id FROM policy_refresh_tokens WHERE hash = $1 AND used = 1)";
            let ended = tx.run(sql, vec![hash.into(), client.into()]).await?;
            tx.commit().await?;
            return Ok(if ended > 0 { Shown::Replayed } else { Shown::Unknown });
        };
        let sql =
            "SELECT id, client, user_id, words, since, until, amr, auth_time, ways FROM policy_grants WHERE id = $1";
        let Some(grant) = tx.row(sql, vec![row.text(0)?.into()]).await? else { return Ok(Shown::Unknown) };
        let grant = read(&grant)?;
        if !check(&grant) {
            return Ok(Shown::Unknown);
        }
        let next = self.add_refresh(&mut tx, &grant).await?;
        tx.commit().await?;
        Ok(Shown::Good((grant, next)))
    }

    /// The grant of a refresh token that was not used yet, and until when that is good.
    pub(super) async fn of_refresh(&self, token: &str) -> Result<Option<(Grant, Millis)>, SignInError> {
        let sql = "SELECT g.id, g.client, g.user_id, g.words, g.since, g.until, g.amr, g.auth_time, g.ways, r.until \
                   FROM policy_refresh_tokens r JOIN policy_grants g ON g.id = r.grant_id \
                   WHERE r.hash = $1 AND r.used = 0 AND r.until > $2 AND g.until > $2";
        let row = self.database.row(sql, vec![digest(token).into(), self.clock.now().0.into()]).await?;
        row.map(|row| Ok((read(&row)?, Millis(row.long(9)?)))).transpose()
    }

    /// Ends the grant that a refresh token, used or not, came of, if it is the client's.
    pub(super) async fn end_by_refresh(&self, client: &str, token: &str) -> Result<bool, SignInError> {
        let mut tx = self.database.begin().await?;
        let sql = "DELETE FROM policy_grants WHERE client = $2 AND id IN \
                   (SELECT grant_id FROM policy_refresh_tokens WHERE hash = $1)";
        let done = tx.run(sql, vec![digest(token).into(), client.into()]).await? == 1;
        tx.commit().await?;
        Ok(done)
    }
}

async fn insert(tx: &mut Transaction, grant: &Grant, session: Option<String>) -> Result<(), SignInError> {
    let row: Vec<Arg> = vec![
        grant.id.as_str().into(),
        grant.client.as_str().into(),
        grant.user.as_str().into(),
        grant.words.as_str().into(),
        grant.since.0.into(),
        grant.until.0.into(),
        grant.amr.as_str().into(),
        grant.auth_time.map(|at| at.0).into(),
        session.into(),
        written(&grant.ways)?,
    ];
    let sql = "INSERT INTO policy_grants (id, client, user_id, words, since, until, amr, auth_time, session, ways) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    tx.run(sql, row).await?;
    Ok(())
}

/// What tokens are asked about when they come back.
#[derive(Debug)]
pub(super) struct Records {
    pub(super) clients: Clients,
    pub(super) grants: Grants,
    pub(super) sql: SqlStore,
}

fn unavailable(error: &SignInError) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

impl GivenOut for Records {
    fn is_live<'a>(&'a self, grant: &'a str) -> Stored<'a, bool> {
        Box::pin(async move {
            let grant = self.grants.find(grant).await.map_err(|error| unavailable(&error))?;
            Ok(grant.is_some())
        })
    }

    fn client<'a>(&'a self, id: &'a str) -> Stored<'a, Option<policy_core::Participant>> {
        Box::pin(async move {
            let client = self.clients.find(id).await.map_err(|error| unavailable(&error))?;
            let client =
                client.filter(|client| client.enabled && client.settings.for_itself && client.is_confidential());
            Ok(client.map(|client| client.participant()))
        })
    }

    fn session<'a>(&'a self, user: &'a str, id: &'a str) -> Stored<'a, Option<Authenticated>> {
        Box::pin(async move {
            let Some(user) = self.sql.user(user).await? else { return Ok(None) };
            let all = self.sql.sessions_of(&user.id).await?;
            let session = all.iter().find(|session| session.id == id);
            Ok(session.and_then(|session| going_on(session, &user, self.grants.clock.now())))
        })
    }
}
