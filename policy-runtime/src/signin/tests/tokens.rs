//! Tokens: what comes of codes, refresh tokens and secrets, once each.

use super::*;
use crate::authn::token::{KeySet, TokenRules, verify};
use crate::authn::{AuthnCode, Outcome};
use crate::credential::{Credential, Credentials};
use policy_core::value::Millis;

async fn present(f: &Fixture, token: &str) -> Result<policy_core::Participant, AuthnCode> {
    match f.chain.authenticate(&Credentials::of(Credential::Bearer(Secret::new(token.to_owned())))).await {
        Outcome::Authenticated(found) => Ok(found.into_participant()),
        Outcome::Rejected(error) => Err(error.code()),
        Outcome::NotPresented => Err(AuthnCode::Unrecognised),
    }
}

#[tokio::test]
async fn a_code_becomes_tokens_that_others_verify_by_the_published_keys() {
    let f = Fixture::new().await;
    let told = f.exchange("shop", &f.code("shop", "openid email profile offline_access unheard:of").await).await;
    assert_eq!((told.status, told.headers["cache-control"].to_str().unwrap()), (StatusCode::OK, "no-store"));
    assert_eq!(told.text("scope"), "openid email profile offline_access", "what it may not have is left out");
    let keys = f.get("/.well-known/jwks.json", "").await;
    let keys = KeySet::parse(keys.body.as_bytes()).unwrap();
    let rules = TokenRules::new(URL, URL).access_tokens_only();
    let access = verify(&told.text("access_token"), &rules, &keys, Millis(NOW)).unwrap();
    assert_eq!((access.subject().as_text(), access.expires_at()), (f.alice.id.as_str(), Millis(NOW + 900_000)));
    assert!(!access.is_machine());
    let id = verify(&told.text("id_token"), &TokenRules::new(URL, "shop"), &keys, Millis(NOW)).unwrap();
    let claim = |name: &str| id.claims().get(name).and_then(crate::authn::token::Json::as_text).map(str::to_owned);
    assert_eq!(claim("nonce").as_deref(), Some("n-1"));
    assert_eq!(claim("email").as_deref(), Some("alice@example.com"));
    assert_eq!(claim("name").as_deref(), Some("Alice <3"));
    assert!(id.claims().get("email_verified").is_none(), "nobody has verified it");
    assert!(verify(&told.text("id_token"), &rules, &keys, Millis(NOW)).is_err(), "an ID token opens nothing");
    let alice = present(&f, &told.text("access_token")).await.unwrap();
    assert_eq!((alice.id(), alice.auth_type()), (f.alice.id.as_str(), "token"));
}

