//! A store in memory, for tests and demonstrations.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use policy_core::value::Millis;
use policy_core::{Scope, Slug};
use tokio::sync::watch;

use super::provider::{Configuration, Reference};
use super::{
    ApiKeyRecord, EmailKey, ExternalIdentity, IdentityStore, KeyStore, NewUser, PasswordRules, StoreError, User,
    UserStore,
};
use crate::id::random_id;
use crate::secret::Secret;
use futures_util::future::BoxFuture;

mod directory;

/// Organizations, applications and users in memory.
///
/// ```
/// use policy_core::Scope;
/// use policy_runtime::identity::{MemoryStore, NewUser};
/// let store = MemoryStore::default();
/// store.create_organization("acme").unwrap();
/// store.create_application("acme", "orders").unwrap();
/// let orders = Scope::application("acme", "orders").unwrap();
/// let alice = store.create_user(NewUser::new(orders, "alice@example.com").role("finance")).unwrap();
/// assert!(alice.roles.contains("finance"));
/// let alice = store.update_user(&alice.id, |user| user.enabled = false).unwrap();
/// assert!(!alice.enabled);
/// store.set_password_hash(&alice.id, None).unwrap();
/// store.suspend_organization("acme", true).unwrap();
/// store.remove_user(&alice.id).unwrap();
/// assert!(store.remove_user(&alice.id).is_err());
/// ```
#[derive(Debug)]
pub struct MemoryStore {
    inner: Mutex<Inner>,
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Organizations, and whether each is suspended.
    organizations: BTreeMap<Slug, bool>,
    /// Applications, whose ids are unique in the deployment, and their organizations.
    applications: BTreeMap<Slug, Slug>,
    users: BTreeMap<String, User>,
    emails: BTreeMap<(Scope, EmailKey), String>,
    hashes: BTreeMap<String, Secret<String>>,
    identities: BTreeMap<(Scope, ExternalIdentity), String>,
    keys: BTreeMap<String, ApiKeyRecord>,
    methods: BTreeMap<Scope, BTreeSet<String>>,
    password_rules: BTreeMap<Scope, PasswordRules>,
    invitations: BTreeMap<[u8; 32], (String, Millis)>,
    configurations: BTreeMap<String, Configuration>,
    references: BTreeMap<(String, Scope), Reference>,
    used: BTreeMap<String, Millis>,
    bootstrap: Option<([u8; 32], Millis)>,
    is_bootstrapped: bool,
    epoch: String,
    /// The number of the latest change, and whom each change concerns.
    number: u64,
    log: Vec<(u64, String)>,
    /// Which changes end the sessions of whom: those that were opened before an epoch of theirs.
    ended: Vec<(u64, String, u64)>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self { inner: Mutex::default(), changed: watch::channel(0).0 }
    }
}

fn missing(what: &'static str, name: &str) -> StoreError {
    StoreError::Missing { what, name: name.to_owned() }
}

fn slug(id: &str) -> Result<Slug, StoreError> {
    Slug::new(id).map_err(|error| StoreError::Invalid(error.to_string()))
}

impl MemoryStore {
    /// A number that grows with every change; waiting on it tells when participants must be built again.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Every change below leaves the maps whole, so a panic elsewhere spoils nothing.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of a change, once the lock is free.
    fn announce(&self, inner: MutexGuard<'_, Inner>) {
        let number = inner.number;
        drop(inner);
        self.changed.send_modify(|n| *n = number.max(*n));
    }

    /// Creates an organization.
    ///
    /// # Errors
    /// When the id is no slug or taken.
    pub fn create_organization(&self, id: &str) -> Result<(), StoreError> {
        self.inner().insert_organization(id).map(|_| ())
    }

    /// Creates an application; its id is unique in the deployment.
    ///
    /// # Errors
    /// When an id is no slug, the organization is unknown or the application's id is taken.
    pub fn create_application(&self, organization: &str, id: &str) -> Result<(), StoreError> {
        let (organization, id) = (slug(organization)?, slug(id)?);
        let mut inner = self.inner();
        if !inner.organizations.contains_key(&organization) {
            return Err(missing("organization", organization.as_str()));
        }
        if inner.applications.contains_key(&id) {
            return Err(StoreError::Exists { what: "application", name: id.to_string() });
        }
        inner.applications.insert(id, organization);
        Ok(())
    }

    /// Creates a user; (scope, e-mail) is one identity.
    ///
    /// # Errors
    /// When the scope is unknown, the address is none, or the identity exists.
    pub fn create_user(&self, new: NewUser) -> Result<User, StoreError> {
        self.inner().insert_user(new)
    }

