//! Modules import only modules on earlier rows: data flows one way, and nothing reaches back up.
//!
//! A module that is missing from its crate's table fails the test, so that a new one has to be given its place.

#![expect(clippy::expect_used, clippy::string_slice, reason = "helpers of tests fail by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Lowest first. Modules on the same row may not import each other.
const POLICY_CORE: &[&[&str]] = &[
    &["source", "name", "kind"],
    &["value", "diagnostic"],
    &["decl", "shape"],
    &["participant", "table"],
    &["context", "contract"],
    &["decision", "request", "syntax", "model"],
    &["ir"],
    &["check", "policy", "platform"],
    &["eval", "lower", "filter"],
    &["cedar"],
    &["registry"],
    &["pdp"],
    &["testing", "testdata"],
];

const POLICY_RUNTIME: &[&[&str]] = &[
    &["secret", "clock", "code", "decision_id", "id", "inputs", "json", "rate", "wire", "shadow", "tally", "trace"],
    &["database", "decision_id", "mail", "seal", "typed"],
    &["denied", "audit", "credential"],
    &["endpoint", "policy", "events"],
    &["question", "sets"],
    &["security"],
    &["guard", "service", "identity"],
    &["authn", "proxy", "edge", "filter"],
    &["entity"],
    &["config", "pip", "offline", "pull"],
    &["gateway", "client", "tower"],
    &["admin", "authzen", "log", "signin"],
    &["server"],
    &["testing"],
    &["bin"],
    &["__private"],
];

/// `publish` reads impls and traits, and `contract` the traits' side of it: they call one another, and so does `policy`, which
/// hands impls to `publish`. All others flow one way.
const POLICY_MACROS: &[&[&str]] = &[
    &["ast", "names", "path", "report"],
    &["tokens"],
    &["attr"],
    &["fallback", "model"],
    &["inputs"],
    &["validate"],
    &["expand"],
    &["derive"],
    &["entity", "policy"],
    &["service"],
    &["contract"],
    &["publish"],
    &["fuzz"],
];

#[test]
fn the_engine_flows_one_way() {
    check("policy-core", POLICY_CORE);
}

#[test]
fn the_macros_flow_one_way_but_for_the_halves_of_publish() {
    let halves =
        ["`contract` (layer 10) imports `publish` (layer 11)", "`policy` (layer 8) imports `publish` (layer 11)"];
    assert_eq!(violations("policy-macros", POLICY_MACROS), halves);
}

#[test]
fn the_runtime_flows_one_way() {
    check("policy-runtime", POLICY_RUNTIME);
}

#[test]
fn only_one_door_leads_to_each_outside_thing() {
    let doors: &[(&str, &str, &[&str])] = &[
        ("policy-core", "cedar_policy::", &["cedar", "testing"]),
        ("policy-runtime", "SystemTime::now", &["clock"]),
        ("policy-runtime", "std::env::", &["bin", "config"]),
    ];
    let mut found = Vec::new();
    for (krate, needle, allowed) in doors {
        for (module, text) in modules(&source(krate)) {
            if text.contains(needle) && !allowed.contains(&module.as_str()) {
                found.push(format!("{krate}: `{module}` names `{needle}`; only {allowed:?} may"));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_file_has_one_subject() {
    let mut long = Vec::new();
    for krate in ["policy-core", "policy-macros", "policy-runtime", "examples", "tests"] {
        for path in files(&root().join(krate)) {
            let lines = fs::read_to_string(&path).expect("source is UTF-8").lines().count();
            if lines > 600 {
                long.push(format!("{} has {lines} lines", path.display()));
            }
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is above").to_owned()
}

fn source(krate: &str) -> PathBuf {
    root().join(krate).join("src")
}

fn check(krate: &str, layers: &[&[&str]]) {
    let found = violations(krate, layers);
    assert!(found.is_empty(), "{krate}:\n{}", found.join("\n"));
}

fn violations(krate: &str, layers: &[&[&str]]) -> Vec<String> {
    let rank: BTreeMap<&str, usize> =
        layers.iter().enumerate().flat_map(|(n, row)| row.iter().map(move |m| (*m, n))).collect();
    let mut found = Vec::new();
    for (module, text) in modules(&source(krate)) {
        let Some(&own) = rank.get(module.as_str()) else {
            found.push(format!("module `{module}` of {krate} has no layer; give it a row in tests/tests/layers.rs"));
            continue;
        };
        for target in imports(&text) {
            match rank.get(target.as_str()) {
                Some(&other) if target != module && own <= other => {
                    found.push(format!("`{module}` (layer {own}) imports `{target}` (layer {other})"));
                }
                _ => {}
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

fn files(below: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    let mut todo = vec![below.to_path_buf()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).expect("source folder is readable") {
            let path = entry.expect("entry is readable").path();
            if path.is_dir() {
                if !path.ends_with("node_modules") {
                    todo.push(path);
                }
            } else if path.extension().is_some_and(|e| e == "rs") {
                out.push(path);
            }
        }
    }
    out
}

/// Top-level module and text of each file, without comments and test modules.
fn modules(src: &Path) -> Vec<(String, String)> {
    files(src)
        .into_iter()
        .filter_map(|path| {
            let below = path.strip_prefix(src).expect("path is below src").to_owned();
            let top = below.components().next().expect("a file name").as_os_str().to_string_lossy().into_owned();
            let module = top.trim_end_matches(".rs").to_owned();
            let tests = below.components().skip(1).any(|c| c.as_os_str().to_string_lossy().starts_with("tests"));
            if module == "lib" || tests {
                return None;
            }
            let text = fs::read_to_string(&path).expect("source is UTF-8");
            let text = text.split("#[cfg(test)]").next().unwrap_or_default();
            Some((module, text.lines().map(|l| l.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n")))
        })
        .collect()
}

/// Every `x` in `crate::x` and `crate::{x, y::z}`.
fn imports(text: &str) -> Vec<String> {
    let word = |s: &str| s.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut out = Vec::new();
    for rest in text.split("crate::").skip(1) {
        let Some(list) = rest.strip_prefix('{') else {
            out.push(word(rest));
            continue;
        };
        let (mut depth, mut start) = (0usize, true);
        for (i, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => start = true,
                c if start && !c.is_whitespace() => {
                    out.push(word(&list[i..]));
                    start = false;
                }
                _ => {}
            }
        }
    }
    out
}
