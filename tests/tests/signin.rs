//! The sign-in server over both databases, as several clients use it at once.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use policy_runtime::Scope;
use policy_runtime::authn::password::hash;
use policy_runtime::config::{Config, Environment};
use policy_runtime::gateway::Gateway;
use policy_runtime::identity::NewUser;
use policy_runtime::secret::Secret;
use policy_runtime::server::Prepared;
use policy_runtime::signin::ClientSettings;
use policy_runtime::wire::Command;
use serde_json::json;
use tests::providers::{Answer, send};
use tests::raw::{Ended, Raw};

const FILE: &str = "[application]\norganization = \"acme\"\nid = \"shop\"\n";
const PASSWORD: &str = "a quite long pass phrase";
const CALLBACK: &str = "https://shop.example/callback";
/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const KEY: &str = "hex:9f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c5b4a39281706f5e4d3c2b1a1";

struct Server {
    prepared: Prepared,
    gateway: Gateway,
}

async fn start(database: &str) -> Server {
    let environment = Environment::of([("DB_URL", database), ("POLICY_KEY", KEY), ("POLICY_LISTEN", "127.0.0.1:0")]);
    let config = Config::check(FILE, &environment, &std::env::temp_dir()).unwrap();
    let prepared = Prepared::new(&config).await.unwrap();
    let gateway = prepared.gateway(&config).bind(config.listen).await.unwrap();
    Server { prepared, gateway }
}

impl Server {
    async fn form(&self, path: &str, fields: &str) -> Answer {
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        send("POST", &format!("http://{}{path}", self.gateway.local_addr()), &headers, fields).await.unwrap()
    }

    async fn code(&self) -> String {
        let callback = CALLBACK.replace(':', "%3A").replace('/', "%2F");
        let path = format!(
            "/api/auth/oauth/authorize?client_id=app&response_type=code&redirect_uri={callback}\
             &scope=openid+offline_access&code_challenge={CHALLENGE}&code_challenge_method=S256"
        );
        let fields = format!("email=alice%40example.com&password={}", PASSWORD.replace(' ', "+"));
        let told = self.form(&path, &fields).await;
        let code = told.head.split("code=").nth(1).unwrap_or_else(|| panic!("{} {}", told.status, told.head));
        code.split('&').next().unwrap().to_owned()
    }

    async fn exchange(&self, code: &str) -> Answer {
        let fields = format!(
            "grant_type=authorization_code&client_id=app&code={code}&code_verifier={VERIFIER}&redirect_uri={CALLBACK}"
        );
        self.form("/api/auth/oauth/token", &fields).await
    }

    async fn refresh(&self, token: &str) -> Answer {
        let fields = format!("grant_type=refresh_token&client_id=app&refresh_token={token}");
        self.form("/api/auth/oauth/token", &fields).await
    }

    async fn add_alice(&self) {
        let hashed = hash(&Secret::new(PASSWORD.to_owned())).unwrap();
        let shop = Scope::application("acme", "shop").unwrap();
        let alice = NewUser::new(shop, "alice@example.com").password_hash(hashed);
        self.prepared.store.add_user(alice).await.unwrap();
    }

    async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        send("POST", &format!("http://{}/api/auth{path}", self.gateway.local_addr()), headers, body).await.unwrap()
    }

    async fn cookie(&self) -> String {
        let body = json!({ "email": "alice@example.com", "password": PASSWORD }).to_string();
        let told = self.post("/app/acme/shop/login", &[("content-type", "application/json")], &body).await;
        assert_eq!(told.status, 204, "{}", told.body);
        told.cookies()
    }

    /// A connection, if a ticket opens one.
    async fn connects(&self, ticket: &str) -> Option<Raw> {
        let mut raw = Raw::dial(&self.gateway, &[]).await.unwrap();
        raw.say(&format!("CONNECT\naccept-version:1.2\nauthorization:Bearer {ticket}\n\n\0")).await;
        raw.frame().await.ok().filter(|frame| frame.command == Command::Connected).map(|_| raw)
    }

    /// Whether the server itself takes a token.
    async fn lets_in(&self, token: &str) -> bool {
        let header = format!("Bearer {token}");
        let url = format!("http://{}/api/auth/me", self.gateway.local_addr());
        send("GET", &url, &[("authorization", &header)], "").await.unwrap().status == 204
    }
}