    /// Changes a user and raises its epoch; id and scope stay.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn update_user(&self, id: &str, change: impl FnOnce(&mut User)) -> Result<User, StoreError> {
        let mut inner = self.inner();
        let changed = inner.update_user(id, change)?;
        self.announce(inner);
        Ok(changed)
    }

    /// Sets or removes a password hash and raises the user's epoch. Invitations end.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn set_password_hash(&self, id: &str, hash: Option<Secret<String>>) -> Result<(), StoreError> {
        let mut inner = self.inner();
        inner.set_hash(id, hash)?;
        self.announce(inner);
        Ok(())
    }

    /// Suspends an organization or lifts that; nobody of its scopes signs in meanwhile.
    ///
    /// # Errors
    /// When there is no such organization.
    pub fn suspend_organization(&self, id: &str, suspended: bool) -> Result<(), StoreError> {
        let id = slug(id)?;
        let mut inner = self.inner();
        let state = inner.organizations.get_mut(&id).ok_or_else(|| missing("organization", id.as_str()))?;
        *state = suspended;
        let mut concerned = Vec::new();
        for user in inner.users.values_mut().filter(|user| user.scope.organization_id() == Some(&id)) {
            user.epoch += 1;
            concerned.push(user.id.clone());
        }
        for key in inner.keys.values_mut().filter(|key| key.scope.organization_id() == Some(&id)) {
            key.epoch += 1;
            concerned.push(key.participant.clone());
        }
        inner.note(concerned);
        self.announce(inner);
        Ok(())
    }

    /// Removes a user with its password; its id is never given again.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn remove_user(&self, id: &str) -> Result<(), StoreError> {
        let mut inner = self.inner();
        inner.users.remove(id).ok_or_else(|| missing("user", id))?;
        inner.hashes.remove(id);
        inner.emails.retain(|_, owner| owner != id);
        inner.identities.retain(|_, owner| owner != id);
        inner.invitations.retain(|_, (owner, _)| owner != id);
        inner.note([id.to_owned()]);
        self.announce(inner);
        Ok(())
    }

    /// Keeps an API key's record.
    ///
    /// # Errors
    /// When the scope is unknown or the key's id is taken.
    pub fn insert_key(&self, record: ApiKeyRecord) -> Result<(), StoreError> {
        let mut inner = self.inner();
        inner.require(&record.scope)?;
        if inner.keys.contains_key(&record.id) {
            return Err(StoreError::Exists { what: "key", name: record.id });
        }
        inner.keys.insert(record.id.clone(), record);
        Ok(())
    }

    /// Changes an API key's record (its roles, its expiry, whether it is enabled) and raises its epoch.
    ///
    /// # Errors
    /// When there is no such key.
    pub fn update_key(&self, id: &str, change: impl FnOnce(&mut ApiKeyRecord)) -> Result<(), StoreError> {
        let mut inner = self.inner();
        let record = inner.keys.get_mut(id).ok_or_else(|| missing("key", id))?;
        change(record);
        record.epoch += 1;
        let participant = record.participant.clone();
        inner.note([participant]);
        self.announce(inner);
        Ok(())
    }
}

impl Inner {
    /// Notes whom a change concerns.
    fn note(&mut self, participants: impl IntoIterator<Item = String>) {
        self.number += 1;
        self.log.extend(participants.into_iter().map(|participant| (self.number, participant)));
    }

    fn update_user(&mut self, id: &str, change: impl FnOnce(&mut User)) -> Result<User, StoreError> {
        let user = self.users.get_mut(id).ok_or_else(|| missing("user", id))?;
        let mut changed = user.clone();
        change(&mut changed);
        let changed = User {
            id: user.id.clone(),
            scope: user.scope.clone(),
            email: user.email.clone(),
            epoch: user.epoch + 1,
            ..changed
        };
        *user = changed.clone();
        self.note([id.to_owned()]);
        Ok(changed)
    }

    fn set_hash(&mut self, id: &str, hash: Option<Secret<String>>) -> Result<(), StoreError> {
        let user = self.users.get_mut(id).ok_or_else(|| missing("user", id))?;
        user.epoch += 1;
        let epoch = user.epoch;
        match hash {
            Some(hash) => self.hashes.insert(id.to_owned(), hash),
            None => self.hashes.remove(id),
        };
        self.invitations.retain(|_, (owner, _)| owner != id);
        self.note([id.to_owned()]);
        let ended = (self.number, id.to_owned(), epoch);
        self.ended.push(ended);
        Ok(())
    }

