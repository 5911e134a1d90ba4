//! Second factors as they are stored.

use super::Stored;
use crate::secret::Secret;

/// A user's second factor.
///
/// ```
/// use policy_runtime::identity::Factor;
/// fn counts(factor: &Factor) -> bool {
///     factor.confirmed
/// }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Factor {
    /// What codes are made of.
    pub seed: Secret<Vec<u8>>,
    /// Whether a first code was shown.
    pub confirmed: bool,
    /// How many recovery codes were not used.
    pub recovery_left: u64,
}

/// Where second factors are kept.
///
/// ```
/// use policy_runtime::identity::{FactorStore, StoreError};
/// async fn has_one(store: &dyn FactorStore, user: &str) -> Result<bool, StoreError> {
///     Ok(store.factor(user).await?.is_some_and(|factor| factor.confirmed))
/// }
/// ```
pub trait FactorStore: std::fmt::Debug + Send + Sync {
    /// The second factor of a user.
    fn factor<'a>(&'a self, user: &'a str) -> Stored<'a, Option<Factor>>;

    /// Keeps a seed that does not count yet; false when there is one that does.
    fn propose<'a>(&'a self, user: &'a str, seed: &'a Secret<Vec<u8>>) -> Stored<'a, bool>;

    /// Makes a proposed seed count, with hashes of recovery codes; false when it is another one by now.
    fn confirm<'a>(
        &'a self,
        user: &'a str,
        seed: &'a Secret<Vec<u8>>,
        step: i64,
        recovery: &'a [[u8; 32]],
    ) -> Stored<'a, bool>;

    /// Uses the code of a step; false when that or a later one was used, by whichever server.
    fn use_step<'a>(&'a self, user: &'a str, step: i64) -> Stored<'a, bool>;

    /// Uses a recovery code by its hash; false when there is none such.
    fn use_recovery<'a>(&'a self, user: &'a str, hash: &'a [u8; 32]) -> Stored<'a, bool>;

    /// Replaces the recovery codes.
    fn replace_recovery<'a>(&'a self, user: &'a str, recovery: &'a [[u8; 32]]) -> Stored<'a, ()>;

    /// Removes a second factor.
    fn drop_factor<'a>(&'a self, user: &'a str) -> Stored<'a, ()>;

    /// Removes a second factor that counts, and ends whatever its user has opened; false when there is none.
    fn take_factor<'a>(&'a self, user: &'a str) -> Stored<'a, bool>;
}
