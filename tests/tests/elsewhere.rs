//! An application whose program is another one: AuthZEN decides for it, and its records are tried and explained, by what it
//! has registered.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use policy_runtime::admin::{Admin, AdminError, Asked, NewMember};
use policy_runtime::audit::journal::{Filter, Journal, Recording};
use policy_runtime::authzen::{AuthZen, AuthZenBuilder, Catalog};
use policy_runtime::database::{Database, DatabaseAddress};
use policy_runtime::identity::{Directory as _, SqlStore};
use policy_runtime::sets::{ManifestState, OnBreak, PolicySets};
use policy_runtime::value::Millis;
use policy_runtime::{May, Participant, Policy, Scope, SecurityContext, SetSource};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const PLACE: &str = "com.acme.Orders.place";

fn manifest(limit: i64) -> String {
    let amount = json!({ "name": "amount", "rustName": "amount", "type": { "kind": "Long" } });
    let card = json!({ "name": "card", "rustName": "card", "secret": true, "type": { "kind": "Text" } });
    let order = json!({ "kind": "Record", "name": "Order", "fields": [amount, card] });
    let rule = format!("order.amount < {limit} and participant.department == 'sales'");
    let place = json!({
        "action": PLACE, "namespace": "com.acme", "tier": "application", "callers": ["application"],
        "participant": "Platform::Participant", "resource": "com::acme::Orders", "about": "service",
        "parameters": [{ "name": "order", "rustName": "order", "type": order }],
        "rules": [{ "rule": rule, "source": "src/lib.rs:7" }], "sources": ["src/lib.rs:7"],
    });
    json!({ "manifest": 1, "actions": [place] }).to_string()
}

/// A server of the application `desk`, and the application `orders` of a program that it does not contain.
struct Stand {
    policy: Policy,
    sets: PolicySets,
    journal: Arc<Journal>,
    admin: Admin,
    acme: Scope,
    orders: Scope,
    owner: SecurityContext,
}

impl Stand {
    async fn start() -> Self {
        let database = Database::open(&DatabaseAddress::Memory).await.unwrap();
        let (store, sets) = (Arc::new(SqlStore::new(database.clone())), PolicySets::new(database));
        store.add_organization("acme").await.unwrap();
        store.add_application("acme", "orders").await.unwrap();
        let journal = Arc::new(Journal::in_memory().recording(Recording::all().with_inputs()).start().unwrap());
        let policy = Policy::builder().organization("acme").application("desk").audit(journal.clone()).build().unwrap();
        let (acme, orders) = (policy.organization(), Scope::application("acme", "orders").unwrap());
        let owner = Participant::builder(acme.clone(), "u-ann").role("owner").build();
        let owner = SecurityContext::new(&policy, owner.into());
        let admin = Admin::new(&policy, store, sets.clone(), journal.clone());
        Self { policy, sets, journal, admin, acme, orders, owner }
    }

    async fn register(&self, manifest: &str, at: i64) {
        let now = Millis(self.policy.clock().now().0 + at);
        let done = self.sets.register_manifest(&self.orders, "", manifest, OnBreak::Refuse, now).await.unwrap();
        assert_eq!(done.state, ManifestState::Accepted);
    }

    async fn draft(&self, rule: &str) -> i64 {
        let source = SetSource { rules: vec![("small".into(), rule.into())], ..SetSource::default() };
        self.admin.draft(&self.owner, &self.acme, &source, "", None).await.unwrap()
    }

