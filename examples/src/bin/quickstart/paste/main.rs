use policy_runtime::client::{BoxError, Client, ConnectOptions, Headers};
use serde_json::{Value, json};

/// Whatever has a fresh token: a session of yours, a vault.
async fn fresh_token() -> Result<String, BoxError> {
    Ok("TOKEN".to_owned())
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let headers = || async { Ok(Headers::bearer(fresh_token().await?)) };
    let client = Client::connect(ConnectOptions::new("127.0.0.1").port(58503).connect_headers(headers)).await?;
    let order = json!({ "amount": 100 });
    let receipt: Value = client.call("com.example.OrderService", "placeOrder", &[order]).await?;
    println!("{receipt}");
    client.close().await;
    Ok(())
}
