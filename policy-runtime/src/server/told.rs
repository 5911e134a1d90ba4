//! A store that tells every change that goes through it, so that none can be made without its event.
//!
//! In: the store, and where events go. Out: the same store. Whoever acts is found where the work runs: the caller of a
//! guarded method, or whoever is just signing in; else it is who was named by [`Told::acting`].

#![expect(clippy::elidable_lifetime_names, reason = "the macros write every method in one form")]

use std::collections::BTreeSet;
use std::sync::Arc;

use policy_core::value::Millis;
use policy_core::{Scope, Slug};

use crate::clock::Clock;
use crate::events::{Actor, Event, EventKind, EventSink};
use crate::identity::{
    ApiKeyRecord, Change, Changes, Configuration, Directory, EmailKey, ExternalIdentity, IdentityStore, KeyStore,
    NewUser, Organization, PasswordRules, Reference, StoreError, Stored, User, UserStore,
};
use crate::secret::Secret;
use crate::security::SecurityContext;

/// A store of which every change is told.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use std::sync::Arc;
/// use policy_runtime::clock::SystemClock;
/// use policy_runtime::events::{Actor, MemoryEvents};
/// use policy_runtime::identity::{Directory as _, MemoryStore};
/// use policy_runtime::server::Told;
///
/// let events = Arc::new(MemoryEvents::default());
/// let store = Told::new(Arc::new(MemoryStore::default()), events.clone(), Arc::new(SystemClock));
/// store.acting(Actor::new(Some("installer"), None)).add_organization("acme").await.unwrap();
/// assert_eq!(events.all()[0].what, "organization.create");
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct Told {
    store: Arc<dyn Directory>,
    events: Arc<dyn EventSink>,
    clock: Arc<dyn Clock>,
    actor: Actor,
}

use EventKind::{ConfigurationChanged, CredentialChanged};

impl Told {
    /// Tells the changes of this store.
    pub fn new(store: Arc<dyn Directory>, events: Arc<dyn EventSink>, clock: Arc<dyn Clock>) -> Self {
        Self { store, events, clock, actor: Actor::default() }
    }

    /// The same store for changes of an actor that no request tells.
    #[must_use]
    pub fn acting(&self, actor: Actor) -> Self {
        Self { actor, ..self.clone() }
    }

    fn actor(&self) -> Actor {
        match SecurityContext::current() {
            Some(cx) => cx.actor(),
            None => Actor::current().unwrap_or_else(|| self.actor.clone()),
        }
    }

    /// A change is made once it is stored; that its event was not taken stands in the log, with all that it says.
    async fn tell(&self, kind: EventKind, what: &str, target: &str, scope: &Scope, detail: Option<String>) {
        let mut event = Event::new(kind, self.clock.now(), self.actor(), what).target(target).within(scope);
        event.detail = detail;
        if let Err(error) = self.events.note(&event).await {
            tracing::error!(target: "policy::server", %error, ?event, "an event was not taken");
        }
    }

    async fn user_changed(&self, what: &str, user: &User) {
        self.tell(CredentialChanged, what, &user.id, &user.scope, None).await;
    }

    async fn scope_of_user(&self, id: &str) -> Result<Scope, StoreError> {
        let user = self.store.user(id).await?;
        user.map(|user| user.scope).ok_or_else(|| StoreError::Missing { what: "user", name: id.to_owned() })
    }

    async fn owner(&self, configuration: &str) -> Result<Scope, StoreError> {
        let all = self.store.configurations().await?;
        Ok(all.into_iter().find(|known| known.name == configuration).map_or(Scope::System, |known| known.owner))
    }
}

/// What changes nothing, or nothing that anybody signs in with.
macro_rules! as_it_is {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $out:ty;)+) => {$(
        fn $name<'a>(&'a self $(, $argument: $type)*) -> Stored<'a, $out> {
            self.store.$name($($argument),*)
        }
    )+};
}

