//! Restoring an ordinary backup restores every decision.

use std::sync::Arc;

use policy_core::value::Value;
use policy_core::{Participant, Scope};
use policy_runtime::authn::api_key;
use policy_runtime::authn::password::hash;
use policy_runtime::credential::Credential;
use policy_runtime::database::DatabaseAddress;
use policy_runtime::identity::{
    Change, Configuration, Directory as _, NewUser, ProviderSettings, Reference, ReferenceSettings, SqlStore,
};
use policy_runtime::secret::Secret;
use tests::postgres::{fresh_database, server};

use crate::signing_in::{chain, login, present};
use crate::{Folder, Store, acme, furnish, open, orders};

/// Everything that a decision can depend on.
async fn state(store: &SqlStore, key: &Secret<String>) -> (String, Vec<Result<Participant, String>>) {
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
    let mut found = Vec::new();
    for (name, password) in
        [("alice@example.com", "correct horse"), ("bob@example.com", "x"), ("alice@example.com", "x")]
    {
        found.push(present(&chain, login(name, password)).await.map_err(|code| code.to_string()));
    }
    found.push(present(&chain, Credential::ApiKey(key.clone())).await.map_err(|code| code.to_string()));
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
    key
}

async fn spoil(store: &SqlStore) {
    let alice = store.users(&orders()).await.unwrap().into_iter().next().unwrap();
    store.drop_user(&alice.id).await.unwrap();
    store.set_suspended("acme", true).await.unwrap();
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
    assert_eq!(restored.1.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, false, true]);
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
