//! Manifests of programs: rules are checked in each, and a manifest that breaks them is refused, or closed until it is accepted.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use policy_core::pdp::SetSource;
use policy_core::registry::Registry;
use policy_core::value::Millis;
use policy_runtime::clock::FixedClock;
use policy_runtime::config::{Config, Environment};
use policy_runtime::database::{Database, DatabaseAddress};
use policy_runtime::server::{Prepared, ServerError};
use policy_runtime::sets::{ManifestState, OnBreak, PolicySets, SetsError};
use policy_runtime::{Denied, Participant, Policy, Scope, SecurityContext, abac_policy};
use serde_json::{Value, json};

#[abac_policy(participant.roles contains "finance" and amount < 50_000)]
async fn place(amount: u32) -> Result<u32, Denied> {
    Ok(amount)
}

const NOW: Millis = Millis(1_795_311_717_000);

fn later(minutes: i64) -> Millis {
    Millis(NOW.0 + minutes * 60_000)
}

/// An action about an order whose `amount` is of a kind.
fn action(name: &str, kind: &str) -> Value {
    let service = name.split('.').next().unwrap();
    let amount = json!({ "name": "amount", "rustName": "amount", "type": { "kind": kind } });
    let order = json!({ "kind": "Record", "name": "Order", "fields": [amount] });
    json!({
        "action": format!("com.acme.{name}"), "namespace": "com.acme", "tier": "application", "callers": ["application"],
        "participant": "Platform::Participant", "resource": format!("com::acme::{service}"), "about": "service",
        "parameters": [{ "name": "order", "rustName": "order", "type": order }],
        "rules": [], "authenticated": true, "sources": ["src/lib.rs:7"],
    })
}

fn manifest(actions: &[(&str, &str)]) -> String {
    let actions: Vec<Value> = actions.iter().map(|(name, kind)| action(name, kind)).collect();
    json!({ "manifest": 1, "actions": actions }).to_string()
}

fn rule(text: &str) -> SetSource {
    SetSource { rules: vec![("r".into(), text.into())], ..SetSource::default() }
}

fn acme() -> Scope {
    Scope::organization("acme").unwrap()
}

fn app(name: &str) -> Scope {
    Scope::application("acme", name).unwrap()
}

/// An administration with no program of its own: what it knows was registered.
struct Stand {
    sets: PolicySets,
    policy: Policy,
}

impl Stand {
    async fn new() -> Self {
        let sets = PolicySets::new(Database::open(&DatabaseAddress::Memory).await.unwrap());
        let policy = Policy::builder().organization("acme").application("desk").clock(Arc::new(FixedClock::at(NOW.0)));
        Self { sets, policy: policy.build().unwrap() }
    }

    async fn register(&self, name: &str, version: &str, manifest: &str, minutes: i64) -> ManifestState {
        self.registered(name, version, manifest, OnBreak::Refuse, minutes).await.0
    }

    async fn registered(
        &self,
        name: &str,
        version: &str,
        manifest: &str,
        on_break: OnBreak,
        minutes: i64,
    ) -> (ManifestState, String, Vec<String>) {
        let done = self.sets.register_manifest(&app(name), version, manifest, on_break, later(minutes)).await.unwrap();
        (done.state, done.broken.join("\n"), done.closed)
    }

    async fn check(&self, text: &str) -> Result<usize, String> {
        let found = self.sets.check(&self.policy, &acme(), &rule(text), later(1)).await;
        found.map(|warnings| warnings.len()).map_err(|error| error.to_string())
    }

    async fn activate(&self, text: &str) {
        let (sets, policy) = (&self.sets, &self.policy);
        let number = sets.draft(&acme(), &rule(text), "ann", "", NOW).await.unwrap();
        sets.validate(policy, &acme(), number).await.unwrap();
        let active = sets.active(&acme()).await.unwrap();
        sets.activate(policy, &acme(), number, active, "ann", NOW).await.unwrap();
    }
}

