//! Manifests looked at and tidied up: what moved from one to the next, and those of programs that are long gone.
//!
//! In: what was registered. Out: what moved, and what was removed. A manifest goes when no program with it was heard of for
//! [`GONE_MS`], another one of its application was accepted since, and every active set still checks in every live program without
//! its names: rules must not cease to load because something was tidied up. Absent: who may remove them.

use policy_core::Scope;
use policy_core::pdp::{Beside, Engine, SetSource};
use policy_core::value::Millis;

use super::manifests::{Entry, RegisteredManifest, heads_in};
use super::store::{PolicySets, SetsError};

/// For how long nothing was heard of a program that is gone: 90 days.
const GONE_MS: i64 = 90 * 24 * 3_600 * 1_000;

impl PolicySets {
    /// Removes the manifests of a scope's applications whose programs are long gone, and answers them.
    ///
    /// # Errors
    /// When the database fails, or policies are activated or manifests registered meanwhile: nothing is removed then.
    pub async fn prune_manifests(&self, scope: &Scope, now: Millis) -> Result<Vec<RegisteredManifest>, SetsError> {
        let changes = self.changes().await?;
        let (mut left, heads) = (self.entries().await?, self.heads().await?);
        let mut removed = Vec::new();
        for manifest in left.iter().map(|entry| entry.manifest.clone()).collect::<Vec<_>>() {
            if !scope.covers(&manifest.scope) || !is_gone(&manifest, &left, now) {
                continue;
            }
            let (without, one): (Vec<Entry>, Vec<Entry>) =
                left.into_iter().partition(|entry| entry.manifest != manifest);
            left = without;
            if self.checks(&manifest.scope, &left, now).await? {
                removed.push(manifest);
            } else {
                left.extend(one);
                left.sort_by(|a, b| {
                    (a.manifest.registered, &a.manifest.hash).cmp(&(b.manifest.registered, &b.manifest.hash))
                });
            }
        }
        if removed.is_empty() {
            return Ok(removed);
        }
        let mut tx = self.database.begin().await?;
        // Locks out registrations and activations, which look at it too.
        let sql = "UPDATE policy_manifest_changes SET changes = changes + 1 WHERE id = 1 AND changes = $1";
        if tx.run(sql, vec![changes.into()]).await? == 0 || heads_in(&mut tx).await? != heads {
            return Err(SetsError::Moving);
        }
        for manifest in &removed {
            // Whoever was heard of meanwhile is not gone.
            let sql = "DELETE FROM policy_manifests WHERE scope = $1 AND hash = $2 AND seen = $3";
            let row = vec![manifest.scope.to_string().into(), manifest.hash.as_str().into(), manifest.seen.into()];
            if tx.run(sql, row).await? == 0 {
                return Err(SetsError::Moving);
            }
        }
        tx.commit().await?;
        Ok(removed)
    }

    /// What moved in an application's program with a manifest since the one that was accepted before it.
    ///
    /// # Errors
    /// When there is no such manifest, or the database fails.
    pub async fn moved_in(&self, application: &Scope, hash: &str) -> Result<Vec<String>, SetsError> {
        let mut own = self.entries().await?;
        own.retain(|entry| entry.manifest.scope == *application);
        let at = own.iter().position(|entry| entry.manifest.hash == hash).ok_or(SetsError::NoManifest)?;
        let (before, rest) = own.split_at(at);
        let (Some(before), Some(meant)) = (before.iter().rfind(|entry| entry.manifest.closed.is_empty()), rest.first())
        else {
            return Ok(Vec::new());
        };
        let (older, newer) = (self.registry(&before.manifest).await?, self.registry(&meant.manifest).await?);
        Ok(newer.moved_since(&older).iter().map(ToString::to_string).collect())
    }

    /// Whether the active sets that concern an application check in each of its live programs, beside what is left.
    async fn checks(&self, application: &Scope, left: &[Entry], now: Millis) -> Result<bool, SetsError> {
        for scope in application.chain() {
            let source: SetSource = self.active_set(&scope).await?.0;
            let mut names = Beside::default();
            left.iter().filter(|entry| scope.covers(&entry.manifest.scope)).for_each(|entry| names.join(&entry.names));
            let live = left.iter().filter(|entry| scope.covers(&entry.manifest.scope) && entry.is_live(left, now));
            for entry in live {
                let engine = Engine::new(self.registry(&entry.manifest).await?)?;
                let names = names.clone().close(entry.manifest.closed.iter().map(String::as_str));
                if engine.check_beside(&scope, &source, &names).is_err() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

fn is_gone(manifest: &RegisteredManifest, all: &[Entry], now: Millis) -> bool {
    let mut later = all.iter().map(|entry| &entry.manifest).filter(|one| one.scope == manifest.scope);
    now.0.saturating_sub(manifest.seen) > GONE_MS
        && later.any(|one| one.closed.is_empty() && one.registered > manifest.registered)
}