    async fn explain(&self, amount: i64) -> Result<String, AdminError> {
        let request = json!({
            "participant": { "id": "ann", "attributes": { "department": "sales" } }, "action": PLACE,
            "arguments": { "order": { "amount": amount } },
        });
        let asked = Asked { request, hypothetical: true };
        self.admin.explain(&self.owner, &self.orders, asked).await.map(|(text, _)| text)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_registered_program_decides_with_the_sets_that_are_active() {
    let stand = Stand::start().await;
    let unknown = stand.explain(60).await.unwrap_err().to_string();
    assert!(unknown.contains("there is no action `com.acme.Orders.place`"), "{unknown}");

    stand.register(&manifest(100), 0).await;
    let text = stand.explain(60).await.unwrap();
    assert!(text.starts_with("ALLOW com.acme.Orders.place on app:acme/orders"), "{text}");
    let text = stand.explain(500).await.unwrap();
    assert!(text.starts_with("DENY") && text.contains("order.amount < 100"), "{text}");

    // A newer program, whose rule is another one.
    stand.register(&manifest(1_000), 1).await;
    assert!(stand.explain(500).await.unwrap().starts_with("ALLOW"), "the newest one is asked");

    // The organization narrows it, and takes that back: what was kept of the program is not asked again.
    let small = stand.draft(&format!("forbid {PLACE} when order.amount > 50")).await;
    stand.admin.validate(&stand.owner, &stand.acme, small).await.unwrap();
    stand.admin.activate(&stand.owner, &stand.acme, small, 0).await.unwrap();
    let text = stand.explain(60).await.unwrap();
    assert!(text.starts_with("DENY") && text.contains("order.amount > 50"), "{text}");
    let plain = stand.admin.draft(&stand.owner, &stand.acme, &SetSource::default(), "", None).await.unwrap();
    stand.admin.validate(&stand.owner, &stand.acme, plain).await.unwrap();
    stand.admin.activate(&stand.owner, &stand.acme, plain, small).await.unwrap();
    assert!(stand.explain(60).await.unwrap().starts_with("ALLOW"));

    // Nobody learns of it who may not explain there.
    let stranger = Participant::builder(Scope::organization("globex").unwrap(), "u-2").role("owner").build();
    let stranger = SecurityContext::new(&stand.policy, stranger.into());
    let asked = Asked { request: json!({ "action": PLACE }), hypothetical: true };
    let hidden = stand.admin.explain(&stranger, &stand.orders, asked).await;
    assert!(matches!(hidden, Err(AdminError::Missing { .. })), "{hidden:?}");

    // Who may, and what somebody may: a user as stored, who has no department.
    let user = stand.admin.add_user(&stand.owner, &stand.orders, NewMember::new("vic@acme.example")).await.unwrap();
    let may = stand.admin.may(&stand.owner, &stand.orders, &user.id).await.unwrap();
    let may = &may[PLACE];
    assert_eq!((may.may, may.with_mfa), (May::Never, May::Never));
    let unknown: Vec<_> = may.unknown.iter().map(|name| &**name).collect();
    assert_eq!(unknown, ["department"], "what is not stored may be added at sign-in, and the answer says so");
    let who = stand.admin.who(&stand.owner, &stand.orders, PLACE).await.unwrap();
    assert_eq!(who.iter().map(|one| (&*one.name, &one.open)).collect::<Vec<_>>(), [("vic@acme.example", may)]);
    let missing = stand.admin.who(&stand.owner, &stand.orders, "com.acme.Orders.plac").await;
    assert!(matches!(missing, Err(AdminError::Missing { what: "action", .. })), "{missing:?}");
}

/// AuthZEN's endpoints for the application, and what asks them.
async fn decisions(stand: &Stand) -> impl AsyncFn(&str, Value) -> (u16, Value) {
    decisions_of(stand, |builder| builder).await
}

async fn decisions_of(
    stand: &Stand,
    set_up: impl FnOnce(AuthZenBuilder) -> AuthZenBuilder,
) -> impl AsyncFn(&str, Value) -> (u16, Value) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let (chain, key) = tests::todo::caller(stand.orders.clone(), "enforcer").unwrap();
    let person = |id: &str, department: &str| {
        let person = Participant::builder(stand.orders.clone(), id);
        person.attribute("department", policy_runtime::value::Value::text(department)).build()
    };
    let people = Catalog::default().with_subject("user", "sam", person("sam", "sales")).with_subject(
        "user",
        "tom",
        person("tom", "stock"),
    );
    let builder = AuthZen::builder(&stand.policy, &format!("http://{at}"))
        .registered(&stand.sets, &stand.orders)
        .subjects(people)
        .believe_properties();
    let router = set_up(builder).build().unwrap().router(chain);
    tokio::spawn(async move { axum::serve(listener, router).await });
    let key = key.expose().clone();
    async move |path: &str, body: Value| {
        let body = body.to_string();
        let mut socket = TcpStream::connect(at).await.unwrap();
        let head = format!(
            "POST /access/v1/{path} HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\nx-api-key: {key}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap())
    }
}

fn place(who: &str, amount: i64) -> Value {
    json!({
        "subject": { "type": "user", "id": who }, "resource": { "type": "com.acme.Orders", "id": "orders" },
        "action": { "name": "Orders.place", "properties": { "order": { "amount": amount, "card": "4000-1234" } } },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn authzen_decides_for_it_and_its_records_are_made_again_under_a_draft() {
    let stand = Stand::start().await;
    let ask = decisions(&stand).await;
    let (status, said) = ask("evaluation", place("sam", 5)).await;
    assert_eq!(status, 403, "no program has registered, and this server is none of the application's: {said}");

    stand.register(&manifest(100), 0).await;
    for (who, amount, expected) in [("sam", 5, true), ("sam", 60, true), ("sam", 500, false), ("tom", 5, false)] {
        let (status, said) = ask("evaluation", place(who, amount)).await;
        assert!(status == 200 && said["decision"] == expected, "{who} {amount}: {said}");
    }
    let mut search = place("sam", 5);
    search["subject"] = json!({ "type": "user" });
    let (_, said) = ask("search/subject", search).await;
    assert_eq!(said["results"], json!([{ "type": "user", "id": "sam" }]));
    let (_, said) =
        ask("search/action", json!({ "subject": place("sam", 5)["subject"], "resource": place("sam", 5)["resource"] }))
            .await;
    assert_eq!(said["results"], json!([]), "without an order its rule opens nothing");

    // What AuthZEN has decided is tried like every other decision, but not what a rule on a secret would read.
    stand.journal.flush().await.unwrap();
    let run = async |number| {
        stand.admin.dry_run(&stand.owner, &stand.acme, number, Filter::default().action(PLACE)).await.unwrap()
    };
    let small = stand.draft(&format!("forbid {PLACE} when order.amount > 50")).await;
    let found = run(small).await;
    assert_eq!((found.looked, found.replayed), (4, 4), "{found:?}");
    let turns: Vec<_> = found.turns.iter().map(|(turn, (n, _))| (&*turn.rule, &*turn.caller, *n, turn.opens)).collect();
    assert_eq!(turns, [("`small`", "app:acme/orders/sam", 1, false)]);
    let card = stand.draft(&format!("forbid {PLACE} when order.card == '4000-1234'")).await;
    let found = run(card).await;
    assert_eq!((found.replayed, found.turns.len()), (0, 0), "{found:?}");
    assert!(found.not_replayed.keys().all(|why| why.contains("a rule reads a secret")), "{found:?}");

    // Why it was refused, by the id that the caller was told.
    let (_, said) = ask("evaluation", place("sam", 500)).await;
    stand.journal.flush().await.unwrap();
    let id = said["context"]["id"].as_str().unwrap();
    let explained = stand.admin.explain_decision(&stand.owner, &stand.orders, id).await.unwrap();
    assert!(explained.same_policies && explained.rule.as_deref().unwrap().contains("amount"), "{explained:?}");
    let now = explained.now.unwrap();
    assert_eq!(now["nearest"]["flips"][0]["wanted"], json!("order.amount < 100"), "{now}");
    assert!(!explained.record.to_json().to_string().contains("4000-1234"), "no secret is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_be_audited_is_not_allowed_without_its_record_there_either() {
    let mut stand = Stand::start().await;
    stand.register(&manifest(100), 0).await;
    let wanted = |builder: AuthZenBuilder| builder.require_audit(PLACE);
    let (_, said) = decisions_of(&stand, wanted).await("evaluation", place("sam", 5)).await;
    assert_eq!(said["decision"], true, "{said}");
    stand.journal.flush().await.unwrap();
    let records = stand.journal.query(&Filter::scope("app:acme/orders").action(PLACE)).await.unwrap();
    assert_eq!(records.len(), 2, "its beginning, and its end");

    // A server without a log: only what nobody requires to be recorded is allowed.
    stand.policy = Policy::builder().organization("acme").application("desk").build().unwrap();
    assert_eq!(decisions(&stand).await("evaluation", place("sam", 5)).await.1["decision"], true);
    let (_, said) = decisions_of(&stand, wanted).await("evaluation", place("sam", 5)).await;
    assert_eq!(said["decision"], false, "{said}");
}