#[tokio::test]
async fn a_rule_is_checked_in_every_program_that_has_its_action() {
    let stand = Stand::new().await;
    assert!(stand.check("forbid com.acme.Orders.place unless participant.mfa").await.is_err(), "nobody has it yet");
    let (orders, billing) = (manifest(&[("Orders.place", "Long")]), manifest(&[("Billing.pay", "Decimal")]));
    assert_eq!(stand.register("orders", "1", &orders, 0).await, ManifestState::Accepted);
    assert_eq!(stand.register("billing", "1", &billing, 0).await, ManifestState::Accepted);
    assert_eq!(stand.check("forbid com.acme.Orders.place when order.amount > 5").await, Ok(0));
    assert_eq!(stand.check("forbid com.acme.Billing.* when order.amount > 5.5").await, Ok(0));
    let error = stand.check("forbid com.acme.Orders.place when order.amount > 5.5").await.unwrap_err();
    assert!(error.contains("in `app:acme/orders`, version 1") && error.contains('^'), "{error}");
    let error = stand.check("forbid com.acme.Billing.pya").await.unwrap_err();
    assert!(error.contains("did you mean `com.acme.Billing.pay`?"), "{error}");
    assert_eq!(
        stand.check("forbid com.acme.Orders.place unless participant.mfaa").await,
        Ok(1),
        "a misspelt attribute"
    );
    // Another organization knows nothing of it, not even a name that is near.
    let globex = Scope::organization("globex").unwrap();
    let error = stand.sets.check(&stand.policy, &globex, &rule("forbid com.acme.Billing.pya"), NOW).await.unwrap_err();
    assert!(!error.to_string().contains("Billing.pay"), "{error}");
    // A second version runs beside the first: the rule must check in both while both run.
    let second = manifest(&[("Orders.place", "Decimal")]);
    assert_eq!(stand.register("orders", "2", &second, 1).await, ManifestState::Accepted);
    assert!(stand.check("forbid com.acme.Orders.place when order.amount > 5.5").await.is_err());
    let text = rule("forbid com.acme.Orders.place when order.amount > 5.5");
    stand.sets.check(&stand.policy, &acme(), &text, later(30)).await.unwrap();
}

#[tokio::test]
async fn a_draft_against_an_older_schema_says_what_moved() {
    let stand = Stand::new().await;
    stand.register("orders", "1", &manifest(&[("Orders.place", "Long"), ("Orders.stop", "Long")]), -60).await;
    let text = "forbid com.acme.Orders.place when order.amount > 5";
    let older = stand.sets.draft(&acme(), &rule(text), "ann", "", later(-50)).await.unwrap();
    let gone = stand.sets.draft(&acme(), &rule("forbid com.acme.Orders.stop"), "ann", "", later(-50)).await.unwrap();
    stand.register("orders", "2", &manifest(&[("Orders.place", "Text"), ("Orders.stops", "Long")]), -40).await;
    // The first version was not heard of for a while.
    let policy = &stand.policy;
    let error = stand.sets.validate(policy, &acme(), older).await.unwrap_err().to_string();
    assert!(
        error.contains("since this was written, `order.amount` of `com.acme.Orders.place` was Long and is Text"),
        "{error}"
    );
    let error = stand.sets.validate(policy, &acme(), gone).await.unwrap_err().to_string();
    assert!(error.contains("`com.acme.Orders.stop` is gone; `com.acme.Orders.stops` is near"), "{error}");
    assert_eq!(stand.sets.history(&acme()).await.unwrap().len(), 2, "both are still drafts, as they were written");
}

