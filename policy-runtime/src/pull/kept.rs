//! The last good bundle on disk: written as a whole, readable by its user alone, and used only if nobody has changed it.
//!
//! Who can write to the file cannot make one that is used: it is bound to the API key, which is not in it. The statement is
//! verified again besides.

use std::io::{Read as _, Write as _};
use std::path::Path;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::{BUNDLE, PullError};
use crate::secret::Secret;
use crate::sets::bundle::Bundle;

/// A bundle, the keys that it was verified by, and when it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    pub(super) bundle: Bundle,
    pub(super) keys: String,
    pub(super) confirmed: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// As text, so that the mark is of what was written.
    kept: String,
    mark: String,
}

fn mark(kept: &str, key: &Secret<String>) -> Result<String, String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes()).map_err(|error| error.to_string())?;
    mac.update(b"kept policy sets:");
    mac.update(kept.as_bytes());
    Ok(data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes()))
}

impl Kept {
    /// Writes it beside the file and then in its place, so that a crash leaves the old one or the new one.
    pub(super) fn write(&self, path: &Path, key: &Secret<String>) -> Result<(), PullError> {
        let failed = |problem: String| PullError::Disk { path: path.display().to_string(), problem };
        let kept = serde_json::to_string(self).map_err(|error| failed(error.to_string()))?;
        let mark = mark(&kept, key).map_err(failed)?;
        let text = serde_json::to_string(&File { kept, mark }).map_err(|error| failed(error.to_string()))?;
        let unwritten = |error: std::io::Error| failed(format!("cannot be written: {error}"));
        let beside = path.with_extension(format!("{}.new", std::process::id()));
        // What a crash has left there.
        let _ = std::fs::remove_file(&beside);
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&beside).map_err(unwritten)?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        written.and_then(|()| std::fs::rename(&beside, path)).map_err(unwritten)
    }

    pub(super) fn read(path: &Path, key: &Secret<String>) -> Result<Self, PullError> {
        let failed = |problem: String| PullError::Disk { path: path.display().to_string(), problem };
        let unread = |error: std::io::Error| failed(format!("cannot be read: {error}"));
        let file = std::fs::File::open(path).map_err(unread)?;
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().map_err(unread)?.permissions());
            if mode & 0o077 != 0 {
                return Err(failed("is open to other users".into()));
            }
        }
        let mut text = String::new();
        file.take(2 * BUNDLE as u64).read_to_string(&mut text).map_err(unread)?;
        let changed = || failed("was changed, or was written with another API key".into());
        let File { kept, mark: found } = serde_json::from_str(&text).map_err(|_| changed())?;
        let expected = mark(&kept, key).map_err(failed)?;
        if !bool::from(expected.as_bytes().ct_eq(found.as_bytes())) {
            return Err(changed());
        }
        serde_json::from_str(&kept).map_err(|_| changed())
    }
}
