//! What is stored about a person beside the user: for whoever asks for all of it. Absent: secrets and their hashes.

use serde_json::{Map, Value, json};

use super::SqlStore;
use crate::database::Row;
use crate::identity::{SessionStore as _, StoreError, UserStore as _};

impl SqlStore {
    pub(super) async fn personal_of(&self, id: &str) -> Result<Map<String, Value>, StoreError> {
        let identities = self.all_of(
            "SELECT configuration, issuer, subject FROM policy_identities WHERE user_id = $1 ORDER BY configuration",
            id,
            |row| Ok(json!({ "provider": row.text(0)?, "issuer": row.text(1)?, "subject": row.text(2)? })),
        );
        let grants = self.all_of(
            "SELECT client, words, since, until FROM policy_grants WHERE user_id = $1 ORDER BY since, id",
            id,
            |row| {
                let (since, until) = (row.long(2)?, row.long(3)?);
                Ok(json!({ "client": row.text(0)?, "words": row.text(1)?, "since": since, "until": until }))
            },
        );
        let letters = self.all_of(
            "SELECT l.purpose, l.email, l.display_name, l.since, l.until FROM policy_links l JOIN policy_users u \
             ON l.user_id = u.id OR (l.scope = u.scope AND l.email_key = u.email_key) WHERE u.id = $1 ORDER BY l.since",
            id,
            |row| {
                let (since, until) = (row.long(3)?, row.long(4)?);
                Ok(json!({ "purpose": row.text(0)?, "email": row.text(1)?, "displayName": row.maybe_text(2)?,
                    "since": since, "until": until }))
            },
        );
        let invitations =
            self.all_of("SELECT until FROM policy_invitations WHERE user_id = $1", id, |row| Ok(json!(row.long(0)?)));
        let factors = self.all_of("SELECT confirmed FROM policy_second_factors WHERE user_id = $1", id, |row| {
            Ok(json!(row.bool(0)?))
        });
        let sessions = self.sessions_of(id).await?.into_iter().map(|one| {
            json!({ "id": one.id, "method": one.method, "amr": one.amr, "since": one.since.0, "ends": one.ends.0,
                "subject": one.added.subject, "displayName": one.added.display_name, "roles": one.added.roles })
        });
        let all = [
            ("hasPassword", Value::from(self.password_hash(id).await?.is_some())),
            ("hasSecondFactor", Value::from(factors.await?.contains(&Value::Bool(true)))),
            ("identities", identities.await?.into()),
            ("invitedUntil", invitations.await?.into()),
            ("letters", letters.await?.into()),
            ("grants", grants.await?.into()),
            ("sessions", sessions.collect()),
        ];
        Ok(all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    async fn all_of(
        &self,
        sql: &'static str,
        id: &str,
        told: fn(&Row) -> Result<Value, StoreError>,
    ) -> Result<Vec<Value>, StoreError> {
        self.database.rows(sql, vec![id.into()]).await?.iter().map(told).collect()
    }
}
