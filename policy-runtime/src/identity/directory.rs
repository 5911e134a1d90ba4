//! What administrators change: organizations, applications, users, keys, configurations, and what is good once.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::BoxFuture;
use policy_core::value::{Millis, Value};
use policy_core::{Scope, Slug};

use super::provider::{Configuration, Reference};
use super::{ApiKeyRecord, ExternalIdentity, IdentityStore, KeyStore, PasswordRules, StoreError, User, UserStore};
use crate::secret::Secret;

/// What a store answers.
///
/// ```
/// use policy_runtime::identity::{Directory, Organization, Stored};
///
/// fn all(store: &dyn Directory) -> Stored<'_, Vec<Organization>> {
///     store.organizations()
/// }
/// ```
pub type Stored<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// An organization as it is stored.
///
/// ```
/// use policy_runtime::identity::Organization;
///
/// fn active(all: &[Organization]) -> impl Iterator<Item = &str> {
///     all.iter().filter(|organization| !organization.suspended).map(|organization| organization.id.as_str())
/// }
/// # assert_eq!(active(&[]).count(), 0);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Organization {
    /// Its permanent id.
    pub id: Slug,
    /// Whether nobody of its scopes may sign in.
    pub suspended: bool,
}

impl Organization {
    pub(super) const fn new(id: Slug, suspended: bool) -> Self {
        Self { id, suspended }
    }
}

/// A user to create.
///
/// ```
/// use policy_runtime::Scope;
/// use policy_runtime::identity::NewUser;
/// use policy_runtime::secret::Secret;
/// use policy_runtime::value::Value;
///
/// let orders = Scope::application("acme", "orders").unwrap();
/// let alice = NewUser::new(orders, "alice@example.com")
///     .display_name("Alice")
///     .role("finance")
///     .attribute("department", Value::text("sales"))
///     .tenant("north")
///     .password_hash(Secret::new("$argon2id$..".to_owned()));
/// # drop(alice);
/// ```
#[derive(Debug, Clone)]
pub struct NewUser {
    pub(super) scope: Scope,
    pub(super) email: String,
    pub(super) display_name: Option<String>,
    pub(super) roles: BTreeSet<String>,
    pub(super) attributes: Vec<(String, Value)>,
    pub(super) tenant: Option<String>,
    pub(super) hash: Option<Secret<String>>,
}

impl NewUser {
    /// Starts a user of a scope.
    pub fn new(scope: Scope, email: &str) -> Self {
        Self {
            scope,
            email: email.to_owned(),
            display_name: None,
            roles: BTreeSet::new(),
            attributes: Vec::new(),
            tenant: None,
            hash: None,
        }
    }

    /// Refuses to found an organization for somebody who would not be in it.
    pub(super) fn must_be_in(&self, organization: &str) -> Result<(), StoreError> {
        match &self.scope {
            Scope::Organization(id) if id.as_str() == organization => Ok(()),
            other @ (Scope::System | Scope::Organization(_) | Scope::Application { .. }) => {
                Err(StoreError::Invalid(format!("the first user of `{organization}` would be one of `{other}`")))
            }
        }
    }

    /// A user as its first sign-in brings it.
    pub(super) fn signed_in(scope: &Scope, email: &str, display_name: Option<&str>, roles: &[String]) -> Self {
        Self {
            display_name: display_name.map(str::to_owned),
            roles: roles.iter().cloned().collect(),
            ..Self::new(scope.clone(), email)
        }
    }

    /// Adds a role.
    #[must_use]
    pub fn role(mut self, role: &str) -> Self {
        self.roles.insert(role.to_owned());
        self
    }

    /// Sets the name to show.
    #[must_use]
    pub fn display_name(mut self, name: &str) -> Self {
        self.display_name = Some(name.to_owned());
        self
    }

    /// Adds an attribute.
    #[must_use]
    pub fn attribute(mut self, name: &str, value: Value) -> Self {
        self.attributes.push((name.to_owned(), value));
        self
    }

    /// Sets the tenant.
    #[must_use]
    pub fn tenant(mut self, tenant: &str) -> Self {
        self.tenant = Some(tenant.to_owned());
        self
    }

    /// Sets the password's hash, as `authn::password::Hasher` makes it.
    #[must_use]
    pub fn password_hash(mut self, hash: Secret<String>) -> Self {
        self.hash = Some(hash);
        self
    }
}

