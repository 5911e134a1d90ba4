//! What is wrong with what a program declares.

use std::fmt;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Severity};
use crate::source::line_column;

/// One finding, with the place in the program.
///
/// ```
/// use policy_core::registry::Finding;
/// let found = policy_core::syntax::parse("a = b").unwrap_err();
/// let finding = Finding::in_rule("src/orders.rs:7", "a = b", &found.0[0]);
/// assert!(finding.to_string().starts_with("src/orders.rs:7: expected `==`"), "{finding}");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// `file:line`, or what else names the place.
    pub place: Arc<str>,
    /// What is wrong, with the rule and a caret where it is about one.
    pub message: String,
    /// The stable word for the kind of finding, where it is about a text: `unknown-attribute`.
    pub code: &'static str,
    /// Whether it refuses.
    pub severity: Severity,
    /// The line and the column of the word that is meant, counted from 1, where it is about a text.
    pub at: Option<(usize, usize)>,
}

impl Finding {
    /// Makes a finding.
    pub fn new(place: impl fmt::Display, message: impl Into<String>) -> Self {
        let place = place.to_string().into();
        Self { place, message: message.into(), code: "", severity: Severity::Error, at: None }
    }

    /// Makes a finding of one in a rule.
    pub fn in_rule(place: impl fmt::Display, text: &str, diagnostic: &Diagnostic) -> Self {
        Self {
            code: diagnostic.code,
            severity: diagnostic.severity,
            at: Some(line_column(text, diagnostic.span.start as usize)),
            ..Self::new(place, diagnostic.render(text))
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// Everything that is wrong with what a program declares. The program does not start.
///
/// ```
/// use policy_core::registry::{Registry, RegistryError};
/// use policy_core::decl::{ActionDecl, ResourceDecl, RuleDecl};
/// use policy_core::{Tier, source::Place};
/// const HERE: Place = Place { file: "src/orders.rs", line: 7 };
/// static APPROVE: ActionDecl = ActionDecl { package: "shop", namespace: "shop", id: "approve", function: "shop::approve", place: HERE,
///     was: &[], tier: Tier::Application, callers: &[Tier::Application], organization: None, must_audit: false, participant: None,
///     resource: ResourceDecl::Scope, params: &[], rules: &[RuleDecl { text: "order.amount < 5", place: HERE }], authenticated: false };
///
/// let error: RegistryError = Registry::of(&[&APPROVE], &[]).unwrap_err();
/// assert!(error.findings()[0].message.contains("no root `order`"), "{error}");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryError(pub(super) Arc<[Finding]>);

impl RegistryError {
    /// The findings.
    pub fn findings(&self) -> &[Finding] {
        &self.0
    }
}

impl fmt::Display for RegistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.0.len();
        write!(f, "the program's policies do not hold together ({n} finding{})", if n == 1 { "" } else { "s" })?;
        for finding in self.0.iter() {
            write!(f, "\n\n{finding}")?;
        }
        Ok(())
    }
}

impl std::error::Error for RegistryError {}
