//! Organizations that are founded by what a provider proves: as people do it, and as attackers try it.

use serde_json::json;

use super::linking::known_alone;
use super::provider::SECRET;
use super::relying::{Stage, nobody, stage};
use super::*;
use crate::authn::second_factor::SecondFactors;
use crate::identity::{ProvisioningSettings, SecondFactorRule};

const START: &str = "/api/auth/org/signup/social/start/main";
const BACK: &str = "/api/auth/org/signup/social/callback/main";
const COMPLETE: &str = "/org/signup/social/complete";

fn eve(verified: bool) -> Value {
    json!({ "sub": "eve-1", "email": "eve@example.com", "email_verified": verified, "name": "Eve" })
}

impl Stage {
    /// Leaves for the provider; gives what the browser brings back, and its cookie.
    async fn leaves_to_found(&self, claims: Value) -> (Vec<(&'static str, String)>, String) {
        let told = self.f.form(START, "", &[]).await;
        let mut brought = self.provider.sign_in(&told.location(), claims);
        brought.push(("iss", self.provider.url()));
        (brought, told.cookie())
    }

    /// Comes back as well; gives the token of the page that this leads to, and the cookie.
    async fn proves(&self) -> (String, String) {
        let (brought, cookie) = self.leaves_to_found(eve(true)).await;
        let told = self.comes_back(BACK, &cookie, &brought).await;
        assert!(told.location().starts_with("/auth/signup/provider?token="), "{}", told.location());
        (told.param("token").unwrap(), cookie)
    }
}

#[tokio::test]
async fn whoever_a_provider_vouches_for_founds_an_organization() {
    let stage = stage("oidc", ProvisioningSettings::Registration, SECRET).await;
    let page = stage.f.get("/auth/signup", "").await;
    assert!(page.body.contains("name=\"provider\" value=\"main\""), "{}", page.body);
    let (brought, cookie) = stage.leaves_to_found(eve(true)).await;
    for elsewhere in ["/api/auth/org/login/sso/callback/main", "/api/auth/org/signup/social/callback/corp"] {
        let (brought, cookie) = stage.leaves_to_found(eve(true)).await;
        assert!(nobody(&stage.comes_back(elsewhere, &cookie, &brought).await), "{elsewhere}");
    }
    let told = stage.comes_back(BACK, &cookie, &brought).await;
    assert_eq!(told.headers.get("set-cookie"), None, "nobody is signed in yet");
    assert_eq!(stage.f.store.organizations().await.unwrap().len(), 1, "nothing is made yet");
    assert_eq!(stage.comes_back(BACK, &cookie, &brought).await.location(), "/login?error=state_mismatch", "once");
    let page = stage.f.get(&told.location(), &cookie).await;
    assert!(page.body.contains("name=\"organization\"") && !page.body.contains("password"), "{}", page.body);

    let token = told.param("token").unwrap();
    let named = |name: &str| json!({ "token": token, "orgName": name, "orgDescription": "x" });
    for foreign in ["", "__Host-policy-errand=planted-by-somebody-else"] {
        let told = stage.post(COMPLETE, foreign, &named("Rockets")).await;
        assert_eq!(told.status, StatusCode::BAD_REQUEST, "another browser: {}", told.body);
    }
    let by_password = json!({ "token": token, "orgName": "Rockets", "password": PASSWORD });
    let told = stage.post("/org/signup/complete", &cookie, &by_password).await;
    assert_eq!(told.status, StatusCode::BAD_REQUEST, "it is for nothing else");
    assert_eq!(stage.post(COMPLETE, &cookie, &named("Acme")).await.status, StatusCode::CONFLICT, "it is another's");
    let (rockets, more) = (named("Rockets"), named("Rockets two"));
    let clicks = tokio::join!(stage.post(COMPLETE, &cookie, &rockets), stage.post(COMPLETE, &cookie, &more));
    let clicks = [clicks.0, clicks.1];
    assert_eq!(clicks.iter().filter(|told| told.status == StatusCode::OK).count(), 1, "of two clicks one");
    let told = clicks.into_iter().find(|told| told.status == StatusCode::OK).unwrap();
    let scope = Scope::organization(&told.text("orgId")).unwrap();
    let owner = stage.f.store.users(&scope).await.unwrap().remove(0);
    assert_eq!((owner.email.as_deref(), owner.display_name.as_deref()), (Some("eve@example.com"), Some("Eve")));
    assert!(owner.roles.contains("owner") && owner.roles.len() == 1);
    assert_eq!(stage.f.get("/api/auth/profile", &told.cookie()).await.text("id"), owner.id, "she is signed in");
    assert_eq!(stage.f.store.identities_of(&owner.id).await.unwrap()[0].subject, "eve-1");
    assert_eq!(stage.told(), ["organization.found"]);
    // The provider signs her in from now on, lets in nobody else there, and gives nobody a role.
    let used = stage.f.store.references().await.unwrap().into_iter().find(|used| used.scope == scope).unwrap();
    let settings = used.settings;
    assert_eq!((used.configuration.as_str(), settings.provisioning), ("main", known_alone()));
    assert!(settings.roles.is_empty() && settings.everybody.is_empty() && settings.tenant.is_none());
    assert_eq!(stage.post(COMPLETE, &cookie, &named("Rockets three")).await.status, StatusCode::BAD_REQUEST, "once");
}

#[tokio::test]
async fn nobody_founds_one_who_has_not_proved_an_address_in_time() {
    let stage = stage("oidc", ProvisioningSettings::Registration, SECRET).await;
    for claims in [eve(false), json!({ "sub": "eve-1", "email": "eve@example.com" })] {
        let (brought, cookie) = stage.leaves_to_found(claims).await;
        assert_eq!(stage.comes_back(BACK, &cookie, &brought).await.location(), "/login?error=email_not_verified");
    }
    let (token, cookie) = stage.proves().await;
    stage.f.clock.advance(10 * 60_000);
    let told = stage.post(COMPLETE, &cookie, &json!({ "token": token, "orgName": "Late" })).await;
    assert_eq!(told.status, StatusCode::BAD_REQUEST, "{}", told.body);
    // Where owners need a second factor that the provider has not asked for, nobody could sign in to it.
    let factors = SecondFactors::new(
        stage.f.store.clone(),
        stage.f.store.clone(),
        Arc::new(stage.f.clock.clone()),
        Secret::new([7; 32]),
    );
    let factors = factors.rule(Scope::System, SecondFactorRule::RequiredForAdmins);
    let (token, cookie) = stage.proves().await;
    let strict =
        Stage { f: Fixture { router: stage.server.clone().second_factors(factors).routes(), ..stage.f }, ..stage };
    let told = strict.post(COMPLETE, &cookie, &json!({ "token": token, "orgName": "Weak" })).await;
    assert!(told.status == StatusCode::FORBIDDEN && told.body.contains("second factor"), "{}", told.body);
    assert_eq!(strict.f.store.organizations().await.unwrap().len(), 1);
}

#[tokio::test]
async fn only_a_page_of_this_site_begins_it_with_a_provider_of_system_that_is_for_that() {
    let known = stage("oidc", known_alone(), SECRET).await;
    let told = known.f.form(START, "", &[]).await;
    assert_eq!((told.status, told.text("error").as_str()), (StatusCode::BAD_REQUEST, "Unknown provider"));
    let mut stage = stage("oidc", ProvisioningSettings::Registration, SECRET).await;
    let evil = [("origin", "https://evil.example"), ("host", "id.example")];
    assert_eq!(stage.f.send(Method::POST, START, &evil, String::new()).await.status, StatusCode::FORBIDDEN);
    for other in ["corp", "unheard-of"] {
        let told = stage.f.form(&START.replace("main", other), "", &[]).await;
        assert_eq!(
            (told.status, told.text("error").as_str()),
            (StatusCode::BAD_REQUEST, "Unknown provider"),
            "{other}"
        );
    }
    let (token, cookie) = stage.proves().await;
    let (brought, left) = stage.leaves_to_found(eve(true)).await;
    stage.f.router = stage.f.server.clone().people(People::default(), Passwords::new(stage.f.store.clone())).routes();
    assert_eq!(stage.f.form(START, "", &[]).await.status, StatusCode::FORBIDDEN, "it is off now");
    assert_eq!(stage.comes_back(BACK, &left, &brought).await.location(), "/login?error=config_not_found");
    let told = stage.post(COMPLETE, &cookie, &json!({ "token": token, "orgName": "Off" })).await;
    assert_eq!(told.status, StatusCode::BAD_REQUEST, "{}", told.body);
}
