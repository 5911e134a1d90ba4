//! API keys.

use futures_util::future::BoxFuture;
use policy_core::Scope;
use policy_core::value::Millis;

use super::{SqlStore, announce, encode, missing, named, organization_of, require};
use crate::database::{Arg, Row, Transaction};
use crate::identity::{ApiKeyRecord, Change, KeyStore, StoreError};

macro_rules! keys_where {
    ($condition:literal) => {
        concat!(
            "SELECT k.id, k.hash, k.scope, k.participant, k.name, k.roles, k.attributes, k.tenant, k.expires_at, ",
            "k.enabled, k.last_used, k.epoch, COALESCE(o.suspended, 0) FROM policy_api_keys k ",
            "LEFT JOIN policy_organizations o ON o.id = k.organization WHERE ",
            $condition
        )
    };
}

fn read(row: &Row) -> Result<ApiKeyRecord, StoreError> {
    let hash = encode::unhex(&row.text(1)?)?;
    let mut record = ApiKeyRecord::new(row.text(0)?, hash, encode::scope(&row.text(2)?)?, row.text(3)?);
    record.name = row.text(4)?;
    record.roles = encode::set(&row.text(5)?)?;
    record.attributes = encode::attributes(&row.text(6)?)?;
    record.tenant = row.maybe_text(7)?;
    record.expires_at = row.maybe_long(8)?.map(Millis);
    record.enabled = row.bool(9)? && !row.bool(12)?;
    record.last_used = row.maybe_long(10)?.map(Millis);
    record.epoch = u64::try_from(row.long(11)?).unwrap_or(0);
    Ok(record)
}

async fn key_in(tx: &mut Transaction, id: &str) -> Result<ApiKeyRecord, StoreError> {
    let row = tx.row(keys_where!("k.id = $1"), vec![id.into()]).await?;
    read(&row.ok_or_else(|| missing("key", id))?)
}

impl SqlStore {
    pub(super) async fn insert_key(&self, record: ApiKeyRecord) -> Result<(), StoreError> {
        let mut tx = self.database.begin().await?;
        require(&mut tx, &record.scope).await?;
        let row: Vec<Arg> = vec![
            record.id.as_str().into(),
            encode::hex(&record.hash).into(),
            record.scope.to_string().into(),
            organization_of(&record.scope),
            record.participant.into(),
            record.name.into(),
            encode::from_set(&record.roles).into(),
            encode::from_attributes(&record.attributes).into(),
            record.tenant.into(),
            record.expires_at.map(|at| at.0).into(),
            record.enabled.into(),
            record.last_used.map(|at| at.0).into(),
            i64::try_from(record.epoch).unwrap_or(i64::MAX).into(),
        ];
        let sql = "INSERT INTO policy_api_keys (id, hash, scope, organization, participant, name, roles, attributes, \
                   tenant, expires_at, enabled, last_used, epoch) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
        tx.run(sql, row).await.map_err(|error| named(error, "key", &record.id))?;
        Ok(tx.commit().await?)
    }

    pub(super) async fn keys_of(&self, scope: &Scope) -> Result<Vec<ApiKeyRecord>, StoreError> {
        let rows = self.database.rows(keys_where!("k.scope = $1"), vec![scope.to_string().into()]).await?;
        let mut keys = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        keys.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(keys)
    }

    pub(super) async fn update_key(&self, id: &str, change: &Change) -> Result<ApiKeyRecord, StoreError> {
        let mut tx = self.database.begin().await?;
        let sql = "UPDATE policy_api_keys SET epoch = epoch + 1 WHERE id = $1 RETURNING enabled";
        let locked = tx.row(sql, vec![id.into()]).await?.ok_or_else(|| missing("key", id))?;
        let is_enabled = locked.bool(0)?;
        let mut record = key_in(&mut tx, id).await?;
        change.apply_to_key(&mut record);
        let row: Vec<Arg> = vec![
            id.into(),
            record.name.clone().into(),
            encode::from_set(&record.roles).into(),
            encode::from_attributes(&record.attributes).into(),
            record.tenant.clone().into(),
            change.enabled.unwrap_or(is_enabled).into(),
        ];
        let sql = "UPDATE policy_api_keys SET name = $2, roles = $3, attributes = $4, tenant = $5, enabled = $6 \
                   WHERE id = $1";
        tx.run(sql, row).await?;
        let record = key_in(&mut tx, id).await?;
        announce(tx, std::slice::from_ref(&record.participant)).await?;
        Ok(record)
    }

    pub(super) async fn delete_key(&self, id: &str) -> Result<(), StoreError> {
        let mut tx = self.database.begin().await?;
        let sql = "DELETE FROM policy_api_keys WHERE id = $1 RETURNING participant";
        let row = tx.row(sql, vec![id.into()]).await?.ok_or_else(|| missing("key", id))?;
        let participant = row.text(0)?;
        announce(tx, &[participant]).await
    }
}

impl KeyStore for SqlStore {
    fn key<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<ApiKeyRecord>, StoreError>> {
        Box::pin(async move {
            let row = self.database.row(keys_where!("k.id = $1"), vec![id.into()]).await?;
            row.as_ref().map(read).transpose()
        })
    }

    fn used<'a>(&'a self, id: &'a str, at: Millis) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            // Once a minute is enough for people to read, and a busy key does not write at every call.
            let sql = "UPDATE policy_api_keys SET last_used = $2 \
                       WHERE id = $1 AND (last_used IS NULL OR last_used < $3)";
            let due = self.database.row(
                "SELECT id FROM policy_api_keys WHERE id = $1 AND (last_used IS NULL OR last_used < $2)",
                vec![id.into(), (at.0 - 60_000).into()],
            );
            if due.await?.is_some() {
                let mut tx = self.database.begin().await?;
                tx.run(sql, vec![id.into(), at.0.into(), at.0.into()]).await?;
                tx.commit().await?;
            }
            Ok(())
        })
    }
}
