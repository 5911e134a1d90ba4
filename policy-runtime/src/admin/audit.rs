//! What was decided, who signed in, what was changed: for those who may read it.

use std::collections::BTreeSet;

use policy_core::Scope;
use policy_core::name::nearest;
use serde_json::Value;

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

    /// The actions, by full names, of which every decision in a scope and below it is recorded before anything is done: those of
    /// which that was said there at run time.
    ///
    /// # Errors
    /// When the caller may not.
    pub async fn required_audit(&self, cx: &SecurityContext, scope: &Scope) -> Result<BTreeSet<String>, AdminError> {
        let _ = self.permit(cx, Right::VIEW_AUDIT, scope).await?;
        Ok(self.sets.required_audit().await?.remove(scope).unwrap_or_default())
    }

    /// Says of which actions that is so; every server of the database follows within a second. What the programs declare, the
    /// configuration says, or the scopes above say, stays so.
    ///
    /// # Errors
    /// When the caller may not, or no live program of the scope has such an action.
    pub async fn require_audit(
        &self,
        cx: &SecurityContext,
        scope: &Scope,
        actions: &BTreeSet<String>,
    ) -> Result<(), AdminError> {
        let permitted = self.permit(cx, Right::SETTINGS, scope).await?;
        let all = self.sets.vocabulary(&self.policy, scope, self.now()).await?;
        let all = all.get("actions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let known: BTreeSet<&str> = all.iter().filter_map(|one| one.get("action")?.as_str()).collect();
        // What was said of a program that is gone may stay.
        let before = self.sets.required_audit().await?.remove(scope).unwrap_or_default();
        if let Some(unknown) = actions.difference(&before).find(|action| !known.contains(action.as_str())) {
            let near = nearest(unknown, known.iter().copied());
            let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            return Err(AdminError::Invalid(format!("no program of {scope} has the action `{unknown}`{near}")));
        }
        let said = actions.iter().cloned().collect::<Vec<_>>().join(" ");
        let permitted = permitted.about("scope", &scope.to_string()).detail("requiredAudit", said);
        let saved = Box::pin(self.sets.require_audit(scope, actions));
        self.change(permitted, async { Ok(saved.await?) }).await?;
        self.tell(cx, "audit.require", &scope.to_string(), scope).await;
        Ok(self.sets.follow_required_audit(&self.policy).await?)
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
