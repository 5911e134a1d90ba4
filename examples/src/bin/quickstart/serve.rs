//! Keeps the gateway up, so that other programs can be tried against it.

use anyhow::Result;

use crate::stage::{ALICE, BOB, CAROL, PASSWORD, Stage};

pub(crate) async fn serve() -> Result<()> {
    let stage = Stage::start("127.0.0.1:58503").await?;
    let address = stage.gateway.local_addr();
    let token = stage.token(&ALICE)?;
    println!("listening on ws://{address}/v1 until Ctrl-C; every password is `{PASSWORD}`\n");
    for who in [&ALICE, &BOB, &CAROL] {
        println!("  {:<22} {}", who.email, who.what);
    }
    println!("\na token of alice, good for 15 minutes:\n{token}\n");
    println!(
        r#"Node, with a password (npm install @kinotic-ai/core @kinotic-ai/os-api ws; Node below 22 sets globalThis.WebSocket):

  const info = Object.assign(new ConnectionInfo(), {{ host: '127.0.0.1', port: {port} }})
  const login = new KinoticOsCredentialsAuthProvider('{carol}', '{PASSWORD}', 'acme', 'orders')
  info.webSocketFactory = createAuthenticatedWebSocketFactory(info, login)
  await Kinotic.connect(info)
  await Kinotic.serviceProxy('com.example.OrderService').invoke('placeOrder', [{{ amount: 72000 }}])

Node, with a token; the function runs for every connection:

  const login = new BearerTokenAuthProvider(async () => await fetchToken())

Rust, with a closure that runs for every connection and ahead of the token's end:

  let client = Client::connect(ConnectOptions::new("127.0.0.1").connect_headers(move || {{
      let session = session.clone();
      async move {{ Ok(Headers::bearer(session.token().await?)) }}
  }})).await?;
  OrderServiceProxy::new(Arc::new(client)).place_order(Order {{ amount: 72_000 }}).await?;"#,
        port = address.port(),
        carol = CAROL.email,
    );
    tokio::signal::ctrl_c().await?;
    stage.end().await;
    Ok(())
}
