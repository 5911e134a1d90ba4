//! The verification of a bearer token with a warm key, per algorithm, beside `jsonwebtoken` alone.
//!
//! `cargo bench -p policy-runtime --features token --bench token` prints the medians and the ratio of each beside what is
//! promised; with `-- short` a tenth of the rounds.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints, and fails by panicking")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use policy_core::value::Millis;
use policy_runtime::authn::token::{Algorithm, KeySet, SharedSecret, TokenRules, verify, verify_shared};
use policy_runtime::secret::Secret;
use serde_json::Value;

const ROUNDS: usize = 60;
const PROMISED: f64 = 1.3;
const BATCH: u32 = 20;

fn batch(work: &mut dyn FnMut()) -> Duration {
    let began = Instant::now();
    for _ in 0..BATCH {
        work();
    }
    began.elapsed() / BATCH
}

/// The medians of two pieces of work, measured in turns so that a busy machine slows both.
fn medians(rounds: usize, one: &mut dyn FnMut(), other: &mut dyn FnMut()) -> (Duration, Duration) {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        a.push(batch(one));
        b.push(batch(other));
    }
    a.sort_unstable();
    b.sort_unstable();
    (*a.get(rounds / 2).unwrap(), *b.get(rounds / 2).unwrap())
}

fn main() {
    let rounds = if std::env::args().any(|argument| argument == "short") { ROUNDS / 10 } else { ROUNDS };
    let corpus: Value = serde_json::from_str(include_str!("../../tests/corpus/tokens.json")).unwrap();
    let text = |path: &str| corpus.pointer(path).and_then(Value::as_str).unwrap().to_owned();
    let (issuer, audience) = (text("/policy/issuer"), text("/policy/audience"));
    let now = Millis(corpus.get("now").and_then(Value::as_i64).unwrap() * 1_000);
    let document = corpus.pointer("/jwks/main").unwrap().to_string();
    let keys = KeySet::parse(document.as_bytes()).unwrap();
    let set: JwkSet = serde_json::from_str(&document).unwrap();
    let secret = URL_SAFE_NO_PAD.decode(text("/secrets/hs256_b64url")).unwrap();
    let shared = SharedSecret::new(&Secret::new(secret.clone())).unwrap();
    let rules = TokenRules::new(&issuer, &audience);
    let shared_rules = rules.clone().algorithms([Algorithm::Hs256]);

    let mut seen = Vec::new();
    for case in corpus.get("cases").and_then(Value::as_array).unwrap() {
        let field = |name: &str| case.get(name).and_then(Value::as_str);
        if field("group") != Some("valid") || field("expect") != Some("accept") || field("jwks").is_some() {
            continue;
        }
        let token = field("token").unwrap();
        let header = decode_header(token).unwrap();
        if seen.contains(&header.alg) {
            continue;
        }
        seen.push(header.alg);
        let mut validation = Validation::new(header.alg);
        validation.set_audience(&[&audience]);
        validation.set_issuer(&[&issuer]);
        validation.validate_exp = false;
        let hs = field("ctx") == Some("hs");
        let key = if hs {
            DecodingKey::from_secret(&secret)
        } else {
            DecodingKey::from_jwk(set.find(header.kid.as_deref().unwrap()).unwrap()).unwrap()
        };
        let (ours, alone) = medians(
            rounds,
            &mut || {
                let verdict = if hs {
                    verify_shared(black_box(token), &shared_rules, &shared, now)
                } else {
                    verify(black_box(token), &rules, &keys, now)
                };
                black_box(verdict.unwrap());
            },
            &mut || {
                black_box(decode::<Value>(black_box(token), &key, &validation).unwrap());
            },
        );
        let ratio = ours.as_secs_f64() / alone.as_secs_f64();
        let verdict = if ratio <= PROMISED { "kept" } else { "MISSED" };
        println!(
            "{:?}: {ours:?}, jsonwebtoken alone {alone:?}, ratio {ratio:.2}; promised {PROMISED}: {verdict}",
            header.alg
        );
    }
}
