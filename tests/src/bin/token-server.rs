//! A service that verifies tokens of whichever issuer its environment names, and stores nobody.
//!
//! `AUTH_ISSUER`, `AUTH_AUDIENCE` and `JWT_SECRET` say whose tokens it takes. It prints the address that it listens on.
#![expect(clippy::print_stdout, reason = "it says where it listens")]

use std::sync::Arc;

use axum::routing::get;
use axum::{Json, Router};
use policy_runtime::clock::SystemClock;
use policy_runtime::config::{Config, resource_server};
use policy_runtime::tower::{AuthenticateLayer, Participant};
use policy_runtime::{Policy, Scope};
use serde_json::{Value, json};

async fn whoami(participant: Participant) -> Json<Value> {
    Json(json!({
        "id": participant.id(),
        "subject": participant.subject(),
        "authType": participant.auth_type(),
        "scope": participant.scope().to_string(),
    }))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::of_process()?;
    let chain = resource_server(&config, Arc::new(SystemClock))?;
    let Scope::Application { organization, application } = &config.application else { return Ok(()) };
    let policy = Policy::builder().organization(organization.as_str()).application(application.as_str()).build()?;
    let app = Router::new().route("/whoami", get(whoami)).layer(AuthenticateLayer::new(policy, chain));
    let listener = tokio::net::TcpListener::bind(config.listen).await?;
    println!("{}", json!({"base": format!("http://{}", listener.local_addr()?)}));
    axum::serve(listener, app).await?;
    Ok(())
}
