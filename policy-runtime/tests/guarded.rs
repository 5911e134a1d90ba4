//! Guarded functions as a program uses them: who is found, what is refused, what is logged, what is recorded.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use policy_runtime::audit::{AuditError, AuditFuture, AuditLog, MemoryAudit, Record};
use policy_runtime::testing::assert_policies_valid;
use policy_runtime::value::Value;
use policy_runtime::{
    Attributes, Code, Denied, Participant, Policy, Scope, SecurityContext, abac_policy, assert_denied,
};

#[derive(Debug, Attributes)]
struct Order {
    amount: i64,
    note: Option<String>,
    #[attributes(secret)]
    pin: i64,
}

/// Callsites that are first met while nobody listens are remembered as unwanted, by every thread; so somebody always does.
fn listen() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Log::default()).unwrap());
}

fn order(amount: i64) -> Order {
    listen();
    Order { amount, note: None, pin: 4711 }
}

#[abac_policy(participant.roles contains "finance" and order.amount < 50_000)]
fn pay(order: &Order) -> Result<i64, Denied> {
    Ok(order.amount)
}

#[abac_policy("order.pin == 1 and order.amount > 0")]
fn open(order: &Order) -> Result<i64, Denied> {
    Ok(order.pin)
}

#[abac_policy("order.note == 'gift'")]
fn wrap(order: &Order) -> Result<Option<String>, Denied> {
    Ok(order.note.clone())
}

#[abac_policy(participant.roles contains "finance")]
async fn list() -> Result<usize, Denied> {
    Ok(0)
}

#[abac_policy(participant.roles contains "finance")]
async fn explicit(#[context] cx: &SecurityContext) -> Result<usize, Denied> {
    Ok(0)
}

#[abac_policy(participant.departmnt == "sales")]
fn misspelt() -> Result<(), Denied> {
    Ok(())
}

static RAN: AtomicUsize = AtomicUsize::new(0);

#[abac_policy(participant.roles contains "finance", audit = required)]
async fn audited(log: &MemoryAudit) -> Result<usize, Denied> {
    RAN.fetch_add(1, Ordering::SeqCst);
    // The record is there, and open, while the body runs.
    assert!(log.records().last().is_some_and(|(record, done)| record.action.ends_with("audited") && !done));
    Ok(log.records().len())
}

#[abac_policy(authenticated)]
fn anyone(count: u64) -> Result<u64, Denied> {
    Ok(count)
}

fn finance() -> policy_runtime::testing::TestContext {
    listen();
    SecurityContext::test().id("alice").role("finance")
}

/// What was logged while it was the subscriber.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<BTreeMap<String, String>>>>);

impl Log {
    fn denials(&self) -> Vec<BTreeMap<String, String>> {
        self.0.lock().unwrap().iter().filter(|e| e.contains_key("decision")).cloned().collect()
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "policy"
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        struct Fields(BTreeMap<String, String>);
        impl tracing::field::Visit for Fields {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0.insert(field.name().to_owned(), format!("{value:?}").trim_matches('"').to_owned());
            }
        }
        let mut fields = Fields(BTreeMap::new());
        event.record(&mut fields);
        self.0.lock().unwrap().push(fields.0);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

fn logged<T>(work: impl FnOnce() -> T) -> (T, Log) {
    listen();
    let log = Log::default();
    (tracing::subscriber::with_default(log.clone(), work), log)
}

#[test]
fn a_clause_that_fails_is_named() {
    assert_eq!(finance().run(|| pay(&order(4_200))), Ok(4_200));
    assert_denied!(finance().run(|| pay(&order(72_000))), clause = "order.amount < 50000");
    assert_denied!(SecurityContext::test().run(|| pay(&order(1))), clause = "participant.roles contains 'finance'");
    assert_denied!(finance().run(|| wrap(&order(1))));
    assert!(finance().run(|| wrap(&Order { note: Some("gift".into()), ..order(1) })).is_ok());
}

#[test]
#[should_panic(expected = "the call was denied by another clause")]
fn another_clause_is_not_the_one() {
    assert_denied!(finance().run(|| pay(&order(72_000))), clause = "participant.mfa");
}

#[test]
#[should_panic(expected = "the call was allowed")]
fn an_allowed_call_is_not_denied() {
    assert_denied!(finance().run(|| pay(&order(1))));
}

#[test]
fn a_disagreement_with_cedar_denies_and_is_reported() {
    let by_both = || {
        let policy = Policy::builder().application("shop").by_both().build().unwrap();
        let alice = Participant::builder(policy.application().clone(), "alice").role("finance").build();
        (SecurityContext::new(&policy, alice.into()), policy)
    };
    let (cx, _) = by_both();
    assert_eq!(cx.run(|| pay(&order(4_200))), Ok(4_200), "both allow");
    assert_eq!(cx.run(|| pay(&order(72_000))).map_err(|d| d.code()), Err(Code::AccessDenied), "both deny");
    let (cx, policy) = by_both();
    let injected = "@id(\"injected\") forbid (principal, action, resource);";
    assert!(policy.engine().judge_by(&policy.organization(), injected));
    let (denied, log) = logged(|| cx.run(|| pay(&order(4_200))).unwrap_err());
    assert_eq!(denied.code(), Code::Disagreement);
    let events = log.denials();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["code"], "ENGINES_DISAGREE");
    assert_eq!(events[0]["decision"], denied.id());
    assert!(events[0]["message"].contains("Cedar says [`injected`] decide"), "{events:?}");
}

