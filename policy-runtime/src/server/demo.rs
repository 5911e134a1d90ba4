//! The organization, the application, the users and the client of the quickstart, for trying things out.

use policy_core::Scope;

use super::ServerError;
use crate::authn::password::hash;
use crate::id::random_id;
use crate::identity::{Change, Directory, EmailKey, NewUser};
use crate::secret::Secret;
use crate::signin::{ClientSettings, Stored};

/// Somebody of the demonstration.
///
/// ```
/// use policy_runtime::server::DemoUser;
///
/// fn line(user: &DemoUser) -> String {
///     format!("{} is {} of {}", user.email, user.role, user.scope)
/// }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DemoUser {
    /// The address to sign in with.
    pub email: &'static str,
    /// The role.
    pub role: &'static str,
    /// Where.
    pub scope: Scope,
    /// The password, made at this start.
    pub password: Secret<String>,
}

/// The client of the demonstration.
///
/// ```
/// use policy_runtime::server::DemoClient;
///
/// fn line(client: &DemoClient) -> String {
///     format!("{} signs people in and goes on at {}", client.id, client.redirect_uri)
/// }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DemoClient {
    /// Its id.
    pub id: &'static str,
    /// Its secret, made at this start.
    pub secret: Secret<String>,
    /// Where it goes on.
    pub redirect_uri: &'static str,
}

const CLIENT: &str = "web-app";
const CALLBACK: &str = "http://127.0.0.1:39999/callback";

/// Makes a client of `acme`'s orders, or gives the one that is there a new secret.
///
/// # Errors
/// When it cannot be stored.
///
/// ```
/// use policy_runtime::server::{Prepared, ServerError, furnish, furnish_client};
///
/// async fn demonstration(server: &Prepared) -> Result<(), ServerError> {
///     furnish(server.store.as_ref()).await?;
///     let client = furnish_client(server.sign_in.stored()).await?;
///     tracing::info!("{} may sign people in", client.id);
///     Ok(())
/// }
/// ```
pub async fn furnish_client(stored: &Stored) -> Result<DemoClient, ServerError> {
    let secret = if let Some(secret) = stored.clients.renew_secret(CLIENT).await? {
        secret
    } else {
        let scope = Scope::application("acme", "orders")
            .map_err(|error| crate::identity::StoreError::Invalid(error.to_string()))?;
        let settings = ClientSettings::new("The orders").redirect_uri(CALLBACK).word("records:read");
        stored.clients.add_confidential(CLIENT, &scope, &settings).await?
    };
    Ok(DemoClient { id: CLIENT, secret, redirect_uri: CALLBACK })
}

const USERS: [(&str, &str, &str, &str); 5] = [
    ("alice@acme.example", "finance", "acme", "orders"),
    ("bob@acme.example", "support", "acme", "orders"),
    ("carol@acme.example", "finance", "acme", "orders"),
    ("dave@contractor.example", "finance", "acme", "orders"),
    ("mallory@globex.example", "finance", "globex", "shop"),
];

/// Makes the users, or gives those who are there a new password.
///
/// # Errors
/// When they cannot be stored.
///
/// ```
/// use policy_runtime::identity::MemoryStore;
/// use policy_runtime::server::{ServerError, furnish};
///
/// async fn demonstration() -> Result<MemoryStore, ServerError> {
///     let store = MemoryStore::default();
///     for user in furnish(&store).await? {
///         tracing::info!("{} signs in to {}", user.email, user.scope);
///     }
///     Ok(store)
/// }
/// ```
pub async fn furnish(store: &dyn Directory) -> Result<Vec<DemoUser>, ServerError> {
    let mut made = Vec::new();
    for (email, role, organization, application) in USERS {
        // Whoever was first has made them.
        let _ = store.add_organization(organization).await;
        let _ = store.add_application(organization, application).await;
        let scope = Scope::application(organization, application)
            .map_err(|error| crate::identity::StoreError::Invalid(error.to_string()))?;
        let password = Secret::new(random_id().map_err(|error| ServerError::Key(error.to_string()))?);
        let hashed = hash(&password).map_err(|_| ServerError::Key("a password cannot be hashed".into()))?;
        let known = EmailKey::new(email).map_err(|error| crate::identity::StoreError::Invalid(error.to_string()))?;
        if let Some(user) = store.user_by_email(&scope, &known).await? {
            store.set_password(&user.id, Some(&hashed)).await?;
            store.change_user(&user.id, &Change::default().add_role(role)).await?;
        } else {
            let name = email.split('@').next().unwrap_or(email);
            let new = NewUser::new(scope.clone(), email).role(role).display_name(name).password_hash(hashed);
            store.add_user(new).await?;
        }
        made.push(DemoUser { email, role, scope, password });
    }
    Ok(made)
}
