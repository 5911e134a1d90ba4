//! What comes from outside the file: variables, and the files that they name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The variables that a process was started with.
///
/// ```
/// use policy_runtime::config::Environment;
/// let given = Environment::of([("POLICY_LISTEN", "0.0.0.0:80"), ("POLICY_ENV", ""), ("HOME", "/root")]);
/// assert_eq!(given.get("POLICY_LISTEN"), Some("0.0.0.0:80"));
/// assert_eq!((given.get("POLICY_ENV"), given.names("POLICY_").count()), (None, 2));
/// ```
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

/// Shows names only: values may be secrets.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

impl Environment {
    /// The variables of this process; those that are no text are left out.
    pub fn of_process() -> Self {
        let texts =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self(texts.collect())
    }

    /// These variables and no others.
    pub fn of<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// A variable; an empty one counts as absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The names that begin so.
    pub fn names<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.keys().map(String::as_str).filter(move |name| name.starts_with(prefix))
    }

    /// Where a file is, beside the configuration if its path is relative.
    pub(super) fn beside(folder: &Path, path: &str) -> PathBuf {
        folder.join(path)
    }
}
