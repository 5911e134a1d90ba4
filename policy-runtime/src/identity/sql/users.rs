//! Users, their roles, passwords and identities.

use futures_util::future::BoxFuture;
use policy_core::{Scope, Slug};

use super::sessions::given_in;
use super::{SqlStore, announce, announce_end, encode, missing, named, new_id, organization_of, require, slug, texts};
use crate::database::{Arg, Row, Transaction};
use crate::identity::{Change, EmailKey, ExternalIdentity, IdentityStore, NewUser, StoreError, User, UserStore};
use crate::secret::Secret;

/// One row for each role of a user, or one without.
macro_rules! users_where {
    ($condition:literal) => {
        concat!(
            "SELECT u.id, u.scope, u.email, u.display_name, u.attributes, u.tenant, u.enabled, u.epoch, ",
            "COALESCE(o.suspended, 0), r.role FROM policy_users u ",
            "LEFT JOIN policy_organizations o ON o.id = u.organization ",
            "LEFT JOIN policy_user_roles r ON r.user_id = u.id WHERE ",
            $condition,
            " ORDER BY u.id"
        )
    };
}

const OF_IDENTITY: &str = users_where!(
    "u.id = (SELECT user_id FROM policy_identities WHERE scope = $1 AND configuration = $2 AND issuer = $3 \
     AND machine = $4 AND number = $5 AND subject = $6)"
);

pub(super) fn identity_args(scope: &Scope, identity: &ExternalIdentity) -> Vec<Arg> {
    vec![
        scope.to_string().into(),
        identity.configuration.as_str().into(),
        identity.issuer.as_str().into(),
        identity.machine.into(),
        identity.number.into(),
        identity.subject.as_str().into(),
    ]
}

fn collect(rows: &[Row]) -> Result<Vec<User>, StoreError> {
    let mut users: Vec<User> = Vec::new();
    for row in rows {
        let id = row.text(0)?;
        if users.last().is_none_or(|user| user.id != id) {
            users.push(User {
                email: row.maybe_text(2)?,
                display_name: row.maybe_text(3)?,
                attributes: encode::attributes(&row.text(4)?)?,
                tenant: row.maybe_text(5)?,
                enabled: row.bool(6)? && !row.bool(8)?,
                epoch: u64::try_from(row.long(7)?).unwrap_or(0),
                ..User::new(id, encode::scope(&row.text(1)?)?)
            });
        }
        if let (Some(user), Some(role)) = (users.last_mut(), row.maybe_text(9)?) {
            user.roles.insert(role);
        }
    }
    Ok(users)
}

fn one(rows: &[Row]) -> Result<Option<User>, StoreError> {
    Ok(collect(rows)?.into_iter().next())
}

pub(super) async fn user_in(tx: &mut Transaction, id: &str) -> Result<User, StoreError> {
    one(&tx.rows(users_where!("u.id = $1"), vec![id.into()]).await?)?.ok_or_else(|| missing("user", id))
}

/// Binds an identity to a user who has none; `None` when either is taken.
pub(super) async fn bind_in(
    tx: &mut Transaction,
    scope: &Scope,
    user: &str,
    identity: &ExternalIdentity,
) -> Result<Option<User>, StoreError> {
    // Takes the row's lock first, so that of two identities at once one alone finds the user without any.
    tx.run("UPDATE policy_users SET epoch = epoch + 1 WHERE id = $1", vec![user.into()]).await?;
    if tx.row("SELECT 1 FROM policy_identities WHERE user_id = $1 LIMIT 1", vec![user.into()]).await?.is_some() {
        return Ok(None);
    }
    if !insert_identity(tx, scope, user, identity).await? {
        return Ok(None);
    }
    tx.run("DELETE FROM policy_invitations WHERE user_id = $1", vec![user.into()]).await?;
    user_in(tx, user).await.map(Some)
}