#[test]
fn without_any_context_it_denies_and_says_what_to_do() {
    let (denied, log) = logged(|| pay(&order(1)).unwrap_err());
    assert_eq!(denied.code(), Code::NoContext);
    let events = log.denials();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["decision"], denied.id());
    assert!(events[0]["message"].contains("was called outside any security context"), "{events:?}");
    assert!(events[0]["message"].contains("tests/guarded.rs:"), "the place: {events:?}");
}

#[test]
fn one_event_per_denial_says_all_but_secrets() {
    let (denied, log) = logged(|| finance().run(|| pay(&order(72_000))).unwrap_err());
    let events = log.denials();
    assert_eq!(events.len(), 1, "{events:?}");
    let event = &events[0];
    assert_eq!(event["decision"], denied.id());
    assert_eq!((&*event["tier"], &*event["clause"]), ("application", "order.amount < 50000"));
    assert_eq!(event["values"], "order.amount is 72000");
    assert!(event["policy"].ends_with("pay"), "{event:?}");
    assert_eq!(event["participant"], "alice");
    let (denied, log) = logged(|| finance().run(|| open(&order(1))).unwrap_err());
    assert_eq!(log.denials()[0]["values"], "order.pin is (secret)");
    assert!(!format!("{:?}", log.0).contains("4711"), "{log:?}");
    let cx: SecurityContext = (*finance()).clone();
    let remembered = cx.policy().denial(denied.id());
    assert!(remembered.is_some_and(|denial| !format!("{denial:?}").contains("4711")));
}

