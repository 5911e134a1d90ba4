//! Keys: published before they sign, verified after, sealed, and the same for every server.

use super::*;
use crate::authn::token::{KeySet, TokenRules, verify};
use policy_core::value::Millis;

async fn token(f: &Fixture) -> String {
    f.ask("robot", "token", &[("grant_type", "client_credentials")]).await.text("access_token")
}

async fn verifies(f: &Fixture, token: &str) -> bool {
    let keys = KeySet::parse(f.get("/.well-known/jwks.json", "").await.body.as_bytes()).unwrap();
    verify(token, &TokenRules::new(URL, URL), &keys, Millis(NOW)).is_ok()
}

fn states(keys: &[KnownKey]) -> Vec<KeyState> {
    keys.iter().map(|key| key.state).collect()
}

/// What the task of each server does now and then.
async fn follow(f: &Fixture, issuer: &Issuer) {
    issuer.replace_keys(f.stored.keys.ring().await.unwrap());
}

#[tokio::test]
async fn a_key_takes_over_without_a_gap() {
    let f = Fixture::new().await;
    let (keys, issuer) = (&f.stored.keys, f.stored.issuer(URL, f.store.clone()).await.unwrap());
    let old = keys.all().await.unwrap()[0].kid.clone();
    let new = keys.rotate().await.unwrap();
    assert_eq!(states(&keys.all().await.unwrap()), [KeyState::Active, KeyState::VerifyOnly]);
    follow(&f, &issuer).await;
    assert!(issuer.key_set().contains(&new), "published before it signs");
    assert_eq!(keys.ring().await.unwrap().active().kid(), old);
    f.clock.advance(i64::from(PUBLISHED_BEFORE_S) * 1_000);
    assert_eq!(keys.ring().await.unwrap().active().kid(), new);
    assert_eq!(states(&keys.all().await.unwrap()), [KeyState::VerifyOnly, KeyState::Active]);
    follow(&f, &issuer).await;
    assert!(issuer.key_set().contains(&old), "what it signed is still good");
    f.clock.advance(i64::from(crate::authn::token::LONGEST_TOKEN_S) * 1_000 + 200_000);
    assert_eq!(states(&keys.all().await.unwrap()), [KeyState::Retired, KeyState::Active]);
    follow(&f, &issuer).await;
    assert!(!issuer.key_set().contains(&old));
    assert_eq!(states(&keys.all().await.unwrap()), [KeyState::Active], "and is forgotten, secret and all");
    f.clock.advance(i64::from(KEY_AGE_S) * 1_000);
    keys.ring().await.unwrap();
    assert_eq!(keys.all().await.unwrap().len(), 2, "an old key is replaced by itself");
}

#[tokio::test]
async fn a_key_that_became_known_ends_at_once_with_all_that_it_signed() {
    let f = Fixture::new().await;
    let keys = &f.stored.keys;
    keys.rotate().await.unwrap();
    f.clock.advance(i64::from(PUBLISHED_BEFORE_S) * 1_000);
    let before = keys.all().await.unwrap();
    assert!(keys.retire(&before[1].kid).await.unwrap());
    let ring = keys.ring().await.unwrap();
    assert!(!ring.published().contains(&before[1].kid));
    assert!(before.iter().all(|key| key.kid != ring.active().kid()), "none of before signs again");
    assert!(!keys.retire("unknown").await.unwrap());
}

#[tokio::test]
async fn servers_that_start_at_once_share_one_key() {
    let f = Fixture::new().await;
    f.store.begin_epoch().await.unwrap();
    let rings = futures_util::future::join_all((0..8).map(|_| f.stored.keys.ring())).await;
    let kids: std::collections::BTreeSet<_> =
        rings.into_iter().map(|ring| ring.unwrap().active().kid().to_owned()).collect();
    assert_eq!(kids.len(), 1);
}

#[tokio::test]
async fn es256_signs_once_it_is_configured() {
    let f = Fixture::new().await;
    let before = token(&f).await;
    let stored = Stored::of(&f.store, Arc::new(f.clock.clone()), Algorithm::Es256).unwrap();
    stored.keys.rotate().await.unwrap();
    f.clock.advance(i64::from(PUBLISHED_BEFORE_S) * 1_000);
    let issuer = stored.issuer(URL, f.store.clone()).await.unwrap();
    assert!(issuer.key_set().contains("P-256"));
    let after = issuer.access_token(&f.alice, &["pwd"]).unwrap();
    let keys = KeySet::parse(issuer.key_set().as_bytes()).unwrap();
    let now = Millis(NOW + i64::from(PUBLISHED_BEFORE_S) * 1_000);
    verify(after.expose(), &TokenRules::new(URL, URL), &keys, now).unwrap();
    verify(&before, &TokenRules::new(URL, URL).leeway_s(1_000), &keys, now).unwrap();
    assert!(verifies(&f, &before).await);
}

#[tokio::test]
async fn keys_are_sealed_again_when_the_sealing_key_is_replaced() {
    let f = Fixture::new().await;
    let kid = f.stored.keys.all().await.unwrap()[0].kid.clone();
    let (old, new) = (Secret::new([5; 32]), Secret::new([6; 32]));
    let with = |keys: SealingKeys| {
        let store = SqlStore::new(f.store.database().clone()).sealing(keys);
        Stored::of(&store, Arc::new(f.clock.clone()), Algorithm::EdDsa).unwrap()
    };
    assert!(with(SealingKeys::new(&new)).keys.ring().await.is_err(), "the new one alone opens nothing");
    assert_eq!(with(SealingKeys::new(&new).and_earlier(&old)).keys.ring().await.unwrap().active().kid(), kid);
    assert_eq!(with(SealingKeys::new(&new)).keys.ring().await.unwrap().active().kid(), kid, "it was sealed again");
}
