//! New passwords: looked at under the rules of their scope, hashed, stored.

use std::sync::Arc;

use policy_core::Scope;
use tokio::sync::Semaphore;

use super::policy::{PasswordPolicy, Weakness};
use super::{HashError, hash};
use crate::identity::{Directory, PasswordRules, StoreError};
use crate::secret::Secret;

/// Why a password was not set.
///
/// ```
/// use policy_runtime::authn::password::{PasswordError, Weakness};
/// assert_eq!(PasswordError::from(Weakness::Common).to_string(), Weakness::Common.to_string());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// The scope does not take it; the text is for whoever chose it.
    #[error(transparent)]
    Weak(#[from] Weakness),
    /// It cannot be hashed.
    #[error("the password cannot be hashed")]
    Hash(HashError),
    /// The store cannot be reached, or there is no such user.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Sets passwords; the only way to a hash that the rules of a scope have passed.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use std::sync::Arc;
/// use policy_runtime::Scope;
/// use policy_runtime::authn::password::{PasswordError, Passwords, Weakness};
/// use policy_runtime::identity::{Directory as _, MemoryStore, NewUser, PasswordRules};
/// use policy_runtime::secret::Secret;
///
/// let store = Arc::new(MemoryStore::default());
/// store.add_organization("acme").await.unwrap();
/// let acme = Scope::organization("acme").unwrap();
/// store.set_password_rules(&acme, Some(&PasswordRules { min_chars: 16, ..PasswordRules::default() })).await.unwrap();
/// let alice = store.add_user(NewUser::new(acme, "alice@example.com")).await.unwrap();
///
/// let passwords = Passwords::new(store);
/// let set = async |text: &str| passwords.set(&alice.id, Secret::new(text.to_owned())).await;
/// assert_eq!(set("correct horse").await, Err(PasswordError::Weak(Weakness::TooShort(16))));
/// assert_eq!(set("correct horse battery").await, Ok(()));
/// let known = ["bob@example.com"]; // of somebody who is not stored yet
/// assert!(passwords.hash_for(&alice.scope, Secret::new("bob@example.com".to_owned()), &known).await.is_err());
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct Passwords {
    store: Arc<dyn Directory>,
    permits: Arc<Semaphore>,
}

impl Passwords {
    /// Sets passwords in a store, one at a time.
    pub fn new(store: Arc<dyn Directory>) -> Self {
        Self { store, permits: Arc::new(Semaphore::new(1)) }
    }

    /// Where they are kept.
    #[cfg(feature = "signin")]
    pub(crate) fn store(&self) -> &Arc<dyn Directory> {
        &self.store
    }

    /// The policy of a scope: its own rules, or those of the nearest scope above that has some.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn policy(&self, scope: &Scope) -> Result<PasswordPolicy, StoreError> {
        let organization = scope.organization_id().cloned().map(Scope::Organization);
        for scope in [Some(scope.clone()), organization, Some(Scope::System)].into_iter().flatten() {
            if let Some(rules) = self.store.password_rules(&scope).await? {
                return Ok(rules.into());
            }
        }
        Ok(PasswordRules::default().into())
    }

    /// Checks and hashes a password for somebody of a scope; `known` are texts that others know of the user.
    ///
    /// # Errors
    /// When the scope does not take it, or the store cannot be reached.
    pub async fn hash_for(
        &self,
        scope: &Scope,
        password: Secret<String>,
        known: &[&str],
    ) -> Result<Secret<String>, PasswordError> {
        self.policy(scope).await?.check(&password, known)?;
        let _turn = self.permits.acquire().await;
        let hashed = tokio::task::spawn_blocking(move || hash(&password)).await;
        hashed.unwrap_or(Err(HashError::Failed)).map_err(PasswordError::Hash)
    }

    /// Gives a user another password. Whoever changes their own proves the one before by signing in with it first.
    ///
    /// # Errors
    /// When the user's scope does not take it, there is no such user, or the store cannot be reached.
    pub async fn set(&self, id: &str, password: Secret<String>) -> Result<(), PasswordError> {
        let missing = || StoreError::Missing { what: "user", name: id.to_owned() };
        let user = self.store.user(id).await?.ok_or_else(missing)?;
        let hashed = self.hash_for(&user.scope, password, &user.known()).await?;
        Ok(self.store.set_password(id, Some(&hashed)).await?)
    }
}
