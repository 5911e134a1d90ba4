//! What was decided, who signed in, what was changed: for those who may read it.

use policy_core::Scope;

use super::decide::Right;
use super::{Admin, AdminError};
use crate::audit::journal::{Anchor, Count, Filter, Stored, Verified};
use crate::security::SecurityContext;

impl Admin {
    /// Finds records of a scope; the filter's own scope does not count.
    ///
    /// # Errors
    /// When the caller may not.
    pub async fn records(
        &self,
        cx: &SecurityContext,
        scope: &Scope,
        filter: Filter,
    ) -> Result<Vec<Stored>, AdminError> {
        let _ = self.permit(cx, Right::VIEW_AUDIT, scope).await?;
        Ok(self.journal.query(&Filter { scope: scope.to_string(), ..filter }).await?)
    }

    /// A page of what is exported, as JSON lines; ask again after the last number.
    ///
    /// # Errors
    /// When the caller may not.
    pub async fn export_records(
        &self,
        cx: &SecurityContext,
        scope: &Scope,
        filter: Filter,
    ) -> Result<Vec<Stored>, AdminError> {
        let _ = self.permit(cx, Right::EXPORT_AUDIT, scope).await?;
        Ok(self.journal.query(&Filter { scope: scope.to_string(), ..filter }).await?)
    }

    /// Counts decisions of a scope by action, caller and outcome.
    ///
    /// # Errors
    /// When the caller may not.
    pub async fn counts(&self, cx: &SecurityContext, scope: &Scope, filter: Filter) -> Result<Vec<Count>, AdminError> {
        let _ = self.permit(cx, Right::OBSERVE, scope).await?;
        Ok(self.journal.counts(&Filter { scope: scope.to_string(), ..filter }).await?)
    }

    /// Follows a scope's chain, and through an anchor that was kept elsewhere.
    ///
    /// # Errors
    /// When the caller may not, or the chain is not as it was written.
    pub async fn verify_records(
        &self,
        cx: &SecurityContext,
        scope: &Scope,
        anchor: Option<&Anchor>,
    ) -> Result<Verified, AdminError> {
        let _ = self.permit(cx, Right::VERIFY_AUDIT, scope).await?;
        Ok(self.journal.verify(&scope.to_string(), anchor).await?)
    }

    /// Signs the end of a scope's chain, to be kept elsewhere; `None` while there are no records.
    ///
    /// # Errors
    /// When the caller may not.
    pub async fn anchor(&self, cx: &SecurityContext, scope: &Scope) -> Result<Option<Anchor>, AdminError> {
        let _ = self.permit(cx, Right::VERIFY_AUDIT, scope).await?;
        let (all, name) = (self.journal.anchors(self.policy.clock().now().0).await?, scope.to_string());
        Ok(all.into_iter().find(|anchor| anchor.scope == name))
    }
}
