//! What is wrong with a rule: a code, a place in its text, a message and what to do.
//!
//! In: findings of the parser, the checker and the registry. Out: [`Diagnostic`], rendered with a caret.
//! Absent: a way to lose findings: [`Diagnostics`] are returned whole.

use std::fmt;

use crate::source::Span;

/// How grave a finding is.
///
/// ```
/// use policy_core::diagnostic::{Diagnostic, Severity};
/// use policy_core::source::Span;
/// assert_eq!(Diagnostic::warning("always-true", Span::default(), "always true").severity, Severity::Warning);
/// assert!(Severity::Warning < Severity::Error);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "a finding either stops or does not")]
pub enum Severity {
    /// Worth a look; nothing is refused.
    Warning,
    /// The rule is refused.
    Error,
}

/// One finding in one rule.
///
/// ```
/// use policy_core::diagnostic::Diagnostic;
/// use policy_core::source::Span;
/// let d = Diagnostic::error("syntax", Span::new(14, 16), "expected `==`, found `=`").with_help("write `==`");
/// assert_eq!(d.render("order.status = 'x'").lines().next(), Some("expected `==`, found `=`"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// A stable word for the kind of finding, such as `unknown-attribute`.
    pub code: &'static str,
    /// Where in the rule.
    pub span: Span,
    /// What is wrong: lower case, no full stop, the user's text in backticks.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// Makes an error.
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code, span, message: message.into(), help: None }
    }

    /// Makes a warning.
    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, span, message) }
    }

    /// Adds what to do.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Renders the finding over its text, with carets under the words meant.
    pub fn render(&self, text: &str) -> String {
        let (mut line_start, mut line_no, start) = (0usize, 1usize, (self.span.start as usize).min(text.len()));
        for (at, c) in text.char_indices() {
            if at >= start {
                break;
            }
            if c == '\n' {
                line_start = at + 1;
                line_no += 1;
            }
        }
        let line = text.get(line_start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        let width = |from: usize, to: usize| text.get(from..to).map_or(0, |part| part.chars().count());
        let end = (self.span.end as usize).clamp(start, line_start + line.len());
        let pad: String = text
            .get(line_start..start)
            .unwrap_or_default()
            .chars()
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        let carets = "^".repeat(width(start, end).max(1));
        let gutter = " ".repeat(line_no.to_string().len());
        let mut out = format!("{}\n{gutter} |\n{line_no} | {line}\n{gutter} | {pad}{carets}", self.message);
        if let Some(help) = &self.help {
            out.push_str("\nhelp: ");
            out.push_str(help);
        }
        out
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(help) = &self.help {
            write!(f, " (help: {help})")?;
        }
        Ok(())
    }
}

/// All findings of one rule.
///
/// ```
/// let found = policy_core::syntax::parse("order.amount <").unwrap_err();
/// assert!(found.has_errors());
/// found.0.iter().for_each(|one| println!("{}", one.render("order.amount <")));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// Whether one of them is an error.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|d| d.severity == Severity::Error)
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(one: Diagnostic) -> Self {
        Self(vec![one])
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, d) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("; ")?;
            }
            fmt::Display::fmt(d, f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}
