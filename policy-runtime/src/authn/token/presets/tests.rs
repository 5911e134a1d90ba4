use std::sync::Arc;

use policy_core::value::{Millis, Value};
use policy_core::{Participant, Scope};
use serde_json::json;

use super::super::rules::VerifiedToken;
use super::*;
use crate::authn::{AuthnCode, AuthnError};
use crate::json::Json;

const NOW: i64 = 1_795_311_717;

/// The claims of a token as the provider sends them, with times put in.
fn claims(body: &serde_json::Value, life_s: i64) -> Json {
    let mut body = body.clone();
    body["iat"] = json!(NOW - 5);
    body["exp"] = json!(NOW - 5 + life_s);
    Json::parse(body.to_string().as_bytes()).unwrap()
}

fn verify(rules: &TokenRules, body: &serde_json::Value, life_s: i64) -> Result<VerifiedToken, AuthnCode> {
    rules.check_claims(Arc::new(claims(body, life_s)), Millis(NOW * 1000)).map_err(|error| error.code())
}

fn participant(preset: &Preset, allow: &[&str], token: &VerifiedToken) -> Result<Participant, AuthnError> {
    let mapping = allow.iter().fold(preset.mapping().unwrap(), |mapping, role| mapping.allow_role(role, role));
    let builder = Participant::builder(Scope::organization("acme").unwrap(), "p");
    Ok(mapping.apply(token.claims(), builder)?.build())
}

fn attribute(participant: &Participant, name: &str) -> Option<Value> {
    participant.attributes().iter().find(|(n, _)| **n == *name).map(|(_, value)| value.clone())
}

fn without(body: &serde_json::Value, claim: &str) -> serde_json::Value {
    let mut body = body.clone();
    body.as_object_mut().unwrap().remove(claim);
    body
}

fn with(body: &serde_json::Value, claim: &str, value: serde_json::Value) -> serde_json::Value {
    let mut body = body.clone();
    body[claim] = value;
    body
}

#[test]
fn every_preset_is_whole() {
    for preset in PRESETS {
        preset.mapping().unwrap();
        assert_eq!(Preset::find(preset.name()), Some(preset));
        let shared = preset.keys() == KeyPlace::Shared;
        assert_eq!(preset.rules("https://i.example", "a").names_issuer_and_audience(), !shared, "{}", preset.name());
    }
}

#[test]
fn better_auth_sends_the_user_record() {
    let preset = Preset::find("better-auth").unwrap();
    let base = "https://app.example";
    assert_eq!(preset.key_url(base).unwrap(), "https://app.example/api/auth/jwks");
    let body = json!({
        "iss": base, "aud": base, "sub": "u1", "id": "u1", "email": "a@b.example", "emailVerified": false,
        "name": "Chosen by the user", "createdAt": "2026-11-01T00:00:00.000Z", "updatedAt": "2026-11-01T00:00:00.000Z",
    });
    let rules = preset.rules(base, base);
    let found = participant(preset, &[], &verify(&rules, &body, 900).unwrap()).unwrap();
    assert_eq!((found.email(), found.display_name()), (None, Some("Chosen by the user")));
    let proved = with(&body, "emailVerified", json!(true));
    let found = participant(preset, &[], &verify(&rules, &proved, 900).unwrap()).unwrap();
    assert_eq!(found.email(), Some("a@b.example"));
}

#[test]
fn apso_demands_an_organization() {
    let preset = Preset::find("apso").unwrap();
    let body =
        json!({"iss": "https://a.example", "aud": "api", "sub": "u", "organizationId": "org-1", "roles": ["owner"]});
    let rules = preset.rules("https://a.example", "api");
    let found = participant(preset, &["owner"], &verify(&rules, &body, 900).unwrap()).unwrap();
    assert_eq!(attribute(&found, "organizationId"), Some(Value::text("org-1")));
    assert_eq!(found.roles(), ["owner".into()]);
    for bad in [without(&body, "organizationId"), with(&body, "organizationId", json!(null))] {
        assert_eq!(verify(&rules, &bad, 900).unwrap_err(), AuthnCode::TokenClaim);
    }
    let number = verify(&rules, &with(&body, "organizationId", json!(7)), 900).unwrap();
    assert_eq!(participant(preset, &[], &number).unwrap_err().code(), AuthnCode::TokenClaim);
}

#[test]
fn kottster_names_users_by_number() {
    let rules = Preset::find("kottster").unwrap().rules("", "");
    let body = json!({"id": 2, "check": "abc"});
    let found = verify(&rules, &body, 24 * 3_600).unwrap();
    assert!(found.subject().is_number() && found.subject().as_text() == "2" && !found.is_machine());
    let root = json!({"id": "__KOTTSTER_APP_ROOT_USER__", "check": "abc"});
    assert!(!verify(&rules, &root, 3_600).unwrap().subject().is_number());
    for bad in [json!({"id": 2}), json!({"id": 2, "check": null})] {
        assert_eq!(verify(&rules, &bad, 3_600).unwrap_err(), AuthnCode::TokenClaim);
    }
    assert_eq!(verify(&rules, &with(&body, "iss", json!("x")), 3_600).unwrap_err(), AuthnCode::TokenIssuer);
    assert_eq!(verify(&rules, &body, 25 * 3_600).unwrap_err(), AuthnCode::TokenLifetime);

    let platform = Preset::find("kottster-platform").unwrap().rules("", "").equal(ClaimPath::name("appId"), "mine");
    let body = json!({"appId": "mine", "userId": 7, "userEmail": "a@b.example"});
    assert_eq!(verify(&platform, &body, 24 * 3_600).unwrap().subject().as_text(), "7");
    assert_eq!(verify(&platform, &with(&body, "appId", json!("theirs")), 60).unwrap_err(), AuthnCode::TokenClaim);
}

