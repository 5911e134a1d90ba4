//! Sessions of browsers.

use std::collections::{BTreeMap, BTreeSet};

use policy_core::value::Millis;
use policy_core::{Scope, Slug};
use serde::{Deserialize, Serialize};

use super::{SqlStore, announce, encode, missing, slug, texts};
use crate::database::{Arg, Row, Transaction};
use crate::identity::{
    Added, EndOf, SessionRecord, SessionStore, SignInRules, StoreError, Stored, User, UserStore as _,
};

/// What a sign-in added, as it is stored.
#[derive(Serialize, Deserialize)]
struct Written {
    auth_type: String,
    mfa: bool,
    subject: Option<String>,
    display_name: Option<String>,
    tenant: Option<String>,
    roles: Vec<String>,
    attributes: String,
    #[serde(default)]
    providers: BTreeSet<String>,
}

fn written(added: &Added) -> Result<String, StoreError> {
    let written = Written {
        auth_type: added.auth_type.clone(),
        mfa: added.mfa,
        subject: added.subject.clone(),
        display_name: added.display_name.clone(),
        tenant: added.tenant.clone(),
        roles: added.roles.clone(),
        attributes: encode::from_attributes(&added.attributes),
        providers: added.providers.clone(),
    };
    serde_json::to_string(&written).map_err(|error| StoreError::Invalid(error.to_string()))
}

fn read(row: &Row) -> Result<SessionRecord, StoreError> {
    let damaged = |error: serde_json::Error| StoreError::Unavailable(format!("a stored session: {error}"));
    let added: Written = serde_json::from_str(&row.text(4)?).map_err(damaged)?;
    Ok(SessionRecord {
        id: row.text(0)?,
        user: row.text(1)?,
        method: row.text(2)?,
        amr: row.text(3)?.split_whitespace().map(str::to_owned).collect(),
        added: Added {
            auth_type: added.auth_type,
            mfa: added.mfa,
            subject: added.subject,
            display_name: added.display_name,
            tenant: added.tenant,
            roles: added.roles,
            attributes: encode::attributes(&added.attributes)?,
            providers: added.providers,
        },
        epoch: u64::try_from(row.long(5)?).unwrap_or(0),
        since: Millis(row.long(6)?),
        ends: Millis(row.long(7)?),
        idle_ends: Millis(row.long(8)?),
    })
}

macro_rules! sessions_where {
    ($condition:literal) => {
        concat!(
            "SELECT id, user_id, method, amr, added, epoch, since, ends, idle_ends FROM policy_sessions WHERE ",
            $condition
        )
    };
}

/// Ends what was given in sessions that somebody has ended, to users of other applications too: whoever signs out does not go on
/// elsewhere. The sessions are deleted before, and codes before grants, so that what is given at once is found: a code needs its
/// session, and a grant its code.
pub(super) async fn given_in(tx: &mut Transaction, sessions: &[String]) -> Result<(), StoreError> {
    for id in sessions {
        for sql in ["DELETE FROM policy_codes WHERE session = $1", "DELETE FROM policy_grants WHERE session = $1"] {
            tx.run(sql, vec![id.as_str().into()]).await?;
        }
    }
    Ok(())
}

impl SqlStore {
    async fn add_session(&self, hash: &str, new: &SessionRecord, most: usize) -> Result<bool, StoreError> {
        let mut tx = self.database.begin().await?;
        let epoch = i64::try_from(new.epoch).unwrap_or(i64::MAX);
        // Takes the row's lock, so that a change at once either is seen here or finds the session.
        let sql = "UPDATE policy_users SET epoch = epoch WHERE id = $1 AND epoch = $2";
        if tx.run(sql, vec![new.user.as_str().into(), epoch.into()]).await? == 0 {
            return Ok(false);
        }
        let row: Vec<Arg> = vec![
            hash.into(),
            new.id.as_str().into(),
            new.user.as_str().into(),
            new.method.as_str().into(),
            new.amr.join(" ").into(),
            written(&new.added)?.into(),
            epoch.into(),
            new.since.0.into(),
            new.ends.0.into(),
            new.idle_ends.0.into(),
        ];
        let sql = "INSERT INTO policy_sessions (hash, id, user_id, method, amr, added, epoch, since, ends, idle_ends) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
        tx.run(sql, row).await?;
        let sql = "DELETE FROM policy_sessions WHERE user_id = $1 AND id NOT IN \
                   (SELECT id FROM policy_sessions WHERE user_id = $1 ORDER BY since DESC, id LIMIT $2) RETURNING id";
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let ended = texts(&tx.rows(sql, vec![new.user.as_str().into(), most.into()]).await?)?;
        if ended.is_empty() {
            tx.commit().await?;
        } else {
            announce(tx, &ended).await?;
        }
        Ok(true)
    }

