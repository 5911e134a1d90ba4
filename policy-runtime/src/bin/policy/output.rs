//! Reports at the terminal: in colours where somebody looks, as JSON where a program reads.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use policy_runtime::offline::Report;

/// Prints a report, and says how the program ends.
pub(crate) fn print(report: &Report, json: bool) -> ExitCode {
    let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    write(&match (json, colours) {
        (true, _) => format!("{}\n", report.json),
        (false, false) => report.to_string(),
        (false, true) => report.to_string().lines().map(|line| painted(line) + "\n").collect(),
    });
    ExitCode::from(report.status.code())
}

/// Writes to the output. Whoever stops reading has read enough.
pub(crate) fn write(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn painted(line: &str) -> String {
    let carets = line.trim_start_matches([' ', '|']);
    let colour = match line {
        _ if line.starts_with("error") || line.starts_with("FAIL") || line.starts_with("DENY") => "1;31",
        _ if line.starts_with("warning") => "1;33",
        _ if line.starts_with("help:") || line.starts_with("next:") => "36",
        _ if line.starts_with("ok") || line.starts_with("ALLOW") => "32",
        _ if !carets.is_empty() && carets.bytes().all(|byte| byte == b'^') => "1;31",
        _ => return line.to_owned(),
    };
    format!("\u{1b}[{colour}m{line}\u{1b}[0m")
}
