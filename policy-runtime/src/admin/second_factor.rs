//! Taking away a second factor that its user has lost.

use std::sync::Arc;

use policy_core::Scope;

use super::decide::Right;
use super::{Admin, AdminError};
use crate::events::EventKind;
use crate::identity::FactorStore;
use crate::security::SecurityContext;

impl Admin {
    /// Lets second factors be taken away that are kept there; without it there are none.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use policy_runtime::admin::Admin;
    /// use policy_runtime::identity::SqlStore;
    /// fn ready(admin: Admin, store: &SqlStore) -> Admin {
    ///     admin.with_second_factors(Arc::new(store.clone()))
    /// }
    /// ```
    #[must_use]
    pub fn with_second_factors(mut self, factors: Arc<dyn FactorStore>) -> Self {
        self.factors = Some(factors);
        self
    }

    /// Removes the second factor of somebody who has lost it, with its recovery codes; sessions, tokens and connections of the
    /// user end, and the password alone counts again, or lets a new one be set up where one is required.
    ///
    /// # Errors
    /// When the caller may not, it is the caller's own (which a code of it removes), the scope has no such user, the user has none,
    /// or may do more than the caller.
    ///
    /// ```
    /// use policy_runtime::admin::{Admin, AdminError};
    /// use policy_runtime::{Scope, SecurityContext};
    /// async fn lost(admin: &Admin, owner: &SecurityContext, shop: &Scope, user: &str) -> Result<(), AdminError> {
    ///     admin.remove_second_factor(owner, shop, user).await
    /// }
    /// ```
    pub async fn remove_second_factor(&self, cx: &SecurityContext, scope: &Scope, id: &str) -> Result<(), AdminError> {
        let permitted = self.permit(cx, Right::REMOVE_SECOND_FACTOR, scope).await?;
        // Whoever has found an open browser must not get rid of what it asks for next.
        if cx.participant().id() == id && cx.participant().scope() == scope {
            return Err(AdminError::Invalid("one's own second factor is removed with a code of it".into()));
        }
        let user = self.user_of(scope, id).await?;
        self.refuse_beyond(cx, scope, &[user.participant()])?;
        let missing = || AdminError::Missing { what: "second factor of user", name: id.to_owned() };
        let factors = self.factors.as_ref().ok_or_else(missing)?;
        let taken = async { if factors.take_factor(id).await? { Ok(()) } else { Err(missing()) } };
        self.change(permitted.about("user", id), taken).await?;
        self.tell_of(EventKind::CredentialChanged, cx, "second_factor.remove", id, scope).await;
        Ok(())
    }
}
