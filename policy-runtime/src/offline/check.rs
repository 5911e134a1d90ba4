//! `policy check`: what is wrong with the sets of a folder, each at its place.

use std::path::{Path, PathBuf};

use policy_core::diagnostic::Severity;
use policy_core::pdp::{Engine, SetError};
use policy_core::registry::Finding;
use policy_core::{Scope, Tier};
use serde_json::{Value, json};

use super::folder::Folder;
use super::report::{Report, Status, count};

/// Checks every set of a folder as a server would when it is saved; with `only`, tells findings of these files alone.
///
/// ```
/// use policy_runtime::offline::{Folder, Status, check};
/// # let folder = std::env::temp_dir().join(format!("policy-check-{}", std::process::id()));
/// # std::fs::create_dir_all(folder.join("sys")).unwrap();
/// # let manifest = policy_core::registry::Registry::program().unwrap().manifest().to_string();
/// # std::fs::write(folder.join("manifest.json"), manifest).unwrap();
/// std::fs::write(folder.join("sys/mfa.rule"), "forbid Platform.organizations.* unless participant.mffa").unwrap();
/// let report = check(&Folder::read(&folder, None).unwrap(), &[]);
/// assert_eq!(report.status, Status::Findings);
/// assert!(report.text.contains("mfa.rule:1:52: ") && report.text.contains("did you mean `mfa`?"), "{report}");
/// # std::fs::remove_dir_all(&folder).unwrap();
/// ```
pub fn check(folder: &Folder, only: &[PathBuf]) -> Report {
    let mut found: Vec<(Scope, Finding)> = Vec::new();
    match Engine::new(folder.registry().clone()) {
        Ok(engine) => {
            for (scope, set) in folder.sets() {
                let told = known(&engine, &scope).and_then(|()| engine.check(&scope, &set));
                let told = told.unwrap_or_else(|refused| refused.findings().to_vec());
                found.extend(told.into_iter().map(|finding| (scope.clone(), finding)));
            }
        }
        Err(refused) => found.extend(refused.findings().iter().map(|f| (Scope::System, f.clone()))),
    }
    let wanted = |path: Option<&Path>| only.is_empty() || path.is_some_and(|path| only.iter().any(|o| o == path));
    let found: Vec<(Scope, Finding)> = found
        .into_iter()
        .filter_map(|(scope, finding)| {
            let (file, placed) = folder.placed(&scope, &finding);
            wanted(file.map(|file| &*file.path)).then_some((scope, placed))
        })
        .collect();
    let files = folder.files().iter().filter(|file| wanted(Some(&file.path))).count();
    told(files, &found)
}

fn known(engine: &Engine, scope: &Scope) -> Result<(), SetError> {
    if scope.tier() == Tier::Application { engine.add_application(scope) } else { Ok(()) }
}

fn told(files: usize, found: &[(Scope, Finding)]) -> Report {
    let errors = found.iter().filter(|(_, f)| f.severity == Severity::Error).count();
    let mut lines: Vec<String> = found.iter().map(|(_, finding)| shown(finding) + "\n").collect();
    let status = Status::of(errors == 0);
    let is = if files == 1 { "is" } else { "are" };
    lines.push(match (errors, found.len() - errors) {
        (0, 0) => format!("{} {is} in order", count(files, "file")),
        (0, warnings) => format!("{} {is} in order, with {}", count(files, "file"), count(warnings, "warning")),
        (errors, 0) => format!("{} in {}", count(errors, "error"), count(files, "file")),
        (errors, warnings) => {
            format!("{} and {} in {}", count(errors, "error"), count(warnings, "warning"), count(files, "file"))
        }
    });
    let findings: Vec<Value> = found.iter().map(|(scope, finding)| as_json(scope, finding)).collect();
    let json = json!({ "ok": errors == 0, "files": files, "findings": findings });
    let next = if errors == 0 { "policy test" } else { "policy schema" };
    Report::new(status, lines.join("\n"), json).next(next)
}

const fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn shown(finding: &Finding) -> String {
    let code = if finding.code.is_empty() { String::new() } else { format!("[{}]", finding.code) };
    let at = finding.at.map(|(line, column)| format!(":{line}:{column}")).unwrap_or_default();
    format!("{}{code}: {}{at}: {}", word(finding.severity), finding.place, finding.message)
}

fn as_json(scope: &Scope, finding: &Finding) -> Value {
    let (line, column) = finding.at.unzip();
    json!({
        "scope": scope.to_string(),
        "file": &*finding.place,
        "line": line,
        "column": column,
        "severity": word(finding.severity),
        "code": finding.code,
        "message": finding.message,
    })
}
