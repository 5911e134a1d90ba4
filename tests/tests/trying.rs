//! Drafts tried before they decide: in shadow beside live calls, and over what was recorded; why something was decided, who may.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::sync::Arc;

use policy_runtime::admin::{Admin, AdminError, Asked, NewMember};
use policy_runtime::audit::journal::{Filter, Journal, Recording};
use policy_runtime::config::{Config, Environment};
use policy_runtime::database::{Database, DatabaseAddress};
use policy_runtime::identity::{Directory as _, SqlStore};
use policy_runtime::sets::PolicySets;
use policy_runtime::shadow::Turn;
use policy_runtime::{Attributes, Denied, May, Participant, Policy, Scope, SecurityContext, SetSource, abac_policy};
use serde_json::json;

#[derive(Attributes)]
struct Payment {
    amount: i64,
    currency: String,
    #[attributes(secret)]
    card: String,
}

#[abac_policy(payment.amount < 1_000, action = "Trying.pay")]
fn pay(payment: &Payment) -> Result<(), Denied> {
    let _ = payment;
    Ok(())
}

struct Stand {
    policy: Policy,
    journal: Arc<Journal>,
    admin: Admin,
    acme: Scope,
    shop: Scope,
    owner: SecurityContext,
}

impl Stand {
    async fn start(recording: Recording) -> Self {
        let database = Database::open(&DatabaseAddress::Memory).await.unwrap();
        let (store, sets) = (Arc::new(SqlStore::new(database.clone())), PolicySets::new(database));
        store.add_organization("acme").await.unwrap();
        store.add_application("acme", "shop").await.unwrap();
        let journal = Arc::new(Journal::in_memory().recording(recording).start().unwrap());
        let policy = Policy::builder().organization("acme").application("shop").audit(journal.clone()).build().unwrap();
        let (acme, shop) = (policy.organization(), policy.application().clone());
        let owner = Participant::builder(acme.clone(), "u-ann").role("owner").build();
        let owner = SecurityContext::new(&policy, owner.into());
        let admin = Admin::new(&policy, store, sets, journal.clone());
        Self { policy, journal, admin, acme, shop, owner }
    }

    fn caller(&self, id: &str, mfa: bool) -> SecurityContext {
        SecurityContext::new(&self.policy, Participant::builder(self.shop.clone(), id).mfa(mfa).build().into())
    }

    async fn draft(&self, id: &str, rule: &str) -> i64 {
        let source = SetSource { rules: vec![(id.to_owned(), rule.to_owned())], ..SetSource::default() };
        self.admin.draft(&self.owner, &self.acme, &source, id, None).await.unwrap()
    }
}

fn payment(amount: i64, currency: &str) -> Payment {
    Payment { amount, currency: currency.into(), card: "4000-1234".into() }
}

const PAY: &str = "Trying.pay";

