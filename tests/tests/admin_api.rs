//! Administration over HTTP, as people do it: from the first operator to a rule that turns a live connection.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use policy_runtime::admin::Api;
use policy_runtime::client::{Client, ConnectOptions, Headers};
use policy_runtime::config::{Config, Environment};
use policy_runtime::events::Actor;
use policy_runtime::gateway::Gateway;
use policy_runtime::secret::Secret;
use policy_runtime::server::Prepared;
use serde_json::{Value, json};
use tests::orders::{OrderService, OrderServiceProxy};

const PASSWORD: &str = "a quite long pass phrase";
const FILE: &str = "
[server]
system_sign_in = true
rate_limits = false
[application]
organization = \"house\"
id = \"desk\"
[audit]
decisions = \"all\"
inputs = true
";

struct Stand {
    prepared: Prepared,
    gateway: Gateway,
}

struct Answer {
    status: u16,
    head: String,
    body: Value,
}

impl Answer {
    fn header(&self, name: &str) -> Option<String> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    }

    #[track_caller]
    fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }
}

impl Stand {
    async fn start() -> Self {
        let config = Config::check(FILE, &Environment::of([]), Path::new(".")).unwrap();
        let prepared = Prepared::new(&config).await.unwrap();
        let token = prepared.bootstrap_token().await.unwrap().unwrap();
        let password = Secret::new(PASSWORD.to_owned());
        prepared.bootstrap(&token, "root@example.com", password, Actor::default()).await.unwrap();
        let gateway = prepared.gateway(&config).service(Arc::new(OrderService::default()));
        Self { gateway: gateway.bind("127.0.0.1:0").await.unwrap(), prepared }
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<Value>) -> Answer {
        let address = self.gateway.local_addr();
        let mut head = format!("{method} /api/v1{path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        if !body.is_empty() {
            head.extend(["content-type: application/json\r\ncontent-length: ", &body.len().to_string(), "\r\n"]);
        }
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        tokio::task::spawn_blocking(move || exchange(address, &format!("{head}\r\n{body}"))).await.unwrap()
    }

    /// A token for a password, as a program takes it.
    async fn sign_in(&self, email: &str, scope: &[(&str, &str)]) -> String {
        use base64::Engine as _;
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("{email}:{PASSWORD}"));
        let basic = format!("Basic {basic}");
        let headers: Vec<_> = scope.iter().copied().chain([("authorization", basic.as_str())]).collect();
        let token = self.send("POST", "/token", &headers, None).await.expect(200);
        format!("Bearer {}", token["token"].as_str().unwrap())
    }
}

fn exchange(address: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let lines = || Value::from(body.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>());
    let body = if head.contains("x-ndjson") { lines() } else { serde_json::from_str(body).unwrap_or(Value::Null) };
    Answer { status, head: head.to_owned(), body }
}

const SYSTEM: &[(&str, &str)] = &[("authscopetype", "SYSTEM")];
const ACME: &[(&str, &str)] = &[("organizationid", "acme")];

