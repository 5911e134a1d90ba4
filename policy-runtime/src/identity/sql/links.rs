//! Links in letters, and what comes of each: in the transaction that uses the link up, so that a link never is used up for
//! nothing, and of two clicks at once the database says which was first.

use policy_core::value::Millis;
use policy_core::{Scope, Slug};

use super::providers::use_in;
use super::users::{insert_identity, insert_in, password_in, user_in};
use super::{SqlStore, announce, announce_end, encode, named, slug};
use crate::database::{Arg, Row, Transaction};
use crate::identity::link::{Link, NewLink, Purpose};
use crate::identity::{ExternalIdentity, NewUser, StoreError, User};
use crate::secret::Secret;

fn read(purpose: Purpose, row: &Row) -> Result<Link, StoreError> {
    Ok(Link {
        purpose,
        scope: encode::scope(&row.text(0)?)?,
        email: row.text(1)?,
        user: row.maybe_text(2)?,
        display_name: row.maybe_text(3)?,
        back: row.maybe_text(4)?,
    })
}

/// Whoever deletes the row has used the link.
async fn take_in(tx: &mut Transaction, purpose: Purpose, hash: &str, now: Millis) -> Result<Option<Link>, StoreError> {
    let sql = "DELETE FROM policy_links WHERE hash = $1 AND purpose = $2 AND until > $3 \
               RETURNING scope, email, user_id, display_name, back";
    let row = tx.row(sql, vec![hash.into(), purpose.as_str().into(), now.0.into()]).await?;
    row.map(|row| read(purpose, &row)).transpose()
}

impl SqlStore {
    /// Keeps a link, which ends an earlier one to the same address; false when that one is fresh, and stays.
    ///
    /// The same is done for an address that gets no letter as for one that does.
    pub(crate) async fn offer_link(&self, new: NewLink<'_>) -> Result<bool, StoreError> {
        let (link, now) = (new.link, new.now.0);
        let whose: [Arg; 3] = [link.purpose.as_str().into(), link.scope.to_string().into(), new.email.as_str().into()];
        let mut tx = self.database.begin().await?;
        tx.run("DELETE FROM policy_links WHERE until <= $1", vec![now.into()]).await?;
        let sql = "DELETE FROM policy_links WHERE purpose = $1 AND scope = $2 AND email_key = $3 AND since <= $4";
        let mut older = whose.to_vec();
        older.push((now - link.purpose.pause_ms()).into());
        tx.run(sql, older).await?;
        let mut row: Vec<Arg> = vec![new.hash.into()];
        row.extend(whose);
        row.extend([
            link.user.clone().into(),
            link.email.as_str().into(),
            link.display_name.clone().into(),
            link.back.clone().into(),
            now.into(),
            (now + link.purpose.life_ms()).into(),
        ]);
        // One for each purpose and address: that of another request that came first stays.
        let sql = "INSERT INTO policy_links (hash, purpose, scope, email_key, user_id, email, display_name, back, since, \
                   until) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING";
        let made = tx.run(sql, row).await? == 1;
        tx.commit().await?;
        Ok(made)
    }

    /// Forgets a link whose letter was not sent, so that another can be asked for at once.
    pub(crate) async fn drop_link(&self, hash: &str) -> Result<(), StoreError> {
        let mut tx = self.database.begin().await?;
        tx.run("DELETE FROM policy_links WHERE hash = $1", vec![hash.into()]).await?;
        Ok(tx.commit().await?)
    }

    /// Looks at a link without using it.
    pub(crate) async fn link(&self, purpose: Purpose, hash: &str, now: Millis) -> Result<Option<Link>, StoreError> {
        let sql = "SELECT scope, email, user_id, display_name, back FROM policy_links \
                   WHERE hash = $1 AND purpose = $2 AND until > $3";
        let row = self.database.row(sql, vec![hash.into(), purpose.as_str().into(), now.0.into()]).await?;
        row.map(|row| read(purpose, &row)).transpose()
    }

    /// Makes the user whose address a link proves; `None` when the link is not good, or the address is somebody's by now.
    pub(crate) async fn register_by_link(
        &self,
        hash: &str,
        now: Millis,
        new: &NewUser,
    ) -> Result<Option<User>, StoreError> {
        let mut tx = self.database.begin().await?;
        let Some(link) = take_in(&mut tx, Purpose::Register, hash, now).await? else { return Ok(None) };
        if link.scope != new.scope || link.email != new.email {
            return Ok(None);
        }
        let user = match insert_in(&mut tx, new).await {
            Err(StoreError::Exists { .. } | StoreError::Missing { .. }) => return Ok(None),
            made => made?,
        };
        tx.commit().await?;
        Ok(Some(user))
    }

