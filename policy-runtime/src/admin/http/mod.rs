//! The operations over HTTP, under `/api/v1`: JSON in and out, problems (RFC 9457), pages, entity tags, idempotency keys.
//!
//! ```text
//! request ─► AuthenticateLayer ─► once (Idempotency-Key) ─► handler ─► Admin, which asks the engine ─► JSON or a problem
//! ```
//!
//! In: HTTP requests of callers that the chain knows. Out: what [`Admin`] answers. One table has all endpoints: the routes and
//! the `OpenAPI` document are made of it. Absent: any decision.

mod answer;
mod bodies;
mod handlers;
mod once;
mod people;
mod providers;
mod required;
mod table;
mod trying;
mod values;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Content, ResponseBuilder};

use super::Admin;
use crate::authn::token::Issuer;
use crate::endpoint::{About, bearer_or_session, document, routes};
use crate::tower::AuthenticateLayer;

/// Where the endpoints are.
pub const BASE: &str = "/api/v1";

/// The largest body that is read: a policy set of a large organization.
const BODY: usize = 8 << 20;

/// The endpoints over HTTP.
///
/// ```
/// use policy_runtime::admin::{Admin, Api};
/// use policy_runtime::tower::AuthenticateLayer;
///
/// fn routes(admin: Admin, layer: AuthenticateLayer) -> axum::Router {
///     Api::new(admin).router(layer)
/// }
/// let document = Api::openapi();
/// assert!(document["paths"]["/api/v1/scopes/{scope}/users"].is_object());
/// ```
#[derive(Debug, Clone)]
pub struct Api {
    admin: Admin,
    issuer: Option<Issuer>,
}

impl Api {
    /// Puts the operations behind HTTP.
    pub fn new(admin: Admin) -> Self {
        Self { admin, issuer: None }
    }

    /// Lets whoever signs in with a password take a token of this issuer, so that programs need not keep the password.
    #[must_use]
    pub fn tokens(mut self, issuer: Issuer) -> Self {
        self.issuer = Some(issuer);
        self
    }

    /// The routes, behind a layer that says who calls. The `OpenAPI` document is open to all.
    pub fn router(self, layer: AuthenticateLayer) -> Router {
        let document = Self::openapi().to_string();
        routes(BASE, table::endpoints())
            .layer(from_fn_with_state(self.clone(), once::once))
            .layer(DefaultBodyLimit::max(BODY))
            .route_layer(layer)
            .with_state(self)
            .route(&format!("{BASE}/openapi.json"), get(async move || answer::json_text(document)))
    }

    /// The `OpenAPI` 3.1 document.
    pub fn openapi() -> serde_json::Value {
        let problem = ResponseBuilder::new().description("a problem, RFC 9457");
        let mut security = bearer_or_session();
        security.push(("basic", SecurityScheme::Http(Http::new(HttpAuthScheme::Basic))));
        security.push(("key", SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-Api-Key")))));
        let about = About {
            title: "Administration of policies",
            base: BASE,
            problem: problem.content("application/problem+json", Content::default()).build(),
            once: true,
            security,
        };
        document(about, table::endpoints())
    }
}
