//! Requests that are done once, noted for all servers of a database, with what was answered.
//!
//! In: hashes of a request and of who asks, an answer that is sealed. Out: whether it was begun before, and what was answered then.
//! Absent: what a request is, and what of its answer may be kept.

use super::{Admin, AdminError};
use crate::sets::SetsError;

/// How long a request is known.
const LIFE_MS: i64 = 24 * 3_600_000;
/// How many answers are kept for a caller; of those before them, only that they were given.
const KEPT: i64 = 1_000;

/// A request, by hashes.
#[derive(Debug)]
pub(super) struct Noted {
    /// Of the caller and its key.
    pub(super) id: String,
    pub(super) caller: String,
    /// Of all that it asks.
    pub(super) request: String,
}

/// What is known of a request.
#[derive(Debug)]
pub(super) enum Known {
    /// Nothing: it is noted now, and to be done.
    New,
    /// The key was another request's.
    Another,
    /// It was begun, and nothing says that it was ended.
    Begun,
    /// It was answered, with something that is not kept.
    Done,
    /// What was answered.
    Answered(String),
}

impl Admin {
    /// Notes a request, unless it was noted before, on whichever server.
    pub(super) async fn begin_request(&self, noted: &Noted) -> Result<Known, AdminError> {
        Ok(self.begin(noted).await?)
    }

    async fn begin(&self, noted: &Noted) -> Result<Known, SetsError> {
        let over = self.begun.over(&**self.policy.clock());
        let mut tx = self.sets.database().begin().await?;
        tx.run("DELETE FROM policy_requests WHERE until < $1", vec![over.0.into()]).await?;
        let sql =
            "INSERT INTO policy_requests (id, caller, request, until) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
        let until = self.now().0.saturating_add(LIFE_MS);
        let [id, caller, request] = [&noted.id, &noted.caller, &noted.request].map(|text| text.as_str().into());
        let is_new = tx.run(sql, vec![id, caller, request, until.into()]).await? == 1;
        let sql = "SELECT request, answer FROM policy_requests WHERE id = $1";
        let known = tx.rows(sql, vec![noted.id.as_str().into()]).await?;
        tx.commit().await?;
        let Some(row) = known.first().filter(|_| !is_new) else { return Ok(Known::New) };
        Ok(match row.maybe_text(1)? {
            _ if row.text(0)? != noted.request => Known::Another,
            None => Known::Begun,
            Some(answer) if answer.is_empty() => Known::Done,
            Some(answer) => Known::Answered(answer),
        })
    }

    /// Keeps the answer of a request, of which `None` is not to be kept.
    pub(super) async fn end_request(&self, noted: &Noted, answer: Option<String>) -> Result<(), AdminError> {
        Ok(self.end(noted, answer.unwrap_or_default()).await?)
    }

    async fn end(&self, noted: &Noted, answer: String) -> Result<(), SetsError> {
        let mut tx = self.sets.database().begin().await?;
        let sql = "UPDATE policy_requests SET answer = $2 WHERE id = $1";
        tx.run(sql, vec![noted.id.as_str().into(), answer.into()]).await?;
        let sql = "UPDATE policy_requests SET answer = '' WHERE caller = $1 AND answer <> '' AND id NOT IN (SELECT id FROM \
                   policy_requests WHERE caller = $1 AND answer <> '' ORDER BY until DESC, id LIMIT $2)";
        tx.run(sql, vec![noted.caller.as_str().into(), KEPT.into()]).await?;
        Ok(tx.commit().await?)
    }

    /// Forgets a request that was not done, so that it can be sent again.
    pub(super) async fn drop_request(&self, noted: &Noted) -> Result<(), AdminError> {
        let sql = "DELETE FROM policy_requests WHERE id = $1 RETURNING id";
        let done = self.sets.database().rows(sql, vec![noted.id.as_str().into()]).await;
        done.map(|_| ()).map_err(|error| SetsError::from(error).into())
    }
}
