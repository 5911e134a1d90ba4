//! What others must know to use this server: its endpoints (OpenID Connect Discovery, RFC 8414) and its keys.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::HeaderValue;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE};
use serde_json::{Map, Value, json};

use super::SignIn;
use super::authorize::MFA;
use crate::authn::token::Algorithm;

/// Everybody may read it, pages of every origin too, and keep it for less time than a key is published before it signs.
fn public(body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

pub(super) async fn keys(State(server): State<SignIn>) -> Response {
    public(server.inner.issuer.key_set())
}

pub(super) async fn discovery(State(server): State<SignIn>) -> Response {
    let url = server.inner.issuer.url();
    let at = |path: &str| format!("{url}/api/auth/oauth/{path}");
    let secrets = ["client_secret_basic", "client_secret_post"];
    let mut document = json!({
        "issuer": url,
        "jwks_uri": format!("{url}/.well-known/jwks.json"),
        "token_endpoint": at("token"),
        "introspection_endpoint": at("introspect"),
        "revocation_endpoint": at("revoke"),
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "introspection_endpoint_auth_methods_supported": secrets,
        "revocation_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
    });
    if server.pages.is_some()
        && let Some(document) = document.as_object_mut()
    {
        document.append(&mut of_pages(url));
    }
    public(document.to_string())
}

/// What there is where people sign in.
fn of_pages(url: &str) -> Map<String, Value> {
    let algorithms = [Algorithm::EdDsa, Algorithm::Es256].map(Algorithm::as_str);
    let pages = json!({
        "authorization_endpoint": format!("{url}/api/auth/oauth/authorize"),
        "end_session_endpoint": format!("{url}/api/auth/oauth/end_session"),
        "userinfo_endpoint": format!("{url}/api/auth/oauth/userinfo"),
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": algorithms,
        "scopes_supported": ["openid", "email", "profile", "offline_access"],
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "amr", "email", "name"],
        "acr_values_supported": [MFA],
        "prompt_values_supported": ["none", "login", "consent"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
    });
    match pages {
        Value::Object(pages) => pages,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}
