//! Users of a scope: operators, members, and those of applications.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use policy_core::Scope;
use policy_core::participant::BUILT_IN;
use policy_core::value::{Millis, Value};
use sha2::{Digest as _, Sha256};

use super::decide::Right;
use super::{Admin, AdminError};
use crate::authn::password::{PasswordError, Passwords};
use crate::id::random_id;
use crate::identity::{Change, EmailKey, NewUser, User};
use crate::mail::Letter;
use crate::secret::Secret;
use crate::security::SecurityContext;

/// How long an invitation is good, in milliseconds.
const INVITATION_MS: i64 = 7 * 24 * 3_600_000;

/// Somebody to add to a scope.
///
/// ```
/// use policy_runtime::admin::NewMember;
/// use policy_runtime::secret::Secret;
/// let ann = NewMember::new("ann@acme.example")
///     .display_name("Ann")
///     .role("admin")
///     .password(Secret::new("a quite long pass phrase".to_owned()));
/// # drop(ann);
/// ```
#[derive(Debug, Clone)]
pub struct NewMember {
    email: String,
    display_name: Option<String>,
    roles: BTreeSet<String>,
    attributes: BTreeMap<String, Value>,
    tenant: Option<String>,
    password: Option<Secret<String>>,
}

impl NewMember {
    /// Starts with an address.
    pub fn new(email: &str) -> Self {
        Self {
            email: email.to_owned(),
            display_name: None,
            roles: BTreeSet::new(),
            attributes: BTreeMap::new(),
            tenant: None,
            password: None,
        }
    }

    /// Sets the name to show.
    #[must_use]
    pub fn display_name(mut self, name: &str) -> Self {
        self.display_name = Some(name.to_owned());
        self
    }

    /// Adds a role.
    #[must_use]
    pub fn role(mut self, role: &str) -> Self {
        self.roles.insert(role.to_owned());
        self
    }

    /// Adds an attribute.
    #[must_use]
    pub fn attribute(mut self, name: &str, value: Value) -> Self {
        self.attributes.insert(name.to_owned(), value);
        self
    }

    /// Sets the tenant.
    #[must_use]
    pub fn tenant(mut self, tenant: &str) -> Self {
        self.tenant = Some(tenant.to_owned());
        self
    }

    /// Sets a first password; without one, an invitation lets the user in.
    #[must_use]
    pub fn password(mut self, password: Secret<String>) -> Self {
        self.password = Some(password);
        self
    }

    /// Whether decisions depend on something of it beside that it is there.
    fn has_rights(&self) -> bool {
        !self.roles.is_empty() || !self.attributes.is_empty() || self.tenant.is_some()
    }

    pub(super) async fn prepare(self, scope: &Scope, passwords: &Passwords) -> Result<NewUser, AdminError> {
        refuse_built_in(self.attributes.keys())?;
        EmailKey::new(&self.email).map_err(|error| AdminError::Invalid(error.to_string()))?;
        let mut user = NewUser::new(scope.clone(), &self.email);
        user = self.roles.iter().fold(user, |user, role| user.role(role));
        user = self.attributes.into_iter().fold(user, |user, (name, value)| user.attribute(&name, value));
        if let Some(name) = &self.display_name {
            user = user.display_name(name);
        }
        if let Some(tenant) = &self.tenant {
            user = user.tenant(tenant);
        }
        if let Some(password) = self.password {
            user = user.password_hash(passwords.hash_for(scope, password, &[self.email.as_str()]).await?);
        }
        Ok(user)
    }
}

/// What to change of a user; whatever is not named stays.
///
/// ```
/// use policy_runtime::admin::MemberChange;
/// let mut promote = MemberChange::default();
/// promote.add_roles.insert("admin".into());
/// promote.enabled = Some(true);
/// ```
#[derive(Debug, Clone, Default)]
#[expect(clippy::exhaustive_structs, reason = "whoever changes somebody says all of it")]
pub struct MemberChange {
    /// Roles to assign.
    pub add_roles: BTreeSet<String>,
    /// Roles to take away.
    pub remove_roles: BTreeSet<String>,
    /// Attributes to set, or to remove.
    pub attributes: BTreeMap<String, Option<Value>>,
    /// The name to show.
    pub display_name: Option<Option<String>>,
    /// The tenant.
    pub tenant: Option<Option<String>>,
    /// Whether it may sign in.
    pub enabled: Option<bool>,
    /// A new password.
    pub password: Option<Secret<String>>,
    /// Only while the user is as it was when this was its [`tag`](Admin::tag).
    pub seen: Option<String>,
}

impl MemberChange {
    fn changes_rights(&self) -> bool {
        !self.add_roles.is_empty()
            || !self.remove_roles.is_empty()
            || !self.attributes.is_empty()
            || self.tenant.is_some()
    }