/// What to change of a user or of a key; whatever is not named stays.
///
/// ```
/// use policy_runtime::identity::Change;
/// let promote = Change::default().add_role("finance").remove_role("intern");
/// let lock_out = Change::default().enabled(false);
/// let moved = Change::default().tenant(Some("north")).display_name(None).attribute("desk", None);
/// # drop((promote, lock_out, moved));
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(clippy::option_option, reason = "a change may leave a value, set it, or remove it")]
pub struct Change {
    pub(super) add_roles: BTreeSet<String>,
    pub(super) remove_roles: BTreeSet<String>,
    pub(super) attributes: Vec<(String, Option<Value>)>,
    pub(super) display_name: Option<Option<String>>,
    pub(super) tenant: Option<Option<String>>,
    pub(super) enabled: Option<bool>,
}

impl Change {
    /// Assigns a role.
    #[must_use]
    pub fn add_role(mut self, role: &str) -> Self {
        self.remove_roles.remove(role);
        self.add_roles.insert(role.to_owned());
        self
    }

    /// Takes a role away.
    #[must_use]
    pub fn remove_role(mut self, role: &str) -> Self {
        self.add_roles.remove(role);
        self.remove_roles.insert(role.to_owned());
        self
    }

    /// Sets an attribute, or removes it.
    #[must_use]
    pub fn attribute(mut self, name: &str, value: Option<Value>) -> Self {
        self.attributes.push((name.to_owned(), value));
        self
    }

    /// Sets the name to show, or removes it.
    #[must_use]
    pub fn display_name(mut self, name: Option<&str>) -> Self {
        self.display_name = Some(name.map(str::to_owned));
        self
    }

    /// Sets the tenant, or removes it.
    #[must_use]
    pub fn tenant(mut self, tenant: Option<&str>) -> Self {
        self.tenant = Some(tenant.map(str::to_owned));
        self
    }

    /// Lets in, or locks out.
    #[must_use]
    pub const fn enabled(mut self, enabled: bool) -> Self {
        self.enabled = Some(enabled);
        self
    }

    /// What it changes, by names alone: `+finance -intern disabled tenant`.
    #[cfg(feature = "server")]
    pub(crate) fn summary(&self) -> String {
        let mut words: Vec<String> = self.add_roles.iter().map(|role| format!("+{role}")).collect();
        words.extend(self.remove_roles.iter().map(|role| format!("-{role}")));
        words.extend(self.enabled.map(|enabled| if enabled { "enabled" } else { "disabled" }.to_owned()));
        words.extend(self.tenant.as_ref().map(|_| "tenant".to_owned()));
        words.extend(self.display_name.as_ref().map(|_| "name".to_owned()));
        words.extend(self.attributes.iter().map(|(name, _)| format!("attribute {name}")));
        words.join(" ")
    }

    pub(super) fn apply_roles(&self, roles: &mut BTreeSet<String>) {
        roles.extend(self.add_roles.iter().cloned());
        roles.retain(|role| !self.remove_roles.contains(role));
    }

    pub(super) fn apply_attributes(&self, attributes: &mut Vec<(String, Value)>) {
        for (name, value) in &self.attributes {
            attributes.retain(|(known, _)| known != name);
            if let Some(value) = value {
                attributes.push((name.clone(), value.clone()));
            }
        }
        attributes.sort_by(|a, b| a.0.cmp(&b.0));
    }

    /// The user as this change would leave it.
    #[cfg(feature = "admin")]
    pub(crate) fn of_user(&self, user: &User) -> User {
        let mut user = user.clone();
        self.apply_to_user(&mut user);
        user
    }

    pub(super) fn apply_to_user(&self, user: &mut User) {
        self.apply_roles(&mut user.roles);
        self.apply_attributes(&mut user.attributes);
        if let Some(name) = &self.display_name {
            user.display_name.clone_from(name);
        }
        if let Some(tenant) = &self.tenant {
            user.tenant.clone_from(tenant);
        }
        user.enabled = self.enabled.unwrap_or(user.enabled);
    }

    pub(super) fn apply_to_key(&self, key: &mut ApiKeyRecord) {
        self.apply_roles(&mut key.roles);
        self.apply_attributes(&mut key.attributes);
        if let Some(name) = &self.display_name {
            key.name = name.clone().unwrap_or_default();
        }
        if let Some(tenant) = &self.tenant {
            key.tenant.clone_from(tenant);
        }
        key.enabled = self.enabled.unwrap_or(key.enabled);
    }
}

