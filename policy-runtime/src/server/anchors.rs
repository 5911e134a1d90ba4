//! Signed ends of the audit's chains, written at intervals to a file that whoever writes to the database need not reach.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::audit::journal::{Anchor, Journal};
use crate::clock::Clock;

/// Writes them where that is asked for, for as long as it is polled: a line for each chain that has grown.
pub(super) async fn keep(journal: Arc<Journal>, clock: Arc<dyn Clock>, asked: Option<(PathBuf, Duration)>) {
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
