//! Drafts in shadow, for all servers of a database: which, and what they have counted together.

use policy_core::Scope;
use policy_core::value::Millis;

use super::store::{PolicySets, SetsError};
use crate::database::{Arg, Row, Transaction};
use crate::policy::Policy;
use crate::shadow::{ListTurn, Rows, Shadowed, Turn};

/// A version in shadow.
///
/// ```
/// use policy_runtime::sets::Shadow;
/// fn told(shadow: &Shadow) -> String {
///     format!("version {} of {}: {} decisions", shadow.number, shadow.scope, shadow.decisions)
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shadow {
    /// Whose set it would be.
    pub scope: Scope,
    /// Which version.
    pub number: i64,
    /// Who put it there.
    pub actor: String,
    /// When, in milliseconds since 1970.
    pub since: i64,
    /// How many decisions it was asked about, over all servers.
    pub decisions: i64,
    /// How many of each kind it turns, the most frequent first.
    pub turns: Vec<(Turn, i64)>,
    /// How many lists of each kind it changes, the most frequent first; they are among the decisions.
    pub lists: Vec<(ListTurn, i64)>,
}

const SHADOWS: &str = "SELECT scope, number, actor, time, decisions FROM policy_set_shadows ORDER BY scope";

impl PolicySets {
    /// Puts a version into shadow, in place of an earlier one; servers follow, and count from nothing.
    ///
    /// # Errors
    /// When there is no such version.
    pub async fn shadow(&self, scope: &Scope, number: i64, actor: &str, now: Millis) -> Result<(), SetsError> {
        self.version(scope, number).await?;
        let mut tx = self.database.begin().await?;
        // One that follows within the millisecond is another one.
        let sql = "INSERT INTO policy_set_shadows (scope, number, actor, time, decisions) VALUES ($1, $2, $3, $4, 0) \
                   ON CONFLICT (scope) DO UPDATE SET number = $2, actor = $3, decisions = 0, \
                   time = CASE WHEN policy_set_shadows.time < $4 THEN $4 ELSE policy_set_shadows.time + 1 END";
        tx.run(sql, vec![scope.to_string().into(), number.into(), actor.into(), now.0.into()]).await?;
        forget_in(&mut tx, scope).await?;
        Ok(tx.commit().await?)
    }