    async fn remove_sessions(&self, which: EndOf<'_>) -> Result<Vec<String>, StoreError> {
        let (sql, args): (_, Vec<Arg>) = match which {
            EndOf::Hash(hash) => ("DELETE FROM policy_sessions WHERE hash = $1 RETURNING id", vec![hash.into()]),
            EndOf::Session(id) => ("DELETE FROM policy_sessions WHERE id = $1 RETURNING id", vec![id.into()]),
            EndOf::Own(user, id) => {
                let sql = "DELETE FROM policy_sessions WHERE user_id = $1 AND id = $2 RETURNING id";
                (sql, vec![user.into(), id.into()])
            }
            EndOf::User(id) => ("DELETE FROM policy_sessions WHERE user_id = $1 RETURNING id", vec![id.into()]),
            EndOf::Over(now) => {
                // Often asked for, and mostly in vain; only a transaction keeps other writers waiting.
                let any = sessions_where!("idle_ends <= $1 OR ends <= $1 LIMIT 1");
                if self.database.row(any, vec![now.0.into()]).await?.is_none() {
                    return Ok(Vec::new());
                }
                let sql = "DELETE FROM policy_sessions WHERE idle_ends <= $1 OR ends <= $1 RETURNING id";
                (sql, vec![now.0.into()])
            }
        };
        let mut tx = self.database.begin().await?;
        let ended = texts(&tx.rows(sql, args).await?)?;
        if ended.is_empty() {
            return Ok(ended);
        }
        if !matches!(which, EndOf::Over(_)) {
            given_in(&mut tx, &ended).await?;
        }
        announce(tx, &ended).await?;
        Ok(ended)
    }

    async fn shared(&self, organization: &str) -> Result<BTreeSet<Slug>, StoreError> {
        let sql = "SELECT application FROM policy_shared_sessions WHERE organization = $1";
        texts(&self.database.rows(sql, vec![organization.into()]).await?)?.iter().map(|id| slug(id)).collect()
    }

    async fn share(&self, organization: &str, applications: &BTreeSet<Slug>) -> Result<(), StoreError> {
        let mut tx = self.database.begin().await?;
        tx.run("DELETE FROM policy_shared_sessions WHERE organization = $1", vec![organization.into()]).await?;
        for id in applications {
            // None of another organization's.
            let sql = "INSERT INTO policy_shared_sessions (application, organization) \
                       SELECT id, organization FROM policy_applications WHERE id = $1 AND organization = $2";
            if tx.run(sql, vec![id.as_str().into(), organization.into()]).await? == 0 {
                return Err(missing("application", id.as_str()));
            }
        }
        Ok(tx.commit().await?)
    }

    async fn touch_session(&self, id: &str, idle_ends: Millis) -> Result<(), StoreError> {
        let mut tx = self.database.begin().await?;
        let sql = "UPDATE policy_sessions SET idle_ends = $2 WHERE id = $1 AND idle_ends < $2";
        tx.run(sql, vec![id.into(), idle_ends.0.into()]).await?;
        Ok(tx.commit().await?)
    }
}

impl SessionStore for SqlStore {
    fn open_session<'a>(&'a self, hash: &'a str, session: &'a SessionRecord, most: usize) -> Stored<'a, bool> {
        Box::pin(self.add_session(hash, session, most))
    }

    fn session<'a>(&'a self, hash: &'a str) -> Stored<'a, Option<(SessionRecord, User)>> {
        Box::pin(async move {
            let row = self.database.row(sessions_where!("hash = $1"), vec![hash.into()]).await?;
            let Some(session) = row.map(|row| read(&row)).transpose()? else { return Ok(None) };
            Ok(self.user(&session.user).await?.map(|user| (session, user)))
        })
    }

    fn keep_session<'a>(&'a self, id: &'a str, idle_ends: Millis) -> Stored<'a, ()> {
        Box::pin(self.touch_session(id, idle_ends))
    }

    fn end_sessions<'a>(&'a self, which: EndOf<'a>) -> Stored<'a, Vec<String>> {
        Box::pin(self.remove_sessions(which))
    }

    fn shared_in<'a>(&'a self, organization: &'a str) -> Stored<'a, BTreeSet<Slug>> {
        Box::pin(self.shared(organization))
    }

    fn share_in<'a>(&'a self, organization: &'a str, applications: &'a BTreeSet<Slug>) -> Stored<'a, ()> {
        Box::pin(self.share(organization, applications))
    }

    fn sign_in_rules(&self) -> Stored<'_, BTreeMap<Scope, SignInRules>> {
        Box::pin(self.all_rules())
    }

    fn set_sign_in_rules<'a>(&'a self, scope: &'a Scope, rules: &'a SignInRules) -> Stored<'a, ()> {
        Box::pin(self.write_rules(scope, rules))
    }

    fn sessions_of<'a>(&'a self, user: &'a str) -> Stored<'a, Vec<SessionRecord>> {
        Box::pin(async move {
            let sql = sessions_where!("user_id = $1 ORDER BY since DESC, id");
            self.database.rows(sql, vec![user.into()]).await?.iter().map(read).collect()
        })
    }
}
