//! OIDC configurations and their references by scopes.

use std::collections::BTreeMap;

use policy_core::Scope;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{SqlStore, announce, encode, missing, require};
use crate::database::{Arg, DatabaseError, Row, Transaction};
use crate::identity::directory::not_shared;
use crate::identity::{Configuration, ProvisioningSettings, Reference, ReferenceSettings, StoreError};
use crate::secret::Secret;

fn to_json<T: Serialize>(settings: &T) -> Result<String, StoreError> {
    serde_json::to_string(settings).map_err(|error| StoreError::Invalid(error.to_string()))
}

fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Unavailable(format!("stored settings: {error}")))
}

/// Lets a new organization use a provider of System, which lets nobody in there but who is known, and gives nobody a role.
pub(super) async fn use_in(tx: &mut Transaction, name: &str, scope: &Scope) -> Result<(), StoreError> {
    let sql = "SELECT settings FROM policy_configuration_references WHERE configuration = $1 AND scope = $2";
    let row = tx.row(sql, vec![name.into(), Scope::System.to_string().into()]).await?;
    let row = row.ok_or_else(|| missing("reference to configuration", name))?;
    let of_system: ReferenceSettings = from_json(&row.text(0)?)?;
    let known_alone = ProvisioningSettings::PreCreated { domains: Vec::new() };
    let settings = ReferenceSettings { mfa: of_system.mfa, ..ReferenceSettings::default() }.provisioning(known_alone);
    let sql = "INSERT INTO policy_configuration_references (configuration, scope, settings, declared) \
               VALUES ($1, $2, $3, 0)";
    let row: Vec<Arg> = vec![name.into(), scope.to_string().into(), to_json(&settings)?.into()];
    tx.run(sql, row).await?;
    Ok(())
}

fn place(name: &str) -> String {
    format!("configurations/{name}")
}

fn place_of_client(name: &str) -> String {
    format!("configurations/{name}/client")
}

impl SqlStore {
    fn sealed(&self, place: &str, secret: Option<&[u8]>) -> Result<Option<String>, StoreError> {
        let Some(secret) = secret else { return Ok(None) };
        let keys = self.sealing.as_ref().ok_or_else(|| {
            StoreError::Invalid(format!("the secret of `{place}` cannot be stored: there is no sealing key"))
        })?;
        keys.seal(place, secret).map(Some).map_err(|error| StoreError::Unavailable(error.to_string()))
    }

    fn opened(&self, place: &str, sealed: &str) -> Result<Secret<Vec<u8>>, StoreError> {
        let keys = self.sealing.as_ref().ok_or_else(|| StoreError::Unavailable("there is no sealing key".into()))?;
        keys.open(place, sealed).map_err(|error| StoreError::Unavailable(format!("{error} of `{place}`")))
    }

    fn read_configuration(&self, row: &Row) -> Result<Configuration, StoreError> {
        let name = row.text(0)?;
        let mut found = Configuration::new(&name, encode::scope(&row.text(1)?)?, from_json(&row.text(2)?)?);
        found.declared = row.bool(4)?;
        if let Some(sealed) = row.maybe_text(3)? {
            found.secret = Some(self.opened(&place(&name), &sealed)?);
        }
        if let Some(sealed) = row.maybe_text(5)? {
            let secret = String::from_utf8(self.opened(&place_of_client(&name), &sealed)?.expose().clone());
            let secret = secret.map_err(|_| StoreError::Unavailable(format!("the client's secret of `{name}`")))?;
            found.client_secret = Some(Secret::new(secret));
        }
        Ok(found)
    }