/// Gives a user an identity; false when it is somebody's.
pub(super) async fn insert_identity(
    tx: &mut Transaction,
    scope: &Scope,
    user: &str,
    identity: &ExternalIdentity,
) -> Result<bool, StoreError> {
    let mut args = identity_args(scope, identity);
    args.push(user.into());
    let sql = "INSERT INTO policy_identities (scope, configuration, issuer, machine, number, subject, user_id) \
               VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
    Ok(tx.run(sql, args).await? == 1)
}

/// Inserts a user, in a transaction that its caller keeps.
pub(super) async fn insert_in(tx: &mut Transaction, new: &NewUser) -> Result<User, StoreError> {
    let key = EmailKey::new(&new.email).map_err(|error| StoreError::Invalid(error.to_string()))?;
    require(tx, &new.scope).await?;
    let id = new_id("u_")?;
    // PostgreSQL has no text with a zero byte, and a name to show needs none.
    let display_name = new.display_name.as_ref().map(|name| name.replace('\0', ""));
    let row: Vec<Arg> = vec![
        id.as_str().into(),
        new.scope.to_string().into(),
        organization_of(&new.scope),
        new.email.trim().into(),
        key.as_str().into(),
        display_name.into(),
        encode::from_attributes(&new.attributes).into(),
        new.tenant.clone().into(),
    ];
    let sql = "INSERT INTO policy_users (id, scope, organization, email, email_key, display_name, attributes, tenant, \
               enabled, epoch) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, 1)";
    tx.run(sql, row).await.map_err(|error| named(error, "user", &new.email))?;
    for role in &new.roles {
        add_role(tx, &id, role).await?;
    }
    if let Some(hash) = &new.hash {
        let sql = "INSERT INTO policy_passwords (user_id, hash) VALUES ($1, $2)";
        tx.run(sql, vec![id.as_str().into(), hash.expose().as_str().into()]).await?;
    }
    user_in(tx, &id).await
}

async fn add_role(tx: &mut Transaction, user: &str, role: &str) -> Result<(), StoreError> {
    let sql = "INSERT INTO policy_user_roles (user_id, role) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    tx.run(sql, vec![user.into(), role.into()]).await?;
    Ok(())
}

/// Ends the sessions of a user and what clients have, in a transaction that its caller announces, and gives what that concerns: the
/// user and the sessions that end, and the user's epoch from here on.
pub(super) async fn out_in(tx: &mut Transaction, id: &str) -> Result<(Vec<String>, i64), StoreError> {
    let sql = "UPDATE policy_users SET epoch = epoch + 1 WHERE id = $1 RETURNING epoch";
    let epoch = tx.row(sql, vec![id.into()]).await?.ok_or_else(|| missing("user", id))?.long(0)?;
    let sql = "DELETE FROM policy_sessions WHERE user_id = $1 RETURNING id";
    let mut concerned = texts(&tx.rows(sql, vec![id.into()]).await?)?;
    given_in(tx, &concerned).await?;
    for sql in ["DELETE FROM policy_codes WHERE user_id = $1", "DELETE FROM policy_grants WHERE user_id = $1"] {
        tx.run(sql, vec![id.into()]).await?;
    }
    concerned.push(id.to_owned());
    Ok((concerned, epoch))
}

/// Replaces a password: whoever got in by the one before is out, as by [`out_in`], and leaves nothing half done: no letter that
/// they asked for, no invitation, no second factor that they did not confirm.
pub(super) async fn password_in(
    tx: &mut Transaction,
    id: &str,
    hash: Option<&Secret<String>>,
) -> Result<(Vec<String>, i64), StoreError> {
    let out = out_in(tx, id).await?;
    for sql in [
        "DELETE FROM policy_passwords WHERE user_id = $1",
        "DELETE FROM policy_links WHERE user_id = $1",
        "DELETE FROM policy_invitations WHERE user_id = $1",
        "DELETE FROM policy_second_factors WHERE user_id = $1 AND confirmed = 0",
    ] {
        tx.run(sql, vec![id.into()]).await?;
    }
    if let Some(hash) = hash {
        let sql = "INSERT INTO policy_passwords (user_id, hash) VALUES ($1, $2)";
        tx.run(sql, vec![id.into(), hash.expose().as_str().into()]).await?;
    }
    Ok(out)
}

