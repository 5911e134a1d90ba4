//! What is taken, and what is not: forged, foreign, older and changed sets.

use std::sync::Arc;

use policy_core::pdp::{Beside, SetSource};
use policy_core::value::Millis;
use serde_json::Value;

use super::*;
use crate::authn::token::Issuer;
use crate::clock::{Clock as _, FixedClock};
use crate::identity::{MemoryStore, NewUser};
use crate::sets::bundle::ActiveSet;
use crate::sets::content::to_json;

const NOW: i64 = 1_795_311_717_000;
const URL: &str = "https://auth.example";

struct Stand {
    clock: FixedClock,
    store: Arc<MemoryStore>,
    issuer: Issuer,
    pulled: Pulled,
}

fn stand() -> Stand {
    let (clock, store) = (FixedClock::at(NOW), Arc::new(MemoryStore::default()));
    let issuer = Issuer::generate(URL, Arc::new(clock.clone()), store.clone()).unwrap();
    let policy = Policy::builder().organization("acme").application("shop").clock(Arc::new(clock.clone())).build();
    let pulled = Pulled::new(&policy.unwrap(), URL, Secret::new("pk_x".into())).unwrap();
    Stand { clock, store, issuer, pulled }
}

fn rule(text: &str) -> Value {
    to_json(&SetSource { rules: vec![("r".into(), text.into())], ..SetSource::default() })
}

fn set(scope: &str, revision: (u64, u64), source: Value) -> ActiveSet {
    ActiveSet { scope: scope.into(), epoch: revision.0, number: revision.1, source, beside: Beside::default() }
}

/// What decides for `app:acme/shop`, with a revision and a source of the organization's set.
fn content(revision: (u64, u64), source: Value) -> Content {
    let shipped = || to_json(&SetSource::default());
    let sets =
        [set("sys", (0, 1), shipped()), set("org:acme", revision, source), set("app:acme/shop", (0, 1), shipped())];
    Content { scope: "app:acme/shop".into(), sets, required: [].into() }
}

impl Stand {
    fn signed(&self, scope: &str, nonce: &str, content: &Content) -> Bundle {
        let content = serde_json::to_string(content).unwrap();
        let statement = self.issuer.sign_sets(&scope.parse().unwrap(), nonce, &hash(&content)).expose().clone();
        Bundle { statement, content }
    }

    fn verified(&self, bundle: &Bundle, nonce: Option<&str>) -> Result<Content, PullError> {
        self.pulled.verifier(&self.issuer.key_set()).unwrap().verify(bundle, nonce, Millis(NOW))
    }

    fn kept(&self, content: &Content) -> Kept {
        Kept { bundle: self.signed("app:acme/shop", "n", content), keys: self.issuer.key_set(), confirmed: NOW }
    }
}

const MFA: &str = "forbid Platform.members.* unless participant.mfa";

#[test]
fn a_statement_is_believed_only_as_it_was_signed_for_this_question() {
    let stand = stand();
    let content = content((7, 2), rule(MFA));
    let good = stand.signed("app:acme/shop", "n", &content);
    assert_eq!(stand.verified(&good, Some("n")).unwrap(), content);
    assert_eq!(stand.verified(&good, None).unwrap(), content);
    let refused = |bundle: &Bundle, nonce| assert!(stand.verified(bundle, nonce).is_err(), "{bundle:?}");
    refused(&good, Some("another question"));
    refused(&stand.signed("app:acme/parts", "n", &content), Some("n"));
    refused(&Bundle { content: good.content.replace("mfa", "id exists"), ..good.clone() }, Some("n"));
    let foreign = Content { scope: "app:acme/parts".into(), ..content.clone() };
    refused(&stand.signed("app:acme/shop", "n", &foreign), Some("n"));
    let mut cut = good.clone();
    cut.statement.truncate(good.statement.len() - 3);
    refused(&cut, Some("n"));
    // Somebody else's key, and a token of the right key that is for another use.
    let mallory = Issuer::generate(URL, Arc::new(stand.clock.clone()), stand.store.clone()).unwrap();
    let statement = mallory.sign_sets(&"app:acme/shop".parse().unwrap(), "n", &hash(&good.content)).expose().clone();
    refused(&Bundle { statement, ..good.clone() }, Some("n"));
    stand.store.create_organization("acme").unwrap();
    let user = NewUser::new("org:acme".parse().unwrap(), "ann@acme.example");
    let user = stand.store.create_user(user).unwrap();
    let token = stand.issuer.access_token(&user, &["pwd"]).unwrap().expose().clone();
    refused(&Bundle { statement: token, ..good.clone() }, Some("n"));
    // And a statement is no token.
    let rules = crate::authn::token::TokenRules::new(URL, format!("{URL}#policies"));
    let keys = KeySet::parse(stand.issuer.key_set().as_bytes()).unwrap();
    assert!(crate::authn::token::verify(&good.statement, &rules, &keys, Millis(NOW)).is_err());
}

