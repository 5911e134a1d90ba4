//! A real server in a folder of its own, and the command beside it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

pub(crate) struct Stand {
    pub(crate) folder: PathBuf,
    server: Child,
    pub(crate) url: String,
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
    pub(crate) fn start(name: &str) -> Self {
        Self::start_with(name, &[])
    }

    pub(crate) fn start_with(name: &str, settings: &[(&str, &str)]) -> Self {
        let folder = std::env::temp_dir().join(format!("policy-online-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut command = policy(&folder);
        command
            .arg("serve")
            .env("POLICY_LISTEN", "127.0.0.1:0")
            .envs(settings.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
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
    pub(crate) fn run(&self, line: &str) -> (String, i32) {
        self.run_by(line, None)
    }

    /// As somebody who has a key in the environment.
    pub(crate) fn run_by(&self, line: &str, key: Option<&str>) -> (String, i32) {
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
        command.args(words.iter().skip(1)).env("POLICY_URL", &self.url).envs(key.map(|key| ("POLICY_KEY", key)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        // Whoever asks for no password may have ended before it could read one.
        let _ = process.stdin.take().unwrap().write_all(b"a quite long pass phrase\n");
        let ended = process.wait_with_output().unwrap();
        let said = [ended.stdout, ended.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        (said.replace(&self.url, "http://127.0.0.1:58503"), ended.status.code().unwrap())
    }
}

pub(crate) fn policy(folder: &std::path::Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_policy"));
    command.current_dir(folder).env_clear().env("XDG_CONFIG_HOME", folder.join("home"));
    command
}

/// Ids that are made anew each time, and how many records there are.
pub(crate) fn masked(text: &str) -> String {
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

pub(crate) fn says(stand: &Stand, line: &str, code: i32, expect: &expect_test::Expect) {
    let (said, ended) = stand.run(line);
    assert_eq!(ended, code, "{line}: {said}");
    expect.assert_eq(&masked(&said));
}

pub(crate) fn signed_in(name: &str) -> Stand {
    signed_in_by(name, &[])
}

pub(crate) fn signed_in_by(name: &str, settings: &[(&str, &str)]) -> Stand {
    let stand = Stand::start_with(name, settings);
    for line in [
        "policy login --bootstrap TOKEN --email root@example.com --password-file -",
        "policy org create acme --owner ann@acme.example --password-file -",
        "policy login --org acme --email ann@acme.example --password-file -",
        "policy app create orders --org acme",
    ] {
        let (said, code) = stand.run(line);
        assert_eq!(code, 0, "{line}: {said}");
    }
    stand
}

pub(crate) fn post(url: &str, path: &str, header: &str, body: &str) -> String {
    use std::io::Read as _;
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let head = format!("POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{header}\r\n");
    let head = format!("{head}content-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
