//! Runs a corpus of tokens through the bearer verification.
//!
//! In: the text of a file such as `corpus/tokens.json`. Out: how many verdicts are right, and each wrong one. Absent: a
//! verifier; it is the project's own.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use policy_core::value::{Millis, Value};
use policy_core::{Participant, Scope};
use policy_runtime::authn::AuthnError;
use policy_runtime::authn::token::{
    Algorithm, ClaimKind, ClaimMapping, ClaimPath, KeySet, OnMismatch, SharedSecret, TokenRules, verify, verify_shared,
};
use policy_runtime::secret::Secret;
use serde::Deserialize;

#[derive(Deserialize)]
struct Corpus {
    now: i64,
    policy: Policy,
    #[serde(default)]
    secrets: BTreeMap<String, String>,
    jwks: BTreeMap<String, serde_json::Value>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Policy {
    issuer: String,
    audience: String,
    algs: Vec<String>,
    #[serde(default)]
    leeway_s: Option<u16>,
}

#[derive(Deserialize)]
struct Case {
    id: String,
    ctx: String,
    expect: String,
    #[serde(default)]
    why: String,
    token: String,
    #[serde(default)]
    jwks: Option<String>,
    #[serde(default)]
    sub: Option<String>,
    #[serde(default)]
    attr: BTreeMap<String, serde_json::Value>,
}

/// A verdict that is not the expected one.
#[derive(Debug)]
pub struct Wrong {
    /// The case.
    pub id: String,
    /// What went wrong.
    pub problem: String,
    /// Why the case is as it is.
    pub why: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.id, self.problem, self.why)
    }
}

/// What came of a corpus.
#[derive(Debug, Default)]
pub struct Report {
    /// Tokens that had to be accepted, and were.
    pub accepted: usize,
    /// Tokens that had to be refused, and were.
    pub refused: usize,
    /// Tokens that may be either, and were accepted.
    pub either_accepted: usize,
    /// Tokens that may be either, and were refused.
    pub either_refused: usize,
    /// Wrong verdicts.
    pub wrong: Vec<Wrong>,
}

/// Why a file is no corpus.
#[derive(Debug)]
pub struct NotACorpus(String);

impl fmt::Display for NotACorpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotACorpus {}

/// Verifies every token of a corpus under the clock, the keys and the policy that the corpus names.
///
/// # Errors
/// When the text is no corpus.
pub fn run(text: &str) -> Result<Report, NotACorpus> {
    let corpus: Corpus = serde_json::from_str(text).map_err(|error| NotACorpus(error.to_string()))?;
    let judge = Judge::new(&corpus)?;
    let mut report = Report::default();
    for case in &corpus.cases {
        let verdict = judge.verdict(case)?;
        let wrong = |problem: String| Wrong { id: case.id.clone(), problem, why: case.why.clone() };
        match (case.expect.as_str(), verdict) {
            ("accept", Ok(participant)) => match differs(case, &participant) {
                None => report.accepted += 1,
                Some(problem) => report.wrong.push(wrong(problem)),
            },
            ("accept", Err(error)) => report.wrong.push(wrong(format!("refused: {error}"))),
            ("reject", Ok(_)) => report.wrong.push(wrong("accepted".into())),
            ("reject", Err(_)) => report.refused += 1,
            ("either", Ok(_)) => report.either_accepted += 1,
            ("either", Err(_)) => report.either_refused += 1,
            (other, _) => return Err(NotACorpus(format!("case `{}` expects `{other}`", case.id))),
        }
    }
    Ok(report)
}

struct Judge {
    now: Millis,
    keys: BTreeMap<String, KeySet>,
    secret: Option<SharedSecret>,
    rules: TokenRules,
    shared_rules: TokenRules,
    scope: Scope,
}

