//! One resource server binary serves tokens of real providers and of a shared secret, changed by three variables.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tests::providers::{Provider, machine_token, send};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

const AUDIENCE: &str = "https://api.example.test";

struct Running {
    base: String,
    _process: Child,
}

async fn start(variables: &[(&str, &str)]) -> Running {
    let mut process = Command::new(env!("CARGO_BIN_EXE_token-server"))
        .env_clear()
        .env("POLICY_LISTEN", "127.0.0.1:0")
        .envs(variables.iter().copied())
        .current_dir(std::env::temp_dir())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(process.stdout.take().unwrap());
    tokio::time::timeout(Duration::from_secs(20), output.read_line(&mut line)).await.unwrap().unwrap();
    let facts: Value = serde_json::from_str(&line).unwrap();
    Running { base: facts["base"].as_str().unwrap().to_owned(), _process: process }
}

impl Running {
    async fn ask(&self, token: &str) -> (u16, Value) {
        let bearer = format!("Bearer {token}");
        let answer = send("GET", &format!("{}/whoami", self.base), &[("authorization", &bearer)], "").await.unwrap();
        (answer.status, answer.json().unwrap_or_default())
    }
}

/// A token of a user who signs up at Better Auth.
async fn better_auth_token(base: &str) -> String {
    let json = ("content-type", "application/json");
    let origin = ("origin", base);
    let body = r#"{"email":"rs@example.test","password":"correct-horse-9","name":"Rs"}"#;
    let signed_up = send("POST", &format!("{base}/api/auth/sign-up/email"), &[json, origin], body).await.unwrap();
    let cookies = signed_up.cookies();
    let token = send("GET", &format!("{base}/api/auth/token"), &[("cookie", &cookies)], "").await.unwrap();
    token.json().unwrap()["token"].as_str().unwrap().to_owned()
}

/// A token by a shared secret, made by node as a platform would make it.
async fn shared_secret_token(secret_hex: &str, issuer: &str) -> String {
    let script = r"
        const [hex, iss, aud] = process.argv.slice(1)
        const b = (x) => Buffer.from(JSON.stringify(x)).toString('base64url')
        const now = Math.floor(Date.now() / 1000)
        const head = b({ alg: 'HS256' }) + '.' + b({ iss, aud, sub: 'u-7', iat: now, exp: now + 600 })
        const mac = require('crypto').createHmac('sha256', Buffer.from(hex, 'hex')).update(head).digest('base64url')
        console.log(head + '.' + mac)";
    let made = Command::new("node").args(["-e", script, secret_hex, issuer, AUDIENCE]).output().await.unwrap();
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn three_variables_change_whose_tokens_are_taken() {
    let oidc =
        Provider::start("start-oidc-provider.mjs", &[("PORT", "0"), ("AT_ALG", "ES256"), ("AUDIENCE", AUDIENCE)])
            .await
            .unwrap();
    let better = Provider::start("start-better-auth.mjs", &[("PORT", "0"), ("ALG", "EdDSA"), ("AUDIENCE", AUDIENCE)])
        .await
        .unwrap();
    let secret = "8f1d6c2ab94e7035d1c8e6f0a2b3947c5e1f8d0a6b7c3e2f9184a5d6c7b8e9f0";
    let (issuer, base) = (oidc.fact("issuer").to_owned(), better.fact("base").to_owned());
    let tokens = [
        (machine_token(&issuer).await.unwrap(), "svc", "oidc-machine"),
        (better_auth_token(&base).await, "", "oidc"),
        (shared_secret_token(secret, "https://platform.example").await, "u-7", "jwt"),
    ];
    let environments: [&[(&str, &str)]; 3] = [
        &[("AUTH_ISSUER", &issuer), ("AUTH_AUDIENCE", AUDIENCE)],
        &[("AUTH_ISSUER", &base), ("AUTH_AUDIENCE", AUDIENCE)],
        &[("AUTH_ISSUER", "https://platform.example"), ("AUTH_AUDIENCE", AUDIENCE), ("JWT_SECRET", secret)],
    ];
    for (at, variables) in environments.iter().enumerate() {
        let server = start(variables).await;
        for (number, (token, subject, auth_type)) in tokens.iter().enumerate() {
            let (status, who) = server.ask(token).await;
            if number == at {
                assert_eq!((status, who["authType"].as_str()), (200, Some(*auth_type)), "{variables:?}: {who}");
                assert!(subject.is_empty() || who["subject"] == *subject, "{who}");
                let (_, again) = server.ask(token).await;
                assert_eq!(again["id"], who["id"]);
            } else {
                assert_eq!(status, 401, "token {number} at {variables:?}: {who}");
            }
        }
        assert_eq!(server.ask("nonsense").await.0, 401);
    }
}

#[tokio::test]
async fn without_an_issuer_it_does_not_start() {
    let ended = Command::new(env!("CARGO_BIN_EXE_token-server"))
        .env_clear()
        .current_dir(std::env::temp_dir())
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(!ended.status.success() && said.contains("there is no provider"), "{said}");
}
