//! Users who prove themselves elsewhere: what their provider calls them, and whom that is here.

use futures_util::future::BoxFuture;
use policy_core::Scope;
use serde::{Deserialize, Serialize};

use super::{EmailKey, StoreError, User};

/// What a provider calls somebody: unique within a scope, whatever the address says.
///
/// ```
/// use policy_runtime::identity::ExternalIdentity;
/// let identity = ExternalIdentity {
///     configuration: "corporate".into(),
///     issuer: "https://idp.example".into(),
///     machine: false,
///     number: false,
///     subject: "u-1".into(),
/// };
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ExternalIdentity {
    /// The configuration that verified it.
    pub configuration: String,
    /// The issuer.
    pub issuer: String,
    /// Whether it is a machine.
    pub machine: bool,
    /// Whether the issuer wrote the subject as a number.
    pub number: bool,
    /// The subject, as typed.
    pub subject: String,
}

/// Where the users of external identities are found, bound and created.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use policy_core::Scope;
/// use policy_runtime::identity::{ExternalIdentity, IdentityStore, MemoryStore};
///
/// let store = MemoryStore::default();
/// store.create_organization("acme").unwrap();
/// let acme = Scope::organization("acme").unwrap();
/// let identity = ExternalIdentity { configuration: "c".into(), issuer: "https://idp.example".into(), machine: false, number: false, subject: "7".into() };
/// let user = store.create(&acme, "alice@example.com", None, &[], &identity).await.unwrap();
/// assert_eq!(store.user_of(&acme, &identity).await.unwrap().unwrap().id, user.id);
/// # }
/// ```
pub trait IdentityStore: std::fmt::Debug + Send + Sync {
    /// Finds the user of an identity, disabled ones too.
    fn user_of<'a>(
        &'a self,
        scope: &'a Scope,
        identity: &'a ExternalIdentity,
    ) -> BoxFuture<'a, Result<Option<User>, StoreError>>;

    /// Binds an identity to the user of an address, if there is one who has no identity yet and the identity is nobody
    /// else's; all at once, so that two sign-ins cannot both do it.
    fn bind<'a>(
        &'a self,
        scope: &'a Scope,
        email: &'a EmailKey,
        identity: &'a ExternalIdentity,
    ) -> BoxFuture<'a, Result<Option<User>, StoreError>>;

    /// Creates a user with an identity.
    ///
    /// Fails with [`StoreError::Exists`] when the address or the identity is somebody's already.
    fn create<'a>(
        &'a self,
        scope: &'a Scope,
        email: &'a str,
        display_name: Option<&'a str>,
        roles: &'a [String],
        identity: &'a ExternalIdentity,
    ) -> BoxFuture<'a, Result<User, StoreError>>;
}
