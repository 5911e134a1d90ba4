//! API keys of machines.

use std::collections::{BTreeMap, BTreeSet};

use policy_core::Scope;
use policy_core::value::{Millis, Value};

use super::decide::Right;
use super::members::refuse_built_in;
use super::{Admin, AdminError};
use crate::authn::api_key::generate;
use crate::identity::{ApiKeyRecord, User};
use crate::secret::Secret;
use crate::security::SecurityContext;

/// A key to make.
///
/// ```
/// use policy_runtime::admin::NewKey;
/// let key = NewKey { name: "deployments".into(), roles: ["developer".to_owned()].into(), ..NewKey::default() };
/// # drop(key);
/// ```
#[derive(Debug, Clone, Default)]
#[expect(clippy::exhaustive_structs, reason = "whoever makes a key says all of it")]
pub struct NewKey {
    /// The name to show.
    pub name: String,
    /// Roles of its own.
    pub roles: BTreeSet<String>,
    /// Attributes of its own, that rules read.
    pub attributes: BTreeMap<String, Value>,
    /// The tenant it works for.
    pub tenant: Option<String>,
    /// When it ends, in milliseconds since 1970.
    pub expires_at: Option<i64>,
}

impl Admin {
    /// The keys of a scope, without the keys.
    ///
    /// # Errors
    /// When the caller may not.
    pub async fn keys(&self, cx: &SecurityContext, scope: &Scope) -> Result<Vec<ApiKeyRecord>, AdminError> {
        let _ = self.permit(cx, Right::LIST_KEYS, scope).await?;
        Ok(self.store.keys(scope).await?)
    }

    /// Makes a key; it is shown once, here.
    ///
    /// # Errors
    /// When the caller may not, the key could do more than the caller, or an attribute is built in.
    pub async fn create_key(
        &self,
        cx: &SecurityContext,
        scope: &Scope,
        new: NewKey,
    ) -> Result<(Secret<String>, ApiKeyRecord), AdminError> {
        let permitted = self.permit(cx, Right::CREATE_KEY, scope).await?;
        if new.expires_at.is_some_and(|end| end <= self.policy.clock().now().0) {
            return Err(AdminError::Invalid("the key would have ended already".into()));
        }
        refuse_built_in(new.attributes.keys())?;
        let (key, mut record) = generate(scope.clone())?;
        (record.name, record.roles, record.tenant) = (new.name, new.roles, new.tenant);
        record.attributes = new.attributes.into_iter().collect();
        record.expires_at = new.expires_at.map(Millis);
        self.refuse_beyond(cx, scope, &[holder(&record).participant()])?;
        let roles = record.roles.iter().cloned().collect::<Vec<_>>().join(" ");
        let permitted = permitted.about("key", &record.id).detail("roles", roles);
        self.change(permitted, async { Ok(self.store.add_key(record.clone()).await?) }).await?;
        Ok((key, record))
    }

    /// Revokes a key, and with it its connections.
    ///
    /// # Errors
    /// When the caller may not, the scope has no such key, or the key may do more than the caller.
    pub async fn revoke_key(&self, cx: &SecurityContext, scope: &Scope, id: &str) -> Result<(), AdminError> {
        let permitted = self.permit(cx, Right::REVOKE_KEY, scope).await?;
        let found = self.store.key(id).await?.filter(|key| key.scope == *scope);
        let found = found.ok_or_else(|| AdminError::Missing { what: "key", name: id.to_owned() })?;
        self.refuse_beyond(cx, scope, &[holder(&found).participant()])?;
        self.change(permitted.about("key", id), async { Ok(self.store.drop_key(id).await?) }).await
    }
}

/// Who somebody with the key is.
pub(super) fn holder(record: &ApiKeyRecord) -> User {
    let mut user = User::new(record.participant.clone(), record.scope.clone());
    user.roles.clone_from(&record.roles);
    user.attributes.clone_from(&record.attributes);
    user.tenant.clone_from(&record.tenant);
    user
}
