//! Sessions of browsers, what is shared of them, and what is stored of a person, in both databases.

use std::sync::Arc;
use std::time::Duration;

use policy_core::Slug;
use policy_runtime::authn::Authenticated;
use policy_runtime::authn::password::hash;
use policy_runtime::authn::session::Sessions;
use policy_runtime::clock::FixedClock;
use policy_runtime::identity::{Change, SessionStore as _, UserStore as _};

use super::*;

async fn they_begin_last_and_end(address: &DatabaseAddress) {
    let sql = Arc::new(open(address).await);
    let store: Store = sql.clone();
    let alice = furnish(&store).await;
    let clock = FixedClock::at(1_000);
    let lasting = (Duration::from_mins(1), Duration::from_mins(10));
    let server = || Sessions::new(Arc::new(clock.clone())).lasting(lasting.0, lasting.1).stored_in(sql.clone());
    let (here, there) = (server(), server());
    let by_password = |user: &User| Authenticated::new(user.participant().auth_type("password").build(), "password");
    let begun = here.start(&by_password(&alice).epoch(alice.epoch).amr(["pwd"])).await.unwrap();
    let other = here.start(&by_password(&alice).epoch(alice.epoch)).await.unwrap();
    let of_alice = there.of_user(&alice.id).await.unwrap();
    assert_eq!(of_alice.len(), 2);
    assert!(of_alice.iter().any(|one| one.amr == ["pwd"]) && there.is_stored(&of_alice[0].id));
    let kept = store.personal(&alice.id).await.unwrap();
    assert_eq!((kept["sessions"].as_array().unwrap().len(), &kept["hasPassword"]), (2, &false.into()));

    // Nobody ends those of somebody else; every server learns of an end.
    let bob = store.add_user(NewUser::new(orders(), "bob@example.com")).await.unwrap();
    let ended = of_alice[0].id.as_str();
    assert!(!there.end_own(&bob.id, ended).await.unwrap() && there.end_own(&alice.id, ended).await.unwrap());
    let before = store.changed_since(None).await.unwrap().number;
    let last = [&begun, &other].map(|value| there.end(value));
    let ids: Vec<_> = futures_util::future::join_all(last).await.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(ids.iter().map(|id| &**id).collect::<Vec<_>>(), [&*of_alice[1].id]);
    assert!(store.changed_since(Some(before)).await.unwrap().participants.contains(&*ids[0]));

    // Use keeps one alive, idleness ends it.
    here.start(&by_password(&alice).epoch(alice.epoch)).await.unwrap();
    clock.advance(59_000);
    assert_eq!(here.sweep().await.unwrap(), [""; 0]);
    clock.advance(2_000);
    assert_eq!((there.sweep().await.unwrap().len(), there.of_user(&alice.id).await.unwrap()), (1, Vec::new()));

    // Whoever changed meanwhile signs in again; a new password ends all.
    let alice = store.change_user(&alice.id, &Change::default().add_role("clerk")).await.unwrap();
    assert!(here.start(&by_password(&alice).epoch(alice.epoch - 1)).await.is_err());
    here.start(&by_password(&alice).epoch(alice.epoch)).await.unwrap();
    let hashed = hash(&Secret::new("a quite long pass phrase".to_owned())).unwrap();
    store.set_password(&alice.id, Some(&hashed)).await.unwrap();
    assert_eq!(here.of_user(&alice.id).await.unwrap(), []);

    // What is shared is an organization's own.
    let listed = |ids: &[&str]| ids.iter().map(|id| Slug::new(id).unwrap()).collect();
    sql.share_in("acme", &listed(&["billing", "orders"])).await.unwrap();
    assert!(sql.share_in("acme", &listed(&["orders", "shop"])).await.is_err(), "another organization's");
    assert_eq!(sql.shared_in("acme").await.unwrap(), listed(&["billing", "orders"]));
    let [billing, shop] = [("acme", "billing"), ("globex", "shop")].map(|(o, a)| Scope::application(o, a).unwrap());
    assert!(here.counts_in(&orders(), &billing).await.unwrap() && !here.counts_in(&orders(), &shop).await.unwrap());
    sql.share_in("acme", &listed(&[])).await.unwrap();
    assert!(!here.counts_in(&orders(), &billing).await.unwrap());

    let alice = sql.user(&alice.id).await.unwrap().unwrap();
    here.start(&by_password(&alice).epoch(alice.epoch)).await.unwrap();
    store.drop_user(&alice.id).await.unwrap();
    assert_eq!(sql.sessions_of(&alice.id).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn they_begin_last_and_end_in_sqlite() {
    let folder = Folder::new();
    they_begin_last_and_end(&folder.file("store.db")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn they_begin_last_and_end_in_postgres() {
    they_begin_last_and_end(&postgres()).await;
}
