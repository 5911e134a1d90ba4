//! The README's way from nothing to a first live rule, command by command against a real server; and what the command refuses.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

struct Stand {
    folder: PathBuf,
    server: Child,
    url: String,
    token: String,
}

impl Drop for Stand {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Stand {
    fn start(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("policy-online-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut command = policy(&folder);
        command.arg("serve").env("POLICY_LISTEN", "127.0.0.1:0").stdout(Stdio::null()).stderr(Stdio::piped());
        let mut server = command.spawn().unwrap();
        let mut lines = BufReader::new(server.stderr.take().unwrap()).lines();
        let (mut url, mut token) = (String::new(), String::new());
        while token.is_empty() {
            let line = lines.next().unwrap_or_else(|| panic!("the server ended")).unwrap();
            if let Some(rest) = line.strip_prefix("listening on ") {
                rest.split_whitespace().next().unwrap().clone_into(&mut url);
            }
            if let Some(found) = line.split('"').find(|part| part.starts_with("bootstrap_")) {
                found.clone_into(&mut token);
            }
        }
        std::thread::spawn(move || lines.for_each(drop));
        Self { folder, server, url, token }
    }

    /// What a command says, and how it ends.
    fn run(&self, line: &str) -> (String, i32) {
        let line = line.replace("TOKEN", &self.token);
        let (mut words, mut quoted) = (vec![String::new()], false);
        for c in line.chars() {
            match c {
                '\'' => quoted = !quoted,
                ' ' if !quoted => words.push(String::new()),
                c => words.last_mut().unwrap().push(c),
            }
        }
        let mut command = policy(&self.folder);
        command.args(words.iter().skip(1)).env("POLICY_URL", &self.url);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        process.stdin.take().unwrap().write_all(b"a quite long pass phrase\n").unwrap();
        let ended = process.wait_with_output().unwrap();
        let said = [ended.stdout, ended.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        (said.replace(&self.url, "http://127.0.0.1:58503"), ended.status.code().unwrap())
    }
}

fn policy(folder: &std::path::Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_policy"));
    command.current_dir(folder).env_clear().env("XDG_CONFIG_HOME", folder.join("home"));
    command
}

/// Ids that are made anew each time, and how many records there are.
fn masked(text: &str) -> String {
    let mut out = String::new();
    for word in text.split_inclusive([' ', '\n', ')', '(']) {
        let bare = word.trim_end_matches([' ', '\n', ')', '(']);
        let mask =
            ["u_", "pk_", "org:acme/u_", "d-"].iter().find(|prefix| bare.starts_with(**prefix) && bare.len() > 12);
        let number = bare.len() > 1 && bare.bytes().all(|byte| byte.is_ascii_digit());
        match mask.or(number.then_some(&"")) {
            Some(prefix) => out.extend([prefix, "..", word.get(bare.len()..).unwrap()]),
            None => out.push_str(word),
        }
    }
    out
}

#[test]
fn the_way_of_the_readme() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let section = readme.split("## From nothing to a first live rule").nth(1).unwrap();
    let stand = Stand::start("readme");
    for block in section.split("\n## ").next().unwrap().split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap();
        let lines = block.lines().filter(|line| line.starts_with("$ policy ") && !line.starts_with("$ policy serve"));
        let said = lines.map(|line| {
            let (said, _) = stand.run(line.strip_prefix("$ ").unwrap());
            [line, "\n", &masked(&said)].concat()
        });
        let told: String = said.collect();
        if !block.contains("$ policy serve") {
            assert_eq!(told, block, "\n--- told:\n{told}");
        }
    }
}

#[test]
fn what_it_refuses_and_how_it_ends() {
    let stand = Stand::start("refusals");
    let (said, code) = stand.run("policy whoami");
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("nobody is signed in") && said.contains("next: policy login"), "{said}");
    let (said, code) = stand.run("policy login --email root@example.com --bootstrap bootstrap_wrong --password-file -");
    assert_eq!(code, 1, "{said}");
    let (_, code) = stand.run("policy login --email root@example.com --bootstrap TOKEN --password-file -");
    assert_eq!(code, 0);
    let (said, code) = stand.run("policy user remove-second-factor u_nobody");
    assert!(code == 1 && said.contains("there is no user `u_nobody`"), "{said}");
    let profile = stand.folder.join("home/policy/default.json");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&profile).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert!(!std::fs::read_to_string(profile).unwrap().contains("pass phrase"));
    let (said, code) = stand.run("policy user list --org nowhere --json");
    assert_eq!(code, 1);
    let problem: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(problem.get("status"), Some(&404.into()));
    let (said, code) =
        stand.run("policy login --url http://policy.example.com --email root@example.com --password-file -");
    assert!(code == 2 && said.contains("neither https nor on this machine"), "{said}");
    let (said, code) = stand.run("policy login --email root@example.com --profile ../evil --password-file -");
    assert!(code == 2 && said.contains("no name of a profile"), "{said}");
    let (said, code) = stand.run("policy recover --database sqlite:policy.db --org nowhere");
    assert!(code == 2 && said.contains("there is no `org:nowhere`"), "{said}");
    let (_, code) = stand.run("policy logout");
    assert_eq!(code, 0);
    assert_eq!(stand.run("policy whoami").1, 2);
}
