//! Drafts in shadow: asked beside the active set, and only counted.

use policy_core::Scope;

use super::decide::Right;
use super::{Admin, AdminError};
use crate::security::SecurityContext;
use crate::sets::Shadow;

impl Admin {
    /// Puts a version into shadow, in place of an earlier one: from now on every server asks it about each decision, and counts
    /// what it would turn.
    ///
    /// # Errors
    /// When the caller may not try policies, or the version does not check.
    pub async fn shadow(&self, cx: &SecurityContext, scope: &Scope, number: i64) -> Result<Shadow, AdminError> {
        let permitted = self.permit(cx, Right::TRY, scope).await?;
        let version = self.sets.version(scope, number).await?;
        self.policy.engine().check(scope, &version.source)?;
        let permitted = permitted.about("shadow", &scope.to_string()).detail("version", number.to_string());
        let (actor, now) = (cx.participant().uid_id(), self.policy.clock().now());
        let begun = Box::pin(self.sets.shadow(scope, number, actor, now));
        self.change(permitted, async { Ok(begun.await?) }).await?;
        self.cast(scope).await
    }

    /// The draft in shadow, and what all servers have counted.
    ///
    /// # Errors
    /// When the caller may not try policies, or there is none.
    pub async fn shadowed(&self, cx: &SecurityContext, scope: &Scope) -> Result<Shadow, AdminError> {
        let _ = self.permit(cx, Right::TRY, scope).await?;
        self.cast(scope).await
    }

    /// Asks the draft no more, and forgets what was counted.
    ///
    /// # Errors
    /// When the caller may not try policies, or there is none.
    pub async fn end_shadow(&self, cx: &SecurityContext, scope: &Scope) -> Result<(), AdminError> {
        let permitted = self.permit(cx, Right::TRY, scope).await?.about("shadow", &scope.to_string());
        let ended = Box::pin(self.sets.end_shadow(scope));
        self.change(permitted, async { if ended.await? { Ok(()) } else { Err(none(scope)) } }).await?;
        Ok(self.sets.cast_shadows(&self.policy).await?)
    }

    /// A draft that decides is in shadow no more.
    pub(super) async fn leave_shadow(&self, scope: &Scope, number: i64) -> Result<(), AdminError> {
        if self.sets.shadow_of(scope).await?.is_some_and(|shadow| shadow.number == number) {
            self.sets.end_shadow(scope).await?;
            self.sets.cast_shadows(&self.policy).await?;
        }
        Ok(())
    }

    async fn cast(&self, scope: &Scope) -> Result<Shadow, AdminError> {
        // What this server has counted is told at once, and what the others have within their second.
        self.sets.cast_shadows(&self.policy).await?;
        self.sets.shadow_of(scope).await?.ok_or_else(|| none(scope))
    }
}

fn none(scope: &Scope) -> AdminError {
    AdminError::Missing { what: "draft in shadow of", name: scope.to_string() }
}
