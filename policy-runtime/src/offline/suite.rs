//! Tests of policies: files that say who may do what, and which rule decides.
//!
//! In: YAML. Out: what failed, and which rules and clauses no test decides. Absent: servers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use policy_core::eval::Truth;
use policy_core::pdp::{Engine, Heard};
use policy_core::value::Millis;
use policy_core::{Decision, Request, Scope, Tier};
use serde::Deserialize;
use serde_json::json;
use serde_saphyr::Spanned;

use super::explain::{TryError, known};
use super::folder::{Folder, FolderError, entries, has_ending, text_of};
use super::hypothetical::Hypothetical;
use super::plain::{self, Plain, Wrong};
use super::report::{Report, Status, count};
use crate::json::Json;

/// Runs the tests of a folder, or only those of some files, and says what they cover.
///
/// ```yaml
/// scope: app:acme/orders                 # for all tests of the file
/// participants:
///   ann: { roles: [finance], mfa: true }
/// resources:
///   beach: { id: p-1, attributes: { ownerId: ann } }
/// tests:
///   - name: finance places small orders
///     participant: ann                   # of the list above, or written here
///     action: com.example.OrderService.placeOrder
///     arguments: { order: { amount: 100 } }
///     expect: allow
///   - name: large orders are refused by the code
///     participant: ann
///     action: com.example.OrderService.placeOrder
///     arguments: { order: { amount: 72000 } }
///     expect: deny
///     rule: com.example.OrderService.placeOrder
///     clause: order.amount < 50000
/// ```
///
/// A test may also have `resource` and `context`. Its time is 2000-01-01, unless `context.time` says another one. A rule is covered
/// when it was satisfied in some test, and a clause when some test saw it true and another one not.
///
/// In `cargo test`:
///
/// ```no_run
/// # #[expect(clippy::test_attr_in_doctest, reason = "it shows where it stands")]
/// #[test]
/// fn policies() {
///     let folder = policy_runtime::offline::Folder::read("policies".as_ref(), None).unwrap();
///     let report = policy_runtime::offline::test(&folder, &[]).unwrap();
///     assert_eq!(report.status, policy_runtime::offline::Status::Good, "{report}");
/// }
/// ```
///
/// # Errors
/// When the policies are not in order, a file cannot be read, or a file has no tests in it.
pub fn test(folder: &Folder, only: &[PathBuf]) -> Result<Report, SuiteError> {
    let engine = folder.engine().map_err(TryError::from)?;
    let place = folder.root().join("tests");
    let files = match only {
        [] if place.is_dir() => entries(&place).map_err(TryError::from)?,
        [] => Vec::new(),
        only => only.to_vec(),
    };
    let mut ran = Ran::default();
    for path in files.iter().filter(|path| has_ending(path, "yaml") || has_ending(path, "yml") || !only.is_empty()) {
        let wrong = |why: Wrong| SuiteError::File { path: path.clone(), why };
        let text = text_of(path).map_err(TryError::from)?;
        let suite: Suite = plain::parse(&text).map_err(wrong)?;
        for test in &suite.tests {
            let at = (test.referenced.line(), test.referenced.column());
            let placed = |why: Wrong| wrong(Wrong { at: why.at.or(Some(at)), ..why });
            let asked = suite.asked(&test.value, folder).map_err(placed)?;
            known(&engine, &asked).map_err(TryError::from)?;
            ran.tests += 1;
            let failed = asked.ask(|request| {
                ran.hear(request, engine.heard(request));
                failure(&engine, request, &test.value)
            });
            if let Some(why) = failed {
                ran.failed.push(Failed { path: path.clone(), line: at.0, name: test.value.name.clone(), why });
            }
        }
    }
    Ok(ran.report(folder, &engine))
}