#[tokio::test]
async fn a_manifest_that_breaks_an_active_rule_is_refused_and_the_rule_is_named() {
    let stand = Stand::new().await;
    let first = manifest(&[("Orders.place", "Long"), ("Orders.stop", "Long")]);
    stand.register("orders", "1", &first, 0).await;
    // Another application has an action of the same name: that the first one loses it is seen all the same.
    stand.register("billing", "1", &manifest(&[("Orders.place", "Long")]), 0).await;
    stand.activate("forbid com.acme.Orders.place when order.amount > 5").await;
    let renamed = manifest(&[("Orders.put", "Long"), ("Orders.stop", "Long")]);
    let (state, broken, _) = stand.registered("orders", "2", &renamed, OnBreak::Refuse, 1).await;
    assert_eq!(state, ManifestState::Refused);
    assert!(broken.contains("org:acme: r: there is no action") && broken.contains("com.acme.Orders.place"), "{broken}");
    let (state, broken, _) =
        stand.registered("orders", "2", &manifest(&[("Orders.place", "Text")]), OnBreak::Refuse, 1).await;
    assert!(state == ManifestState::Refused && broken.contains("order.amount"), "{broken}");
    assert_eq!(stand.sets.manifests(&app("orders")).await.unwrap().len(), 1, "what is refused is not registered");
    // The same one again is no news, and a former name keeps the rule whole.
    assert_eq!(stand.register("orders", "1", &first, 2).await, ManifestState::Accepted);
    let mut known: Value = serde_json::from_str(&renamed).unwrap();
    known["actions"][0]["was"] = json!([{ "action": "com.acme.Orders.place", "namespace": "com.acme" }]);
    assert_eq!(stand.register("orders", "2", &known.to_string(), 3).await, ManifestState::Accepted);
    // Flagged, it runs with what is new closed, and what is as before open.
    let (state, _, closed) = stand.registered("orders", "3", &renamed, OnBreak::Flag, 4).await;
    assert_eq!((state, closed.as_slice()), (ManifestState::Flagged, &["com.acme.Orders.put".to_owned()][..]));
    let hash = stand.sets.manifests(&app("orders")).await.unwrap().last().unwrap().hash.clone();
    stand.sets.accept_manifest(&app("orders"), &hash).await.unwrap();
    assert!(stand.sets.manifests(&app("orders")).await.unwrap().iter().all(|one| one.closed.is_empty()));
    assert_eq!(stand.register("orders", "3", &renamed, 5).await, ManifestState::Accepted, "it stays accepted");
    assert_eq!(stand.sets.accept_manifest(&app("orders"), "00").await, Err(SetsError::NoManifest));
    // What cannot be checked is not accepted.
    let (state, _, closed) =
        stand.registered("orders", "4", &manifest(&[("Orders.place", "Text")]), OnBreak::Flag, 6).await;
    assert_eq!((state, closed.len()), (ManifestState::Flagged, 1));
    let hash = stand.sets.manifests(&app("orders")).await.unwrap().last().unwrap().hash.clone();
    assert!(matches!(stand.sets.accept_manifest(&app("orders"), &hash).await, Err(SetsError::Refused(_))));
}

#[tokio::test]
async fn manifests_of_programs_that_are_long_gone_go_and_rules_stay_whole() {
    const DAY: i64 = 24 * 60;
    let stand = Stand::new().await;
    let orders = |names: &[&str]| manifest(&names.iter().map(|name| (*name, "Long")).collect::<Vec<_>>());
    let left = async || {
        let all = stand.sets.manifests(&Scope::System).await.unwrap();
        all.into_iter().map(|one| format!("{} {}", one.scope, one.version)).collect::<Vec<_>>()
    };
    let prune = async |scope: &Scope, minutes| {
        stand
            .sets
            .prune_manifests(scope, later(minutes))
            .await
            .unwrap()
            .into_iter()
            .map(|one| one.version)
            .collect::<Vec<_>>()
    };
    stand.register("orders", "1", &orders(&["Orders.place", "Orders.stop"]), 0).await;
    stand.activate("forbid com.acme.Orders.stop").await;
    let second = orders(&["Orders.place", "Orders.cancel"]);
    let (state, ..) = stand.registered("orders", "2", &second, OnBreak::Flag, DAY).await;
    assert_eq!(state, ManifestState::Flagged);
    stand.register("billing", "1", &orders(&["Billing.pay"]), 0).await;
    assert!(prune(&acme(), 100 * DAY).await.is_empty(), "none was accepted since, and the newest stays");

    let hash = stand.sets.manifests(&app("orders")).await.unwrap().last().unwrap().hash.clone();
    stand.sets.accept_manifest(&app("orders"), &hash).await.unwrap();
    assert!(prune(&acme(), 100 * DAY).await.is_empty(), "an active rule names what only the first one has");
    let told = stand.sets.moved_in(&app("orders"), &hash).await.unwrap();
    assert!(told.iter().any(|moved| moved.contains("`com.acme.Orders.stop` is gone")), "{told:?}");
    assert_eq!(stand.sets.moved_in(&app("billing"), &hash).await, Err(SetsError::NoManifest));

    let none = stand.sets.draft(&acme(), &SetSource::default(), "ann", "", later(2 * DAY)).await.unwrap();
    stand.sets.validate(&stand.policy, &acme(), none).await.unwrap();
    let active = stand.sets.active(&acme()).await.unwrap();
    stand.sets.activate(&stand.policy, &acme(), none, active, "ann", later(2 * DAY)).await.unwrap();
    assert!(prune(&acme(), 80 * DAY).await.is_empty(), "not gone for long enough");
    assert!(prune(&app("billing"), 100 * DAY).await.is_empty(), "those of the scope alone");
    assert_eq!(prune(&acme(), 100 * DAY).await, ["1"]);
    assert_eq!(left().await, ["app:acme/billing 1", "app:acme/orders 2"]);
    assert!(prune(&Scope::System, 1_000 * DAY).await.is_empty(), "the last one of an application stays");
}

