//! A sign-in server over a database in memory, asked as a browser and as clients ask it.

use std::collections::BTreeMap;

use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode};
use policy_core::Scope;
use serde_json::Value;
use tower::ServiceExt as _;

use super::*;
use crate::authn::Outcome;
use crate::authn::password::{PasswordAuthenticator, Throttle, hash};
use crate::clock::FixedClock;
use crate::credential::{Credential, Credentials};
use crate::database::DatabaseAddress;
use crate::edge::Arrival;
use crate::events::MemoryEvents;
use crate::identity::{Directory, NewUser, User};
use crate::seal::SealingKeys;

mod authorize;
mod founding;
mod keys;
mod leaving;
mod letters;
mod linking;
mod provider;
mod relying;
mod tokens;

pub(super) const NOW: i64 = 1_795_311_717_000;
const URL: &str = "https://id.example";
const PASSWORD: &str = "a quite long pass phrase";
const CALLBACK: &str = "https://shop.example/callback";
/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

struct Fixture {
    store: Arc<SqlStore>,
    clock: FixedClock,
    stored: Stored,
    chain: Chain,
    events: Arc<MemoryEvents>,
    sessions: Sessions,
    server: SignIn,
    router: Router,
    alice: User,
    /// Of the client `shop`, and of `stranger`, which belongs to somebody else.
    secrets: BTreeMap<&'static str, Secret<String>>,
}

struct Told {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Told {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{}: {}", self.status, self.body))
    }

    fn text(&self, name: &str) -> String {
        self.json()[name].as_str().unwrap_or_else(|| panic!("no `{name}` in {}", self.body)).to_owned()
    }

    fn location(&self) -> String {
        let location = self.headers.get("location").unwrap_or_else(|| panic!("{}: {}", self.status, self.body));
        location.to_str().unwrap().to_owned()
    }

    /// A parameter of the address that the browser is sent to.
    fn param(&self, name: &str) -> Option<String> {
        let location = self.location();
        let query = location.split_once('?').unwrap().1;
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs.find(|(own, _)| own == name).map(|(_, value)| value.into_owned())
    }

    fn cookie(&self) -> String {
        self.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned()
    }
}

fn encoded(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

impl Fixture {
    async fn new() -> Self {
        let clock = FixedClock::at(NOW);
        let sealing = SealingKeys::new(&Secret::new([5; 32]));
        let store = Arc::new(SqlStore::new(Database::open(&DatabaseAddress::Memory).await.unwrap()).sealing(sealing));
        store.add_organization("acme").await.unwrap();
        store.add_application("acme", "shop").await.unwrap();
        store.add_application("acme", "desk").await.unwrap();
        let shop = Scope::application("acme", "shop").unwrap();
        let hashed = hash(&Secret::new(PASSWORD.to_owned())).unwrap();
        let alice = NewUser::new(shop.clone(), "alice@example.com").display_name("Alice <3").role("finance");
        let alice = store.add_user(alice.password_hash(hashed)).await.unwrap();

        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let stored = Stored::of(&store, shared.clone(), Algorithm::EdDsa).unwrap();
        let settings = ClientSettings::new("The shop").redirect_uri(CALLBACK).word("orders:read");
        let mut secrets = BTreeMap::new();
        let own = stored.clients.add_confidential("shop", &shop, &settings).await.unwrap();
        secrets.insert("shop", own);
        let strangers = settings.clone().third_party();
        secrets.insert("stranger", stored.clients.add_confidential("stranger", &shop, &strangers).await.unwrap());
        stored.clients.add_public("app", &shop, &settings).await.unwrap();
        let robot = ClientSettings::new("The robot").word("orders:read").for_itself(["packer"]);
        secrets.insert("robot", stored.clients.add_confidential("robot", &shop, &robot).await.unwrap());

        let issuer = stored.issuer(URL, store.clone()).await.unwrap();
        let sessions = Sessions::new(shared.clone()).stored_in(store.clone());
        let chain = Chain::builder()
            .with(PasswordAuthenticator::new(store.clone(), shared.clone()).throttle(Throttle::off()))
            .with(issuer.clone())
            .with(sessions.clone())
            .build();
        let events = Arc::new(MemoryEvents::default());
        let server = SignIn::new(stored.clone(), issuer, store.clone(), chain.clone(), events.clone()).unwrap();
        let server = server.pages(sessions.clone(), Listener::serving(shop));
        let router = server.routes();
        Self { store, clock, stored, chain, events, sessions, server, router, alice, secrets }
    }

    async fn send(&self, method: Method, uri: &str, headers: &[(&str, &str)], body: String) -> Told {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::from(body)).unwrap();
        request.extensions_mut().insert(Arrival::new([192, 0, 2, 7].into(), true));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        Told { status: parts.status, headers: parts.headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    async fn get(&self, uri: &str, cookie: &str) -> Told {
        self.send(Method::GET, uri, &[("cookie", cookie)], String::new()).await
    }

    /// A browser sends a form of a page of this server.
    async fn form(&self, uri: &str, cookie: &str, fields: &[(&str, &str)]) -> Told {
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("host", "id.example"),
            ("origin", "https://id.example"),
            ("cookie", cookie),
        ];
        self.send(Method::POST, uri, &headers, encoded(fields)).await
    }

    /// A client asks an endpoint, and shows its secret if it has one.
    async fn ask(&self, client: &str, endpoint: &str, fields: &[(&str, &str)]) -> Told {
        let mut fields = fields.to_vec();
        fields.push(("client_id", client));
        if let Some(secret) = self.secrets.get(client) {
            fields.push(("client_secret", secret.expose()));
        }
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        self.send(Method::POST, &format!("/api/auth/oauth/{endpoint}"), &headers, encoded(&fields)).await
    }

    /// Signs Alice in for a client, and gives the code.
    async fn code(&self, client: &str, scope: &str) -> String {
        let uri = authorize_uri(client, &[("scope", scope)]);
        let told = self.form(&uri, "", &[("email", "alice@example.com"), ("password", PASSWORD)]).await;
        told.param("code").unwrap()
    }

    async fn exchange(&self, client: &str, code: &str) -> Told {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        self.ask(client, "token", &fields).await
    }

    async fn refresh(&self, client: &str, token: &str) -> Told {
        self.ask(client, "token", &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    async fn is_active(&self, client: &str, token: &str) -> bool {
        self.ask(client, "introspect", &[("token", token)]).await.json()["active"].as_bool().unwrap()
    }
}

/// What a client asks for, with some of it said otherwise; an empty value leaves it out.
fn authorize_uri(client: &str, otherwise: &[(&str, &str)]) -> String {
    let mut fields: BTreeMap<&str, &str> = BTreeMap::from([
        ("client_id", client),
        ("redirect_uri", CALLBACK),
        ("response_type", "code"),
        ("scope", "openid email offline_access"),
        ("state", "s-1"),
        ("nonce", "n-1"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ]);
    fields.extend(otherwise.iter().copied());
    fields.retain(|_, value| !value.is_empty());
    let fields: Vec<_> = fields.into_iter().collect();
    format!("/api/auth/oauth/authorize?{}", encoded(&fields))
}
