//! Keeps the gateway up, so that other programs can be tried against it.

use anyhow::Result;
use policy_runtime::gateway::DEFAULT_PORT;
use tokio::signal::unix::{SignalKind, signal};

use crate::stage::{ALICE, BOB, CAROL, PASSWORD, Stage};

/// What can be pasted, with `58503`, `TOKEN` and so on for what is known only now; a test runs all of it.
const PASTE: [(&str, &str); 4] = [
    (
        "Node, with a password, in a file such as try.mjs (npm install @kinotic-ai/core@4.0.0 ws)",
        include_str!("paste/password.mjs"),
    ),
    (
        "Node, with a token: the same with this login, whose function runs for every connection",
        include_str!("paste/token.mjs"),
    ),
    (
        "Rust, with a closure that runs for every connection and ahead of the token's end, in src/main.rs of a package",
        include_str!("paste/main.rs"),
    ),
    ("which has these [dependencies]", include_str!("paste/dependencies.toml")),
];

/// Listens on a port, which is Kinotic's own by default, until Ctrl-C or SIGTERM.
pub(crate) async fn serve(port: Option<&str>) -> Result<()> {
    let port = port.map_or(Ok(DEFAULT_PORT), str::parse)?;
    let stage = Stage::start(&format!("127.0.0.1:{port}")).await?;
    let address = stage.gateway.local_addr();
    let token = stage.token(&ALICE)?;
    println!("listening on ws://{address}/v1 until Ctrl-C; every password is `{PASSWORD}`\n");
    for who in [&ALICE, &BOB, &CAROL] {
        println!("  {:<22} {}", who.email, who.what);
    }
    println!("\na token of alice, good for 15 minutes:\n{token}\n");
    let filled = |text: &str| {
        let text = text.replace("58503", &address.port().to_string()).replace("LOGIN", CAROL.email);
        let text = text.replace("PASSWORD", PASSWORD).replace("WORKSPACE", concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        text.replace("TOKEN", &token)
    };
    for (title, text) in PASTE {
        println!("{title}:\n");
        filled(text).lines().for_each(|line| println!("  {line}"));
        println!();
    }
    println!("ready");
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    stage.end().await;
    Ok(())
}
