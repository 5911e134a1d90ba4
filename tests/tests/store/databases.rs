//! What concerns the databases themselves: migrations, versions, permissions, addresses.

use policy_runtime::database::{Database, DatabaseAddress, DatabaseError};
use policy_runtime::identity::Directory as _;
use policy_runtime::secret::Secret;
use tests::postgres::{PASSWORD, USER, fresh_database, server};

use crate::{Folder, open, postgres};

async fn opened_at_once(address: &DatabaseAddress) {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let address = address.clone();
        tasks.spawn(async move { Database::open(&address).await.unwrap() });
    }
    for database in tasks.join_all().await {
        database.close().await;
    }
    let store = open(address).await;
    store.add_organization("acme").await.unwrap();
    assert_eq!(open(address).await.organizations().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_servers_start_at_once_on_an_empty_database() {
    let folder = Folder::new();
    opened_at_once(&folder.file("store.db")).await;
    opened_at_once(&postgres()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_another_version_are_refused() {
    let url = fresh_database().unwrap();
    let database = url.rsplit('/').next().unwrap();
    let address: DatabaseAddress = url.parse().unwrap();
    open(&address).await;
    let server = server().unwrap();
    server.psql(database, "INSERT INTO policy_migrations VALUES (999, 'later', '')").unwrap();
    let error = Database::open(&address).await.unwrap_err();
    assert_eq!(error.to_string(), "migration 999: the database was used by a newer version of this program");
    server.psql(database, "DELETE FROM policy_migrations WHERE version = 999").unwrap();
    server.psql(database, "UPDATE policy_migrations SET checksum = 'x' WHERE version = 1").unwrap();
    let error = Database::open(&address).await.unwrap_err();
    assert_eq!(error.to_string(), "migration 1: it was changed after it ran");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_is_named() {
    let server = server().unwrap();
    let url = fresh_database().unwrap();
    let database = url.rsplit('/').next().unwrap();
    let user = format!("limited_{database}");
    server.psql(database, &format!("CREATE ROLE {user} LOGIN PASSWORD 'limited'")).unwrap();
    server.psql(database, "REVOKE CREATE ON SCHEMA public FROM PUBLIC").unwrap();
    let limited = DatabaseAddress::Postgres {
        url: Secret::new(server.bare_url(database)),
        user: Some(user.clone()),
        password: Some(Secret::new("limited".into())),
    };
    let error = Database::open(&limited).await.unwrap_err();
    assert_eq!(error, DatabaseError::Permission("permission denied for schema public".into()));
    // Another user makes the tables; this one may then do with rights on rows alone.
    open(&url.parse().unwrap()).await;
    let grant = |rights: &str| {
        server.psql(database, &format!("GRANT {rights} ON ALL TABLES IN SCHEMA public TO {user}")).unwrap();
    };
    grant("SELECT, INSERT, UPDATE");
    let error = Database::open(&limited).await.unwrap_err();
    let DatabaseError::Permission(text) = &error else { panic!("{error}") };
    assert!(text.starts_with("DELETE on table policy_"), "{text}");
    grant("DELETE");
    open(&limited).await.add_organization("acme").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn user_and_password_come_apart_from_the_url() {
    let server = server().unwrap();
    let name = server.fresh_name();
    server.psql("postgres", &format!("CREATE DATABASE {name}")).unwrap();
    let address = |password: &str| DatabaseAddress::Postgres {
        url: Secret::new(server.bare_url(&name)),
        user: Some(USER.into()),
        password: Some(Secret::new(password.into())),
    };
    open(&address(PASSWORD)).await.add_organization("acme").await.unwrap();
    let error = Database::open(&address("another")).await.unwrap_err();
    assert!(!error.to_string().contains("another"), "{error}");
    assert!(!format!("{:?}", address(PASSWORD)).contains(PASSWORD));
}

#[tokio::test]
async fn addresses() {
    assert!(matches!("sqlite::memory:".parse(), Ok(DatabaseAddress::Memory)));
    assert!(matches!("sqlite:policy.db".parse(), Ok(DatabaseAddress::File(path)) if path.ends_with("policy.db")));
    assert!(matches!("postgresql://h/d".parse(), Ok(DatabaseAddress::Postgres { .. })));
    let error = "mysql://user:hush@host/db".parse::<DatabaseAddress>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "`mysql` is no address of a database: `sqlite:<file>`, `sqlite::memory:` or `postgres://..`"
    );
    assert!("sqlite:".parse::<DatabaseAddress>().is_err());
}

#[cfg(unix)]
#[tokio::test]
async fn the_embedded_database_is_readable_to_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new();
    open(&folder.file("store.db")).await.add_organization("acme").await.unwrap();
    for entry in std::fs::read_dir(&folder.0).unwrap() {
        let mode = entry.as_ref().unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{entry:?}");
    }
    let error = Database::open(&folder.file("no/such/folder.db")).await.unwrap_err();
    assert!(error.to_string().contains("no/such/folder.db"), "{error}");
}
