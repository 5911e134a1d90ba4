//! The one table of codes: as the documentation shows it, and as each transport says it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fmt::Write as _;
use std::sync::Arc;

use policy_core::decl::{MethodDecl, ServiceDecl};
use policy_core::source::Place;
use policy_runtime::client::{Client, ConnectOptions, Headers};
use policy_runtime::service::{Arguments, CallError, CallFuture, Service};
use policy_runtime::tower::Problem;
use policy_runtime::wire::{header, message};
use policy_runtime::{Code, SecurityContext};
use serde_json::Value;
use tests::raw::{Raw, serve};

const ALICE: &str = "tok.alice@example.com.1";

fn table() -> String {
    let mut out = String::from(
        "# Codes

What a refused or failed call is called, the same wherever it is told. `UPDATE_EXPECT=1 cargo test -p tests --test codes` makes
this page of `policy_runtime::Code`.

| where | code | text | besides |
| --- | --- | --- | --- |
| error reply of the gateway | `code` in the body | `error` header, `errorMessage` | `exceptionClass`, `decision`, `requestId`, `retryAfterMs` |
| ERROR in answer to CONNECT | `code` header | `message` header | `retry-after-ms` header |
| `application/problem+json` | `code` | `title`, `detail` | the status, `decision`, `requestId`, `Retry-After` |
| Rust | `Denied::code`, `CallError::code` | `CallError::message` | `decision`, `retry_after` |

A refusal says no more than its code and the id of its decision. Text is the code's own where the method or the gateway has
nothing to add.

| code | HTTP | `exceptionClass` | again, unchanged? | text | what to do |
| --- | --- | --- | --- | --- | --- |
",
    );
    for code in Code::ALL {
        let retry = if code.retry() { "later" } else { "no" };
        let (status, class, text, help) = (code.status(), code.exception_class(), code.text(), code.help());
        writeln!(out, "| `{code}` | {status} | `{class}` | {retry} | {text} | {help} |").unwrap();
    }
    out
}

#[test]
fn the_documentation_shows_the_table() {
    expect_test::expect_file!["../../docs/codes.md"].assert_eq(&table());
}

/// Fails as its methods are called.
#[derive(Debug)]
struct Failing;

impl Service for Failing {
    fn declaration(&self) -> &'static ServiceDecl {
        const METHODS: &[MethodDecl] = &[];
        const PLACE: Place = Place { file: file!(), line: line!() };
        &ServiceDecl {
            package: "tests",
            namespace: "com.example",
            name: "Failing",
            version: None,
            place: PLACE,
            methods: METHODS,
        }
    }

    fn call(self: Arc<Self>, method: &str, _: Arguments, _: SecurityContext) -> CallFuture {
        let code = Code::parse(method).unwrap();
        Box::pin(async move { Err(CallError::new(code, code.text())) })
    }
}

#[tokio::test]
async fn every_transport_says_the_same() {
    let gateway = serve(|builder| builder.service(Arc::new(Failing))).await;
    let mut raw = Raw::connect(&gateway, ALICE).await;
    let options = ConnectOptions::new("127.0.0.1").port(gateway.local_addr().port());
    let client = Client::connect(options.connect_headers(Headers::bearer(ALICE))).await.unwrap();
    for code in Code::ALL.iter().copied() {
        let replies = message::reply_address(&raw.reply_to_id, "t");
        raw.send(&message::request(&format!("srv://com.example.Failing/{code}"), &replies, "c", "")).await;
        let reply = raw.frame().await.unwrap();
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(reply.header(header::ERROR), Some(code.text()));
        assert_eq!((&body["code"], &body["errorMessage"]), (&code.as_str().into(), &code.text().into()));
        assert_eq!(
            (&body["exceptionClass"], &body["exceptionName"]),
            (&code.exception_class().into(), &code.exception_class().into())
        );

        let told = client.call::<()>("com.example.Failing", code.as_str(), &[(); 0]).await.unwrap_err();
        assert_eq!((told.code(), told.message()), (code, code.text()));

        let problem: http::Response<String> = Problem::new(code).into();
        let body: Value = serde_json::from_str(problem.body()).unwrap();
        assert_eq!((problem.status().as_u16(), &body["status"]), (code.status(), &code.status().into()));
        assert_eq!((&body["code"], &body["title"]), (&code.as_str().into(), &code.text().into()));
    }
}
