//! AuthZEN's Authorization API over real HTTP: the published todo vectors, the three semantics, searches, hostile input.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use policy_runtime::Scope;
use policy_runtime::authzen::{AuthZenBuilder, SetupError};
use policy_runtime::value::Value as Attribute;
use serde_json::{Value, json};
use tests::todo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const VECTORS: &str = include_str!("../authzen/todo-decisions.json");
const RICK: &str = todo::PEOPLE[0].0;
const MORTY: &str = todo::PEOPLE[1].0;
const BETH: &str = todo::PEOPLE[3].0;

/// A decision point on a port of its own, and the key of its caller.
struct Server {
    at: SocketAddr,
    key: String,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Server {
    async fn start(setup: impl FnOnce(AuthZenBuilder) -> AuthZenBuilder) -> Self {
        Self::with_caller(todo::scope(), "enforcer", setup).await
    }

    async fn with_caller(scope: Scope, role: &str, setup: impl FnOnce(AuthZenBuilder) -> AuthZenBuilder) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (chain, key) = todo::caller(scope, role).unwrap();
        let url = format!("http://{at}");
        let router = setup(todo::decisions(&todo::policy().unwrap(), &url)).build().unwrap().router(chain);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { at, key: key.expose().clone() }
    }

    async fn send(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        let mut socket = TcpStream::connect(self.at).await.unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
            self.at,
            body.len()
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        // A refused body may not be read to its end.
        let _ = socket.write_all(body).await;
        let mut all = Vec::new();
        let _ = socket.read_to_end(&mut all).await;
        let text = String::from_utf8(all).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_lowercase(), body: body.to_owned() }
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.raw(path, body.to_string().as_bytes()).await
    }

    async fn raw(&self, path: &str, body: &[u8]) -> Answer {
        let headers = format!("x-api-key: {}\r\ncontent-type: application/json\r\n", self.key);
        self.send("POST", &format!("/access/v1/{path}"), &headers, body).await
    }

    async fn decision(&self, request: &Value) -> bool {
        let answer = self.post("evaluation", request).await;
        assert_eq!(answer.status, 200, "{request}: {answer:?}");
        answer.json()["decision"].as_bool().unwrap()
    }
}

fn subject(id: &str) -> Value {
    json!({ "type": "user", "id": id })
}

fn ask(id: &str, action: &str, owner: &str) -> Value {
    json!({
        "subject": subject(id),
        "action": { "name": action },
        "resource": { "type": "todo", "id": "7", "properties": { "ownerID": owner } },
    })
}

