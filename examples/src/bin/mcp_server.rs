//! An MCP server (JSON-RPC over HTTP) whose tool calls are guarded: the layer says who calls, a policy stands above each tool.
//!
//! `cargo run -p examples --bin mcp_server` listens, then:
//!
//! ```text
//! curl -u ada@example.com:correct-horse localhost:3001/mcp -H content-type:application/json \
//!   -d '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"refund","arguments":{"amount":40}}}'
//! ```

#![expect(clippy::print_stdout, reason = "it says where it listens")]

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use policy_runtime::authn::Chain;
use policy_runtime::authn::password::{PasswordAuthenticator, hash};
use policy_runtime::clock::SystemClock;
use policy_runtime::identity::{MemoryStore, NewUser};
use policy_runtime::secret::Secret;
use policy_runtime::tower::AuthenticateLayer;
use policy_runtime::{Denied, Policy, SecurityContext, abac_policy};
use serde::Deserialize;
use serde_json::{Value, json};

#[abac_policy(authenticated, action = "tools.stock")]
async fn stock(item: &str) -> Result<Value, Denied> {
    Ok(json!({ "item": item, "left": 7 }))
}

#[abac_policy(participant.roles contains "finance" and amount <= 50, action = "tools.refund")]
async fn refund(amount: i64) -> Result<Value, Denied> {
    Ok(json!({ "refunded": amount }))
}

/// What a model is told of the tools.
fn tools() -> Value {
    let tool = |name: &str, what: &str, argument: &str, kind: &str| {
        json!({
            "name": name,
            "description": what,
            "inputSchema": { "type": "object", "properties": { argument: { "type": kind } }, "required": [argument] },
        })
    };
    json!([
        tool("stock", "How many of an item are left.", "item", "string"),
        tool("refund", "Pays back.", "amount", "integer")
    ])
}

#[derive(Deserialize)]
#[serde(tag = "name", content = "arguments", rename_all = "lowercase")]
enum Tool {
    Stock { item: String },
    Refund { amount: i64 },
}

async fn mcp(cx: SecurityContext, Json(request): Json<Value>) -> Response {
    let Some(id) = request.get("id").cloned() else {
        // A notification, such as `notifications/initialized`, is not answered.
        return StatusCode::ACCEPTED.into_response();
    };
    let params = request.get("params").cloned().unwrap_or_default();
    let answer = match request.get("method").and_then(Value::as_str) {
        Some("initialize") => Ok(json!({
            "protocolVersion": "2025-06-18",
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "shop", "version": "1.0.0" },
        })),
        Some("tools/list") => Ok(json!({ "tools": tools() })),
        Some("tools/call") => match serde_json::from_value(params) {
            Ok(tool) => Ok(called(&cx, tool).await),
            Err(error) => Err((-32602, error.to_string())),
        },
        _ => Err((-32601, "no such method".to_owned())),
    };
    Json(match answer {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err((code, message)) => json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } }),
    })
    .into_response()
}

async fn called(cx: &SecurityContext, tool: Tool) -> Value {
    let done = match tool {
        Tool::Stock { item } => stock(&item).await,
        Tool::Refund { amount } => refund(amount).await,
    };
    // A model is told that it may not, and nothing of why.
    let (text, is_error) = match done {
        Ok(value) => (value.to_string(), false),
        Err(denied) => {
            (format!("{} may not do this: {denied}", cx.participant().email().unwrap_or("this caller")), true)
        }
    };
    json!({ "content": [{ "type": "text", "text": text }], "isError": is_error })
}

fn app() -> Result<Router> {
    let policy = Policy::for_application("shop")?;
    let (store, scope) = (MemoryStore::default(), policy.application().clone());
    store.create_organization("default")?;
    store.create_application("default", "shop")?;
    let password = hash(&Secret::new("correct-horse".to_owned()))?;
    for (email, role) in [("ada@example.com", "finance"), ("bob@example.com", "clerk")] {
        store.create_user(NewUser::new(scope.clone(), email).role(role).password_hash(password.clone()))?;
    }
    let chain = Chain::builder().with(PasswordAuthenticator::new(Arc::new(store), Arc::new(SystemClock))).build();
    Ok(Router::new().route("/mcp", post(mcp)).layer(AuthenticateLayer::new(policy, chain)))
}

#[tokio::main]
async fn main() -> Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3001").await?;
    println!("listening on http://{}/mcp", listener.local_addr()?);
    Ok(axum::serve(listener, app()?.into_make_service_with_connect_info::<SocketAddr>()).await?)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::{Request, header};
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    async fn ask(app: &Router, who: &str, method: &str, params: Value) -> (u16, Value) {
        let login = STANDARD.encode(format!("{who}@example.com:correct-horse"));
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let request = Request::post("/mcp")
            .header(header::AUTHORIZATION, format!("Basic {login}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(call.to_string()))
            .unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    async fn call(app: &Router, who: &str, name: &str, arguments: Value) -> (bool, String) {
        let (_, answer) = ask(app, who, "tools/call", json!({ "name": name, "arguments": arguments })).await;
        let text = answer["result"]["content"][0]["text"].as_str().unwrap().to_owned();
        (answer["result"]["isError"].as_bool().unwrap(), text)
    }

    #[tokio::test]
    async fn tools_are_called_by_whom_their_policies_permit() {
        let app = app().unwrap();
        assert_eq!(ask(&app, "ada", "initialize", json!({})).await.1["result"]["serverInfo"]["name"], "shop");
        assert_eq!(ask(&app, "ada", "tools/list", json!({})).await.1["result"]["tools"].as_array().unwrap().len(), 2);
        assert_eq!(
            call(&app, "bob", "stock", json!({ "item": "tea" })).await,
            (false, "{\"item\":\"tea\",\"left\":7}".into())
        );
        assert_eq!(call(&app, "ada", "refund", json!({ "amount": 40 })).await, (false, "{\"refunded\":40}".into()));
        for (who, amount) in [("ada", 51), ("bob", 1)] {
            let (is_error, text) = call(&app, who, "refund", json!({ "amount": amount })).await;
            assert!(is_error && text.contains("ACCESS_DENIED"), "{text}");
        }
        assert_eq!(ask(&app, "ada", "tools/call", json!({ "name": "rm" })).await.1["error"]["code"], -32602);
        assert_eq!(ask(&app, "eve", "tools/list", json!({})).await.0, 401);
    }
}
