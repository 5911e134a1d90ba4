//! What a command has to say: to people, and to programs.

use serde_json::{Value, json};

/// How a command ended; the number is the exit code.
///
/// ```
/// use policy_runtime::offline::Status;
/// assert_eq!(Status::Findings.code(), 1);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "exit codes are documented")]
pub enum Status {
    /// Nothing was found, or the answer is yes.
    Good,
    /// Something was found, or the answer is no.
    Findings,
}

impl Status {
    /// The exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Good => 0,
            Self::Findings => 1,
        }
    }

    pub(super) const fn of(good: bool) -> Self {
        if good { Self::Good } else { Self::Findings }
    }
}

/// The outcome of a command.
///
/// ```
/// use policy_runtime::offline::{Folder, check};
/// # let folder = std::env::temp_dir().join(format!("policy-report-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).unwrap();
/// # let manifest = policy_core::registry::Registry::program().unwrap().manifest().to_string();
/// # std::fs::write(folder.join("manifest.json"), manifest).unwrap();
/// let report = check(&Folder::read(&folder, None).unwrap(), &[]);
/// assert_eq!(report.to_string(), "0 files are in order\nnext: policy test\n");
/// # std::fs::remove_dir_all(&folder).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// For people, without the next command.
    pub text: String,
    /// For programs.
    pub json: Value,
    /// How it ended.
    pub status: Status,
    /// The command that makes sense now.
    pub next: Option<String>,
}

impl Report {
    pub(super) fn new(status: Status, text: String, json: Value) -> Self {
        Self { text, json, status, next: None }
    }

    pub(super) fn next(mut self, command: impl Into<String>) -> Self {
        let command = command.into();
        put(&mut self.json, "next", json!(command));
        self.next = Some(command);
        self
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.text.trim_end())?;
        match &self.next {
            Some(next) => writeln!(f, "next: {next}"),
            None => Ok(()),
        }
    }
}

/// Adds a member to an object.
pub(super) fn put(json: &mut Value, name: &str, value: Value) {
    if let Value::Object(members) = json {
        members.insert(name.to_owned(), value);
    }
}

/// `1 file`, `2 files`.
pub(super) fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