impl Judge {
    fn new(corpus: &Corpus) -> Result<Self, NotACorpus> {
        let bad = |error: &dyn fmt::Display| NotACorpus(error.to_string());
        let mut keys = BTreeMap::new();
        for (name, document) in &corpus.jwks {
            let document = document.to_string();
            keys.insert(name.clone(), KeySet::parse(document.as_bytes()).map_err(|error| bad(&error))?);
        }
        let secret = match corpus.secrets.get("hs256_b64url") {
            None => None,
            Some(text) => {
                let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|error| bad(&error))?;
                Some(SharedSecret::new(&Secret::new(bytes)).map_err(|error| bad(&error))?)
            }
        };
        let rules = TokenRules::new(&corpus.policy.issuer, &corpus.policy.audience)
            .leeway_s(corpus.policy.leeway_s.unwrap_or(60));
        Ok(Self {
            now: Millis(corpus.now.saturating_mul(1_000)),
            keys,
            secret,
            shared_rules: rules.clone().algorithms([Algorithm::Hs256]),
            rules: rules.algorithms(corpus.policy.algs.iter().filter_map(|name| Algorithm::parse(name))),
            scope: Scope::application("corpus", "corpus").map_err(|error| bad(&error))?,
        })
    }

    /// The participant that a token becomes, or why it becomes none.
    fn verdict(&self, case: &Case) -> Result<Result<Participant, AuthnError>, NotACorpus> {
        let verified = match case.ctx.as_str() {
            "jwks" => {
                let name = case.jwks.as_deref().unwrap_or("main");
                let keys = self.keys.get(name).ok_or_else(|| NotACorpus(format!("there is no key set `{name}`")))?;
                verify(&case.token, &self.rules, keys, self.now)
            }
            "hs" => {
                let secret = self.secret.as_ref().ok_or_else(|| NotACorpus("there is no shared secret".into()))?;
                verify_shared(&case.token, &self.shared_rules, secret, self.now)
            }
            other => return Err(NotACorpus(format!("case `{}` has the context `{other}`", case.id))),
        };
        let mapping = mapping_for(case)?;
        Ok(verified.and_then(|token| {
            let builder = Participant::builder(self.scope.clone(), "corpus").subject(token.subject().as_text());
            Ok(mapping.apply(token.claims(), builder)?.build())
        }))
    }
}

/// Reads the claims whose values the case states, each of the kind it is stated in.
fn mapping_for(case: &Case) -> Result<ClaimMapping, NotACorpus> {
    case.attr.iter().try_fold(ClaimMapping::default(), |mapping, (name, expected)| {
        let kind = kind_of(expected).ok_or_else(|| NotACorpus(format!("attribute `{name}` has no kind")))?;
        mapping
            .attribute_or(name, ClaimPath::name(name), kind, OnMismatch::Absent)
            .map_err(|error| NotACorpus(error.to_string()))
    })
}

fn kind_of(value: &serde_json::Value) -> Option<ClaimKind> {
    match value {
        serde_json::Value::Bool(_) => Some(ClaimKind::Bool),
        serde_json::Value::Number(n) if n.is_i64() => Some(ClaimKind::Long),
        serde_json::Value::Number(_) => Some(ClaimKind::Decimal),
        serde_json::Value::String(_) => Some(ClaimKind::Text),
        serde_json::Value::Array(items) => {
            Some(ClaimKind::Set(Box::new(items.first().map_or(Some(ClaimKind::Text), kind_of)?)))
        }
        serde_json::Value::Null | serde_json::Value::Object(_) => None,
    }
}

fn same(found: &Value, expected: &serde_json::Value) -> bool {
    match (found, expected) {
        (Value::Bool(a), serde_json::Value::Bool(b)) => a == b,
        (Value::Long(a), serde_json::Value::Number(b)) => b.as_i64() == Some(*a),
        (Value::Decimal(a), serde_json::Value::Number(b)) => b.to_string().parse() == Ok(*a),
        (Value::Text(a), serde_json::Value::String(b)) => **a == **b,
        (Value::Set(a), serde_json::Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        _ => false,
    }
}

/// In what an accepted participant is not as the case says.
fn differs(case: &Case, participant: &Participant) -> Option<String> {
    if let Some(sub) = &case.sub
        && participant.subject() != Some(sub)
    {
        return Some("accepted with another subject".into());
    }
    for (name, expected) in &case.attr {
        let found = participant.attributes().iter().find(|(n, _)| **n == **name);
        if !found.is_some_and(|(_, value)| same(value, expected)) {
            return Some(format!("accepted with another `{name}`"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORPUS: &str = include_str!("../corpus/tokens.json");

    #[test]
    fn every_verdict_is_right() {
        let report = run(CORPUS).unwrap();
        let wrong: Vec<String> = report.wrong.iter().map(ToString::to_string).collect();
        assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
        assert_eq!((report.accepted, report.refused), (61, 426));
        assert_eq!(report.either_accepted + report.either_refused, 35);
    }

    #[test]
    fn a_wrong_verdict_is_seen() {
        let mut corpus: serde_json::Value = serde_json::from_str(CORPUS).unwrap();
        for case in corpus["cases"].as_array_mut().unwrap() {
            case["expect"] = match case["expect"].as_str().unwrap() {
                "accept" => "reject".into(),
                "reject" => "accept".into(),
                other => other.into(),
            };
        }
        assert_eq!(run(&corpus.to_string()).unwrap().wrong.len(), 61 + 426);
    }
}
