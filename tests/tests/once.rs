//! Requests with an `Idempotency-Key`: done once and answered alike by all servers of a database.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use policy_runtime::config::{Config, Environment};
use policy_runtime::events::Actor;
use policy_runtime::gateway::Gateway;
use policy_runtime::secret::Secret;
use policy_runtime::server::Prepared;
use serde_json::{Value, json};
use tests::providers::{Answer, send};

const FILE: &str =
    "[server]\nsystem_sign_in = true\nrate_limits = false\n[application]\norganization = \"house\"\nid = \"desk\"\n";
const PASSWORD: &str = "a quite long pass phrase";
const KEY: &str = "hex:9f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c5b4a39281706f5e4d3c2b1a1";
const SYSTEM: (&str, &str) = ("authscopetype", "SYSTEM");
const ACME: (&str, &str) = ("organizationid", "acme");

struct Server {
    prepared: Prepared,
    gateway: Gateway,
}

impl Server {
    async fn start(database: &str) -> Self {
        let environment =
            Environment::of([("DB_URL", database), ("POLICY_KEY", KEY), ("POLICY_LISTEN", "127.0.0.1:0")]);
        let config = Config::check(FILE, &environment, &std::env::temp_dir()).unwrap();
        let prepared = Prepared::new(&config).await.unwrap();
        let gateway = prepared.gateway(&config).bind(config.listen).await.unwrap();
        Self { prepared, gateway }
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let url = format!("http://{}/api/v1{path}", self.gateway.local_addr());
        let all = [headers, &[("content-type", "application/json")]].concat();
        send(method, &url, &all, body).await.unwrap()
    }

    async fn post(&self, path: &str, who: &str, key: &str, body: &Value) -> Answer {
        self.send("POST", path, &[("authorization", who), ("idempotency-key", key)], &body.to_string()).await
    }

    async fn sign_in(&self, email: &str, scope: (&str, &str)) -> String {
        use base64::Engine as _;
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("{email}:{PASSWORD}"));
        let token = self.send("POST", "/token", &[("authorization", &format!("Basic {basic}")), scope], "").await;
        format!("Bearer {}", token.json().unwrap()["token"].as_str().unwrap())
    }
}

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    let mut lines = answer.head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

#[track_caller]
fn alike(first: &Answer, again: &Answer, status: u16) {
    assert_eq!((first.status, &first.body), (status, &again.body));
    assert_eq!(again.status, status, "{}", again.body);
    for name in ["content-type", "etag", "cache-control"] {
        assert_eq!(header(first, name), header(again, name), "{name}");
    }
}

