//! Keeps the gateway up, so that other programs can be tried against it.

use anyhow::Result;
use policy_runtime::gateway::DEFAULT_PORT;
use tokio::signal::unix::{SignalKind, signal};

use crate::stage::{ALICE, BOB, CAROL, PASSWORD, Stage};

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
    println!(
        r#"Node, with a password, in a file such as try.mjs (npm install @kinotic-ai/core@4.0.0 ws):

  import WebSocket from 'ws'
  import {{ BasicAuthProvider, BearerTokenAuthProvider, ConnectionInfo, Kinotic, createAuthenticatedWebSocketFactory }} from '@kinotic-ai/core'
  globalThis.WebSocket ??= WebSocket
  const login = new BasicAuthProvider('{carol}', '{PASSWORD}')
  const info = Object.assign(new ConnectionInfo(), {{ host: '127.0.0.1', port: {port} }})
  info.webSocketFactory = createAuthenticatedWebSocketFactory(info, login)
  await Kinotic.connect(info)
  console.log(await Kinotic.serviceProxy('com.example.OrderService').invoke('placeOrder', [{{ amount: 100 }}]))
  await Kinotic.disconnect()

Node, with a token: the same with this login, whose function runs for every connection:

  const login = new BearerTokenAuthProvider(async () => '{token}')

Rust, with a closure that runs for every connection and ahead of the token's end:

  let client = Client::connect(ConnectOptions::new("127.0.0.1").port({port}).connect_headers(move || {{
      let session = session.clone();
      async move {{ Ok(Headers::bearer(session.token().await?)) }}
  }})).await?;
  OrderServiceProxy::new(Arc::new(client)).place_order(Order {{ amount: 72_000 }}).await?;"#,
        port = address.port(),
        carol = CAROL.email,
    );
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    stage.end().await;
    Ok(())
}
