//! The command `policy` as a person starts it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("policy-serve-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn policy(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_policy"));
        command.args(arguments).env_clear().env("POLICY_LISTEN", "127.0.0.1:0").current_dir(&self.0);
        command
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Server {
    process: Child,
    address: String,
    /// What it said at the terminal.
    said: String,
    log: mpsc::Receiver<String>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts it and reads the terminal until it is silent for a while.
fn serve(folder: &Folder, arguments: &[&str]) -> Server {
    serve_by(folder.policy(arguments))
}

fn serve_by(mut command: Command) -> Server {
    let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = |from: Box<dyn std::io::Read + Send>| {
        let (line, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for text in BufReader::new(from).lines() {
                if text.map(|text| line.send(text)).is_err() {
                    break;
                }
            }
        });
        lines
    };
    let log = lines(Box::new(process.stdout.take().unwrap()));
    let terminal = lines(Box::new(process.stderr.take().unwrap()));
    let mut said = String::new();
    let until = Instant::now() + Duration::from_secs(30);
    while Instant::now() < until {
        let wait = if said.contains("listening on") { Duration::from_millis(700) } else { Duration::from_secs(30) };
        match terminal.recv_timeout(wait) {
            Ok(line) => said.extend([line.as_str(), "\n"]),
            Err(_) => break,
        }
    }
    let address = said.split("http://").nth(1).and_then(|rest| rest.split_whitespace().next());
    let address = address.unwrap_or_else(|| panic!("it does not listen: {said}")).to_owned();
    Server { process, address, said, log }
}

impl Server {
    fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> u16 {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-request-id: test-1\r\ncontent-length: {}\r\n{headers}\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }

    fn sign_in(&self, email: &str, password: &str, scope: &str) -> u16 {
        use base64::Engine as _;
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("{email}:{password}"));
        self.send("GET", "/api/auth/me", &format!("authorization: Basic {basic}\r\n{scope}"), "")
    }

    /// The log so far, line by line as JSON.
    fn log(&self) -> Vec<Value> {
        std::thread::sleep(Duration::from_millis(300));
        self.log.try_iter().map(|line| serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"))).collect()
    }
}

const SYSTEM: &str = "authscopetype: SYSTEM\r\n";

#[test]
fn the_first_start_gives_a_token_that_makes_one_operator() {
    let folder = Folder::new("bootstrap");
    let server = serve(&folder, &["serve"]);
    let token = server.said.split('"').find(|part| part.starts_with("bootstrap_")).unwrap().to_owned();
    let body =
        |email: &str| json!({"token": token, "email": email, "password": "a quite long pass phrase"}).to_string();
    assert_eq!(server.send("POST", "/api/auth/bootstrap", "", "{}"), 400);
    assert_eq!(server.sign_in("op@x.example", "a quite long pass phrase", SYSTEM), 401);
    assert_eq!(server.send("POST", "/api/auth/bootstrap", "", &body("op@x.example")), 201);
    assert_eq!(server.send("POST", "/api/auth/bootstrap", "", &body("op2@x.example")), 401);
    assert_eq!(server.sign_in("op@x.example", "a quite long pass phrase", SYSTEM), 204);

    let log = server.log();
    assert!(!log.is_empty());
    for line in &log {
        for member in ["time", "level", "message", "tenantSlug", "requestId", "duration"] {
            assert!(line.get(member).is_some(), "{member} is not in {line}");
        }
        let text = line.to_string();
        assert!(!text.contains(&token) && !text.contains("pass phrase"), "{text}");
    }
    let signed_in = log.iter().find(|line| line["message"] == "sign-in").unwrap();
    assert_eq!((&signed_in["requestId"], &signed_in["scope"]), (&json!("test-1"), &json!("sys")));
    drop(server);

    let again = serve(&folder, &["serve"]);
    assert!(!again.said.contains("bootstrap_"), "{}", again.said);
    assert_eq!(again.sign_in("op@x.example", "a quite long pass phrase", SYSTEM), 204, "what is stored stays");
}

#[test]
fn the_demonstration_has_the_people_of_the_quickstart() {
    let folder = Folder::new("demo");
    let server = serve(&folder, &["serve", "--demo"]);
    let line = server.said.lines().find(|line| line.contains("carol@acme.example")).unwrap();
    let password = line.split_whitespace().last().unwrap();
    let scope = "organizationid: acme\r\napplicationid: orders\r\n";
    assert_eq!(server.sign_in("carol@acme.example", password, scope), 204);
    assert_eq!(server.sign_in("carol@acme.example", "correct horse battery staple", scope), 401, "no default password");
    let log = server.log();
    let failed = log.iter().find(|line| line["message"] == "sign-in-failed").unwrap();
    assert_eq!((&failed["tenantSlug"], &failed["code"]), (&json!("acme"), &json!("wrong_credentials")));
}