/// Servers of one database, asked the same one after the other and at once.
async fn answered_once(one: &Server, two: &Server) {
    let token = one.prepared.bootstrap_token().await.unwrap().unwrap();
    let password = Secret::new(PASSWORD.to_owned());
    one.prepared.bootstrap(&token, "root@example.com", password, Actor::default()).await.unwrap();
    let root = one.sign_in("root@example.com", SYSTEM).await;
    let founded = |id: &str| json!({ "id": id, "owner": { "email": format!("boss@{id}.example"), "roles": [], "password": PASSWORD } });
    let acme = founded("acme");
    let first = one.post("/organizations", &root, "k-1", &acme).await;
    alike(&first, &two.post("/organizations", &root, "k-1", &acme).await, 201);
    alike(&first, &one.post("/organizations", &root, "k-1", &acme).await, 201);
    let other = two.post("/organizations", &root, "k-1", &founded("globex")).await;
    assert_eq!(other.status, 400, "the key is another request's: {}", other.body);
    assert_eq!(two.post("/organizations", &root, "k-2", &founded("globex")).await.status, 201);
    // What could not be done is answered alike, as the problem that it was.
    let refused = one.post("/organizations", &root, "k-3", &acme).await;
    assert_eq!(header(&refused, "content-type"), Some("application/problem+json"));
    alike(&refused, &two.post("/organizations", &root, "k-3", &acme).await, 409);
    // At once, by both: done by one, and the other says that it was begun, or what was answered.
    let hooli = founded("hooli");
    let (a, b) = tokio::join!(
        one.post("/organizations", &root, "k-4", &hooli),
        two.post("/organizations", &root, "k-4", &hooli),
    );
    let mut statuses = [a.status, b.status];
    statuses.sort_unstable();
    assert!(statuses == [201, 201] && a.body == b.body || statuses == [201, 409], "{} {}", a.body, b.body);

    // The entity tag is of the answer, and that which a request names is of the request.
    let boss = two.sign_in("boss@acme.example", ACME).await;
    let draft =
        json!({ "rules": [{ "id": "no", "text": "forbid Platform.keys.create unless participant.mfa == true" }] });
    let first = one.post("/scopes/org:acme/policies", &boss, "k-1", &draft).await;
    alike(&first, &two.post("/scopes/org:acme/policies", &boss, "k-1", &draft).await, first.status);
    assert_eq!(first.status, 201, "another caller's key is another one: {}", first.body);
    let number = first.json().unwrap()["number"].as_i64().unwrap();
    let path = format!("/scopes/org:acme/policies/{number}");
    assert_eq!(one.post(&format!("{path}/validate"), &boss, "k-5", &json!({})).await.status, 200);
    let activate = async |server: &Server, seen: &str| {
        let headers = [("authorization", &*boss), ("idempotency-key", "k-6"), ("if-match", seen)];
        server.send("POST", &format!("{path}/activate"), &headers, "").await
    };
    let first = activate(one, "\"0\"").await;
    assert!(header(&first, "etag").is_some(), "{}", first.head);
    alike(&first, &activate(two, "\"0\"").await, 200);
    assert_eq!(activate(two, "\"1\"").await.status, 400);

    // What was refused to a caller is asked again: a second factor or a role may open it.
    let key = json!({ "name": "robot" });
    assert_eq!(one.post("/scopes/org:acme/keys", &boss, "k-7", &key).await.status, 403);
    let headers = [("authorization", &*boss), ("if-match", &*format!("\"{number}\""))];
    let back = one.post("/scopes/org:acme/policies", &boss, "k-8", &json!({})).await.json().unwrap()["number"].clone();
    let path = format!("/scopes/org:acme/policies/{back}");
    assert_eq!(one.send("POST", &format!("{path}/validate"), &headers[..1], "").await.status, 200);
    assert_eq!(one.send("POST", &format!("{path}/activate"), &headers, "").await.status, 200);
    let made = one.post("/scopes/org:acme/keys", &boss, "k-7", &key).await;
    assert_eq!(made.status, 201, "{}", made.body);
    // What is shown once is neither shown nor made again, and is not kept.
    let again = two.post("/scopes/org:acme/keys", &boss, "k-7", &key).await;
    assert!(again.status == 409 && again.body.contains("not shown again"), "{}", again.body);
    let keys = two.send("GET", "/scopes/org:acme/keys", &headers[..1], "").await;
    let made = keys.json().unwrap()["items"].as_array().map(Vec::len);
    assert_eq!(made, Some(1), "{}", keys.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_answers_once_in_sqlite() {
    let folder = std::env::temp_dir().join(format!("policy-once-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let server = Server::start(&format!("sqlite:{}/once.db?mode=rwc", folder.display())).await;
    answered_once(&server, &server).await;
    let kept = std::fs::read_dir(&folder).unwrap().flat_map(|file| std::fs::read(file.unwrap().path()).unwrap());
    let kept = String::from_utf8_lossy(&kept.collect::<Vec<_>>()).into_owned();
    assert!(
        kept.contains("policy_requests") && !kept.contains("idempotency"),
        "the tables are read as they are stored"
    );
    assert!(!kept.contains("\"headers\":"), "answers are sealed");
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_of_one_database_answer_once_in_postgres() {
    let database = tests::postgres::fresh_database().unwrap();
    answered_once(&Server::start(&database).await, &Server::start(&database).await).await;
}
