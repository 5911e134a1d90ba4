//! Configurations, references, and the users they bring.

use policy_core::Scope;
use policy_core::value::Millis;
use policy_runtime::identity::{
    Change, Configuration, EmailKey, ExternalIdentity, NewUser, ProviderSettings, ProvisioningSettings, Reference,
    ReferenceSettings, StoreError,
};
use policy_runtime::secret::Secret;

use crate::{Store, acme, furnish, orders};

crate::on_every_store!(
    configurations_and_references_are_kept,
    only_scopes_that_may_refer,
    what_users_are_known_by_stays,
    an_identity_is_bound_once,
    an_invitation_is_good_once,
);

fn identity(subject: &str) -> ExternalIdentity {
    ExternalIdentity {
        configuration: "main".into(),
        issuer: "https://issuer.example".into(),
        machine: false,
        number: false,
        subject: subject.into(),
    }
}

fn main_configuration() -> Configuration {
    let settings = ProviderSettings::of("oidc").issuer("https://issuer.example").audience("api");
    Configuration::new("main", acme(), settings)
}

async fn configurations_and_references_are_kept(store: Store) {
    furnish(&store).await;
    let shared = Configuration::new("shared", Scope::System, ProviderSettings::of("kottster"))
        .secret(Secret::new(b"a secret of 32 bytes and some more".to_vec()))
        .declared();
    store.put_configuration(&shared).await.unwrap();
    store.put_configuration(&main_configuration()).await.unwrap();
    let all = store.configurations().await.unwrap();
    assert_eq!(all.iter().map(|found| found.name.as_str()).collect::<Vec<_>>(), ["main", "shared"]);
    assert_eq!(all[0].settings, main_configuration().settings);
    assert_eq!((all[0].declared, all[0].secret.is_none(), all[1].declared), (false, true, true));
    assert_eq!(all[1].secret.as_ref().unwrap().expose(), b"a secret of 32 bytes and some more");
    let auto = ProvisioningSettings::Auto { domains: vec!["acme.example".into()], roles: vec!["user".into()] };
    let first = Reference::new("main", orders(), ReferenceSettings::default()).declared();
    let second = Reference::new("main", orders(), ReferenceSettings::default().provisioning(auto));
    store.put_reference(&first).await.unwrap();
    store.put_reference(&second).await.unwrap();
    store.put_reference(&Reference::new("main", acme(), ReferenceSettings::default())).await.unwrap();
    let references = store.references().await.unwrap();
    assert_eq!(references.len(), 2);
    assert!(references.contains(&second), "changed, not doubled");
    store.drop_reference("main", &acme()).await.unwrap();
    assert!(matches!(store.drop_reference("main", &acme()).await, Err(StoreError::Missing { .. })));
    store.drop_configuration("main").await.unwrap();
    assert!(store.references().await.unwrap().is_empty(), "they end with the configuration");
    let unknown = Reference::new("main", orders(), ReferenceSettings::default());
    assert!(matches!(store.put_reference(&unknown).await, Err(StoreError::Missing { .. })));
}

async fn only_scopes_that_may_refer(store: Store) {
    furnish(&store).await;
    store.put_configuration(&main_configuration()).await.unwrap();
    let shop = Scope::application("globex", "shop").unwrap();
    let reference = Reference::new("main", shop.clone(), ReferenceSettings::default());
    assert!(matches!(store.put_reference(&reference).await, Err(StoreError::Invalid(_))));
    store.share("main", &shop, true).await.unwrap();
    store.share("main", &shop, true).await.unwrap();
    store.put_reference(&reference).await.unwrap();
    // A change of the configuration does not end the sharing.
    store.put_configuration(&main_configuration()).await.unwrap();
    assert!(store.configurations().await.unwrap()[0].admits(&shop));
    store.share("main", &shop, false).await.unwrap();
    assert!(store.references().await.unwrap().is_empty(), "the use ends with the sharing");
    assert!(matches!(store.put_reference(&reference).await, Err(StoreError::Invalid(_))));
    assert!(store.share("unknown", &shop, true).await.is_err());
}

async fn what_users_are_known_by_stays(store: Store) {
    furnish(&store).await;
    store.put_configuration(&main_configuration()).await.unwrap();
    let moved = Configuration::new(
        "main",
        acme(),
        ProviderSettings::of("oidc").issuer("https://other.example").audience("api"),
    );
    store.put_configuration(&moved).await.unwrap();
    store.put_configuration(&main_configuration()).await.unwrap();
    let email = EmailKey::new("alice@example.com").unwrap();
    store.bind(&orders(), &email, &identity("s1")).await.unwrap().unwrap();
    assert!(matches!(store.put_configuration(&moved).await, Err(StoreError::Invalid(_))));
    assert!(matches!(store.drop_configuration("main").await, Err(StoreError::Invalid(_))));
    assert_eq!(store.configurations().await.unwrap()[0].settings, main_configuration().settings);
    let more = Configuration::new("main", acme(), main_configuration().settings.audience("second"));
    store.put_configuration(&more).await.unwrap();
}

