//! The ways in which one user signs in: a password, and identities at providers.

use super::users::{insert_identity, out_in};
use super::{SqlStore, announce_end};
use crate::database::Row;
use crate::identity::{ExternalIdentity, StoreError, User};

/// What came of giving a user an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Linked {
    Done,
    /// It is somebody's already.
    Taken,
    /// The session is over.
    Ended,
}

/// What came of taking an identity away from a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unlinked {
    Done,
    /// The user has none such.
    Unknown,
    /// Afterwards the user could not sign in.
    Last,
}

const OF_USER: &str = "SELECT configuration, issuer, machine, number, subject FROM policy_identities \
                       WHERE user_id = $1 ORDER BY configuration, subject";

fn identities(rows: &[Row]) -> Result<Vec<ExternalIdentity>, StoreError> {
    let one = |row: &Row| {
        Ok(ExternalIdentity {
            configuration: row.text(0)?,
            issuer: row.text(1)?,
            machine: row.bool(2)?,
            number: row.bool(3)?,
            subject: row.text(4)?,
        })
    };
    rows.iter().map(one).collect()
}

impl SqlStore {
    /// The identities of a user.
    pub(crate) async fn identities_of(&self, user: &str) -> Result<Vec<ExternalIdentity>, StoreError> {
        identities(&self.database.rows(OF_USER, vec![user.into()]).await?)
    }

    /// Gives a user one identity more, while the session goes on in which they asked for it.
    pub(crate) async fn link_identity(
        &self,
        user: &User,
        session: &str,
        identity: &ExternalIdentity,
    ) -> Result<Linked, StoreError> {
        let mut tx = self.database.begin().await?;
        // Takes the row's lock, so that whoever ends it at once comes before, or after the identity is there to be seen.
        let sql = "UPDATE policy_sessions SET idle_ends = idle_ends WHERE id = $1 AND user_id = $2";
        if tx.run(sql, vec![session.into(), user.id.as_str().into()]).await? == 0 {
            return Ok(Linked::Ended);
        }
        if !insert_identity(&mut tx, &user.scope, &user.id, identity).await? {
            return Ok(Linked::Taken);
        }
        tx.commit().await?;
        Ok(Linked::Done)
    }

    /// Takes an identity away, unless the user could not sign in by anything else; `counts` says by which identities people sign
    /// in, `by_password` whether by passwords. Whatever the user has opened ends: it may be what the identity opened.
    pub(crate) async fn unlink_identity(
        &self,
        user: &str,
        (configuration, subject): (&str, &str),
        by_password: bool,
        counts: impl Fn(&ExternalIdentity) -> bool + Send + Sync,
    ) -> Result<Unlinked, StoreError> {
        let mut tx = self.database.begin().await?;
        // Takes the user's lock first, so that of two at once the second finds what the first has left.
        let (concerned, epoch) = out_in(&mut tx, user).await?;
        let all = identities(&tx.rows(OF_USER, vec![user.into()]).await?)?;
        let is_meant = |own: &ExternalIdentity| own.configuration == configuration && own.subject == subject;
        if !all.iter().any(is_meant) {
            return Ok(Unlinked::Unknown);
        }
        let sql = "SELECT 1 FROM policy_passwords WHERE user_id = $1";
        let has_password = by_password && tx.row(sql, vec![user.into()]).await?.is_some();
        if !has_password && !all.iter().any(|own| !is_meant(own) && counts(own)) {
            return Ok(Unlinked::Last);
        }
        let sql = "DELETE FROM policy_identities WHERE user_id = $1 AND configuration = $2 AND subject = $3";
        tx.run(sql, vec![user.into(), configuration.into(), subject.into()]).await?;
        announce_end(tx, &concerned, epoch).await?;
        Ok(Unlinked::Done)
    }
}
