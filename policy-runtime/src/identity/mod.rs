//! What is stored about those who may sign in: users, their scopes, roles and password hashes.
//!
//! In: ids and values. Out: [`User`]s. [`UserStore`] is small, so that an application can put its own table behind it;
//! [`Directory`] is the whole, with what administrators change: [`MemoryStore`] for tests and demonstrations, `SqlStore` in
//! SQLite or PostgreSQL. Password hashes stand apart from users, in a type that cannot
//! be printed. Absent: how a password is checked, and any decision.

use std::collections::BTreeSet;

use policy_core::participant::ParticipantBuilder;
use policy_core::value::Value;
use policy_core::{Participant, Scope, Slug};

use crate::secret::Secret;
use futures_util::future::BoxFuture;

mod api_key;
mod directory;
mod email;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod encode;
mod external;
mod factor;
#[cfg(feature = "signin")]
pub(crate) mod link;
mod memory;
mod password;
mod people;
mod provider;
mod session;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;

pub use api_key::{ApiKeyRecord, KeyStore};
pub use directory::{Change, Changes, Directory, NewUser, Organization, Stored};
pub use email::{EmailError, EmailKey};
pub use external::{ExternalIdentity, IdentityStore};
pub use factor::{Factor, FactorStore};
pub use memory::MemoryStore;
pub use password::PasswordRules;
pub use people::{ADMIN_ROLES, PeopleRules, Registering, Registration, SecondFactorRule, SignInRules};
pub use provider::{
    AttributeSettings, Configuration, MfaSettings, ProviderSettings, ProvisioningSettings, Reference,
    ReferenceSettings, TenantSettings,
};
pub use session::{Added, EndOf, SessionRecord, SessionStore};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use sql::SqlStore;
#[cfg(feature = "signin")]
pub(crate) use sql::identities::{Linked, Unlinked};
#[cfg(feature = "signin")]
pub(crate) use sql::links::slug_of;

/// A person (or whatever has a password) in exactly one scope.
///
/// ```
/// use policy_core::Scope;
/// use policy_runtime::identity::User;
/// let mut alice = User::new("u-1", Scope::organization("acme").unwrap());
/// alice.roles.insert("admin".to_owned());
/// assert_eq!(alice.participant().build().roles().len(), 1);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct User {
    /// Opaque, made by us, never reused.
    pub id: String,
    /// Where it may sign in.
    pub scope: Scope,
    /// The address as it was spelled at registration.
    pub email: Option<String>,
    /// The name to show.
    pub display_name: Option<String>,
    /// Roles in the scope.
    pub roles: BTreeSet<String>,
    /// The application's own attributes.
    pub attributes: Vec<(String, Value)>,
    /// The tenant; from provisioning alone.
    pub tenant: Option<String>,
    /// Whether it may sign in; also false while its organization is suspended.
    pub enabled: bool,
    /// Grows with every change that a decision may depend on.
    pub epoch: u64,
}

impl User {
    /// Makes an enabled user without roles; a store of your own starts here and sets the public fields.
    pub fn new(id: impl Into<String>, scope: Scope) -> Self {
        Self {
            id: id.into(),
            scope,
            email: None,
            display_name: None,
            roles: BTreeSet::new(),
            attributes: Vec::new(),
            tenant: None,
            enabled: true,
            epoch: 0,
        }
    }

    /// What others know of it, and no password may be made of.
    #[cfg(feature = "password")]
    pub(crate) fn known(&self) -> Vec<&str> {
        [&self.email, &self.display_name].into_iter().filter_map(|text| text.as_deref()).collect()
    }

    /// Starts the participant that this user becomes.
    pub fn participant(&self) -> ParticipantBuilder {
        let mut builder =
            Participant::builder(self.scope.clone(), &self.id).roles(self.roles.iter().map(String::as_str));
        if let Some(email) = &self.email {
            builder = builder.email(email);
        }
        if let Some(name) = &self.display_name {
            builder = builder.display_name(name);
        }
        if let Some(tenant) = &self.tenant {
            builder = builder.tenant(tenant);
        }
        for (name, value) in &self.attributes {
            builder = builder.attribute(name, value.clone());
        }
        builder
    }
}

/// What a store could not do.
///
/// ```
/// use policy_runtime::identity::{MemoryStore, StoreError};
/// let error = MemoryStore::default().create_application("nowhere", "orders").unwrap_err();
/// assert!(matches!(error, StoreError::Missing { .. }), "{error}");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store cannot be reached or failed; the text is for the log.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// Something of that name is there already.
    #[error("{what} `{name}` exists already")]
    Exists {
        /// What it is.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// Nothing of that name is there.
    #[error("there is no {what} `{name}`")]
    Missing {
        /// What it would be.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A value cannot be stored.
    #[error("{0}")]
    Invalid(String),
}

/// Where users of a scope are found; implement it over a table of your own.
///
/// ```
/// use policy_core::{Scope, Slug};
/// use policy_runtime::authn::BoxFuture;
/// use policy_runtime::identity::{EmailKey, StoreError, User, UserStore};
/// use policy_runtime::secret::Secret;
///
/// /// The application's own table: id, e-mail in lower case, hash.
/// #[derive(Debug)]
/// struct Staff(Vec<(String, String, Secret<String>)>);
///
/// impl Staff {
///     fn row(&self, id: &str) -> Option<&(String, String, Secret<String>)> {
///         self.0.iter().find(|row| row.0 == id)
///     }
/// }
///
/// impl UserStore for Staff {
///     fn user_by_email<'a>(
///         &'a self,
///         scope: &'a Scope,
///         email: &'a EmailKey,
///     ) -> BoxFuture<'a, Result<Option<User>, StoreError>> {
///         let row = self.0.iter().find(|row| row.1 == email.as_str());
///         let user = row.map(|row| User::new(row.0.clone(), scope.clone()));
///         Box::pin(async move { Ok(user) })
///     }
///
///     fn password_hash<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<Secret<String>>, StoreError>> {
///         let hash = self.row(id).map(|row| row.2.clone());
///         Box::pin(async move { Ok(hash) })
///     }
/// }
/// ```
pub trait UserStore: std::fmt::Debug + Send + Sync {
    /// Finds a user by scope and address, disabled ones too.
    fn user_by_email<'a>(
        &'a self,
        scope: &'a Scope,
        email: &'a EmailKey,
    ) -> BoxFuture<'a, Result<Option<User>, StoreError>>;

    /// The user's password hash, if it has a password.
    fn password_hash<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<Secret<String>>, StoreError>>;

    /// Replaces a password hash that was verified by a stronger one of the same password, unless it was changed since;
    /// answers whether it did. A store that keeps its hashes elsewhere leaves this out.
    fn replace_hash<'a>(
        &'a self,
        id: &'a str,
        verified: &'a Secret<String>,
        stronger: &'a Secret<String>,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        let _ = (id, verified, stronger);
        Box::pin(async { Ok(false) })
    }

    /// Finds a user by id, disabled ones too; what rebuilds the participant of a live connection.
    fn user<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<User>, StoreError>> {
        let _ = id;
        Box::pin(async { Ok(None) })
    }

    /// The scope of an application that was named by its id alone.
    fn scope_of_application<'a>(&'a self, id: &'a Slug) -> BoxFuture<'a, Result<Option<Scope>, StoreError>> {
        let _ = id;
        Box::pin(async { Ok(None) })
    }
}
