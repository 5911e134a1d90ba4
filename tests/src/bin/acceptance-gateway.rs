//! Serves the fixture of `tests/kinotic-client`, so that the npm client can be tried by hand:
//!
//! ```text
//! cargo run -p tests --bin acceptance-gateway -- --port 58503
//! cd tests/kinotic-client && npm install && KINOTIC_PORT=58503 node run.mjs
//! ```
//!
//! It prints one line when it listens and ends on SIGTERM (or Ctrl-C). Entities are in memory, or where `--database URL` says.
#![expect(clippy::print_stdout, reason = "the line says where it listens")]

use std::error::Error;
use std::sync::Arc;

use policy_runtime::Policy;
use policy_runtime::authn::Chain;
use policy_runtime::authn::session::Sessions;
use policy_runtime::clock::SystemClock;
use policy_runtime::entity::{Entities, Pool};
use policy_runtime::gateway::{DEFAULT_PORT, Gateway};
use tests::orders::OrderService;
use tests::things;
use tests::users::Users;
use tokio::signal::unix::{SignalKind, signal};

fn options() -> Result<(u16, String), Box<dyn Error>> {
    let (mut port, mut database) = (DEFAULT_PORT, "sqlite::memory:".to_owned());
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        match (name.as_str(), arguments.next()) {
            ("--port", Some(value)) => port = value.parse()?,
            ("--database", Some(value)) => database = value,
            _ => return Err("usage: acceptance-gateway [--port PORT] [--database URL]".into()),
        }
    }
    Ok((port, database))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (port, database) = options()?;
    let policy = Policy::builder()
        .organization("acme")
        .application("orders")
        .also("globex", "desk")
        // Without a grant nobody hosts; here everybody may, so that the suite can.
        .organization_rule("hosts", "permit Platform.service.host")
        .organization_rule("callers", "permit Platform.service.call")
        .build()?;
    let sessions = Sessions::new(Arc::new(SystemClock));
    let chain = Chain::builder().with(Users::of(policy.application().clone())).with(sessions.clone()).build();
    let entities = Entities::new(Pool::connect(&database).await?)?;
    let builder = Gateway::builder(policy, chain).service(Arc::new(OrderService::default())).cookies(sessions);
    let gateway = things::publish(builder, &entities).await?.bind(("127.0.0.1", port)).await?;
    println!("listening on ws://{}/v1", gateway.local_addr());
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    gateway.shutdown().await;
    Ok(())
}
