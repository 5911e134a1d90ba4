//! What is wrong with a configuration, all of it at once.

use std::fmt;

/// Everything that is wrong with a configuration.
///
/// ```
/// use policy_runtime::config::{Config, Environment};
/// let faults = Config::check("= [", &Environment::default(), std::path::Path::new(".")).unwrap_err();
/// assert!(!faults.list().is_empty());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub(super) Vec<String>);

impl Faults {
    /// Each fault.
    pub fn list(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration cannot be used:")?;
        self.0.iter().try_for_each(|fault| write!(f, "\n- {fault}"))
    }
}

impl std::error::Error for Faults {}