#[test]
fn mistakes_are_named_all_at_once() {
    let folder = Folder::new("mistakes");
    std::fs::write(folder.0.join("policy.toml"), "env = \"production\"\n[server]\nrate_limits = false\n").unwrap();
    for (command, code) in [(["serve"].as_slice(), 2), (&["check", "--config", "policy.toml"], 1)] {
        let ended = folder.policy(command).output().unwrap();
        let said = String::from_utf8([ended.stdout, ended.stderr].concat()).unwrap();
        assert_eq!(ended.status.code(), Some(code));
        for part in ["rate limits are off", "the database is in memory", "there is no `key`", "is not https"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    let ended = folder.policy(&["fly"]).output().unwrap();
    assert_eq!(ended.status.code(), Some(2));
}

/// The packages of npm that the tests of other crates use, too.
fn providers() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/providers");
    if !folder.join("node_modules").is_dir() {
        let done = Command::new("npm").args(["ci", "--silent"]).current_dir(&folder).status().unwrap();
        assert!(done.success(), "`npm ci` ended with {done}");
    }
    folder
}

#[test]
fn the_certified_client_signs_somebody_in() {
    let folder = Folder::new("oauth");
    // Its tokens name the address, so that this is chosen before the start.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = folder.policy(&["serve", "--demo"]);
    command.env("POLICY_LISTEN", format!("127.0.0.1:{port}"));
    let server = serve_by(command);
    let last = |word: &str| {
        let line = server.said.lines().find(|line| line.contains(word)).unwrap_or_else(|| panic!("{}", server.said));
        line.split_whitespace().last().unwrap().to_owned()
    };
    let ended = Command::new("node")
        .arg("rp-openid-client.mjs")
        .arg(format!("http://127.0.0.1:{port}"))
        .env("LOGIN", "carol@acme.example")
        .env("PASSWORD", last("carol@acme.example"))
        .env("CLIENT_ID", "web-app")
        .env("CLIENT_SECRET", last("client web-app"))
        .current_dir(providers())
        .output()
        .unwrap();
    let (said, failed) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    let steps: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let step = |name: &str| {
        let found = steps.iter().find(|step| step["step"] == name);
        found.unwrap_or_else(|| panic!("no step `{name}`: {said}{failed}"))
    };
    assert_eq!(step("discovery")["pkce"], true);
    assert_eq!(step("form")["fields"], json!(["email", "password"]));
    assert_eq!(
        (&step("code")["refresh"], &step("code")["claims"]["email"]),
        (&json!(true), &json!("carol@acme.example"))
    );
    assert_eq!(step("access-token")["header"]["typ"], "at+jwt");
    assert_eq!(step("access-token")["payload"]["sub"], step("code")["claims"]["sub"]);
    assert_eq!(step("refresh")["rotated"], true);
    assert_eq!(step("introspect")["active"], true);
    step("revoke");
    assert_eq!(step("refresh-after-revoke")["result"], "invalid_grant");
    assert_eq!(step("wrong-state")["result"], "OAUTH_INVALID_RESPONSE");
    assert_eq!(step("replayed-code")["result"], "invalid_grant");
    assert_eq!(steps.last().unwrap()["ok"], true, "{failed}");
    let log = server.log();
    assert!(log.iter().all(|line| !line.to_string().contains(&last("client web-app"))), "no secret is logged");
}

#[test]
fn a_client_is_registered_at_the_terminal() {
    let folder = Folder::new("client");
    let told = |arguments: &[&str]| {
        let ended = folder.policy(arguments).env("DB_URL", "sqlite:policy.db").output().unwrap();
        (ended.status.success(), String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned())
    };
    let own = [
        "client",
        "robot",
        "--scope",
        "app:default/default",
        "--name",
        "The robot",
        "--for-itself",
        "--role",
        "packer",
    ];
    let (good, said) = told(&own);
    assert!(good && said.contains("cs_"), "{said}");
    let (good, said) = told(&own);
    assert!(!good && said.contains("`robot` already"), "{said}");
    let (good, said) =
        told(&["client", "x", "--scope", "app:default/default", "--redirect-uri", "http://evil.example"]);
    assert!(!good && said.contains("no address to come back to"), "{said}");
    let (good, said) = told(&["rotate"]);
    assert!(good && said.contains("signs in 15 minutes"), "{said}");
}