    /// Asks a scope's draft no more, and forgets what was counted; answers whether there was one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_shadow(&self, scope: &Scope) -> Result<bool, SetsError> {
        let mut tx = self.database.begin().await?;
        let ended = tx.run("DELETE FROM policy_set_shadows WHERE scope = $1", vec![scope.to_string().into()]).await?;
        forget_in(&mut tx, scope).await?;
        tx.commit().await?;
        Ok(ended > 0)
    }

    /// A scope's draft in shadow, with what all servers have counted.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn shadow_of(&self, scope: &Scope) -> Result<Option<Shadow>, SetsError> {
        let rows = self.database.rows(SHADOWS, vec![]).await?;
        let all = rows.iter().map(shadow).collect::<Result<Vec<_>, SetsError>>()?;
        let Some(mut found) = all.into_iter().flatten().find(|one| one.scope == *scope) else { return Ok(None) };
        let sql = "SELECT opens, rule, action, caller, count FROM policy_set_turns WHERE scope = $1 \
                   ORDER BY count DESC, opens, rule, action, caller";
        for row in self.database.rows(sql, vec![scope.to_string().into()]).await? {
            let turn = Turn { opens: row.bool(0)?, rule: row.text(1)?, action: row.text(2)?, caller: row.text(3)? };
            found.turns.push((turn, row.long(4)?));
        }
        let sql = "SELECT becomes, rule, action, caller, count FROM policy_set_list_turns WHERE scope = $1 \
                   ORDER BY count DESC, becomes, rule, action, caller";
        for row in self.database.rows(sql, vec![scope.to_string().into()]).await? {
            let becomes = becomes(&row.text(0)?);
            let turn = ListTurn { becomes, rule: row.text(1)?, action: row.text(2)?, caller: row.text(3)? };
            found.lists.push((turn, row.long(4)?));
        }
        Ok(Some(found))
    }

    /// Adds what a server has counted; nothing, where another draft has taken the place meanwhile.
    async fn count(&self, scope: &Scope, since: i64, shadowed: &Shadowed) -> Result<(), SetsError> {
        let long = |n: u64| Arg::from(i64::try_from(n).unwrap_or(i64::MAX));
        let mut tx = self.database.begin().await?;
        let sql = "UPDATE policy_set_shadows SET decisions = decisions + $3 WHERE scope = $1 AND time = $2";
        let args = vec![scope.to_string().into(), since.into(), long(shadowed.decisions)];
        if tx.run(sql, args).await? == 0 {
            return Ok(());
        }
        let sql = "INSERT INTO policy_set_turns (scope, opens, rule, action, caller, count) VALUES ($1, $2, $3, $4, $5, $6) \
                   ON CONFLICT (scope, opens, rule, action, caller) DO UPDATE SET count = policy_set_turns.count + $6";
        for (turn, count) in &shadowed.turns {
            let texts = [&turn.rule, &turn.action, &turn.caller].map(|text| Arg::from(text.as_str()));
            let mut row: Vec<Arg> = vec![scope.to_string().into(), turn.opens.into()];
            row.extend(texts);
            row.push(long(*count));
            tx.run(sql, row).await?;
        }
        let sql = "INSERT INTO policy_set_list_turns (scope, becomes, rule, action, caller, count) \
                   VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (scope, becomes, rule, action, caller) \
                   DO UPDATE SET count = policy_set_list_turns.count + $6";
        for (turn, count) in &shadowed.lists {
            let becomes = turn.becomes.to_string();
            let texts = [&becomes, &turn.rule, &turn.action, &turn.caller].map(|text| Arg::from(text.as_str()));
            let mut row: Vec<Arg> = vec![scope.to_string().into()];
            row.extend(texts);
            row.push(long(*count));
            tx.run(sql, row).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Lets a server's policy ask the drafts that are in shadow, and adds what it has counted to what the others have.
    ///
    /// # Errors
    /// When the database fails; what was counted is kept for the next time.
    pub async fn cast_shadows(&self, policy: &Policy) -> Result<(), SetsError> {
        let mut known = Vec::new();
        for (scope, since, counted) in policy.shadows().take() {
            if counted.decisions > 0
                && let Err(error) = self.count(&scope, since, &counted).await
            {
                policy.shadows().put_back(&scope, since, counted);
                return Err(error);
            }
            known.push((scope, since));
        }
        let rows = self.database.rows(SHADOWS, vec![]).await?;
        let wanted: Vec<Shadow> =
            rows.iter().map(shadow).collect::<Result<Vec<_>, SetsError>>()?.into_iter().flatten().collect();
        for (scope, _) in known.iter().filter(|(scope, _)| wanted.iter().all(|one| one.scope != *scope)) {
            policy.end_shadow(scope);
        }
        for one in wanted.iter().filter(|one| !known.contains(&(one.scope.clone(), one.since))) {
            if !policy.engine().knows(&one.scope) {
                continue;
            }
            let version = self.version(&one.scope, one.number).await?;
            // By its time, which tells apart what was counted for it.
            if let Err(error) = policy.shadow(&one.scope, one.since, &version.source) {
                policy.end_shadow(&one.scope);
                tracing::warn!(target: "policy", scope = %one.scope, version = one.number, %error, "the draft in shadow cannot be asked");
            }
        }
        Ok(())
    }

    /// Does so again and again, and follows which actions must be recorded, until it is dropped.
    #[cfg(feature = "server")]
    pub(crate) async fn keep_casting(self, policy: Policy, every: std::time::Duration) {
        loop {
            if let Err(error) = self.cast_shadows(&policy).await {
                tracing::warn!(target: "policy", %error, "drafts in shadow are not followed");
            }
            if let Err(error) = self.follow_required_audit(&policy).await {
                tracing::warn!(target: "policy", %error, "which actions must be recorded is not followed");
            }
            tokio::time::sleep(every).await;
        }
    }
}

/// What a word says; one that is none claims least.
fn becomes(word: &str) -> Rows {
    [Rows::Narrower, Rows::Wider].into_iter().find(|one| one.to_string() == word).unwrap_or(Rows::Other)
}

/// Forgets what was counted of a scope's draft.
async fn forget_in(tx: &mut Transaction, scope: &Scope) -> Result<(), SetsError> {
    for sql in ["DELETE FROM policy_set_turns WHERE scope = $1", "DELETE FROM policy_set_list_turns WHERE scope = $1"] {
        tx.run(sql, vec![scope.to_string().into()]).await?;
    }
    Ok(())
}

/// A row, unless its scope is none.
fn shadow(row: &Row) -> Result<Option<Shadow>, SetsError> {
    let Ok(scope) = row.text(0)?.parse() else { return Ok(None) };
    let (number, actor, since, decisions) = (row.long(1)?, row.text(2)?, row.long(3)?, row.long(4)?);
    Ok(Some(Shadow { scope, number, actor, since, decisions, turns: Vec::new(), lists: Vec::new() }))
}
