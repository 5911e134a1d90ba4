//! Break-glass, on the machine of the database: gives a scope the policies back that it had before.

use std::sync::Arc;

use clap::Args;
use policy_runtime::Scope;
use policy_runtime::audit::journal::Journal;
use policy_runtime::audit::{AuditLog as _, Detail, Record, RecordKind};
use policy_runtime::clock::{Clock as _, SystemClock};
use policy_runtime::database::{Database, DatabaseAddress};
use policy_runtime::identity::{Directory as _, SqlStore};
use policy_runtime::sets::PolicySets;

use crate::Failure;
use crate::online::At;
use crate::told::Told;

#[derive(Args)]
pub(crate) struct Recover {
    /// The database: `sqlite:policy.db` or `postgres://..`
    #[arg(long, value_name = "URL")]
    database: String,
    #[command(flatten)]
    at: At,
    /// Answers in JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Who did it: whoever may write to the database, whom nobody has asked for a password.
const ACTOR: &str = "sys/recover";

pub(crate) async fn recover(arguments: &Recover) -> Result<Told, Failure> {
    let address: DatabaseAddress = arguments.database.parse()?;
    if let DatabaseAddress::File(path) = &address
        && !path.exists()
    {
        return Err(format!("there is no database `{}`", path.display()).into());
    }
    let database = Database::open(&address).await?;
    let scope: Scope = arguments.at.scope().parse()?;
    if scope != Scope::System && !SqlStore::new(database.clone()).scopes().await?.contains(&scope) {
        return Err(format!("there is no `{scope}` in the database").into());
    }
    let journal = Arc::new(Journal::in_database(address).start()?);
    let (sets, now) = (PolicySets::new(database), SystemClock.now());
    let before = sets.active(&scope).await?;
    let record = Record::new(RecordKind::Change, now.0, ACTOR, "Platform.policies.recover", scope.to_string(), "allow")
        .about("policies", &scope.to_string())
        .detail("before", Detail::Plain(before.to_string()));
    journal.begin(&record).await?;
    let number = sets.recover(&scope, ACTOR, now).await?;
    journal.complete(&record, None);
    journal.flush().await?;
    let text =
        format!("version {number} of {scope} is active again, in place of {before}; servers follow within seconds");
    let told = serde_json::json!({ "scope": scope.to_string(), "number": number, "before": before });
    Ok(Told::new(text, told, format!("policy policies list {}", arguments.at.flag())))
}
