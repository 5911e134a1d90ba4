//! What administrators say at run time of who registers in a scope, and of who needs a second factor there.

use std::collections::BTreeMap;

use policy_core::Scope;

use super::{SqlStore, announce, encode, require};
use crate::database::Arg;
use crate::identity::{SignInRules, StoreError};

impl SqlStore {
    /// The rules of all scopes of which something was said.
    pub(super) async fn all_rules(&self) -> Result<BTreeMap<Scope, SignInRules>, StoreError> {
        let rows = self.database.rows("SELECT scope, rules FROM policy_scope_people", vec![]).await?;
        let spoilt = |error: serde_json::Error| StoreError::Unavailable(format!("stored rules: {error}"));
        let read = |row: crate::database::Row| {
            Ok((encode::scope(&row.text(0)?)?, serde_json::from_str(&row.text(1)?).map_err(spoilt)?))
        };
        rows.into_iter().map(read).collect()
    }

    /// Replaces what was said of a scope; every server follows.
    pub(super) async fn write_rules(&self, scope: &Scope, rules: &SignInRules) -> Result<(), StoreError> {
        let text = serde_json::to_string(rules).map_err(|error| StoreError::Invalid(error.to_string()))?;
        let mut tx = self.database.begin().await?;
        require(&mut tx, scope).await?;
        let at = Arg::from(scope.to_string());
        tx.run("DELETE FROM policy_scope_people WHERE scope = $1", vec![at.clone()]).await?;
        if *rules != SignInRules::default() {
            let sql = "INSERT INTO policy_scope_people (scope, rules) VALUES ($1, $2)";
            tx.run(sql, vec![at, text.into()]).await?;
        }
        announce(tx, &[]).await
    }
}
