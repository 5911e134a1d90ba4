//! Announcements from one server to the others: PostgreSQL's `LISTEN` and `NOTIFY`.
//!
//! In: the name of a channel. Out: that something was announced on it, and no more: what has changed is read from the tables.
//! An announcement can be lost, with its connection or where a pooler stands between, so whoever listens looks now and then
//! all the same. SQLite has none.

use super::DatabaseError;
#[cfg(feature = "postgres")]
use super::pool;
use super::pool::{Database, Pool, Transaction};

/// A connection on which announcements arrive.
pub(crate) enum Listener {
    #[cfg(feature = "postgres")]
    Postgres(sqlx::postgres::PgListener),
}

impl Database {
    /// Listens from now on; `None` where nothing is announced.
    pub(crate) async fn listen(&self, channel: &'static str) -> Result<Option<Listener>, DatabaseError> {
        match &self.pool {
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(_) => {
                let _ = channel;
                Ok(None)
            }
            #[cfg(feature = "postgres")]
            Pool::Postgres(pool) => {
                pool::timed(async {
                    let mut listener = sqlx::postgres::PgListener::connect_with(pool).await?;
                    // Who has lost it listens anew, and looks.
                    listener.eager_reconnect(false);
                    listener.listen(channel).await?;
                    Ok(Some(Listener::Postgres(listener)))
                })
                .await
            }
        }
    }
}

impl Listener {
    /// Waits for the next announcement; several that have come since are one.
    ///
    /// # Errors
    /// When the connection is lost. It does not come back: listen anew.
    pub(crate) async fn announced(&mut self) -> Result<(), DatabaseError> {
        match *self {
            #[cfg(feature = "postgres")]
            Self::Postgres(ref mut listener) => {
                let heard = listener.try_recv().await.map_err(|error| pool::explain(&error))?;
                while listener.next_buffered().is_some() {}
                heard.map(|_| ()).ok_or_else(|| DatabaseError::Unavailable("the connection was lost".into()))
            }
        }
    }
}

impl Transaction {
    /// Announces something to all who listen, once it is committed.
    pub(crate) async fn announce(&mut self, channel: &'static str) -> Result<(), DatabaseError> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => {
                let _ = channel;
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => {
                self.run("SELECT pg_notify($1, '')", vec![channel.into()]).await?;
            }
        }
        Ok(())
    }
}
