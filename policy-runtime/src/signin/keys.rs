//! The keys that sign tokens, kept sealed in the database and replaced without a gap.
//!
//! A new key is published some time before it signs, so that every verifier has it by then; the one before goes on verifying
//! until the last token that it signed has ended, and is forgotten then. Which key does what follows from the time alone, so
//! servers that share the database agree without speaking to each other.

use std::sync::{Arc, Weak};
use std::time::Duration;

use policy_core::value::Millis;
use serde_json::Value;

use super::SignInError;
use crate::authn::token::{Algorithm, Issuer, KeyRing, LONGEST_TOKEN_S, SigningKey};
use crate::clock::Clock;
use crate::database::{Database, Row, Transaction};
use crate::seal::SealingKeys;
use crate::secret::Secret;

/// How long a key is published before it signs: longer than verifiers keep what they fetched.
pub const PUBLISHED_BEFORE_S: u32 = 15 * 60;
/// After how long a key is replaced by itself, in seconds.
pub const KEY_AGE_S: u32 = 90 * 24 * 3_600;
/// How often servers look for keys that another one has made.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Past its last token's end by the leeway with which that would still verify.
const LEEWAY_S: u32 = 120;

/// What a key does at a moment.
///
/// ```
/// use policy_runtime::signin::KeyState;
/// fn is_published(state: KeyState) -> bool {
///     state != KeyState::Retired
/// }
/// # assert!(is_published(KeyState::VerifyOnly));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a key signs, verifies, or does nothing")]
pub enum KeyState {
    /// It signs, and its tokens verify.
    Active,
    /// It does not sign yet, or no more; its tokens verify.
    VerifyOnly,
    /// Its tokens do not verify.
    Retired,
}

/// A key, without its secret.
///
/// ```
/// use policy_runtime::signin::{KeyState, KnownKey};
/// fn signer(keys: &[KnownKey]) -> Option<&str> {
///     keys.iter().find(|key| key.state == KeyState::Active).map(|key| key.kid.as_str())
/// }
/// # assert_eq!(signer(&[]), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KnownKey {
    /// Its id, as tokens name it.
    pub kid: String,
    /// What it does.
    pub state: KeyState,
    /// Since when it signs.
    pub active_from: Millis,
    /// From when on its tokens do not verify; open while no later key is there.
    pub retired_from: Option<Millis>,
}

/// The keys of a deployment. Cheap to clone.
///
/// ```
/// use policy_runtime::signin::{SignInError, StoredKeys};
///
/// /// A key may be known to somebody else: all that it signed ends.
/// async fn replace_at_once(keys: &StoredKeys, kid: &str) -> Result<(), SignInError> {
///     keys.retire(kid).await?;
///     keys.ring().await.map(drop)
/// }
/// ```
#[derive(Debug, Clone)]
pub struct StoredKeys {
    database: Database,
    sealing: Arc<SealingKeys>,
    clock: Arc<dyn Clock>,
    algorithm: Algorithm,
}

struct Stored {
    known: KnownKey,
    algorithm: String,
    public: Value,
    sealed: String,
}

const ALL: &str = "SELECT kid, algorithm, public, secret, active_from, retired_from FROM policy_signing_keys \
                   ORDER BY active_from, kid";

fn after(now: Millis, seconds: u32) -> Millis {
    Millis(now.0.saturating_add(i64::from(seconds) * 1_000))
}

fn place(kid: &str) -> String {
    format!("signing_keys/{kid}")
}

impl StoredKeys {
    pub(super) fn new(
        database: Database,
        sealing: Arc<SealingKeys>,
        clock: Arc<dyn Clock>,
        algorithm: Algorithm,
    ) -> Self {
        Self { database, sealing, clock, algorithm }
    }