    fn change(&self) -> Change {
        let mut change = Change::default();
        change = self.add_roles.iter().fold(change, |change, role| change.add_role(role));
        change = self.remove_roles.iter().fold(change, |change, role| change.remove_role(role));
        for (name, value) in &self.attributes {
            change = change.attribute(name, value.clone());
        }
        if let Some(name) = &self.display_name {
            change = change.display_name(name.as_deref());
        }
        if let Some(tenant) = &self.tenant {
            change = change.tenant(tenant.as_deref());
        }
        if let Some(enabled) = self.enabled {
            change = change.enabled(enabled);
        }
        change
    }

    /// What is changed, by name.
    fn names(&self) -> String {
        let roles = self.add_roles.iter().map(|role| format!("+{role}"));
        let mut names: Vec<String> = roles.chain(self.remove_roles.iter().map(|role| format!("-{role}"))).collect();
        names.extend(self.attributes.keys().map(|name| format!("attribute {name}")));
        let others = [
            ("name", self.display_name.is_some()),
            ("tenant", self.tenant.is_some()),
            ("password", self.password.is_some()),
            ("enabled", self.enabled == Some(true)),
            ("disabled", self.enabled == Some(false)),
        ];
        names.extend(others.into_iter().filter(|(_, is)| *is).map(|(name, _)| name.to_owned()));
        names.join(", ")
    }
}

pub(super) fn refuse_built_in<'a>(mut names: impl Iterator<Item = &'a String>) -> Result<(), AdminError> {
    match names.find(|name| BUILT_IN.field(name).is_some()) {
        Some(name) => Err(AdminError::Invalid(format!("`{name}` is built in and cannot be an attribute of one's own"))),
        None => Ok(()),
    }
}

impl From<PasswordError> for AdminError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Store(error) => error.into(),
            PasswordError::Weak(_) | PasswordError::Hash(_) => Self::Invalid(error.to_string()),
        }
    }
}

impl Admin {
    /// The users of a scope, by id.
    ///
    /// # Errors
    /// When the caller may not.
    pub async fn users(&self, cx: &SecurityContext, scope: &Scope) -> Result<Vec<User>, AdminError> {
        let _ = self.permit(cx, Right::LIST_MEMBERS, scope).await?;
        Ok(self.store.users(scope).await?)
    }

    /// A user of a scope.
    ///
    /// # Errors
    /// When the caller may not, or the scope has no such user.
    pub async fn user(&self, cx: &SecurityContext, scope: &Scope, id: &str) -> Result<User, AdminError> {
        let _ = self.permit(cx, Right::LIST_MEMBERS, scope).await?;
        self.user_of(scope, id).await
    }