async fn an_identity_is_bound_once(store: Store) {
    let alice = furnish(&store).await;
    let email = EmailKey::new("alice@example.com").unwrap();
    assert_eq!(store.user_of(&orders(), &identity("s1")).await.unwrap(), None);
    assert_eq!(store.bind(&acme(), &email, &identity("s1")).await.unwrap(), None, "another scope");
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..8 {
        let (store, email) = (store.clone(), email.clone());
        tasks.spawn(async move { store.bind(&orders(), &email, &identity(&format!("s{n}"))).await.unwrap() });
    }
    let bound: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(bound.len(), 1, "one of eight at once");
    assert!(bound[0].id == alice.id && bound[0].epoch > alice.epoch);

    let created =
        store.create(&orders(), "new@example.com", Some("New\0One"), &["user".into()], &identity("n1")).await.unwrap();
    assert_eq!(store.user_of(&orders(), &identity("n1")).await.unwrap(), Some(created.clone()));
    assert!(created.roles.contains("user"));
    let other = store.create(&orders(), "else@example.com", None, &[], &identity("n1")).await;
    assert!(matches!(other, Err(StoreError::Exists { .. })), "the identity is taken");
    let key = EmailKey::new("else@example.com").unwrap();
    assert_eq!(store.user_by_email(&orders(), &key).await.unwrap(), None, "nothing half-done is left");
    let other = store.create(&orders(), "new@example.com", None, &[], &identity("n2")).await;
    assert!(matches!(other, Err(StoreError::Exists { .. })), "the address is taken");
    assert_eq!(store.user_of(&orders(), &identity("n2")).await.unwrap(), None);
    // Everything that makes an identity tells it apart.
    for different in [
        ExternalIdentity { machine: true, ..identity("n1") },
        ExternalIdentity { number: true, ..identity("n1") },
        ExternalIdentity { issuer: "https://issuer.example/".into(), ..identity("n1") },
        ExternalIdentity { configuration: "second".into(), ..identity("n1") },
        identity("N1"),
    ] {
        assert_eq!(store.user_of(&orders(), &different).await.unwrap(), None, "{different:?}");
    }
}

async fn an_invitation_is_good_once(store: Store) {
    let alice = furnish(&store).await;
    let (old, hash) = ([3; 32], [4; 32]);
    store.invite(&alice.id, &old, Millis(1_000)).await.unwrap();
    store.invite(&alice.id, &hash, Millis(1_000)).await.unwrap();
    let accept = async |hash: &[u8; 32], scope: &Scope, subject: &str, now: i64| {
        store.accept(scope, hash, &identity(subject), Millis(now)).await.unwrap()
    };
    assert_eq!(accept(&old, &orders(), "s1", 0).await, None, "a later one replaced it");
    assert_eq!(accept(&hash, &orders(), "s1", 1_000).await, None, "it is over");
    assert_eq!(accept(&hash, &acme(), "s1", 0).await, None, "another scope");
    let bob = store.add_user(NewUser::new(orders(), "bob@example.com")).await.unwrap();
    let email = EmailKey::new("bob@example.com").unwrap();
    store.bind(&orders(), &email, &identity("taken")).await.unwrap().unwrap();
    assert_eq!(accept(&hash, &orders(), "taken", 0).await, None, "somebody else's identity");
    let user = accept(&hash, &orders(), "s1", 0).await.unwrap();
    assert_eq!(user.id, alice.id);
    assert_eq!(accept(&hash, &orders(), "s2", 0).await, None, "used");
    assert!(store.invite(&bob.id, &old, Millis(1_000)).await.is_err(), "who has an identity is not invited");
    assert!(store.invite("u_unknown", &old, Millis(1_000)).await.is_err());
    // Whoever got a password since has no invitation left, which somebody else may have read.
    let password = Secret::new("$argon2id$x".to_owned());
    for n in 0..2 {
        let carol = store.add_user(NewUser::new(orders(), &format!("carol{n}@example.com"))).await.unwrap();
        store.invite(&carol.id, &hash, Millis(1_000)).await.unwrap();
        if n == 0 {
            store.set_password(&carol.id, Some(&password)).await.unwrap();
        } else {
            let change = Change::default().add_role("finance");
            let changed = store.change_user_and_password(&carol.id, &change, &password).await.unwrap();
            assert!(changed.roles.contains("finance") && changed.epoch > carol.epoch);
        }
        assert_eq!(store.password_hash(&carol.id).await.unwrap().unwrap().expose(), password.expose());
        assert_eq!(accept(&hash, &orders(), "after", 0).await, None);
    }
    let change = Change::default();
    assert!(store.change_user_and_password("u_unknown", &change, &password).await.is_err());
}
