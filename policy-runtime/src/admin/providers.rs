//! Providers of identities: named configurations, and how scopes use them. A secret goes in, and never comes out.

use std::collections::BTreeSet;

use policy_core::participant::ParticipantBuilder;
use policy_core::{Participant, Scope, Slug};

use super::decide::Right;
use super::{Admin, AdminError};
use crate::authn::token::{mapping_of, rules_of};
use crate::identity::{Configuration, ProviderSettings, ProvisioningSettings, Reference, ReferenceSettings};
use crate::secret::Secret;
use crate::security::SecurityContext;

/// The shortest secret that tokens may be signed with.
const LEAST: usize = 32;

/// A provider, without its secret.
///
/// ```
/// use policy_runtime::admin::Provider;
/// fn is_ours(provider: &Provider) -> bool {
///     !provider.declared && provider.uses.is_empty()
/// }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Provider {
    /// Its name in the deployment: its owner's ids and its own, `acme/corporate`.
    pub name: String,
    /// Who owns it.
    pub owner: Scope,
    /// What its tokens look like and where its keys are.
    pub settings: ProviderSettings,
    /// Whether there is a shared secret.
    pub has_secret: bool,
    /// Whether there is a secret of our client there.
    pub has_client_secret: bool,
    /// Whether it stands in the configuration file, which then has the say.
    pub declared: bool,
    /// The scopes that do not lie under its owner and may use it too.
    pub shared_with: BTreeSet<Scope>,
    /// How scopes use it, as far as they are the owner's.
    pub uses: Vec<Use>,
}

/// How a scope uses a provider.
///
/// ```
/// use policy_runtime::admin::Use;
/// fn told(one: &Use) -> String {
///     one.scope.to_string()
/// }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Use {
    /// The scope.
    pub scope: Scope,
    /// What claims become there, and who is let in.
    pub settings: ReferenceSettings,
}

impl Admin {
    /// The providers that a scope owns.
    ///
    /// # Errors
    /// When the caller may not.
    pub async fn providers(&self, cx: &SecurityContext, scope: &Scope) -> Result<Vec<Provider>, AdminError> {
        let _ = self.permit(cx, Right::LIST_PROVIDERS, scope).await?;
        let references = self.store.references().await?;
        let own = self.store.configurations().await?.into_iter().filter(|one| one.owner == *scope);
        Ok(own.map(|one| shown(one, &references)).collect())
    }

    /// Makes a provider of a scope, or changes it; where the secret that its tokens are signed with, or that of our client there, is
    /// not said, the one that is there stays. Servers know it within seconds.
    ///
    /// # Errors
    /// When the caller may not, the settings do not hold together, it stands in the configuration file, or somebody who is known by
    /// it may do more than the caller.
    pub async fn put_provider(
        &self,
        cx: &SecurityContext,
        scope: &Scope,
        name: &str,
        settings: ProviderSettings,
        secret: Option<Secret<Vec<u8>>>,
        client_secret: Option<Secret<String>>,
    ) -> Result<Provider, AdminError> {
        let permitted = self.permit(cx, Right::CONFIGURE_PROVIDER, scope).await?;
        let name = full(scope, name)?;
        if *cx.participant().scope() != Scope::System && (settings.private_network || settings.any_place) {
            return Err(AdminError::Invalid(
                "`private_network` and `any_place` are for operators of the platform".into(),
            ));
        }
        if secret.as_ref().is_some_and(|secret| secret.expose().len() < LEAST) {
            return Err(AdminError::Invalid(format!("a secret has at least {LEAST} bytes")));
        }
        let _turn = self.turn.lock().await;
        let references = self.store.references().await?;
        let before = self.store.configurations().await?.into_iter().find(|one| one.name == name);
        if let Some(before) = &before {
            not_declared(before.declared, &name)?;
            // Whoever says where its keys are can sign in as everybody who is known by it.
            for used in references.iter().filter(|one| one.configuration == name) {
                self.refuse_beyond_all(cx, &used.scope, &used.settings).await?;
            }
        }
        let mut after = Configuration::new(&name, scope.clone(), settings);
        if let Some(before) = before {
            (after.secret, after.client_secret) = (before.secret, before.client_secret);
            after.shared_with = before.shared_with;
        }
        after.secret = secret.or(after.secret);
        after.client_secret = client_secret.or(after.client_secret);
        rules_of(&after.settings, after.secret.is_some()).map_err(AdminError::Invalid)?;
        let permitted = permitted.about("provider", &name);
        self.change(permitted, async { Ok(self.store.put_configuration(&after).await?) }).await?;
        Ok(shown(after, &references))
    }

