//! Signing in with providers: as people do it, and as attackers try it.

use std::time::{Duration, Instant};

use serde_json::json;

use super::provider::{CLIENT, Provider, SECRET};
use super::*;
use crate::authn::token::login_providers;
use crate::identity::{
    Configuration, PeopleRules, ProviderSettings, ProvisioningSettings, Reference, ReferenceSettings, Registration,
};

/// The sign-in server, a provider and a browser.
pub(super) struct Stage {
    pub(super) f: Fixture,
    /// The server as it stands, with providers and flows.
    pub(super) server: SignIn,
    pub(super) provider: Provider,
    pub(super) shop: Scope,
}

fn auto() -> ProvisioningSettings {
    ProvisioningSettings::Auto { domains: vec!["corp.example".into()], roles: vec!["user".into()] }
}

pub(super) async fn stage(preset: &str, provisioning: ProvisioningSettings, secret: &str) -> Stage {
    let mut f = Fixture::new().await;
    let provider = Provider::start(&f.clock).await;
    let mut settings = ProviderSettings::of(preset).issuer(&provider.url()).client(CLIENT);
    if preset == "apple" {
        (settings.team_id, settings.key_id) = (Some("TEAM".into()), Some("KEY".into()));
        settings.algorithms = vec!["EdDSA".into()];
    }
    if preset == "google" {
        settings.algorithms = vec!["EdDSA".into()];
    }
    let acme = Scope::organization("acme").unwrap();
    let reference = ReferenceSettings::default().provisioning(provisioning);
    // Two configurations of one provider, to be mixed up; one of them in two scopes.
    for name in ["corp", "other"] {
        let configuration = Configuration::new(name, acme.clone(), settings.clone());
        let configuration = configuration.client_secret(Secret::new(secret.to_owned()));
        f.store.put_configuration(&configuration).await.unwrap();
    }
    let shop = Scope::application("acme", "shop").unwrap();
    let desk = Scope::application("acme", "desk").unwrap();
    let main = Configuration::new("main", Scope::System, settings).client_secret(Secret::new(secret.to_owned()));
    f.store.put_configuration(&main).await.unwrap();
    for (name, scope) in [("corp", &shop), ("corp", &desk), ("other", &shop), ("main", &Scope::System)] {
        f.store.put_reference(&Reference::new(name, scope.clone(), reference.clone())).await.unwrap();
    }
    let (store, clock): (Arc<dyn Directory>, Arc<dyn Clock>) = (f.store.clone(), Arc::new(f.clock.clone()));
    let (configurations, references) = (store.configurations().await.unwrap(), store.references().await.unwrap());
    let (offered, faults) = login_providers(&configurations, &references, &store, &clock);
    assert_eq!(faults, []);
    let registration = Some(Registration { roles: ["customer".to_owned()].into() });
    let rules = PeopleRules { registration, ..PeopleRules::default() };
    let rules = [(shop.clone(), rules)].into();
    let people = People { rules, founding: true, limited: false, ..People::default() };
    let server =
        f.server.clone().people(people, Passwords::new(store.clone())).providers(watch::channel(offered.into()).1);
    f.router = server.routes();
    Stage { f, server, provider, shop }
}

pub(super) fn bob() -> Value {
    json!({ "sub": "bob-1", "email": "bob@corp.example", "email_verified": true, "name": "Bob" })
}

pub(super) const AT: &str = "/api/auth/app/acme/shop/login/oidc/callback/corp";

impl Stage {
    /// A browser follows the link on the page of a client; gives where it is sent, and its cookie.
    async fn leaves(&self, cookie: &str) -> (String, String) {
        let page = self.f.get(&authorize_uri("shop", &[]), "").await;
        let link = page.body.split("href=\"").nth(1).unwrap().split('"').next().unwrap().replace("&amp;", "&");
        assert!(link.starts_with("/api/auth/provider?provider=corp&"), "{link}");
        let told = self.f.get(&link, cookie).await;
        (told.location(), told.cookie())
    }