fn action(stand: &Stand) -> String {
    let all = stand.policy.engine().registry().actions();
    let mut names = all.map(|(_, entry)| entry.name.to_string()).filter(|name| name.ends_with(PAY));
    names.next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_in_shadow_is_counted_and_decides_nothing() {
    let stand = Stand::start(Recording::denials()).await;
    let action = action(&stand);
    let mfa = stand.draft("mfa", &format!("forbid {action} unless participant.mfa == true")).await;
    assert!(matches!(
        stand.admin.shadowed(&stand.owner, &stand.acme).await,
        Err(AdminError::Missing { what: "draft in shadow of", .. })
    ));
    stand.caller("bob", false).run(|| pay(&payment(5, "EUR"))).unwrap();
    assert_eq!(stand.admin.shadow(&stand.owner, &stand.acme, mfa).await.unwrap().decisions, 0);
    for _ in 0..3 {
        stand.caller("bob", false).run(|| pay(&payment(5, "EUR"))).unwrap();
    }
    stand.caller("carol", true).run(|| pay(&payment(5, "EUR"))).unwrap();
    stand.caller("bob", false).run(|| pay(&payment(5_000, "EUR"))).unwrap_err();
    let shadow = stand.admin.shadowed(&stand.owner, &stand.acme).await.unwrap();
    // Also the caller's own question is a decision of the organization.
    assert!(shadow.decisions >= 5, "{shadow:?}");
    let turn = Turn { opens: false, rule: "`mfa`".into(), action: action.clone(), caller: "app:acme/shop/bob".into() };
    assert_eq!(shadow.turns, [(turn, 3)]);

    // The other direction: what the active set forbids, and the draft does not.
    stand.admin.validate(&stand.owner, &stand.acme, mfa).await.unwrap();
    stand.admin.activate(&stand.owner, &stand.acme, mfa, 0).await.unwrap();
    let gone = stand.admin.shadowed(&stand.owner, &stand.acme).await;
    assert!(matches!(gone, Err(AdminError::Missing { .. })), "what decides is no draft: {gone:?}");
    let plain = stand.admin.draft(&stand.owner, &stand.acme, &SetSource::default(), "", None).await.unwrap();
    stand.admin.shadow(&stand.owner, &stand.acme, plain).await.unwrap();
    stand.caller("bob", false).run(|| pay(&payment(5, "EUR"))).unwrap_err();
    let shadow = stand.admin.shadowed(&stand.owner, &stand.acme).await.unwrap();
    assert_eq!(shadow.turns.len(), 1);
    assert_eq!((shadow.turns[0].0.becomes(), &*shadow.turns[0].0.rule), ("deny becomes allow", "`mfa`"));
    stand.admin.end_shadow(&stand.owner, &stand.acme).await.unwrap();
    assert!(stand.policy.shadowed(&stand.acme).is_none());

    // Nobody else puts a draft there, and one that does not check is refused.
    let stranger = Participant::builder(Scope::organization("globex").unwrap(), "u-2").role("owner").build();
    let stranger = SecurityContext::new(&stand.policy, stranger.into());
    assert!(matches!(stand.admin.shadow(&stranger, &stand.acme, plain).await, Err(AdminError::Missing { .. })));
    let bad = stand.draft("bad", "forbid Nothing.there").await;
    assert!(matches!(stand.admin.shadow(&stand.owner, &stand.acme, bad).await, Err(AdminError::Refused(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_count_a_draft_together() {
    let path = std::env::temp_dir().join(format!("policy-shadow-{}.db", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let database = Database::open(&DatabaseAddress::File(path.clone())).await.unwrap();
    let sets = PolicySets::new(database);
    let servers = [(); 2].map(|()| Policy::builder().organization("acme").application("shop").build().unwrap());
    let (acme, shop) = (servers[0].organization(), servers[0].application().clone());
    let rule = ("no".to_owned(), format!("forbid {}", "Platform.keys.create"));
    let source = SetSource { rules: vec![rule], ..SetSource::default() };
    let draft = sets.draft(&acme, &source, "ann", "", policy_runtime::value::Millis(1)).await.unwrap();
    sets.shadow(&acme, draft, "ann", policy_runtime::value::Millis(2)).await.unwrap();
    for server in &servers {
        sets.cast_shadows(server).await.unwrap();
        let caller = Participant::builder(shop.clone(), "bob").build();
        SecurityContext::new(server, caller.into()).run(|| pay(&payment(5, "EUR"))).unwrap();
    }
    for server in &servers {
        sets.cast_shadows(server).await.unwrap();
    }
    assert_eq!(sets.shadow_of(&acme).await.unwrap().unwrap().decisions, 2);
    assert!(sets.end_shadow(&acme).await.unwrap() && !sets.end_shadow(&acme).await.unwrap());
    for server in &servers {
        sets.cast_shadows(server).await.unwrap();
        assert!(server.shadowed(&acme).is_none());
    }
    std::fs::remove_file(path).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_decisions_are_made_again_under_a_draft_and_never_guessed() {
    let stand = Stand::start(Recording::all().with_inputs()).await;
    let action = action(&stand);
    stand.caller("bob", false).run(|| pay(&payment(5, "EUR"))).unwrap();
    stand.caller("bob", false).run(|| pay(&payment(6, "USD"))).unwrap();
    stand.caller("carol", true).run(|| pay(&payment(7, "USD"))).unwrap();
    stand.caller("carol", true).run(|| pay(&payment(9_000, "EUR"))).unwrap_err();
    stand.journal.flush().await.unwrap();
    let recorded = stand.journal.query(&Filter::scope("app:acme/shop")).await.unwrap();
    let text: String = recorded.iter().map(|one| one.to_json().to_string()).collect();
    assert!(text.contains("EUR") && !text.contains("4000-1234"), "no secret is recorded: {text}");

    let run = |number| stand.admin.dry_run(&stand.owner, &stand.acme, number, Filter::default().action(&action));
    let mfa = stand.draft("mfa", &format!("forbid {action} unless participant.mfa == true")).await;
    let found = run(mfa).await.unwrap();
    assert_eq!((found.looked, found.replayed), (4, 4), "{found:?}");
    let turns: Vec<_> =
        found.turns.iter().map(|(turn, (n, ids))| (&*turn.rule, &*turn.caller, *n, ids.len())).collect();
    assert_eq!(turns, [("`mfa`", "app:acme/shop/bob", 2, 2)]);

    let dollars = stand.draft("dollars", &format!("forbid {action} when payment.currency == 'USD'")).await;
    let found = run(dollars).await.unwrap();
    let callers: Vec<_> = found.turns.iter().map(|(turn, (n, _))| (&*turn.caller, *n)).collect();
    assert_eq!(callers, [("app:acme/shop/bob", 1), ("app:acme/shop/carol", 1)]);

    // What was not kept is not guessed.
    let card = stand.draft("card", &format!("forbid {action} when payment.card == '4000-1234'")).await;
    let found = run(card).await.unwrap();
    assert_eq!((found.replayed, found.turns.len()), (0, 0), "{found:?}");
    let reasons: Vec<_> = found.not_replayed.iter().collect();
    assert_eq!(reasons, [(&"a rule reads a secret that it was about, which is not kept".to_owned(), &4)]);
    stand.journal.erase("app:acme/shop", "app:acme/shop/carol").await.unwrap();
    let found = run(mfa).await.unwrap();
    assert_eq!((found.replayed, found.not_replayed.get("what it was about was erased")), (2, Some(&2)), "{found:?}");

    let quiet = Stand::start(Recording::all()).await;
    quiet.caller("bob", false).run(|| pay(&payment(5, "EUR"))).unwrap();
    quiet.journal.flush().await.unwrap();
    let mfa = quiet.draft("mfa", &format!("forbid {action} unless participant.mfa == true")).await;
    let found = quiet.admin.dry_run(&quiet.owner, &quiet.acme, mfa, Filter::default().action(&action)).await.unwrap();
    assert_eq!((found.looked, found.replayed), (1, 0));
    assert!(found.not_replayed.keys().all(|why| why.contains("was not recorded")), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_explained_by_the_id_that_the_caller_was_told() {
    let stand = Stand::start(Recording::denials().with_inputs()).await;
    let denied = stand.caller("bob", false).run(|| pay(&payment(5_000, "EUR"))).unwrap_err();
    stand.journal.flush().await.unwrap();
    let explained = stand.admin.explain_decision(&stand.owner, &stand.shop, denied.id()).await.unwrap();
    assert!(explained.same_policies);
    assert!(explained.rule.as_deref().unwrap().contains("amount"), "{explained:?}");
    let record = explained.record.to_json();
    assert_eq!(record["record"]["details"]["clause"], json!("payment.amount < 1000"));
    assert_eq!(record["personal"]["value.payment.amount"]["value"], json!("5000"));
    let now = explained.now.unwrap();
    assert_eq!(now["nearest"]["flips"][0]["wanted"], json!("payment.amount < 1000"), "{now}");
    assert!(!now.to_string().contains("4000-1234") && !record.to_string().contains("4000-1234"));
    let unknown = stand.admin.explain_decision(&stand.owner, &stand.shop, "d-unknown").await;
    assert!(matches!(unknown, Err(AdminError::Missing { .. })));
    let stranger = Participant::builder(Scope::organization("globex").unwrap(), "u-2").role("owner").build();
    let stranger = SecurityContext::new(&stand.policy, stranger.into());
    let hidden = stand.admin.explain_decision(&stranger, &stand.shop, denied.id()).await;
    assert!(matches!(hidden, Err(AdminError::Missing { what: "application", .. })), "{hidden:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_may_and_who_may() {
    let stand = Stand::start(Recording::denials()).await;
    let add = |email: &str, role: &str| {
        let member = NewMember::new(email).role(role);
        let (admin, owner, acme) = (stand.admin.clone(), stand.owner.clone(), stand.acme.clone());
        async move { admin.add_user(&owner, &acme, member).await.unwrap() }
    };
    let (auditor, admin) = (add("aud@acme.example", "auditor").await, add("adm@acme.example", "admin").await);
    let may = stand.admin.may(&stand.owner, &stand.acme, &auditor.id).await.unwrap();
    assert_eq!(may["Platform.audit.view"], (May::Always, May::Always));
    assert_eq!(may["Platform.keys.create"], (May::Never, May::Never));
    let who = stand.admin.who(&stand.owner, &stand.acme, "Platform.keys.create").await.unwrap();
    let who: Vec<_> = who.iter().map(|one| &*one.name).collect();
    assert_eq!(who, ["adm@acme.example"]);
    assert!(matches!(
        stand.admin.who(&stand.owner, &stand.acme, "Platform.keys.creat").await,
        Err(AdminError::Missing { what: "action", .. })
    ));

    // A stored participant is as it is stored; one that is supposed says so.
    let request = json!({ "participant": { "id": admin.id }, "action": "Platform.policies.own" });
    let asked = Asked { request, hypothetical: false };
    let (text, _) = stand.admin.explain(&stand.owner, &stand.acme, asked).await.unwrap();
    assert!(text.starts_with("DENY Platform.policies.own on org:acme"), "{text}");
    let forged = json!({ "participant": { "id": admin.id, "roles": ["owner"] }, "action": "Platform.policies.own" });
    let asked = |hypothetical| Asked { request: forged.clone(), hypothetical };
    let refused = stand.admin.explain(&stand.owner, &stand.acme, asked(false)).await;
    assert!(matches!(refused, Err(AdminError::Invalid(_))), "{refused:?}");
    let (text, _) = stand.admin.explain(&stand.owner, &stand.acme, asked(true)).await.unwrap();
    assert!(text.starts_with("ALLOW"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_differ_in_words() {
    let stand = Stand::start(Recording::denials()).await;
    let one = stand.draft("mfa", "forbid Platform.keys.create unless participant.mfa == true").await;
    let two = stand
        .draft("mfa", "forbid Platform.keys.create unless participant.mfa == true or participant.authType == 'oidc'")
        .await;
    let (text, _) = stand.admin.difference(&stand.owner, &stand.acme, 0, one).await.unwrap();
    assert_eq!(text, "org:acme\n  added `mfa`: forbid Platform.keys.create unless participant.mfa == true\n");
    let (text, json) = stand.admin.difference(&stand.owner, &stand.acme, one, two).await.unwrap();
    assert!(text.contains("changed `mfa`") && text.contains("participant.authType == 'oidc'"), "{text}");
    assert_eq!(json["changes"][0]["what"], "changed");
    let (text, _) = stand.admin.difference(&stand.owner, &stand.acme, two, two).await.unwrap();
    assert_eq!(text, "the policies do not differ\n");
}

#[test]
fn what_is_recorded_is_said_in_the_file() {
    let check = |text: &str| Config::check(text, &Environment::default(), Path::new("."));
    assert!(check("[audit]\ndecisions = \"1/100\"\ninputs = true").unwrap().audit.inputs);
    for bad in ["some", "1/0", "1/x", ""] {
        let faults = check(&format!("[audit]\ndecisions = \"{bad}\"")).unwrap_err().to_string();
        assert!(faults.contains("`decisions` is `all`, `denials`, `required`"), "{faults}");
    }
}