#[tokio::test]
async fn nonsense_registers_nothing() {
    let stand = Stand::new().await;
    for text in ["", "[]", "{\"manifest\": 2, \"actions\": []}", "{\"manifest\": 1, \"actions\": [{}]}"] {
        let done = stand.sets.register_manifest(&app("orders"), "1", text, OnBreak::Flag, NOW).await;
        assert!(matches!(done, Err(SetsError::Manifest(_))), "{text}");
    }
    assert!(stand.sets.manifests(&Scope::System).await.unwrap().is_empty());
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Folder {
    fn config(&self, on_break: &str) -> Config {
        let url = format!("sqlite:{}", self.0.join("policy.db").display());
        let text = format!(
            "[server]\nbroken_manifests = \"{on_break}\"\n[application]\norganization = \"acme\"\nid = \"orders\""
        );
        Config::check(&text, &Environment::of([("POLICY_DATABASE_URL", url.as_str())]), Path::new(".")).unwrap()
    }
}

/// This very program, whose `place` an older version had otherwise, beside a method that is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_breaks_a_rule_is_told_at_its_start() {
    let folder = Folder(std::env::temp_dir().join(format!("policy-manifests-{}", std::process::id())));
    std::fs::create_dir_all(&folder.0).unwrap();
    let mut older = Registry::program().unwrap().manifest();
    let actions = older["actions"].as_array_mut().unwrap();
    actions[0]["rules"][0]["rule"] = json!("participant.roles contains 'anybody'");
    actions.push(action("Orders.vanish", "Long"));
    let config = folder.config("refuse");
    let sets = PolicySets::new(Database::open(&config.database).await.unwrap());
    sets.register_manifest(&app("orders"), "1", &older.to_string(), OnBreak::Refuse, NOW).await.unwrap();
    let admin = Policy::builder().organization("acme").application("orders").build().unwrap();
    let number = sets.draft(&acme(), &rule("forbid com.acme.Orders.vanish"), "ann", "", NOW).await.unwrap();
    sets.validate(&admin, &acme(), number).await.unwrap();
    sets.activate(&admin, &acme(), number, 0, "ann", NOW).await.unwrap();

    let refused = Prepared::new(&config).await.unwrap_err();
    assert!(matches!(&refused, ServerError::Breaks(rules) if rules[0].contains("com.acme.Orders.vanish")), "{refused}");
    let prepared = Prepared::new(&folder.config("flag")).await.unwrap();
    let call = async || {
        let finance = Participant::builder(app("orders"), "u-1").role("finance").build();
        let cx = SecurityContext::new(&prepared.policy, finance.into());
        cx.scope(place(10)).await.is_ok()
    };
    assert!(!call().await, "what has changed is closed");
    let flagged = sets.manifests(&app("orders")).await.unwrap().last().unwrap().clone();
    assert_eq!(flagged.closed, ["manifests.place"]);
    sets.accept_manifest(&app("orders"), &flagged.hash).await.unwrap();
    prepared.follower.confirm().await.unwrap();
    assert!(call().await, "accepted, it is open");
}