async fn change_in(tx: &mut Transaction, id: &str, change: &Change) -> Result<User, StoreError> {
    // Takes the row's lock, so that two changes at once both count.
    let sql = "UPDATE policy_users SET epoch = epoch + 1 WHERE id = $1 RETURNING enabled";
    let locked = tx.row(sql, vec![id.into()]).await?.ok_or_else(|| missing("user", id))?;
    let is_enabled = locked.bool(0)?;
    let mut user = user_in(tx, id).await?;
    change.apply_to_user(&mut user);
    let row: Vec<Arg> = vec![
        id.into(),
        user.display_name.into(),
        encode::from_attributes(&user.attributes).into(),
        user.tenant.into(),
        // Not what was read: that is also false while the organization is suspended.
        change.enabled.unwrap_or(is_enabled).into(),
    ];
    let sql = "UPDATE policy_users SET display_name = $2, attributes = $3, tenant = $4, enabled = $5 WHERE id = $1";
    tx.run(sql, row).await?;
    for role in &change.add_roles {
        add_role(tx, id, role).await?;
    }
    for role in &change.remove_roles {
        let sql = "DELETE FROM policy_user_roles WHERE user_id = $1 AND role = $2";
        tx.run(sql, vec![id.into(), role.as_str().into()]).await?;
    }
    user_in(tx, id).await
}

impl SqlStore {
    pub(super) async fn insert_user(&self, new: NewUser) -> Result<User, StoreError> {
        let mut tx = self.database.begin().await?;
        let user = insert_in(&mut tx, &new).await?;
        tx.commit().await?;
        Ok(user)
    }

    pub(super) async fn users_of(&self, scope: &Scope) -> Result<Vec<User>, StoreError> {
        let rows = self.database.rows(users_where!("u.scope = $1"), vec![scope.to_string().into()]).await?;
        let mut users = collect(&rows)?;
        users.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(users)
    }

    pub(super) async fn update_user(&self, id: &str, change: &Change) -> Result<User, StoreError> {
        let mut tx = self.database.begin().await?;
        let user = change_in(&mut tx, id, change).await?;
        announce(tx, &[id.to_owned()]).await?;
        Ok(user)
    }

    pub(super) async fn update_user_and_password(
        &self,
        id: &str,
        change: &Change,
        hash: &Secret<String>,
    ) -> Result<User, StoreError> {
        let mut tx = self.database.begin().await?;
        let (concerned, epoch) = password_in(&mut tx, id, Some(hash)).await?;
        let user = change_in(&mut tx, id, change).await?;
        announce_end(tx, &concerned, epoch).await?;
        Ok(user)
    }

    pub(super) async fn write_password(&self, id: &str, hash: Option<&Secret<String>>) -> Result<(), StoreError> {
        let mut tx = self.database.begin().await?;
        let (concerned, epoch) = password_in(&mut tx, id, hash).await?;
        announce_end(tx, &concerned, epoch).await
    }

    pub(super) async fn delete_user(&self, id: &str) -> Result<(), StoreError> {
        let mut tx = self.database.begin().await?;
        let (concerned, _) = out_in(&mut tx, id).await?;
        let sql = "DELETE FROM policy_links WHERE (scope, email_key) IN \
                   (SELECT scope, email_key FROM policy_users WHERE id = $1)";
        tx.run(sql, vec![id.into()]).await?;
        tx.run("DELETE FROM policy_users WHERE id = $1", vec![id.into()]).await?;
        announce(tx, &concerned).await
    }

