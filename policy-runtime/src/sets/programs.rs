//! Sets in the programs of an organization: each rule must check in every live program that has its actions.
//!
//! In: a set, and programs by their manifests. Out: findings, each once, with the program where it was found. Absent: storage.

use std::sync::Arc;

use policy_core::Scope;
use policy_core::pdp::{Beside, Engine, SetError, SetSource};
use policy_core::registry::{Finding, Registry};

/// A program of an application, by its manifest.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub(super) scope: Scope,
    pub(super) version: String,
    pub(super) hash: String,
    pub(super) registry: Arc<Registry>,
    pub(super) closed: Vec<String>,
}

/// Checks a set in this process's program, whose manifest has the hash `own`, and in the others.
pub(super) fn check(
    engine: &Engine,
    own: &str,
    programs: &[Program],
    scope: &Scope,
    source: &SetSource,
) -> Result<Vec<Finding>, SetError> {
    let mut all = Beside::default();
    all.add(engine.registry());
    for program in programs {
        all.add(&program.registry);
    }
    let mut checked = vec![(None, engine.check_beside(scope, source, &all))];
    for program in programs.iter().filter(|program| program.hash != own) {
        let beside = all.clone().close(program.closed.iter().map(String::as_str));
        let there = Engine::new(program.registry.clone());
        checked.push((Some(program), there.and_then(|there| there.check_beside(scope, source, &beside))));
    }
    let (mut errors, mut warnings) = (Vec::new(), Vec::new());
    for (program, found) in &checked {
        match found {
            Ok(found) => add(&mut warnings, found, *program),
            Err(found) => add(&mut errors, found.findings(), *program),
        }
    }
    let told = |(mut finding, program): (Finding, Option<&Program>)| {
        if let Some(Program { scope, version, .. }) = program {
            finding.message = format!("{}\nin `{scope}`, version {version}", finding.message);
        }
        finding
    };
    let warnings = warnings.into_iter().map(told).collect();
    if errors.is_empty() { Ok(warnings) } else { Err(SetError::new(errors.into_iter().map(told).collect())) }
}

fn add<'p>(all: &mut Vec<(Finding, Option<&'p Program>)>, found: &[Finding], program: Option<&'p Program>) {
    for finding in found {
        if !all.iter().any(|(known, _)| known == finding) {
            all.push((finding.clone(), program));
        }
    }
}

/// What moved between two manifests of an application and a set mentions.
pub(super) fn moved(source: &SetSource, older: &Registry, newer: &Program) -> Vec<Finding> {
    let texts = || source.rules.iter().chain(&source.cedar).map(|(_, text)| text);
    let mentioned = newer.registry.moved_since(older).into_iter().filter(|moved| {
        let whole =
            |text: &String| text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == moved.word());
        texts().any(whole)
    });
    let place = format!("{}, version {}", newer.scope, newer.version);
    let mut seen = Vec::new();
    for moved in mentioned {
        let finding = Finding::new(&place, format!("since this was written, {moved}"));
        if !seen.contains(&finding) {
            seen.push(finding);
        }
    }
    seen
}
