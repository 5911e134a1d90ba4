//! The npm client, exactly as published, against the acceptance gateway.
#![expect(clippy::print_stderr, reason = "what was left out must be seen")]
#![expect(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "helpers of tests are tests")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A gateway in a process of its own; ends with the test.
struct Served(Child, u16);

impl Served {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_acceptance-gateway"))
            .args(["--port", "0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the gateway starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).expect("it says where it listens");
        let port = line.trim().rsplit(':').next().and_then(|rest| rest.split('/').next()).unwrap().parse();
        Self(child, port.unwrap_or_else(|_| panic!("no port in {line:?}")))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn has(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success())
}

#[test]
fn the_unmodified_npm_client_passes() {
    run("kinotic-client", "", &[]);
}

/// The other suites use SQLite.
#[test]
fn the_unmodified_npm_client_reads_and_writes_rows_of_postgres() {
    run("kinotic-client", "persistence/", &["--database", &tests::postgres::fresh_database().unwrap()]);
}

#[test]
fn the_newest_npm_client_passes() {
    run("kinotic-newest", "", &[]);
}

/// Whether what npm put there is what the lock says by now.
fn is_installed(suite: &Path) -> bool {
    let written = |path: &str| suite.join(path).metadata().and_then(|found| found.modified()).ok();
    written("node_modules/.package-lock.json") >= written("package-lock.json")
}

/// Runs those cases of a suite whose name contains `only`.
fn run(suite: &str, only: &str, arguments: &[&str]) {
    if !has("node") || !has("npm") {
        eprintln!("SKIPPED: node and npm are not here, so the npm client was not tried");
        return;
    }
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join(suite);
    if !is_installed(&suite) {
        let installed = Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&suite).status();
        assert!(installed.expect("npm runs").success(), "npm ci failed; it needs the npm registry once");
    }
    let served = Served::start(arguments);
    let ran = Command::new("node")
        .args(["run.mjs", only])
        .current_dir(&suite)
        .env("KINOTIC_PORT", served.1.to_string())
        .output()
        .expect("node runs");
    let out = String::from_utf8_lossy(&ran.stdout);
    let failed: Vec<&str> = out.lines().filter(|line| !line.starts_with("ok ")).collect();
    assert!(ran.status.success(), "{}", failed.join("\n"));
    assert!(out.lines().any(|line| line.starts_with("ok ")), "no case ran");
}