#[test]
fn auth0_ends_its_issuer_in_a_slash() {
    let preset = Preset::find("auth0").unwrap();
    let issuer = preset.issuer_of("acme.eu.auth0.com");
    assert_eq!(issuer, "https://acme.eu.auth0.com/");
    let rules = preset.rules(&issuer, "https://api.example");
    let body = json!({
        "iss": issuer, "sub": "auth0|6543", "aud": ["https://api.example", "https://acme.eu.auth0.com/userinfo"],
        "azp": "client", "scope": "openid read:orders", "permissions": ["read:orders"], "org_id": "org_1",
    });
    let found = participant(preset, &["read:orders"], &verify(&rules, &body, 86_400).unwrap()).unwrap();
    assert_eq!(found.roles(), ["read:orders".into()]);
    assert_eq!(attribute(&found, "scope"), Some(Value::Set(vec![Value::text("openid"), Value::text("read:orders")])));
    let machine = with(&with(&body, "sub", json!("client@clients")), "gty", json!("client-credentials"));
    assert!(verify(&rules, &machine, 86_400).unwrap().is_machine());
    let bare = with(&body, "iss", json!("https://acme.eu.auth0.com"));
    assert_eq!(verify(&rules, &bare, 600).unwrap_err(), AuthnCode::TokenIssuer);
}

#[test]
fn clerk_names_the_application_in_azp() {
    let preset = Preset::find("clerk").unwrap();
    let issuer = preset.issuer_of("acme.clerk.accounts.dev");
    let rules = preset.rules(&issuer, "https://app.example");
    let body = json!({
        "iss": issuer, "sub": "user_1", "azp": "https://app.example", "sid": "sess_1", "org_id": "org_1",
        "org_role": "org:admin", "org_slug": "acme",
    });
    let found = participant(preset, &["org:admin"], &verify(&rules, &body, 60).unwrap()).unwrap();
    assert_eq!((found.roles(), attribute(&found, "orgSlug")), (&["org:admin".into()][..], Some(Value::text("acme"))));
    let second = json!({"iss": issuer, "sub": "user_1", "azp": "https://app.example", "v": 2, "o": {"id": "org_1", "rol": "admin"}});
    assert_eq!(
        participant(preset, &["admin"], &verify(&rules, &second, 60).unwrap()).unwrap().roles(),
        ["admin".into()]
    );
    for bad in [without(&body, "azp"), with(&body, "azp", json!("https://evil.example"))] {
        assert_eq!(verify(&rules, &bad, 60).unwrap_err(), AuthnCode::TokenAudience);
    }
}

#[test]
fn firebase() {
    let preset = Preset::find("firebase").unwrap();
    let issuer = preset.issuer_of("my-project");
    let rules = preset.rules(&issuer, "my-project");
    let body = json!({
        "iss": issuer, "aud": "my-project", "auth_time": NOW - 60, "user_id": "u", "sub": "u", "email": "a@b.example",
        "email_verified": true, "firebase": {"identities": {"email": ["a@b.example"]}, "sign_in_provider": "password"},
    });
    let found = participant(preset, &[], &verify(&rules, &body, 3_600).unwrap()).unwrap();
    assert_eq!(attribute(&found, "signInProvider"), Some(Value::text("password")));
    assert_eq!(found.email(), Some("a@b.example"));
    assert_eq!(verify(&rules, &with(&body, "aud", json!("other")), 3_600).unwrap_err(), AuthnCode::TokenAudience);
    assert_eq!(verify(&rules, &with(&body, "sub", json!("")), 3_600).unwrap_err(), AuthnCode::TokenSubject);
}

#[test]
fn supabase() {
    let preset = Preset::find("supabase").unwrap();
    let issuer = preset.issuer_of("abcdef");
    assert_eq!(preset.key_url(&issuer).unwrap(), "https://abcdef.supabase.co/auth/v1/.well-known/jwks.json");
    let rules = preset.rules(&issuer, "authenticated");
    let body = json!({
        "iss": issuer, "aud": "authenticated", "sub": "67e55044-10b1-426f-9247-bb680e5fe0c8", "role": "authenticated",
        "aal": "aal2", "amr": [{"method": "totp", "timestamp": NOW}], "session_id": "s", "email": "a@b.example",
        "app_metadata": {"provider": "email", "roles": ["editor"]}, "user_metadata": {"roles": ["admin"]}, "is_anonymous": false,
    });
    let found = participant(preset, &["editor", "admin"], &verify(&rules, &body, 3_600).unwrap()).unwrap();
    assert_eq!(found.roles(), ["editor".into()], "what users may write themselves gives no role");
    assert!(found.mfa());
    let one_factor = verify(&rules, &with(&body, "aal", json!("aal1")), 3_600).unwrap();
    assert!(!participant(preset, &[], &one_factor).unwrap().mfa());
    assert_eq!(verify(&rules, &with(&body, "role", json!("service_role")), 3_600).unwrap_err(), AuthnCode::TokenClaim);
}

