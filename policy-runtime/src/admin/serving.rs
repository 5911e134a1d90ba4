//! Programs of applications: what they declare, and the sets that those without the database take.

use policy_core::{Decision, Scope};
use serde_json::Value;

use super::decide::{Permitted, Right, decide, missing, record};
use super::{Admin, AdminError};
use crate::audit::{AuditLog as _, RecordKind};
use crate::authn::token::Issuer;
use crate::code::Code;
use crate::denied::Denied;
use crate::security::SecurityContext;
use crate::sets::bundle::Bundle;
use crate::sets::content::hash;
use crate::sets::{OnBreak, RegisteredManifest};

/// The longest name of a version, and the longest nonce, in bytes.
const NAME: usize = 100;

impl Admin {
    /// Says what becomes of manifests that break active rules.
    #[must_use]
    pub fn on_break(mut self, on_break: OnBreak) -> Self {
        self.on_break = on_break;
        self
    }

    /// The manifests of a scope's applications, the earliest first.
    ///
    /// # Errors
    /// When the caller may not.
    pub async fn manifests(&self, cx: &SecurityContext, scope: &Scope) -> Result<Vec<RegisteredManifest>, AdminError> {
        let _ = self.permit(cx, Right::LIST_POLICIES, scope).await?;
        Ok(self.sets.manifests(scope).await?)
    }

    /// A manifest of an application, and what moved in the program since the one that was accepted before it.
    ///
    /// # Errors
    /// When the caller may not, or there is none of that hash.
    pub async fn manifest_of(
        &self,
        cx: &SecurityContext,
        application: &Scope,
        hash: &str,
    ) -> Result<(RegisteredManifest, Vec<String>), AdminError> {
        let mut all = self.manifests(cx, application).await?;
        all.retain(|one| one.scope == *application && one.hash == hash);
        let moved = self.sets.moved_in(application, hash).await?;
        let found = all.pop().ok_or(AdminError::Missing { what: "manifest", name: "of that hash".into() })?;
        Ok((found, moved))
    }

    /// Removes the manifests of a scope's applications whose programs are long gone, as far as no active rule needs them.
    ///
    /// # Errors
    /// When the caller may not, or programs start or policies are activated meanwhile.
    pub async fn prune_manifests(
        &self,
        cx: &SecurityContext,
        scope: &Scope,
    ) -> Result<Vec<RegisteredManifest>, AdminError> {
        let permitted = self.permit(cx, Right::ACCEPT_MANIFEST, scope).await?.about("manifests", &scope.to_string());
        let pruned = Box::pin(self.sets.prune_manifests(scope, self.now()));
        self.change(permitted, async { Ok(pruned.await?) }).await
    }

    /// Opens what a flagged manifest of an application has closed.
    ///
    /// # Errors
    /// When the caller may not, there is none of that hash, or an active rule does not check in it.
    pub async fn accept_manifest(
        &self,
        cx: &SecurityContext,
        application: &Scope,
        hash: &str,
    ) -> Result<RegisteredManifest, AdminError> {
        let permitted = self.permit(cx, Right::ACCEPT_MANIFEST, application).await?;
        let permitted = permitted.about("manifest", &application.to_string()).detail("hash", hash.to_owned());
        let accepted = Box::pin(self.sets.accept_manifest(application, hash));
        self.change(permitted, async { Ok(accepted.await?) }).await
    }

    /// Registers what the caller, a program of the application, declares. A refusal is an answer.
    ///
    /// # Errors
    /// When the caller may not, or it is no manifest.
    pub async fn register_manifest(
        &self,
        cx: &SecurityContext,
        application: &Scope,
        version: &str,
        manifest: &Value,
    ) -> Result<RegisteredManifest, AdminError> {
        let permitted = self.serve(cx, "Platform.manifests.register", application).await?;
        if version.len() > NAME || version.chars().any(char::is_control) {
            return Err(AdminError::Invalid(format!("a version is named in at most {NAME} bytes")));
        }
        let text = manifest.to_string();
        let permitted = permitted.about("manifest", &application.to_string()).detail("version", version.to_owned());
        let (on_break, now) = (self.on_break, self.now());
        let registered = Box::pin(self.sets.register_manifest(application, version, &text, on_break, now));
        self.change(permitted, async { Ok(registered.await?) }).await
    }

    /// The sets that decide for the application of the caller, a program that registered a manifest of this hash.
    ///
    /// # Errors
    /// When the caller may not, or no such manifest is registered.
    pub(super) async fn bundle(
        &self,
        cx: &SecurityContext,
        application: &Scope,
        (manifest, nonce): (&str, &str),
        issuer: &Issuer,
    ) -> Result<Bundle, AdminError> {
        let _ = self.serve(cx, "Platform.sets.take", application).await?;
        if nonce.len() > NAME {
            return Err(AdminError::Invalid(format!("a nonce has at most {NAME} bytes")));
        }
        if !self.sets.heard_of(application, manifest, self.now()).await? {
            return Err(AdminError::Missing { what: "manifest", name: "of that hash".into() });
        }
        let content = self.sets.content(application, manifest).await?;
        let content = serde_json::to_string(&content).map_err(|error| AdminError::Unavailable(error.to_string()))?;
        let statement = issuer.sign_sets(application, nonce, &hash(&content)).expose().clone();
        Ok(Bundle { statement, content })
    }

    /// Asks the policies of the application itself; of another one than the caller's, nothing is told.
    async fn serve(&self, cx: &SecurityContext, action: &str, application: &Scope) -> Result<Permitted, AdminError> {
        let own = cx.participant().scope();
        if own != application || own.application_id().is_none() {
            return Err(missing(application));
        }
        let time = self.now();
        let decision = decide(self.policy.engine(), cx.participant(), cx.facts(), action, application, time);
        let record = |kind, time| record(cx, kind, action, application, time);
        match decision {
            Some(Decision::Allow(allowed)) => Ok(Permitted {
                record: record(RecordKind::Change, time.0).revisions(&allowed.revisions),
                cx: cx.clone(),
            }),
            Some(Decision::Deny(_)) | None => {
                let denied = Denied::new(Code::AccessDenied);
                let mut record = record(RecordKind::Decision, time.0).decision(denied.id());
                record.outcome = "deny";
                if let Some(Decision::Deny(denial)) = decision {
                    record = record.denial(&denial);
                    self.policy.remember(&denied, *denial);
                }
                self.journal.note(&record).await?;
                Err(denied.into())
            }
        }
    }
}
