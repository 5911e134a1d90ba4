//! Restoring an ordinary backup restores every decision.

use std::sync::Arc;

use policy_core::value::{Millis, Value};
use policy_core::{Participant, Scope};
use policy_runtime::authn::api_key;
use policy_runtime::authn::password::hash;
use policy_runtime::credential::Credential;
use policy_runtime::database::DatabaseAddress;
use policy_runtime::identity::{
    Change, Configuration, Directory as _, NewUser, ProviderSettings, Reference, ReferenceSettings, SqlStore,
};
use policy_runtime::secret::Secret;
use policy_runtime::sets::{Follower, PolicySets};
use policy_runtime::{Denied, Policy, SecurityContext, SetSource, abac_policy};
use tests::postgres::{fresh_database, server};

use crate::signing_in::{chain, login, present};
use crate::{Folder, Store, acme, furnish, open, orders};

/// Open in the program, and closed by a rule of the organization to whoever has not the right plan.
#[abac_policy(authenticated, action = "pay")]
fn pay() -> Result<(), Denied> {
    Ok(())
}

fn program() -> Policy {
    Policy::builder().organization("acme").application("orders").build().unwrap()
}

/// What a server decides that has just started on this database.
async fn may_pay(store: &SqlStore, participant: Participant) -> bool {
    let policy = program();
    Follower::new(&policy, PolicySets::new(store.database().clone())).confirm().await.unwrap();
    SecurityContext::new(&policy, participant.into()).run(pay).is_ok()
}

async fn activate_rule(store: &SqlStore) {
    let (policy, sets) = (program(), PolicySets::new(store.database().clone()));
    let mut names = policy.engine().registry().actions().map(|(_, entry)| entry.name.to_string());
    let name = names.find(|name| name.rsplit('.').next() == Some("pay")).unwrap();
    let rule = format!("forbid {name} unless participant.plan == 'gold'");
    let source = SetSource { rules: vec![("plan".into(), rule)], ..SetSource::default() };
    let number = sets.draft(&acme(), &source, "ann", "", Millis(1)).await.unwrap();
    sets.validate(&policy, &acme(), number).await.unwrap();
    sets.activate(&policy, &acme(), number, 0, "ann", Millis(1)).await.unwrap();
}

/// Everything that a decision can depend on, and who may sign in and pay.
async fn state(store: &SqlStore, key: &Secret<String>) -> (String, Vec<Result<(Participant, bool), String>>) {
    let dynamic: Store = Arc::new(store.clone());
    let chain = chain(&dynamic);
    let mut users = Vec::new();
    for scope in [Scope::System, acme(), orders()] {
        users.push(store.users(&scope).await.unwrap());
    }
    let stored = format!(
        "{:?}\n{:?}\n{users:?}\n{:?}\n{:?}\n{:?}\n{:?}",
        store.organizations().await.unwrap(),
        store.methods().await.unwrap(),
        store
            .keys(&orders())
            .await
            .unwrap()
            .into_iter()
            .map(|k| (k.id, k.hash, k.roles, k.enabled))
            .collect::<Vec<_>>(),
        store.configurations().await.unwrap(),
        store.references().await.unwrap(),
        store.changed_since(None).await.unwrap(),
    );
    let logins = [("alice@example.com", "correct horse"), ("bob@example.com", "x"), ("alice@example.com", "x")];
    let mut found = Vec::new();
    for credential in
        logins.map(|(name, password)| login(name, password)).into_iter().chain([Credential::ApiKey(key.clone())])
    {
        found.push(match present(&chain, credential).await {
            Ok(participant) => Ok((participant.clone(), may_pay(store, participant).await)),
            Err(code) => Err(code.to_string()),
        });
    }
    (stored, found)
}

async fn furnish_all(store: &SqlStore) -> Secret<String> {
    let dynamic: Store = Arc::new(store.clone());
    let alice = furnish(&dynamic).await;
    store.set_password(&alice.id, Some(&hash(&Secret::new("correct horse".into())).unwrap())).await.unwrap();
    let change = Change::default().add_role("admin").attribute("plan", Some(Value::text("gold")));
    store.change_user(&alice.id, &change).await.unwrap();
    let bob = store.add_user(NewUser::new(orders(), "bob@example.com")).await.unwrap();
    store.change_user(&bob.id, &Change::default().enabled(false)).await.unwrap();
    let (key, mut record) = api_key::generate(orders()).unwrap();
    record.roles.insert("import".into());
    store.add_key(record).await.unwrap();
    store.set_methods(&orders(), Some(&["password".to_owned(), "api-key".to_owned()].into())).await.unwrap();
    let configuration = Configuration::new("main", acme(), ProviderSettings::of("kottster"))
        .secret(Secret::new(b"0123456789abcdef0123456789abcdef".to_vec()));
    store.put_configuration(&configuration).await.unwrap();
    store.put_reference(&Reference::new("main", orders(), ReferenceSettings::default())).await.unwrap();
    activate_rule(store).await;
    key
}

async fn spoil(store: &SqlStore) {
    let alice = store.users(&orders()).await.unwrap().into_iter().next().unwrap();
    store.drop_user(&alice.id).await.unwrap();
    store.set_suspended("acme", true).await.unwrap();
    PolicySets::new(store.database().clone()).recover(&acme(), "ann", Millis(2)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_file_is_a_backup() {
    let folder = Folder::new();
    let store = open(&folder.file("store.db")).await;
    let key = furnish_all(&store).await;
    let before = state(&store, &key).await;
    store.database().close().await;
    std::fs::copy(folder.0.join("store.db"), folder.0.join("backup.db")).unwrap();
    let store = open(&folder.file("store.db")).await;
    spoil(&store).await;
    assert_ne!(state(&store, &key).await, before);
    store.database().close().await;
    let restored = state(&open(&folder.file("backup.db")).await, &key).await;
    assert_eq!(restored, before);
    let told: Vec<_> = restored
        .1
        .iter()
        .map(|one| one.as_ref().map_or("refused", |(_, may)| if *may { "pays" } else { "may not" }))
        .collect();
    assert_eq!(told, ["pays", "refused", "refused", "may not"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_is_a_backup() {
    let folder = Folder::new();
    let (url, other) = (fresh_database().unwrap(), fresh_database().unwrap());
    let store = open(&url.parse::<DatabaseAddress>().unwrap()).await;
    let key = furnish_all(&store).await;
    let before = state(&store, &key).await;
    let file = folder.0.join("dump.sql").display().to_string();
    let server = server().unwrap();
    server.run("pg_dump", &["--dbname", &url, "--file", &file]).unwrap();
    spoil(&store).await;
    assert_ne!(state(&store, &key).await, before);
    server
        .run("psql", &["--no-psqlrc", "--quiet", "-v", "ON_ERROR_STOP=1", "--dbname", &other, "--file", &file])
        .unwrap();
    let restored = open(&other.parse::<DatabaseAddress>().unwrap()).await;
    assert_eq!(state(&restored, &key).await, before);
}