/// Two servers over one database, asked for the same thing at once: one of all is given it.
async fn one_winner(database: &str) {
    let (first, second) = (start(database).await, start(database).await);
    let shop = Scope::application("acme", "shop").unwrap();
    first.add_alice().await;
    let settings = ClientSettings::new("The shop").redirect_uri(CALLBACK);
    first.prepared.sign_in.stored().clients.add_public("app", &shop, &settings).await.unwrap();

    let told = first.exchange(&first.code().await).await.json().unwrap();
    let access = told["access_token"].as_str().unwrap();
    assert!(first.lets_in(access).await && second.lets_in(access).await, "one key signs for both");

    for _ in 0..3 {
        let code = first.code().await;
        let tries = [first.exchange(&code), second.exchange(&code), first.exchange(&code), second.exchange(&code)];
        let tries = futures_util::future::join_all(tries).await;
        let won: Vec<_> = tries.iter().filter(|told| told.status == 200).collect();
        assert_eq!(won.len(), 1, "{tries:?}");
        assert!(tries.iter().all(|told| told.status == 200 || told.body.contains("invalid_grant")), "{tries:?}");

        let told = first.exchange(&first.code().await).await.json().unwrap();
        let (access, refresh) = (told["access_token"].as_str().unwrap(), told["refresh_token"].as_str().unwrap());
        let tries = [first.refresh(refresh), second.refresh(refresh), first.refresh(refresh), second.refresh(refresh)];
        let tries = futures_util::future::join_all(tries).await;
        assert_eq!(tries.iter().filter(|told| told.status == 200).count(), 1, "{tries:?}");
        assert!(tries.iter().all(|told| told.status == 200 || told.body.contains("invalid_grant")), "{tries:?}");
        assert!(!second.lets_in(access).await, "the replays have ended the family");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_good_once_has_one_winner_in_sqlite() {
    let path = std::env::temp_dir().join(format!("policy-signin-{}.db", std::process::id()));
    Box::pin(one_winner(&format!("sqlite:{}", path.display()))).await;
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", path.display()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_good_once_has_one_winner_in_postgres() {
    Box::pin(one_winner(&tests::postgres::fresh_database().unwrap())).await;
}

/// Two servers over one database: a ticket opens one connection, which goes on as long as its session.
async fn one_connection(database: &str) {
    let (first, second) = (start(database).await, start(database).await);
    first.add_alice().await;
    let cookie = first.cookie().await;
    let ticket = async || {
        let told = first.post("/ticket", &[("cookie", &cookie)], "").await;
        assert_eq!(told.status, 200, "{}", told.body);
        let told = told.json().unwrap();
        assert_eq!(told["expiresIn"], 60);
        told["ticket"].as_str().unwrap().to_owned()
    };
    let mut connections = Vec::new();
    for _ in 0..3 {
        let own = ticket().await;
        assert!(!first.lets_in(&own).await, "it opens connections alone");
        let tries = [&first, &second, &first, &second].map(|server| Box::pin(server.connects(&own)));
        let opened: Vec<Raw> = futures_util::future::join_all(tries).await.into_iter().flatten().collect();
        assert_eq!(opened.len(), 1);
        connections.extend(opened);
    }
    let unused = ticket().await;
    let bearer = format!("Bearer {}", ticket().await);
    assert_eq!(
        first.post("/ticket", &[("authorization", &bearer)], "").await.status,
        401,
        "nor is it good for another"
    );
    assert_eq!(first.post("/logout", &[("cookie", &cookie)], "").await.status, 204);
    for mut raw in connections {
        assert_ne!(raw.end(std::time::Duration::from_secs(5)).await, Ended::Silent, "it ends with the session");
    }
    assert!(second.connects(&unused).await.is_none(), "nor does the session live on in what was not used");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_opens_one_connection_in_sqlite() {
    let path = std::env::temp_dir().join(format!("policy-tickets-{}.db", std::process::id()));
    Box::pin(one_connection(&format!("sqlite:{}", path.display()))).await;
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", path.display()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_opens_one_connection_in_postgres() {
    Box::pin(one_connection(&tests::postgres::fresh_database().unwrap())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_are_for_sessions_of_this_site_alone() {
    let server = start("sqlite::memory:").await;
    server.add_alice().await;
    let cookie = server.cookie().await;
    let shop = Scope::application("acme", "shop").unwrap();
    let settings = ClientSettings::new("The shop").redirect_uri(CALLBACK);
    server.prepared.sign_in.stored().clients.add_public("app", &shop, &settings).await.unwrap();
    let told = server.exchange(&server.code().await).await.json().unwrap();
    let bearer = format!("Bearer {}", told["access_token"].as_str().unwrap());
    for (headers, status) in [
        (&[][..], 401),
        (&[("cookie", &*cookie), ("origin", "https://evil.example")][..], 403),
        (&[("cookie", &*cookie), ("sec-fetch-site", "cross-site")], 403),
        (&[("authorization", &*bearer)], 403),
        (&[("cookie", &*cookie)], 200),
    ] {
        assert_eq!(server.post("/ticket", headers, "").await.status, status, "{headers:?}");
    }
}