#[tokio::test]
async fn a_code_is_bound_to_its_client_its_address_and_its_verifier_and_is_good_once() {
    let f = Fixture::new().await;
    let ask = async |client: &str, code: &str, uri: &str, verifier: &str| {
        let fields =
            [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", uri), ("code_verifier", verifier)];
        f.ask(client, "token", &fields).await
    };
    let code = f.code("shop", "openid").await;
    assert_eq!(ask("app", &code, CALLBACK, VERIFIER).await.text("error"), "invalid_grant", "another client's code");
    assert_eq!(ask("shop", &code, CALLBACK, VERIFIER).await.status, StatusCode::OK, "which did not use it up");
    for (uri, verifier) in [("https://shop.example/callback/", VERIFIER), (CALLBACK, CHALLENGE)] {
        let code = f.code("shop", "openid").await;
        assert_eq!(ask("shop", &code, uri, verifier).await.text("error"), "invalid_grant");
        assert_eq!(ask("shop", &code, CALLBACK, VERIFIER).await.text("error"), "invalid_grant", "it was used up");
    }
    let late = f.code("shop", "openid").await;
    f.clock.advance(60_000);
    assert_eq!(f.exchange("shop", &late).await.text("error"), "invalid_grant");
    assert_eq!(f.exchange("shop", "").await.text("error"), "invalid_request");
}

#[tokio::test]
async fn a_replayed_code_ends_what_came_of_it() {
    let f = Fixture::new().await;
    let code = f.code("shop", "openid offline_access").await;
    let told = f.exchange("shop", &code).await;
    let (access, refresh) = (told.text("access_token"), told.text("refresh_token"));
    assert!(present(&f, &access).await.is_ok());
    assert_eq!(f.exchange("shop", &code).await.text("error"), "invalid_grant");
    assert!(!f.is_active("shop", &access).await);
    assert_eq!(present(&f, &access).await.unwrap_err(), AuthnCode::WrongCredentials);
    assert_eq!(f.refresh("shop", &refresh).await.text("error"), "invalid_grant");
    assert!(f.events.all().iter().any(|event| event.code.as_deref() == Some("token_replayed")));
}

#[tokio::test]
async fn a_refresh_token_is_replaced_at_each_use_and_a_replay_ends_the_family() {
    let f = Fixture::new().await;
    let first =
        f.exchange("shop", &f.code("shop", "openid offline_access orders:read").await).await.text("refresh_token");
    assert_eq!(f.refresh("app", &first).await.text("error"), "invalid_grant", "another client's");
    let told = f.refresh("shop", &first).await;
    let second = told.text("refresh_token");
    assert_ne!(first, second);
    let narrow = f
        .ask("shop", "token", &[("grant_type", "refresh_token"), ("refresh_token", &second), ("scope", "orders:read")])
        .await;
    assert_eq!(narrow.text("scope"), "orders:read");
    let third = narrow.text("refresh_token");
    assert!(f.is_active("shop", &told.text("access_token")).await);
    // Whoever comes with the first again has stolen it, or was stolen from.
    assert_eq!(f.refresh("shop", &first).await.text("error"), "invalid_grant");
    assert_eq!(f.refresh("shop", &third).await.text("error"), "invalid_grant");
    assert!(!f.is_active("shop", &told.text("access_token")).await);
}

#[tokio::test]
async fn a_refresh_token_gives_no_more_than_the_user_gave_and_ends() {
    let f = Fixture::new().await;
    let refresh = f.exchange("shop", &f.code("shop", "openid offline_access").await).await.text("refresh_token");
    let more = [("grant_type", "refresh_token"), ("refresh_token", &*refresh), ("scope", "openid orders:read")];
    assert_eq!(f.ask("shop", "token", &more).await.text("error"), "invalid_scope");
    assert_eq!(f.refresh("shop", &refresh).await.status, StatusCode::OK, "what was refused used nothing up");
    let idle = f.exchange("shop", &f.code("shop", "openid offline_access").await).await.text("refresh_token");
    f.clock.advance(i64::from(REFRESH_S) * 1_000);
    assert_eq!(f.refresh("shop", &idle).await.text("error"), "invalid_grant");
    let mut token = f.exchange("shop", &f.code("shop", "openid offline_access").await).await.text("refresh_token");
    for _ in 0..(GRANT_S / REFRESH_S) {
        f.clock.advance(i64::from(REFRESH_S) * 1_000 - 1_000);
        token = f.refresh("shop", &token).await.text("refresh_token");
    }
    f.clock.advance(i64::from(REFRESH_S) * 1_000 - 1_000);
    assert_eq!(f.refresh("shop", &token).await.text("error"), "invalid_grant", "a grant has an end");
    let without = f.exchange("shop", &f.code("shop", "openid").await).await.json();
    assert!(without.get("refresh_token").is_none(), "none was asked for");
}

#[tokio::test]
async fn two_uses_at_once_of_what_is_good_once_have_one_winner() {
    let f = Fixture::new().await;
    for _ in 0..4 {
        let code = f.code("shop", "openid offline_access").await;
        let tries = futures_util::future::join_all((0..6).map(|_| f.exchange("shop", &code))).await;
        let won: Vec<_> = tries.iter().filter(|told| told.status == StatusCode::OK).collect();
        assert_eq!(won.len(), 1);
        assert!(!f.is_active("shop", &won[0].text("access_token")).await, "and the others have ended its grant");
        let refresh = f.exchange("shop", &f.code("shop", "offline_access").await).await.text("refresh_token");
        let tries = futures_util::future::join_all((0..6).map(|_| f.refresh("shop", &refresh))).await;
        let won: Vec<_> = tries.iter().filter(|told| told.status == StatusCode::OK).collect();
        assert_eq!(won.len(), 1);
        assert_eq!(f.refresh("shop", &won[0].text("refresh_token")).await.status, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn grants_end_with_their_user_password_client_and_deployment() {
    let f = Fixture::new().await;
    let access = async || f.exchange("shop", &f.code("shop", "openid").await).await.text("access_token");
    let token = access().await;
    f.store.change_user(&f.alice.id, &crate::identity::Change::default().enabled(false)).await.unwrap();
    assert!(!f.is_active("shop", &token).await);
    f.store.change_user(&f.alice.id, &crate::identity::Change::default().enabled(true)).await.unwrap();

    let token = access().await;
    assert_eq!(f.stored.grants.of_user(&f.alice.id).await.unwrap().len(), 1, "that of before has ended");
    let hashed = hash(&Secret::new(PASSWORD.to_owned())).unwrap();
    f.store.set_password(&f.alice.id, Some(&hashed)).await.unwrap();
    assert!(present(&f, &token).await.is_err(), "a new password ends what the old one let in");

    let token = access().await;
    f.store.set_suspended("acme", true).await.unwrap();
    assert!(present(&f, &token).await.is_err());
    let robot = f.ask("robot", "token", &[("grant_type", "client_credentials")]).await;
    assert_eq!(robot.status, StatusCode::UNAUTHORIZED, "nor do its machines");
    f.store.set_suspended("acme", false).await.unwrap();

    let token = access().await;
    f.stored.clients.set_enabled("shop", false).await.unwrap();
    assert!(present(&f, &token).await.is_err());
    assert_eq!(f.ask("shop", "introspect", &[("token", &token)]).await.text("error"), "invalid_client");
    f.stored.clients.set_enabled("shop", true).await.unwrap();

    f.store.begin_epoch().await.unwrap();
    assert!(f.stored.grants.of_user(&f.alice.id).await.unwrap().is_empty());
    assert!(f.stored.keys.all().await.unwrap().is_empty(), "what was signed before a restore is over");
}

#[tokio::test]
async fn a_client_acts_for_itself_by_its_secret_alone() {
    let f = Fixture::new().await;
    let told = f.ask("robot", "token", &[("grant_type", "client_credentials"), ("scope", "openid orders:read")]).await;
    assert_eq!(told.text("scope"), "orders:read", "nobody signs in");
    assert!(told.json().get("refresh_token").is_none() && told.json().get("id_token").is_none());
    let robot = present(&f, &told.text("access_token")).await.unwrap();
    assert!(robot.id().starts_with("c_") && robot.email().is_none());
    assert_eq!(robot.roles(), ["packer".into()]);
    assert!(f.is_active("robot", &told.text("access_token")).await);
    f.stored.clients.set_enabled("robot", false).await.unwrap();
    assert!(present(&f, &told.text("access_token")).await.is_err(), "it ends with the client");

    for client in ["shop", "app"] {
        let refused = f.ask(client, "token", &[("grant_type", "client_credentials")]).await;
        assert_eq!(refused.text("error"), "unauthorized_client");
    }
    let scope = Scope::application("acme", "shop").unwrap();
    let settings = ClientSettings::new("x").for_itself([]);
    assert!(f.stored.clients.add_public("x", &scope, &settings).await.is_err());
    // A client that is called like a user would be one in every token that it gets for itself.
    assert!(f.stored.clients.add_confidential(&f.alice.id, &scope, &settings).await.is_err());
}

#[tokio::test]
async fn a_client_proves_who_it_is_in_one_way() {
    use base64::Engine as _;
    let f = Fixture::new().await;
    let secret = f.secrets["robot"].expose().clone();
    let send = async |header: Option<String>, fields: &[(&str, &str)]| {
        let mut headers = vec![("content-type", "application/x-www-form-urlencoded")];
        if let Some(header) = &header {
            headers.push(("authorization", header.as_str()));
        }
        let mut fields = fields.to_vec();
        fields.push(("grant_type", "client_credentials"));
        f.send(Method::POST, "/api/auth/oauth/token", &headers, encoded(&fields)).await
    };
    let basic = |id: &str, secret: &str| {
        Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}"))))
    };
    assert_eq!(send(basic("robot", &secret), &[]).await.status, StatusCode::OK);
    assert_eq!(send(basic("robot", &secret), &[("client_id", "robot")]).await.status, StatusCode::OK);
    assert_eq!(send(basic("robot", &secret), &[("client_id", "shop")]).await.text("error"), "invalid_request");
    assert_eq!(send(basic("robot", &secret), &[("client_secret", &secret)]).await.text("error"), "invalid_request");
    assert_eq!(send(None, &[("client_id", "robot"), ("client_id", "shop")]).await.text("error"), "invalid_request");
    let mut refused = Vec::new();
    for (header, fields) in [
        (basic("robot", "wrong"), vec![]),
        (basic("nobody", &secret), vec![]),
        (Some("Bearer x".to_owned()), vec![]),
        (None, vec![("client_id", "robot")]),
        (None, vec![]),
        // One without a secret has none that could be right.
        (None, vec![("client_id", "app"), ("client_secret", "")]),
    ] {
        let told = send(header, &fields).await;
        refused.push((told.status.as_u16(), told.body));
    }
    let last = refused.pop().unwrap();
    assert!(last.1.contains("unauthorized_client"), "an empty secret is none: {}", last.1);
    assert!(refused.iter().all(|told| *told == (401, r#"{"error":"invalid_client"}"#.to_owned())), "{refused:?}");
    let fresh = f.stored.clients.renew_secret("robot").await.unwrap().unwrap();
    assert_eq!(send(basic("robot", &secret), &[]).await.status, StatusCode::UNAUTHORIZED, "it was replaced");
    assert_eq!(send(basic("robot", fresh.expose()), &[]).await.status, StatusCode::OK);
    let json = [("content-type", "application/json")];
    let told = f.send(Method::POST, "/api/auth/oauth/token", &json, "{}".into()).await;
    assert_eq!(told.text("error"), "invalid_request");
}

#[tokio::test]
async fn a_token_is_looked_into_by_those_it_concerns_and_ended_by_its_client() {
    let f = Fixture::new().await;
    let told = f.exchange("shop", &f.code("shop", "openid offline_access").await).await;
    let (access, refresh) = (told.text("access_token"), told.text("refresh_token"));
    let looked = f.ask("shop", "introspect", &[("token", &access)]).await.json();
    assert_eq!((looked["active"].as_bool(), looked["sub"].as_str()), (Some(true), Some(f.alice.id.as_str())));
    assert!(f.is_active("robot", &access).await, "a resource server of the same scope");
    assert!(!f.is_active("stranger", &access).await, "somebody else's client learns nothing");
    assert!(f.is_active("shop", &refresh).await);
    assert!(!f.is_active("robot", &refresh).await, "a refresh token is between two");
    assert!(!f.is_active("shop", "no token").await);
    assert_eq!(f.ask("app", "introspect", &[("token", &access)]).await.status, StatusCode::UNAUTHORIZED);

    assert_eq!(f.ask("robot", "revoke", &[("token", &refresh)]).await.status, StatusCode::OK);
    assert!(f.is_active("shop", &refresh).await, "another client ends nothing");
    assert_eq!(f.ask("shop", "revoke", &[("token", &refresh)]).await.status, StatusCode::OK);
    assert!(!f.is_active("shop", &access).await, "and with it all that came of the grant");
    assert_eq!(f.ask("shop", "revoke", &[("token", "unknown")]).await.status, StatusCode::OK);

    let told = f.exchange("shop", &f.code("shop", "openid offline_access").await).await;
    f.ask("shop", "revoke", &[("token", &told.text("access_token"))]).await;
    assert_eq!(f.refresh("shop", &told.text("refresh_token")).await.text("error"), "invalid_grant");
}

#[tokio::test]
async fn a_strangers_token_reads_what_the_user_lets_it_and_opens_nothing_else() {
    let f = Fixture::new().await;
    let uri = authorize_uri("stranger", &[("scope", "openid email")]);
    let login = f.form(&uri, "", &[("email", "alice@example.com"), ("password", PASSWORD)]).await;
    let code = authorize::allow(&f, &uri, &login).await.param("code").unwrap();
    let access = f.exchange("stranger", &code).await.text("access_token");
    assert_eq!(present(&f, &access).await.unwrap_err(), AuthnCode::TokenAudience);
    let info = async |token: &str| {
        let header = format!("Bearer {token}");
        f.send(Method::GET, "/api/auth/oauth/userinfo", &[("authorization", &header)], String::new()).await
    };
    let told = info(&access).await.json();
    assert_eq!(told, serde_json::json!({"sub": f.alice.id, "email": "alice@example.com"}));
    f.stored.grants.end(&f.stored.grants.of_user(&f.alice.id).await.unwrap()[0].id).await.unwrap();
    assert_eq!(info(&access).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(info("x").await.status, StatusCode::UNAUTHORIZED);
    let robot = f.ask("robot", "token", &[("grant_type", "client_credentials")]).await.text("access_token");
    assert_eq!(info(&robot).await.status, StatusCode::UNAUTHORIZED, "a machine is no user");
}

#[tokio::test]
async fn the_database_holds_no_secret() {
    let f = Fixture::new().await;
    let code = f.code("shop", "openid offline_access").await;
    let told = f.exchange("shop", &code).await;
    let mut all = String::new();
    for sql in [
        "SELECT secret FROM policy_signing_keys",
        "SELECT secret_hash FROM policy_clients WHERE secret_hash IS NOT NULL",
        "SELECT hash FROM policy_codes",
        "SELECT hash FROM policy_refresh_tokens",
    ] {
        let rows = f.store.database().rows(sql, vec![]).await.unwrap();
        assert!(!rows.is_empty(), "{sql}");
        for row in rows {
            all.extend([row.text(0).unwrap(), "\n".to_owned()]);
        }
    }
    let refresh = told.text("refresh_token");
    for secret in [&code, &refresh, f.secrets["shop"].expose()] {
        assert!(!all.contains(secret.as_str()) && !secret.is_empty());
    }
    assert!(all.starts_with("1."), "keys are sealed: {all}");
}
