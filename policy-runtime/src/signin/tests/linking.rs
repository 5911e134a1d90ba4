//! One more provider for a user, and users who come by a provider: as people do it, and as attackers try it.

use policy_core::value::Millis;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::provider::SECRET;
use super::relying::{AT, Stage, bob, nobody, stage};
use super::*;
use crate::identity::ProvisioningSettings;

const OTHER: &str = "/api/auth/app/acme/shop/login/oidc/callback/other";

pub(super) fn known_alone() -> ProvisioningSettings {
    ProvisioningSettings::PreCreated { domains: Vec::new() }
}

fn other_bob() -> Value {
    json!({ "sub": "bob-2", "email": "bob@corp.example", "email_verified": true })
}

impl Stage {
    pub(super) async fn post(&self, path: &str, cookie: &str, body: &Value) -> Told {
        let headers = [
            ("content-type", "application/json"),
            ("host", "id.example"),
            ("origin", "https://id.example"),
            ("cookie", cookie),
        ];
        self.f.send(Method::POST, &format!("/api/auth{path}"), &headers, body.to_string()).await
    }

    async fn alice(&self) -> String {
        let alice = [("email", "alice@example.com"), ("password", PASSWORD)];
        self.f.form(&authorize_uri("shop", &[]), "", &alice).await.cookie()
    }

