use serde_json::json;

use super::super::{Algorithm, ClaimPath, IssuerRule, SubjectClaim};
use super::*;
use crate::authn::Chain;
use crate::clock::FixedClock;

const NOW: i64 = 1_795_311_717;
const SECRET: &[u8; 32] = b"0123456789abcdef0123456789abcdef";

fn hs256(claims: &serde_json::Value) -> String {
    let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(&json!({"alg": "HS256"})), encode(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
    mac.update(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

fn claims(more: &serde_json::Value) -> serde_json::Value {
    let mut claims = json!({"iss": "a", "aud": "api", "sub": "u", "iat": NOW, "exp": NOW + 600});
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn secret() -> SharedSecret {
    SharedSecret::new(&Secret::new(SECRET.to_vec())).unwrap()
}

fn orders() -> Scope {
    Scope::application("acme", "orders").unwrap()
}

fn source(name: &str, scope: Scope, issuer: &str) -> TokenSource {
    TokenSource::with_secret(name, scope, TokenRules::new(issuer, "api"), secret())
}

fn chain(sources: impl IntoIterator<Item = TokenSource>) -> Chain {
    let ids = ParticipantIds::new(Secret::new(vec![9; 32])).unwrap();
    let tokens = TokenAuthenticator::new(Arc::new(FixedClock::at(NOW * 1000)), ids);
    Chain::builder().with(sources.into_iter().fold(tokens, TokenAuthenticator::with)).build()
}

async fn present(chain: &Chain, claims: &serde_json::Value, scope: Option<Scope>) -> Result<Participant, AuthnCode> {
    let mut request = Credentials::of(Credential::Bearer(Secret::new(hs256(claims))));
    if let Some(scope) = scope {
        request = request.in_scope(scope);
    }
    match chain.authenticate(&request).await {
        Outcome::Authenticated(found) => Ok(found.into_participant()),
        Outcome::Rejected(error) => Err(error.code()),
        Outcome::NotPresented => Err(AuthnCode::Unrecognised),
    }
}

#[tokio::test]
async fn ids_are_ours_and_differ_by_everything_that_makes_an_identity() {
    let billing = Scope::application("acme", "billing").unwrap();
    let number = TokenRules::new("c", "api").subject(SubjectClaim::Id, true);
    let chain = chain([
        source("one", orders(), "a"),
        source("two", orders(), "b"),
        source("one", billing.clone(), "a"),
        TokenSource::with_secret("three", orders(), number, secret()),
    ]);
    let user = claims(&json!({}));
    let mut ids = vec![present(&chain, &user, Some(orders())).await.unwrap().id().to_owned()];
    assert_eq!(present(&chain, &user, Some(orders())).await.unwrap().id(), ids[0], "the same each time");
    ids.push(present(&chain, &user, Some(billing)).await.unwrap().id().to_owned());
    ids.push(present(&chain, &claims(&json!({"iss": "b"})), Some(orders())).await.unwrap().id().to_owned());
    let machine = present(&chain, &claims(&json!({"client_id": "u"})), Some(orders())).await.unwrap();
    assert_eq!(machine.auth_type(), "jwt-machine");
    ids.push(machine.id().to_owned());
    for id in [json!(1), json!("1")] {
        let found = present(&chain, &claims(&json!({"iss": "c", "id": id})), Some(orders())).await.unwrap();
        ids.push(found.id().to_owned());
    }
    let distinct: BTreeSet<&String> = ids.iter().collect();
    assert_eq!(distinct.len(), 6, "{ids:?}");
    assert!(ids.iter().all(|id| id.starts_with("t_")));
}

#[tokio::test]
async fn the_scope_is_never_guessed() {
    let billing = Scope::application("acme", "billing").unwrap();
    let chain = chain([source("one", orders(), "a"), source("one", billing.clone(), "a")]);
    let user = claims(&json!({}));
    assert_eq!(present(&chain, &user, None).await.unwrap_err(), AuthnCode::ScopeMissing);
    assert_eq!(
        present(&chain, &user, Some(Scope::organization("acme").unwrap())).await.unwrap_err(),
        AuthnCode::ScopeMismatch
    );
    assert_eq!(*present(&chain, &user, Some(billing.clone())).await.unwrap().scope(), billing);
    assert_eq!(present(&chain, &claims(&json!({"iss": "x"})), None).await.unwrap_err(), AuthnCode::TokenIssuer);
}

#[tokio::test]
async fn what_is_not_a_signed_token_is_left_to_others() {
    let chain = chain([source("one", orders(), "a")]);
    for text in ["opaque", "a.b", "pk_live_x"] {
        let request = Credentials::of(Credential::Bearer(Secret::new(text.into())));
        let Outcome::Rejected(error) = chain.authenticate(&request).await else { panic!() };
        assert_eq!(error.code(), AuthnCode::Unrecognised);
    }
}

#[tokio::test]
async fn where_tokens_are_off_nobody_is_provisioned() {
    #[derive(Debug)]
    struct Nobody;

    impl TokenUsers for Nobody {
        fn participant<'a>(&'a self, _: &'a VerifiedToken) -> BoxFuture<'a, Result<(Participant, u64), AuthnError>> {
            panic!("a user would be made")
        }
    }

    let ids = ParticipantIds::new(Secret::new(vec![9; 32])).unwrap();
    let tokens = TokenAuthenticator::new(Arc::new(FixedClock::at(NOW * 1000)), ids);
    let tokens = tokens.with(source("one", orders(), "a").users(Arc::new(Nobody)));
    let chain = Chain::builder().with(tokens).methods(orders(), ["password"]).build();
    assert_eq!(present(&chain, &claims(&json!({})), None).await.unwrap_err(), AuthnCode::MethodOff);
}

#[derive(Debug)]
struct Revoked;

impl TokenCheck for Revoked {
    fn check<'a>(&'a self, token: &'a VerifiedToken) -> BoxFuture<'a, Result<(), AuthnError>> {
        Box::pin(async move {
            match token.claims().get("check").and_then(super::super::Json::as_text) {
                Some("now") => Ok(()),
                _ => Err(AuthnError::new(AuthnCode::TokenClaim, "revoked")),
            }
        })
    }
}

#[tokio::test]
async fn a_check_may_still_refuse() {
    let chain = chain([source("one", orders(), "a").check(Arc::new(Revoked))]);
    present(&chain, &claims(&json!({"check": "now"})), None).await.unwrap();
    for old in [json!({"check": "then"}), json!({"check": null}), json!({})] {
        assert_eq!(present(&chain, &claims(&old), None).await.unwrap_err(), AuthnCode::TokenClaim);
    }
}

#[test]
fn rules_that_no_corpus_shows() {
    let now = policy_core::value::Millis(NOW * 1000);
    let verdict = |rules: &TokenRules, more: serde_json::Value| {
        super::super::verify_shared(&hs256(&claims(&more)), rules, &secret(), now).map_err(|error| error.code())
    };
    let rules = TokenRules::new("a", "api").algorithms([Algorithm::Hs256]);
    assert_eq!(verdict(&rules, json!({"exp": NOW + 3_661})).unwrap_err(), AuthnCode::TokenLifetime);
    assert!(verdict(&rules, json!({"exp": NOW + 3_600})).is_ok());
    assert_eq!(verdict(&rules, json!({"sub": 7})).unwrap_err(), AuthnCode::TokenSubject);
    assert_eq!(verdict(&rules, json!({"cnf": {"jkt": "x"}})).unwrap_err(), AuthnCode::TokenKind);
    let equal = rules.clone().equal(ClaimPath::name("appId"), "mine");
    assert!(verdict(&equal, json!({"appId": "mine"})).is_ok());
    assert_eq!(verdict(&equal, json!({"appId": "theirs"})).unwrap_err(), AuthnCode::TokenClaim);
    let required = rules.clone().required(ClaimPath::name("organizationId"));
    for bad in [json!({}), json!({"organizationId": null}), json!({"organizationId": ""})] {
        assert_eq!(verdict(&required, bad).unwrap_err(), AuthnCode::TokenClaim);
    }
    let tenants = rules.clone().issuer(IssuerRule::PerTenant {
        template: "https://login/{tid}/v2.0".into(),
        claim: "tid".into(),
        allowed: vec!["t1".into()],
    });
    assert!(verdict(&tenants, json!({"iss": "https://login/t1/v2.0", "tid": "t1"})).is_ok());
    for (iss, tid) in [
        ("https://login/t2/v2.0", "t2"),
        ("https://login/t1/v2.0", "t2"),
        ("https://login/t2/v2.0", "t1"),
        ("https://login/{tid}/v2.0", "t1"),
    ] {
        assert_eq!(verdict(&tenants, json!({"iss": iss, "tid": tid})).unwrap_err(), AuthnCode::TokenIssuer);
    }
    assert!(SharedSecret::new(&Secret::new(vec![1; 31])).is_err());
    assert!(SharedSecret::new(&Secret::new(vec![0; 64])).is_err());
    let other = SharedSecret::new(&Secret::new(b"fedcba9876543210fedcba9876543210".to_vec())).unwrap();
    let wrong = super::super::verify_shared(&hs256(&claims(&json!({}))), &rules, &other, now);
    assert_eq!(wrong.unwrap_err().code(), AuthnCode::TokenSignature);
}

proptest::proptest! {
    #[test]
    fn no_token_panics(token in "[A-Za-z0-9_.=-]{0,200}", document in "[ -~]{0,100}") {
        let rules = TokenRules::new("a", "api");
        let keys = KeySet::parse(document.as_bytes()).unwrap_or_default();
        let _ = super::super::verify(&token, &rules, &keys, policy_core::value::Millis(0));
    }

    #[test]
    fn no_key_panics(kty in "RSA|EC|OKP|oct|x", crv in "P-256|P-384|Ed25519|x", x in "[A-Za-z0-9_-]{0,90}", y in "[A-Za-z0-9_-]{0,90}", e in "AQAB|AQ|[A-Za-z0-9_-]{0,8}") {
        let document = json!({"keys": [{"kty": kty, "crv": crv, "x": x, "y": y, "n": x, "e": e}, {"kty": kty, "n": y, "e": e}]});
        let keys = KeySet::parse(document.to_string().as_bytes()).unwrap();
        proptest::prop_assert_eq!(keys.len() + keys.skipped().len(), 2);
    }
}