#[test]
fn keycloak() {
    let preset = Preset::find("keycloak").unwrap();
    let issuer = preset.issuer_of("https://id.example/realms/acme");
    let rules = preset.rules(&issuer, "orders");
    let body = json!({
        "iss": issuer, "aud": ["orders", "account"], "sub": "u", "typ": "Bearer", "azp": "web",
        "realm_access": {"roles": ["finance", "offline_access"]}, "resource_access": {"account": {"roles": ["view-profile"]}},
        "scope": "openid email", "preferred_username": "alice", "email_verified": true, "email": "a@b.example",
    });
    let found = participant(preset, &["finance"], &verify(&rules, &body, 300).unwrap()).unwrap();
    assert_eq!((found.roles(), found.email()), (&["finance".into()][..], Some("a@b.example")));
    for kind in ["ID", "Refresh"] {
        assert_eq!(verify(&rules, &with(&body, "typ", json!(kind)), 300).unwrap_err(), AuthnCode::TokenClaim);
    }
    let service = with(&body, "preferred_username", json!("service-account-importer"));
    assert!(verify(&rules, &service, 300).unwrap().is_machine());
}

#[test]
fn entra_is_keyed_on_tenant_and_object() {
    let preset = Preset::find("entra").unwrap();
    let (ours, theirs) = ("11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222");
    let rules = preset.rules_for_tenants([ours], "api");
    let of = |iss: &str, tid: &str| {
        json!({
            "iss": preset.issuer_of(iss), "aud": "api", "tid": tid, "oid": "o-1", "sub": "pairwise", "ver": "2.0",
            "roles": ["Task.Write"], "scp": "access_as_user", "azp": "client",
        })
    };
    let token = verify(&rules, &of(ours, ours), 5_000).unwrap();
    assert_eq!((token.subject().as_text(), token.issuer()), ("o-1", preset.issuer_of(ours).as_str()));
    assert_eq!(participant(preset, &["Task.Write"], &token).unwrap().roles(), ["Task.Write".into()]);
    for (iss, tid) in [(theirs, theirs), (ours, theirs), (theirs, ours), ("{tid}", ours)] {
        assert_eq!(verify(&rules, &of(iss, tid), 5_000).unwrap_err(), AuthnCode::TokenIssuer, "{iss} {tid}");
    }
    assert!(verify(&rules, &with(&of(ours, ours), "idtyp", json!("app")), 5_000).unwrap().is_machine());
    let single = preset.rules(&preset.issuer_of(ours), "api");
    verify(&single, &of(ours, ours), 5_000).unwrap();
    assert_eq!(verify(&single, &without(&of(ours, ours), "oid"), 5_000).unwrap_err(), AuthnCode::TokenSubject);
}

#[test]
fn google() {
    let preset = Preset::find("google").unwrap();
    let rules = preset.rules(&preset.issuer_of(""), "client.apps.googleusercontent.com");
    let body = json!({
        "iss": "https://accounts.google.com", "aud": "client.apps.googleusercontent.com", "azp": "client.apps.googleusercontent.com",
        "sub": "110169484474386276334", "hd": "acme.example", "email": "a@acme.example", "email_verified": true, "name": "A",
    });
    let found = participant(preset, &[], &verify(&rules, &body, 3_600).unwrap()).unwrap();
    assert_eq!(attribute(&found, "hostedDomain"), Some(Value::text("acme.example")));
    let other = with(&body, "aud", json!("other.apps.googleusercontent.com"));
    assert_eq!(verify(&rules, &other, 3_600).unwrap_err(), AuthnCode::TokenAudience);
}

#[test]
fn okta() {
    let preset = Preset::find("okta").unwrap();
    let issuer = preset.issuer_of("acme.okta.com");
    assert_eq!(issuer, "https://acme.okta.com/oauth2/default");
    let rules = preset.rules(&issuer, "api://default");
    let body = json!({
        "ver": 1, "iss": issuer, "aud": "api://default", "cid": "0oa", "uid": "00u", "scp": ["openid", "profile"],
        "sub": "alice@acme.example", "groups": ["Everyone", "finance"],
    });
    let token = verify(&rules, &body, 3_600).unwrap();
    let found = participant(preset, &["finance"], &token).unwrap();
    assert_eq!((found.roles(), attribute(&found, "uid")), (&["finance".into()][..], Some(Value::text("00u"))));
    assert!(!token.is_machine() && verify(&rules, &with(&body, "sub", json!("0oa")), 3_600).unwrap().is_machine());
}
