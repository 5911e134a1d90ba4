//! What an operation needs that nobody is asked about: the caller's own, and what the caller has just made.

use policy_core::Scope;
use policy_core::value::Millis;
use serde_json::Value;

use super::decide::Right;
use super::{Admin, AdminError};
use crate::identity::User;
use crate::security::SecurityContext;
use crate::sets::SetVersion;

impl Admin {
    /// What there is to write rules about: actions, services, their rules and kinds, of all live programs, as JSON.
    ///
    /// # Errors
    /// When the caller may not see the scope's policies.
    pub async fn manifest(&self, cx: &SecurityContext, scope: &Scope) -> Result<Value, AdminError> {
        let _ = self.permit(cx, Right::LIST_POLICIES, scope).await?;
        Ok(self.sets.vocabulary(&self.policy, scope, self.now()).await?)
    }

    /// The user that the caller is.
    pub(super) async fn own_user(&self, cx: &SecurityContext) -> Result<User, AdminError> {
        let own = cx.participant();
        let found = self.store.user(own.id()).await?.filter(|user| user.scope == *own.scope());
        found.ok_or_else(|| AdminError::Missing { what: "user", name: own.id().to_owned() })
    }

    /// A version that the caller has just saved.
    pub(super) async fn drafted(&self, scope: &Scope, number: i64) -> Result<SetVersion, AdminError> {
        Ok(self.sets.version(scope, number).await?)
    }

    pub(super) fn now(&self) -> Millis {
        self.policy.clock().now()
    }
}
