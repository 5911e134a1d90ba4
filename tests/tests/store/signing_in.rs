//! Signing in over every store, and a database that goes away meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use policy_core::{Participant, Scope};
use policy_runtime::authn::api_key::{self, ApiKeyAuthenticator};
use policy_runtime::authn::password::{PasswordAuthenticator, hash};
use policy_runtime::authn::{AuthnCode, BoxFuture, Chain, Outcome};
use policy_runtime::clock::SystemClock;
use policy_runtime::credential::{Credential, Credentials, LoginForm};
use policy_runtime::identity::{Change, EmailKey, NewUser, StoreError, User, UserStore};
use policy_runtime::secret::Secret;

use crate::{Store, furnish, orders};

crate::on_every_store!(passwords_and_keys_sign_in);

pub(crate) fn chain(store: &Store) -> Chain {
    let clock = Arc::new(SystemClock);
    Chain::builder()
        .with(PasswordAuthenticator::new(store.clone(), clock.clone()))
        .with(ApiKeyAuthenticator::new(store.clone(), clock))
        .build()
}

pub(crate) async fn present(chain: &Chain, credential: Credential) -> Result<Participant, AuthnCode> {
    match chain.authenticate(&Credentials::of(credential).in_scope(orders())).await {
        Outcome::Authenticated(found) => Ok(found.into_participant()),
        Outcome::Rejected(error) => Err(error.code()),
        Outcome::NotPresented => panic!("something was presented"),
    }
}

pub(crate) fn login(name: &str, password: &str) -> Credential {
    Credential::Login { name: name.to_owned(), passcode: Secret::new(password.to_owned()), form: LoginForm::Basic }
}

async fn passwords_and_keys_sign_in(store: Store) {
    let alice = furnish(&store).await;
    let stored = hash(&Secret::new("correct horse".to_owned())).unwrap();
    store.set_password(&alice.id, Some(&stored)).await.unwrap();
    let (key, record) = api_key::generate(orders()).unwrap();
    store.add_key(record).await.unwrap();
    let chain = chain(&store);
    let found = present(&chain, login("ALICE@example.com", "correct horse")).await.unwrap();
    assert_eq!((found.id(), found.roles()), (alice.id.as_str(), &["finance".into()][..]));
    assert_eq!(present(&chain, login("alice@example.com", "wrong")).await, Err(AuthnCode::WrongCredentials));
    let machine = present(&chain, Credential::ApiKey(key.clone())).await.unwrap();
    assert_eq!(machine.auth_type(), "api-key");

    store.change_user(&alice.id, &Change::default().add_role("admin")).await.unwrap();
    let found = present(&chain, login("alice@example.com", "correct horse")).await.unwrap();
    assert_eq!(found.roles(), ["admin".into(), "finance".into()]);
    // Better Auth's form is verified and replaced.
    let scrypt = "a1b2c3d4e5f60718293a4b5c6d7e8f90:";
    let weak = Secret::new(format!("{scrypt}{}", "00".repeat(64)));
    store.set_password(&alice.id, Some(&weak)).await.unwrap();
    assert_eq!(present(&chain, login("alice@example.com", "x")).await, Err(AuthnCode::WrongCredentials));
    assert_eq!(store.password_hash(&alice.id).await.unwrap().unwrap().expose(), weak.expose());
    assert!(store.replace_hash(&alice.id, &weak, &stored).await.unwrap());
    assert!(!store.replace_hash(&alice.id, &weak, &stored).await.unwrap(), "changed since");

    store.set_suspended("acme", true).await.unwrap();
    assert_eq!(present(&chain, login("alice@example.com", "correct horse")).await, Err(AuthnCode::WrongCredentials));
    assert_eq!(present(&chain, Credential::ApiKey(key)).await, Err(AuthnCode::WrongCredentials));
}

/// Lets the database go away between the two questions of a login.
#[derive(Debug)]
struct Leaving {
    store: Store,
    database: String,
    goes: AtomicBool,
}

impl UserStore for Leaving {
    fn user_by_email<'a>(
        &'a self,
        scope: &'a Scope,
        email: &'a EmailKey,
    ) -> BoxFuture<'a, Result<Option<User>, StoreError>> {
        Box::pin(async move {
            let found = self.store.user_by_email(scope, email).await;
            if self.goes.swap(false, Ordering::SeqCst) {
                let server = tests::postgres::server().unwrap();
                let sql = format!("ALTER DATABASE {0} RENAME TO {0}_away", self.database);
                let kill = format!(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'",
                    self.database
                );
                server.psql("postgres", &format!("ALTER DATABASE {} ALLOW_CONNECTIONS false", self.database)).unwrap();
                server.psql("postgres", &kill).unwrap();
                server.psql("postgres", &sql).unwrap();
            }
            found
        })
    }

    fn password_hash<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<Secret<String>>, StoreError>> {
        self.store.password_hash(id)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_goes_away_in_the_middle_of_a_login() {
    let url = tests::postgres::fresh_database().unwrap();
    let database = url.rsplit('/').next().unwrap().to_owned();
    let store: Store = Arc::new(crate::open(&url.parse().unwrap()).await);
    let alice = furnish(&store).await;
    let stored = hash(&Secret::new("correct horse".to_owned())).unwrap();
    store.set_password(&alice.id, Some(&stored)).await.unwrap();
    let leaving = Arc::new(Leaving { store: store.clone(), database: database.clone(), goes: AtomicBool::new(true) });
    let passwords = PasswordAuthenticator::new(leaving.clone(), Arc::new(SystemClock));
    let chain = Chain::builder().with(passwords).build();
    let began = std::time::Instant::now();
    let request = Credentials::of(login("alice@example.com", "correct horse")).in_scope(orders());
    let Outcome::Rejected(error) = chain.authenticate(&request).await else { panic!("without a database") };
    assert_eq!((error.code(), error.answer().status), (AuthnCode::Unavailable, 503));
    assert!(!error.answer().message.contains(&database), "{error}");
    assert!(began.elapsed() < std::time::Duration::from_secs(12), "{:?}", began.elapsed());
    let half = store.add_user(NewUser::new(orders(), "half@example.com")).await;
    assert!(matches!(half, Err(StoreError::Unavailable(_))), "{half:?}");

    // It comes back, and nothing has to be started again.
    let server = tests::postgres::server().unwrap();
    server.psql("postgres", &format!("ALTER DATABASE {database}_away RENAME TO {database}")).unwrap();
    server.psql("postgres", &format!("ALTER DATABASE {database} ALLOW_CONNECTIONS true")).unwrap();
    present(&chain, login("alice@example.com", "correct horse")).await.unwrap();
    assert_eq!(store.users(&orders()).await.unwrap().len(), 1, "nothing half-done is left");
}