    pub(super) async fn comes_back(&self, path: &str, cookie: &str, brought: &[(&'static str, String)]) -> Told {
        let pairs: Vec<(&str, &str)> = brought.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.f.get(&format!("{path}?{}", encoded(&pairs)), cookie).await
    }

    /// The whole way, with these claims.
    async fn signs_in(&self, claims: Value) -> Told {
        let (address, cookie) = self.leaves("").await;
        let mut brought = self.provider.sign_in(&address, claims);
        brought.push(("iss", self.provider.url()));
        self.comes_back(AT, &cookie, &brought).await
    }

    async fn users(&self) -> usize {
        self.f.store.users(&self.shop).await.unwrap().len()
    }
}

/// Nobody was signed in.
pub(super) fn nobody(told: &Told) -> bool {
    let sent = told.headers.get("location").map(|to| to.to_str().unwrap().to_owned());
    told.headers.get("set-cookie").is_none()
        && (told.status == StatusCode::UNAUTHORIZED || sent.is_some_and(|to| to.starts_with("/login?error=")))
}

#[tokio::test]
async fn whom_a_provider_vouches_for_is_sent_back_with_a_code() {
    let stage = stage("oidc", auto(), SECRET).await;
    // Whatever the provider says of PKCE, it is used.
    stage.provider.with(|inner| inner.metadata = json!({ "code_challenge_methods_supported": ["plain"] }));
    let (address, cookie) = stage.leaves("").await;
    assert!(address.starts_with(&format!("{}/authorize?", stage.provider.url())));
    for part in ["code_challenge_method=S256", "response_type=code", "nonce=", "state=", "scope=openid+email+profile"] {
        assert!(address.contains(part), "{part}: {address}");
    }
    assert!(cookie.starts_with("__Host-policy-errand="), "{cookie}");
    assert!(!address.contains(cookie.split_once('=').unwrap().1), "the cookie stays in the browser");

    let told = stage.signs_in(bob()).await;
    assert_eq!((told.param("state").as_deref(), told.param("iss").as_deref()), (Some("s-1"), Some(URL)));
    assert!(told.location().starts_with(CALLBACK));
    let session = told.cookie();
    let tokens = stage.f.exchange("shop", &told.param("code").unwrap()).await;
    assert!(tokens.text("access_token").contains('.'), "{}", tokens.body);
    assert!(stage.f.get(&authorize_uri("shop", &[("prompt", "none")]), &session).await.param("code").is_some());
    let user = stage.f.store.users(&stage.shop).await.unwrap().into_iter().find(|user| user.id != stage.f.alice.id);
    let user = user.unwrap();
    assert_eq!((user.email.as_deref(), user.display_name.as_deref()), (Some("bob@corp.example"), Some("Bob")));
    assert!(user.roles.contains("user"));
    // The next time it is known by its subject, whatever the address says by then.
    let again = stage.signs_in(json!({ "sub": "bob-1", "email": "new@else.example", "email_verified": false })).await;
    assert!(again.param("code").is_some());
    assert_eq!(stage.users().await, 2);
    assert_eq!(stage.f.events.all().len(), 0, "the chain of this server tells nobody");
}

#[tokio::test]
async fn an_answer_counts_once_in_its_own_browser() {
    let stage = stage("oidc", auto(), SECRET).await;
    let (address, cookie) = stage.leaves("").await;
    let mut brought = stage.provider.sign_in(&address, bob());
    brought.push(("iss", stage.provider.url()));
    let (_, others) = stage.leaves("").await;
    for foreign in ["", others.as_str(), "__Host-policy-errand=planted-by-somebody-else"] {
        let told = stage.comes_back(AT, foreign, &brought).await;
        assert_eq!(told.location(), "/login?error=state_mismatch", "{foreign}");
    }
    let with = |name: &str, value: &str| {
        let mut all = brought.clone();
        all.iter_mut().filter(|(own, _)| *own == name).for_each(|(_, own)| value.clone_into(own));
        all
    };
    for state in ["", "short", &"a".repeat(44)] {
        let told = stage.comes_back(AT, &cookie, &with("state", state)).await;
        assert_eq!(told.location(), "/login?error=state_mismatch", "{state}");
    }
    // Nothing of that has ended it; of two at once one is first.
    let both = tokio::join!(stage.comes_back(AT, &cookie, &brought), stage.comes_back(AT, &cookie, &brought));
    let first = |told: &Told| told.location().starts_with(CALLBACK) && told.param("code").is_some();
    assert_eq!([&both.0, &both.1].into_iter().filter(|told| first(told)).count(), 1, "{} {}", both.0.body, both.1.body);
    let told = stage.comes_back(AT, &cookie, &brought).await;
    assert_eq!(told.location(), "/login?error=state_mismatch", "a second time");

    let (address, cookie) = stage.leaves(&cookie).await;
    let brought = stage.provider.sign_in(&address, bob());
    stage.f.clock.advance(10 * 60_000);
    assert_eq!(stage.comes_back(AT, &cookie, &brought).await.location(), "/login?error=state_mismatch", "too late");
}

#[tokio::test]
async fn two_errands_of_one_browser_do_not_disturb_each_other() {
    let stage = stage("oidc", auto(), SECRET).await;
    let (first, cookie) = stage.leaves("").await;
    let (second, same) = stage.leaves(&cookie).await;
    assert_eq!(cookie, same);
    for address in [first, second] {
        let mut brought = stage.provider.sign_in(&address, bob());
        brought.push(("iss", stage.provider.url()));
        assert!(stage.comes_back(AT, &cookie, &brought).await.param("code").is_some());
    }
}

#[tokio::test]
async fn answers_are_not_mixed_up() {
    let stage = stage("oidc", auto(), SECRET).await;
    for (path, issuer) in [
        ("/api/auth/app/acme/shop/login/oidc/callback/other", Some(stage.provider.url())),
        ("/api/auth/app/acme/desk/login/oidc/callback/corp", Some(stage.provider.url())),
        ("/api/auth/org/login/sso/callback/corp", Some(stage.provider.url())),
        (AT, Some("https://evil.example".to_owned())),
        (AT, Some(format!("{}/", stage.provider.url()))),
        // It says of itself that it always says who it is.
        (AT, None),
    ] {
        let (address, cookie) = stage.leaves("").await;
        let mut brought = stage.provider.sign_in(&address, bob());
        brought.extend(issuer.clone().map(|issuer| ("iss", issuer)));
        let told = stage.comes_back(path, &cookie, &brought).await;
        assert!(nobody(&told), "{path} {issuer:?}: {} {}", told.status, told.body);
    }
    // The code of another errand is another browser's: its verifier does not fit.
    let (theirs, _) = stage.leaves("").await;
    let stolen = stage.provider.sign_in(&theirs, bob());
    let (own, cookie) = stage.leaves("").await;
    let mut brought = stage.provider.sign_in(&own, bob());
    brought[0] = stolen[0].clone();
    brought.push(("iss", stage.provider.url()));
    assert!(nobody(&stage.comes_back(AT, &cookie, &brought).await));
    assert_eq!(stage.users().await, 1, "nothing half-done is left");
    // A provider that does not name itself is not asked to.
    stage.f.clock.advance(11 * 60_000);
    stage.provider.with(|inner| {
        inner.metadata = json!({ "authorization_response_iss_parameter_supported": null });
        inner.spoils = json!({ "iat": NOW / 1_000 + 660, "exp": NOW / 1_000 + 1_000 });
    });
    let (address, cookie) = stage.leaves("").await;
    let brought = stage.provider.sign_in(&address, bob());
    assert!(stage.comes_back(AT, &cookie, &brought).await.param("code").is_some());
}

#[tokio::test]
async fn id_tokens_are_held_to_every_rule() {
    let stage = stage("oidc", auto(), SECRET).await;
    let now = NOW / 1_000;
    for spoils in [
        json!({ "nonce": "another" }),
        json!({ "nonce": null }),
        json!({ "aud": "another-client" }),
        json!({ "aud": [CLIENT, "another-client"] }),
        json!({ "aud": [CLIENT, "another-client"], "azp": "another-client" }),
        json!({ "azp": "another-client" }),
        json!({ "azp": 7 }),
        json!({ "at_hash": "AAAA" }),
        json!({ "at_hash": 1 }),
        json!({ "iss": "https://evil.example" }),
        json!({ "iss": format!("{}/", stage.provider.url()) }),
        json!({ "exp": now - 120 }),
        json!({ "exp": null }),
        json!({ "iat": now + 120 }),
        json!({ "nbf": now + 120 }),
        json!({ "sub": "" }),
        json!({ "sub": null }),
        json!({ "sub": 7 }),
        json!({ "sub": CLIENT }),
        json!({ "events": {} }),
        json!({ "client_id": "bob-1" }),
    ] {
        stage.provider.with(|inner| inner.spoils = spoils.clone());
        let told = stage.signs_in(bob()).await;
        assert!(nobody(&told), "{spoils}: {} {}", told.status, told.body);
        assert!(told.body.contains("Signing in with the provider failed"), "{spoils}");
    }
    assert_eq!(stage.users().await, 1);
    stage.provider.with(|inner| inner.spoils = json!({ "aud": [CLIENT, "another-client"], "azp": CLIENT }));
    assert!(stage.signs_in(bob()).await.param("code").is_some());
}

#[tokio::test]
async fn an_address_is_proved_by_the_claim_of_its_provider_alone() {
    let stage = stage("oidc", auto(), SECRET).await;
    stage.provider.with(|inner| inner.user_info = json!({ "sub": "bob-1" }));
    for spoils in [
        json!({ "email_verified": false }),
        json!({ "email_verified": null }),
        json!({ "email_verified": "true" }),
        json!({ "email_verified": 1 }),
        json!({ "email_verified": null, "emailVerified": true }),
        json!({ "email": null }),
        json!({ "email": "bob@evil.example" }),
        json!({ "email": "bob@corp.example.evil.example" }),
        json!({ "email": "no address" }),
    ] {
        stage.provider.with(|inner| inner.spoils = spoils.clone());
        let told = stage.signs_in(bob()).await;
        assert!(nobody(&told) && told.body.contains("You have no account here"), "{spoils}: {}", told.body);
    }
    assert_eq!(stage.users().await, 1);
    // Conforming providers tell of the address elsewhere; what is said of somebody else says nothing.
    let lean = json!({ "email": null, "email_verified": null });
    for (sub, good) in [("mallory", false), ("bob-1", true)] {
        stage.provider.with(|inner| {
            inner.spoils = lean.clone();
            inner.user_info = json!({ "sub": sub, "email": "bob@corp.example", "email_verified": true });
        });
        assert_eq!(stage.signs_in(bob()).await.status == StatusCode::SEE_OTHER, good, "{sub}");
    }
}

#[tokio::test]
async fn who_was_there_before_is_bound_by_a_proved_address_once() {
    let before = ProvisioningSettings::PreCreated { domains: vec!["example.com".into()] };
    let stage = stage("oidc", before, SECRET).await;
    let alice = |sub: &str, proved: bool| json!({ "sub": sub, "email": "alice@example.com", "email_verified": proved });
    assert!(nobody(&stage.signs_in(alice("a-1", false)).await));
    let told = stage.signs_in(alice("a-1", true)).await;
    let tokens = stage.f.exchange("shop", &told.param("code").unwrap()).await;
    let introspected = stage.f.ask("shop", "introspect", &[("token", &tokens.text("access_token"))]).await;
    assert_eq!(introspected.text("sub"), stage.f.alice.id);
    // Whoever gets the address later is somebody else.
    let told = stage.signs_in(alice("a-2", true)).await;
    assert!(nobody(&told) && told.body.contains("You have no account here"));
    stage.f.store.change_user(&stage.f.alice.id, &crate::identity::Change::default().enabled(false)).await.unwrap();
    let told = stage.signs_in(alice("a-1", true)).await;
    assert!(nobody(&told) && told.body.contains("disabled"), "{}", told.body);
}

#[tokio::test]
async fn a_provider_that_changes_is_followed_in_its_keys_and_in_nothing_else() {
    let stage = stage("oidc", auto(), SECRET).await;
    assert!(stage.signs_in(bob()).await.param("code").is_some());
    stage.provider.rotate(&stage.f.clock);
    assert!(stage.signs_in(bob()).await.param("code").is_some(), "a new key is asked for");
    let asked = || stage.provider.with(|inner| inner.asked["/.well-known/openid-configuration"]);
    let before = asked();
    for spoilt in [
        json!({ "issuer": "https://evil.example" }),
        json!({ "token_endpoint": "http://10.0.0.1/token" }),
        json!({ "token_endpoint": null }),
        json!({ "authorization_endpoint": "javascript:alert(1)" }),
    ] {
        stage.f.clock.advance(10 * 60_000);
        stage.provider.with(|inner| inner.metadata = spoilt.clone());
        let page = stage.f.get(&authorize_uri("shop", &[]), "").await;
        let link = page.body.split("href=\"").nth(1).unwrap().split('"').next().unwrap().replace("&amp;", "&");
        for _ in 0..3 {
            let told = stage.f.get(&link, "").await;
            assert_eq!(
                (told.status, told.headers.get("location")),
                (StatusCode::SERVICE_UNAVAILABLE, None),
                "{spoilt}"
            );
        }
    }
    assert_eq!(asked() - before, 4, "a provider that cannot be used is left alone for a while");
}

#[tokio::test]
async fn a_provider_that_changes_while_somebody_is_there_is_believed_its_keys_alone() {
    const EVIL: &str = "https://evil.example";
    let stage = stage("oidc", auto(), SECRET).await;
    for (metadata, spoils, issuer, good) in [
        (json!({}), json!({}), None, true),
        (json!({}), json!({ "iss": EVIL }), None, false),
        (json!({}), json!({}), Some(EVIL), false),
        (json!({ "issuer": EVIL }), json!({ "iss": EVIL }), Some(EVIL), false),
        (json!({}), json!({ "sub": 7 }), None, false),
        (json!({}), json!({ "email_verified": "true" }), None, false),
    ] {
        stage.provider.with(|inner| (inner.metadata, inner.spoils) = (json!({}), json!({})));
        let (address, cookie) = stage.leaves("").await;
        let mut brought = stage
            .provider
            .sign_in(&address, json!({ "sub": "bob-2", "email": "bob@corp.example", "email_verified": true }));
        brought.push(("iss", issuer.map_or_else(|| stage.provider.url(), str::to_owned)));
        stage.provider.rotate(&stage.f.clock);
        stage.provider.with(|inner| (inner.metadata, inner.spoils) = (metadata.clone(), spoils.clone()));
        let told = stage.comes_back(AT, &cookie, &brought).await;
        assert_eq!(nobody(&told), !good, "{metadata} {spoils} {issuer:?}: {} {}", told.status, told.body);
        assert_eq!(stage.users().await, 1 + usize::from(good), "{spoils}");
        for user in stage.f.store.users(&stage.shop).await.unwrap().iter().filter(|user| user.id != stage.f.alice.id) {
            stage.f.store.drop_user(&user.id).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_slow_or_endless_provider_is_given_up() {
    let stage = stage("oidc", auto(), SECRET).await;
    let (address, cookie) = stage.leaves("").await;
    let mut brought = stage.provider.sign_in(&address, bob());
    brought.push(("iss", stage.provider.url()));
    stage.provider.with(|inner| inner.endless = true);
    let began = Instant::now();
    let told = stage.comes_back(AT, &cookie, &brought).await;
    assert!(nobody(&told) && began.elapsed() < Duration::from_secs(9), "too much is not read: {:?}", began.elapsed());
    stage.provider.with(|inner| (inner.endless, inner.slow) = (false, Duration::from_secs(30)));
    let (address, cookie) = stage.leaves("").await;
    let mut brought = stage.provider.sign_in(&address, bob());
    brought.push(("iss", stage.provider.url()));
    let began = Instant::now();
    assert!(nobody(&stage.comes_back(AT, &cookie, &brought).await));
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert_eq!(stage.users().await, 1);
}

#[tokio::test]
async fn nobody_is_sent_anywhere_but_to_providers_and_clients() {
    let stage = stage("oidc", auto(), SECRET).await;
    let question = |redirect: &str| {
        let uri = authorize_uri("shop", &[("redirect_uri", redirect)]);
        uri.split_once('?').unwrap().1.to_owned()
    };
    for (provider, question, status) in [
        ("corp", question("https://evil.example/"), StatusCode::BAD_REQUEST),
        ("unheard-of", question(CALLBACK), StatusCode::BAD_REQUEST),
        ("https://evil.example", question(CALLBACK), StatusCode::BAD_REQUEST),
        ("corp", "client_id=nobody".to_owned(), StatusCode::BAD_REQUEST),
        ("corp", String::new(), StatusCode::BAD_REQUEST),
    ] {
        let uri = format!("/api/auth/provider?{}", encoded(&[("provider", provider), ("question", &question)]));
        let told = stage.f.get(&uri, "").await;
        assert_eq!((told.status, told.headers.get("location")), (status, None), "{provider} {question}");
    }
    // A page of another site begins nothing; a page of ours is sent back to its root.
    let start = "/api/auth/app/acme/shop/login/oidc/start/corp";
    let from = [("host", "id.example"), ("origin", "https://evil.example")];
    let told = stage.f.send(Method::POST, start, &from, String::new()).await;
    assert_eq!((told.status, told.headers.get("location")), (StatusCode::FORBIDDEN, None));
    let told = stage.f.form(start, "", &[]).await;
    let mut brought = stage.provider.sign_in(&told.location(), bob());
    brought.push(("iss", stage.provider.url()));
    let back = stage.comes_back(AT, &told.cookie(), &brought).await;
    assert_eq!(back.location(), "/");
    assert!(back.cookie().starts_with("__Host-policy-session="));
    let listed = stage.f.get("/api/auth/app/acme/shop/login/providers", "").await;
    assert_eq!(listed.json()[0], json!({ "id": "corp", "name": "corp", "provider": "oidc" }));
    // What the provider refuses is told in words of ours.
    let (address, cookie) = stage.leaves("").await;
    let back = stage.provider.sign_in(&address, bob())[1].clone();
    let told = stage.comes_back(AT, &cookie, &[back, ("error", "<script>".to_owned())]).await;
    assert!(nobody(&told) && !told.body.contains("<script>"));
}

#[tokio::test]
async fn a_session_that_was_planted_does_not_become_anybodys() {
    let stage = stage("oidc", auto(), SECRET).await;
    let alice = [("email", "alice@example.com"), ("password", PASSWORD)];
    let earlier = stage.f.form(&authorize_uri("shop", &[]), "", &alice).await.cookie();
    let (address, cookie) = stage.leaves("").await;
    let mut brought = stage.provider.sign_in(&address, bob());
    brought.push(("iss", stage.provider.url()));
    let told = stage.comes_back(AT, &format!("{cookie}; {earlier}"), &brought).await;
    assert_ne!(told.cookie(), earlier);
    assert_eq!(stage.f.get(&authorize_uri("shop", &[]), &earlier).await.status, StatusCode::OK, "it has ended");
    assert!(stage.f.sessions.of_user(&stage.f.alice.id).await.unwrap().is_empty());
}

#[tokio::test]
async fn github_has_users_and_addresses_instead_of_tokens() {
    let stage = stage("github", auto(), SECRET).await;
    // As GitHub's documentation shows them.
    let user = json!({ "login": "octocat", "id": 583_231, "node_id": "MDQ6", "name": "The Octocat", "email": null });
    let email = |email: &str, primary: bool, verified: bool| json!({ "email": email, "primary": primary, "verified": verified, "visibility": null });
    let mut cases = vec![
        (json!([email("cat@corp.example", true, false)]), false),
        (json!([email("cat@corp.example", false, true), email("cat@else.example", true, true)]), false),
        (json!([]), false),
        (json!({ "message": "Requires authentication" }), false),
    ];
    cases.push((json!([email("old@else.example", false, true), email("cat@corp.example", true, true)]), true));
    for (emails, good) in cases {
        stage.provider.with(|inner| inner.github = (user.clone(), emails.clone()));
        let (address, cookie) = stage.leaves("").await;
        assert!(address.contains("/login/oauth/authorize?") && address.contains("scope=read%3Auser+user%3Aemail"));
        assert!(!address.contains("nonce") && address.contains("code_challenge_method=S256"));
        let brought = stage.provider.sign_in(&address, json!({}));
        let told = stage.comes_back(AT, &cookie, &brought).await;
        assert_eq!(told.status == StatusCode::SEE_OTHER, good, "{emails}: {}", told.body);
    }
    assert_eq!(stage.provider.with(|inner| inner.shown.clone()).as_deref(), Some(SECRET));
    // Known by the number from now on; the login name may be somebody else's.
    for (renamed, good) in
        [(json!({ "login": "renamed", "id": 583_231 }), true), (json!({ "login": "octocat" }), false)]
    {
        stage.provider.with(|inner| inner.github = (renamed.clone(), json!([])));
        let (address, cookie) = stage.leaves("").await;
        let mut brought = stage.provider.sign_in(&address, json!({}));
        brought.push(("iss", format!("{}/login/oauth", stage.provider.url())));
        let told = stage.comes_back(AT, &cookie, &brought).await;
        assert_eq!(told.status == StatusCode::SEE_OTHER, good, "{renamed}");
    }
    assert_eq!(stage.users().await, 2);
}

/// A key as Apple hands it out, made for these tests.
const APPLE_KEY: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgR36jbQKlL8XKOjHU
38adtLZPkEbz0O/5ScmigarfCCehRANCAAQ7uG8rnP4vjrGaVN+hWv0vP2c25CP1
7v6Zd6o5BbXAIlHb0PGizD3IohImYXXn6vclomtWYOl/lbJ8Ia+Fnvw9
-----END PRIVATE KEY-----
";

#[tokio::test]
async fn apple_answers_by_form_and_says_the_name_once() {
    let stage = stage("apple", auto(), APPLE_KEY).await;
    // As Apple's own metadata have it.
    stage.provider.with(|inner| {
        inner.metadata = json!({
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
            "authorization_response_iss_parameter_supported": null,
        });
    });
    let (address, cookie) = stage.leaves("").await;
    assert!(address.contains("response_mode=form_post") && address.contains("scope=openid+name+email"));
    let start = stage.f.get(&authorize_uri("shop", &[]), "").await;
    let link = start.body.split("href=\"").nth(1).unwrap().split('"').next().unwrap().replace("&amp;", "&");
    let set = stage.f.get(&link, "").await.headers["set-cookie"].to_str().unwrap().to_owned();
    assert!(set.contains("SameSite=None") && set.contains("Secure"), "the form comes from Apple's page: {set}");
    // Truth may be text; the name stands beside the code.
    let claims = json!({ "sub": "000123.abc", "email": "bob@corp.example", "email_verified": "true" });
    let brought = stage.provider.sign_in(&address, claims.clone());
    assert!(nobody(&stage.comes_back(AT, &cookie, &brought).await), "an address instead of a form");
    let (address, cookie) = stage.leaves("").await;
    let mut brought = stage.provider.sign_in(&address, claims);
    let user = r#"{"name":{"firstName":"Bob","lastName":"Builder"},"email":"bob@corp.example"}"#;
    brought.push(("user", user.to_owned()));
    let pairs: Vec<(&str, &str)> = brought.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("host", "id.example"),
        ("origin", "https://appleid.apple.com"),
        ("sec-fetch-site", "cross-site"),
        ("cookie", cookie.as_str()),
    ];
    let told = stage.f.send(Method::POST, AT, &headers, encoded(&pairs)).await;
    assert!(told.param("code").is_some(), "{} {}", told.status, told.body);
    let users = stage.f.store.users(&stage.shop).await.unwrap();
    assert!(users.iter().any(|user| user.display_name.as_deref() == Some("Bob Builder")));
    // The secret is a token of the team, about our client, for a few minutes.
    let shown = stage.provider.with(|inner| inner.shown.clone()).unwrap();
    let part = |n: usize| -> Value {
        use base64::Engine as _;
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(shown.split('.').nth(n).unwrap()).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    };
    assert_eq!((part(0)["alg"].as_str(), part(0)["kid"].as_str()), (Some("ES256"), Some("KEY")));
    assert_eq!((part(1)["iss"].as_str(), part(1)["sub"].as_str()), (Some("TEAM"), Some(CLIENT)));
    assert_eq!(part(1)["aud"].as_str(), Some(&*stage.provider.url()));
    assert_eq!(part(1)["exp"].as_i64().unwrap() - part(1)["iat"].as_i64().unwrap(), 300);
}

#[tokio::test]
async fn google_has_the_say_about_its_own_customers_addresses_alone() {
    let stage = stage("google", auto(), SECRET).await;
    for (hosted, good) in [(json!(null), false), (json!("else.example"), false), (json!("corp.example"), true)] {
        stage.provider.with(|inner| inner.spoils = json!({ "hd": hosted }));
        assert_eq!(stage.signs_in(bob()).await.status == StatusCode::SEE_OTHER, good, "{hosted}");
    }
}

#[tokio::test]
async fn what_a_configuration_lacks_is_said() {
    let f = Fixture::new().await;
    let clock: Arc<dyn Clock> = Arc::new(f.clock.clone());
    let of = |preset: &str, settings: fn(ProviderSettings) -> ProviderSettings, secret: Option<&str>| {
        let settings = settings(ProviderSettings::of(preset)).client(CLIENT);
        let mut configuration = Configuration::new("c", Scope::System, settings);
        configuration.client_secret = secret.map(|secret| Secret::new(secret.to_owned()));
        crate::authn::token::LoginProvider::of(&configuration, &clock).map(|found| found.is_some())
    };
    for (found, part) in [
        (of("supabase", |settings| settings, None), "nobody signs in with `supabase`"),
        (of("github", |settings| settings, None), "set `client_secret`"),
        (of("apple", |settings| settings, Some(SECRET)), "`team_id`"),
        (of("oidc", |settings| settings, None), "there is no `issuer`"),
    ] {
        assert!(found.as_ref().is_err_and(|problem| problem.contains(part)), "{found:?}: {part}");
    }
    assert_eq!(of("google", |settings| settings, None), Ok(true), "PKCE is enough where the provider takes that");
    assert_eq!(of("oidc", |settings| settings.issuer("https://i.example"), None), Ok(true));
}
