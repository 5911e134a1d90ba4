//! Starts real identity providers on loopback and speaks to them.
//!
//! In: the name of a start script in `providers/`. Out: the facts it prints, and a small HTTP client. The providers come
//! from npm at the versions of the lock file; `npm ci` runs by itself the first time. Absent: anything of the project.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command as AsyncCommand};

/// Why a provider cannot be used.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("providers")
}

/// Installs the packages of a folder, once.
fn install(done: &OnceLock<Result<(), String>>, folder: &Path) -> Result<(), Error> {
    done.get_or_init(|| {
        if folder.join("node_modules").is_dir() {
            return Ok(());
        }
        let done = Command::new("npm").arg("ci").arg("--silent").current_dir(folder).stdout(Stdio::null()).status();
        match done {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("`npm ci` ended with {status}")),
            Err(error) => Err(format!("`npm` cannot be run: {error}")),
        }
    })
    .clone()
    .map_err(Into::into)
}

/// Installs what a script needs.
fn install_for(script: &str) -> Result<(), Error> {
    static ALL: OnceLock<Result<(), String>> = OnceLock::new();
    static KOTTSTER: OnceLock<Result<(), String>> = OnceLock::new();
    install(&ALL, &folder())?;
    // Its packages compile for minutes, so they stand apart.
    if script.starts_with("kottster") { install(&KOTTSTER, &folder().join("kottster")) } else { Ok(()) }
}

/// Installs what drives a browser, and gives its folder.
///
/// # Errors
/// When npm does not install it.
pub fn browser() -> Result<PathBuf, Error> {
    static DONE: OnceLock<Result<(), String>> = OnceLock::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
    install(&DONE, &folder)?;
    Ok(folder)
}

/// A provider that runs until this is dropped.
#[derive(Debug)]
pub struct Provider {
    /// What it said when it began to listen.
    pub facts: Value,
    _process: Child,
}

impl Provider {
    /// Starts a script with settings in its environment.
    ///
    /// # Errors
    /// When it does not come up within half a minute.
    pub async fn start(script: &str, settings: &[(&str, &str)]) -> Result<Self, Error> {
        let needs = script.to_owned();
        tokio::task::spawn_blocking(move || install_for(&needs)).await??;
        let mut process = AsyncCommand::new("node")
            .arg(script)
            .envs(settings.iter().copied())
            .current_dir(folder())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let output = process.stdout.take().ok_or("no output")?;
        let mut line = String::new();
        tokio::time::timeout(Duration::from_secs(30), BufReader::new(output).read_line(&mut line)).await??;
        Ok(Self { facts: serde_json::from_str(&line)?, _process: process })
    }

    /// One of the facts, as text; empty if the provider did not say it.
    pub fn fact(&self, name: &str) -> &str {
        self.facts.get(name).and_then(Value::as_str).unwrap_or_default()
    }
}

/// An answer of a server.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers, as they came.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Errors
    /// When it is none.
    pub fn json(&self) -> Result<Value, Error> {
        Ok(serde_json::from_str(&self.body)?)
    }

    /// The cookies it sets, as a client sends them back.
    pub fn cookies(&self) -> String {
        let set = self.head.lines().filter_map(|line| line.split_once(": "));
        let set = set.filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
        let pairs: Vec<&str> = set.filter_map(|(_, value)| value.split(';').next()).collect();
        pairs.join("; ")
    }
}

/// Sends one request to a server on loopback.
///
/// # Errors
/// When it does not answer.
pub async fn send(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Result<Answer, Error> {
    let rest = url.strip_prefix("http://").ok_or("only http")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(host).await?;
    let mut request = format!("{method} /{path} HTTP/1.0\r\nhost: {host}\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        request.extend([name, ": ", value, "\r\n"]);
    }
    request.push_str("\r\n");
    request.push_str(body);
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no header")?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or("no status")?;
    Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
}

/// Asks oidc-provider for an access token of the machine client `svc`.
///
/// # Errors
/// When it gives none.
pub async fn machine_token(issuer: &str) -> Result<String, Error> {
    use base64::Engine as _;
    let secret = base64::engine::general_purpose::STANDARD.encode("svc:svc-secret-0123456789abcdefghijklmnopqrst");
    let headers = [
        ("authorization", format!("Basic {secret}")),
        ("content-type", "application/x-www-form-urlencoded".to_owned()),
    ];
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let body = "grant_type=client_credentials&scope=records%3Aread";
    let answer = send("POST", &format!("{issuer}/token"), &headers, body).await?;
    let token = answer.json()?.get("access_token").and_then(Value::as_str).map(str::to_owned);
    token.ok_or_else(|| format!("no token: {} {}", answer.status, answer.body).into())
}
