//! Words at the terminal: in colours where somebody looks.

use std::io::{IsTerminal as _, Write as _};

/// Writes words to the output.
pub(crate) fn say(text: &str) {
    write(&coloured(text, std::io::stdout().is_terminal()));
}

/// Writes what is wrong.
pub(crate) fn complain(text: &str) {
    let _ = std::io::stderr().write_all(coloured(text, std::io::stderr().is_terminal()).as_bytes());
}

/// Says how far long work is, to whoever watches; the next line takes its place.
pub(crate) fn progress(text: &str) {
    let mut err = std::io::stderr();
    if err.is_terminal() {
        let _ = err.write_all(format!("\r\u{1b}[K{text} ..\r").as_bytes()).and_then(|()| err.flush());
    }
}

fn coloured(text: &str, is_terminal: bool) -> String {
    if !is_terminal || std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty()) {
        return text.to_owned();
    }
    text.lines().map(|line| painted(line) + "\n").collect()
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