fn user(email: &str, roles: &[&str]) -> Value {
    json!({ "email": email, "roles": roles, "password": PASSWORD })
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_first_operator_to_a_rule_that_turns_a_live_connection() {
    let stand = Stand::start().await;
    let root = stand.sign_in("root@example.com", SYSTEM).await;
    let root = [("authorization", root.as_str())];
    let me = stand.send("GET", "/whoami", &root, None).await.expect(200);
    assert_eq!(
        (&me["scope"], &me["roles"], &me["may"]["Platform.createOrganization"]),
        (&json!("sys"), &json!(["administrator"]), &json!("always"))
    );
    let acme = json!({ "id": "acme", "owner": user("ann@acme.example", &[]) });
    stand.send("POST", "/organizations", &root, Some(acme)).await.expect(201);

    // The owner makes an application with a user, who connects.
    let ann = stand.sign_in("ann@acme.example", ACME).await;
    let ann = [("authorization", ann.as_str())];
    stand.send("POST", "/organizations/acme/applications", &ann, Some(json!({ "id": "orders" }))).await.expect(201);
    let carol = user("carol@acme.example", &["finance"]);
    stand.send("POST", "/scopes/app:acme%2Forders/users", &ann, Some(carol)).await.expect(201);
    let headers = Headers::basic("carol@acme.example", PASSWORD).for_application("acme", "orders");
    let options = ConnectOptions::new("127.0.0.1").port(stand.gateway.local_addr().port()).connect_headers(headers);
    let client = Client::connect(options).await.unwrap();
    let orders = OrderServiceProxy::new(Arc::new(client.clone()));
    let order = || serde_json::from_value(json!({ "amount": 10 })).unwrap();
    orders.place_order(order()).await.unwrap();

    // A slip is told at the word.
    let draft = |text: &str| json!({ "rules": [{ "id": "mfa-for-orders", "text": text }], "comment": "second factor" });
    let path = "/scopes/org:acme/policies";
    let text = "forbid com.example.OrderService.placeOrder unless participant.mfa == 'yes'";
    let slip = stand.send("POST", path, &ann, Some(draft(text))).await.expect(201)["number"].as_i64().unwrap();
    let refused = stand.send("POST", &format!("{path}/{slip}/validate"), &ann, None).await;
    assert_eq!(refused.header("content-type").as_deref(), Some("application/problem+json"));
    let refused = refused.expect(422);
    let told = refused["findings"][0]["message"].as_str().unwrap();
    let column = told.lines().find(|line| line.contains(text)).unwrap().find(text).unwrap();
    let marked = told.lines().find_map(|line| line.find('^')).unwrap();
    assert!(marked >= column + text.find("participant").unwrap(), "{told}");
    let unknown = draft("forbid com.example.OrderService.placeOrders unless participant.mfa");
    let unknown = stand.send("POST", path, &ann, Some(unknown)).await.expect(201)["number"].as_i64().unwrap();
    let refused = stand.send("POST", &format!("{path}/{unknown}/validate"), &ann, None).await.expect(422);
    assert!(refused.to_string().contains("did you mean `com.example.OrderService.placeOrder`?"), "{refused}");

    // The rule, validated and activated: the next call of the live connection turns.
    let rule = draft("forbid com.example.OrderService.placeOrder unless participant.mfa == true");
    let number = stand.send("POST", path, &ann, Some(rule)).await.expect(201)["number"].as_i64().unwrap();
    let activate = |number: i64| format!("{path}/{number}/activate");
    stand.send("POST", &activate(number), &ann, None).await.expect(428);
    let seen = |tag: &'static str| [ann[0], ("if-match", tag)];
    stand.send("POST", &activate(number), &seen("\"0\""), None).await.expect(412);
    let review = stand.send("POST", &format!("{path}/{number}/validate"), &ann, None).await;
    assert_eq!(review.header("etag").as_deref(), Some("\"0\""));
    assert_eq!(review.expect(200)["warnings"], json!([]));
    stand.send("POST", &activate(number), &seen("\"7\""), None).await.expect(412);
    let began = Instant::now();
    let done = stand.send("POST", &activate(number), &seen("\"0\""), None).await.expect(200);
    assert_eq!((&done["version"], &done["before"]), (&json!(number), &json!(0)));
    let denied = orders.place_order(order()).await.unwrap_err();
    assert!(denied.to_string().contains("STEP_UP_REQUIRED"), "{denied}");
    assert!(began.elapsed() < Duration::from_secs(2));

    // Undone: the version of before, which here is what the organization began with.
    let plain = stand.send("POST", path, &ann, Some(json!({ "comment": "as shipped" }))).await.expect(201);
    let plain = plain["number"].as_i64().unwrap();
    stand.send("POST", &format!("{path}/{plain}/validate"), &ann, None).await.expect(200);
    let tag = stand.send("GET", path, &ann, None).await.header("etag").unwrap();
    stand.send("POST", &activate(plain), &[ann[0], ("if-match", &tag)], None).await.expect(200);
    orders.place_order(order()).await.unwrap();

    // Evidence: who did it, and why the call was refused.
    let changes = stand.send("GET", "/scopes/org:acme/audit?kind=change", &ann, None).await.expect(200);
    let actions: BTreeSet<&str> =
        changes["items"].as_array().unwrap().iter().filter_map(|one| one["record"]["action"].as_str()).collect();
    assert!(
        actions.contains("Platform.policies.activate") && actions.contains("Platform.applications.create"),
        "{actions:?}"
    );
    let denials = "/scopes/app:acme%2Forders/audit?outcome=deny&action=com.example.OrderService.placeOrder";
    let denials = stand.send("GET", denials, &ann, None).await.expect(200);
    assert_eq!(denials["items"][0]["record"]["details"]["policy"], json!("mfa-for-orders"), "{denials}");
    let counts = stand.send("GET", "/scopes/app:acme%2Forders/audit/counts", &ann, None).await.expect(200);
    assert!(counts.as_array().unwrap().iter().any(|one| one["outcome"] == "deny"));
    let lines = stand.send("GET", "/scopes/org:acme/audit/export", &ann, None).await.expect(200);
    assert!(lines.as_array().unwrap().len() > 3);
    let anchor = stand.send("GET", "/scopes/org:acme/audit/anchor", &ann, None).await.expect(200);
    stand.send("POST", "/scopes/org:acme/audit/verify", &ann, Some(anchor)).await.expect(200);
    let manifest = stand.send("GET", "/scopes/org:acme/manifest", &ann, None).await.expect(200);
    assert!(manifest.to_string().contains("com.example.OrderService.placeOrder"));
    drop(client);
    drop(stand.prepared);
}

/// As an attacker would.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_gets_over_http() {
    let stand = Stand::start().await;
    let root = stand.sign_in("root@example.com", SYSTEM).await;
    let root = [("authorization", root.as_str())];
    for id in ["acme", "globex"] {
        let owner = user(&format!("boss@{id}.example"), &[]);
        stand.send("POST", "/organizations", &root, Some(json!({ "id": id, "owner": owner }))).await.expect(201);
    }
    let boss = stand.sign_in("boss@acme.example", ACME).await;
    let boss = [("authorization", boss.as_str())];
    // Nothing without credentials but the document.
    let document = stand.send("GET", "/openapi.json", &[], None).await.expect(200);
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path = path.strip_prefix("/api/v1").unwrap().replace("{scope}", "org:acme").replace("{with}", "org:acme");
        let path = path.replace("{organization}", "acme").replace("{number}", "1").replace(['{', '}'], "");
        let query = match path.rsplit('/').next().unwrap() {
            "who" => "?action=x",
            "bundle" => "?manifest=x&nonce=x",
            _ => "",
        };
        let path = format!("{path}{query}");
        for method in methods.as_object().unwrap().keys() {
            let answer = stand.send(&method.to_ascii_uppercase(), &path, &[], Some(json!({}))).await;
            assert_eq!(answer.status, 401, "{method} {path}");
            // Another organization, and one that is not there: the same answer for each endpoint.
            if path.contains("acme") && method != "put" {
                let mut told = Vec::new();
                for other in ["globex", "nowhere"] {
                    let body = match path.rsplit('/').next().unwrap() {
                        "users" => user("x@y.example", &[]),
                        "applications" => json!({ "id": "x" }),
                        "verify" => Value::Null,
                        "explain" => json!({ "request": {} }),
                        "manifests" => json!({ "version": "1", "manifest": {} }),
                        _ => json!({}),
                    };
                    let answer = stand
                        .send(
                            &method.to_ascii_uppercase(),
                            &path.replace("acme", other),
                            &[boss[0], ("if-match", "\"0\"")],
                            Some(body),
                        )
                        .await;
                    let text = answer.body["detail"].to_string().replace(other, "X");
                    told.push((answer.status, text, answer.header("content-length").map(|_| ())));
                }
                assert_eq!(told[0], told[1], "{method} {path}");
                assert_eq!(told[0].0, 404, "{method} {path} {told:?}");
            }
        }
    }
    // Members that no endpoint takes: nobody becomes somebody else, or of another scope.
    let path = "/scopes/org:acme/users";
    for more in ["scope", "id", "epoch", "passwordHash"] {
        let mut new = user("eve@acme.example", &[]);
        new[more] = json!("org:globex");
        stand.send("POST", path, &boss, Some(new)).await.expect(400);
    }
    stand.send("POST", path, &boss, Some(user("eve@acme.example", &[]))).await.expect(201);
    let weak = json!({ "email": "mal@acme.example", "password": "password" });
    stand.send("POST", path, &boss, Some(weak)).await.expect(422);
    // A form of another site, and too large a body.
    let form = [boss[0], ("content-type", "text/plain")];
    stand.send("POST", path, &form, None).await.expect(415);
    let huge = json!({ "comment": "x".repeat(9 << 20) });
    stand.send("POST", "/scopes/org:acme/policies", &boss, Some(huge)).await.expect(413);
    let deep = format!("forbid Platform.policies.own when {}participant.mfa{}", "(".repeat(5_000), ")".repeat(5_000));
    let deep = json!({ "rules": [{ "id": "deep", "text": deep }] });
    let deep = stand.send("POST", "/scopes/org:acme/policies", &boss, Some(deep)).await.expect(201)["number"].clone();
    stand.send("POST", &format!("/scopes/org:acme/policies/{deep}/validate"), &boss, None).await.expect(422);
    // A token is not renewed by a token, and a key makes none.
    stand.send("POST", "/token", &boss, None).await.expect(403);
    let asked = |name: &str| json!({ "roles": ["admin"], "attributes": { name: "eu" } });
    let refused = stand.send("POST", "/scopes/org:acme/keys", &boss, Some(asked("tenant"))).await.expect(422);
    assert!(refused["detail"].as_str().unwrap().contains("`tenant` is built in"), "{refused}");
    let key = stand.send("POST", "/scopes/org:acme/keys", &boss, Some(asked("region"))).await.expect(201);
    assert_eq!(key["attributes"], json!({ "region": "eu" }));
    let machine = [("x-api-key", key["key"].as_str().unwrap())];
    stand.send("POST", "/token", &machine, None).await.expect(403);
    stand.send("POST", "/scopes/org:acme/keys", &machine, Some(json!({ "roles": ["owner"] }))).await.expect(403);
    let listed = stand.send("GET", "/scopes/org:acme/keys", &boss, None).await.expect(200);
    assert!(!listed.to_string().contains(key["key"].as_str().unwrap()));
    // A scope that is none, and pages.
    stand.send("GET", "/scopes/acme/users", &boss, None).await.expect(400);
    let first = stand.send("GET", &format!("{path}?limit=1"), &boss, None).await.expect(200);
    let next = format!("{path}?limit=1&after={}", first["next"].as_str().unwrap());
    let second = stand.send("GET", &next, &boss, None).await.expect(200);
    assert!(second["next"].is_null() && second["items"][0]["id"] != first["items"][0]["id"]);
    stand.send("GET", &format!("{path}?limit=1&order=x"), &boss, None).await.expect(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_the_routes() {
    let stand = Stand::start().await;
    let served = stand.send("GET", "/openapi.json", &[], None).await.expect(200);
    assert_eq!(served, Api::openapi());
    for (path, methods) in served["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let answer =
                stand.send(&method.to_ascii_uppercase(), path.strip_prefix("/api/v1").unwrap(), &[], None).await;
            assert_eq!(answer.status, 401, "{method} {path} is there");
        }
    }
    assert!(served["paths"].as_object().unwrap().len() > 25);
    let answer = stand.send("GET", "/nothing", &[], None).await;
    assert_eq!(answer.status, 404);
}

