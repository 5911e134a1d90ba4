//! What a command says: for people with the next command, for programs as JSON.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::{Done, Trouble};
use crate::output;

/// What came of a command.
pub(super) struct Told {
    text: String,
    next: String,
    json: Value,
}

impl Told {
    pub(super) fn new(text: impl Into<String>, json: Value, next: impl Into<String>) -> Self {
        Self { text: text.into(), next: next.into(), json }
    }
}

/// Prints it; 0 when it is done, 1 when the server says no, 2 when it cannot be carried out.
pub(super) fn print(as_json: bool, done: Done) -> ExitCode {
    match done {
        Ok(told) if as_json => output::write(&format!("{}\n", told.json)),
        Ok(told) if told.next.is_empty() => output::write(&told.text),
        Ok(told) => output::say(&format!("{}\nnext: {}\n", told.text.trim_end(), told.next)),
        Err(Trouble::Refused { body, told, status }) => {
            if as_json {
                output::write(&format!("{body}\n"));
            } else {
                output::complain(&format!("error: {}\nnext: {}\n", told.trim_end(), after(status)));
            }
            return ExitCode::from(1);
        }
        Err(Trouble::Cannot(told)) => {
            if as_json {
                output::write(&format!("{}\n", json!({ "error": told })));
            } else if told.contains("\nnext: ") {
                output::complain(&format!("error: {told}\n"));
            } else {
                output::complain(&format!("error: {told}\nnext: policy --help\n"));
            }
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

/// What helps after a refusal.
fn after(status: u16) -> &'static str {
    match status {
        401 => "policy login",
        403 | 404 => "policy whoami",
        412 => "policy policies list, then decide again",
        422 => "write it otherwise; `policy policies targets` shows what there is to write about",
        429 | 503 => "try again in a while",
        _ => "policy --help",
    }
}

/// Rows under a head, in columns.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
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

/// A member as a cell.
pub(super) fn cell(value: &Value, name: &str) -> String {
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

pub(super) fn rows(items: &[Value], names: &[&str]) -> Vec<Vec<String>> {
    items.iter().map(|item| names.iter().map(|name| cell(item, name)).collect()).collect()
}
