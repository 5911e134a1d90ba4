//! The first operator: made with a token that the first start gives out, once in the life of a deployment.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use http::StatusCode;
use policy_core::Scope;
use policy_core::value::Millis;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{Prepared, ServerError};
use crate::authn::password::PasswordError;
use crate::events::{Actor, Event, EventKind};
use crate::id::random_id;
use crate::identity::{NewUser, StoreError, User};
use crate::secret::Secret;

/// How long a bootstrap token is good, in seconds.
pub const BOOTSTRAP_S: u32 = 30 * 60;
const PREFIX: &str = "bootstrap_";
/// The longest request body, in bytes.
const MAX_BODY: usize = 4 * 1024;

/// Why there is no first operator.
///
/// ```
/// use policy_runtime::events::Actor;
/// use policy_runtime::secret::Secret;
/// use policy_runtime::server::{BootstrapError, Prepared};
///
/// async fn first(server: &Prepared, token: Secret<String>, password: Secret<String>) -> Result<String, BootstrapError> {
///     Ok(server.bootstrap(&token, "root@example.com", password, Actor::default()).await?.id)
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BootstrapError {
    /// The token is wrong, over, or was used.
    #[error("the bootstrap token is not good")]
    Token,
    /// The password is too weak, or the address is none.
    #[error("{0}")]
    Invalid(String),
    /// The store cannot be reached.
    #[error(transparent)]
    Store(StoreError),
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

impl Prepared {
    /// A fresh bootstrap token for whoever reads the terminal; `None` once the first operator is there. One that was given
    /// before ends.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn bootstrap_token(&self) -> Result<Option<Secret<String>>, ServerError> {
        let random = || random_id().map_err(|error| ServerError::Key(error.to_string()));
        let token = format!("{PREFIX}{}{}", random()?, random()?);
        let until = Millis(self.clock.now().0 + i64::from(BOOTSTRAP_S) * 1_000);
        let open = self.store.offer_bootstrap(&digest(&token), until).await?;
        Ok(open.then(|| Secret::new(token)))
    }

    /// Makes the first operator of the platform.
    ///
    /// # Errors
    /// When the token is not good, or address or password cannot be used; the token stays good then.
    pub async fn bootstrap(
        &self,
        token: &Secret<String>,
        email: &str,
        password: Secret<String>,
        actor: Actor,
    ) -> Result<User, BootstrapError> {
        let made = actor.clone().scope(self.try_bootstrap(token, email, password)).await;
        let event = Event::new(EventKind::CredentialChanged, self.clock.now(), actor, "bootstrap");
        let event = match &made {
            Ok(user) => event.target(&user.id).within(&user.scope),
            Err(BootstrapError::Token) => event.failed("wrong_credentials"),
            Err(BootstrapError::Invalid(_)) => event.failed("invalid"),
            Err(BootstrapError::Store(_)) => event.failed("unavailable"),
        };
        if let Err(error) = self.events.note(&event).await {
            tracing::error!(target: "policy::server", %error, ?event, "an event was not taken");
        }
        made
    }

    async fn try_bootstrap(
        &self,
        token: &Secret<String>,
        email: &str,
        password: Secret<String>,
    ) -> Result<User, BootstrapError> {
        if !token.expose().starts_with(PREFIX) {
            return Err(BootstrapError::Token);
        }
        let hashed =
            self.passwords.hash_for(&Scope::System, password, &[email]).await.map_err(|error| match error {
                PasswordError::Store(error) => BootstrapError::Store(error),
                PasswordError::Weak(_) | PasswordError::Hash(_) => BootstrapError::Invalid(error.to_string()),
            })?;
        let operator = NewUser::new(Scope::System, email).role("administrator").password_hash(hashed);
        match self.store.bootstrap(&digest(token.expose()), operator, self.clock.now()).await {
            Ok(user) => user.ok_or(BootstrapError::Token),
            Err(StoreError::Invalid(problem)) => Err(BootstrapError::Invalid(problem)),
            Err(error) => Err(BootstrapError::Store(error)),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    token: String,
    email: String,
    password: String,
}

pub(super) fn routes(prepared: &Prepared) -> Router {
    let limit = axum::extract::DefaultBodyLimit::max(MAX_BODY);
    Router::new().route("/api/auth/bootstrap", post(answer)).layer(limit).with_state(prepared.clone())
}

async fn answer(State(prepared): State<Prepared>, headers: http::HeaderMap, body: Bytes) -> Response {
    let told = |status: StatusCode, text: String| {
        let mut response = Response::new(axum::body::Body::from(text));
        *response.status_mut() = status;
        response
    };
    let Ok(body) = serde_json::from_slice::<Body>(&body) else {
        return told(StatusCode::BAD_REQUEST, "the body has `token`, `email` and `password`\n".into());
    };
    let request = headers.get("x-request-id").and_then(|id| id.to_str().ok());
    let actor = Actor::new(None, Some(&Scope::System)).in_request(request);
    let made = prepared.bootstrap(&Secret::new(body.token), &body.email, Secret::new(body.password), actor).await;
    match made {
        Ok(_) => told(StatusCode::CREATED, "the operator may sign in\n".into()),
        Err(error @ BootstrapError::Token) => told(StatusCode::UNAUTHORIZED, format!("{error}\n")),
        Err(error @ BootstrapError::Invalid(_)) => told(StatusCode::UNPROCESSABLE_ENTITY, format!("{error}\n")),
        Err(BootstrapError::Store(error)) => {
            tracing::warn!(target: "policy::server", %error, "no bootstrap");
            told(StatusCode::SERVICE_UNAVAILABLE, "not possible at the moment\n".into())
        }
    }
}