/// A change, and then its event: `kind, what, target, scope, detail`.
macro_rules! told {
    ($(
        fn $name:ident($($argument:ident: $type:ty),*) -> $out:ty
            $(, first $before:ident = $looked_up:expr)? => |$self:ident, $done:ident| $told:expr;
    )+) => {$(
        fn $name<'a>(&'a self $(, $argument: $type)*) -> Stored<'a, $out> {
            Box::pin(async move {
                let $self = self;
                $(let $before = $looked_up.await?;)?
                let $done = self.store.$name($($argument),*).await?;
                $told.await;
                Ok($done)
            })
        }
    )+};
}

impl UserStore for Told {
    as_it_is! {
        fn user_by_email(scope: &'a Scope, email: &'a EmailKey) -> Option<User>;
        fn password_hash(id: &'a str) -> Option<Secret<String>>;
        fn user(id: &'a str) -> Option<User>;
        fn scope_of_application(id: &'a Slug) -> Option<Scope>;
    }
    told! {
        fn replace_hash(id: &'a str, verified: &'a Secret<String>, stronger: &'a Secret<String>) -> bool,
            first scope = this.scope_of_user(id) =>
            |this, done| async {
                if done {
                    this.tell(CredentialChanged, "password.rehash", id, &scope, None).await;
                }
            };
    }
}

impl IdentityStore for Told {
    as_it_is! {
        fn user_of(scope: &'a Scope, identity: &'a ExternalIdentity) -> Option<User>;
    }
    told! {
        fn bind(scope: &'a Scope, email: &'a EmailKey, identity: &'a ExternalIdentity) -> Option<User> =>
            |this, bound| async {
                if let Some(user) = &bound {
                    this.user_changed("user.bind", user).await;
                }
            };
        fn create(
            scope: &'a Scope, email: &'a str, name: Option<&'a str>, roles: &'a [String], identity: &'a ExternalIdentity
        ) -> User => |this, user| this.user_changed("user.create", &user);
    }
}

impl KeyStore for Told {
    as_it_is! {
        fn key(id: &'a str) -> Option<ApiKeyRecord>;
        fn used(id: &'a str, at: Millis) -> ();
    }
}

impl Directory for Told {
    as_it_is! {
        fn organizations() -> Vec<Organization>;
        fn applications(organization: &'a str) -> Vec<Slug>;
        fn scopes() -> Vec<Scope>;
        fn methods() -> Vec<(Scope, BTreeSet<String>)>;
        fn users(scope: &'a Scope) -> Vec<User>;
        fn personal(id: &'a str) -> serde_json::Map<String, serde_json::Value>;
        fn keys(scope: &'a Scope) -> Vec<ApiKeyRecord>;
        fn configurations() -> Vec<Configuration>;
        fn references() -> Vec<Reference>;
        fn password_rules(scope: &'a Scope) -> Option<PasswordRules>;
        fn use_once(id: &'a str, until: Millis, now: Millis) -> bool;
        fn epoch() -> String;
        fn changed_since(number: Option<u64>) -> Changes;
    }
    told! {
        fn add_organization(id: &'a str) -> () =>
            |this, done| this.tell(ConfigurationChanged, "organization.create", id, &Scope::System, None);
        fn found_organization(id: &'a str, founder: NewUser) -> User => |this, user| async {
            this.tell(ConfigurationChanged, "organization.create", id, &Scope::System, None).await;
            this.user_changed("user.create", &user).await;
        };
        fn set_suspended(id: &'a str, suspended: bool) -> () => |this, done| async {
            let what = if suspended { "organization.suspend" } else { "organization.resume" };
            this.tell(ConfigurationChanged, what, id, &Scope::System, None).await;
        };
        fn add_application(organization: &'a str, id: &'a str) -> () => |this, done| async {
            let within = Scope::organization(organization).unwrap_or(Scope::System);
            this.tell(ConfigurationChanged, "application.create", id, &within, None).await;
        };
        fn set_methods(scope: &'a Scope, methods: Option<&'a BTreeSet<String>>) -> () => |this, done| async {
            let on = methods.map(|on| on.iter().map(String::as_str).collect::<Vec<_>>().join(" "));
            let on = on.unwrap_or_else(|| "all".to_owned());
            this.tell(ConfigurationChanged, "methods.set", &scope.to_string(), scope, Some(on)).await;
        };
        fn set_password_rules(scope: &'a Scope, rules: Option<&'a PasswordRules>) -> () =>
            |this, done| this.tell(ConfigurationChanged, "passwords.set", &scope.to_string(), scope, None);
        fn add_user(new: NewUser) -> User => |this, user| this.user_changed("user.create", &user);
        fn change_user(id: &'a str, change: &'a Change) -> User => |this, user| async {
            this.tell(CredentialChanged, "user.change", id, &user.scope, Some(change.summary())).await;
        };
        fn change_user_and_password(id: &'a str, change: &'a Change, hash: &'a Secret<String>) -> User =>
            |this, user| async {
                this.tell(CredentialChanged, "password.set", id, &user.scope, None).await;
                this.tell(CredentialChanged, "user.change", id, &user.scope, Some(change.summary())).await;
            };
        fn set_password(id: &'a str, hash: Option<&'a Secret<String>>) -> (),
            first scope = this.scope_of_user(id) => |this, done| async {
            let what = if hash.is_some() { "password.set" } else { "password.remove" };
            this.tell(CredentialChanged, what, id, &scope, None).await;
        };
        fn drop_user(id: &'a str) -> (), first scope = this.scope_of_user(id) =>
            |this, done| this.tell(CredentialChanged, "user.drop", id, &scope, None);
        fn invite(user: &'a str, hash: &'a [u8; 32], until: Millis) -> (), first scope = this.scope_of_user(user) =>
            |this, done| this.tell(CredentialChanged, "user.invite", user, &scope, None);
        fn accept(scope: &'a Scope, hash: &'a [u8; 32], identity: &'a ExternalIdentity, now: Millis) -> Option<User> =>
            |this, bound| async {
                if let Some(user) = &bound {
                    this.user_changed("user.accept", user).await;
                }
            };
        fn add_key(record: ApiKeyRecord) -> (), first key = async { Ok::<_, StoreError>(record.clone()) } =>
            |this, done| this.tell(CredentialChanged, "key.create", &key.id, &key.scope, None);
        fn change_key(id: &'a str, change: &'a Change) -> ApiKeyRecord => |this, key| async {
            this.tell(CredentialChanged, "key.change", id, &key.scope, Some(change.summary())).await;
        };
        fn drop_key(id: &'a str) -> (), first key = this.store.key(id) => |this, done| async {
            let scope = key.map_or(Scope::System, |key| key.scope);
            this.tell(CredentialChanged, "key.drop", id, &scope, None).await;
        };
        fn put_configuration(configuration: &'a Configuration) -> () => |this, done| this.tell(
            ConfigurationChanged, "provider.put", &configuration.name, &configuration.owner, None
        );
        fn drop_configuration(name: &'a str) -> (), first owner = this.owner(name) =>
            |this, done| this.tell(ConfigurationChanged, "provider.drop", name, &owner, None);
        fn share(configuration: &'a str, scope: &'a Scope, shared: bool) -> (), first owner = this.owner(configuration) =>
            |this, done| async {
                let what = if shared { "provider.share" } else { "provider.unshare" };
                this.tell(ConfigurationChanged, what, configuration, &owner, Some(scope.to_string())).await;
            };
        fn put_reference(reference: &'a Reference) -> () => |this, done| this.tell(
            ConfigurationChanged, "provider.use", &reference.configuration, &reference.scope, None
        );
        fn drop_reference(configuration: &'a str, scope: &'a Scope) -> () =>
            |this, done| this.tell(ConfigurationChanged, "provider.unuse", configuration, scope, None);
        fn offer_bootstrap(hash: &'a [u8; 32], until: Millis) -> bool => |this, open| async {
            if open {
                this.tell(CredentialChanged, "bootstrap.offer", "token", &Scope::System, None).await;
            }
        };
        fn bootstrap(hash: &'a [u8; 32], operator: NewUser, now: Millis) -> Option<User> => |this, made| async {
            if let Some(user) = &made {
                this.user_changed("user.create", user).await;
            }
        };
        fn begin_epoch() -> String =>
            |this, epoch| this.tell(ConfigurationChanged, "deployment.epoch", &epoch, &Scope::System, None);
    }
}