/// A developer tries what an owner activates; operators do not look into organizations.
#[tokio::test(flavor = "multi_thread")]
async fn a_developer_tries_an_owner_activates_and_an_operator_looks_after_the_platform() {
    let stand = Stand::start().await;
    let root = stand.sign_in("root@example.com", SYSTEM).await;
    let root = [("authorization", root.as_str())];
    let acme = json!({ "id": "acme", "owner": user("ann@acme.example", &[]) });
    stand.send("POST", "/organizations", &root, Some(acme)).await.expect(201);
    let ann = stand.sign_in("ann@acme.example", ACME).await;
    let ann = [("authorization", ann.as_str())];
    stand.send("POST", "/organizations/acme/applications", &ann, Some(json!({ "id": "orders" }))).await.expect(201);
    let dan = user("dan@acme.example", &["developer"]);
    stand.send("POST", "/scopes/org:acme/users", &ann, Some(dan)).await.expect(201);
    let dan = stand.sign_in("dan@acme.example", ACME).await;
    let dan = [("authorization", dan.as_str())];
    let app = "/scopes/app:acme%2Forders";
    let carol = user("carol@acme.example", &["finance"]);
    let carol = stand.send("POST", &format!("{app}/users"), &ann, Some(carol)).await.expect(201);
    let headers = Headers::basic("carol@acme.example", PASSWORD).for_application("acme", "orders");
    let options = ConnectOptions::new("127.0.0.1").port(stand.gateway.local_addr().port()).connect_headers(headers);
    let client = Client::connect(options).await.unwrap();
    let orders = OrderServiceProxy::new(Arc::new(client.clone()));
    let order = |amount: i64| serde_json::from_value(json!({ "amount": amount })).unwrap();
    orders.place_order(order(10)).await.unwrap();

    // The developer writes a draft, and sees what it would have done and does.
    let rule = "forbid com.example.OrderService.placeOrder unless participant.mfa == true";
    let draft = json!({ "rules": [{ "id": "mfa-for-orders", "text": rule }], "comment": "second factor" });
    let path = "/scopes/org:acme/policies";
    let number = stand.send("POST", path, &dan, Some(draft)).await.expect(201)["number"].as_i64().unwrap();
    let run = format!("{path}/{number}/dry-run?action=com.example.OrderService.placeOrder");
    let run = stand.send("GET", &run, &dan, None).await.expect(200);
    assert_eq!(
        (&run["looked"], &run["replayed"], &run["turns"][0]["count"]),
        (&json!(1), &json!(1), &json!(1)),
        "{run}"
    );
    assert_eq!(run["turns"][0]["rule"], json!("`mfa-for-orders`"));
    let difference = stand.send("GET", &format!("{path}/{number}/difference"), &dan, None).await.expect(200);
    assert!(difference["text"].as_str().unwrap().contains(&format!("added `mfa-for-orders`: {rule}")), "{difference}");
    stand.send("POST", &format!("{path}/{number}/shadow"), &dan, None).await.expect(201);
    orders.place_order(order(20)).await.unwrap();
    let shadow = stand.send("GET", "/scopes/org:acme/shadow", &dan, None).await.expect(200);
    let turn = |shadow: &Value| {
        let turns = shadow["turns"].as_array().unwrap();
        turns.iter().find(|turn| turn["action"] == "com.example.OrderService.placeOrder").cloned().unwrap()
    };
    assert_eq!(turn(&shadow)["becomes"], json!("allow becomes deny"));
    assert_eq!(turn(&shadow)["count"], json!(1));

    // It does not activate it; the owner does, and finds out why a call was refused.
    let validate = format!("{path}/{number}/validate");
    stand.send("POST", &validate, &dan, None).await.expect(200);
    let activate = format!("{path}/{number}/activate");
    stand.send("POST", &activate, &[dan[0], ("if-match", "\"0\"")], None).await.expect(403);
    stand.send("POST", &activate, &[ann[0], ("if-match", "\"0\"")], None).await.expect(200);
    stand.send("GET", "/scopes/org:acme/shadow", &dan, None).await.expect(404);
    orders.place_order(order(10)).await.unwrap_err();
    let denials = format!("{app}/audit?outcome=deny&action=com.example.OrderService.placeOrder");
    let denials = stand.send("GET", &denials, &ann, None).await.expect(200);
    let id = denials["items"][0]["record"]["decision"].as_str().unwrap();
    let why = stand.send("GET", &format!("{app}/decisions/{id}"), &ann, None).await.expect(200);
    assert_eq!(why["record"]["record"]["details"]["policy"], json!("mfa-for-orders"), "{why}");
    assert_eq!(why["now"]["nearest"]["flips"][0]["wanted"], json!("participant.mfa == true"), "{why}");
    let may = format!("{app}/users/{}/may", carol["id"].as_str().unwrap());
    let may = stand.send("GET", &may, &ann, None).await.expect(200);
    let place =
        may["items"].as_array().unwrap().iter().find(|one| one["action"] == "com.example.OrderService.placeOrder");
    assert_eq!(place.unwrap()["may"], json!("never"), "{may}");
    let who = stand.send("GET", "/scopes/org:acme/who?action=Platform.policies.own", &ann, None).await.expect(200);
    assert_eq!(who["items"].as_array().unwrap().len(), 1, "{who}");
    assert_eq!(who["items"][0]["name"], json!("ann@acme.example"));
    let supposed = json!({ "request": { "participant": { "id": carol["id"] }, "action": "com.example.OrderService.placeOrder",
        "arguments": { "order": { "amount": 5 } } } });
    let supposed = stand.send("POST", &format!("{app}/explain"), &ann, Some(supposed)).await.expect(200);
    assert_eq!(supposed["explanation"]["decision"], json!("deny"), "{supposed}");

    // Who is connected: to whom of the organization it is open, and to nobody else.
    let connected = stand.send("GET", "/scopes/org:acme/connections", &ann, None).await.expect(200);
    assert_eq!(connected["items"][0]["email"], json!("carol@acme.example"), "{connected}");
    let connected = stand.send("GET", "/scopes/sys/connections", &root, None).await.expect(200);
    assert_eq!(connected["items"], json!([]), "operators do not look into organizations");
    let signed_in = stand.send("GET", &format!("{app}/audit?kind=sign-in"), &ann, None).await.expect(200);
    assert!(!signed_in["items"].as_array().unwrap().is_empty(), "{signed_in}");
    for path in ["/scopes/org:acme/audit", "/scopes/org:acme/shadow", "/scopes/org:acme/connections"] {
        stand.send("GET", path, &root, None).await.expect(403);
    }
    stand.send("POST", "/organizations/acme/suspend", &ann, None).await.expect(404);
    stand.send("POST", "/organizations/acme/suspend", &root, None).await.expect(204);
    drop((client, stand.prepared));
}

