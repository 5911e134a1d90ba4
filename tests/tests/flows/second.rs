//! The second factor: nothing lets anybody in before it.

use base64::Engine as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use policy_runtime::clock::{Clock as _, SystemClock};
use policy_runtime::identity::{Registering, Registration, SecondFactorRule, SignInRules};
use sha1::Sha1;

use super::*;

/// An app on a telephone, which shows each code once and never the one before.
pub(super) struct App {
    seed: Vec<u8>,
    next: i64,
}

fn step_now() -> i64 {
    SystemClock.now().0 / 30_000
}

impl App {
    pub(super) fn new(secret: &str) -> Self {
        let value = |c: u8| if c.is_ascii_uppercase() { c - b'A' } else { c - b'2' + 26 };
        let bits: Vec<u8> = secret.bytes().flat_map(|c| (0..5).rev().map(move |n| (value(c) >> n) & 1)).collect();
        let seed = bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |all, bit| all << 1 | bit)).collect();
        // The step before is good, too, and leaves two more to be used in this one.
        Self { seed, next: step_now() - 1 }
    }

    fn digits(&self, step: i64) -> String {
        let mut mac = Hmac::<Sha1>::new_from_slice(&self.seed).unwrap();
        mac.update(&step.to_be_bytes());
        let hash = mac.finalize().into_bytes();
        let at = usize::from(hash[19] & 15);
        let number = u32::from_be_bytes(hash[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
        format!("{:06}", number % 1_000_000)
    }

    /// A code that was not shown before.
    pub(super) async fn code(&mut self) -> String {
        let step = self.next.max(step_now() - 1);
        while step > step_now() + 1 {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
        self.next = step + 1;
        self.digits(step)
    }
}

pub(super) fn pending(told: &Answer) -> String {
    told.json().unwrap()["pending"].as_str().unwrap_or_else(|| panic!("{} {}", told.status, told.body)).to_owned()
}

/// Sets up the second factor of somebody whose password is right.
async fn set_up(stand: &Stand, email: &str) -> (App, Vec<String>, String) {
    let told = stand.login("vault", email, PASSWORD).await;
    let waits = pending(&told);
    assert_eq!((told.status, told.json().unwrap()["setUp"].as_bool()), (401, Some(true)));
    let shown = stand.post("/second-factor/set-up", json!({ "pending": waits })).await.json().unwrap();
    assert!(shown["uri"].as_str().unwrap().starts_with("otpauth://totp/"));
    let mut app = App::new(shown["secret"].as_str().unwrap());
    let code = app.code().await;
    let confirm = || stand.post("/second-factor/confirm", json!({ "pending": waits, "code": code }));
    let clicks = futures_util::future::join_all([confirm(), confirm()]).await;
    assert_eq!(clicks.iter().filter(|told| told.status == 200).count(), 1, "one of two clicks: {clicks:?}");
    let told = clicks.into_iter().find(|told| told.status == 200).unwrap();
    let codes = told.json().unwrap()["recoveryCodes"].as_array().unwrap().clone();
    (app, codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect(), told.cookies())
}

async fn nothing_before_it(database: &str) {
    let stand = Stand::of(database, "").await;
    stand.user("vault", "ann@example.com").await;
    let basic = format!("Basic {}", base64_of(&format!("ann@example.com:{PASSWORD}")));
    let scope_headers = [("organizationid", "acme"), ("applicationid", "vault")];
    let by_password = async |more: &[(&str, &str)]| {
        let plain = [("login", "ann@example.com"), ("passcode", PASSWORD)];
        let all: Vec<_> = plain.iter().chain(&scope_headers).chain(more).copied().collect();
        stand.send("GET", "/api/auth/me", &all, "").await.status
    };
    let nothing = async || {
        assert_eq!(by_password(&[]).await, 401, "not by login and passcode");
        let headers: Vec<_> = scope_headers.into_iter().chain([("authorization", &*basic)]).collect();
        for (method, path) in [("POST", "/api/v1/token"), ("GET", "/api/v1/whoami"), ("GET", "/api/auth/me")] {
            assert_eq!(stand.send(method, path, &headers, "").await.status, 401, "not by {path}");
        }
        let told = stand.login("vault", "ann@example.com", PASSWORD).await;
        assert!(told.status == 401 && told.cookies().is_empty(), "{}", told.body);
        let fields = [("email", "ann@example.com"), ("password", PASSWORD)];
        let page = stand.form("", &authorize("vault", ""), &fields).await;
        assert!(page.status == 200 && page.cookies().is_empty() && !page.head.contains("location"), "{}", page.head);
        page
    };
    let page = nothing().await;
    assert!(page.body.contains("Set up a second factor"), "{}", page.body);

    let (mut app, recovery, cookie) = set_up(&stand, "ann@example.com").await;
    assert!(stand.is_signed_in(&cookie).await && recovery.len() == 10);
    let page = nothing().await;
    assert!(page.body.contains("name=\"code\"") && !page.body.contains("otpauth"), "{}", page.body);

    let code = app.code().await;
    let header = [("second-factor", &*code)];
    let tries = [by_password(&header), by_password(&header)];
    let tries = futures_util::future::join_all(tries).await;
    assert_eq!(tries.iter().filter(|status| **status == 204).count(), 1, "one of two at once: {tries:?}");
    assert_eq!(by_password(&[("second-factor", &*code)]).await, 401, "a code is good once");
    assert_eq!(by_password(&[("second-factor", "000000")]).await, 401);
    // A recovery code however it is typed, and once.
    let typed = recovery[0].to_lowercase().replace('-', " ");
    let finish = async |code: &str| {
        let waits = pending(&stand.login("vault", "ann@example.com", PASSWORD).await);
        stand.post("/login/second-factor", json!({ "pending": waits, "code": code })).await
    };
    let told = finish(&typed).await;
    assert_eq!(told.status, 204, "{}", told.body);
    assert!(stand.is_signed_in(&told.cookies()).await);
    assert_eq!(finish(&recovery[0]).await.status, 401, "once");
    let tries = futures_util::future::join_all([finish(&recovery[1]), finish(&recovery[1])]).await;
    assert_eq!(tries.iter().filter(|told| told.status == 204).count(), 1, "one of two at once: {tries:?}");
    // The session that the browser had before it, somebody else's perhaps, does not become one with two proofs.
    let waits = pending(&stand.login("vault", "ann@example.com", PASSWORD).await);
    let body = json!({ "pending": waits, "code": recovery[2] });
    let fresh = stand.post_with(&cookie, "/login/second-factor", body).await.cookies();
    assert!(stand.is_signed_in(&fresh).await && fresh != cookie && !stand.is_signed_in(&cookie).await);
    let standing = stand.get(&told.cookies(), "/api/auth/second-factor").await.json().unwrap();
    assert_eq!((standing["setUp"].as_bool(), standing["recoveryCodesLeft"].as_u64()), (Some(true), Some(7)));
}

pub(super) fn base64_of(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_lets_anybody_in_before_it_in_sqlite() {
    let database = Sqlite::new("second");
    nothing_before_it(&database.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_lets_anybody_in_before_it_in_postgres() {
    nothing_before_it(&tests::postgres::fresh_database().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pending_sign_in_is_worth_little() {
    let stand = Stand::new().await;
    stand.user("vault", "ann@example.com").await;
    stand.user("shop", "bob@example.com").await;
    let (_, recovery, _) = set_up(&stand, "ann@example.com").await;
    let waits = pending(&stand.login("vault", "ann@example.com", PASSWORD).await);
    let bearer = format!("Bearer {waits}");
    assert_eq!(stand.send("GET", "/api/auth/me", &[("authorization", &*bearer)], "").await.status, 401);
    let again = stand.post("/second-factor/set-up", json!({ "pending": waits })).await;
    assert_eq!(again.status, 403, "there is one already: {}", again.body);
    let forged = waits.replacen('.', "x.", 1);
    for bad in ["", "x", &forged] {
        let told = stand.post("/login/second-factor", json!({ "pending": bad, "code": recovery[0] })).await;
        assert_eq!(told.status, 401, "{}", told.body);
    }
    // Guesses are counted for the user, whoever makes them, and then a good code waits, too.
    let mut last = 0;
    for _ in 0..8 {
        last = stand.post("/login/second-factor", json!({ "pending": waits, "code": "123456" })).await.status;
    }
    assert_eq!(last, 429);
    let told = stand.post("/login/second-factor", json!({ "pending": waits, "code": recovery[1] })).await;
    assert_eq!(told.status, 429, "{}", told.body);
    // Another password ends what waits.
    let hashed = hash(&Secret::new(OTHER.to_owned())).unwrap();
    let ann = stand.prepared.store.users(&scope("vault")).await.unwrap().remove(0);
    stand.prepared.store.set_password(&ann.id, Some(&hashed)).await.unwrap();
    let told = stand.post("/login/second-factor", json!({ "pending": waits, "code": recovery[1] })).await;
    assert_eq!(told.status, 401, "{}", told.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_asks_for_two_proofs_and_is_told() {
    let stand = Stand::new().await;
    stand.user("shop", "ann@example.com").await;
    let cookie = stand.login("shop", "ann@example.com", PASSWORD).await.cookies();
    assert!(stand.get(&cookie, &authorize("app", "")).await.head.contains("code="), "one proof is enough here");
    let page = stand.get(&cookie, &authorize("app", "&acr_values=mfa")).await;
    assert!(page.status == 200 && page.body.contains("name=\"password\""), "{}", page.body);
    let silent = stand.get(&cookie, &authorize("app", "&acr_values=mfa&prompt=none")).await;
    assert!(silent.head.contains("error=login_required"), "{}", silent.head);

    let at = authorize("app", "&acr_values=mfa");
    let page = stand.form(&cookie, &at, &[("email", "ann@example.com"), ("password", PASSWORD)]).await;
    let hidden = |page: &Answer| {
        let rest = page.body.split("name=\"pending\" value=\"").nth(1).unwrap_or_else(|| panic!("{}", page.body));
        rest.split('"').next().unwrap().to_owned()
    };
    let secret = page.body.split("<code>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let mut app = App::new(&secret);
    let code = app.code().await;
    let fields = [("pending", &*hidden(&page)), ("set_up", "1"), ("code", &*code)];
    let told = stand.form(&cookie, &at, &fields).await;
    assert!(told.body.contains("Your recovery codes"), "{} {}", told.status, told.body);
    let told = stand.get(&told.cookies(), &at).await;
    let tokens = stand.tokens("app", &told).await;
    let claims = tokens["access_token"].as_str().unwrap().split('.').nth(1).unwrap().to_owned();
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!((claims["acr"].as_str(), claims["amr"].clone()), (Some("mfa"), json!(["pwd", "otp", "mfa"])));
    assert!(!stand.is_signed_in(&cookie).await, "the session with one proof has ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_that_a_second_factor_lifts_says_so() {
    use policy_runtime::{Code, Participant, Policy, SecurityContext};

    #[policy_runtime::abac_policy(participant.mfa and participant.roles contains "finance")]
    fn pay(#[context] cx: &SecurityContext) -> Result<(), policy_runtime::Denied> {
        let _ = cx;
        Ok(())
    }

    let policy = Policy::for_application("shop").unwrap();
    let code = |mfa: bool, role: &str| {
        let who = Participant::builder(policy.application().clone(), "ann").role(role).mfa(mfa).build();
        pay(&SecurityContext::new(&policy, who.into())).map_err(|denied| denied.code())
    };
    assert_eq!(code(true, "finance"), Ok(()));
    assert_eq!(code(false, "finance"), Err(Code::StepUpRequired));
    assert_eq!(code(false, "sales"), Err(Code::AccessDenied), "a second factor would not help");
    assert_eq!(code(true, "sales"), Err(Code::AccessDenied));
    let who = Participant::builder(policy.application().clone(), "ann").role("finance").build();
    let denied = pay(&SecurityContext::new(&policy, who.into())).unwrap_err();
    let response: http::Response<String> = policy_runtime::tower::Problem::from(denied).into();
    let challenge = response.headers()["www-authenticate"].to_str().unwrap();
    assert_eq!(response.status(), 401);
    assert!(
        challenge.contains("error=\"insufficient_user_authentication\"") && challenge.contains("acr_values=\"mfa\"")
    );
    assert!(response.body().contains("STEP_UP_REQUIRED"), "{}", response.body());
}

/// What CONNECT is answered with: `code message`, or whose connection it is.
pub(super) async fn connects(stand: &Stand, upgrade: &[(&str, &str)], connect: &[(&str, &str)]) -> String {
    use policy_runtime::wire::header;
    let mut raw = match tests::raw::Raw::dial(&stand.gateway, upgrade).await {
        Ok(raw) => raw,
        Err(status) => return status.to_string(),
    };
    let lines: String = connect.iter().map(|(name, value)| format!("{name}:{value}\n")).collect::<Vec<_>>().concat();
    raw.say(&format!("CONNECT\naccept-version:1.2\n{lines}\n\0")).await;
    let frame = raw.frame().await.unwrap();
    match frame.header(header::CONNECTED_INFO) {
        Some(info) => serde_json::from_str::<Value>(info).unwrap()["participant"]["id"].as_str().unwrap().to_owned(),
        None => [header::CODE, header::MESSAGE].map(|name| frame.header(name).unwrap_or_default()).join(" "),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_connection_is_opened_before_it() {
    const REFUSED: &str = "STEP_UP_REQUIRED a second factor is needed";
    let stand = Stand::new().await;
    let ann = stand.user("vault", "ann@example.com").await;
    let basic = format!("Basic {}", base64_of(&format!("ann@example.com:{PASSWORD}")));
    let place = [("organizationid", "acme"), ("applicationid", "vault")];
    let plain = [place.as_slice(), &[("login", "ann@example.com"), ("passcode", PASSWORD)]].concat();
    let basic = [place.as_slice(), &[("authorization", &*basic)]].concat();
    let legacy = [place.as_slice(), &[("clientid", "ann@example.com"), ("clientsecret", PASSWORD)]].concat();
    let nothing = async || {
        for way in [&plain, &basic, &legacy] {
            assert_eq!(connects(&stand, way, &[]).await, REFUSED, "at the upgrade: {way:?}");
            assert_eq!(connects(&stand, &[], way).await, REFUSED, "at CONNECT: {way:?}");
        }
    };
    nothing().await; // required, and not set up
    let (mut app, recovery, _) = set_up(&stand, "ann@example.com").await;
    nothing().await;
    let code = app.code().await;
    let by_code = [plain.as_slice(), &[("second-factor", &*code)]].concat();
    assert_eq!(connects(&stand, &[], &by_code).await, ann.id);
    assert!(connects(&stand, &[], &by_code).await.starts_with("UNAUTHENTICATED "), "a code is good once");
    let by_recovery = [basic.as_slice(), &[("second-factor", &*recovery[0])]].concat();
    assert_eq!(connects(&stand, &by_recovery, &[]).await, ann.id);

    // Over HTTP it says how to lift it.
    let told = stand.send("GET", "/api/v1/whoami", &basic, "").await;
    assert!(told.status == 401 && told.body.contains("STEP_UP_REQUIRED"), "{}", told.body);
    let told = stand.send("GET", "/api/auth/me", &basic, "").await;
    for told in [told, stand.send("GET", "/api/v1/whoami", &basic, "").await] {
        assert!(told.head.contains("insufficient_user_authentication"), "{}", told.head);
    }
    // Where it is optional, whoever has set one up is asked for it as well.
    let bob = stand.user("shop", "bob@example.com").await;
    let own =
        [("organizationid", "acme"), ("applicationid", "shop"), ("login", "bob@example.com"), ("passcode", PASSWORD)];
    assert_eq!(connects(&stand, &own, &[]).await, bob.id);
    let cookie = stand.login("shop", "bob@example.com", PASSWORD).await.cookies();
    let shown = stand.post_with(&cookie, "/second-factor/set-up", json!({ "password": PASSWORD })).await;
    let mut app = App::new(shown.json().unwrap()["secret"].as_str().unwrap());
    let code = app.code().await;
    let told = stand.post_with(&cookie, "/second-factor/confirm", json!({ "code": code })).await;
    assert_eq!(told.status, 200, "{}", told.body);
    assert_eq!(connects(&stand, &own, &[]).await, REFUSED);
}

/// Signs in as somebody of the organization, who looks after its applications.
pub(super) async fn member(stand: &Stand, role: &str) -> (User, String) {
    let hashed = hash(&Secret::new(PASSWORD.to_owned())).unwrap();
    let email = format!("{role}@acme.example");
    let user = NewUser::new(Scope::organization("acme").unwrap(), &email).password_hash(hashed).role(role);
    let basic = base64_of(&format!("{email}:{PASSWORD}"));
    (stand.prepared.store.add_user(user).await.unwrap(), format!("Basic {basic}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_one_is_taken_away_by_whoever_may_and_everything_of_before_ends() {
    let stand = Stand::new().await;
    let ann = stand.user("vault", "ann@example.com").await;
    let (_, recovery, cookie) = set_up(&stand, "ann@example.com").await;
    let tokens = stand.tokens("vault", &stand.get(&cookie, &authorize("vault", "")).await).await;
    let refresh = tokens["refresh_token"].as_str().unwrap();
    let by = async |who: &str, scope: &str, id: &str| {
        let headers = [("authorization", who), ("organizationid", "acme")];
        let path = format!("/api/v1/scopes/{}/users/{id}/second-factor", encoded(scope));
        stand.send("DELETE", &path, &headers, "").await.status
    };
    let (owner, by_owner) = member(&stand, "owner").await;
    let (_, by_admin) = member(&stand, "admin").await;
    let (_, by_developer) = member(&stand, "developer").await;
    let vault = "app:acme/vault";
    assert_eq!(by(&by_developer, vault, &ann.id).await, 403, "it is a right of its own");
    assert_eq!(by("Basic eDp5", vault, &ann.id).await, 401);
    let own = [("cookie", &*cookie), ("origin", &format!("http://{}", stand.gateway.local_addr()))];
    let path = format!("/api/v1/scopes/{}/users/{}/second-factor", encoded(vault), ann.id);
    assert_eq!(stand.send("DELETE", &path, &own, "").await.status, 404, "her own is nothing that she administers");
    assert_eq!(by(&by_owner, "app:acme/desk", &ann.id).await, 404, "of another scope");
    assert_eq!(by(&by_owner, "org:acme", &owner.id).await, 422, "one's own takes a code");
    assert_eq!(by(&by_admin, "org:acme", &owner.id).await, 403, "an owner may more than an admin");
    assert!(stand.is_signed_in(&cookie).await, "nothing of that has changed anything");

    assert_eq!(by(&by_admin, vault, &ann.id).await, 204);
    // The server that holds the session follows the store.
    let mut waited = 0;
    while stand.is_signed_in(&cookie).await {
        assert!(waited < 80, "the session goes on");
        waited += 1;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let fields = [("grant_type", "refresh_token"), ("client_id", "vault"), ("refresh_token", refresh)];
    assert_eq!(stand.form("", "/api/auth/oauth/token", &fields).await.status, 400);
    assert_eq!(by(&by_admin, vault, &ann.id).await, 404, "there is none any more");
    // Here one is required: the password alone lets nobody in, and sets up another one.
    let told = stand.login("vault", "ann@example.com", PASSWORD).await;
    assert_eq!((told.status, told.json().unwrap()["setUp"].as_bool()), (401, Some(true)));
    let told = stand.post("/login/second-factor", json!({ "pending": pending(&told), "code": recovery[0] })).await;
    assert_eq!(told.status, 401, "{}", told.body);
    set_up(&stand, "ann@example.com").await;

    let headers = [("authorization", &*by_owner), ("organizationid", "acme")];
    let records = stand.send("GET", "/api/v1/scopes/app%3Aacme%2Fvault/audit?limit=1000", &headers, "").await;
    let removed = |outcome: &str| {
        records.body.matches("Platform.members.removeSecondFactor").count() > 0 && records.body.contains(outcome)
    };
    assert!(removed("\"allow\"") && removed("\"deny\""), "{}", records.body);
}

/// Says the rules of a scope as an administrator does.
async fn say(stand: &Stand, scope: &Scope, rules: &SignInRules) {
    use policy_runtime::{Participant, SecurityContext};
    let (at, role) = match scope.organization_id() {
        None => (Scope::System, "administrator"),
        Some(organization) => (Scope::Organization(organization.clone()), "owner"),
    };
    let who = Participant::builder(at, "u-1").role(role).mfa(true).build();
    let cx = SecurityContext::new(&stand.prepared.policy, who.into());
    stand.prepared.admin.set_sign_in_rules(&cx, scope, rules).await.unwrap();
    assert_eq!(stand.prepared.admin.sign_in_rules(&cx, scope).await.unwrap(), *rules);
}

/// Asks until it is answered so, since servers follow within seconds.
async fn becomes(status: u16, ask: impl AsyncFn() -> Answer) {
    let mut told = ask().await;
    for _ in 0..100 {
        if told.status == status {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        told = ask().await;
    }
    panic!("{} {}", told.status, told.body);
}

async fn said_at_run_time(database: &str) {
    let stand = Stand::of(database, "[server]\nrate_limits = false\n").await;
    let store = &stand.prepared.store;
    store.add_application("acme", "kiosk").await.unwrap();
    let (kiosk, vault, acme) = (scope("kiosk"), scope("vault"), Scope::organization("acme").unwrap());
    let register = async |application: &str| {
        stand.post(&format!("/app/acme/{application}/register"), json!({ "email": "eve@example.com" })).await
    };
    assert_eq!(register("kiosk").await.status, 403);
    let ((_, owner), (_, developer)) = (member(&stand, "owner").await, member(&stand, "developer").await);
    let rules_at = async |method: &str, who: &str, scope: &str, body: Value| {
        let headers = [("authorization", who), ("organizationid", "acme"), ("content-type", "application/json")];
        let path = format!("/api/v1/scopes/{}/sign-in-rules", encoded(scope));
        stand.send(method, &path, &headers, &body.to_string()).await
    };
    let open = json!({ "registration": "open", "roles": ["visitor"] });
    for (who, scope, body, status) in [
        (&developer, "app:acme/kiosk", open.clone(), 403),
        (&owner, "sys", open.clone(), 404),
        (&owner, "org:acme", open.clone(), 422),
        (&owner, "app:acme/kiosk", json!({ "roles": ["visitor"] }), 422),
        (&owner, "app:acme/kiosk", json!({ "secondFactor": "never" }), 422),
        (&owner, "app:acme/kiosk", open.clone(), 204),
    ] {
        let told = rules_at("PUT", who, scope, body).await;
        assert_eq!(told.status, status, "{scope}: {}", told.body);
    }
    let told = rules_at("GET", &owner, "app:acme/kiosk", Value::Null).await.json().unwrap();
    assert_eq!(told, json!({ "registration": "open", "roles": ["visitor"], "secondFactor": "optional" }));
    let open = Registering::Open(Registration { roles: ["visitor".to_owned()].into() });
    let rules = SignInRules { registration: open, ..SignInRules::default() };
    becomes(202, async || register("kiosk").await).await;
    let body = json!({ "token": stand.token(0).await, "password": PASSWORD });
    assert_eq!(stand.post("/register/complete", body).await.status, 204);
    assert!(store.users(&kiosk).await.unwrap()[0].roles.contains("visitor"));
    say(&stand, &scope("shop"), &SignInRules { registration: Registering::Closed, ..SignInRules::default() }).await;
    becomes(403, async || register("shop").await).await;

    // More is asked than the configuration asks, here and above, and never less.
    let login = async |application: &str| stand.login(application, "eve@example.com", PASSWORD).await;
    assert_eq!(login("kiosk").await.status, 204);
    let required = SignInRules { second_factor: SecondFactorRule::Required, ..rules.clone() };
    say(&stand, &kiosk, &required).await;
    becomes(401, async || login("kiosk").await).await;
    assert!(login("kiosk").await.body.contains("setUp"));
    say(&stand, &kiosk, &rules).await;
    becomes(204, async || login("kiosk").await).await;
    say(&stand, &acme, &SignInRules { second_factor: SecondFactorRule::Required, ..SignInRules::default() }).await;
    becomes(401, async || login("kiosk").await).await;
    stand.user("vault", "eve@example.com").await;
    say(&stand, &acme, &SignInRules::default()).await;
    say(&stand, &vault, &SignInRules::default()).await;
    becomes(204, async || login("kiosk").await).await;
    assert_eq!(login("vault").await.status, 401, "the configuration asks for it");
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_say_who_registers_and_who_needs_one_in_sqlite() {
    let database = Sqlite::new("said");
    said_at_run_time(&database.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_say_who_registers_and_who_needs_one_in_postgres() {
    said_at_run_time(&tests::postgres::fresh_database().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_scope_says_who_needs_one_and_the_nearest_holds() {
    const RULES: &str = r#"
        [server]
        system_sign_in = true
        rate_limits = false
        [[scope]]
        scope = "sys"
        second_factor = "required"
        [[scope]]
        scope = "org:acme"
        second_factor = "required_for_admins"
        [[scope]]
        scope = "app:acme/desk"
        second_factor = "optional"
    "#;
    let stand = Stand::of("sqlite::memory:", RULES).await;
    let owner = NewUser::new(Scope::organization("globex").unwrap(), "owner@globex.example").role("owner");
    stand.prepared.store.add_organization("globex").await.unwrap();
    stand.prepared.store.add_user(owner).await.unwrap();
    let hashed = hash(&Secret::new(PASSWORD.to_owned())).unwrap();
    let acme = [("organizationid", "acme")];
    let system = [("authscopetype", "SYSTEM")];
    for (scope, headers, role, is_in) in [
        ("sys", &system[..], None, false),
        ("org:acme", &acme, None, true),
        ("org:acme", &acme, Some("developer"), false),
        ("org:globex", &[("organizationid", "globex")], None, false),
        ("app:acme/shop", &[], Some("customer"), true),
        ("app:acme/shop", &[], Some("admin"), false),
        ("app:acme/desk", &[("organizationid", "acme"), ("applicationid", "desk")], Some("admin"), true),
        ("app:acme/vault", &[("organizationid", "acme"), ("applicationid", "vault")], None, false),
    ] {
        let email = format!("{}@example.com", role.unwrap_or("nobody"));
        let user = NewUser::new(scope.parse().unwrap(), &email).password_hash(hashed.clone());
        let user = role.map_or_else(|| user.clone(), |role| user.clone().role(role));
        stand.prepared.store.add_user(user).await.unwrap();
        let headers: Vec<_> = headers.iter().copied().chain([("content-type", "application/json")]).collect();
        let body = json!({ "email": email, "password": PASSWORD }).to_string();
        let told = stand.send("POST", "/api/auth/org/login", &headers, &body).await;
        if is_in {
            let seen = stand.get(&told.cookies(), "/api/auth/profile").await;
            assert_eq!(seen.json().unwrap()["scope"].as_str(), Some(scope), "{role:?}: {} {}", told.status, told.body);
        } else {
            assert!(told.status == 401 && told.cookies().is_empty() && !pending(&told).is_empty(), "{scope} {role:?}");
        }
    }
    // A path and a header that name two scopes name none.
    let body = json!({ "email": "admin@example.com", "password": PASSWORD }).to_string();
    let headers = [("content-type", "application/json"), ("organizationid", "globex")];
    let told = stand.send("POST", "/api/auth/app/acme/desk/login", &headers, &body).await;
    assert_eq!(told.status, 401, "{}", told.body);
}
