//! The first contact with a database: connection, version, permissions.

use super::pool::{Pool, STATEMENT_TIME};
use super::{Database, DatabaseAddress, DatabaseError};
#[cfg(feature = "postgres")]
use crate::secret::Secret;

impl Database {
    /// Opens a database and brings its tables up to date, under a lock.
    ///
    /// # Errors
    /// When it cannot be reached, is too old, or its user lacks a permission; the message names it.
    pub async fn open(address: &DatabaseAddress) -> Result<Self, DatabaseError> {
        let database = Self::connect(address).await?;
        database.migrate(super::migrate::MIGRATIONS).await?;
        database.check_permissions().await?;
        Ok(database)
    }

    /// Opens a database to look at it: no table is made or changed.
    #[cfg(feature = "server")]
    pub(crate) async fn as_it_stands(address: &DatabaseAddress) -> Result<Self, DatabaseError> {
        Self::connect(address).await
    }

    async fn connect(address: &DatabaseAddress) -> Result<Self, DatabaseError> {
        match address {
            #[cfg(feature = "sqlite")]
            DatabaseAddress::Memory => Self::sqlite(sqlx::sqlite::SqliteConnectOptions::new().in_memory(true), 1).await,
            #[cfg(feature = "sqlite")]
            DatabaseAddress::File(path) => {
                keep_private(path)?;
                Self::sqlite(sqlx::sqlite::SqliteConnectOptions::new().filename(path), 8).await
            }
            #[cfg(feature = "postgres")]
            DatabaseAddress::Postgres { url, user, password } => {
                Self::postgres(url.expose(), user.as_deref(), password.as_ref()).await
            }
            #[cfg(not(feature = "sqlite"))]
            DatabaseAddress::Memory | DatabaseAddress::File(_) => {
                Err(DatabaseError::Unavailable("this program was built without SQLite".into()))
            }
            #[cfg(not(feature = "postgres"))]
            DatabaseAddress::Postgres { .. } => {
                Err(DatabaseError::Unavailable("this program was built without PostgreSQL".into()))
            }
        }
    }

    #[cfg(feature = "sqlite")]
    async fn sqlite(options: sqlx::sqlite::SqliteConnectOptions, connections: u32) -> Result<Self, DatabaseError> {
        use sqlx::sqlite::{SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
        let in_memory = connections == 1;
        let options = options
            .create_if_missing(true)
            .foreign_keys(true)
            .busy_timeout(STATEMENT_TIME)
            // What was committed survives a crash of the machine, too.
            .synchronous(SqliteSynchronous::Full);
        let options = if in_memory { options } else { options.journal_mode(SqliteJournalMode::Wal) };
        let pool = SqlitePoolOptions::new().max_connections(connections).acquire_timeout(STATEMENT_TIME);
        // The one connection of a database in memory is the database.
        let pool = if in_memory { pool.min_connections(1).idle_timeout(None).max_lifetime(None) } else { pool };
        let pool = pool.connect_with(options).await.map_err(|error| super::pool::explain(&error))?;
        Ok(Self { pool: Pool::Sqlite(pool) })
    }

    #[cfg(feature = "postgres")]
    async fn postgres(url: &str, user: Option<&str>, password: Option<&Secret<String>>) -> Result<Self, DatabaseError> {
        use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
        let options: PgConnectOptions = url.parse().map_err(|_| DatabaseError::Address("postgres".into()))?;
        let options = match user {
            Some(user) => options.username(user),
            None => options,
        };
        let options = match password {
            Some(password) => options.password(password.expose()),
            None => options,
        };
        let options = options.application_name("policy");
        let pool = PgPoolOptions::new()
            .max_connections(16)
            .acquire_timeout(STATEMENT_TIME)
            // Without these, a connection whose other end is gone without a word would keep its place in the pool.
            .test_before_acquire(false)
            .before_acquire(|connection, _| Box::pin(answers(connection)))
            .after_release(|connection, _| Box::pin(answers(connection)))
            .connect_with(options)
            .await
            .map_err(|error| super::pool::explain(&error))?;
        let database = Self { pool: Pool::Postgres(pool) };
        let row = database.row("SELECT current_setting('server_version_num')", vec![]).await?;
        let version = row.map(|row| row.text(0)).transpose()?.unwrap_or_default();
        if version.parse::<u32>().is_ok_and(|version| version < 140_000) {
            return Err(DatabaseError::TooOld(version));
        }
        Ok(database)
    }

    /// Names the first permission that the database's user lacks.
    async fn check_permissions(&self) -> Result<(), DatabaseError> {
        match &self.pool {
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(_) => {
                // Takes the writer's lock and changes nothing; a read-only file says so here.
                let mut tx = self.begin().await?;
                tx.run("UPDATE policy_deployment SET changes = changes WHERE id = 1", vec![]).await?;
                tx.commit().await
            }
            #[cfg(feature = "postgres")]
            Pool::Postgres(_) => {
                let missing = self
                    .row(
                        "SELECT p.name || ' on table ' || c.relname FROM pg_class c \
                         CROSS JOIN (VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE')) AS p(name) \
                         WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' \
                         AND c.relname LIKE 'policy\\_%' \
                         AND NOT has_table_privilege(c.oid, p.name) ORDER BY 1 LIMIT 1",
                        vec![],
                    )
                    .await?;
                match missing {
                    Some(row) => Err(DatabaseError::Permission(format!("{} is not granted", row.text(0)?))),
                    None => Ok(()),
                }
            }
        }
    }
}

/// Whether a connection is good, found out within a bounded time; one that is not is dropped.
#[cfg(feature = "postgres")]
async fn answers(connection: &mut sqlx::PgConnection) -> Result<bool, sqlx::Error> {
    let asked = tokio::time::timeout(PING_TIME, sqlx::Connection::ping(connection));
    asked.await.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map(|()| true)
}

/// How long a connection has to show that it is good.
#[cfg(feature = "postgres")]
const PING_TIME: std::time::Duration = std::time::Duration::from_secs(1);

/// Makes the file readable to its owner only: password hashes are in it.
#[cfg(feature = "sqlite")]
fn keep_private(path: &std::path::Path) -> Result<(), DatabaseError> {
    let unusable = |error: std::io::Error| DatabaseError::Unavailable(format!("`{}`: {error}", path.display()));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(unusable(error)),
    }
}