#[tokio::test(flavor = "multi_thread")]
async fn providers_are_the_organizations_own_and_their_secrets_never_come_out() {
    let stand = Stand::start().await;
    let root = stand.sign_in("root@example.com", SYSTEM).await;
    let root = [("authorization", root.as_str())];
    for id in ["acme", "globex"] {
        let owner = user(&format!("boss@{id}.example"), &[]);
        stand.send("POST", "/organizations", &root, Some(json!({ "id": id, "owner": owner }))).await.expect(201);
    }
    let boss = stand.sign_in("boss@acme.example", ACME).await;
    let boss = [("authorization", boss.as_str())];
    let other = stand.sign_in("boss@globex.example", &[("organizationid", "globex")]).await;
    let other = [("authorization", other.as_str())];
    stand.send("POST", "/organizations/acme/applications", &boss, Some(json!({ "id": "orders" }))).await.expect(201);
    let settings = json!({ "preset": "oidc", "issuer": "https://idp.acme.example", "audience": ["orders"] });
    let secret = "text:a secret of more than thirty-two bytes";
    let new = json!({ "settings": { "preset": "oidc", "audience": ["orders"] }, "secret": secret });
    let path = "/scopes/org:acme/providers";
    let made = stand.send("PUT", &format!("{path}/machines"), &boss, Some(new)).await.expect(200);
    assert_eq!((&made["name"], &made["hasSecret"]), (&json!("acme/machines"), &json!(true)));
    stand.send("PUT", &format!("{path}/corporate"), &boss, Some(json!({ "settings": settings }))).await.expect(200);
    // The same name elsewhere is another one, and says nothing of the first.
    let elsewhere = "/scopes/org:globex/providers/corporate";
    stand.send("PUT", elsewhere, &other, Some(json!({ "settings": settings }))).await.expect(200);
    for path in ["/scopes/org:acme/providers", "/scopes/org:nowhere/providers"] {
        stand.send("GET", path, &other, None).await.expect(404);
        stand.send("PUT", &format!("{path}/x"), &other, Some(json!({ "settings": settings }))).await.expect(404);
    }
    let inside = json!({ "settings": { "preset": "oidc", "issuer": "https://x.example", "private_network": true } });
    stand.send("PUT", &format!("{path}/inside"), &boss, Some(inside)).await.expect(422);
    stand.send("PUT", &format!("{path}/A%2FB"), &boss, Some(json!({ "settings": settings }))).await.expect(422);
    let ours = json!({ "settings": settings, "clientSecret": "ours, of thirty-two characters" });
    let ours = stand.send("PUT", &format!("{path}/corporate"), &boss, Some(ours)).await.expect(200);
    assert_eq!((&ours["hasClientSecret"], &ours["hasSecret"]), (&json!(true), &json!(false)));
    let again = json!({ "settings": settings });
    let again = stand.send("PUT", &format!("{path}/corporate"), &boss, Some(again)).await.expect(200);
    assert_eq!(again["hasClientSecret"], json!(true), "what is not said stays");
    let weak = json!({ "settings": settings, "secret": "text:short" });
    stand.send("PUT", &format!("{path}/weak"), &boss, Some(weak)).await.expect(422);
    let listed = stand.send("GET", path, &boss, None).await.expect(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    assert!(!listed.to_string().contains("thirty-two"), "{listed}");

    // An application uses it; of another organization's, nothing is known.
    let uses = "/scopes/app:acme%2Forders/uses";
    let everybody = json!({ "settings": { "everybody": ["user"] } });
    stand.send("PUT", &format!("{uses}/acme%2Fcorporate"), &boss, Some(everybody.clone())).await.expect(204);
    stand.send("PUT", &format!("{uses}/globex%2Fcorporate"), &boss, Some(everybody)).await.expect(404);

    // An admin does not become owner by a provider that says so, nor by changing one that owners are known by.
    let adam = user("adam@acme.example", &["admin"]);
    stand.send("POST", "/scopes/org:acme/users", &boss, Some(adam)).await.expect(201);
    let adam = stand.sign_in("adam@acme.example", ACME).await;
    let adam = [("authorization", adam.as_str())];
    let owners = json!({ "settings": { "everybody": ["owner"] } });
    let own = "/scopes/org:acme/uses/acme%2Fcorporate";
    stand.send("PUT", own, &adam, Some(owners.clone())).await.expect(403);
    stand.send("PUT", own, &boss, Some(owners)).await.expect(204);
    let moved = json!({ "settings": { "preset": "oidc", "issuer": "https://adam.example", "audience": ["orders"] } });
    stand.send("PUT", &format!("{path}/corporate"), &adam, Some(moved)).await.expect(403);
    stand.send("DELETE", own, &boss, None).await.expect(204);
    stand.send("DELETE", &format!("{path}/corporate"), &boss, None).await.expect(204);
    stand.send("DELETE", &format!("{path}/corporate"), &boss, None).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_admins_do_not_overwrite_what_they_have_not_seen() {
    let stand = Stand::start().await;
    let root = stand.sign_in("root@example.com", SYSTEM).await;
    let root = [("authorization", root.as_str())];
    let acme = json!({ "id": "acme", "owner": user("boss@acme.example", &[]) });
    stand.send("POST", "/organizations", &root, Some(acme)).await.expect(201);
    let boss = stand.sign_in("boss@acme.example", ACME).await;
    let boss = [("authorization", boss.as_str())];
    let made = stand.send("POST", "/scopes/org:acme/users", &boss, Some(user("eve@acme.example", &[]))).await;
    let tag = made.header("etag").unwrap();
    let path = format!("/scopes/org:acme/users/{}", made.expect(201)["id"].as_str().unwrap());
    assert_eq!(stand.send("GET", &path, &boss, None).await.header("etag").as_deref(), Some(tag.as_str()));
    let seen = [boss[0], ("if-match", tag.as_str())];
    let promote = json!({ "addRoles": ["auditor"] });
    let after = stand.send("PATCH", &path, &seen, Some(promote.clone())).await;
    assert_ne!(after.header("etag").unwrap(), tag);
    after.expect(200);
    stand.send("PATCH", &path, &seen, Some(promote)).await.expect(412);
    stand.send("PATCH", &path, &boss, Some(json!({ "enabled": false }))).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_told_what_is_stored_signed_out_and_forgotten() {
    let stand = Stand::start().await;
    let root = stand.sign_in("root@example.com", SYSTEM).await;
    let root = [("authorization", root.as_str())];
    for id in ["acme", "globex"] {
        let organization = json!({ "id": id, "owner": user(&format!("ann@{id}.example"), &[]) });
        stand.send("POST", "/organizations", &root, Some(organization)).await.expect(201);
    }
    let ann = stand.sign_in("ann@acme.example", ACME).await;
    let other = stand.sign_in("ann@globex.example", &[("organizationid", "globex")]).await;
    let (ann, other) = ([("authorization", ann.as_str())], [("authorization", other.as_str())]);
    for id in ["shop", "mill"] {
        stand.send("POST", "/organizations/acme/applications", &ann, Some(json!({ "id": id }))).await.expect(201);
    }
    let shop = "/scopes/app:acme%2Fshop";
    let bob = user("bob@acme.example", &["finance"]);
    let bob = stand.send("POST", &format!("{shop}/users"), &ann, Some(bob)).await.expect(201);
    let bob = bob["id"].as_str().unwrap();
    let base = format!("http://{}", stand.gateway.local_addr());
    let login = json!({ "email": "bob@acme.example", "password": PASSWORD }).to_string();
    let (mut cookies, json) = (Vec::new(), [("content-type", "application/json")]);
    for _ in 0..2 {
        let told = tests::providers::send("POST", &format!("{base}/api/auth/app/acme/shop/login"), &json, &login).await;
        cookies.push(told.unwrap().cookies());
    }
    let me = async |name: &str, value: &str| {
        tests::providers::send("GET", &format!("{base}/api/auth/me"), &[(name, value)], "").await.unwrap().status
    };
    let both = async || (me("cookie", &cookies[0]).await, me("cookie", &cookies[1]).await);
    let of_bob = |below: &str| format!("{shop}/users/{bob}/{below}");
    let sessions = stand.send("GET", &of_bob("sessions"), &ann, None).await.expect(200);
    // Whoever has no say there learns nothing and ends nothing; from another scope nobody sees him.
    let token = stand.sign_in("bob@acme.example", &[ACME[0], ("applicationid", "shop")]).await;
    let token = [("authorization", token.as_str())];
    for (method, path) in [("GET", "sessions"), ("DELETE", "sessions"), ("GET", "export"), ("POST", "erase")] {
        for caller in [&token[..], &other, &root, &[]] {
            let status = stand.send(method, &of_bob(path), caller, None).await.status;
            assert!([401, 403, 404].contains(&status), "{method} {path}: {status}");
        }
        stand.send(method, &of_bob(path).replace("shop", "mill"), &ann, None).await.expect(404);
    }
    assert_eq!(both().await, (204, 204));
    let first = of_bob(&format!("sessions/{}", sessions[0]["id"].as_str().unwrap()));
    stand.send("DELETE", &first, &ann, None).await.expect(204);
    stand.send("DELETE", &first, &ann, None).await.expect(404);
    assert_eq!(both().await, (204, 401), "the latest is the first of the list");
    let all = stand.send("GET", &of_bob("export"), &ann, None).await.expect(200);
    assert_eq!(all["user"]["email"], json!("bob@acme.example"));
    assert_eq!((&all["kept"]["hasPassword"], all["kept"]["sessions"].as_array().unwrap().len()), (&json!(true), 1));
    assert!(!all.to_string().contains("argon2"), "no hash is told");
    let headers = Headers::basic("bob@acme.example", PASSWORD).for_application("acme", "shop");
    let options = ConnectOptions::new("127.0.0.1").port(stand.gateway.local_addr().port()).connect_headers(headers);
    let orders = OrderServiceProxy::new(Arc::new(Client::connect(options).await.unwrap()));
    let order = || serde_json::from_value(json!({ "amount": 10 })).unwrap();
    orders.place_order(order()).await.unwrap();
    let records = async || stand.send("GET", &format!("{shop}/audit"), &ann, None).await.expect(200).to_string();
    assert!(records().await.contains("bob@acme.example"), "inputs are kept");
    // Erased: sessions, tokens and connections are over, and the audit has a pseudonym.
    assert!(stand.send("POST", &of_bob("erase"), &ann, None).await.expect(200)["removed"].as_u64() > Some(0));
    assert_eq!((both().await, me(token[0].0, token[0].1).await), ((401, 401), 401));
    let goes_on = async { while orders.place_order(order()).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(5), goes_on).await.unwrap();
    // What was recorded on the way is erased by asking again; of whoever is no user, nothing is.
    stand.send("POST", &of_bob("erase"), &ann, None).await.expect(200);
    stand.send("POST", &format!("{shop}/users/nobody/erase"), &ann, None).await.expect(404);
    let records = records().await;
    assert!(records.contains(bob) && !records.contains("bob@acme.example"), "{records}");
    stand.send("POST", &format!("{shop}/audit/verify"), &ann, Some(Value::Null)).await.expect(200);
    let shared = "/scopes/org:acme/shared-sessions";
    let listed = json!({ "applications": ["mill", "shop"] });
    stand.send("PUT", shared, &ann, Some(listed.clone())).await.expect(204);
    stand.send("PUT", shared, &ann, Some(json!({ "applications": ["desk", "shop"] }))).await.expect(404);
    stand.send("PUT", shared, &other, Some(listed.clone())).await.expect(404);
    assert_eq!(stand.send("GET", shared, &ann, None).await.expect(200), listed);
}