/// Which participants changed.
///
/// ```
/// use policy_runtime::identity::Changes;
///
/// /// Whether somebody has to be built again.
/// fn concerns(changes: &Changes, participant: &str) -> bool {
///     changes.everybody || changes.participants.contains(participant)
/// }
/// assert!(!concerns(&Changes::default(), "u-1"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Changes {
    /// The number of the latest change; ask for what came after it next time.
    pub number: u64,
    /// Whom the changes concern: they must be built again, or their connections closed.
    pub participants: BTreeSet<String>,
    /// Those of them whose sessions end, as by a new password: what they opened before these epochs of theirs.
    pub ended: BTreeMap<String, u64>,
    /// Whether that is no longer known, so that everybody is concerned: too much has changed, or an older state came back.
    pub everybody: bool,
}

/// A whole store: what sign-in reads, and what administrators change.
///
/// Every change is one transaction: it happens whole or not at all, raises the epochs of the participants it concerns and
/// is told to whoever asks [`Directory::changed_since`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use policy_runtime::Scope;
/// use policy_runtime::identity::{Change, Directory, MemoryStore, NewUser};
///
/// let store: &dyn Directory = &MemoryStore::default();
/// store.add_organization("acme").await.unwrap();
/// let acme = Scope::organization("acme").unwrap();
/// let alice = store.add_user(NewUser::new(acme.clone(), "alice@example.com")).await.unwrap();
/// let before = store.changed_since(None).await.unwrap().number;
/// store.change_user(&alice.id, &Change::default().add_role("admin")).await.unwrap();
/// assert!(store.users(&acme).await.unwrap()[0].roles.contains("admin"));
/// assert!(store.changed_since(Some(before)).await.unwrap().participants.contains(&alice.id));
/// # }
/// ```
pub trait Directory: UserStore + IdentityStore + KeyStore {
    /// Creates an organization; its id is a slug and permanent.
    fn add_organization<'a>(&'a self, id: &'a str) -> Stored<'a, ()>;

    /// Creates an organization together with its first user, or neither.
    fn found_organization<'a>(&'a self, id: &'a str, founder: NewUser) -> Stored<'a, User>;

    /// All organizations, by id.
    fn organizations(&self) -> Stored<'_, Vec<Organization>>;

    /// Suspends an organization or lifts that; nobody of its scopes signs in meanwhile.
    fn set_suspended<'a>(&'a self, id: &'a str, suspended: bool) -> Stored<'a, ()>;

