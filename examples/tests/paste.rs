//! What `cargo run -- serve` prints to paste, for Node and for Rust, and the package in `examples/node`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

const PASSWORD: &str = "correct horse battery staple";

/// The gateway of the quickstart, in a process of its own; ends with the test.
struct Served {
    child: Child,
    printed: Vec<String>,
}

impl Served {
    fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quickstart"));
        let mut child = command.args(["serve", "0"]).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut printed = Vec::new();
        for line in lines {
            if line == "ready" {
                break;
            }
            printed.push(line);
        }
        Self { child, printed }
    }

    fn port(&self) -> &str {
        self.printed.first().unwrap().split(['/', ':']).nth(4).unwrap()
    }

    fn token(&self) -> &str {
        let at = self.printed.iter().position(|line| line.starts_with("a token of alice")).unwrap();
        self.printed.get(at + 1).unwrap()
    }

    /// The indented lines after a title.
    fn snippet(&self, title: &str) -> Vec<&str> {
        let after = self.printed.iter().skip_while(|line| !line.starts_with(title)).skip(2);
        after.take_while(|line| !line.is_empty()).map(|line| line.strip_prefix("  ").unwrap()).collect()
    }

    fn end(mut self) -> bool {
        let terminated = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        terminated.success() && self.child.wait().unwrap().success()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The example, with its packages.
static NODE: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("node");
    if !folder.join("node_modules").is_dir() {
        let installed = Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&folder).status();
        assert!(installed.unwrap().success(), "npm ci failed; it needs the npm registry once");
    }
    folder
});

/// Whether it succeeded, and what it said.
fn run(arguments: &[&str], variables: &[(&str, &str)]) -> (bool, String) {
    let ran =
        Command::new("node").args(arguments).current_dir(&*NODE).envs(variables.iter().copied()).output().unwrap();
    let said = [ran.stdout, ran.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (ran.status.success(), said.concat())
}

#[test]
fn the_example_calls_with_a_password_and_with_a_token() {
    let served = Served::start();
    let check = |variables: &[(&str, &str)], succeeds: bool, says: &str| {
        let variables = [variables, &[("HOST", "127.0.0.1"), ("PORT", served.port())]].concat();
        let (succeeded, said) = run(&["main.mjs"], &variables);
        assert!(succeeded == succeeds && said.contains(says), "{variables:?}: {said}");
    };
    let carol = ("LOGIN", "carol@acme.example");
    check(&[carol, ("PASSCODE", PASSWORD)], true, "placeOrder -> {\"number\":1}");
    check(&[("TOKEN", served.token())], true, "placeOrder -> {\"number\":2}");
    let much = ("ARGUMENTS", "[{\"amount\":72000}]");
    check(&[("TOKEN", served.token()), much], true, "placeOrder refused: ACCESS_DENIED (d-");
    check(&[carol, ("PASSCODE", "wrong")], false, "not connected: STOMP connection error");
    check(&[("TOKEN", "wrong")], false, "not connected: STOMP connection error");
    assert!(served.end(), "SIGTERM ends it in order");
}

#[test]
fn what_serve_prints_can_be_pasted() {
    let served = Served::start();
    let by_password = served.snippet("Node, with a password").join("\n");
    let login = by_password.lines().find(|line| line.starts_with("const login")).unwrap();
    let by_token = by_password.replace(login, &served.snippet("Node, with a token").concat());
    assert_ne!(by_token, by_password);
    for (script, receipt) in [(by_password, "{ number: 1 }\n"), (by_token, "{ number: 2 }\n")] {
        let (succeeded, said) = run(&["--input-type=module", "--eval", &script], &[]);
        assert!(succeeded && said == receipt, "{said}\n{script}");
    }
}

#[test]
fn what_serve_prints_for_rust_can_be_pasted() {
    let served = Served::start();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let package = target.join("tmp/pasted");
    fs::create_dir_all(package.join("src")).unwrap();
    fs::write(package.join("src/main.rs"), served.snippet("Rust, ").join("\n")).unwrap();
    // The versions, the place and the profile of the workspace: both share what they build.
    let manifest = format!(
        "[package]\nname = \"pasted\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[profile.dev]\ndebug = \"line-tables-only\"\n\n[profile.dev.package.\"*\"]\ndebug = false\n\n[dependencies]\n{}\n",
        served.snippet("which has these [dependencies]").join("\n")
    );
    fs::write(package.join("Cargo.toml"), manifest).unwrap();
    fs::copy(root.join("Cargo.lock"), package.join("Cargo.lock")).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["run", "--quiet", "--offline"]).current_dir(&package).env("CARGO_TARGET_DIR", target);
    let ran = cargo.output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(String::from_utf8(ran.stdout).unwrap(), "{\"number\":1}\n");
}
