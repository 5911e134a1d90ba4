//! What a command says: for people with the next command, for programs as JSON. No command says anything elsewhere but the server.

use std::process::ExitCode;

use policy_runtime::offline::Report;
use serde_json::{Value, json};

use crate::{Failure, output};

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The server says no: exit code 1.
    Refused { status: u16, told: String, body: Value },
    /// It cannot be carried out: exit code 2. The text may end with a next command of its own.
    Cannot(String),
}

pub(crate) type Done = Result<Told, Trouble>;

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Cannot(failure.to_string())
    }
}

/// What came of a command.
pub(crate) struct Told {
    text: String,
    next: String,
    json: Value,
    code: u8,
    is_data: bool,
}

impl Told {
    pub(crate) fn new(text: impl Into<String>, json: Value, next: impl Into<String>) -> Self {
        Self { text: text.into(), next: next.into(), json, code: 0, is_data: false }
    }

    /// What is kept or read by something else: the next command goes where it is not taken for a part of it.
    pub(crate) fn data(text: impl Into<String>, json: Value, next: impl Into<String>) -> Self {
        Self { is_data: true, ..Self::new(text, json, next) }
    }

    /// Something was found, or the answer is no.
    pub(crate) fn findings(self) -> Self {
        Self { code: 1, ..self }
    }
}

impl From<Report> for Told {
    fn from(report: Report) -> Self {
        let code = report.status.code();
        Self { code, ..Self::new(report.text, report.json, report.next.unwrap_or_else(|| USAGE.to_owned())) }
    }
}

/// What helps when nothing else is known.
const USAGE: &str = "policy --help";

/// Prints it; 0 when it is done, 1 with findings or when the server says no, 2 when it cannot be carried out.
pub(crate) fn print(as_json: bool, done: Done) -> ExitCode {
    match done {
        Ok(told) => {
            if as_json {
                output::write(&format!("{}\n", told.json));
            } else if told.is_data {
                output::write(&told.text);
                output::complain(&format!("next: {}\n", told.next));
            } else {
                output::say(&format!("{}\nnext: {}\n", told.text.trim_end(), told.next));
            }
            ExitCode::from(told.code)
        }
        Err(Trouble::Refused { body, .. }) if as_json => {
            output::write(&format!("{body}\n"));
            ExitCode::from(1)
        }
        Err(Trouble::Refused { told, status, .. }) => {
            output::complain(&format!("error: {}\nnext: {}\n", told.trim_end(), after(status)));
            ExitCode::from(1)
        }
        Err(Trouble::Cannot(told)) => {
            if as_json {
                output::write(&format!("{}\n", json!({ "error": told })));
            } else if told.contains("\nnext: ") {
                output::complain(&format!("error: {told}\n"));
            } else {
                output::complain(&format!("error: {told}\nnext: {USAGE}\n"));
            }
            ExitCode::from(2)
        }
    }
}

/// What helps after a refusal.
fn after(status: u16) -> &'static str {
    match status {
        401 => "policy login --email you@example.com",
        403 | 404 => "policy whoami",
        412 => "policy policies list, then decide again",
        422 => "policy policies targets, which shows what there is to write about; then write it otherwise",
        429 | 503 => "policy whoami, in a while",
        _ => USAGE,
    }
}

/// Rows under a head, in columns.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(head.get(column).map(|name| name.chars().count())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}  ")).collect();
        padded.concat().trim_end().to_owned() + "\n"
    };
    let mut out = line(&mut head.iter().copied());
    for row in rows {
        out += &line(&mut row.iter().map(String::as_str));
    }
    out
}

/// The items of a member; none where it is no list.
pub(crate) fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// A member as a cell.
pub(crate) fn cell(value: &Value, name: &str) -> String {
    match value.get(name) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) if items.is_empty() => "-".to_owned(),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
            .collect::<Vec<_>>()
            .join(" "),
        Some(other) => other.to_string(),
    }
}

pub(crate) fn rows(items: &[Value], names: &[&str]) -> Vec<Vec<String>> {
    items.iter().map(|item| names.iter().map(|name| cell(item, name)).collect()).collect()
}