    /// Removes a provider, with its uses.
    ///
    /// # Errors
    /// When the caller may not, there is none, it stands in the configuration file, users are known by it, or nobody of those
    /// who may change the policies of the scope could sign in without it.
    pub async fn remove_provider(&self, cx: &SecurityContext, scope: &Scope, name: &str) -> Result<(), AdminError> {
        let permitted = self.permit(cx, Right::DELETE_PROVIDER, scope).await?;
        let found = self.owned(scope, name).await?;
        not_declared(found.declared, &found.name)?;
        self.refuse_shut_out(cx, scope, None, Some(&found.name)).await?;
        let permitted = permitted.about("provider", &found.name);
        self.change(permitted, async { Ok(self.store.drop_configuration(&found.name).await?) }).await
    }

    /// Lets a scope of the same organization that does not lie under the owner use a provider, or no longer, by which its use ends;
    /// of other organizations nobody learns here whether they are there.
    ///
    /// # Errors
    /// When the caller may not, there is no such provider or scope, the owner's scopes may use it anyway, or the provider or the use
    /// that would end stands in the configuration file.
    pub async fn share_provider(
        &self,
        cx: &SecurityContext,
        scope: &Scope,
        name: &str,
        with: &Scope,
        shared: bool,
    ) -> Result<(), AdminError> {
        let permitted = self.permit(cx, Right::SHARE_PROVIDER, scope).await?;
        let found = self.owned(scope, name).await?;
        not_declared(found.declared, &found.name)?;
        if scope.covers(with) {
            return Err(AdminError::Invalid(format!("`{with}` lies under `{scope}`, and may use its providers")));
        }
        if scope.organization_id() != with.organization_id() {
            return Err(AdminError::Invalid("a provider is shared within its organization".into()));
        }
        let references = self.store.references().await?;
        let used = references.iter().find(|one| one.configuration == found.name && one.scope == *with);
        if let Some(used) = used.filter(|_| !shared) {
            not_declared(used.declared, &found.name)?;
        }
        let verb = if shared { "share" } else { "unshare" };
        let permitted = permitted.about("provider", &found.name).detail(verb, with.to_string());
        self.change(permitted, async { Ok(self.store.share(&found.name, with, shared).await?) }).await
    }

    /// Lets a scope use a provider that it owns, that lies above it, or that was shared with it; or says anew how. Servers know it
    /// within seconds.
    ///
    /// # Errors
    /// When the caller may not, the settings do not hold together, or somebody could do more by it than the caller.
    pub async fn use_provider(
        &self,
        cx: &SecurityContext,
        scope: &Scope,
        name: &str,
        settings: ReferenceSettings,
    ) -> Result<(), AdminError> {
        let permitted = self.permit(cx, Right::CONFIGURE_PROVIDER, scope).await?;
        let _ = self.permit(cx, Right::ASSIGN_ROLES, scope).await?;
        let found = self.store.configurations().await?.into_iter().find(|one| one.name == name && one.admits(scope));
        let found = found.ok_or_else(|| missing(name))?;
        mapping_of(&found.settings, &settings).map_err(AdminError::Invalid)?;
        let upper = scope.application_id().is_none();
        if upper && (!settings.attributes.is_empty() || settings.tenant.is_some()) {
            // What claims of somebody else's making open here nobody can compare.
            let _ = self.permit(cx, Right::OWN, scope).await?;
        }
        let before = self.store.references().await?;
        if let Some(before) = before.iter().find(|one| one.configuration == name && one.scope == *scope) {
            not_declared(before.declared, name)?;
        }
        self.refuse_beyond_all(cx, scope, &settings).await?;
        let permitted = permitted.about("provider", name).detail("use", scope.to_string());
        let reference = Reference::new(name, scope.clone(), settings);
        self.change(permitted, async { Ok(self.store.put_reference(&reference).await?) }).await
    }