    pub(super) async fn write_configuration(&self, configuration: &Configuration) -> Result<(), StoreError> {
        let (place, of_client) = (place(&configuration.name), place_of_client(&configuration.name));
        let sealed = self.sealed(&place, configuration.secret.as_ref().map(|secret| secret.expose().as_slice()))?;
        let client = configuration.client_secret.as_ref().map(|secret| secret.expose().as_bytes());
        let client = self.sealed(&of_client, client)?;
        let mut tx = self.database.begin().await?;
        require(&mut tx, &configuration.owner).await?;
        let name = Arg::from(configuration.name.as_str());
        let row: Vec<Arg> = vec![
            name.clone(),
            configuration.owner.to_string().into(),
            to_json(&configuration.settings)?.into(),
            sealed.into(),
            configuration.declared.into(),
            client.into(),
        ];
        // Takes the row's lock before it is read: nobody becomes known by it in between.
        let lock = "UPDATE policy_configurations SET declared = declared WHERE name = $1 \
                    RETURNING name, owner, settings, secret, declared";
        let earlier = tx.row(lock, vec![name.clone()]).await?;
        let sql = match &earlier {
            None => {
                "INSERT INTO policy_configurations (name, owner, settings, secret, declared, client_secret) \
                 VALUES ($1, $2, $3, $4, $5, $6)"
            }
            Some(earlier) => {
                let sql = "SELECT 1 FROM policy_identities WHERE configuration = $1 LIMIT 1";
                let is_known = tx.row(sql, vec![name]).await?.is_some();
                // What must stay needs no secret, which may be sealed under a key that is gone.
                let before = Configuration::new("", encode::scope(&earlier.text(1)?)?, from_json(&earlier.text(2)?)?);
                configuration.check_change(&before, is_known)?;
                "UPDATE policy_configurations SET owner = $2, settings = $3, secret = $4, declared = $5, \
                 client_secret = $6 WHERE name = $1"
            }
        };
        tx.run(sql, row).await?;
        announce(tx, &[]).await
    }

    pub(super) async fn all_configurations(&self) -> Result<Vec<Configuration>, StoreError> {
        let sql = "SELECT name, owner, settings, secret, declared, client_secret FROM policy_configurations";
        let mut found = BTreeMap::new();
        for row in self.database.rows(sql, vec![]).await? {
            let configuration = self.read_configuration(&row)?;
            found.insert(configuration.name.clone(), configuration);
        }
        let sql = "SELECT configuration, scope FROM policy_configuration_shares";
        for row in self.database.rows(sql, vec![]).await? {
            if let Some(configuration) = found.get_mut(&row.text(0)?) {
                configuration.shared_with.insert(encode::scope(&row.text(1)?)?);
            }
        }
        Ok(found.into_values().collect())
    }

    pub(super) async fn delete_configuration(&self, name: &str) -> Result<(), StoreError> {
        let mut tx = self.database.begin().await?;
        if tx.run("DELETE FROM policy_configurations WHERE name = $1", vec![name.into()]).await? == 0 {
            return Err(missing("configuration", name));
        }
        let sql = "SELECT 1 FROM policy_identities WHERE configuration = $1 LIMIT 1";
        if tx.row(sql, vec![name.into()]).await?.is_some() {
            return Err(StoreError::Invalid(format!("users are known by configuration `{name}`")));
        }
        announce(tx, &[]).await
    }

    pub(super) async fn write_share(&self, name: &str, scope: &Scope, shared: bool) -> Result<(), StoreError> {
        let mut tx = self.database.begin().await?;
        require(&mut tx, scope).await?;
        let args: Vec<Arg> = vec![name.into(), scope.to_string().into()];
        if shared {
            let sql = "INSERT INTO policy_configuration_shares (configuration, scope) VALUES ($1, $2) \
                       ON CONFLICT DO NOTHING";
            let refer = |error: DatabaseError| {
                if error == DatabaseError::Reference { missing("configuration", name) } else { error.into() }
            };
            tx.run(sql, args).await.map_err(refer)?;
        } else {
            let owner = owner_in(&mut tx, name).await?;
            let sql = "DELETE FROM policy_configuration_shares WHERE configuration = $1 AND scope = $2";
            tx.run(sql, args.clone()).await?;
            if !owner.covers(scope) {
                let sql = "DELETE FROM policy_configuration_references WHERE configuration = $1 AND scope = $2";
                tx.run(sql, args).await?;
            }
        }
        announce(tx, &[]).await
    }

