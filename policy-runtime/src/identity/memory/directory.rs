//! What administrators change, in memory.

use std::collections::BTreeSet;
use std::future::ready;

use policy_core::value::Millis;
use policy_core::{Scope, Slug};

use super::{MemoryStore, missing};
use crate::id::random_id;
use crate::identity::directory::{Change, Changes, Directory, NewUser, Organization, Stored};
use crate::identity::provider::{Configuration, Reference};
use crate::identity::{ApiKeyRecord, ExternalIdentity, PasswordRules, StoreError, User};
use crate::secret::Secret;

/// An answer that is there at once.
fn done<'a, T: Send + 'a>(answer: Result<T, StoreError>) -> Stored<'a, T> {
    Box::pin(ready(answer))
}

impl Directory for MemoryStore {
    fn add_organization<'a>(&'a self, id: &'a str) -> Stored<'a, ()> {
        done(self.create_organization(id))
    }

    fn found_organization<'a>(&'a self, id: &'a str, founder: NewUser) -> Stored<'a, User> {
        let answer = founder.must_be_in(id).and_then(|()| {
            let mut inner = self.inner();
            let organization = inner.insert_organization(id)?;
            // Nobody sees it before the lock is free.
            let user = inner.insert_user(founder);
            if user.is_err() {
                inner.organizations.remove(&organization);
            }
            user
        });
        done(answer)
    }

