//! The actions of which administrators say, by scope, that each decision is recorded before anything is done.

use std::collections::{BTreeMap, BTreeSet};

use policy_core::Scope;

use super::store::{PolicySets, SetsError};
use crate::policy::Policy;

impl PolicySets {
    /// The full names of the actions, by the scope in which and below which it was said.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn required_audit(&self) -> Result<BTreeMap<Scope, BTreeSet<String>>, SetsError> {
        let mut said: BTreeMap<Scope, BTreeSet<String>> = BTreeMap::new();
        for row in self.database.rows("SELECT scope, action FROM policy_required_audit", vec![]).await? {
            // A scope that is none asks of nobody.
            if let Ok(scope) = row.text(0)?.parse() {
                said.entry(scope).or_default().insert(row.text(1)?);
            }
        }
        Ok(said)
    }

    /// Replaces the actions of a scope; servers follow.
    ///
    /// # Errors
    /// When the database fails; nothing is changed then.
    pub async fn require_audit(&self, scope: &Scope, actions: &BTreeSet<String>) -> Result<(), SetsError> {
        let mut tx = self.database.begin().await?;
        tx.run("DELETE FROM policy_required_audit WHERE scope = $1", vec![scope.to_string().into()]).await?;
        for action in actions {
            let sql = "INSERT INTO policy_required_audit (scope, action) VALUES ($1, $2)";
            tx.run(sql, vec![scope.to_string().into(), action.as_str().into()]).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Lets a server's policy hold to what was said.
    ///
    /// # Errors
    /// When the database fails; what was read last holds.
    pub async fn follow_required_audit(&self, policy: &Policy) -> Result<(), SetsError> {
        policy.required_in(self.required_audit().await?);
        Ok(())
    }
}
