//! Organizations, applications, and the platform itself.

use std::collections::BTreeSet;

use policy_core::{Scope, Slug};

use super::decide::Right;
use super::{Admin, AdminError, NewMember};
use crate::identity::{Organization, Registering, SignInRules, User};
use crate::security::SecurityContext;

fn slug(id: &str) -> Result<Slug, AdminError> {
    Slug::new(id).map_err(|error| AdminError::Invalid(error.to_string()))
}

impl Admin {
    /// All organizations, for operators of the platform; for members, their own.
    ///
    /// # Errors
    /// When the caller may not.
    pub async fn organizations(&self, cx: &SecurityContext) -> Result<Vec<Organization>, AdminError> {
        let own = cx.participant().scope();
        let scope = if own.organization_id().is_some() { own } else { &Scope::System };
        let _ = self.permit(cx, Right::LIST_ORGANIZATIONS, scope).await?;
        let mut all = self.store.organizations().await?;
        all.retain(|one| scope.organization_id().is_none_or(|own| *own == one.id));
        Ok(all)
    }

    /// Creates an organization with its first owner, who assigns all further roles: operators do not.
    ///
    /// # Errors
    /// When the caller may not, or there is one of that name.
    pub async fn create_organization(
        &self,
        cx: &SecurityContext,
        id: &str,
        owner: NewMember,
    ) -> Result<User, AdminError> {
        let permitted = self.permit(cx, Right::CREATE_ORGANIZATION, &Scope::System).await?;
        let scope = Scope::Organization(slug(id)?);
        let owner = owner.role("owner").prepare(&scope, &self.passwords).await?;
        self.change(permitted.about("organization", id), async {
            let owner = self.store.found_organization(id, owner).await?;
            self.policy.add(&scope)?;
            Ok(owner)
        })
        .await
    }

    /// Suspends an organization, or lifts that; nobody of its scopes signs in meanwhile.
    ///
    /// # Errors
    /// When the caller may not, or there is none of that name.
    pub async fn suspend_organization(
        &self,
        cx: &SecurityContext,
        id: &str,
        suspended: bool,
    ) -> Result<(), AdminError> {
        let right = if suspended { Right::SUSPEND } else { Right::RESUME };
        let permitted = self.permit(cx, right, &Scope::System).await?;
        let id = slug(id)?;
        let change = self.store.set_suspended(id.as_str(), suspended);
        self.change(permitted.about("organization", id.as_str()), async { Ok(change.await?) }).await
    }

    /// The applications of an organization.
    ///
    /// # Errors
    /// When the caller may not.
    pub async fn applications(&self, cx: &SecurityContext, organization: &Scope) -> Result<Vec<Slug>, AdminError> {
        let _ = self.permit(cx, Right::LIST_APPLICATIONS, organization).await?;
        let id = organization.organization_id().map_or("", Slug::as_str);
        Ok(self.store.applications(id).await?)
    }

    /// Creates an application.
    ///
    /// # Errors
    /// When the caller may not, or the name is taken in the deployment.
    pub async fn create_application(
        &self,
        cx: &SecurityContext,
        organization: &Scope,
        id: &str,
    ) -> Result<Scope, AdminError> {
        let Some(owner) = organization.organization_id().filter(|_| organization.application_id().is_none()) else {
            return Err(AdminError::Invalid("applications belong to organizations".into()));
        };
        let permitted = self.permit(cx, Right::CREATE_APPLICATION, organization).await?;
        let scope = Scope::Application { organization: owner.clone(), application: slug(id)? };
        self.change(permitted.about("application", id), async {
            self.store.add_application(owner.as_str(), id).await?;
            self.policy.add(&scope)?;
            Ok(())
        })
        .await?;
        Ok(scope)
    }

    /// The methods of signing in that administrators said are on in a scope; `None` where nothing was said, and all are.
    ///
    /// # Errors
    /// When the caller may not.
    pub async fn methods(&self, cx: &SecurityContext, scope: &Scope) -> Result<Option<BTreeSet<String>>, AdminError> {
        let _ = self.permit(cx, Right::VIEW, scope).await?;
        Ok(self.store.methods().await?.into_iter().find(|(at, _)| at == scope).map(|(_, on)| on))
    }

