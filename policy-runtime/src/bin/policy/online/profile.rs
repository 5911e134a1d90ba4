//! Which server, and as whom: from the environment, or from a private file that `policy login` writes.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use policy_runtime::authn::api_key;
use serde::{Deserialize, Serialize};

use super::Trouble;
use super::http::Server;

const DEFAULT_URL: &str = "http://127.0.0.1:58503";

/// One sign-in.
#[derive(Serialize, Deserialize)]
pub(super) struct Profile {
    pub(super) url: String,
    pub(super) token: String,
    /// Milliseconds since 1970.
    pub(super) ends: i64,
}

#[expect(clippy::disallowed_methods, reason = "these are settings of whoever calls the command, not of a server")]
fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The address that is meant when none is given.
pub(super) fn usual_url() -> String {
    set("POLICY_URL").unwrap_or_else(|| DEFAULT_URL.to_owned())
}

fn folder() -> Result<PathBuf, Trouble> {
    let of_user = || Some(format!("{}/.config", set("HOME")?));
    let base = set("XDG_CONFIG_HOME").or_else(of_user);
    base.map(|base| PathBuf::from(base).join("policy")).ok_or_else(|| Trouble::Cannot("there is no `HOME`".into()))
}

fn file(name: &str) -> Result<PathBuf, Trouble> {
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
        return Err(Trouble::Cannot(format!("`{name}` is no name of a profile: letters, digits, `-` and `_`")));
    }
    Ok(folder()?.join(format!("{name}.json")))
}

/// The server that is meant: a key of the environment wins over a profile.
pub(super) fn server(name: &str) -> Result<Server, Trouble> {
    // A server's own key has the same name, and is never sent.
    if let Some(key) = set("POLICY_KEY").filter(|key| key.starts_with(api_key::PREFIX)) {
        return Server::new(&usual_url(), vec![("x-api-key", key)]);
    }
    let path = file(name)?;
    let missing =
        || Trouble::Cannot(format!("nobody is signed in as `{name}`\nnext: policy login --email you@example.com"));
    let text = std::fs::read_to_string(&path).map_err(|_| missing())?;
    let profile: Profile = serde_json::from_str(&text).map_err(|_| missing())?;
    // A token goes to the server that gave it, and to no other.
    if set("POLICY_URL").is_some_and(|url| url.trim_end_matches('/') != profile.url) {
        return Err(Trouble::Cannot(format!(
            "`POLICY_URL` is not the server of the profile `{name}`\nnext: policy login, or `--profile`"
        )));
    }
    Server::new(&profile.url, vec![("authorization", format!("Bearer {}", profile.token))])
}

/// Keeps a sign-in where only its owner can read it.
pub(super) fn save(name: &str, profile: &Profile) -> Result<PathBuf, Trouble> {
    let path = file(name)?;
    let unusable = |error: std::io::Error| Trouble::Cannot(format!("`{}`: {error}", path.display()));
    std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).map_err(unusable)?;
    let text = serde_json::to_string(profile).map_err(|error| Trouble::Cannot(error.to_string()))?;
    // Made anew, so that a file that others could read does not stay one.
    let _ = std::fs::remove_file(&path);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(&path).and_then(|mut file| file.write_all(text.as_bytes())).map_err(unusable)?;
    Ok(path)
}

/// Forgets a sign-in.
pub(super) fn forget(name: &str) -> Result<(), Trouble> {
    match std::fs::remove_file(file(name)?) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Trouble::Cannot(error.to_string())),
        _ => Ok(()),
    }
}