    /// All keys that are not forgotten, the oldest first.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn all(&self) -> Result<Vec<KnownKey>, SignInError> {
        let stored = read(&self.database.rows(ALL, vec![]).await?, self.clock.now())?;
        Ok(stored.into_iter().map(|key| key.known).collect())
    }

    /// Makes a key that will take over from the one that signs now, and gives its id.
    ///
    /// # Errors
    /// When the database cannot be reached, or the system gives no random numbers.
    pub async fn rotate(&self) -> Result<String, SignInError> {
        let mut tx = self.begin().await?;
        let kid = self.succeed(&mut tx, after(self.clock.now(), PUBLISHED_BEFORE_S)).await?;
        tx.commit().await?;
        Ok(kid)
    }

    /// Ends a key at once, with every token that it signed, as when its secret became known. A fresh one signs from now on.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn retire(&self, kid: &str) -> Result<bool, SignInError> {
        let mut tx = self.begin().await?;
        let done = tx.run("DELETE FROM policy_signing_keys WHERE kid = $1", vec![kid.into()]).await? == 1;
        if done {
            // None that was replaced signs again.
            self.succeed(&mut tx, self.clock.now()).await?;
        }
        tx.commit().await?;
        Ok(done)
    }

    /// The keys as they are now; makes the first one, and the next one when the last is old, and forgets the retired.
    ///
    /// # Errors
    /// When the database cannot be reached, or no sealing key opens a key.
    pub async fn ring(&self) -> Result<KeyRing, SignInError> {
        let now = self.clock.now();
        let stored = read(&self.database.rows(ALL, vec![]).await?, now)?;
        if self.is_settled(&stored, now) {
            return self.ring_of(&stored);
        }
        let mut tx = self.begin().await?;
        tx.run("DELETE FROM policy_signing_keys WHERE retired_from <= $1", vec![now.0.into()]).await?;
        let stored = read(&tx.rows(ALL, vec![]).await?, now)?;
        if !stored.iter().any(|key| key.known.active_from <= now) {
            self.succeed(&mut tx, now).await?;
        } else if is_old(&stored, now) {
            self.succeed(&mut tx, after(now, PUBLISHED_BEFORE_S)).await?;
        }
        for key in stored.iter().filter(|key| !self.sealing.is_current(&key.sealed)) {
            let secret = self.sealing.open(&place(&key.known.kid), &key.sealed)?;
            let sealed = self.sealing.seal(&place(&key.known.kid), secret.expose())?;
            let sql = "UPDATE policy_signing_keys SET secret = $2 WHERE kid = $1";
            tx.run(sql, vec![key.known.kid.as_str().into(), sealed.into()]).await?;
        }
        let stored = read(&tx.rows(ALL, vec![]).await?, now)?;
        tx.commit().await?;
        self.ring_of(&stored)
    }

    /// Whether nothing is to be made, forgotten or sealed again.
    fn is_settled(&self, stored: &[Stored], now: Millis) -> bool {
        stored.iter().any(|key| key.known.state == KeyState::Active)
            && stored.iter().all(|key| key.known.state != KeyState::Retired && self.sealing.is_current(&key.sealed))
            && !is_old(stored, now)
    }

    fn ring_of(&self, stored: &[Stored]) -> Result<KeyRing, SignInError> {
        let active = stored.iter().find(|key| key.known.state == KeyState::Active).ok_or(SignInError::NoKey)?;
        let secret = self.sealing.open(&place(&active.known.kid), &active.sealed)?;
        let secret = <[u8; 32]>::try_from(secret.expose().as_slice()).map_err(|_| SignInError::NoKey)?;
        let algorithm = Algorithm::parse(&active.algorithm).ok_or(SignInError::NoKey)?;
        let others: Vec<Value> =
            stored.iter().filter(|key| key.known.state == KeyState::VerifyOnly).map(|key| key.public.clone()).collect();
        Ok(KeyRing::new(SigningKey::from_secret(algorithm, &Secret::new(secret))?, &others)?)
    }

    /// Begins to write, one server at a time: the row of the deployment is the lock.
    async fn begin(&self) -> Result<Transaction, SignInError> {
        let mut tx = self.database.begin().await?;
        tx.run("UPDATE policy_deployment SET changes = changes WHERE id = 1", vec![]).await?;
        Ok(tx)
    }

    /// Makes a key that signs from then on; those before it verify as long as what they signed can last.
    async fn succeed(&self, tx: &mut Transaction, from: Millis) -> Result<String, SignInError> {
        let key = SigningKey::generate(self.algorithm)?;
        let ends = after(from, LONGEST_TOKEN_S + LEEWAY_S);
        // One that was to take over later never does.
        tx.run("DELETE FROM policy_signing_keys WHERE active_from > $1", vec![self.clock.now().0.into()]).await?;
        let sql = "UPDATE policy_signing_keys SET retired_from = $1";
        tx.run(sql, vec![ends.0.into()]).await?;
        let sealed = self.sealing.seal(&place(key.kid()), key.secret().expose())?;
        let sql = "INSERT INTO policy_signing_keys (kid, algorithm, public, secret, active_from) \
                   VALUES ($1, $2, $3, $4, $5)";
        let row = vec![
            key.kid().into(),
            key.algorithm().as_str().into(),
            key.public().to_string().into(),
            sealed.into(),
            from.0.into(),
        ];
        tx.run(sql, row).await?;
        Ok(key.kid().to_owned())
    }

    /// Brings the issuer up to date now and then, for as long as somebody holds it.
    pub(super) async fn follow(self, held: Weak<()>, issuer: Issuer) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if held.strong_count() == 0 {
                return;
            }
            match self.ring().await {
                Ok(ring) => issuer.replace_keys(ring),
                Err(error) => tracing::warn!(target: "policy::signin", %error, "the signing keys cannot be read"),
            }
        }
    }
}

/// Whether the newest key has signed for long.
fn is_old(stored: &[Stored], now: Millis) -> bool {
    stored.last().is_some_and(|key| after(key.known.active_from, KEY_AGE_S) <= now)
}

fn read(rows: &[Row], now: Millis) -> Result<Vec<Stored>, SignInError> {
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        let (active_from, retired_from) = (Millis(row.long(4)?), row.maybe_long(5)?.map(Millis));
        let state = if retired_from.is_some_and(|end| end <= now) { KeyState::Retired } else { KeyState::VerifyOnly };
        all.push(Stored {
            known: KnownKey { kid: row.text(0)?, state, active_from, retired_from },
            algorithm: row.text(1)?,
            public: serde_json::from_str(&row.text(2)?).map_err(|_| SignInError::NoKey)?,
            sealed: row.text(3)?,
        });
    }
    // They come in the order in which they take over.
    let began = |key: &&mut Stored| key.known.active_from <= now && key.known.state != KeyState::Retired;
    if let Some(last) = all.iter_mut().rfind(began) {
        last.known.state = KeyState::Active;
    }
    Ok(all)
}