    /// Creates an application; its id is unique in the deployment.
    fn add_application<'a>(&'a self, organization: &'a str, id: &'a str) -> Stored<'a, ()>;

    /// The applications of an organization, by id.
    fn applications<'a>(&'a self, organization: &'a str) -> Stored<'a, Vec<Slug>>;

    /// The scopes of all organizations and applications. A store that can answers with fewer questions than this.
    fn scopes(&self) -> Stored<'_, Vec<Scope>> {
        Box::pin(async {
            let mut scopes = Vec::new();
            for organization in self.organizations().await? {
                let applications = self.applications(organization.id.as_str()).await?;
                let id = organization.id;
                let of = |application| Scope::Application { organization: id.clone(), application };
                scopes.extend(applications.into_iter().map(of));
                scopes.push(Scope::Organization(id));
            }
            Ok(scopes)
        })
    }

    /// Says which methods of signing in are on in a scope; `None` for all.
    fn set_methods<'a>(&'a self, scope: &'a Scope, methods: Option<&'a BTreeSet<String>>) -> Stored<'a, ()>;

    /// The scopes of which that was said.
    fn methods(&self) -> Stored<'_, Vec<(Scope, BTreeSet<String>)>>;

    /// Says what a scope asks of new passwords; `None` for what the scope above asks.
    fn set_password_rules<'a>(&'a self, scope: &'a Scope, rules: Option<&'a PasswordRules>) -> Stored<'a, ()>;

    /// What was said of a scope's passwords.
    fn password_rules<'a>(&'a self, scope: &'a Scope) -> Stored<'a, Option<PasswordRules>>;

    /// Creates a user; (scope, e-mail) is one identity.
    fn add_user(&self, new: NewUser) -> Stored<'_, User>;

    /// The users of a scope, by id.
    fn users<'a>(&'a self, scope: &'a Scope) -> Stored<'a, Vec<User>>;

    /// Changes a user and raises its epoch.
    fn change_user<'a>(&'a self, id: &'a str, change: &'a Change) -> Stored<'a, User>;

    /// Changes a user and sets its password hash, or neither.
    fn change_user_and_password<'a>(
        &'a self,
        id: &'a str,
        change: &'a Change,
        hash: &'a Secret<String>,
    ) -> Stored<'a, User>;

    /// Sets or removes a password hash and raises the user's epoch. Invitations end, and letters that reset it.
    fn set_password<'a>(&'a self, id: &'a str, hash: Option<&'a Secret<String>>) -> Stored<'a, ()>;

    /// Removes a user with everything it signs in with; its id is never given again.
    fn drop_user<'a>(&'a self, id: &'a str) -> Stored<'a, ()>;

    /// What is stored about a user beside the user, but for secrets and their hashes, as members of JSON.
    fn personal<'a>(&'a self, id: &'a str) -> Stored<'a, serde_json::Map<String, serde_json::Value>> {
        let _ = id;
        Box::pin(async { Ok(serde_json::Map::new()) })
    }

    /// Keeps the hash of an invitation, by which a user who has no identity yet is bound once. An earlier one ends.
    fn invite<'a>(&'a self, user: &'a str, hash: &'a [u8; 32], until: Millis) -> Stored<'a, ()>;

    /// Binds an identity to the invited user, once; `None` when the invitation is unknown, used, over, or of another scope.
    fn accept<'a>(
        &'a self,
        scope: &'a Scope,
        hash: &'a [u8; 32],
        identity: &'a ExternalIdentity,
        now: Millis,
    ) -> Stored<'a, Option<User>>;

    /// Keeps an API key's record.
    fn add_key(&self, record: ApiKeyRecord) -> Stored<'_, ()>;

    /// The keys of a scope, by id.
    fn keys<'a>(&'a self, scope: &'a Scope) -> Stored<'a, Vec<ApiKeyRecord>>;

    /// Changes a key and raises its epoch.
    fn change_key<'a>(&'a self, id: &'a str, change: &'a Change) -> Stored<'a, ApiKeyRecord>;

    /// Removes a key.
    fn drop_key<'a>(&'a self, id: &'a str) -> Stored<'a, ()>;

    /// Creates a configuration or changes it. Owner, issuer and client never change once somebody is known by it.
    fn put_configuration<'a>(&'a self, configuration: &'a Configuration) -> Stored<'a, ()>;

    /// All configurations, by name.
    fn configurations(&self) -> Stored<'_, Vec<Configuration>>;

    /// Removes a configuration that nobody is known by, with its references.
    fn drop_configuration<'a>(&'a self, name: &'a str) -> Stored<'a, ()>;

    /// Lets a scope that is not under the owner use a configuration, or no longer; its reference ends with that.
    fn share<'a>(&'a self, configuration: &'a str, scope: &'a Scope, shared: bool) -> Stored<'a, ()>;

    /// Makes a scope use a configuration, or changes how. The scope lies under the owner, or the owner shared with it.
    fn put_reference<'a>(&'a self, reference: &'a Reference) -> Stored<'a, ()>;

    /// All references, by configuration and scope.
    fn references(&self) -> Stored<'_, Vec<Reference>>;

    /// Ends the use of a configuration in a scope.
    fn drop_reference<'a>(&'a self, configuration: &'a str, scope: &'a Scope) -> Stored<'a, ()>;

    /// Notes a single-use token's id until it ends by itself; false if it was noted before, by whichever server.
    fn use_once<'a>(&'a self, id: &'a str, until: Millis, now: Millis) -> Stored<'a, bool>;

    /// Keeps the hash of a bootstrap token, in place of an earlier one; false once somebody has used one.
    fn offer_bootstrap<'a>(&'a self, hash: &'a [u8; 32], until: Millis) -> Stored<'a, bool>;

    /// Creates the first operator by a bootstrap token, once in the life of the deployment; `None` when the token is
    /// wrong, over, or somebody was first.
    fn bootstrap<'a>(&'a self, hash: &'a [u8; 32], operator: NewUser, now: Millis) -> Stored<'a, Option<User>>;

    /// The deployment's epoch: what was signed or handed out in another one is over.
    fn epoch(&self) -> Stored<'_, String>;

    /// Begins a new epoch, as after a restore: sessions, tickets, invitations and single-use tokens end.
    fn begin_epoch(&self) -> Stored<'_, String>;

    /// What changed after a number; ask without one for the latest number alone.
    fn changed_since(&self, number: Option<u64>) -> Stored<'_, Changes>;
}

pub(super) fn not_shared(reference: &Reference) -> StoreError {
    StoreError::Invalid(format!(
        "configuration `{}` is neither owned above `{}` nor shared with it",
        reference.configuration, reference.scope
    ))
}
