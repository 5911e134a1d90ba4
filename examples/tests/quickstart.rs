//! The quickstart does what the README says, and says the same to programs.

#![expect(clippy::expect_used, clippy::string_slice, reason = "helpers of tests fail by panicking")]

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn quickstart(arguments: &[&str]) -> String {
    let run = Command::new(env!("CARGO_BIN_EXE_quickstart")).args(arguments).output().expect("the quickstart starts");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).expect("plain text")
}

/// Ids of decisions are fresh in every run.
fn without_ids(text: &str) -> String {
    let mut parts = text.split("d-");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let id = part.chars().take_while(char::is_ascii_hexdigit).count();
        if id == 32 {
            out.push_str("d-…");
            out.push_str(&part[id..]);
        } else {
            out.push_str("d-");
            out.push_str(part);
        }
    }
    out
}

#[test]
fn the_readme_shows_what_it_prints() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(&path).expect("there is a README");
    let printed = quickstart(&[]);
    let long: Vec<&str> = printed.lines().filter(|line| line.chars().count() > 100).collect();
    assert!(long.is_empty(), "wider than 100 columns: {long:#?}");
    let block = format!("<!-- quickstart -->\n```text\n{}```\n<!-- /quickstart -->", without_ids(&printed));
    if option_env!("UPDATE_README").is_some() {
        let (before, rest) = readme.split_once("<!-- quickstart -->").expect("a mark");
        let (_, after) = rest.split_once("<!-- /quickstart -->").expect("a mark");
        fs::write(&path, format!("{before}{block}{after}")).expect("README is writable");
        return;
    }
    assert!(
        readme.contains(&block),
        "README.md does not show what the quickstart prints; build this test with UPDATE_README=1 and run it to renew it\n\n{block}"
    );
}

#[test]
fn the_readme_shows_what_the_compiler_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let said = root.join("policy-macros/tests/ui/fail/attribute/misspelt.stderr");
    let said = fs::read_to_string(said).expect("a tested case");
    let readme = fs::read_to_string(root.join("README.md")).expect("there is a README");
    assert!(readme.contains(&said), "README.md shows another compile error than the tested one:\n{said}");
}

#[test]
fn programs_get_the_same() {
    let told: Value = serde_json::from_str(&quickstart(&["--json"])).expect("JSON");
    let steps = told["steps"].as_array().expect("steps");
    let found: Vec<(String, i64, String, String)> = steps
        .iter()
        .flat_map(|step| step["calls"].as_array().expect("calls"))
        .map(|call| {
            let text = |name: &str| call[name].as_str().expect("text").to_owned();
            let tiers = format!("{} {} {}", text("system"), text("organization"), text("application"));
            (text("caller"), call["amount"].as_i64().expect("amount"), tiers, text("detail"))
        })
        .collect();
    let expected = [
        ("alice", 4_200, "yes yes yes", "receipt 1"),
        ("alice", 72_000, "yes yes NO", "order.amount < 50000: it is 72000"),
        ("bob", 4_200, "yes yes NO", "participant.roles contains 'finance': it is ['support']"),
        ("carol", 4_200, "yes yes yes", "receipt 2"),
        ("mallory", 4_200, "- - -", "isolation: globex never reaches acme"),
        ("nobody", 4_200, "- - -", "UNAUTHENTICATED: never connected"),
        ("carol", 4_200, "yes NO yes", "mfa-for-orders: participant.mfa is false"),
        ("alice", 4_200, "yes yes yes", "receipt 3"),
        ("dave", 4_200, "NO yes yes", "contractors: participant.email is 'dave@contractor.example'"),
        ("alice", 4_200, "yes yes yes", "receipt 4"),
    ];
    let expected: Vec<_> =
        expected.iter().map(|(c, a, t, d)| ((*c).to_owned(), *a, (*t).to_owned(), (*d).to_owned())).collect();
    assert_eq!(found, expected);

    assert_eq!(told["organizationRevision"], serde_json::json!({ "before": 1, "after": 2 }));
    let (before, after) = (told["tokens"]["before"].as_u64(), told["tokens"]["after"].as_u64());
    assert_eq!(after, before.map(|n| n + 1), "one fresh token for the new connection");
    let statuses: Vec<u64> =
        told["http"].as_array().expect("answers").iter().filter_map(|a| a["status"].as_u64()).collect();
    assert_eq!(statuses, [401, 200, 401]);

    let source = told["annotation"]["source"].as_str().expect("a place");
    let (file, line) = source.rsplit_once(':').expect("file:line");
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file)).expect("the file is there");
    let line = text.lines().nth(line.parse::<usize>().expect("a number") - 1).expect("the line is there");
    assert!(line.contains("#[abac_policy("), "the place of the annotation: {line}");

    for call in steps.iter().flat_map(|step| step["calls"].as_array().expect("calls")) {
        let told = call["told"].as_str().expect("text");
        assert!(
            !told.contains("50000") && !told.contains("finance"),
            "a refusal says no more than a code and an id: {told}"
        );
    }
}