    fn organizations(&self) -> Stored<'_, Vec<Organization>> {
        let inner = self.inner();
        done(Ok(inner.organizations.iter().map(|(id, suspended)| Organization::new(id.clone(), *suspended)).collect()))
    }

    fn set_suspended<'a>(&'a self, id: &'a str, suspended: bool) -> Stored<'a, ()> {
        done(self.suspend_organization(id, suspended))
    }

    fn add_application<'a>(&'a self, organization: &'a str, id: &'a str) -> Stored<'a, ()> {
        done(self.create_application(organization, id))
    }

    fn applications<'a>(&'a self, organization: &'a str) -> Stored<'a, Vec<Slug>> {
        let inner = self.inner();
        let own = inner.applications.iter().filter(|(_, owner)| owner.as_str() == organization);
        done(Ok(own.map(|(id, _)| id.clone()).collect()))
    }

    fn set_methods<'a>(&'a self, scope: &'a Scope, methods: Option<&'a BTreeSet<String>>) -> Stored<'a, ()> {
        let mut inner = self.inner();
        done(inner.require(scope).map(|()| {
            match methods {
                Some(methods) => inner.methods.insert(scope.clone(), methods.clone()),
                None => inner.methods.remove(scope),
            };
            inner.note([]);
            self.announce(inner);
        }))
    }

    fn methods(&self) -> Stored<'_, Vec<(Scope, BTreeSet<String>)>> {
        done(Ok(self.inner().methods.iter().map(|(scope, methods)| (scope.clone(), methods.clone())).collect()))
    }

    fn set_password_rules<'a>(&'a self, scope: &'a Scope, rules: Option<&'a PasswordRules>) -> Stored<'a, ()> {
        let mut inner = self.inner();
        done(rules.map_or(Ok(()), PasswordRules::check).and_then(|()| inner.require(scope)).map(|()| {
            match rules {
                Some(rules) => inner.password_rules.insert(scope.clone(), rules.clone()),
                None => inner.password_rules.remove(scope),
            };
        }))
    }

    fn password_rules<'a>(&'a self, scope: &'a Scope) -> Stored<'a, Option<PasswordRules>> {
        done(Ok(self.inner().password_rules.get(scope).cloned()))
    }

    fn add_user(&self, new: NewUser) -> Stored<'_, User> {
        done(self.create_user(new))
    }

    fn users<'a>(&'a self, scope: &'a Scope) -> Stored<'a, Vec<User>> {
        let inner = self.inner();
        done(Ok(inner.users.values().filter(|user| user.scope == *scope).map(|user| inner.seen(user)).collect()))
    }

    fn change_user<'a>(&'a self, id: &'a str, change: &'a Change) -> Stored<'a, User> {
        let changed = self.update_user(id, |user| change.apply_to_user(user));
        done(changed.map(|user| self.inner().seen(&user)))
    }

    fn change_user_and_password<'a>(
        &'a self,
        id: &'a str,
        change: &'a Change,
        hash: &'a Secret<String>,
    ) -> Stored<'a, User> {
        let mut inner = self.inner();
        let changed = inner
            .set_hash(id, Some(hash.clone()))
            .and_then(|()| inner.update_user(id, |user| change.apply_to_user(user)));
        let changed = changed.map(|user| inner.seen(&user));
        self.announce(inner);
        done(changed)
    }

    fn set_password<'a>(&'a self, id: &'a str, hash: Option<&'a Secret<String>>) -> Stored<'a, ()> {
        done(self.set_password_hash(id, hash.cloned()))
    }

    fn drop_user<'a>(&'a self, id: &'a str) -> Stored<'a, ()> {
        done(self.remove_user(id))
    }

    fn invite<'a>(&'a self, user: &'a str, hash: &'a [u8; 32], until: Millis) -> Stored<'a, ()> {
        let mut inner = self.inner();
        if !inner.users.contains_key(user) {
            return done(Err(missing("user", user)));
        }
        if inner.identities.values().any(|owner| owner == user) {
            return done(Err(StoreError::Exists { what: "identity of user", name: user.to_owned() }));
        }
        inner.invitations.retain(|_, (owner, _)| owner != user);
        inner.invitations.insert(*hash, (user.to_owned(), until));
        done(Ok(()))
    }

    fn accept<'a>(
        &'a self,
        scope: &'a Scope,
        hash: &'a [u8; 32],
        identity: &'a ExternalIdentity,
        now: Millis,
    ) -> Stored<'a, Option<User>> {
        let mut inner = self.inner();
        let key = (scope.clone(), identity.clone());
        let invited = inner.invitations.get(hash).filter(|(_, until)| *until > now).map(|(user, _)| user.clone());
        let free = |user: &String| {
            inner.users.get(user).is_some_and(|user| user.scope == *scope)
                && !inner.identities.contains_key(&key)
                && !inner.identities.values().any(|owner| owner == user)
        };
        let Some(id) = invited.filter(free) else { return done(Ok(None)) };
        inner.invitations.remove(hash);
        inner.identities.insert(key, id.clone());
        let user = inner.users.get_mut(&id).map(|user| {
            user.epoch += 1;
            user.clone()
        });
        let user = user.map(|user| inner.seen(&user));
        inner.note([id]);
        self.announce(inner);
        done(Ok(user))
    }

    fn add_key(&self, record: ApiKeyRecord) -> Stored<'_, ()> {
        done(self.insert_key(record))
    }

    fn keys<'a>(&'a self, scope: &'a Scope) -> Stored<'a, Vec<ApiKeyRecord>> {
        done(Ok(self.inner().keys.values().filter(|key| key.scope == *scope).cloned().collect()))
    }

    fn change_key<'a>(&'a self, id: &'a str, change: &'a Change) -> Stored<'a, ApiKeyRecord> {
        let changed = self.update_key(id, |key| change.apply_to_key(key));
        done(changed.and_then(|()| self.inner().keys.get(id).cloned().ok_or_else(|| missing("key", id))))
    }

    fn drop_key<'a>(&'a self, id: &'a str) -> Stored<'a, ()> {
        let mut inner = self.inner();
        done(inner.keys.remove(id).ok_or_else(|| missing("key", id)).map(|key| {
            inner.note([key.participant]);
            self.announce(inner);
        }))
    }

    fn put_configuration<'a>(&'a self, configuration: &'a Configuration) -> Stored<'a, ()> {
        let mut inner = self.inner();
        let is_known = inner.identities.keys().any(|(_, identity)| identity.configuration == configuration.name);
        let checked = inner.require(&configuration.owner).and_then(|()| {
            let earlier = inner.configurations.get(&configuration.name);
            earlier.map_or(Ok(()), |earlier| configuration.check_change(earlier, is_known))
        });
        done(checked.map(|()| {
            // Who it is shared with is another question.
            let earlier = inner.configurations.get(&configuration.name);
            let shared_with = earlier.map(|earlier| earlier.shared_with.clone()).unwrap_or_default();
            let configuration = Configuration { shared_with, ..configuration.clone() };
            inner.configurations.insert(configuration.name.clone(), configuration);
            inner.note([]);
            self.announce(inner);
        }))
    }

    fn configurations(&self) -> Stored<'_, Vec<Configuration>> {
        done(Ok(self.inner().configurations.values().cloned().collect()))
    }

    fn drop_configuration<'a>(&'a self, name: &'a str) -> Stored<'a, ()> {
        let mut inner = self.inner();
        if inner.identities.keys().any(|(_, identity)| identity.configuration == name) {
            return done(Err(StoreError::Invalid(format!("users are known by configuration `{name}`"))));
        }
        done(inner.configurations.remove(name).ok_or_else(|| missing("configuration", name)).map(|_| {
            inner.references.retain(|(configuration, _), _| configuration != name);
            inner.note([]);
            self.announce(inner);
        }))
    }

    fn share<'a>(&'a self, configuration: &'a str, scope: &'a Scope, shared: bool) -> Stored<'a, ()> {
        let mut inner = self.inner();
        let checked = inner.require(scope).and_then(|()| {
            inner.configurations.get_mut(configuration).ok_or_else(|| missing("configuration", configuration)).map(
                |found| {
                    if shared {
                        found.shared_with.insert(scope.clone());
                    } else {
                        found.shared_with.remove(scope);
                    }
                    found.admits(scope)
                },
            )
        });
        done(checked.map(|admits| {
            if !admits {
                inner.references.remove(&(configuration.to_owned(), scope.clone()));
            }
            inner.note([]);
            self.announce(inner);
        }))
    }

    fn put_reference<'a>(&'a self, reference: &'a Reference) -> Stored<'a, ()> {
        let mut inner = self.inner();
        let checked = inner.require(&reference.scope).and_then(|()| {
            let found = inner.configurations.get(&reference.configuration);
            let found = found.ok_or_else(|| missing("configuration", &reference.configuration))?;
            if found.admits(&reference.scope) { Ok(()) } else { Err(super::super::directory::not_shared(reference)) }
        });
        done(checked.map(|()| {
            inner.references.insert((reference.configuration.clone(), reference.scope.clone()), reference.clone());
            inner.note([]);
            self.announce(inner);
        }))
    }

    fn references(&self) -> Stored<'_, Vec<Reference>> {
        done(Ok(self.inner().references.values().cloned().collect()))
    }

    fn drop_reference<'a>(&'a self, configuration: &'a str, scope: &'a Scope) -> Stored<'a, ()> {
        let mut inner = self.inner();
        let removed = inner.references.remove(&(configuration.to_owned(), scope.clone()));
        done(removed.ok_or_else(|| missing("reference to configuration", configuration)).map(|_| {
            inner.note([]);
            self.announce(inner);
        }))
    }

    fn use_once<'a>(&'a self, id: &'a str, until: Millis, now: Millis) -> Stored<'a, bool> {
        let mut inner = self.inner();
        inner.used.retain(|_, until| *until >= now);
        done(Ok(inner.used.insert(id.to_owned(), until).is_none()))
    }

    fn offer_bootstrap<'a>(&'a self, hash: &'a [u8; 32], until: Millis) -> Stored<'a, bool> {
        let mut inner = self.inner();
        if !inner.is_bootstrapped {
            inner.bootstrap = Some((*hash, until));
        }
        done(Ok(!inner.is_bootstrapped))
    }

    fn bootstrap<'a>(&'a self, hash: &'a [u8; 32], operator: NewUser, now: Millis) -> Stored<'a, Option<User>> {
        let mut inner = self.inner();
        let fits = inner.bootstrap.is_some_and(|(offered, until)| offered == *hash && until > now);
        if !fits || inner.is_bootstrapped {
            return done(Ok(None));
        }
        done(inner.insert_user(operator).map(|user| {
            inner.is_bootstrapped = true;
            inner.bootstrap = None;
            Some(user)
        }))
    }

    fn epoch(&self) -> Stored<'_, String> {
        done(Ok(self.inner().epoch.clone()))
    }

    fn begin_epoch(&self) -> Stored<'_, String> {
        let fresh = random_id().map_err(|error| StoreError::Unavailable(error.to_string()));
        done(fresh.inspect(|epoch| {
            let mut inner = self.inner();
            inner.epoch.clone_from(epoch);
            inner.used.clear();
            inner.invitations.clear();
            inner.users.values_mut().for_each(|user| user.epoch += 1);
            let everybody: Vec<String> = inner.users.keys().cloned().collect();
            inner.note(everybody);
            self.announce(inner);
        }))
    }

    fn changed_since(&self, number: Option<u64>) -> Stored<'_, Changes> {
        let inner = self.inner();
        let is_later = |at: u64| number.is_some_and(|number| at > number);
        let later = inner.log.iter().filter(|(at, _)| is_later(*at));
        let ended = inner.ended.iter().filter(|(at, ..)| is_later(*at));
        done(Ok(Changes {
            number: inner.number,
            participants: later.map(|(_, participant)| participant.clone()).collect(),
            ended: ended.map(|(_, participant, epoch)| (participant.clone(), *epoch)).collect(),
            everybody: number.is_some_and(|number| number > inner.number),
        }))
    }
}