    pub(super) async fn write_reference(&self, reference: &Reference) -> Result<(), StoreError> {
        let mut tx = self.database.begin().await?;
        require(&mut tx, &reference.scope).await?;
        let (name, scope) = (reference.configuration.as_str(), reference.scope.to_string());
        if !owner_in(&mut tx, name).await?.covers(&reference.scope) {
            let sql = "SELECT 1 FROM policy_configuration_shares WHERE configuration = $1 AND scope = $2";
            if tx.row(sql, vec![name.into(), scope.as_str().into()]).await?.is_none() {
                return Err(not_shared(reference));
            }
        }
        let row: Vec<Arg> =
            vec![name.into(), scope.into(), to_json(&reference.settings)?.into(), reference.declared.into()];
        let sql = "INSERT INTO policy_configuration_references (configuration, scope, settings, declared) \
                   VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (configuration, scope) DO UPDATE SET settings = $3, declared = $4";
        tx.run(sql, row).await?;
        announce(tx, &[]).await
    }

    pub(super) async fn all_references(&self) -> Result<Vec<Reference>, StoreError> {
        let sql = "SELECT configuration, scope, settings, declared FROM policy_configuration_references";
        let mut found = Vec::new();
        for row in self.database.rows(sql, vec![]).await? {
            let scope = encode::scope(&row.text(1)?)?;
            let mut reference = Reference::new(&row.text(0)?, scope, from_json(&row.text(2)?)?);
            reference.declared = row.bool(3)?;
            found.push(reference);
        }
        found.sort_by(|a, b| (&a.configuration, &a.scope).cmp(&(&b.configuration, &b.scope)));
        Ok(found)
    }

    pub(super) async fn delete_reference(&self, name: &str, scope: &Scope) -> Result<(), StoreError> {
        let mut tx = self.database.begin().await?;
        let sql = "DELETE FROM policy_configuration_references WHERE configuration = $1 AND scope = $2";
        if tx.run(sql, vec![name.into(), scope.to_string().into()]).await? == 0 {
            return Err(missing("reference to configuration", name));
        }
        announce(tx, &[]).await
    }

    /// Seals every stored secret under the key that seals now, and says how many there were to do.
    ///
    /// # Errors
    /// When a secret cannot be opened; the others are as they were.
    pub async fn reseal(&self) -> Result<usize, StoreError> {
        let keys = self.sealing.as_ref().ok_or_else(|| StoreError::Unavailable("there is no sealing key".into()))?;
        let mut tx = self.database.begin().await?;
        let rows = tx.rows("SELECT name, secret, client_secret FROM policy_configurations", vec![]).await?;
        let mut done = super::factors::reseal_in(&mut tx, keys).await?;
        for row in rows {
            let name = row.text(0)?;
            let kept = [
                (
                    place(&name),
                    row.maybe_text(1)?,
                    "UPDATE policy_configurations SET secret = $2 WHERE name = $1 AND secret = $3",
                ),
                (
                    place_of_client(&name),
                    row.maybe_text(2)?,
                    "UPDATE policy_configurations SET client_secret = $2 WHERE name = $1 AND client_secret = $3",
                ),
            ];
            for (place, sealed, sql) in kept {
                let Some(sealed) = sealed.filter(|sealed| !keys.is_current(sealed)) else { continue };
                let fresh = keys
                    .open(&place, &sealed)
                    .and_then(|secret| keys.seal(&place, secret.expose()))
                    .map_err(|error| StoreError::Unavailable(format!("{error} of `{place}`")))?;
                tx.run(sql, vec![name.as_str().into(), fresh.into(), sealed.into()]).await?;
                done += 1;
            }
        }
        tx.commit().await?;
        Ok(done)
    }
}

async fn owner_in(tx: &mut Transaction, name: &str) -> Result<Scope, StoreError> {
    let row = tx.row("SELECT owner FROM policy_configurations WHERE name = $1", vec![name.into()]).await?;
    encode::scope(&row.ok_or_else(|| missing("configuration", name))?.text(0)?)
}
