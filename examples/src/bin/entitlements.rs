//! What another service knows, in a rule: who may export is what a billing service says, asked when it is wanted.
//!
//! `cargo run -p examples --bin entitlements` starts such a service on this machine, asks it, then stops it.

#![expect(clippy::print_stdout, reason = "it prints what happens")]

use std::time::Duration;

use anyhow::Result;
use axum::extract::Path;
use axum::routing::get;
use axum::{Json, Router};
use policy_runtime::authn::BoxFuture;
use policy_runtime::authn::token::{Fetcher, Json as Document, Reach};
use policy_runtime::pip::{About, AttributeSource, Facts, SourceError, Sources};
use policy_runtime::value::Value;
use policy_runtime::{Denied, Participant, Policy, SecurityContext, abac_policy};
use tokio::time::Instant;

#[abac_policy(participant.entitlements contains "export", action = "Reports.export")]
async fn export() -> Result<&'static str, Denied> {
    Ok("exported")
}

/// Asks `GET <base>/entitlements/<participant>`, which answers a list of texts.
#[derive(Debug)]
struct Billing {
    base: String,
    fetcher: Fetcher,
}

impl AttributeSource for Billing {
    fn fetch<'a>(&'a self, about: &'a About<'a>) -> BoxFuture<'a, Result<Facts, SourceError>> {
        Box::pin(async move {
            let About::Participant(participant) = about else { return Ok(Facts::new()) };
            let url = format!("{}/entitlements/{}", self.base, participant.id());
            let answer = self.fetcher.get(&url, Instant::now() + Duration::from_secs(1)).await?;
            let list = Document::parse(&answer)?;
            let texts = list.as_list().ok_or("no list")?.iter().filter_map(Document::as_text).map(Value::text);
            Ok(Facts::from([("entitlements".into(), Value::Set(texts.collect()))]))
        })
    }
}

/// Somebody else's service: alice has paid for exports.
async fn billing() -> Result<(String, tokio::task::JoinHandle<()>)> {
    async fn of(Path(id): Path<String>) -> Json<Vec<&'static str>> {
        Json(if id == "alice" { vec!["export", "share"] } else { vec![] })
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", listener.local_addr()?);
    let app = Router::new().route("/entitlements/{id}", get(of));
    let running = tokio::spawn(async move {
        let _ = axum::serve(listener, app).await;
    });
    Ok((base, running))
}

/// What comes of everybody's call: while the service is up, and after it went down.
async fn told() -> Result<Vec<String>> {
    let (base, running) = billing().await?;
    let policy = Policy::for_application("reports")?;
    let (deadline, keep) = (Duration::from_millis(500), Duration::from_millis(50));
    let billing = Billing { base, fetcher: Fetcher::new(Reach::Loopback, 64 * 1024)? };
    let sources = Sources::default().participant(billing, deadline, keep);
    let call = async |name: &str| {
        let participant = Participant::builder(policy.application().clone(), name).build();
        let cx = sources.complete(SecurityContext::new(&policy, participant.into())).await;
        match cx.scope(export()).await {
            Ok(done) => format!("{name}: {done}"),
            Err(denied) => format!("{name}: {}", denied.code().as_str()),
        }
    };
    let mut lines = vec![call("alice").await, call("bob").await];
    running.abort();
    tokio::time::sleep(keep * 2).await;
    lines.push(format!("without the service, {}", call("alice").await));
    Ok(lines)
}

#[tokio::main]
async fn main() -> Result<()> {
    for line in told().await? {
        println!("{line}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn who_has_paid_may_export_while_that_is_known() {
        let lines = super::told().await.unwrap();
        assert_eq!(lines, ["alice: exported", "bob: ACCESS_DENIED", "without the service, alice: ACCESS_DENIED"]);
    }
}