    /// Says which methods of signing in are on in a scope, or with `None` that all are; servers follow, and
    /// what others have opened ends. An application without any is retired: its name is kept, and nobody comes in.
    ///
    /// # Errors
    /// When the caller may not; or, but for an application, nobody could sign in, or nobody of those who may change the policies.
    pub async fn set_methods(
        &self,
        cx: &SecurityContext,
        scope: &Scope,
        methods: Option<&BTreeSet<String>>,
    ) -> Result<(), AdminError> {
        let right = if scope.application_id().is_some() { Right::UPDATE_APPLICATION } else { Right::SETTINGS };
        let permitted = self.permit(cx, right, scope).await?;
        if scope.application_id().is_none() && methods.is_some_and(BTreeSet::is_empty) {
            return Err(AdminError::LockedOut(format!("without a method nobody could sign in to `{scope}`")));
        }
        self.refuse_shut_out(cx, scope, methods, None).await?;
        let listed = methods.map_or_else(|| "all".into(), |on| on.iter().cloned().collect::<Vec<_>>().join(" "));
        let permitted = permitted.about("scope", &scope.to_string()).detail("methods", listed);
        self.change(permitted, async { Ok(self.store.set_methods(scope, methods).await?) }).await
    }

    /// What administrators have said of a scope: who registers there, and who needs a second factor.
    ///
    /// # Errors
    /// When the caller may not.
    pub async fn sign_in_rules(&self, cx: &SecurityContext, scope: &Scope) -> Result<SignInRules, AdminError> {
        let _ = self.permit(cx, Right::VIEW, scope).await?;
        Ok(self.kept()?.sign_in_rules().await?.remove(scope).unwrap_or_default())
    }

    /// Says who registers in an application and who needs a second factor in a scope and below; servers follow, and who is in stays in.
    /// A second factor is asked for wherever the configuration or a scope above asks for it, whatever is said here.
    ///
    /// # Errors
    /// When the caller may not, or strangers would register elsewhere than in an application.
    pub async fn set_sign_in_rules(
        &self,
        cx: &SecurityContext,
        scope: &Scope,
        rules: &SignInRules,
    ) -> Result<(), AdminError> {
        let right = if scope.application_id().is_some() { Right::UPDATE_APPLICATION } else { Right::SETTINGS };
        let permitted = self.permit(cx, right, scope).await?;
        if scope.application_id().is_none() && rules.registration != Registering::AsConfigured {
            return Err(AdminError::Invalid("strangers register in applications alone".into()));
        }
        if matches!(rules.registration, Registering::Open(_)) {
            let _ = self.permit(cx, Right::ASSIGN_ROLES, scope).await?;
        }
        let said = serde_json::to_string(rules).map_err(|error| AdminError::Invalid(error.to_string()))?;
        let permitted = permitted.about("scope", &scope.to_string()).detail("signInRules", said);
        let kept = self.kept()?;
        self.change(permitted, async { Ok(kept.set_sign_in_rules(scope, rules).await?) }).await
    }

    /// Removes the records of a scope from before a time and leaves a signed checkpoint; answers how many were removed.
    ///
    /// # Errors
    /// When the caller may not manage the platform's infrastructure, or the time lies ahead: somebody's clock is wrong.
    pub async fn retain_records(&self, cx: &SecurityContext, scope: &Scope, before: i64) -> Result<u64, AdminError> {
        let permitted = self.permit(cx, Right::INFRASTRUCTURE, &Scope::System).await?;
        let permitted = permitted.about("records", &scope.to_string()).detail("before", before.to_string());
        let now = self.policy.clock().now().0;
        if before > now {
            return Err(AdminError::Invalid("`before` lies ahead: only what is past is removed".into()));
        }
        let removal = async { Ok(self.journal.retain(&scope.to_string(), before, now).await?) };
        let removed = self.change(permitted, removal).await?;
        self.tell(cx, "records.retain", &before.to_string(), scope).await;
        Ok(removed)
    }
}
