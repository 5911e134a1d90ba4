//! What is good once: invitations, single-use tokens, the bootstrap of a deployment.

use policy_core::Scope;
use policy_core::value::Millis;

use super::users::{bind_in, insert_in};
use super::{SqlStore, announce, encode, missing, new_id, texts};
use crate::identity::{ExternalIdentity, NewUser, StoreError, User};

impl SqlStore {
    pub(super) async fn write_invitation(&self, user: &str, hash: &[u8; 32], until: Millis) -> Result<(), StoreError> {
        let mut tx = self.database.begin().await?;
        if tx.row("SELECT id FROM policy_users WHERE id = $1", vec![user.into()]).await?.is_none() {
            return Err(missing("user", user));
        }
        if tx.row("SELECT user_id FROM policy_identities WHERE user_id = $1", vec![user.into()]).await?.is_some() {
            return Err(StoreError::Exists { what: "identity of user", name: user.to_owned() });
        }
        tx.run("DELETE FROM policy_invitations WHERE user_id = $1", vec![user.into()]).await?;
        let sql = "INSERT INTO policy_invitations (hash, user_id, until) VALUES ($1, $2, $3)";
        tx.run(sql, vec![encode::hex(hash).into(), user.into(), until.0.into()]).await?;
        Ok(tx.commit().await?)
    }

    pub(super) async fn accept_invitation(
        &self,
        scope: &Scope,
        hash: &[u8; 32],
        identity: &ExternalIdentity,
        now: Millis,
    ) -> Result<Option<User>, StoreError> {
        let mut tx = self.database.begin().await?;
        // Whoever deletes the row has used it.
        let sql = "DELETE FROM policy_invitations WHERE hash = $1 AND until > $2 \
                   AND user_id IN (SELECT id FROM policy_users WHERE scope = $3) RETURNING user_id";
        let args = vec![encode::hex(hash).into(), now.0.into(), scope.to_string().into()];
        let Some(row) = tx.row(sql, args).await? else { return Ok(None) };
        let id = row.text(0)?;
        // If the identity is somebody's, nothing is kept, the use of the invitation neither.
        let Some(user) = bind_in(&mut tx, scope, &id, identity).await? else { return Ok(None) };
        announce(tx, &[id]).await?;
        Ok(Some(user))
    }

    pub(super) async fn note_use(&self, id: &str, until: Millis, now: Millis) -> Result<bool, StoreError> {
        let mut tx = self.database.begin().await?;
        tx.run("DELETE FROM policy_used_tokens WHERE until < $1", vec![now.0.into()]).await?;
        let sql = "INSERT INTO policy_used_tokens (id, until) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        let first = tx.run(sql, vec![id.into(), until.0.into()]).await? == 1;
        tx.commit().await?;
        Ok(first)
    }

    pub(super) async fn read_epoch(&self) -> Result<String, StoreError> {
        let row = self.database.row("SELECT epoch FROM policy_deployment WHERE id = 1", vec![]).await?;
        Ok(row.ok_or_else(|| missing("row of the deployment", "1"))?.text(0)?)
    }

    pub(super) async fn write_epoch(&self) -> Result<String, StoreError> {
        let epoch = new_id("")?;
        let mut tx = self.database.begin().await?;
        tx.run("DELETE FROM policy_used_tokens", vec![]).await?;
        tx.run("DELETE FROM policy_invitations", vec![]).await?;
        for sql in [
            "DELETE FROM policy_links",
            "DELETE FROM policy_requests",
            "DELETE FROM policy_signing_keys",
            "DELETE FROM policy_codes",
            "DELETE FROM policy_grants",
        ] {
            tx.run(sql, vec![]).await?;
        }
        let everybody = tx.rows("UPDATE policy_users SET epoch = epoch + 1 RETURNING id", vec![]).await?;
        tx.run("UPDATE policy_deployment SET epoch = $1 WHERE id = 1", vec![epoch.as_str().into()]).await?;
        let sessions = tx.rows("DELETE FROM policy_sessions RETURNING id", vec![]).await?;
        let mut concerned = texts(&everybody)?;
        concerned.extend(texts(&sessions)?);
        announce(tx, &concerned).await?;
        Ok(epoch)
    }

    pub(super) async fn write_bootstrap(&self, hash: &[u8; 32], until: Millis) -> Result<bool, StoreError> {
        let mut tx = self.database.begin().await?;
        let sql = "UPDATE policy_deployment SET bootstrap_hash = $1, bootstrap_until = $2 \
                   WHERE id = 1 AND bootstrapped_at IS NULL";
        let open = tx.run(sql, vec![encode::hex(hash).into(), until.0.into()]).await? == 1;
        tx.commit().await?;
        Ok(open)
    }

    pub(super) async fn use_bootstrap(
        &self,
        hash: &[u8; 32],
        operator: &NewUser,
        now: Millis,
    ) -> Result<Option<User>, StoreError> {
        let mut tx = self.database.begin().await?;
        // Whoever changes the row was first; the others find it changed.
        let sql = "UPDATE policy_deployment SET bootstrapped_at = $2, bootstrap_hash = NULL, bootstrap_until = NULL \
                   WHERE id = 1 AND bootstrapped_at IS NULL AND bootstrap_hash = $1 AND bootstrap_until > $2";
        if tx.run(sql, vec![encode::hex(hash).into(), now.0.into()]).await? == 0 {
            return Ok(None);
        }
        let user = insert_in(&mut tx, operator).await?;
        tx.commit().await?;
        Ok(Some(user))
    }
}