    /// Leaves by a JSON endpoint; gives what the browser brings back, and its cookies.
    async fn errand(
        &self,
        path: &str,
        cookie: &str,
        body: &Value,
        claims: Value,
    ) -> (Vec<(&'static str, String)>, String) {
        let told = self.post(path, cookie, body).await;
        assert_eq!(told.status, StatusCode::OK, "{}", told.body);
        let mut brought = self.provider.sign_in(&told.text("redirect"), claims);
        brought.push(("iss", self.provider.url()));
        let cookies = [told.cookie().as_str(), cookie].join("; ");
        (brought, cookies)
    }

    async fn links(&self, provider: &str, cookie: &str, claims: Value) -> String {
        let body = json!({ "provider": provider });
        let (brought, cookies) = self.errand("/identities/link", cookie, &body, claims).await;
        self.comes_back(if provider == "corp" { AT } else { OTHER }, &cookies, &brought).await.location()
    }

    /// Signs in with a provider where no client asks, and gives where that leads.
    async fn enters(&self, provider: &str, claims: Value) -> Told {
        let start = format!("/api/auth/app/acme/shop/login/oidc/start/{provider}");
        let told = self.f.form(&start, "", &[]).await;
        let mut brought = self.provider.sign_in(&told.location(), claims);
        brought.push(("iss", self.provider.url()));
        self.comes_back(if provider == "corp" { AT } else { OTHER }, &told.cookie(), &brought).await
    }

    pub(super) fn told(&self) -> Vec<String> {
        self.f.events.all().iter().map(|event| event.what.clone()).collect()
    }

    async fn of_shop(&self) -> Vec<User> {
        self.f.store.users(&self.shop).await.unwrap()
    }
}

#[tokio::test]
async fn a_provider_is_linked_by_fresh_sign_ins_on_both_sides() {
    let stage = stage("oidc", known_alone(), SECRET).await;
    assert!(nobody(&stage.enters("corp", bob()).await), "nobody knows him");
    let (alice, body) = (stage.alice().await, json!({ "provider": "corp" }));
    let ways = stage.f.get("/api/auth/identities", &alice).await.json();
    assert_eq!(ways, json!({ "password": true, "identities": [], "providers": ["corp", "other"] }));

    // Another address, and hers all the same: she has shown that she is both.
    let (brought, cookies) = stage.errand("/identities/link", &alice, &body, bob()).await;
    let asked = stage.post("/identities/link", &alice, &body).await;
    assert!(asked.text("redirect").contains("prompt=login"), "who signed in there before is asked again");
    for foreign in [alice.as_str(), "__Host-policy-errand=planted-by-somebody-else"] {
        assert_eq!(
            stage.comes_back(AT, foreign, &brought).await.location(),
            "/login?error=state_mismatch",
            "{foreign}"
        );
    }
    let told = stage.comes_back(AT, &cookies, &brought).await;
    assert_eq!((told.location().as_str(), told.headers.get("set-cookie")), ("/?linked=corp", None));
    assert_eq!(stage.comes_back(AT, &cookies, &brought).await.location(), "/login?error=state_mismatch", "once");
    assert_eq!(stage.told(), ["identity.link"]);
    let ways = stage.f.get("/api/auth/identities", &alice).await.json();
    assert_eq!(ways["identities"], json!([{ "provider": "corp", "subject": "bob-1" }]));
    let by_corp = stage.enters("corp", bob()).await;
    assert_eq!(stage.f.get("/api/auth/profile", &by_corp.cookie()).await.text("id"), stage.f.alice.id);

    // It is hers: nobody else links it, nor she a second time.
    let hashed = hash(&Secret::new(PASSWORD.to_owned())).unwrap();
    let carol = NewUser::new(stage.shop.clone(), "carol@example.com").password_hash(hashed);
    stage.f.store.add_user(carol).await.unwrap();
    let fields = [("email", "carol@example.com"), ("password", PASSWORD)];
    let carol = stage.f.form(&authorize_uri("shop", &[]), "", &fields).await.cookie();
    for cookie in [&carol, &alice] {
        assert_eq!(stage.links("corp", cookie, bob()).await, "/?link_error=taken");
    }
    // Whoever signed in there long ago is not fresh.
    let mut old = other_bob();
    old["auth_time"] = json!(NOW / 1_000 - 3_600);
    assert_eq!(stage.links("corp", &alice, old).await, "/?link_error=invalid_token");
    // What is begun in a session ends with it, whoever signs in then.
    let (brought, cookies) = stage.errand("/identities/link", &carol, &body, other_bob()).await;
    let value = carol.split_once('=').unwrap().1.to_owned();
    stage.f.sessions.end(&Secret::new(value)).await.unwrap();
    let cookies = cookies.replace(&carol, &alice);
    assert_eq!(stage.comes_back(AT, &cookies, &brought).await.location(), "/?link_error=session_ended");
    assert_eq!(stage.told(), ["identity.link"]);
    // Also where it ends after it was looked at.
    let own = stage.f.store.identities_of(&stage.f.alice.id).await.unwrap().remove(0);
    let another = crate::identity::ExternalIdentity { subject: "bob-3".to_owned(), ..own };
    let linked = stage.f.store.link_identity(&stage.f.alice, "an ended session", &another).await.unwrap();
    assert_eq!(linked, crate::identity::Linked::Ended);
    assert_eq!(stage.f.store.identities_of(&stage.f.alice.id).await.unwrap().len(), 1);
}

#[tokio::test]
async fn only_a_page_of_this_site_begins_it_and_for_who_has_just_signed_in() {
    let stage = stage("oidc", known_alone(), SECRET).await;
    let (alice, body) = (stage.alice().await, json!({ "provider": "corp" }));
    for (path, body) in
        [("/identities/link", &body), ("/identities/unlink", &json!({ "provider": "corp", "subject": "s" }))]
    {
        assert_eq!(stage.post(path, "", body).await.status, StatusCode::UNAUTHORIZED, "{path}");
        let uri = format!("/api/auth{path}");
        let evil = [("content-type", "application/json"), ("origin", "https://evil.example"), ("cookie", &*alice)];
        let told = stage.f.send(Method::POST, &uri, &evil, body.to_string()).await;
        assert_eq!(told.status, StatusCode::FORBIDDEN, "{path}");
        let told = stage.f.form(&uri, &alice, &[("provider", "corp")]).await;
        assert_eq!(told.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{path}");
    }
    let told = stage.post("/identities/link", &alice, &json!({ "provider": "unheard-of" })).await;
    assert_eq!(told.status, StatusCode::BAD_REQUEST);
    // A token is no browser that has just signed in.
    let code = stage.f.code("shop", "openid").await;
    let bearer = format!("Bearer {}", stage.f.exchange("shop", &code).await.text("access_token"));
    let headers = [("content-type", "application/json"), ("authorization", &*bearer)];
    let told = stage.f.send(Method::POST, "/api/auth/identities/link", &headers, body.to_string()).await;
    assert_eq!(told.status, StatusCode::FORBIDDEN, "{}", told.body);
    stage.f.clock.advance(5 * 60_000 + 1);
    let told = stage.post("/identities/link", &alice, &body).await;
    assert!(told.status == StatusCode::FORBIDDEN && told.body.contains("sign in again"), "{}", told.body);
}

#[tokio::test]
async fn the_last_way_in_is_never_taken_away() {
    let stage = stage("oidc", known_alone(), SECRET).await;
    let alice = stage.alice().await;
    assert_eq!(stage.links("corp", &alice, bob()).await, "/?linked=corp");
    stage.f.store.set_password(&stage.f.alice.id, None).await.unwrap();
    let corp = json!({ "provider": "corp", "subject": "bob-1" });
    let session = stage.enters("corp", bob()).await.cookie();
    let told = stage.post("/identities/unlink", &session, &corp).await;
    assert_eq!(told.status, StatusCode::CONFLICT, "{}", told.body);
    let unknown = json!({ "provider": "corp", "subject": "bob-9" });
    assert_eq!(stage.post("/identities/unlink", &session, &unknown).await.status, StatusCode::NOT_FOUND);
    assert_eq!(stage.links("other", &session, other_bob()).await, "/?linked=other");
    // Of two at once one finds that it is the last.
    let other = json!({ "provider": "other", "subject": "bob-2" });
    let second = stage.enters("other", other_bob()).await.cookie();
    let both = tokio::join!(
        stage.post("/identities/unlink", &session, &corp),
        stage.post("/identities/unlink", &second, &other)
    );
    let done = [both.0.status, both.1.status].into_iter().filter(|status| *status == StatusCode::NO_CONTENT).count();
    assert_eq!(done, 1, "{} {}", both.0.body, both.1.body);
    assert!(stage.f.sessions.of_user(&stage.f.alice.id).await.unwrap().is_empty(), "everything of before has ended");
    let ways = stage.f.store.identities_of(&stage.f.alice.id).await.unwrap();
    assert_eq!(ways.len(), 1);
    let gone = if ways[0].configuration == "other" {
        stage.enters("corp", bob()).await
    } else {
        stage.enters("other", other_bob()).await
    };
    assert!(nobody(&gone));
    assert_eq!(stage.told().last().map(String::as_str), Some("identity.unlink"));
}

#[tokio::test]
async fn people_register_by_what_a_provider_proves() {
    let stage = stage("oidc", ProvisioningSettings::Registration, SECRET).await;
    let (path, body) = ("/app/acme/shop/register/provider", json!({ "provider": "corp" }));
    assert!(nobody(&stage.enters("corp", bob()).await), "to sign in is not to register");
    for (email, proved) in
        [("bob@corp.example", json!(false)), ("bob@corp.example", json!("true")), ("alice@example.com", json!(true))]
    {
        let claims = json!({ "sub": "bob-1", "email": email, "email_verified": proved });
        let (brought, cookies) = stage.errand(path, "", &body, claims).await;
        assert!(nobody(&stage.comes_back(AT, &cookies, &brought).await), "{email} {proved}");
        assert_eq!(stage.of_shop().await.len(), 1);
    }
    // From the page of a client, and back to it; by a link, since no form's answer leads to pages of others.
    let question = authorize_uri("shop", &[]).split_once('?').unwrap().1.to_owned();
    let page = stage.f.get(&format!("/auth/register?{question}"), "").await;
    assert!(page.body.contains("name=\"provider\" value=\"corp\""), "{}", page.body);
    let told = stage.f.form(&format!("/auth/register?{question}"), "", &[("provider", "corp")]).await;
    assert_eq!(told.status, StatusCode::OK, "{}", told.body);
    let link = told.body.split("href=\"").nth(1).unwrap().split('"').next().unwrap().replace("&amp;", "&");
    let mut brought = stage.provider.sign_in(&link, bob());
    brought.push(("iss", stage.provider.url()));
    let back = stage.comes_back(AT, &told.cookie(), &brought).await;
    assert!(back.param("code").is_some());
    let made = stage.of_shop().await.into_iter().find(|user| user.id != stage.f.alice.id).unwrap();
    assert_eq!((made.email.as_deref(), made.display_name.as_deref()), (Some("bob@corp.example"), Some("Bob")));
    assert!(made.roles.contains("customer") && made.roles.len() == 1);
    assert_eq!(stage.told(), ["user.create"]);
    // Who is known signs in by that.
    let (brought, cookies) = stage.errand(path, "", &body, bob()).await;
    assert!(stage.comes_back(AT, &cookies, &brought).await.cookie().starts_with("__Host-policy-session="));
    assert_eq!((stage.of_shop().await.len(), stage.told().len()), (2, 1));
}

#[tokio::test]
async fn nobody_registers_where_the_provider_is_not_for_that() {
    let stage = stage("oidc", known_alone(), SECRET).await;
    for provider in ["corp", "unheard-of"] {
        let told = stage.post("/app/acme/shop/register/provider", "", &json!({ "provider": provider })).await;
        assert_eq!(told.status, StatusCode::FORBIDDEN, "{}", told.body);
    }
    let told = stage.post("/app/acme/desk/register/provider", "", &json!({ "provider": "corp" })).await;
    assert_eq!(told.status, StatusCode::FORBIDDEN, "{}", told.body);
}

#[tokio::test]
async fn an_invitation_is_accepted_by_who_has_its_address_at_a_provider() {
    let stage = stage("oidc", known_alone(), SECRET).await;
    let carol = NewUser::new(stage.shop.clone(), "Carol@corp.example").role("clerk");
    let carol = stage.f.store.add_user(carol).await.unwrap();
    let hash: [u8; 32] = Sha256::digest("the-token").into();
    stage.f.store.invite(&carol.id, &hash, Millis(NOW + 3_600_000)).await.unwrap();
    let (path, body) = ("/invite/oidc/start/corp", json!({ "token": "the-token" }));
    let says = |email: &str, proved: Value| json!({ "sub": "carol-1", "email": email, "email_verified": proved });
    for claims in [
        says("bob@corp.example", json!(true)),
        says("carol@corp.example", json!(false)),
        says("carol@corp.example.evil.example", json!(true)),
        json!({ "sub": "carol-1" }),
    ] {
        let (brought, cookies) = stage.errand(path, "", &body, claims.clone()).await;
        assert!(nobody(&stage.comes_back(AT, &cookies, &brought).await), "{claims}");
    }
    assert_eq!(stage.told().len(), 0, "it is good yet");
    let page = stage.f.get("/auth/invite?token=the-token", "").await;
    assert!(page.body.contains("name=\"provider\" value=\"corp\""), "{}", page.body);
    let good = says("carol@corp.example", json!(true));
    let (first, cookies) = stage.errand(path, "", &body, good.clone()).await;
    let mut claims = good.clone();
    claims["sub"] = json!("carol-2");
    let (second, others) = stage.errand(path, "", &body, claims).await;
    let told = stage.comes_back(AT, &cookies, &first).await;
    assert_eq!(stage.f.get("/api/auth/profile", &told.cookie()).await.text("id"), carol.id);
    assert!(nobody(&stage.comes_back(AT, &others, &second).await), "it is used");
    assert_eq!(stage.post(path, "", &body).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(stage.told(), ["user.accept"]);
    assert!(stage.enters("corp", good).await.cookie().starts_with("__Host-policy-session="));
}
