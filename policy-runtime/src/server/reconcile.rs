//! Brings the store up to what the configuration declares; doing it twice changes nothing.

use crate::config::Config;
use crate::identity::{Directory, StoreError};

/// Creates what is missing, changes what differs, and ends what the file no longer declares. What was made otherwise stays.
///
/// # Errors
/// When something cannot be stored; everything before it is.
///
/// ```
/// use policy_runtime::config::Config;
/// use policy_runtime::identity::{MemoryStore, StoreError};
/// use policy_runtime::server::reconcile;
///
/// async fn stored(config: &Config) -> Result<MemoryStore, StoreError> {
///     let store = MemoryStore::default();
///     reconcile(&store, config).await?;
///     Ok(store)
/// }
/// ```
pub async fn reconcile(store: &dyn Directory, config: &Config) -> Result<(), StoreError> {
    for scope in &config.scopes {
        if let Some(organization) = scope.organization_id() {
            if_new(store.add_organization(organization.as_str()).await)?;
            if let Some(application) = scope.application_id() {
                // Taken by another organization, it is not ours.
                match store.scope_of_application(application).await? {
                    Some(found) if found == *scope => {}
                    _ => {
                        let made = store.add_application(organization.as_str(), application.as_str()).await;
                        // Another server may have been quicker.
                        if let Err(error) = made
                            && store.scope_of_application(application).await?.as_ref() != Some(scope)
                        {
                            return Err(error);
                        }
                    }
                }
            }
        }
    }
    providers(store, config).await?;
    let stored = store.methods().await?;
    for (scope, methods) in &config.methods {
        if !stored.iter().any(|(known, on)| known == scope && on == methods) {
            store.set_methods(scope, Some(methods)).await?;
        }
    }
    for (scope, rules) in &config.passwords {
        if store.password_rules(scope).await?.as_ref() != Some(rules) {
            store.set_password_rules(scope, Some(rules)).await?;
        }
    }
    Ok(())
}

async fn providers(store: &dyn Directory, config: &Config) -> Result<(), StoreError> {
    let (known, referred) = (store.configurations().await?, store.references().await?);
    for declared in &config.configurations {
        let before = known.iter().find(|known| known.name == declared.name);
        if before.is_some_and(|before| !before.declared) {
            let name = &declared.name;
            return Err(StoreError::Invalid(format!(
                "provider `{name}` was made by an administrator; choose another name"
            )));
        }
        let secret = |secret: &Option<crate::secret::Secret<Vec<u8>>>| secret.as_ref().map(|s| s.expose().clone());
        let of_client = |secret: &Option<crate::secret::Secret<String>>| secret.as_ref().map(|s| s.expose().clone());
        let same = before.is_some_and(|before| {
            before.owner == declared.owner
                && before.settings == declared.settings
                && secret(&before.secret) == secret(&declared.secret)
                && of_client(&before.client_secret) == of_client(&declared.client_secret)
        });
        if !same {
            store.put_configuration(declared).await?;
        }
        for scope in &declared.shared_with {
            if !before.is_some_and(|before| before.shared_with.contains(scope)) {
                store.share(&declared.name, scope, true).await?;
            }
        }
    }
    for declared in &config.references {
        if !referred.contains(declared) {
            store.put_reference(declared).await?;
        }
    }
    for gone in referred.iter().filter(|known| known.declared) {
        let stays = config.references.iter().any(|d| d.configuration == gone.configuration && d.scope == gone.scope);
        if !stays {
            store.drop_reference(&gone.configuration, &gone.scope).await?;
        }
    }
    // A configuration whose users are kept stays, without anybody who uses it.
    Ok(())
}

fn if_new(answer: Result<(), StoreError>) -> Result<(), StoreError> {
    match answer {
        Ok(()) | Err(StoreError::Exists { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
