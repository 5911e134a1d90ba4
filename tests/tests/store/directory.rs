//! Organizations, applications, users and keys.

use std::collections::BTreeSet;

use policy_core::Scope;
use policy_core::value::{Millis, Value};
use policy_runtime::authn::api_key;
use policy_runtime::authn::password::{PasswordError, PasswordPolicy, Passwords, Weakness};
use policy_runtime::identity::{Change, EmailKey, NewUser, PasswordRules, StoreError};
use policy_runtime::secret::Secret;

use crate::{Store, acme, furnish, orders};

crate::on_every_store!(
    what_is_written_is_read,
    what_is_taken_or_unknown_is_refused,
    an_organization_is_founded_with_somebody_in_it_or_not_at_all,
    every_change_raises_the_epoch_and_is_told,
    changes_at_once_all_count,
    a_suspended_organization_lets_nobody_in,
    keys_are_kept_changed_and_gone,
    methods_are_kept_by_scope,
    rules_of_passwords_are_kept_by_scope,
    the_first_operator_is_made_once,
    a_token_is_used_once,
    a_new_epoch_ends_what_was_handed_out,
);

async fn what_is_written_is_read(store: Store) {
    let alice = furnish(&store).await;
    assert_eq!(alice.email.as_deref(), Some("Alice@Example.com"), "trimmed, spelled as it was");
    let ids: Vec<String> = store.organizations().await.unwrap().iter().map(|found| found.id.to_string()).collect();
    assert_eq!(ids, ["acme", "globex"]);
    let ids: Vec<String> = store.applications("acme").await.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(ids, ["billing", "orders"]);
    let found = store.scope_of_application(&policy_core::Slug::new("orders").unwrap()).await.unwrap();
    assert_eq!(found, Some(orders()));

    let all_kinds = NewUser::new(orders(), "bob@example.com")
        .role("b")
        .role("a")
        .tenant("t1")
        .attribute("level", Value::Long(7))
        .attribute("tags", Value::Set(vec![Value::text("x"), Value::text("ü\"'")]))
        .attribute("since", Value::Datetime(Millis(-5)))
        .password_hash(Secret::new("$argon2id$x".into()));
    let bob = store.add_user(all_kinds).await.unwrap();
    assert_eq!(store.user(&bob.id).await.unwrap().as_ref(), Some(&bob));
    assert_eq!(bob.roles.iter().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!((bob.attributes.len(), bob.tenant.as_deref(), bob.enabled), (3, Some("t1"), true));
    let key = EmailKey::new("BOB@example.com").unwrap();
    assert_eq!(store.user_by_email(&orders(), &key).await.unwrap(), Some(bob.clone()));
    assert_eq!(store.user_by_email(&acme(), &key).await.unwrap(), None, "another scope, another person");
    assert_eq!(store.password_hash(&bob.id).await.unwrap().unwrap().expose(), "$argon2id$x");
    assert!(store.password_hash(&alice.id).await.unwrap().is_none());
    let mut everybody = vec![alice, bob];
    everybody.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(store.users(&orders()).await.unwrap(), everybody);
    assert_eq!(store.user("u_unknown").await.unwrap(), None);
}

fn exists(error: &StoreError) {
    assert!(matches!(error, StoreError::Exists { .. }), "{error}");
}

fn invalid(error: &StoreError) {
    assert!(matches!(error, StoreError::Invalid(_)), "{error}");
}

async fn what_is_taken_or_unknown_is_refused(store: Store) {
    furnish(&store).await;
    let missing = |error: StoreError| assert!(matches!(error, StoreError::Missing { .. }), "{error}");
    exists(&store.add_organization("acme").await.unwrap_err());
    exists(&store.add_application("globex", "orders").await.unwrap_err());
    exists(&store.add_user(NewUser::new(orders(), "ALICE@example.com ")).await.unwrap_err());
    missing(store.add_application("nobody", "x").await.unwrap_err());
    missing(store.add_user(NewUser::new(Scope::organization("nobody").unwrap(), "a@b.example")).await.unwrap_err());
    let crossed = Scope::application("globex", "orders").unwrap();
    missing(store.add_user(NewUser::new(crossed, "a@b.example")).await.unwrap_err());
    missing(store.change_user("u_unknown", &Change::default()).await.unwrap_err());
    missing(store.set_password("u_unknown", None).await.unwrap_err());
    missing(store.drop_user("u_unknown").await.unwrap_err());
    missing(store.set_suspended("nobody", true).await.unwrap_err());
    missing(store.change_key("unknown", &Change::default()).await.unwrap_err());
    invalid(&store.add_organization("Not A Slug").await.unwrap_err());
    invalid(&store.add_user(NewUser::new(orders(), "no address")).await.unwrap_err());
    // The same address in another scope is another person.
    store.add_user(NewUser::new(acme(), "alice@example.com")).await.unwrap();
}

async fn an_organization_is_founded_with_somebody_in_it_or_not_at_all(store: Store) {
    furnish(&store).await;
    let founder = |scope: &str, email: &str| NewUser::new(scope.parse().unwrap(), email).role("owner");
    for bad in [founder("org:initech", "no address"), founder("org:acme", "a@b.example"), founder("sys", "a@b.example")]
    {
        invalid(&store.found_organization("initech", bad).await.unwrap_err());
    }
    assert_eq!(store.organizations().await.unwrap().len(), 2, "nothing is left of a half");
    let owner = store.found_organization("initech", founder("org:initech", "a@b.example")).await.unwrap();
    assert_eq!(store.users(&owner.scope).await.unwrap(), [owner]);
    exists(&store.found_organization("initech", founder("org:initech", "c@d.example")).await.unwrap_err());
    assert_eq!(store.users(&Scope::organization("initech").unwrap()).await.unwrap().len(), 1);
}

async fn every_change_raises_the_epoch_and_is_told(store: Store) {
    let alice = furnish(&store).await;
    let mut number = store.changed_since(None).await.unwrap().number;
    let mut epoch = alice.epoch;
    let hash = Secret::new("h".to_owned());
    for step in 0..4 {
        match step {
            0 => {
                let change = Change::default().add_role("admin").remove_role("finance").add_role("x").remove_role("x");
                let changed = store.change_user(&alice.id, &change).await.unwrap();
                assert_eq!(changed.roles, BTreeSet::from(["admin".to_owned()]));
            }
            1 => {
                let change = Change::default()
                    .attribute("plan", Some(Value::text("gold")))
                    .display_name(None)
                    .tenant(Some("t"))
                    .enabled(false);
                let changed = store.change_user(&alice.id, &change).await.unwrap();
                assert_eq!(changed.attributes, [("plan".to_owned(), Value::text("gold"))]);
                assert_eq!(
                    (changed.display_name, changed.tenant.as_deref(), changed.enabled),
                    (None, Some("t"), false)
                );
            }
            2 => store.set_password(&alice.id, Some(&hash)).await.unwrap(),
            _ => store.set_password(&alice.id, None).await.unwrap(),
        }
        let now = store.user(&alice.id).await.unwrap().unwrap();
        assert!(now.epoch > epoch, "step {step}");
        epoch = now.epoch;
        let changes = store.changed_since(Some(number)).await.unwrap();
        assert!(changes.number > number && changes.participants.contains(&alice.id), "step {step}: {changes:?}");
        number = changes.number;
    }
    let nothing = store.changed_since(Some(number)).await.unwrap();
    assert!(nothing.participants.is_empty() && !nothing.everybody && nothing.number == number);
    assert!(store.changed_since(Some(number + 1)).await.unwrap().everybody, "an older state came back");
    store.drop_user(&alice.id).await.unwrap();
    assert!(store.changed_since(Some(number)).await.unwrap().participants.contains(&alice.id));
    assert_eq!(store.user(&alice.id).await.unwrap(), None);
    let again = store.add_user(NewUser::new(orders(), "alice@example.com")).await.unwrap();
    assert_ne!(again.id, alice.id, "an id is never given again");
    assert!(store.password_hash(&again.id).await.unwrap().is_none());
}

async fn changes_at_once_all_count(store: Store) {
    let alice = furnish(&store).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..16 {
        let (own, id) = (store.clone(), alice.id.clone());
        tasks.spawn(async move {
            let change = Change::default().add_role(&format!("r{n}")).attribute(&format!("a{n}"), Some(Value::Long(n)));
            own.change_user(&id, &change).await.unwrap();
        });
        let store = store.clone();
        tasks.spawn(async move {
            let new = NewUser::new(orders(), "twin@example.com");
            assert!(matches!(store.add_user(new).await, Ok(_) | Err(StoreError::Exists { .. })));
        });
    }
    tasks.join_all().await;
    let now = store.user(&alice.id).await.unwrap().unwrap();
    assert_eq!((now.roles.len(), now.attributes.len()), (17, 16));
    assert_eq!(now.epoch, alice.epoch + 16);
    assert_eq!(store.users(&orders()).await.unwrap().len(), 2, "one twin");
}

async fn a_suspended_organization_lets_nobody_in(store: Store) {
    let alice = furnish(&store).await;
    let (_, key) = api_key::generate(orders()).unwrap();
    store.add_key(key.clone()).await.unwrap();
    let before = store.changed_since(None).await.unwrap().number;
    store.set_suspended("acme", true).await.unwrap();
    let seen = store.user(&alice.id).await.unwrap().unwrap();
    assert!(!seen.enabled && seen.epoch > alice.epoch);
    assert!(!store.key(&key.id).await.unwrap().unwrap().enabled);
    let changes = store.changed_since(Some(before)).await.unwrap();
    assert_eq!(changes.participants, BTreeSet::from([alice.id.clone(), key.participant.clone()]));
    // A change meanwhile does not disable for good.
    store.change_user(&alice.id, &Change::default().add_role("x")).await.unwrap();
    store.change_key(&key.id, &Change::default().add_role("x")).await.unwrap();
    store.set_suspended("acme", false).await.unwrap();
    assert!(store.user(&alice.id).await.unwrap().unwrap().enabled);
    assert!(store.key(&key.id).await.unwrap().unwrap().enabled);
    assert!(store.organizations().await.unwrap().iter().all(|found| !found.suspended));
}

async fn keys_are_kept_changed_and_gone(store: Store) {
    furnish(&store).await;
    let (_, mut key) = api_key::generate(orders()).unwrap();
    key.name = "importer".into();
    key.roles.insert("import".into());
    key.attributes = vec![("plan".into(), Value::Bool(true))];
    key.tenant = Some("t".into());
    key.expires_at = Some(Millis(99_000));
    store.add_key(key.clone()).await.unwrap();
    assert_eq!(store.key(&key.id).await.unwrap(), Some(key.clone()));
    assert!(matches!(store.add_key(key.clone()).await, Err(StoreError::Exists { .. })));
    let (_, lost) = api_key::generate(Scope::organization("nobody").unwrap()).unwrap();
    assert!(matches!(store.add_key(lost).await, Err(StoreError::Missing { .. })));
    store.used(&key.id, Millis(200_000)).await.unwrap();
    store.used(&key.id, Millis(100_000)).await.unwrap();
    assert_eq!(store.key(&key.id).await.unwrap().unwrap().last_used, Some(Millis(200_000)), "the later one");
    let before = store.changed_since(None).await.unwrap().number;
    let changed = store.change_key(&key.id, &Change::default().remove_role("import").enabled(false)).await.unwrap();
    assert!(changed.roles.is_empty() && !changed.enabled && changed.epoch > key.epoch);
    assert_eq!(store.keys(&orders()).await.unwrap(), [changed]);
    assert!(store.changed_since(Some(before)).await.unwrap().participants.contains(&key.participant));
    store.drop_key(&key.id).await.unwrap();
    assert_eq!(store.key(&key.id).await.unwrap(), None);
    assert!(matches!(store.drop_key(&key.id).await, Err(StoreError::Missing { .. })));
}

async fn methods_are_kept_by_scope(store: Store) {
    furnish(&store).await;
    assert!(store.methods().await.unwrap().is_empty());
    let methods = BTreeSet::from(["password".to_owned(), "token".to_owned()]);
    store.set_methods(&orders(), Some(&methods)).await.unwrap();
    store.set_methods(&acme(), Some(&BTreeSet::new())).await.unwrap();
    let mut expected = vec![(acme(), BTreeSet::new()), (orders(), methods)];
    expected.sort();
    assert_eq!(store.methods().await.unwrap(), expected);
    store.set_methods(&acme(), None).await.unwrap();
    assert_eq!(store.methods().await.unwrap().len(), 1);
    let unknown = Scope::organization("nobody").unwrap();
    assert!(store.set_methods(&unknown, None).await.is_err());
}

async fn rules_of_passwords_are_kept_by_scope(store: Store) {
    let alice = furnish(&store).await;
    let rules = |min_chars| PasswordRules { min_chars, words: vec!["acme".into()], ..PasswordRules::default() };
    assert_eq!(store.password_rules(&orders()).await.unwrap(), None);
    store.set_password_rules(&acme(), Some(&rules(20))).await.unwrap();
    store.set_password_rules(&acme(), Some(&rules(24))).await.unwrap();
    assert_eq!(store.password_rules(&acme()).await.unwrap(), Some(rules(24)));
    assert!(matches!(store.set_password_rules(&acme(), Some(&rules(4))).await, Err(StoreError::Invalid(_))));
    let unknown = Scope::organization("nobody").unwrap();
    assert!(matches!(store.set_password_rules(&unknown, Some(&rules(9))).await, Err(StoreError::Missing { .. })));

    let passwords = Passwords::new(store.clone());
    let set = async |text: &str| passwords.set(&alice.id, Secret::new(text.to_owned())).await;
    let weak = |weakness| Err(PasswordError::Weak(weakness));
    assert_eq!(set("correct horse battery").await, weak(Weakness::TooShort(24)), "those of the scope above");
    store.set_password_rules(&orders(), Some(&rules(12))).await.unwrap();
    assert_eq!(set("correct horse battery").await, Ok(()));
    let before = store.user(&alice.id).await.unwrap().unwrap().epoch;
    for (text, weakness) in [
        ("Acme-2026-2027", Weakness::Personal),
        ("Alice-Example-1", Weakness::Personal),
        ("Password12345", Weakness::Common),
        ("482910573655", Weakness::Guessable),
    ] {
        assert_eq!(set(text).await, weak(weakness), "{text}");
    }
    assert_eq!(store.user(&alice.id).await.unwrap().unwrap().epoch, before, "nothing was changed");
    store.set_password_rules(&orders(), None).await.unwrap();
    store.set_password_rules(&acme(), None).await.unwrap();
    assert_eq!(passwords.policy(&orders()).await.unwrap(), PasswordPolicy::default());
    let missing = passwords.set("nobody", Secret::new("correct horse battery".into())).await;
    assert!(matches!(missing, Err(PasswordError::Store(StoreError::Missing { .. }))));
}

async fn the_first_operator_is_made_once(store: Store) {
    let operator = |name: &str| NewUser::new(Scope::System, name).role("operator");
    let (first, second) = ([1; 32], [2; 32]);
    let bootstrap =
        async |hash: &[u8; 32], name: &str, now: i64| store.bootstrap(hash, operator(name), Millis(now)).await.unwrap();
    assert_eq!(bootstrap(&first, "a@x.example", 0).await, None, "nothing was offered");
    assert!(store.offer_bootstrap(&first, Millis(1_000)).await.unwrap());
    assert!(store.offer_bootstrap(&second, Millis(1_000)).await.unwrap());
    assert_eq!(bootstrap(&first, "a@x.example", 0).await, None, "a later offer replaces it");
    assert_eq!(bootstrap(&second, "a@x.example", 1_000).await, None, "it is over");
    // A name that cannot be stored uses nothing up.
    assert!(store.bootstrap(&second, operator("no address"), Millis(0)).await.is_err());
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..8 {
        let store = store.clone();
        let new = operator(&format!("op{n}@x.example"));
        tasks.spawn(async move { store.bootstrap(&second, new, Millis(0)).await.unwrap() });
    }
    let made: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(made.len(), 1, "one of eight at once");
    assert_eq!(store.users(&Scope::System).await.unwrap(), made);
    assert!(!store.offer_bootstrap(&first, Millis(9_000)).await.unwrap(), "never again");
    assert_eq!(bootstrap(&first, "b@x.example", 0).await, None);
}

async fn a_token_is_used_once(store: Store) {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let store = store.clone();
        tasks.spawn(async move { store.use_once("ticket", Millis(100), Millis(0)).await.unwrap() });
    }
    assert_eq!(tasks.join_all().await.into_iter().filter(|first| *first).count(), 1);
    assert!(store.use_once("other", Millis(100), Millis(0)).await.unwrap());
    assert!(!store.use_once("ticket", Millis(100), Millis(99)).await.unwrap());
}

async fn a_new_epoch_ends_what_was_handed_out(store: Store) {
    let alice = furnish(&store).await;
    store.invite(&alice.id, &[9; 32], Millis(1_000)).await.unwrap();
    let (before, number) = (store.epoch().await.unwrap(), store.changed_since(None).await.unwrap().number);
    let epoch = store.begin_epoch().await.unwrap();
    assert!(epoch != before && store.epoch().await.unwrap() == epoch);
    assert!(store.user(&alice.id).await.unwrap().unwrap().epoch > alice.epoch);
    assert!(store.changed_since(Some(number)).await.unwrap().participants.contains(&alice.id));
    let identity = policy_runtime::identity::ExternalIdentity {
        configuration: "main".into(),
        issuer: "i".into(),
        machine: false,
        number: false,
        subject: "s".into(),
    };
    assert_eq!(store.accept(&orders(), &[9; 32], &identity, Millis(0)).await.unwrap(), None);
}
