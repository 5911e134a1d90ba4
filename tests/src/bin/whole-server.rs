//! A whole server as its configuration says, with one service of its own; its log goes to the standard output.
//!
//! What `policy serve` is, for a program that offers something. It says at the terminal where it listens.
#![expect(clippy::print_stderr, reason = "the standard output is the log's")]

use std::sync::Arc;

use policy_runtime::config::Config;
use policy_runtime::log;
use policy_runtime::server::Prepared;
use tests::orders::OrderService;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    log::install();
    let config = Config::of_process()?;
    let server = Prepared::new(&config).await?;
    let gateway = server.gateway(&config).service(Arc::new(OrderService::default())).bind(config.listen).await?;
    eprintln!("{}", gateway.local_addr());
    std::future::pending().await
}
