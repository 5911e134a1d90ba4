//! Second factors: seeds, sealed; recovery codes, by hashes.

use super::users::out_in;
use super::{SqlStore, announce, announce_end, encode};
use crate::database::{Arg, Transaction};
use crate::identity::{Factor, FactorStore, StoreError, Stored};
use crate::seal::{SealError, SealingKeys};
use crate::secret::Secret;

fn place(user: &str) -> String {
    format!("second-factors/{user}")
}

fn unsealed(error: SealError) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

async fn recovery_in(tx: &mut Transaction, user: &str, recovery: &[[u8; 32]]) -> Result<(), StoreError> {
    tx.run("DELETE FROM policy_recovery_codes WHERE user_id = $1", vec![user.into()]).await?;
    for hash in recovery {
        let sql = "INSERT INTO policy_recovery_codes (hash, user_id) VALUES ($1, $2)";
        tx.run(sql, vec![encode::hex(hash).into(), user.into()]).await?;
    }
    Ok(())
}

/// Seals all seeds again that an earlier key sealed, and says how many.
pub(super) async fn reseal_in(tx: &mut Transaction, keys: &SealingKeys) -> Result<usize, StoreError> {
    let mut done = 0;
    for row in tx.rows("SELECT user_id, seed FROM policy_second_factors", vec![]).await? {
        let (user, sealed) = (row.text(0)?, row.text(1)?);
        if keys.is_current(&sealed) {
            continue;
        }
        let seed = keys.open(&place(&user), &sealed).map_err(unsealed)?;
        let fresh = keys.seal(&place(&user), seed.expose()).map_err(unsealed)?;
        let sql = "UPDATE policy_second_factors SET seed = $2 WHERE user_id = $1 AND seed = $3";
        tx.run(sql, vec![user.into(), fresh.into(), sealed.into()]).await?;
        done += 1;
    }
    Ok(done)
}

impl SqlStore {
    fn factor_keys(&self) -> Result<&SealingKeys, StoreError> {
        self.sealing.as_deref().ok_or_else(|| unsealed(SealError::Unopened))
    }

    /// Changes a factor, of which others must know.
    async fn changed(&self, mut tx: Transaction, user: &str) -> Result<(), StoreError> {
        tx.run("UPDATE policy_users SET epoch = epoch + 1 WHERE id = $1", vec![user.into()]).await?;
        announce(tx, &[user.to_owned()]).await
    }
}

impl FactorStore for SqlStore {
    fn factor<'a>(&'a self, user: &'a str) -> Stored<'a, Option<Factor>> {
        Box::pin(async move {
            let sql = "SELECT f.seed, f.confirmed, (SELECT COUNT(*) FROM policy_recovery_codes c WHERE c.user_id = f.user_id) \
                       FROM policy_second_factors f WHERE f.user_id = $1";
            let Some(row) = self.database.row(sql, vec![user.into()]).await? else { return Ok(None) };
            let seed = self.factor_keys()?.open(&place(user), &row.text(0)?).map_err(unsealed)?;
            let recovery_left = u64::try_from(row.long(2)?).unwrap_or(0);
            Ok(Some(Factor { seed, confirmed: row.bool(1)?, recovery_left }))
        })
    }

    fn propose<'a>(&'a self, user: &'a str, seed: &'a Secret<Vec<u8>>) -> Stored<'a, bool> {
        Box::pin(async move {
            let sealed = self.factor_keys()?.seal(&place(user), seed.expose()).map_err(unsealed)?;
            let mut tx = self.database.begin().await?;
            let sql = "INSERT INTO policy_second_factors (user_id, seed, confirmed, last_step) VALUES ($1, $2, 0, 0) \
                       ON CONFLICT (user_id) DO UPDATE SET seed = excluded.seed WHERE policy_second_factors.confirmed = 0";
            let done = tx.run(sql, vec![user.into(), sealed.into()]).await? == 1;
            tx.commit().await?;
            Ok(done)
        })
    }

    fn confirm<'a>(
        &'a self,
        user: &'a str,
        seed: &'a Secret<Vec<u8>>,
        step: i64,
        recovery: &'a [[u8; 32]],
    ) -> Stored<'a, bool> {
        Box::pin(async move {
            let mut tx = self.database.begin().await?;
            // Takes the row's lock; whoever is second finds it confirmed.
            let sql = "UPDATE policy_second_factors SET confirmed = 1, last_step = $2 WHERE user_id = $1 AND confirmed = 0 \
                       RETURNING seed";
            let Some(row) = tx.row(sql, vec![user.into(), step.into()]).await? else { return Ok(false) };
            let stored = self.factor_keys()?.open(&place(user), &row.text(0)?).map_err(unsealed)?;
            if stored.expose() != seed.expose() {
                return Ok(false);
            }
            recovery_in(&mut tx, user, recovery).await?;
            self.changed(tx, user).await?;
            Ok(true)
        })
    }

    fn use_step<'a>(&'a self, user: &'a str, step: i64) -> Stored<'a, bool> {
        Box::pin(async move {
            let mut tx = self.database.begin().await?;
            let sql = "UPDATE policy_second_factors SET last_step = $2 \
                       WHERE user_id = $1 AND confirmed = 1 AND last_step < $2";
            let args: Vec<Arg> = vec![user.into(), step.into()];
            let done = tx.run(sql, args).await? == 1;
            tx.commit().await?;
            Ok(done)
        })
    }

    fn use_recovery<'a>(&'a self, user: &'a str, hash: &'a [u8; 32]) -> Stored<'a, bool> {
        Box::pin(async move {
            let mut tx = self.database.begin().await?;
            let sql = "DELETE FROM policy_recovery_codes WHERE user_id = $1 AND hash = $2";
            let done = tx.run(sql, vec![user.into(), encode::hex(hash).into()]).await? == 1;
            tx.commit().await?;
            Ok(done)
        })
    }

    fn replace_recovery<'a>(&'a self, user: &'a str, recovery: &'a [[u8; 32]]) -> Stored<'a, ()> {
        Box::pin(async move {
            let mut tx = self.database.begin().await?;
            recovery_in(&mut tx, user, recovery).await?;
            Ok(tx.commit().await?)
        })
    }

    fn drop_factor<'a>(&'a self, user: &'a str) -> Stored<'a, ()> {
        Box::pin(async move {
            let mut tx = self.database.begin().await?;
            tx.run("DELETE FROM policy_second_factors WHERE user_id = $1", vec![user.into()]).await?;
            recovery_in(&mut tx, user, &[]).await?;
            self.changed(tx, user).await
        })
    }

    fn take_factor<'a>(&'a self, user: &'a str) -> Stored<'a, bool> {
        Box::pin(async move {
            let mut tx = self.database.begin().await?;
            let sql = "DELETE FROM policy_second_factors WHERE user_id = $1 AND confirmed = 1";
            if tx.run(sql, vec![user.into()]).await? == 0 {
                return Ok(false);
            }
            recovery_in(&mut tx, user, &[]).await?;
            let (concerned, epoch) = out_in(&mut tx, user).await?;
            announce_end(tx, &concerned, epoch).await?;
            Ok(true)
        })
    }
}