    async fn bind_by_email(
        &self,
        scope: &Scope,
        email: &EmailKey,
        identity: &ExternalIdentity,
    ) -> Result<Option<User>, StoreError> {
        let mut tx = self.database.begin().await?;
        let sql = "SELECT id FROM policy_users WHERE scope = $1 AND email_key = $2";
        let Some(row) = tx.row(sql, vec![scope.to_string().into(), email.as_str().into()]).await? else {
            return Ok(None);
        };
        let id = row.text(0)?;
        let bound = bind_in(&mut tx, scope, &id, identity).await?;
        if bound.is_some() {
            announce(tx, &[id]).await?;
        }
        Ok(bound)
    }

    async fn create_bound(
        &self,
        new: &NewUser,
        scope: &Scope,
        identity: &ExternalIdentity,
    ) -> Result<User, StoreError> {
        let mut tx = self.database.begin().await?;
        let user = insert_in(&mut tx, new).await?;
        let bound = bind_in(&mut tx, scope, &user.id, identity).await?;
        let bound = bound.ok_or_else(|| StoreError::Exists { what: "identity", name: identity.subject.clone() })?;
        tx.commit().await?;
        Ok(bound)
    }
}

impl UserStore for SqlStore {
    fn user_by_email<'a>(
        &'a self,
        scope: &'a Scope,
        email: &'a EmailKey,
    ) -> BoxFuture<'a, Result<Option<User>, StoreError>> {
        Box::pin(async move {
            let args = vec![scope.to_string().into(), email.as_str().into()];
            one(&self.database.rows(users_where!("u.scope = $1 AND u.email_key = $2"), args).await?)
        })
    }

    fn user<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<User>, StoreError>> {
        Box::pin(async move { one(&self.database.rows(users_where!("u.id = $1"), vec![id.into()]).await?) })
    }

    fn password_hash<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<Secret<String>>, StoreError>> {
        Box::pin(async move {
            let sql = "SELECT hash FROM policy_passwords WHERE user_id = $1";
            let row = self.database.row(sql, vec![id.into()]).await?;
            Ok(row.map(|row| row.text(0)).transpose()?.map(Secret::new))
        })
    }

    fn replace_hash<'a>(
        &'a self,
        id: &'a str,
        verified: &'a Secret<String>,
        stronger: &'a Secret<String>,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let mut tx = self.database.begin().await?;
            let sql = "UPDATE policy_passwords SET hash = $3 WHERE user_id = $1 AND hash = $2";
            let args = vec![id.into(), verified.expose().as_str().into(), Arg::from(stronger.expose().as_str())];
            let done = tx.run(sql, args).await? == 1;
            tx.commit().await?;
            Ok(done)
        })
    }

    fn scope_of_application<'a>(&'a self, id: &'a Slug) -> BoxFuture<'a, Result<Option<Scope>, StoreError>> {
        Box::pin(async move {
            let sql = "SELECT organization FROM policy_applications WHERE id = $1";
            let Some(row) = self.database.row(sql, vec![id.as_str().into()]).await? else { return Ok(None) };
            Ok(Some(Scope::Application { organization: slug(&row.text(0)?)?, application: id.clone() }))
        })
    }
}

impl IdentityStore for SqlStore {
    fn user_of<'a>(
        &'a self,
        scope: &'a Scope,
        identity: &'a ExternalIdentity,
    ) -> BoxFuture<'a, Result<Option<User>, StoreError>> {
        Box::pin(async move { one(&self.database.rows(OF_IDENTITY, identity_args(scope, identity)).await?) })
    }

    fn bind<'a>(
        &'a self,
        scope: &'a Scope,
        email: &'a EmailKey,
        identity: &'a ExternalIdentity,
    ) -> BoxFuture<'a, Result<Option<User>, StoreError>> {
        Box::pin(self.bind_by_email(scope, email, identity))
    }

    fn create<'a>(
        &'a self,
        scope: &'a Scope,
        email: &'a str,
        display_name: Option<&'a str>,
        roles: &'a [String],
        identity: &'a ExternalIdentity,
    ) -> BoxFuture<'a, Result<User, StoreError>> {
        let new = NewUser::signed_in(scope, email, display_name, roles);
        Box::pin(async move { self.create_bound(&new, scope, identity).await })
    }
}
