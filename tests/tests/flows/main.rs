//! What people do around signing in, end to end: over HTTP, with letters, on both databases.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use policy_runtime::Scope;
use policy_runtime::authn::password::hash;
use policy_runtime::config::{Config, Environment};
use policy_runtime::gateway::Gateway;
use policy_runtime::identity::{NewUser, User};
use policy_runtime::secret::Secret;
use policy_runtime::server::Prepared;
use policy_runtime::signin::ClientSettings;
use serde_json::{Value, json};
use tests::mail::Sink;
use tests::providers::{Answer, send};

mod attacks;
mod gone;
mod join;
mod pages;
mod passwords;
mod second;
mod sites;

const PASSWORD: &str = "a quite long pass phrase";
const OTHER: &str = "another rather long pass phrase";
const CALLBACK: &str = "https://shop.example/callback";
/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const KEY: &str = "hex:9f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c5b4a39281706f5e4d3c2b1a1";

/// A server with a shop where strangers register, a desk where they do not, and a vault that asks for a second factor.
struct Stand {
    prepared: Prepared,
    gateway: Gateway,
    sink: Sink,
}

fn file(port: u16, more: &str) -> String {
    format!(
        r#"
        {more}
        [application]
        organization = "acme"
        id = "shop"

        [[organization]]
        id = "acme"
        applications = ["shop", "desk", "vault"]
        shared_sign_in = ["shop", "desk"]

        [[scope]]
        scope = "app:acme/shop"
        registration = {{ roles = ["customer"] }}
        own_attributes = ["phone"]

        [[scope]]
        scope = "app:acme/vault"
        second_factor = "required"

        [[mail]]
        scope = "sys"
        host = "127.0.0.1"
        port = {port}
        tls = "none"
        from = "The shop <no-reply@shop.example>"
        "#
    )
}

fn scope(application: &str) -> Scope {
    Scope::application("acme", application).unwrap()
}

impl Stand {
    async fn new() -> Self {
        Self::of("sqlite::memory:", "[server]\nfounding = true\n").await
    }

    async fn of(database: &str, more: &str) -> Self {
        let sink = Sink::start().await.unwrap();
        let environment =
            Environment::of([("DB_URL", database), ("POLICY_KEY", KEY), ("POLICY_LISTEN", "127.0.0.1:0")]);
        let config = Config::check(&file(sink.port, more), &environment, &std::env::temp_dir()).unwrap();
        let prepared = Prepared::new(&config).await.unwrap();
        let gateway = prepared.gateway(&config).bind(config.listen).await.unwrap();
        let settings = ClientSettings::new("The shop").redirect_uri(CALLBACK);
        for (id, application) in [("app", "shop"), ("desk", "desk"), ("vault", "vault")] {
            prepared.sign_in.stored().clients.add_public(id, &scope(application), &settings).await.unwrap();
        }
        Self { prepared, gateway, sink }
    }

    async fn user(&self, application: &str, email: &str) -> User {
        let hashed = hash(&Secret::new(PASSWORD.to_owned())).unwrap();
        let user = NewUser::new(scope(application), email).password_hash(hashed).role("customer");
        self.prepared.store.add_user(user).await.unwrap()
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        send(method, &format!("http://{}{path}", self.gateway.local_addr()), headers, body).await.unwrap()
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.post_with("", path, body).await
    }

    async fn post_with(&self, cookie: &str, path: &str, body: Value) -> Answer {
        let mut headers = vec![("content-type", "application/json")];
        if !cookie.is_empty() {
            headers.push(("cookie", cookie));
        }
        self.send("POST", &format!("/api/auth{path}"), &headers, &body.to_string()).await
    }

    async fn form(&self, cookie: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let mut headers = vec![("content-type", "application/x-www-form-urlencoded")];
        if !cookie.is_empty() {
            headers.push(("cookie", cookie));
        }
        self.send("POST", path, &headers, &body.join("&")).await
    }

    async fn get(&self, cookie: &str, path: &str) -> Answer {
        let headers = if cookie.is_empty() { vec![] } else { vec![("cookie", cookie)] };
        self.send("GET", path, &headers, "").await
    }

    /// Whether a cookie lets somebody in.
    async fn is_signed_in(&self, cookie: &str) -> bool {
        !cookie.is_empty() && self.get(cookie, "/api/auth/me").await.status == 204
    }

    async fn login(&self, application: &str, email: &str, password: &str) -> Answer {
        let path = format!("/app/acme/{application}/login");
        self.post(&path, json!({ "email": email, "password": password })).await
    }

    /// What a client is given for the code that a browser is sent back with.
    async fn tokens(&self, client: &str, sent_back: &Answer) -> Value {
        let code = sent_back.head.split("code=").nth(1);
        let code = code.unwrap_or_else(|| panic!("{} {}", sent_back.head, sent_back.body));
        let fields = [
            ("grant_type", "authorization_code"),
            ("client_id", client),
            ("code", code.split('&').next().unwrap()),
            ("code_verifier", VERIFIER),
            ("redirect_uri", CALLBACK),
        ];
        self.form("", "/api/auth/oauth/token", &fields).await.json().unwrap()
    }

    /// The token of the letter of a number.
    async fn token(&self, number: usize) -> String {
        self.sink.letter(number).await.unwrap().token().unwrap()
    }
}

fn encoded(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    text.bytes().map(|b| if plain(&b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// What a client sends a browser with.
fn authorize(client: &str, more: &str) -> String {
    format!(
        "/api/auth/oauth/authorize?client_id={client}&response_type=code&redirect_uri={}\
         &scope=openid+offline_access&code_challenge={CHALLENGE}&code_challenge_method=S256{more}",
        encoded(CALLBACK)
    )
}

/// A database in SQLite that is gone with this.
struct Sqlite(std::path::PathBuf);

impl Sqlite {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("policy-flows-{name}-{}.db", std::process::id())))
    }

    fn url(&self) -> String {
        format!("sqlite:{}", self.0.display())
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        for end in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{end}", self.0.display()));
        }
    }
}