/// Why tests cannot be run.
///
/// ```
/// # use policy_runtime::offline::{Folder, SuiteError, test};
/// # let folder = std::env::temp_dir().join(format!("policy-suite-{}", std::process::id()));
/// # std::fs::create_dir_all(folder.join("tests")).unwrap();
/// # let manifest = policy_core::registry::Registry::program().unwrap().manifest().to_string();
/// # std::fs::write(folder.join("manifest.json"), manifest).unwrap();
/// std::fs::write(folder.join("tests/a.yaml"), "tests:\n  - name: x\n    expcet: allow\n").unwrap();
/// let error = test(&Folder::read(&folder, None).unwrap(), &[]).unwrap_err();
/// assert!(matches!(&error, SuiteError::File { .. }) && error.to_string().contains("a.yaml:3:"), "{error}");
/// # std::fs::remove_dir_all(&folder).unwrap();
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SuiteError {
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] TryError),
    /// A file of tests is wrong.
    #[error("{}:{why}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong, and where.
        why: Wrong,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Suite {
    #[serde(default)]
    scope: Option<String>,
    #[serde(default)]
    participants: BTreeMap<String, Plain>,
    #[serde(default)]
    resources: BTreeMap<String, Plain>,
    tests: Vec<Spanned<Test>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Test {
    name: String,
    participant: Plain,
    action: String,
    #[serde(default)]
    scope: Option<String>,
    #[serde(default)]
    resource: Option<Plain>,
    #[serde(default)]
    context: Option<Plain>,
    #[serde(default)]
    arguments: Option<Plain>,
    expect: Expected,
    #[serde(default)]
    rule: Option<String>,
    #[serde(default)]
    clause: Option<String>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Expected {
    Allow,
    Deny,
}

/// 2000-01-01, so that tests do not depend on when they are run.
const NOW: Millis = Millis(946_684_800_000);

impl Suite {
    fn asked(&self, test: &Test, folder: &Folder) -> Result<Hypothetical, Wrong> {
        let named = |given: &Plain, known: &BTreeMap<String, Plain>, what: &str| {
            let Some(name) = given.0.as_text() else { return Ok((given.0.clone(), None)) };
            if let Some(Plain(found)) = known.get(name) {
                return Ok((found.clone(), Some(name.to_owned())));
            }
            let near = policy_core::name::nearest(name, known.keys().map(String::as_str));
            let help = near.map(|near| format!("\nhelp: did you mean `{near}`?")).unwrap_or_default();
            Err(Wrong::new(format!("there is no {what} `{name}` in this file{help}")))
        };
        let mut all = BTreeMap::from([("action".to_owned(), Json::Text(test.action.clone()))]);
        let (mut participant, name) = named(&test.participant, &self.participants, "participant")?;
        if let (Json::Object(members), Some(name)) = (&mut participant, name) {
            members.entry("id".to_owned()).or_insert(Json::Text(name));
        }
        all.insert("participant".to_owned(), participant);
        if let Some(resource) = &test.resource {
            all.insert("resource".to_owned(), named(resource, &self.resources, "resource")?.0);
        }
        if let Some(scope) = test.scope.as_ref().or(self.scope.as_ref()) {
            all.insert("scope".to_owned(), Json::Text(scope.clone()));
        }
        for (name, value) in [("context", &test.context), ("arguments", &test.arguments)] {
            if let Some(Plain(value)) = value {
                all.insert(name.to_owned(), value.clone());
            }
        }
        Hypothetical::read(&Json::Object(all), folder.registry(), NOW)
    }
}

/// What is not as expected; `None` when all is.
fn failure(engine: &Engine, request: &Request<'_>, test: &Test) -> Option<String> {
    let decision = engine.decide(request);
    let (answer, policies, clause, told) = match &decision {
        Decision::Allow(allowed) => {
            let ids = Tier::ALL.into_iter().filter_map(|tier| engine.policy_id(request.scope, allowed, tier));
            (Expected::Allow, ids.collect::<Vec<_>>(), None, "it is allowed".to_owned())
        }
        Decision::Deny(denial) => {
            let told = format!("it is denied: {}", denial.message);
            (Expected::Deny, denial.policy.iter().cloned().collect(), denial.clause.as_deref(), told)
        }
    };
    if answer != test.expect {
        return Some(told);
    }
    if let Some(rule) = &test.rule
        && !policies.iter().any(|id| **id == **rule)
    {
        let ids: Vec<String> = policies.iter().map(|id| format!("`{id}`")).collect();
        let by = if ids.is_empty() { "no rule".to_owned() } else { ids.join(", ") };
        return Some(format!("decided by {by}, not by `{rule}`"));
    }
    let wanted = test.clause.as_deref()?;
    (clause != Some(wanted)).then(|| format!("the clause is `{}`, not `{wanted}`", clause.unwrap_or("none")))
}

struct Failed {
    path: PathBuf,
    line: u64,
    name: String,
    why: String,
}

/// The rules of which a scope's decisions are made, by the scope that wrote them.
type Key = (Scope, Arc<str>);

#[derive(Default)]
struct Ran {
    tests: usize,
    failed: Vec<Failed>,
    satisfied: BTreeSet<Key>,
    clauses: BTreeMap<(Key, Arc<str>), (bool, bool)>,
}

/// Whose set a tier's policies are in, for a request about a scope.
fn owner(tier: Tier, scope: &Scope) -> Scope {
    match (tier, scope.organization_id()) {
        (Tier::System, _) | (_, None) => Scope::System,
        (Tier::Organization, Some(id)) => Scope::Organization(id.clone()),
        (Tier::Application, Some(_)) => scope.clone(),
    }
}

impl Ran {
    fn hear(&mut self, request: &Request<'_>, heard: Vec<Heard>) {
        for Heard { tier, id, satisfied, clauses, .. } in heard {
            let key = (owner(tier, request.scope), id);
            for (clause, truth) in clauses {
                let seen = self.clauses.entry((key.clone(), clause)).or_default();
                seen.0 |= truth == Truth::True;
                seen.1 |= truth != Truth::True;
            }
            if satisfied {
                self.satisfied.insert(key);
            }
        }
    }

    /// The rules of the folder and of the program, without those of the shipped baselines, and their clauses.
    fn rules(&self, folder: &Folder, engine: &Engine) -> BTreeMap<Key, Vec<Arc<str>>> {
        let tested = self
            .clauses
            .keys()
            .map(|((scope, _), _)| scope.clone())
            .chain(self.satisfied.iter().map(|(s, _)| s.clone()));
        let scopes: BTreeSet<Scope> = folder.sets().into_keys().chain(tested).collect();
        let shipped: BTreeSet<Arc<str>> = Engine::new(folder.registry().clone())
            .map(|fresh| {
                let _ = policy_core::Slug::new("any").map(|id| fresh.add_organization(&id));
                let organization = Scope::organization("any").unwrap_or(Scope::System);
                fresh.rules(&organization).into_iter().map(|rule| rule.id).collect()
            })
            .unwrap_or_default();
        let platform = |id: &str| id.starts_with("Platform.");
        let mut all = BTreeMap::new();
        for scope in scopes {
            for rule in engine.rules(&scope) {
                if !shipped.contains(&rule.id) && !platform(&rule.id) {
                    all.insert((owner(rule.tier, &scope), rule.id), rule.clauses);
                }
            }
        }
        all
    }

    fn report(&self, folder: &Folder, engine: &Engine) -> Report {
        let rules = self.rules(folder, engine);
        let mut out = String::new();
        // Writing to a `String` cannot fail.
        for Failed { path, line, name, why } in &self.failed {
            let _ = writeln!(out, "FAIL {}:{line}: {name}\n  {why}", path.display());
        }
        let (mut covered, mut clauses, mut covered_clauses) = (0, 0, 0);
        let mut missing = Vec::new();
        for ((scope, id), own) in &rules {
            let key = (scope.clone(), id.clone());
            let decided = self.satisfied.contains(&key);
            covered += usize::from(decided);
            if !decided {
                missing.push(format!("no test satisfies `{id}` ({scope})"));
            }
            for clause in own {
                clauses += 1;
                let (yes, no) = self.clauses.get(&(key.clone(), clause.clone())).copied().unwrap_or_default();
                covered_clauses += usize::from(yes && no);
                let lack = match (yes, no) {
                    (true, true) => continue,
                    (true, false) => "only true",
                    (false, true) => "never true",
                    (false, false) => "never asked",
                };
                missing.push(format!("`{clause}` of `{id}` ({scope}) is {lack}"));
            }
        }
        for line in &missing {
            let _ = writeln!(out, "not covered: {line}");
        }
        let good = self.failed.is_empty();
        let _ = writeln!(
            out,
            "{}, {} failed; covered: {covered} of {}, {covered_clauses} of {}",
            count(self.tests, "test"),
            self.failed.len(),
            count(rules.len(), "rule"),
            count(clauses, "clause"),
        );
        let failed = self
            .failed
            .iter()
            .map(|f| json!({ "file": f.path.display().to_string(), "line": f.line, "name": f.name, "why": f.why }));
        let json = json!({
            "tests": self.tests,
            "failed": failed.collect::<Vec<_>>(),
            "coverage": {
                "rules": { "covered": covered, "all": rules.len() },
                "clauses": { "covered": covered_clauses, "all": clauses },
                "missing": missing,
            },
        });
        let next = if good { "policy diff BEFORE policies" } else { "policy explain" };
        Report::new(Status::of(good), out, json).next(next)
    }
}

impl From<FolderError> for SuiteError {
    fn from(error: FolderError) -> Self {
        Self::Folder(error.into())
    }
}