    /// Makes an organization and its first owner, whose address a link proves. With an identity
    /// that is how the owner signs in, and the organization uses its provider from then on.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when there is such an organization; the link stays good then.
    pub(crate) async fn found_by_link(
        &self,
        hash: &str,
        now: Millis,
        organization: &Slug,
        owner: &NewUser,
        with: Option<&ExternalIdentity>,
    ) -> Result<Option<User>, StoreError> {
        let mut tx = self.database.begin().await?;
        let purpose = if with.is_some() { Purpose::FoundWith } else { Purpose::Found };
        let Some(link) = take_in(&mut tx, purpose, hash, now).await? else { return Ok(None) };
        if link.email != owner.email || owner.scope != Scope::Organization(organization.clone()) {
            return Ok(None);
        }
        let sql = "INSERT INTO policy_organizations (id, suspended) VALUES ($1, 0)";
        tx.run(sql, vec![organization.as_str().into()])
            .await
            .map_err(|error| named(error, "organization", organization.as_str()))?;
        let user = insert_in(&mut tx, owner).await?;
        if let Some(identity) = with {
            insert_identity(&mut tx, &owner.scope, &user.id, identity).await?;
            use_in(&mut tx, &identity.configuration, &owner.scope).await?;
        }
        announce(tx, &[]).await?;
        Ok(Some(user))
    }

    /// Replaces the password of the user whom a link is about, and ends all that the one before let in.
    pub(crate) async fn reset_by_link(
        &self,
        hash: &str,
        now: Millis,
        password: &Secret<String>,
    ) -> Result<Option<User>, StoreError> {
        let mut tx = self.database.begin().await?;
        let Some(Link { user: Some(id), .. }) = take_in(&mut tx, Purpose::Reset, hash, now).await? else {
            return Ok(None);
        };
        let (concerned, epoch) = password_in(&mut tx, &id, Some(password)).await?;
        let user = user_in(&mut tx, &id).await?;
        // Who was locked out since the letter was sent stays out.
        if !user.enabled {
            return Ok(None);
        }
        announce_end(tx, &concerned, epoch).await?;
        Ok(Some(user))
    }

    /// Whom an invitation is for, without using it.
    pub(crate) async fn invited(&self, hash: &[u8; 32], now: Millis) -> Result<Option<User>, StoreError> {
        let sql = "SELECT user_id FROM policy_invitations WHERE hash = $1 AND until > $2";
        let row = self.database.row(sql, vec![encode::hex(hash).into(), now.0.into()]).await?;
        let Some(row) = row else { return Ok(None) };
        let user = crate::identity::UserStore::user(self, &row.text(0)?).await?;
        Ok(user.filter(|user| user.enabled))
    }

    /// Gives an invited user a first password; `None` when the invitation is not good.
    pub(crate) async fn accept_by_password(
        &self,
        hash: &[u8; 32],
        now: Millis,
        password: &Secret<String>,
        display_name: Option<&str>,
    ) -> Result<Option<User>, StoreError> {
        let mut tx = self.database.begin().await?;
        let sql = "DELETE FROM policy_invitations WHERE hash = $1 AND until > $2 RETURNING user_id";
        let Some(row) = tx.row(sql, vec![encode::hex(hash).into(), now.0.into()]).await? else { return Ok(None) };
        let id = row.text(0)?;
        // Whoever can sign in already is invited to bring a provider; an invitation replaces no password.
        let sql = "SELECT user_id FROM policy_passwords WHERE user_id = $1 \
                   UNION SELECT user_id FROM policy_identities WHERE user_id = $1";
        if tx.row(sql, vec![id.as_str().into()]).await?.is_some() {
            return Ok(None);
        }
        let (concerned, _) = password_in(&mut tx, &id, Some(password)).await?;
        if let Some(name) = display_name {
            let sql = "UPDATE policy_users SET display_name = $2 WHERE id = $1";
            tx.run(sql, vec![id.as_str().into(), name.replace('\0', "").into()]).await?;
        }
        let user = user_in(&mut tx, &id).await?;
        if !user.enabled {
            return Ok(None);
        }
        announce(tx, &concerned).await?;
        Ok(Some(user))
    }
}

/// An organization's id, made of the name that people gave it.
pub(crate) fn slug_of(name: &str) -> Result<Slug, StoreError> {
    let mut id = String::new();
    for c in name.trim().chars().flat_map(char::to_lowercase) {
        match c {
            c if c.is_ascii_alphanumeric() => id.push(c),
            _ if id.is_empty() || id.ends_with('-') => {}
            _ => id.push('-'),
        }
    }
    slug(id.trim_end_matches('-'))
}
