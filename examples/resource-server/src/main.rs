//! A service beside a sign-in server (`policy serve --auth-only`): it stores nobody and can make no token.
//!
//! Tokens are verified by the keys that the sign-in server publishes; the rules of the platform, of the organization and of the
//! application come from there too, signed, and are kept on disk for the time that it is away.
//!
//! ```text
//! POLICY_URL=https://auth.example.com POLICY_API_KEY=pk_.. cargo run -p resource-server
//! curl -X POST -H "authorization: Bearer $TOKEN" localhost:3000/orders/100
//! ```
//!
//! The API key is one of the application with the role `resource-server`.
#![expect(clippy::print_stdout, reason = "it says where it listens")]
#![expect(clippy::disallowed_methods, reason = "it has no configuration but its environment")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Path;
use axum::routing::{get, post};
use axum::{Json, Router};
use policy_runtime::authn::Chain;
use policy_runtime::authn::token::{ClaimPath, ParticipantIds, TokenAuthenticator, TokenRules, TokenSource};
use policy_runtime::clock::SystemClock;
use policy_runtime::pull::Pulled;
use policy_runtime::secret::Secret;
use policy_runtime::tower::AuthenticateLayer;
use policy_runtime::{Denied, Policy, abac_policy};
use serde_json::{Value, json};

#[abac_policy(amount < 50_000)]
async fn place_order(Path(amount): Path<u32>) -> Result<Json<Value>, Denied> {
    Ok(Json(json!({ "placed": amount })))
}

/// A setting of the environment.
fn setting(name: &str, usual: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| usual.to_owned())
}

/// Takes access tokens of the sign-in server that are for this application.
fn chain(server: &str, policy: &Policy, pulled: &Pulled) -> Result<Chain, Box<dyn Error>> {
    let scope = policy.application().clone();
    let rules = TokenRules::new(server, server)
        .access_tokens_only()
        .max_lifetime_s(24 * 3_600)
        .equal(ClaimPath::name("scp"), scope.to_string());
    let source = TokenSource::with_source("sign-in", scope, rules, Arc::new(pulled.clone()));
    // Who knows the issuer can compute these ids; a key of its own makes them secret.
    let ids = ParticipantIds::new(Secret::new(format!("participants of {server:>32}").into_bytes()))?;
    Ok(Chain::builder().with(TokenAuthenticator::new(Arc::new(SystemClock), ids).with(source)).build())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = setting("POLICY_URL", "http://127.0.0.1:58503");
    let key = Secret::new(std::env::var("POLICY_API_KEY").map_err(|_| "set POLICY_API_KEY")?);
    let (bound, every) = (setting("POLICY_BOUND_S", "30").parse()?, setting("POLICY_EVERY_MS", "5000").parse()?);
    let policy = Policy::builder()
        .organization(&setting("POLICY_ORGANIZATION", "acme"))
        .application(&setting("POLICY_APPLICATION", "shop"))
        .build()?;
    let pulled = Pulled::new(&policy, &server, key)?
        .bound(Duration::from_secs(bound))
        .kept_in(setting("POLICY_KEPT", "policy-sets.json"));
    pulled.start().await?;
    tokio::spawn(pulled.clone().run(Duration::from_millis(every)));
    let layer = AuthenticateLayer::new(policy.clone(), chain(&server, &policy, &pulled)?);
    let app = Router::new()
        .route("/orders/{amount}", post(place_order))
        .layer(layer)
        .route("/currency", get(async move || format!("{:?}", pulled.currency())));
    let listener = tokio::net::TcpListener::bind(setting("LISTEN", "127.0.0.1:3000")).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}