#[tokio::test]
async fn the_published_vectors() {
    let server = Server::start(AuthZenBuilder::believe_properties).await;
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let single = vectors["evaluation"].as_array().unwrap();
    assert_eq!(single.len(), 40);
    for vector in single {
        assert_eq!(json!(server.decision(&vector["request"]).await), vector["expected"], "{vector}");
    }
    let batch = vectors["evaluations"].as_array().unwrap();
    assert_eq!(batch.len(), 3);
    for vector in batch {
        let answer = server.post("evaluations", &vector["request"]).await.json();
        let decisions: Vec<Value> = answer["evaluations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| json!({ "decision": one["decision"] }))
            .collect();
        assert_eq!(json!(decisions), vector["expected"], "{vector}");
    }
}

#[tokio::test]
async fn what_a_request_says_proves_nothing() {
    let strict = Server::start(|setup| setup).await;
    assert!(!strict.decision(&ask(MORTY, "can_update_todo", "morty@the-citadel.com")).await, "off by default");
    let believing = Server::start(AuthZenBuilder::believe_properties).await;
    assert!(believing.decision(&ask(MORTY, "can_update_todo", "morty@the-citadel.com")).await);
    let mut forged = ask(BETH, "can_delete_todo", "beth@the-smiths.com");
    forged["subject"]["properties"] = json!({ "roles": ["admin"], "email": "rick@the-citadel.com" });
    forged["context"] = json!({ "roles": ["admin"], "mfa": true });
    assert!(!believing.decision(&forged).await, "roles are never believed");
    let of_morty = std::collections::BTreeMap::from([("ownerID".into(), Attribute::text("morty@the-citadel.com"))]);
    let stored = todo::people().with_resource("todo", "7", of_morty);
    let knowing = Server::start(|setup| setup.believe_properties().resources(stored)).await;
    let claimed = ask(todo::PEOPLE[2].0, "can_update_todo", "summer@the-smiths.com");
    assert!(!knowing.decision(&claimed).await, "what is stored is not overridden");
}

#[tokio::test]
async fn defaults_semantics_and_short_circuit() {
    let server = Server::start(AuthZenBuilder::believe_properties).await;
    let own = |owner: &str| json!({ "resource": { "type": "todo", "id": "7", "properties": { "ownerID": owner } } });
    let (yes, no) = (own("morty@the-citadel.com"), own("rick@the-citadel.com"));
    let run = async |semantic: Value, items: Vec<&Value>| -> Vec<bool> {
        let mut body = json!({
            "subject": subject(MORTY), "action": { "name": "can_update_todo" },
            "evaluations": items, "options": { "evaluations_semantic": semantic, "other": 1 },
        });
        if semantic.is_null() {
            body.as_object_mut().unwrap().remove("options");
        }
        let answer = server.post("evaluations", &body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let answers = answer.json()["evaluations"].as_array().unwrap().clone();
        answers.iter().map(|one| one["decision"].as_bool().unwrap()).collect()
    };
    assert_eq!(run(Value::Null, vec![&yes, &no, &yes]).await, [true, false, true]);
    assert_eq!(run(json!("execute_all"), vec![&no, &yes, &no]).await, [false, true, false]);
    assert_eq!(run(json!("deny_on_first_deny"), vec![&yes, &no, &yes]).await, [true, false]);
    assert_eq!(run(json!("permit_on_first_permit"), vec![&no, &yes, &no]).await, [false, true]);
    assert_eq!(run(json!("permit_on_first_permit"), vec![&no, &no]).await, [false, false]);

    // A key of an item replaces the whole default; nothing is merged inside.
    let replaced = json!({
        "subject": subject(MORTY), "action": { "name": "can_update_todo" },
        "resource": { "type": "todo", "id": "7", "properties": { "ownerID": "morty@the-citadel.com" } },
        "evaluations": [{}, { "resource": { "type": "todo", "id": "7" } }, { "action": { "name": "nothing" } }, { "subject": { "id": "x" } }],
    });
    let answer = server.post("evaluations", &replaced).await.json();
    let all = answer["evaluations"].as_array().unwrap();
    assert_eq!(all.iter().map(|one| one["decision"] == json!(true)).collect::<Vec<_>>(), [true, false, false, false]);
    assert_eq!(all[2]["context"]["error"]["status"], 404);
    assert_eq!(all[3]["context"]["error"], json!({ "status": 400, "message": "`subject.type` is missing" }));

    // Without items it is a single evaluation.
    let mut single = ask(MORTY, "can_update_todo", "morty@the-citadel.com");
    assert_eq!(server.post("evaluations", &single).await.json(), json!({ "decision": true }));
    single["evaluations"] = json!([]);
    assert_eq!(server.post("evaluations", &single).await.json(), json!({ "decision": true }));
}

#[tokio::test]
async fn searches_and_their_pages() {
    let mut known = todo::people();
    for n in 0..25 {
        let owner = if n % 2 == 0 { "morty@the-citadel.com" } else { "rick@the-citadel.com" };
        let fields = std::collections::BTreeMap::from([("ownerID".into(), Attribute::text(owner))]);
        known = known.with_resource("todo", &format!("t{n:02}"), fields);
    }
    let server = Server::start(|setup| setup.resources(known)).await;
    let ids = |answer: &Value| -> Vec<String> {
        let results = answer["results"].as_array().unwrap();
        results.iter().map(|one| one["id"].as_str().or(one["name"].as_str()).unwrap().to_owned()).collect()
    };

    let mut whom = json!({
        "subject": { "type": "user", "id": "ignored" }, "action": { "name": "can_update_todo" },
        "resource": { "type": "todo", "id": "t00" },
    });
    let answer = server.post("search/subject", &whom).await.json();
    assert_eq!(ids(&answer), [RICK, MORTY], "the owner and the evil genius");
    assert_eq!(answer["results"][0]["type"], "user");

    let mut what = json!({
        "subject": subject(MORTY), "action": { "name": "can_delete_todo" }, "resource": { "type": "todo" },
        "page": { "limit": 5 },
    });
    let mut all = Vec::new();
    loop {
        let answer = server.post("search/resource", &what).await.json();
        assert_eq!(answer["page"]["count"].as_u64().unwrap(), answer["results"].as_array().unwrap().len() as u64);
        all.extend(ids(&answer));
        let token = answer["page"]["next_token"].as_str().unwrap().to_owned();
        if token.is_empty() {
            break;
        }
        what["page"] = json!({ "limit": 5, "token": token });
    }
    let expected: Vec<String> = (0..25).step_by(2).map(|n| format!("t{n:02}")).collect();
    assert_eq!(all, expected);
    for id in &all {
        let one = json!({ "subject": subject(MORTY), "action": { "name": "can_delete_todo" }, "resource": { "type": "todo", "id": id } });
        assert!(server.decision(&one).await, "a result evaluates to true");
    }

    // A token belongs to its request.
    what["page"] = json!({ "limit": 2 });
    let token = server.post("search/resource", &what).await.json()["page"]["next_token"].clone();
    what["page"] = json!({ "limit": 3, "token": token });
    assert_eq!(server.post("search/resource", &what).await.status, 200, "the limit may change");
    what["subject"] = subject(RICK);
    assert_eq!(server.post("search/resource", &what).await.status, 400, "nothing else may");
    whom["page"] = json!({ "token": token });
    assert_eq!(server.post("search/subject", &whom).await.status, 400);

    let actions = json!({ "subject": subject(BETH), "resource": { "type": "todo", "id": "t00" } });
    assert_eq!(ids(&server.post("search/action", &actions).await.json()), ["can_read_todos"]);
    let actions =
        json!({ "subject": subject(MORTY), "resource": { "type": "todo", "id": "t00" }, "page": { "limit": 3 } });
    let answer = server.post("search/action", &actions).await.json();
    assert_eq!(ids(&answer), ["can_create_todo", "can_delete_todo", "can_read_todos"]);
    let next = json!({ "subject": subject(MORTY), "resource": { "type": "todo", "id": "t00" }, "page": { "token": answer["page"]["next_token"] } });
    assert_eq!(ids(&server.post("search/action", &next).await.json()), ["can_update_todo"]);

    let nobody =
        json!({ "subject": subject("nobody"), "action": { "name": "can_read_todos" }, "resource": { "type": "todo" } });
    assert_eq!(server.post("search/resource", &nobody).await.json(), json!({ "results": [] }));
}

#[tokio::test]
async fn callers_are_authenticated_and_asked_about() {
    let body = ask(RICK, "can_update_todo", "x").to_string();
    let server = Server::start(|setup| setup).await;
    let anonymous = server.send("POST", "/access/v1/evaluation", "", body.as_bytes()).await;
    assert_eq!(anonymous.status, 401);
    assert!(anonymous.head.contains("www-authenticate: bearer"), "{}", anonymous.head);
    assert_eq!(anonymous.json(), json!("the caller is not authenticated"));
    let wrong = server.send("POST", "/access/v1/evaluation", "x-api-key: pk_wrong\r\n", body.as_bytes()).await;
    assert_eq!(wrong.status, 401);

    let todos = Scope::organization("todos").unwrap();
    for (scope, role, status) in [
        (todo::scope(), "enforcer", 200),
        (todo::scope(), "editor", 403),
        (todos.clone(), "developer", 200),
        (todos, "member", 403),
        (Scope::organization("globex").unwrap(), "owner", 403),
        (Scope::application("globex", "other").unwrap(), "enforcer", 403),
    ] {
        let server = Server::with_caller(scope.clone(), role, |setup| setup).await;
        let answer = server.raw("evaluation", body.as_bytes()).await;
        assert_eq!(answer.status, status, "{role} of {scope}: {answer:?}");
        if status == 403 {
            assert!(answer.body.starts_with("\"the caller may not ask here (d-"), "{}", answer.body);
        }
    }
}

#[tokio::test]
async fn discovery_and_request_ids() {
    let server = Server::start(|setup| setup).await;
    let found = server.send("GET", "/.well-known/authzen-configuration", "", b"").await;
    assert_eq!(found.status, 200);
    let at = format!("http://{}", server.at);
    assert_eq!(found.json()["policy_decision_point"], at);
    assert_eq!(found.json()["access_evaluation_endpoint"], format!("{at}/access/v1/evaluation"));
    assert_eq!(found.json()["search_action_endpoint"], format!("{at}/access/v1/search/action"));
    let headers = format!("x-api-key: {}\r\nx-request-id: bfe9eb29-ab87\r\n", server.key);
    let answer = server.send("POST", "/access/v1/evaluation", &headers, b"{}").await;
    assert_eq!(answer.status, 400);
    assert!(answer.head.contains("x-request-id: bfe9eb29-ab87"), "{}", answer.head);
}

#[tokio::test]
async fn hostile_input_is_refused_with_a_message() {
    let server = Server::start(AuthZenBuilder::believe_properties).await;
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let long_name = "x".repeat(100_000);
    let many = json!({ "evaluations": vec![json!({}); 1_001] }).to_string();
    let whole = ask(MORTY, "can_update_todo", "morty@the-citadel.com").to_string();
    let bad: Vec<Vec<u8>> = ["", "null", "[]", "5", "\"x\"", "{", "{}x", "{\"subject\":1,\"subject\":1}", &deep]
        .iter()
        .map(|text| text.as_bytes().to_vec())
        .chain([b"\xff\xfe".to_vec(), whole.as_bytes().split_last().unwrap().1.to_vec()])
        .collect();
    for body in &bad {
        for path in ["evaluation", "evaluations", "search/subject", "search/resource", "search/action"] {
            let answer = server.raw(path, body).await;
            assert_eq!(answer.status, 400, "{path}: {:.80}: {answer:?}", String::from_utf8_lossy(body));
            assert!(answer.json().is_string());
        }
    }
    for (path, body) in [
        ("evaluation", r#"{"subject":{"type":"user","id":5},"action":{"name":"a"},"resource":{"type":"t","id":"1"}}"#),
        ("evaluation", r#"{"subject":{"type":"user"},"action":{"name":"a"},"resource":{"type":"t","id":"1"}}"#),
        ("evaluation", r#"{"subject":"u","action":{"name":"a"},"resource":{"type":"t","id":"1"}}"#),
        ("evaluation", r#"{"subject":{"type":"user","id":"a"},"action":{},"resource":{"type":"t","id":"1"}}"#),
        ("evaluation", r#"{"subject":{"type":"user","id":"a"},"action":{"name":"a"}}"#),
        (
            "evaluation",
            r#"{"subject":{"type":"u","id":"a","properties":5},"action":{"name":"a"},"resource":{"type":"t","id":"1"}}"#,
        ),
        (
            "evaluation",
            r#"{"subject":{"type":"u","id":"a"},"action":{"name":"a"},"resource":{"type":"t","id":"1"},"context":5}"#,
        ),
        ("evaluations", r#"{"evaluations":{}}"#),
        ("evaluations", r#"{"evaluations":[5]}"#),
        ("evaluations", r#"{"evaluations":[{}],"options":{"evaluations_semantic":"some"}}"#),
        ("evaluations", r#"{"evaluations":[{}],"options":5}"#),
        ("evaluations", &many),
        ("search/subject", r#"{"subject":{},"action":{"name":"can_read_todos"},"resource":{"type":"todo","id":"1"}}"#),
        (
            "search/resource",
            r#"{"subject":{"type":"user","id":"a"},"action":{"name":"nothing"},"resource":{"type":"todo"}}"#,
        ),
        (
            "search/action",
            r#"{"subject":{"type":"user","id":"a"},"resource":{"type":"todo","id":"1"},"page":{"limit":0}}"#,
        ),
        (
            "search/action",
            r#"{"subject":{"type":"user","id":"a"},"resource":{"type":"todo","id":"1"},"page":{"token":"x"}}"#,
        ),
    ] {
        let answer = server.raw(path, body.as_bytes()).await;
        assert_eq!(answer.status, 400, "{path}: {body:.80}: {answer:?}");
        assert!(answer.json().is_string());
    }
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(2 << 20));
    assert_eq!(server.raw("evaluation", large.as_bytes()).await.status, 413);
    let form = format!("x-api-key: {}\r\ncontent-type: application/x-www-form-urlencoded\r\n", server.key);
    assert_eq!(server.send("POST", "/access/v1/evaluation", &form, whole.as_bytes()).await.status, 400);
    assert_eq!(server.send("GET", "/access/v1/evaluation", &form, b"").await.status, 405);

    // Well-formed questions that make no sense are denied.
    for (subject, action, kind, id) in [
        ("nobody", "can_read_todos", "todo", "7"),
        ("", "can_read_todos", "todo", ""),
        (RICK, "can_do_all", "todo", "7"),
        (RICK, "can_read_todos", "user", "7"),
        (RICK, "tests.todo.can_update_todo", "todo", "7"),
        (RICK, &long_name, "todo", "7"),
        ("app:todos/todo/x\u{0}%2f", "can_read_todos", "todo", "7"),
    ] {
        let body = json!({ "subject": { "type": "user", "id": subject }, "action": { "name": action }, "resource": { "type": kind, "id": id } });
        let answer = server.post("evaluation", &body).await;
        assert_eq!((answer.status, &answer.json()["decision"]), (200, &json!(false)), "{body:.200}");
        assert!(answer.body.len() < 1_000, "it does not echo what it was sent");
    }
    let mut wrong = ask(MORTY, "can_update_todo", "");
    wrong["resource"]["properties"]["ownerID"] = json!(5);
    let answer = server.post("evaluation", &wrong).await.json();
    assert_eq!(answer["context"]["error"]["message"], "`resource.properties.ownerID` is not a Text");
    assert!(server.decision(&ask(MORTY, "can_update_todo", "morty@the-citadel.com")).await, "and it goes on");
}

#[test]
fn a_wrong_set_up_says_so() {
    let policy = todo::policy().unwrap();
    let bad = |setup: AuthZenBuilder| setup.build().unwrap_err();
    assert!(matches!(bad(todo::decisions(&policy, "http://example.com")), SetupError::Url(_)));
    let misspelt = todo::decisions(&policy, "https://example.com").action("todo", "x", "tests::todo::can_update_tod");
    assert_eq!(
        bad(misspelt).to_string(),
        "there is no action `tests.todo.can_update_tod`; did you mean `tests.todo.can_update_todo`?"
    );
    let platform = todo::decisions(&policy, "https://example.com").action("todo", "x", "Platform.service.host");
    assert!(matches!(bad(platform), SetupError::NotTheApplications(_)));
}

struct Stopped(Child);

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn the_binary_listens_answers_and_ends() {
    let start = |more: &[&str]| {
        let mut child = Stopped(
            Command::new(env!("CARGO_BIN_EXE_authzen-todo"))
                .args(["--port", "0"])
                .args(more)
                .stdout(Stdio::piped())
                .spawn()
                .unwrap(),
        );
        let mut line = String::new();
        BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let at = line.trim().strip_prefix("listening on http://").unwrap().split(' ').next().unwrap();
        (child, at.parse().unwrap())
    };
    let (mut open, at) = start(&[]);
    let server = Server { at, key: String::new() };
    let body = ask(MORTY, "can_update_todo", "morty@the-citadel.com").to_string();
    let headers = "content-type: application/json\r\n";
    let answer = server.send("POST", "/access/v1/evaluation", headers, body.as_bytes()).await;
    assert_eq!((answer.status, answer.json()), (200, json!({ "decision": true })));
    let wrong = server.send("POST", "/access/v1/evaluation", "authorization: Bearer x\r\n", body.as_bytes()).await;
    assert_eq!(wrong.status, 401, "a wrong credential is refused");
    let id = open.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert!(open.0.wait().unwrap().success());

    let (_strict, at) = start(&["--require-key"]);
    let server = Server { at, key: String::new() };
    assert_eq!(server.send("POST", "/access/v1/evaluation", headers, body.as_bytes()).await.status, 401);
}