    /// Lets a scope use a provider no more. What it opened there ends within seconds.
    ///
    /// # Errors
    /// When the caller may not, it does not use it, or nobody of those who may change the policies could sign in without it.
    pub async fn leave_provider(&self, cx: &SecurityContext, scope: &Scope, name: &str) -> Result<(), AdminError> {
        let permitted = self.permit(cx, Right::CONFIGURE_PROVIDER, scope).await?;
        let all = self.store.references().await?;
        let found = all.iter().find(|one| one.configuration == name && one.scope == *scope);
        not_declared(found.ok_or_else(|| missing(name))?.declared, name)?;
        self.refuse_shut_out(cx, scope, None, Some(name)).await?;
        let permitted = permitted.about("provider", name).detail("leave", scope.to_string());
        self.change(permitted, async { Ok(self.store.drop_reference(name, scope).await?) }).await
    }

    async fn owned(&self, scope: &Scope, name: &str) -> Result<Configuration, AdminError> {
        let full = full(scope, name)?;
        let all = self.store.configurations().await?;
        let named = |one: &Configuration| one.owner == *scope && (one.name == full || one.name == name);
        all.into_iter().find(named).ok_or_else(|| missing(name))
    }

    /// Refuses when somebody who signs in by a provider could do more than the caller: with the roles that it gives, or as a user
    /// who is there already.
    async fn refuse_beyond_all(
        &self,
        cx: &SecurityContext,
        scope: &Scope,
        settings: &ReferenceSettings,
    ) -> Result<(), AdminError> {
        if scope.application_id().is_some() {
            return Ok(());
        }
        let auto: &[String] = match &settings.provisioning {
            ProvisioningSettings::Auto { roles, .. } => roles,
            ProvisioningSettings::Token
            | ProvisioningSettings::PreCreated { .. }
            | ProvisioningSettings::Registration => &[],
        };
        let given = settings.roles.values().chain(&settings.everybody).chain(auto).map(String::as_str);
        let stranger = Participant::builder(scope.clone(), "new").auth_type("oidc").roles(given);
        let users = self.store.users(scope).await?;
        let holders: Vec<ParticipantBuilder> =
            std::iter::once(stranger).chain(users.iter().map(crate::identity::User::participant)).collect();
        self.refuse_beyond(cx, scope, &holders)
    }
}

/// Names are of the whole deployment; a scope's begin with its ids, so that none says anything about another's.
fn full(scope: &Scope, name: &str) -> Result<String, AdminError> {
    Slug::new(name).map_err(|error| AdminError::Invalid(error.to_string()))?;
    Ok(match scope {
        Scope::System => name.to_owned(),
        Scope::Organization(organization) => format!("{organization}/{name}"),
        Scope::Application { organization, application } => format!("{organization}/{application}/{name}"),
    })
}

fn missing(name: &str) -> AdminError {
    AdminError::Missing { what: "provider", name: name.to_owned() }
}

fn not_declared(declared: bool, name: &str) -> Result<(), AdminError> {
    if declared {
        return Err(AdminError::Conflict(format!(
            "`{name}` stands in the server's configuration file, which has the say"
        )));
    }
    Ok(())
}

fn shown(configuration: Configuration, references: &[Reference]) -> Provider {
    let own = |one: &&Reference| one.configuration == configuration.name && configuration.owner.covers(&one.scope);
    let uses = references.iter().filter(own);
    let uses = uses.map(|one| Use { scope: one.scope.clone(), settings: one.settings.clone() }).collect();
    Provider {
        has_secret: configuration.secret.is_some(),
        has_client_secret: configuration.client_secret.is_some(),
        name: configuration.name,
        owner: configuration.owner,
        settings: configuration.settings,
        shared_with: configuration.shared_with,
        declared: configuration.declared,
        uses,
    }
}