#[test]
fn nothing_older_is_taken_and_nothing_else_under_the_same_revision() {
    let Stand { pulled, clock, .. } = stand();
    let engine = pulled.policy.engine();
    let revision = || engine.revisions(pulled.policy.application())[1];
    assert_eq!(pulled.currency(), Currency::Denying);
    pulled.take(content((7, 2), rule(MFA)), pulled.confirmed_at(Millis(NOW))).unwrap();
    assert_eq!(((revision().epoch, revision().number), pulled.currency()), ((7, 2), Currency::Current));
    let older = [content((7, 1), rule(MFA)), content((6, 9), rule(MFA)), content((0, 1), rule(MFA))];
    let other = content((7, 2), to_json(&SetSource::default()));
    for refused in older.into_iter().chain([other]) {
        let error = pulled.take(refused, pulled.confirmed_at(Millis(NOW))).unwrap_err();
        assert!(matches!(&error, PullError::Older { scope } if scope == "org:acme"), "{error}");
    }
    let mut elsewhere = content((7, 3), rule(MFA));
    elsewhere.sets[1].scope = "org:globex".into();
    assert!(matches!(pulled.take(elsewhere, pulled.confirmed_at(Millis(NOW))), Err(PullError::Form(_))));
    let broken = content((7, 3), rule("forbid com.example.Nothing.here"));
    assert!(matches!(pulled.take(broken, pulled.confirmed_at(Millis(NOW))), Err(PullError::Refused(_))));
    assert_eq!((revision().epoch, revision().number), (7, 2), "nothing has changed");
    pulled.take(content((8, 1), rule(MFA)), pulled.confirmed_at(Millis(NOW))).unwrap();
    assert_eq!((revision().epoch, revision().number), (8, 1), "a new epoch after a restore");
    clock.advance(30_001);
    assert_eq!(pulled.currency(), Currency::Denying);
}

#[test]
fn what_must_be_recorded_comes_with_the_sets() {
    let Stand { pulled, .. } = stand();
    let engine = pulled.policy.engine();
    let action = engine.action("Platform.keys.create").unwrap();
    let must = || pulled.policy.must_audit(action, pulled.policy.application());
    let with = |required: &[&str]| {
        let required = required.iter().map(|name| (*name).to_owned()).collect();
        Content { required, ..content((7, 2), rule(MFA)) }
    };
    for (required, expected) in [(&[][..], false), (&["Platform.keys.create", "elsewhere.pay"], true), (&[], false)] {
        pulled.take(with(required), pulled.confirmed_at(Millis(NOW))).unwrap();
        assert_eq!(must(), expected, "{required:?}, under the same revision of the sets");
    }
}

#[test]
fn a_clock_that_is_set_makes_the_bound_no_longer() {
    let Stand { pulled, clock, .. } = stand();
    let engine = pulled.policy.engine();
    let confirm = || pulled.take(content((7, 2), rule(MFA)), pulled.confirmed_at(clock.now())).unwrap();
    let stands = || {
        pulled.expire();
        (pulled.currency(), engine.is_fresh(clock.now()))
    };
    let day = 24 * 3_600 * 1_000;
    confirm();
    clock.jump(-day);
    clock.advance(29_999);
    assert_eq!(stands(), (Currency::Current, true));
    clock.advance(2);
    assert_eq!(stands(), (Currency::Denying, false), "the bound has passed, whatever the clock says");
    // The next answer ends it, though it was asked for earlier by the clock that was set.
    confirm();
    assert_eq!(stands(), (Currency::Current, true));
    clock.jump(day);
    assert_eq!(stands(), (Currency::Denying, false), "a machine that slept has heard nothing");
    confirm();
    assert_eq!(stands(), (Currency::Current, true));
    clock.jump(-day);
    assert_eq!(stands(), (Currency::Current, true), "set right again");
    clock.advance(30_001);
    assert_eq!(stands(), (Currency::Denying, false));
}

#[test]
fn what_is_kept_is_used_only_as_it_was_written() {
    let stand = stand();
    let path = std::env::temp_dir().join(format!("policy-kept-{}.json", std::process::id()));
    let key = Secret::new("pk_x".to_owned());
    let kept = stand.kept(&content((7, 2), rule(MFA)));
    kept.write(&path, &key).unwrap();
    kept.write(&path, &key).unwrap();
    assert_eq!(Kept::read(&path, &key).unwrap(), kept);
    let refused = |path: &Path, key: &Secret<String>| {
        let error = Kept::read(path, key).unwrap_err().to_string();
        assert!(!error.contains("pk_"), "{error}");
        error
    };
    assert!(refused(&path, &Secret::new("pk_y".into())).contains("another API key"));
    let text = std::fs::read_to_string(&path).unwrap();
    let tampered = text.replace("participant.mfa", "participant.id exists");
    assert_ne!(tampered, text);
    std::fs::write(&path, tampered).unwrap();
    assert!(refused(&path, &key).contains("was changed"));
    kept.write(&path, &key).unwrap();
    let pulled = || {
        let policy = Policy::builder().organization("acme").application("shop").clock(Arc::new(stand.clock.clone()));
        Pulled::new(&policy.build().unwrap(), URL, key.clone()).unwrap().kept_in(&path)
    };
    let restarted = pulled();
    restarted.load().unwrap();
    assert_eq!(restarted.currency(), Currency::Current);
    assert!(restarted.known_keys().is_ok());
    stand.clock.advance(30_001);
    let late = pulled();
    late.load().unwrap();
    assert_eq!(late.currency(), Currency::Denying, "a start begins no new bound");
    stand.clock.advance(-60_000);
    assert!(pulled().load().unwrap_err().to_string().contains("from the future"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(refused(&path, &key).contains("open to other users"));
    }
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_pinned_key_is_the_only_one() {
    let stand = stand();
    let keys: Value = serde_json::from_str(&stand.issuer.key_set()).unwrap();
    let pinned = stand.pulled.clone().pinned(keys["keys"][0]["x"].as_str().unwrap()).unwrap();
    let good = stand.signed("app:acme/shop", "n", &content((7, 2), rule(MFA)));
    let by = |keys: &str| pinned.verifier(keys).unwrap().verify(&good, Some("n"), Millis(NOW));
    assert!(by(pinned.pinned.as_ref().unwrap()).is_ok());
    assert!(stand.pulled.clone().pinned("no key").is_err());
}