    fn insert_organization(&mut self, id: &str) -> Result<Slug, StoreError> {
        let id = slug(id)?;
        if self.organizations.contains_key(&id) {
            return Err(StoreError::Exists { what: "organization", name: id.to_string() });
        }
        self.organizations.insert(id.clone(), false);
        Ok(id)
    }

    fn insert_user(&mut self, new: NewUser) -> Result<User, StoreError> {
        let key = EmailKey::new(&new.email).map_err(|error| StoreError::Invalid(error.to_string()))?;
        let id = format!("u_{}", random_id().map_err(|e| StoreError::Unavailable(e.to_string()))?);
        self.require(&new.scope)?;
        let identity = (new.scope.clone(), key);
        if self.emails.contains_key(&identity) {
            return Err(StoreError::Exists { what: "user", name: new.email });
        }
        let user = User {
            email: Some(new.email.trim().to_owned()),
            display_name: new.display_name,
            roles: new.roles,
            attributes: new.attributes,
            tenant: new.tenant,
            epoch: 1,
            ..User::new(id.clone(), new.scope)
        };
        self.emails.insert(identity, id.clone());
        self.users.insert(id.clone(), user.clone());
        if let Some(hash) = new.hash {
            self.hashes.insert(id, hash);
        }
        Ok(user)
    }

    fn require(&self, scope: &Scope) -> Result<(), StoreError> {
        let known = match scope {
            Scope::System => true,
            Scope::Organization(id) => self.organizations.contains_key(id),
            Scope::Application { organization, application } => {
                self.applications.get(application) == Some(organization)
            }
        };
        if known { Ok(()) } else { Err(missing("scope", &scope.to_string())) }
    }

    fn suspended(&self, scope: &Scope) -> bool {
        scope.organization_id().is_some_and(|id| self.organizations.get(id).copied().unwrap_or(true))
    }

    fn seen(&self, user: &User) -> User {
        User { enabled: user.enabled && !self.suspended(&user.scope), ..user.clone() }
    }
}

impl UserStore for MemoryStore {
    fn user_by_email<'a>(
        &'a self,
        scope: &'a Scope,
        email: &'a EmailKey,
    ) -> BoxFuture<'a, Result<Option<User>, StoreError>> {
        let inner = self.inner();
        let id = inner.emails.get(&(scope.clone(), email.clone()));
        let user = id.and_then(|id| inner.users.get(id)).map(|user| inner.seen(user));
        Box::pin(async move { Ok(user) })
    }

    fn user<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<User>, StoreError>> {
        let inner = self.inner();
        let user = inner.users.get(id).map(|user| inner.seen(user));
        Box::pin(async move { Ok(user) })
    }

    fn password_hash<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<Secret<String>>, StoreError>> {
        let hash = self.inner().hashes.get(id).cloned();
        Box::pin(async move { Ok(hash) })
    }

    fn replace_hash<'a>(
        &'a self,
        id: &'a str,
        verified: &'a Secret<String>,
        stronger: &'a Secret<String>,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        let mut inner = self.inner();
        let done = match inner.hashes.get_mut(id) {
            Some(stored) if stored.expose() == verified.expose() => {
                *stored = stronger.clone();
                true
            }
            _ => false,
        };
        Box::pin(async move { Ok(done) })
    }

    fn scope_of_application<'a>(&'a self, id: &'a Slug) -> BoxFuture<'a, Result<Option<Scope>, StoreError>> {
        let organization = self.inner().applications.get(id).cloned();
        let scope = organization.map(|organization| Scope::Application { organization, application: id.clone() });
        Box::pin(async move { Ok(scope) })
    }
}