    /// What tells apart how a user is from how it was.
    ///
    /// ```
    /// use policy_runtime::Scope;
    /// use policy_runtime::admin::Admin;
    /// use policy_runtime::identity::User;
    /// let mut ann = User::new("u-1", Scope::System);
    /// let before = Admin::tag(&ann);
    /// ann.roles.insert("operator".into());
    /// assert_ne!(Admin::tag(&ann), before);
    /// ```
    pub fn tag(user: &User) -> String {
        let mut hash = Sha256::new();
        let mut part = |text: &str| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        };
        let texts = [&user.email, &user.display_name, &user.tenant];
        for text in texts {
            part(text.as_deref().unwrap_or("\0"));
        }
        part(if user.enabled { "enabled" } else { "disabled" });
        for role in &user.roles {
            part(role);
        }
        for (name, value) in &user.attributes {
            part(name);
            part(&value.as_ref().to_string());
        }
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(hash.finalize())
    }

    /// An id of another scope's user is none of this one's.
    pub(super) async fn user_of(&self, scope: &Scope, id: &str) -> Result<User, AdminError> {
        let found = self.store.user(id).await?.filter(|user| user.scope == *scope);
        found.ok_or_else(|| AdminError::Missing { what: "user", name: id.to_owned() })
    }

    /// Adds a user.
    ///
    /// # Errors
    /// When the caller may not, the address is taken in this scope, or the user could do more than the caller.
    pub async fn add_user(&self, cx: &SecurityContext, scope: &Scope, new: NewMember) -> Result<User, AdminError> {
        let permitted = self.permit(cx, Right::INVITE, scope).await?;
        if new.has_rights() {
            let _ = self.permit(cx, Right::ASSIGN_ROLES, scope).await?;
        }
        let mut after = User::new("new", scope.clone());
        after.roles.clone_from(&new.roles);
        after.attributes = new.attributes.clone().into_iter().collect();
        after.tenant.clone_from(&new.tenant);
        after.email = Some(new.email.clone());
        self.refuse_beyond(cx, scope, &[after.participant()])?;
        let roles = new.roles.iter().cloned().collect::<Vec<_>>().join(" ");
        let new = new.prepare(scope, &self.passwords).await?;
        self.change(permitted.detail("roles", roles), async { Ok(self.store.add_user(new).await?) }).await
    }

    /// Changes a user: name, roles, attributes, whether it may sign in, password.
    ///
    /// # Errors
    /// When the caller may not, the user may do more than the caller or would afterwards, or nobody could change the policies
    /// any more.
    pub async fn change_user(
        &self,
        cx: &SecurityContext,
        scope: &Scope,
        id: &str,
        change: MemberChange,
    ) -> Result<User, AdminError> {
        let permitted = self.permit(cx, Right::UPDATE_MEMBER, scope).await?;
        if change.changes_rights() {
            let _ = self.permit(cx, Right::ASSIGN_ROLES, scope).await?;
        }
        refuse_built_in(change.attributes.keys())?;
        let permitted = permitted.about("user", id).detail("changed", change.names());
        let _turn = self.turn.lock().await;
        let before = self.user_of(scope, id).await?;
        if change.seen.as_ref().is_some_and(|seen| *seen != Self::tag(&before)) {
            return Err(AdminError::Conflict(format!("user `{id}` was changed meanwhile: read it again")));
        }
        let stored = change.change();
        let after = stored.of_user(&before);
        self.refuse_beyond(cx, scope, &[before.participant(), after.participant()])?;
        self.stays_steered(cx, scope, id, Some(after)).await?;
        let password = match change.password {
            Some(password) => Some(self.passwords.hash_for(scope, password, &before.known()).await?),
            None => None,
        };
        self.change(permitted, async {
            Ok(match &password {
                Some(password) => self.store.change_user_and_password(id, &stored, password).await?,
                None => self.store.change_user(id, &stored).await?,
            })
        })
        .await
    }

    /// Removes a user with everything it signs in with.
    ///
    /// # Errors
    /// As [`Admin::change_user`].
    pub async fn remove_user(&self, cx: &SecurityContext, scope: &Scope, id: &str) -> Result<(), AdminError> {
        let permitted = self.permit(cx, Right::REMOVE_MEMBER, scope).await?;
        let _turn = self.turn.lock().await;
        let before = self.user_of(scope, id).await?;
        self.refuse_beyond(cx, scope, &[before.participant()])?;
        self.stays_steered(cx, scope, id, None).await?;
        self.change(permitted.about("user", id), async { Ok(self.store.drop_user(id).await?) }).await
    }

    /// Makes an invitation, by which a user without an identity is bound to one of a provider; an earlier one ends.
    ///
    /// # Errors
    /// When the caller may not, or the user may do more than the caller.
    pub async fn invite(&self, cx: &SecurityContext, scope: &Scope, id: &str) -> Result<Secret<String>, AdminError> {
        let permitted = self.permit(cx, Right::INVITE, scope).await?;
        let user = self.user_of(scope, id).await?;
        self.refuse_beyond(cx, scope, &[user.participant()])?;
        let random = || random_id().map_err(|error| AdminError::Unavailable(error.to_string()));
        let invitation = format!("{}{}", random()?, random()?);
        let until = Millis(self.policy.clock().now().0.saturating_add(INVITATION_MS));
        let digest: [u8; 32] = Sha256::digest(invitation.as_bytes()).into();
        let permitted = permitted.about("user", id);
        self.change(permitted, async { Ok(self.store.invite(id, &digest, until).await?) }).await?;
        let invitation = Secret::new(invitation);
        self.send_invitation(&user, &invitation);
        Ok(invitation)
    }

    /// Sends an invitation, where letters of the scope are sent. It is shown to whoever made it in any case.
    fn send_invitation(&self, user: &User, invitation: &Secret<String>) {
        let Some((mails, base_url)) = self.letters.as_deref() else { return };
        let (Some(mailer), Some(to)) = (mails.of(&user.scope).cloned(), &user.email) else { return };
        let text = format!(
            "You are invited. Choose a password here, within a week:\n\n{base_url}/auth/invite?token={}\n",
            invitation.expose()
        );
        let letter = Letter::new(to, "Your invitation", Secret::new(text));
        tokio::spawn(async move {
            let sent = match letter {
                Ok(letter) => mailer.send(&letter).await,
                Err(error) => Err(error),
            };
            if let Err(error) = sent {
                tracing::warn!(target: "policy::admin", %error, "an invitation");
            }
        });
    }

    /// Whether somebody is left who can change the policies of an upper scope.
    async fn stays_steered(
        &self,
        cx: &SecurityContext,
        scope: &Scope,
        id: &str,
        after: Option<User>,
    ) -> Result<(), AdminError> {
        if scope.application_id().is_some() {
            return Ok(());
        }
        let users = self.store.users(scope).await?;
        let changed: Vec<User> = users.iter().filter(|user| user.id != id).cloned().chain(after).collect();
        let engine = self.policy.engine();
        self.refuse_lock_out(cx, scope, (engine, &users), (engine, &changed))
    }
}
