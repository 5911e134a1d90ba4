//! The log of a whole server in a process of its own: one line of JSON for each request, over both transports.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use policy_runtime::admin::BASE;
use policy_runtime::config::{Config, Environment};
use policy_runtime::identity::NewUser;
use policy_runtime::secret::Secret;
use policy_runtime::server::Prepared;
use policy_runtime::wire::{header, message};
use serde_json::{Value, json};
use tests::providers::send;
use tests::raw::{Raw, show};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{ChildStdout, Command};

const PASSWORD: &str = "a quite long pass phrase";

/// The next line of which this is true; those before are looked at too.
async fn line(log: &mut Lines<BufReader<ChildStdout>>, is_it: impl Fn(&Value) -> bool) -> Value {
    let found = async {
        while let Some(text) = log.next_line().await.unwrap() {
            let line: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}"));
            for member in ["time", "level", "message", "tenantSlug", "requestId", "duration"] {
                assert!(line.get(member).is_some(), "`{member}` is not in {text}");
            }
            assert!(!text.contains("pass phrase"), "{text}");
            if is_it(&line) {
                return line;
            }
        }
        panic!("the log has ended");
    };
    tokio::time::timeout(Duration::from_secs(10), found).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_is_a_line_with_its_tenant_id_and_duration() {
    let folder = std::env::temp_dir().join(format!("policy-logs-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let variables = [("DB_URL", "sqlite:policy.db"), ("POLICY_ORGANIZATION", "acme"), ("POLICY_APPLICATION", "orders")];
    let config = Config::check("", &Environment::of(variables), &folder).unwrap();
    let prepared = Prepared::new(&config).await.unwrap();
    let hash = policy_runtime::authn::password::hash(&Secret::new(PASSWORD.to_owned())).unwrap();
    let alice = NewUser::new(config.application.clone(), "alice@acme.example").password_hash(hash);
    let alice = prepared.store.add_user(alice).await.unwrap();
    drop(prepared);

    let mut server = Command::new(env!("CARGO_BIN_EXE_whole-server"))
        .env_clear()
        .envs(variables)
        .env("POLICY_LISTEN", "127.0.0.1:0")
        .current_dir(&folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut log = BufReader::new(server.stdout.take().unwrap()).lines();
    let mut terminal = BufReader::new(server.stderr.take().unwrap()).lines();
    let said = tokio::time::timeout(Duration::from_secs(30), terminal.next_line()).await.unwrap().unwrap().unwrap();
    let address: SocketAddr = said.parse().unwrap();
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("alice@acme.example:{PASSWORD}"));
    let basic = format!("Basic {basic}");

    let mut raw = Raw::dial_at(address, &[("authorization", &basic)]).await.unwrap();
    raw.hello("CONNECT\naccept-version:1.2\n\n\0").await;
    let signed_in = line(&mut log, |line| line["message"] == "sign-in").await;
    assert_eq!((&signed_in["level"], &signed_in["tenantSlug"]), (&json!("info"), &json!("acme")), "{signed_in}");
    let replies = message::reply_address(&raw.reply_to_id, "t");
    for (method, id, arguments) in [("slow", "r-1", "[30, 1]"), ("placeOrder", "r-2", "[{\"amount\": 1}]")] {
        let to = format!("srv://com.example.OrderService/{method}");
        let call = message::request(&to, &replies, "c", arguments.to_owned()).with(header::REQUEST_ID, id);
        raw.send(&call).await;
        let answer = show(&raw.frame().await.unwrap());
        let call = line(&mut log, |line| line["message"] == "call").await;
        assert_eq!((&call["level"], &call["tenantSlug"]), (&json!("info"), &json!("acme")), "{call}");
        assert_eq!((&call["requestId"], &call["method"]), (&json!(id), &json!(method)), "{call}");
        assert_eq!(call["participant"], alice.id, "{call}");
        if method == "slow" {
            assert_eq!((answer.as_str(), &call["code"]), ("1", &Value::Null), "{call}");
            assert!((30..5_000).contains(&call["duration"].as_u64().unwrap()), "milliseconds: {call}");
        } else {
            assert_eq!((answer.as_str(), &call["code"]), ("error ACCESS_DENIED", &json!("ACCESS_DENIED")), "{call}");
        }
    }

    let headers = [("authorization", basic.as_str()), ("x-request-id", "r-3")];
    let answer = send("GET", &format!("http://{address}{BASE}/organizations"), &headers, "").await.unwrap();
    let request = line(&mut log, |line| line["message"] == "request").await;
    assert_eq!((&request["level"], &request["tenantSlug"]), (&json!("info"), &json!("acme")), "{request}");
    assert_eq!((&request["requestId"], &request["method"]), (&json!("r-3"), &json!("GET")), "{request}");
    assert_eq!(request["status"], answer.status, "{request}");
    assert!(request["duration"].is_u64(), "{request}");
    std::fs::remove_dir_all(folder).unwrap();
}
