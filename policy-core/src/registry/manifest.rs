//! What a program declares, as text: Cedar policies, Cedar schema, and a manifest that stands for the program elsewhere.

use std::collections::BTreeSet;

use serde_json::Value;

use super::finding::{Finding, RegistryError};
use super::raw::{RawManifest, VERSION};
use super::{Registry, build};
use crate::cedar;
use crate::diagnostic::Diagnostics;

/// How long a manifest may be.
const BYTES: usize = 16 << 20;

/// Why a manifest cannot stand for a program.
///
/// ```
/// use policy_core::registry::{ManifestError, Registry};
/// let error = Registry::from_manifest("{").unwrap_err();
/// assert!(matches!(&error, ManifestError::Form { line: 1, .. }), "{error}");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// It is longer than manifests may be.
    #[error("the manifest has {0} bytes, more than {BYTES}")]
    TooLarge(usize),
    /// It is not JSON, or not of the form of a manifest.
    #[error("{message} at line {line}, column {column}")]
    Form {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// Another version wrote it.
    #[error(
        "the manifest is of form {0}, and this version reads form {VERSION}\nhelp: export it again with a program of this version"
    )]
    Version(u32),
    /// What it declares does not hold together.
    #[error(transparent)]
    Refused(#[from] RegistryError),
}

impl Registry {
    /// Every permit that the annotations make, as formatted Cedar.
    pub fn export_cedar(&self) -> String {
        let mut out = String::new();
        for permit in self.actions.iter().filter(|a| !a.places.is_empty()).filter_map(|a| a.permit.as_ref()) {
            if let Ok(text) = cedar::render(&permit.policy) {
                out.push_str(&text);
                out.push_str("\n\n");
            }
        }
        out
    }

    /// The schema that all policies are validated against, in Cedar's schema syntax.
    ///
    /// # Errors
    /// When Cedar refuses it, which the registry has ruled out.
    pub fn export_schema(&self) -> Result<String, Diagnostics> {
        cedar::schema_text(&self.model)
    }

    /// The manifest: actions, services, rules, kinds and places, as JSON. [`Registry::from_manifest`] reads it again.
    pub fn manifest(&self) -> Value {
        // Plain data of strings, numbers and lists is always JSON.
        serde_json::to_value(RawManifest::of(&self.declared, &self.declared_services)).unwrap_or_default()
    }

    /// A registry of what a manifest says, as the program that wrote it has it: rules are checked again, and validated again.
    ///
    /// ```
    /// use policy_core::registry::Registry;
    /// let text = Registry::program().unwrap().manifest().to_string();
    /// assert_eq!(Registry::from_manifest(&text).unwrap().manifest().to_string(), text);
    /// ```
    ///
    /// # Errors
    /// When it is too large, of another form, or what it declares does not hold together.
    pub fn from_manifest(text: &str) -> Result<Self, ManifestError> {
        if text.len() > BYTES {
            return Err(ManifestError::TooLarge(text.len()));
        }
        let form = |e: &serde_json::Error| {
            let message = e.to_string();
            let end = message.rfind(" at line ").unwrap_or(message.len());
            let message = message.get(..end).unwrap_or_default().to_owned();
            ManifestError::Form { line: e.line(), column: e.column(), message }
        };
        let read: RawManifest = serde_json::from_str(text).map_err(|e| form(&e))?;
        if read.manifest != VERSION {
            return Err(ManifestError::Version(read.manifest));
        }
        let (mut declared, mut services, mut found) = (Vec::new(), Vec::new(), Vec::new());
        let mut seen = BTreeSet::new();
        for action in read.actions {
            let shown = action.shown().to_owned();
            match action.declared() {
                Ok(one) if seen.insert(one.name.clone()) => declared.push(one),
                Ok(_) => found.push(Finding::new("the manifest", format!("`{shown}` is declared twice"))),
                Err(why) => found.push(Finding::new("the manifest", format!("`{shown}`: {why}"))),
            }
        }
        for service in read.services {
            match service.declared() {
                Ok(one) => services.push(one),
                Err(why) => found.push(Finding::new("the manifest", why)),
            }
        }
        if !found.is_empty() {
            return Err(RegistryError(found.into()).into());
        }
        Ok(build::assemble(declared, services, found)?)
    }
}