#[test]
fn the_caller_is_told_a_code_and_an_id() {
    let denied = finance().run(|| pay(&order(72_000))).unwrap_err();
    assert_eq!(denied.to_string(), format!("{} ({})", denied.code(), denied.id()));
    let json = serde_json::to_value(&denied).unwrap();
    assert_eq!(json, serde_json::json!({ "code": denied.code().as_str(), "id": denied.id() }));
    for text in [denied.to_string(), format!("{denied:?}"), json.to_string()] {
        assert!(!text.contains("amount") && !text.contains("72000") && !text.contains("finance"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_context_of_the_task_is_found_also_in_spawned_tasks() {
    let alice = finance();
    assert_eq!(alice.scope(list()).await, Ok(0));
    assert_eq!(alice.spawn(list()).await.unwrap(), Ok(0));
    // A task that was started without it has none.
    let bare = alice.scope(async { tokio::spawn(list()).await.unwrap() }).await;
    assert_eq!(bare.unwrap_err().code(), Code::NoContext);
    // The inner one counts, and the outer one again after it.
    let nobody = SecurityContext::test();
    alice
        .scope(async {
            assert!(nobody.scope(list()).await.is_err());
            assert!(list().await.is_ok());
        })
        .await;
    assert!(SecurityContext::current().is_none());
}

#[tokio::test]
async fn an_explicit_context_wins() {
    let (alice, nobody) = (finance(), SecurityContext::test());
    assert!(nobody.scope(explicit(&alice)).await.is_ok());
    assert!(alice.scope(explicit(&nobody)).await.is_err());
    assert!(explicit(&alice).await.is_ok());
}

#[derive(Debug)]
struct Broken;

impl AuditLog for Broken {
    fn begin<'a>(&'a self, _: &'a Record) -> AuditFuture<'a> {
        Box::pin(async { Err(AuditError("the disk is full".into())) })
    }
    fn complete(&self, _: &Record, _: Option<u64>) {}
}

#[tokio::test]
async fn what_must_be_audited_runs_only_with_its_record() {
    let log = Arc::new(MemoryAudit::default());
    let alice = |finance: SecurityContext| finance.with_audit(log.clone());
    let cx = alice((*finance()).clone());
    let before = RAN.load(Ordering::SeqCst);
    assert_eq!(cx.scope(audited(&log)).await, Ok(1));
    assert!(log.records()[0].1, "closed after it");
    assert_eq!(&*log.records()[0].0.principal, "app:default/test/alice");
    // A denial is none.
    assert!(alice((*SecurityContext::test()).clone()).scope(audited(&log)).await.is_err());
    assert_eq!(log.records().len(), 1);
    // Without a log, or with one that cannot write, the body does not run; the caller is told that it was refused.
    let none = (*finance()).clone();
    let broken = none.clone().with_audit(Arc::new(Broken));
    for cx in [none, broken] {
        let denied = cx.scope(audited(&log)).await.unwrap_err();
        assert_eq!(denied.code(), Code::AuditUnavailable);
        assert_eq!(cx.refusal(), Some(denied));
    }
    assert_eq!(RAN.load(Ordering::SeqCst), before + 1);
}

#[test]
fn an_action_can_be_made_to_need_a_record() {
    let policy = Policy::builder().application("audited").build().unwrap();
    let alice = |cx: &SecurityContext| cx.run(|| pay(&order(1)));
    let builder = Participant::builder(policy.application().clone(), "alice").role("finance");
    let cx = SecurityContext::new(&policy, builder.build().into());
    assert!(alice(&cx).is_ok());
    policy.require_audit("guarded.pay").unwrap();
    assert_eq!(alice(&cx).unwrap_err().code(), Code::AuditUnavailable);
    let log = Arc::new(MemoryAudit::default());
    assert!(alice(&cx.clone().with_audit(log.clone())).is_ok());
    assert_eq!(log.records().len(), 1);
    assert!(policy.require_audit("guarded.unheard").is_err());
}

#[test]
fn attributes_that_nothing_supplies_are_reported_with_the_nearest() {
    let policy = Policy::builder().application("a").supplies(["department"]).build().unwrap();
    let told: Vec<String> = policy.warnings().iter().map(ToString::to_string).collect();
    let told = told.join("\n");
    assert!(
        told.contains(
            "nothing supplies `participant.departmnt`, so it is always absent\nhelp: did you mean `department`?"
        ),
        "{told}"
    );
    assert!(told.contains("tests/guarded.rs:"), "the place: {told}");
    let error = Policy::builder().application("a").supplies(["department"]).strict_attributes().build().unwrap_err();
    assert!(error.to_string().contains("participant.departmnt"), "{error}");
    assert!(Policy::builder().application("a").supplies(["departmnt"]).strict_attributes().build().is_ok());
    let sales = SecurityContext::test().attribute("departmnt", Value::text("sales"));
    assert!(sales.run(misspelt).is_ok());
    assert!(SecurityContext::test().run(misspelt).is_err());
}

#[test]
fn a_value_that_its_kind_cannot_hold_refuses_also_behind_authenticated() {
    let anybody = SecurityContext::test();
    assert_eq!(anybody.run(|| anyone(5)), Ok(5));
    let denied = anybody.run(|| anyone(u64::MAX)).unwrap_err();
    assert_eq!(denied.code(), Code::UnusableValue);
}

#[test]
fn a_replaced_set_counts_from_the_next_call() {
    let policy = Policy::builder().organization("acme").application("replaced").build().unwrap();
    let changes = policy.changes();
    let alice = Participant::builder(policy.application().clone(), "alice").role("finance").build();
    let cx = SecurityContext::new(&policy, alice.into());
    assert!(cx.run(|| pay(&order(1))).is_ok());
    let rule = policy_runtime::SetSource {
        rules: vec![("mfa".into(), "forbid guarded.pay unless participant.mfa".into())],
        ..policy_runtime::SetSource::default()
    };
    let activation = policy.replace(&policy.organization(), &rule).unwrap();
    assert_eq!((activation.before.number, activation.revision.number), (1, 2));
    assert!(changes.has_changed().unwrap());
    let denied = cx.run(|| pay(&order(1))).unwrap_err();
    assert_eq!(policy.denial(denied.id()).and_then(|d| d.policy).as_deref(), Some("mfa"));
}

#[test]
fn the_programs_policies_validate() {
    assert_policies_valid();
}

#[abac_policy(authenticated, tier = organization, callers(organization, system), organization = organization)]
fn members_of(organization: &str) -> Result<usize, Denied> {
    Ok(organization.len())
}

#[abac_policy(authenticated, tier = organization, callers(organization, system))]
fn own_members() -> Result<usize, Denied> {
    Ok(0)
}

#[test]
fn operators_name_the_organization_and_others_have_their_own() {
    let policy = Policy::builder()
        .organization("acme")
        .application("orders")
        .also("globex", "parts")
        .without_organization_baseline()
        .organization_cedar(
            "all.cedar",
            r#"@id("all") permit (principal, action, resource is Platform::Organization);"#,
        )
        .build()
        .unwrap();
    let of = |scope: Scope| {
        SecurityContext::new(&policy, Participant::builder(scope, "u-1").role("operator").build().into())
    };
    let (operator, admin) = (of(Scope::System), of(Scope::organization("acme").unwrap()));
    assert!(operator.run(|| members_of("acme")).is_ok());
    assert!(operator.run(|| members_of("nowhere")).is_err());
    assert!(operator.run(|| members_of("No Slug")).is_err());
    assert!(operator.run(own_members).is_err(), "nothing says which organization");
    assert!(admin.run(own_members).is_ok());
    assert!(admin.run(|| members_of("acme")).is_ok());
    assert!(admin.run(|| members_of("globex")).is_err(), "the parameter opens nothing to others");
}
