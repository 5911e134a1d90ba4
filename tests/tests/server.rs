//! The server from its configuration: reconciling, bootstrapping, events, the doctor.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;

use policy_core::Facts;
use policy_runtime::admin::NewMember;
use policy_runtime::audit::journal::Filter;
use policy_runtime::audit::{AuditError, AuditFuture, RecordKind};
use policy_runtime::authn::{AuthnCode, Chain, Outcome, api_key};
use policy_runtime::client::{Client, ConnectOptions, Headers};
use policy_runtime::clock::{Clock as _, SystemClock};
use policy_runtime::config::{Config, Environment, resource_server};
use policy_runtime::credential::{Credential, Credentials, Listener, LoginForm};
use policy_runtime::events::{Actor, Event, EventKind, EventSink, MemoryEvents};
use policy_runtime::gateway::Gateway;
use policy_runtime::identity::{
    Change, Configuration, NewUser, ProviderSettings, ProvisioningSettings, Reference, ReferenceSettings,
};
use policy_runtime::secret::Secret;
use policy_runtime::server::{BootstrapError, Finding, Prepared, examine, furnish};
use policy_runtime::value::{Millis, Value};
use policy_runtime::{Participant, Scope, SecurityContext, SetSource};
use tests::postgres;
use tests::providers::{Provider, machine_token, send};

const FILE: &str = r#"
[application]
organization = "acme"
id = "orders"
[[organization]]
id = "globex"
applications = ["shop"]
[[provider]]
name = "main"
owner = "org:acme"
issuer = "https://issuer.example"
audience = ["api"]
[[provider.use]]
scope = "app:acme/orders"
roles = { admins = "admin" }
[[provider.use]]
scope = "app:globex/shop"
[[scope]]
scope = "app:globex/shop"
methods = ["token"]
"#;

struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("policy-server-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn config(&self, text: &str) -> Config {
        Config::check(text, &Environment::of([("DB_URL", "sqlite:policy.db")]), &self.0).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn start(config: &Config) -> (Prepared, Arc<MemoryEvents>) {
    let events = Arc::new(MemoryEvents::default());
    (Prepared::with(config, events.clone(), |chain| chain).await.unwrap(), events)
}

fn kinds(events: &[Event]) -> Vec<String> {
    let told = |event: &Event| {
        let scope = event.scope.as_deref().unwrap_or("-");
        format!("{} {} in {scope}", event.what, event.target.as_deref().unwrap_or("-"))
    };
    events.iter().map(told).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_file_declares_is_there_once() {
    let folder = Folder::new("reconcile");
    let (first, events) = start(&folder.config(FILE)).await;
    assert_eq!(
        kinds(&events.all()),
        [
            "organization.create globex in sys",
            "organization.create acme in sys",
            "application.create orders in org:acme",
            "application.create shop in org:globex",
            "provider.put main in org:acme",
            "provider.share main in org:acme",
            "provider.use main in app:acme/orders",
            "provider.use main in app:globex/shop",
            "methods.set app:globex/shop in app:globex/shop",
        ]
    );
    let by_the_file = |event: &Event| event.actor.id.as_deref() == Some("configuration");
    assert!(events.all().iter().all(|event| event.kind == EventKind::ConfigurationChanged && by_the_file(event)));
    let number = first.store.changed_since(None).await.unwrap().number;
    let (again, events) = start(&folder.config(FILE)).await;
    assert_eq!((events.all(), again.store.changed_since(None).await.unwrap().number), (vec![], number), "idempotent");

    let changed = FILE.replace("roles = { admins = \"admin\" }", "").replace("api\"", "api2\"");
    let changed = changed.replace("[[provider.use]]\nscope = \"app:globex/shop\"\n", "");
    let (last, events) = start(&folder.config(&changed)).await;
    assert_eq!(
        kinds(&events.all()),
        [
            "provider.put main in org:acme",
            "provider.use main in app:acme/orders",
            "provider.unuse main in app:globex/shop"
        ]
    );
    assert_eq!(last.store.references().await.unwrap().len(), 1);
}

async fn sign_in(prepared: &Prepared, name: &str, password: &str, scope: Scope) -> Result<String, AuthnCode> {
    let login = Credential::Login { name: name.into(), passcode: Secret::new(password.into()), form: LoginForm::Basic };
    let request = Credentials::of(login)
        .in_scope(scope)
        .from_peer("192.0.2.7".parse().unwrap())
        .on(Listener::default().with_system());
    match prepared.chain.authenticate(&request).await {
        Outcome::Authenticated(found) => Ok(found.participant().id().to_owned()),
        Outcome::Rejected(error) => Err(error.code()),
        Outcome::NotPresented => panic!("something was presented"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_operator_comes_by_a_token_once() {
    let folder = Folder::new("bootstrap");
    let (prepared, events) = start(&folder.config(FILE)).await;
    let token = prepared.bootstrap_token().await.unwrap().unwrap();
    let strong = || Secret::new("a quite long pass phrase".to_owned());
    let make = async |token: &Secret<String>, email: &str, password| {
        prepared.bootstrap(token, email, password, Actor::default()).await
    };
    let wrong = Secret::new("bootstrap_wrong".to_owned());
    assert_eq!(make(&wrong, "op@x.example", strong()).await, Err(BootstrapError::Token));
    let weak = make(&token, "op@x.example", Secret::new("password".into())).await;
    assert!(matches!(weak, Err(BootstrapError::Invalid(_))));
    let operator = make(&token, "op@x.example", strong()).await.unwrap();
    assert_eq!(operator.scope, Scope::System);
    assert_eq!(make(&token, "other@x.example", strong()).await, Err(BootstrapError::Token), "twice is impossible");
    assert!(prepared.bootstrap_token().await.unwrap().is_none());
    let (restarted, _) = start(&folder.config(FILE)).await;
    assert!(restarted.bootstrap_token().await.unwrap().is_none(), "after a restart, too");
    assert_eq!(sign_in(&restarted, "op@x.example", "a quite long pass phrase", Scope::System).await, Ok(operator.id));
    let told: Vec<_> = events.all().into_iter().filter(|event| event.what == "bootstrap").collect();
    let codes: Vec<_> = told.iter().map(|event| event.code.as_deref()).collect();
    assert_eq!(codes, [Some("wrong_credentials"), Some("invalid"), None, Some("wrong_credentials")]);
    let all = format!("{told:?}");
    assert!(!all.contains(token.expose()) && !all.contains("pass phrase"));
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_ins_failures_and_lockouts_are_told() {
    let folder = Folder::new("events");
    let (prepared, events) = start(&folder.config(FILE)).await;
    let users = furnish(prepared.store.as_ref()).await.unwrap();
    let alice = users.iter().find(|user| user.email.starts_with("alice")).unwrap();
    let before = events.all().len();
    let id = sign_in(&prepared, alice.email, alice.password.expose(), alice.scope.clone()).await.unwrap();
    for _ in 0..6 {
        let _ = sign_in(&prepared, alice.email, "wrong", alice.scope.clone()).await;
    }
    let told = events.all().split_off(before);
    assert_eq!((told[0].kind, told[0].actor.id.as_deref()), (EventKind::SignIn, Some(id.as_str())));
    assert_eq!(told[0].what, "password");
    assert_eq!((told[1].kind, told[1].code.as_deref()), (EventKind::SignInFailed, Some("wrong_credentials")));
    assert_eq!(told.last().unwrap().kind, EventKind::Lockout);
    assert!(told.iter().all(|event| event.actor.address == Some("192.0.2.7".parse().unwrap())));
    assert!(told.iter().all(|event| event.actor.tenant_slug() == Some("acme")), "{told:?}");
    assert!(!format!("{told:?}").contains(alice.password.expose()));
    // A method that is off is refused like a wrong password.
    let shop = Scope::application("globex", "shop").unwrap();
    let mallory = users.iter().find(|user| user.scope == shop).unwrap();
    let off = sign_in(&prepared, mallory.email, mallory.password.expose(), shop).await;
    assert_eq!(off, Err(AuthnCode::MethodOff));
}

/// Makes every kind of change, as an operator's request.
async fn change_everything(prepared: &Prepared) -> (String, String) {
    let store = prepared.store.as_ref();
    let orders = Scope::application("acme", "orders").unwrap();
    let user = store.add_user(NewUser::new(orders.clone(), "new@acme.example")).await.unwrap();
    let change = Change::default().add_role("finance").remove_role("intern").enabled(false);
    store.change_user(&user.id, &change.attribute("desk", Some(Value::text("secret desk")))).await.unwrap();
    let hashed = Secret::new("a stored hash".to_owned());
    store.set_password(&user.id, Some(&hashed)).await.unwrap();
    store.invite(&user.id, &[1; 32], Millis(i64::MAX)).await.unwrap();
    let (_, key) = api_key::generate(orders.clone()).unwrap();
    let id = key.id.clone();
    store.add_key(key).await.unwrap();
    store.change_key(&id, &Change::default().add_role("import")).await.unwrap();
    store.drop_key(&id).await.unwrap();
    store.drop_user(&user.id).await.unwrap();
    store.set_suspended("globex", true).await.unwrap();
    let provider = Configuration::new("second", Scope::System, ProviderSettings::of("kottster"));
    store.put_configuration(&provider).await.unwrap();
    store.put_reference(&Reference::new("second", orders.clone(), ReferenceSettings::default())).await.unwrap();
    store.drop_reference("second", &orders).await.unwrap();
    store.drop_configuration("second").await.unwrap();
    (user.id, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_told_and_recorded() {
    let folder = Folder::new("changes");
    let (prepared, events) = start(&folder.config(FILE)).await;
    let before = events.all().len();
    let facts = Facts { ip: Some("192.0.2.9".parse().unwrap()), request_id: Some("r-7".into()), ..Facts::default() };
    let operator = Participant::builder(Scope::System, "op-1").build();
    let cx = SecurityContext::new(&prepared.policy, operator.into()).with_facts(facts);
    let (user, key) = cx.scope(change_everything(&prepared)).await;
    let told = events.all().split_off(before);
    let orders = "app:acme/orders";
    assert_eq!(
        kinds(&told),
        [
            format!("user.create {user} in {orders}"),
            format!("user.change {user} in {orders}"),
            format!("password.set {user} in {orders}"),
            format!("user.invite {user} in {orders}"),
            format!("key.create {key} in {orders}"),
            format!("key.change {key} in {orders}"),
            format!("key.drop {key} in {orders}"),
            format!("user.drop {user} in {orders}"),
            "organization.suspend globex in sys".to_owned(),
            "provider.put second in sys".to_owned(),
            format!("provider.use second in {orders}"),
            format!("provider.unuse second in {orders}"),
            "provider.drop second in sys".to_owned(),
        ]
    );
    assert_eq!(told[1].detail.as_deref(), Some("+finance -intern disabled attribute desk"));
    for event in &told {
        let actor = &event.actor;
        assert_eq!((actor.id.as_deref(), actor.scope.as_deref()), (Some("op-1"), Some("sys")), "{event:?}");
        assert_eq!((actor.address, actor.request.as_deref()), (Some("192.0.2.9".parse().unwrap()), Some("r-7")));
    }
    let all = format!("{told:?}");
    assert!(!all.contains("a stored hash") && !all.contains("secret desk"), "names, no values");

    let recorded = prepared.journal.query(&Filter::scope(orders).actor("sys/op-1")).await.unwrap();
    let actions: Vec<_> = recorded.iter().map(|record| record.action.as_str()).collect();
    let expected: Vec<_> =
        told.iter().filter(|e| e.scope.as_deref() == Some(orders)).map(|e| e.what.as_str()).collect();
    assert_eq!(actions, expected);
    for record in &recorded {
        assert_eq!((record.kind.as_str(), record.personal("ip")), ("change", Some("192.0.2.9")));
        assert_eq!(record.to_json()["record"]["request"], "r-7");
    }
    prepared.journal.verify(orders, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_administrators_change_is_told_and_recorded_once() {
    let folder = Folder::new("administrators");
    let (prepared, events) = start(&folder.config(FILE)).await;
    let before = events.all().len();
    let facts = Facts { ip: Some("192.0.2.9".parse().unwrap()), request_id: Some("r-8".into()), ..Facts::default() };
    let (admin, policy) = (&prepared.admin, &prepared.policy);
    let caller = |scope: Scope, id: &str, role: &str| {
        let participant = Participant::builder(scope, id).role(role).build();
        SecurityContext::new(policy, participant.into()).with_facts(facts.clone())
    };
    let umbrella = Scope::organization("umbrella").unwrap();
    let operator = caller(Scope::System, "op-1", "operator");
    let ann = admin.create_organization(&operator, "umbrella", NewMember::new("ann@u.example")).await.unwrap().id;
    let owner = caller(umbrella.clone(), &ann, "owner");
    let new = NewMember::new("bob@u.example").role("developer");
    let bob = admin.add_user(&owner, &umbrella, new).await.unwrap().id;
    let rule = SetSource { rules: vec![("r".into(), "forbid Platform.keys.create".into())], ..SetSource::default() };
    admin.draft(&owner, &umbrella, &rule, "", Some(0)).await.unwrap();
    admin.validate(&owner, &umbrella, 1).await.unwrap();
    admin.activate(&owner, &umbrella, 1, 0).await.unwrap();
    let told = events.all().split_off(before);
    assert_eq!(
        kinds(&told),
        [
            "organization.create umbrella in sys".to_owned(),
            format!("user.create {ann} in org:umbrella"),
            format!("user.create {bob} in org:umbrella"),
            "policies.draft 1 in org:umbrella".to_owned(),
            "policies.activate 1 in org:umbrella".to_owned(),
        ]
    );
    let actors: Vec<_> = told.iter().map(|event| event.actor.id.as_deref().unwrap()).collect();
    assert_eq!(actors, ["op-1", "op-1", &ann, &ann, &ann]);
    for actor in told.iter().map(|event| &event.actor) {
        assert_eq!((actor.address, actor.request.as_deref()), (Some("192.0.2.9".parse().unwrap()), Some("r-8")));
    }
    let recorded = prepared.journal.query(&Filter::scope("org:umbrella")).await.unwrap();
    let changes: Vec<_> = recorded.iter().filter(|record| record.kind == "change").collect();
    let actions: Vec<_> = changes.iter().map(|record| record.action.as_str()).collect();
    assert_eq!(actions, ["Platform.members.invite", "Platform.policies.draft", "Platform.policies.activate"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_ins_are_recorded_where_they_belong() {
    let folder = Folder::new("recorded");
    let (prepared, _) = start(&folder.config(FILE)).await;
    let users = furnish(prepared.store.as_ref()).await.unwrap();
    let alice = users.iter().find(|user| user.email.starts_with("alice")).unwrap();
    let id = sign_in(&prepared, alice.email, alice.password.expose(), alice.scope.clone()).await.unwrap();
    let _ = sign_in(&prepared, alice.email, "wrong", alice.scope.clone()).await;
    let _ = sign_in(&prepared, "nobody@acme.example", "wrong", alice.scope.clone()).await;
    let invented = Scope::application("invented", "by-a-stranger").unwrap();
    let _ = sign_in(&prepared, "nobody@acme.example", "wrong", invented).await;
    let of = async |scope: &str| {
        let found = prepared.journal.query(&Filter::scope(scope).kind(RecordKind::SignIn)).await.unwrap();
        found.into_iter().map(|record| (record.actor, record.outcome, record.resource)).collect::<Vec<_>>()
    };
    let orders = alice.scope.to_string();
    assert_eq!(
        of(&orders).await,
        [
            (format!("{orders}/{id}"), "allow".to_owned(), None),
            (format!("{orders}/nobody"), "deny".to_owned(), Some(format!("participant::{id}"))),
        ]
    );
    let strangers = of("sys").await;
    assert_eq!(strangers.len(), 2, "whoever is not known makes no chain: {strangers:?}");
    assert_eq!(strangers[1].0, "app:invented/by-a-stranger/nobody");
}

/// An audit that takes nothing.
#[derive(Debug)]
struct Full;

impl EventSink for Full {
    fn note<'a>(&'a self, event: &'a Event) -> AuditFuture<'a> {
        let full = event.kind == EventKind::SignIn;
        Box::pin(async move { if full { Err(AuditError("the disk is full".into())) } else { Ok(()) } })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_signs_in_unrecorded() {
    let folder = Folder::new("full");
    let prepared = Prepared::with(&folder.config(FILE), Arc::new(Full), |chain| chain).await.unwrap();
    let users = furnish(prepared.store.as_ref()).await.unwrap();
    let refused = sign_in(&prepared, users[0].email, users[0].password.expose(), users[0].scope.clone()).await;
    assert_eq!(refused, Err(AuthnCode::Unavailable));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_deployment_ends_what_was_signed_before() {
    let folder = Folder::new("epoch");
    let (prepared, _) = start(&folder.config(FILE)).await;
    let new = NewUser::new(Scope::application("acme", "orders").unwrap(), "a@acme.example");
    let user = prepared.store.add_user(new).await.unwrap();
    let token = prepared.issuer.access_token(&user, &["pwd"]).unwrap();
    let request = Credentials::of(Credential::Bearer(token));
    let good = |outcome: &Outcome| matches!(outcome, Outcome::Authenticated(_));
    assert!(good(&prepared.chain.authenticate(&request).await));
    let (restarted, _) = start(&folder.config(FILE)).await;
    assert!(good(&restarted.chain.authenticate(&request).await), "a restart ends nothing");
    restarted.store.begin_epoch().await.unwrap();
    let (restored, _) = start(&folder.config(FILE)).await;
    assert!(!good(&restored.chain.authenticate(&request).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_looks_at_providers_tokens_and_scopes() {
    let provider = Provider::start(
        "start-oidc-provider.mjs",
        &[("PORT", "0"), ("AT_ALG", "RS256"), ("AUDIENCE", "https://api.example.test")],
    )
    .await
    .unwrap();
    let issuer = provider.fact("issuer");
    let text = |issuer: &str| {
        FILE.replace("https://issuer.example", issuer).replace("\"api\"", "\"https://api.example.test\"")
    };
    let config = |issuer: &str| Config::check(&text(issuer), &Environment::default(), Path::new(".")).unwrap();
    let token = Secret::new(machine_token(issuer).await.unwrap());
    let examined = examine(&config(issuer), Some(&token)).await;
    let shown = examined.to_string();
    for part in [
        "ok     provider `main` has ",
        "look   scope `app:globex/shop`: provider `main` gives nobody a role",
        "ok     the token, by `main` in `app:acme/orders`: it is good",
        "`roles` becomes",
        "look   the token, by `main` in `app:acme/orders`: `email` is absent",
        "look   scope `org:globex` uses no provider; people need passwords here",
    ] {
        assert!(shown.contains(part), "{part}\nis not in\n{shown}");
    }
    assert!(examined.is_good() && !shown.contains(token.expose()), "{shown}");

    let elsewhere = issuer.replace("127.0.0.1", "localhost");
    let examined = examine(&config(&elsewhere), Some(&token)).await;
    assert!(!examined.is_good());
    let problem = "provider `main`: the metadata are those of another issuer";
    assert!(examined.0.contains(&Finding::Wrong(problem.into())), "{examined}");
    assert!(examined.to_string().contains("token_issuer"), "{examined}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_is_trusted_by_a_company_s_own_authority() {
    let folder = Folder::new("authority");
    let port = tests::free_port();
    let (pem, url) = (concat!(env!("CARGO_MANIFEST_DIR"), "/tls"), format!("https://localhost:{port}"));
    let tls = format!("tls_chain_file = \"{pem}/localhost.pem\"\ntls_key_file = \"{pem}/localhost.key\"\n");
    let config = folder.config(&format!("[server]\nlisten = \"127.0.0.1:{port}\"\nbase_url = \"{url}\"\n{tls}"));
    let (issuing, _) = start(&config).await;
    let gateway = issuing.gateway(&config).bind(config.listen).await.unwrap();
    let new = NewUser::new(config.application.clone(), "alice@example.com");
    let alice = issuing.store.add_user(new).await.unwrap();
    let token = issuing.issuer.access_token(&alice, &["pwd"]).unwrap();

    let file =
        format!("[[provider]]\nname = \"internal\"\nowner = \"sys\"\nissuer = \"{url}\"\naudience = [\"{url}\"]\n");
    let used = "[[provider.use]]\nscope = \"app:default/default\"\n";
    let trusting = |roots: &str| {
        let config = Config::check(&format!("{file}{roots}{used}"), &Environment::default(), &folder.0)?;
        resource_server(&config, Arc::new(SystemClock)).map(|chain| (chain, config))
    };
    let present = async |chain: &Chain| {
        let request = Credentials::of(Credential::Bearer(token.clone()));
        match chain.authenticate(&request).await {
            Outcome::Authenticated(found) => Ok(found.participant().subject().map(str::to_owned)),
            Outcome::Rejected(error) => Err(error.code()),
            Outcome::NotPresented => panic!("a token was presented"),
        }
    };
    let (own, config) = trusting(&format!("tls_roots_file = \"{pem}/ca.pem\"\n")).unwrap();
    assert_eq!(present(&own).await, Ok(Some(alice.id)));
    assert!(examine(&config, None).await.is_good());
    let (public, _) = trusting("").unwrap();
    assert_eq!(present(&public).await, Err(AuthnCode::Unavailable), "no public authority knows it");

    std::fs::write(folder.0.join("no.pem"), "nothing").unwrap();
    for (bad, part) in [("no.pem", "no certificate authority to trust"), ("none.pem", "cannot be read")] {
        let faults = trusting(&format!("tls_roots_file = \"{bad}\"\n")).unwrap_err();
        assert!(faults.to_string().contains(part), "{faults}");
    }
    gateway.shutdown().await;
}

/// A token of a provider that shares a secret.
fn token_of(name: &str, secret: &str) -> Credential {
    use base64::Engine as _;
    use hmac::{KeyInit as _, Mac as _};
    let encoded = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let ends = SystemClock.now().0 / 1_000 + 300;
    let claims = serde_json::json!({
        "iss": format!("https://{name}.example"), "aud": "orders", "sub": "s-1", "exp": ends, "iat": ends - 300,
    });
    let signed = format!("{}.{}", encoded(br#"{"alg":"HS256","typ":"JWT"}"#), encoded(claims.to_string().as_bytes()));
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    Credential::Bearer(Secret::new(format!("{signed}.{}", encoded(&mac.finalize().into_bytes()))))
}

/// Waits until a server lets a token in, or no more.
async fn lets_in(server: &Prepared, token: &Credential, expected: bool) {
    let started = std::time::Instant::now();
    loop {
        let scope = Scope::application("acme", "orders").unwrap();
        let request = Credentials::of(token.clone()).in_scope(scope);
        let outcome = server.chain.authenticate(&request).await;
        if matches!(outcome, Outcome::Authenticated(_)) == expected {
            return;
        }
        assert!(started.elapsed().as_secs() < 10, "expected {expected}: {outcome:?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

async fn connects(gateway: &Gateway, token: &Credential) -> Client {
    let Credential::Bearer(token) = token else { panic!("{token:?}") };
    let headers = Headers::bearer(token.expose().clone());
    let options = ConnectOptions::new("127.0.0.1").port(gateway.local_addr().port()).connect_headers(headers);
    Client::connect(options).await.unwrap()
}

/// Waits until so many connections are left, which is less than a second after the server knows why.
async fn stay(gateway: &Gateway, expected: usize) {
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(gateway.connections(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_provider_counts_on_every_server_of_a_database_without_a_start() {
    const FILE: &str = "[application]\norganization = \"acme\"\nid = \"orders\"\n";
    const SECRETS: [&str; 3] =
        ["the first of these secrets, long", "the second of these secrets, long", "another one, of 32 bytes and more"];
    let folder = Folder::new("changed");
    for url in ["sqlite:changed.db".to_owned(), postgres::fresh_database().unwrap()] {
        let environment = Environment::of([("DB_URL", url.as_str()), ("POLICY_KEY", &"5a".repeat(32))]);
        let config = Config::check(FILE, &environment, &folder.0).unwrap();
        let ((here, _), (there, _)) = (start(&config).await, start(&config).await);
        let gateway = there.gateway(&config).bind("127.0.0.1:0").await.unwrap();
        let offered = format!("http://{}/api/auth/app/acme/orders/login/providers", gateway.local_addr());
        let offered = async || send("GET", &offered, &[], "").await.unwrap().json().unwrap()[0]["id"].clone();
        let (acme, orders) = (Scope::organization("acme").unwrap(), config.application.clone());
        let owner = Participant::builder(acme.clone(), "u-ann").role("owner").build();
        let owner = SecurityContext::new(&here.policy, owner.into());
        let settings = |name: &str| {
            ProviderSettings::of("oidc").issuer(&format!("https://{name}.example")).audience("orders").client("ours")
        };
        let put = async |name: &str, secret: &str| {
            let secret = Secret::new(secret.as_bytes().to_vec());
            here.admin.put_provider(&owner, &acme, name, settings(name), Some(secret), None).await.unwrap();
        };
        let tokens = [token_of("first", SECRETS[0]), token_of("second", SECRETS[1]), token_of("first", SECRETS[2])];
        lets_in(&there, &tokens[0], false).await;
        let auto = ProvisioningSettings::Auto { domains: vec!["acme.example".into()], roles: vec![] };
        for (name, secret) in [("first", SECRETS[0]), ("second", SECRETS[1])] {
            put(name, secret).await;
            let used = ReferenceSettings::default();
            here.admin.use_provider(&owner, &orders, &format!("acme/{name}"), used).await.unwrap();
        }
        for server in [&here, &there] {
            lets_in(server, &tokens[0], true).await;
            lets_in(server, &tokens[1], true).await;
        }
        assert_eq!(offered().await, serde_json::Value::Null, "tokens alone make nobody who could sign in on a page");

        // Another secret ends what the former signed, and what is not changed goes on.
        put("first", SECRETS[2]).await;
        for server in [&here, &there] {
            lets_in(server, &tokens[2], true).await;
            lets_in(server, &tokens[0], false).await;
            lets_in(server, &tokens[1], true).await;
        }
        let used = ReferenceSettings::default().provisioning(auto);
        here.admin.use_provider(&owner, &orders, "acme/first", used).await.unwrap();
        lets_in(&there, &tokens[2], false).await;
        assert_eq!(offered().await, "acme~first", "who is stored can sign in on a page");

        // A method that is off takes nobody, on either server, until it is on again; who came by it does not stay.
        let connected = connects(&gateway, &tokens[1]).await;
        here.admin.set_methods(&owner, &orders, Some(&["password".to_owned()].into())).await.unwrap();
        for server in [&here, &there] {
            lets_in(server, &tokens[1], false).await;
        }
        stay(&gateway, 0).await;
        drop(connected);
        here.admin.set_methods(&owner, &orders, None).await.unwrap();
        for server in [&here, &there] {
            lets_in(server, &tokens[1], true).await;
        }

        // What cannot be used keeps nobody else out, neither now nor at the next start.
        let mut broken = settings("broken");
        broken.tls_roots = Some("no certificate".to_owned());
        here.store.put_configuration(&Configuration::new("acme/broken", acme.clone(), broken)).await.unwrap();
        let broken = Reference::new("acme/broken", orders.clone(), ReferenceSettings::default());
        here.store.put_reference(&broken).await.unwrap();
        let _connected = connects(&gateway, &tokens[1]).await;
        here.admin.remove_provider(&owner, &acme, "first").await.unwrap();
        lets_in(&there, &tokens[2], false).await;
        lets_in(&there, &tokens[1], true).await;
        let (again, _) = start(&config).await;
        lets_in(&again, &tokens[1], true).await;
        stay(&gateway, 1).await;
        here.admin.leave_provider(&owner, &orders, "acme/second").await.unwrap();
        for server in [&here, &there, &again] {
            lets_in(server, &tokens[1], false).await;
        }
        stay(&gateway, 0).await;
        assert_eq!(offered().await, serde_json::Value::Null);
        gateway.shutdown().await;
    }
}