impl IdentityStore for MemoryStore {
    fn user_of<'a>(
        &'a self,
        scope: &'a Scope,
        identity: &'a ExternalIdentity,
    ) -> BoxFuture<'a, Result<Option<User>, StoreError>> {
        let inner = self.inner();
        let id = inner.identities.get(&(scope.clone(), identity.clone()));
        let user = id.and_then(|id| inner.users.get(id)).map(|user| inner.seen(user));
        Box::pin(async move { Ok(user) })
    }

    fn bind<'a>(
        &'a self,
        scope: &'a Scope,
        email: &'a EmailKey,
        identity: &'a ExternalIdentity,
    ) -> BoxFuture<'a, Result<Option<User>, StoreError>> {
        let mut inner = self.inner();
        let key = (scope.clone(), identity.clone());
        let id = inner.emails.get(&(scope.clone(), email.clone())).cloned();
        // Never a user who has an identity already, and never an identity that is somebody's.
        let free = |id: &String| !inner.identities.contains_key(&key) && !inner.identities.values().any(|at| at == id);
        let user = id.filter(free).and_then(|id| {
            let user = inner.users.get_mut(&id)?;
            user.epoch += 1;
            let user = user.clone();
            inner.invitations.retain(|_, (owner, _)| *owner != id);
            inner.identities.insert(key, id);
            Some(inner.seen(&user))
        });
        Box::pin(async move { Ok(user) })
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
        let mut inner = self.inner();
        let key = (scope.clone(), identity.clone());
        let user = if inner.identities.contains_key(&key) {
            Err(StoreError::Exists { what: "identity", name: identity.subject.clone() })
        } else {
            inner.insert_user(new)
        };
        if let Ok(user) = &user {
            inner.identities.insert(key, user.id.clone());
        }
        let user = user.map(|user| inner.seen(&user));
        Box::pin(async move { user })
    }
}

impl KeyStore for MemoryStore {
    fn key<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<ApiKeyRecord>, StoreError>> {
        let inner = self.inner();
        let record = inner.keys.get(id).map(|record| ApiKeyRecord {
            enabled: record.enabled && !inner.suspended(&record.scope),
            ..record.clone()
        });
        Box::pin(async move { Ok(record) })
    }

    fn used<'a>(&'a self, id: &'a str, at: Millis) -> BoxFuture<'a, Result<(), StoreError>> {
        if let Some(record) = self.inner().keys.get_mut(id) {
            record.last_used = Some(record.last_used.map_or(at, |earlier| earlier.max(at)));
        }
        Box::pin(async { Ok(()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (MemoryStore, Scope) {
        let store = MemoryStore::default();
        store.create_organization("acme").unwrap();
        store.create_application("acme", "orders").unwrap();
        (store, Scope::application("acme", "orders").unwrap())
    }

    #[tokio::test]
    async fn one_identity_per_scope_and_address() {
        let (store, orders) = store();
        let acme = Scope::organization("acme").unwrap();
        let first = store.create_user(NewUser::new(orders.clone(), "Alice@Example.com")).unwrap();
        let again = store.create_user(NewUser::new(orders.clone(), "alice@example.COM "));
        assert!(matches!(again, Err(StoreError::Exists { .. })));
        let elsewhere = store.create_user(NewUser::new(acme, "alice@example.com")).unwrap();
        assert_ne!(first.id, elsewhere.id);
        let key = EmailKey::new("ALICE@example.com").unwrap();
        let found = store.user_by_email(&orders, &key).await.unwrap().unwrap();
        assert_eq!((found.id, found.email.as_deref()), (first.id, Some("Alice@Example.com")));
    }

    #[tokio::test]
    async fn changes_raise_the_epoch_and_are_announced() {
        let (store, orders) = store();
        let mut seen = store.changes();
        let user = store.create_user(NewUser::new(orders, "a@b.example")).unwrap();
        let changed = store
            .update_user(&user.id, |user| {
                user.roles.insert("admin".into());
                user.id = "forged".into();
                user.scope = Scope::System;
            })
            .unwrap();
        assert_eq!((&changed.id, &changed.scope), (&user.id, &user.scope));
        assert!(changed.epoch > user.epoch && seen.has_changed().unwrap());
        seen.mark_unchanged();
        store.suspend_organization("acme", true).unwrap();
        let suspended = store.user(&user.id).await.unwrap().unwrap();
        assert!(!suspended.enabled && suspended.epoch > changed.epoch && seen.has_changed().unwrap());
        store.suspend_organization("acme", false).unwrap();
        assert!(store.user(&user.id).await.unwrap().unwrap().enabled);
        store.remove_user(&user.id).unwrap();
        assert_eq!(store.user(&user.id).await.unwrap(), None);
    }

    #[test]
    fn unknown_scopes_and_taken_ids_are_refused() {
        let (store, _) = store();
        store.create_organization("globex").unwrap();
        let errors = [
            store.create_organization("acme").unwrap_err(),
            store.create_organization("Not A Slug").unwrap_err(),
            store.create_application("globex", "orders").unwrap_err(),
            store.create_application("nobody", "x").unwrap_err(),
            store.create_user(NewUser::new(Scope::application("globex", "orders").unwrap(), "a@b.c")).unwrap_err(),
        ];
        assert!(matches!(errors[2], StoreError::Exists { .. }) && matches!(errors[4], StoreError::Missing { .. }));
    }
}
