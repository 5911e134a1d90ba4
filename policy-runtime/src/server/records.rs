//! What is done to the audit's chains at intervals: signed ends are written to a file that whoever writes to the database need not
//! reach, and records that are older than they are kept are removed.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use policy_core::Scope;

use crate::audit::AuditError;
use crate::audit::journal::{Anchor, Journal};
use crate::clock::Clock;
use crate::config::Audit;
use crate::events::{Actor, Event, EventKind, EventSink};

/// How often old records are looked for.
const EACH: Duration = Duration::from_hours(1);
/// How far a clock may be ahead of where it was, beside the time that has gone by, in milliseconds.
const LEAP_MS: i64 = 3_600_000;

/// Does both as the configuration says, for as long as it is polled.
pub(super) async fn look_after(journal: Arc<Journal>, clock: Arc<dyn Clock>, events: Arc<dyn EventSink>, asked: Audit) {
    tokio::join!(write_ends(&journal, &clock, asked.anchors), remove_old(&journal, &clock, &events, asked.keep_days));
}

async fn remove_old(journal: &Journal, clock: &Arc<dyn Clock>, events: &Arc<dyn EventSink>, keep: Option<u32>) {
    let Some(days) = keep else { return };
    let (began, at) = (Instant::now(), clock.now().0);
    loop {
        let now = clock.now().0;
        if has_leapt(at, now, began.elapsed()) {
            // What would be removed by a wrong clock is gone for good.
            tracing::error!(target: "policy::server", "the clock has leapt ahead: no records are removed until the server starts again");
            return;
        }
        let before = now.saturating_sub(i64::from(days) * 86_400_000);
        if let Err(error) = remove_before(journal, events.as_ref(), before, clock).await {
            tracing::error!(target: "policy::server", %error, "old records were not removed");
        }
        tokio::time::sleep(EACH).await;
    }
}

/// Whether a clock that said `then` says more than what has gone by since explains.
fn has_leapt(then: i64, now: i64, gone_by: Duration) -> bool {
    let gone_by = i64::try_from(gone_by.as_millis()).unwrap_or(i64::MAX);
    now.saturating_sub(then).saturating_sub(gone_by) > LEAP_MS
}

async fn remove_before(
    journal: &Journal,
    events: &dyn EventSink,
    before: i64,
    clock: &Arc<dyn Clock>,
) -> Result<(), AuditError> {
    for chain in journal.scopes().await? {
        let removed = journal.retain(&chain, before, clock.now().0).await?;
        if removed > 0 {
            tracing::info!(target: "policy::server", %chain, removed, before, "old records were removed");
            let server = Actor::new(Some("server"), Some(&Scope::System));
            let event = Event::new(EventKind::ConfigurationChanged, clock.now(), server, "records.retain");
            let event = event.target(&before.to_string()).within(&chain.parse().unwrap_or(Scope::System));
            if let Err(error) = events.note(&event).await {
                tracing::error!(target: "policy::server", %error, ?event, "an event was not taken");
            }
        }
    }
    Ok(())
}

/// Writes signed ends where that is asked for: a line for each chain that has grown.
async fn write_ends(journal: &Journal, clock: &Arc<dyn Clock>, asked: Option<(PathBuf, Duration)>) {
    let Some((file, each)) = asked else { return };
    let file: Arc<Path> = file.into();
    let mut written = HashMap::new();
    loop {
        match journal.anchors(clock.now().0).await {
            Ok(mut ends) => {
                ends.retain(|end| written.get(&end.scope) != Some(&end.number));
                match append(file.clone(), ends.clone()).await {
                    Ok(()) => written.extend(ends.into_iter().map(|end| (end.scope, end.number))),
                    Err(error) => missed(&file, &error),
                }
            }
            Err(error) => missed(&file, &error),
        }
        tokio::time::sleep(each).await;
    }
}

async fn append(file: Arc<Path>, ends: Vec<Anchor>) -> io::Result<()> {
    if ends.is_empty() {
        return Ok(());
    }
    let write = move || {
        let lines: Vec<String> = ends.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
        let mut options = std::fs::OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&file)?;
        file.write_all((lines.join("\n") + "\n").as_bytes())?;
        file.sync_data()
    };
    tokio::task::spawn_blocking(write).await.map_err(io::Error::other)?
}

fn missed(file: &Path, error: &dyn std::fmt::Display) {
    tracing::error!(target: "policy::server", file = %file.display(), %error, "signed ends of the audit were not written");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_ahead_removes_nothing() {
        let (then, day) = (1_795_311_717_000, 86_400_000);
        assert!(!has_leapt(then, then + 30 * day, Duration::from_hours(30 * 24)), "time goes by");
        assert!(!has_leapt(then, then + 60_000, Duration::ZERO), "it was set right");
        assert!(!has_leapt(then, then - day, Duration::from_hours(1)), "set back, which removes less");
        assert!(has_leapt(then, then + day, Duration::from_hours(1)));
        assert!(has_leapt(then, i64::MAX, Duration::ZERO));
    }
}
