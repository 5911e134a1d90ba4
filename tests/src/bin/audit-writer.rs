//! Writes required records as fast as it can, and prints the id of each once it is acknowledged; a test kills it meanwhile.
//!
//! `audit-writer ADDRESS`

#![expect(clippy::print_stdout, reason = "a test reads it")]

use std::sync::Arc;

use policy_runtime::audit::journal::Journal;
use policy_runtime::audit::{AuditLog as _, Detail, Record, RecordKind};
use policy_runtime::database::DatabaseAddress;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let address: DatabaseAddress = std::env::args().nth(1).ok_or("usage: audit-writer ADDRESS")?.parse()?;
    let journal = Arc::new(Journal::in_database(address).start()?);
    let writers: Vec<_> = (0..16)
        .map(|writer| {
            let journal = Arc::clone(&journal);
            tokio::spawn(async move {
                for n in 0.. {
                    let actor = format!("org:acme/u-{writer}");
                    let record = Record::new(RecordKind::Decision, n, actor, "orders.place", "org:acme", "allow")
                        .detail("value.participant.email", Detail::Personal("ann@example.com".into()));
                    if journal.begin(&record).await.is_err() {
                        break;
                    }
                    println!("{}", record.decision);
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await?;
    }
    Ok(())
}
