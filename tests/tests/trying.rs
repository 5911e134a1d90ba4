//! Drafts tried before they decide: in shadow beside live calls, and over what was recorded; why something was decided, who may.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use policy_runtime::admin::{Admin, AdminError, Asked, DryRun, NewMember};
use policy_runtime::audit::journal::{Filter, Journal, Recording};
use policy_runtime::config::{Config, Environment};
use policy_runtime::database::{Database, DatabaseAddress};
use policy_runtime::entity::{Entities, Paging, Pool, Repository};
use policy_runtime::identity::{Directory as _, SqlStore};
use policy_runtime::sets::PolicySets;
use policy_runtime::shadow::{Rows, Turn};
use policy_runtime::{
    Attributes, Denied, Entity, May, Participant, Policy, Scope, SecurityContext, SetSource, abac_policy,
};
use serde::{Deserialize, Serialize};
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

#[derive(Entity, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[entity(namespace = "com.example.trying", table = "letters", tenant = branch)]
#[abac_policy(all_read(entity.ownerId == participant.id or participant.roles contains "clerk"))]
#[abac_policy(all_create(entity.ownerId == participant.id))]
struct Letter {
    id: String,
    owner_id: String,
    branch: String,
    pages: i64,
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

/// Letters in a database of their own, with one of Bob's; Bob, and a clerk.
async fn letters(stand: &Stand, folder: &Path) -> (Repository<Letter>, SecurityContext, SecurityContext) {
    std::fs::create_dir_all(folder).unwrap();
    let rows = Pool::connect(&format!("sqlite:{}/rows.db?mode=rwc", folder.display())).await.unwrap();
    let entities = Entities::new(rows).unwrap();
    entities.create_table::<Letter>().await.unwrap();
    let letters = entities.repository::<Letter>().await.unwrap();
    let caller = |id: &str, role: &str| {
        let caller = Participant::builder(stand.shop.clone(), id).tenant("north").role(role);
        SecurityContext::new(&stand.policy, caller.build().into())
    };
    let (bob, clerk) = (caller("bob", "guest"), caller("carol", "clerk"));
    let letter = Letter { id: "l-1".into(), owner_id: "bob".into(), branch: String::new(), pages: 3 };
    letters.save(&bob, letter).await.unwrap();
    (letters, bob, clerk)
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_counted_for_a_draft_in_shadow() {
    let stand = Stand::start(Recording::denials()).await;
    let folder = std::env::temp_dir().join(format!("policy-shadow-lists-{}", std::process::id()));
    let (letters, bob, clerk) = letters(&stand, &folder).await;
    let find_all = "com.example.trying.Letter.findAll";
    let count = async |number| {
        assert_eq!(stand.admin.shadow(&stand.owner, &stand.acme, number).await.unwrap().lists, [], "a new one");
        for cx in [&bob, &bob, &clerk] {
            assert_eq!(letters.find_all(cx, &Paging::page(0, 10)).await.unwrap().content.len(), 1);
        }
        let shadow = stand.admin.shadowed(&stand.owner, &stand.acme).await.unwrap();
        assert!(shadow.decisions >= 3 && shadow.turns.is_empty(), "{shadow:?}");
        let told = shadow.lists.iter().map(|(turn, n)| {
            assert_eq!(turn.action, find_all);
            format!("{n} {} by {} for {}", turn.becomes, turn.rule, turn.caller)
        });
        told.collect::<Vec<_>>()
    };
    let long = format!("forbid {find_all} when entity.pages > 1 and not participant.roles contains 'clerk'");
    let long = stand.draft("long", &long).await;
    assert_eq!(count(long).await, ["2 narrower by `long` for app:acme/shop/bob"], "and the rows are there");
    let none = stand.draft("none", &format!("forbid {find_all} unless participant.mfa")).await;
    let all = ["2 narrower by `none` for app:acme/shop/bob", "1 narrower by `none` for app:acme/shop/carol"];
    assert_eq!(count(none).await, all);
    let same = stand.draft("same", "forbid Platform.keys.create").await;
    assert_eq!(count(same).await, [""; 0], "lists that it leaves alone are decisions, and nothing more");
    // A rule that must see the row may move any.
    let sum = "@id(\"sum\") forbid (principal, action == com::example::trying::Action::\"Letter.findAll\", resource) \
               when { resource.pages + 1 > 5 };";
    let source = SetSource { cedar: vec![("sum".into(), sum.into())], ..SetSource::default() };
    let sum = stand.admin.draft(&stand.owner, &stand.acme, &source, "", None).await.unwrap();
    let all = ["2 other by `sum` for app:acme/shop/bob", "1 other by `sum` for app:acme/shop/carol"];
    assert_eq!(count(sum).await, all);
    // What is refused as a whole now, and would leave rows.
    let no_letters = stand.draft("no", &format!("forbid {find_all}")).await;
    stand.admin.validate(&stand.owner, &stand.acme, no_letters).await.unwrap();
    stand.admin.activate(&stand.owner, &stand.acme, no_letters, 0).await.unwrap();
    stand.admin.shadow(&stand.owner, &stand.acme, same).await.unwrap();
    let _ = letters.find_all(&bob, &Paging::page(0, 10)).await;
    let shadow = stand.admin.shadowed(&stand.owner, &stand.acme).await.unwrap();
    assert_eq!((shadow.lists.len(), shadow.lists[0].0.becomes, &*shadow.lists[0].0.rule), (1, Rows::Wider, "`no`"));
    drop(letters);
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_lists_are_made_again_under_a_draft() {
    let stand = Stand::start(Recording::all().with_inputs()).await;
    let folder = std::env::temp_dir().join(format!("policy-trying-{}", std::process::id()));
    let (letters, bob, clerk) = letters(&stand, &folder).await;
    for cx in [&bob, &bob, &clerk] {
        letters.find_all(cx, &Paging::page(0, 10)).await.unwrap();
    }
    stand.journal.flush().await.unwrap();

    let find_all = "com.example.trying.Letter.findAll";
    let run = async |number| {
        let found = stand.admin.dry_run(&stand.owner, &stand.acme, number, Filter::default().action(find_all)).await;
        let found = found.unwrap();
        assert!(found.turns.is_empty() && found.looked == 3, "{found:?}");
        found
    };
    let told = |found: &DryRun| {
        let lists = found.lists.iter();
        let told = lists.map(|(turn, change)| {
            let clauses = |all: &BTreeSet<String>| all.iter().cloned().collect::<Vec<_>>().join("; ");
            assert_eq!(u64::try_from(change.decisions.len()).unwrap(), change.count);
            format!(
                "{} {} by {} for {}: +{} -{}",
                change.count,
                turn.becomes,
                turn.rule,
                turn.caller,
                clauses(&change.came),
                clauses(&change.went)
            )
        });
        told.collect::<Vec<_>>()
    };
    // A clause comes, for some.
    let long = stand
        .draft("long", &format!("forbid {find_all} when entity.pages > 5 and not participant.roles contains 'clerk'"))
        .await;
    let found = run(long).await;
    assert_eq!((found.replayed, found.not_replayed.len()), (3, 0), "{found:?}");
    let narrower = "2 narrower by `long` for app:acme/shop/bob: +entity.pages <= 5 -";
    assert_eq!(told(&found), [narrower]);
    // Nothing is left.
    let none = stand.draft("none", &format!("forbid {find_all} unless participant.mfa")).await;
    let nothing = |who: &str, n: u8| format!("{n} narrower by `none` for app:acme/shop/{who}: +never -");
    assert_eq!(told(&run(none).await), [nothing("bob", 2), nothing("carol", 1)]);

    // Beside an active rule: its bound moves, it goes, another one takes its place.
    stand.admin.validate(&stand.owner, &stand.acme, long).await.unwrap();
    stand.admin.activate(&stand.owner, &stand.acme, long, 0).await.unwrap();
    letters.find_all(&bob, &Paging::page(0, 10)).await.unwrap();
    stand.journal.flush().await.unwrap();
    let bobs = async |rule: &str| {
        let draft = stand.draft("long", rule).await;
        let filter = Filter::default().action(find_all).actor("app:acme/shop/bob");
        let found = stand.admin.dry_run(&stand.owner, &stand.acme, draft, filter).await.unwrap();
        assert_eq!(
            (found.looked, found.replayed),
            (3, 3),
            "also those of other policies, under the active ones: {found:?}"
        );
        told(&found)
    };
    let of = |text: &str| vec![format!("3 {text}")];
    assert_eq!(
        bobs(&format!("forbid {find_all} when entity.pages > 9")).await,
        of("wider by `long` for app:acme/shop/bob: +entity.pages <= 9 -entity.pages <= 5")
    );
    assert_eq!(
        bobs(&format!("forbid {find_all} when entity.pages < 2")).await,
        of("other by `long` for app:acme/shop/bob: +entity.pages >= 2 -entity.pages <= 5")
    );
    assert_eq!(bobs(&format!("forbid {find_all} when 5 < entity.pages")).await, [""; 0], "it says the same");
    assert_eq!(
        bobs("forbid Platform.keys.create").await,
        of("wider by `long` for app:acme/shop/bob: + -entity.pages <= 5")
    );

    // What only a row can tell is not guessed.
    let sum = "@id(\"sum\") forbid (principal, action == com::example::trying::Action::\"Letter.findAll\", resource) \
               when { resource.pages + 1 > 5 };";
    let source = SetSource { cedar: vec![("sum".into(), sum.into())], ..SetSource::default() };
    let draft = stand.admin.draft(&stand.owner, &stand.acme, &source, "", None).await.unwrap();
    let found =
        stand.admin.dry_run(&stand.owner, &stand.acme, draft, Filter::default().action(find_all)).await.unwrap();
    assert_eq!((found.replayed, found.lists.len()), (0, 0), "{found:?}");
    assert_eq!(found.not_replayed, [("it is a list, whose rows `sum` must see".to_owned(), 4)].into());

    // And explained, recorded or supposed: what each tier asks of a row.
    let last = stand.journal.query(&Filter::scope("app:acme/shop").action(find_all)).await.unwrap().pop().unwrap();
    let explained = stand.admin.explain_decision(&stand.owner, &stand.shop, &last.decision).await.unwrap();
    let now = explained.now.unwrap();
    assert_eq!((&now["decision"], &now["tiers"][2]["filter"]), (&json!("list"), &json!("entity.pages <= 5")), "{now}");
    let request = json!({ "participant": { "id": "vic" }, "action": find_all });
    let asked = Asked { request, hypothetical: true };
    let (text, _) = stand.admin.explain(&stand.owner, &stand.shop, asked).await.unwrap();
    assert!(text.starts_with(&format!("LIST {find_all}")) && text.contains("entity.ownerId == 'vic'"), "{text}");
    std::fs::remove_dir_all(folder).unwrap();
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
    let told = |action: &str| (may[action].may, may[action].with_mfa, may[action].unknown.len());
    assert_eq!(told("Platform.audit.view"), (May::Always, May::Always, 0));
    assert_eq!(told("Platform.keys.create"), (May::Never, May::Never, 0));
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
        assert!(faults.contains("by `decisions` is `all`, `denials`, `required`"), "{faults}");
        let faults =
            check(&format!("[audit.actions]\n\"com.example.Orders.place\" = \"{bad}\"")).unwrap_err().to_string();
        assert!(faults.contains("by `com.example.Orders.place` is `all`, `denials`, `required`"), "{faults}");
    }
}
