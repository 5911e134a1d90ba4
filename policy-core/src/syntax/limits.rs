//! How large a rule may be, from whatever source it comes.
//!
//! In: texts and trees. Out: a finding with the code `too-large`. Absent: kinds, and what a rule becomes later (lowerings
//! hold their results against the same table).

use super::ast::{Expr, ExprKind, Operand, SetOperand};
use crate::diagnostic::Diagnostic;
use crate::source::Span;

/// The one table of limits for rules: in code, typed by an administrator, stored, or lowered.
pub const LIMITS: Limits = Limits { bytes: 10_000, nodes: 200, depth: 32 };

/// How large a rule may be.
///
/// ```
/// use policy_core::syntax::{self, LIMITS};
/// let long = format!("participant.id == '{}'", "x".repeat(LIMITS.bytes));
/// assert_eq!(syntax::parse(&long).unwrap_err().0[0].code, "too-large");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of the text, as written and in canonical form.
    pub bytes: usize,
    /// Conditions (also those joined by `and`, `or` and `not`) and elements of lists.
    pub nodes: usize,
    /// How deep conditions, parentheses and the names of a path may nest.
    pub depth: usize,
}

impl Limits {
    /// Holds a tree against the table, its canonical text included.
    ///
    /// # Errors
    /// A finding for the first limit that the tree exceeds.
    ///
    /// ```
    /// use policy_core::syntax::{LIMITS, parse};
    /// assert!(LIMITS.check(&parse("order.amount < 5").unwrap()).is_ok());
    /// ```
    pub fn check(&self, expr: &Expr) -> Result<(), Diagnostic> {
        let mut nodes = 0;
        self.visit(expr, 1, &mut nodes)?;
        self.check_bytes(super::format(expr).len(), expr.span, "in canonical form")
    }

    /// Holds a length against the table.
    pub(super) fn check_bytes(&self, bytes: usize, span: Span, form: &str) -> Result<(), Diagnostic> {
        if bytes <= self.bytes {
            return Ok(());
        }
        let message = format!("the rule has {bytes} bytes {form}, more than {}", self.bytes);
        Err(too_large(span, message).with_help("write several rules, or keep the list as an attribute"))
    }

    pub(super) fn too_deep(&self, span: Span) -> Diagnostic {
        too_large(span, format!("the rule nests deeper than {} levels", self.depth))
            .with_help("leave out parentheses and `not` where they change nothing, or write several rules")
    }

    /// Counts `expr` at `depth`; never descends further than the limit.
    fn visit(&self, expr: &Expr, depth: usize, nodes: &mut usize) -> Result<(), Diagnostic> {
        if depth > self.depth {
            return Err(self.too_deep(expr.span));
        }
        *nodes += 1;
        match &expr.kind {
            ExprKind::Or(parts) | ExprKind::And(parts) => {
                parts.iter().try_for_each(|part| self.visit(part, depth + 1, nodes))?;
            }
            ExprKind::Not(inner) => self.visit(inner, depth + 1, nodes)?,
            ExprKind::Compare { left, right, .. } | ExprKind::Contains { set: left, item: right } => {
                self.operand(left)?;
                self.operand(right)?;
            }
            ExprKind::In { item, set } => {
                self.operand(item)?;
                match set {
                    SetOperand::List(items, _) => *nodes += items.len(),
                    SetOperand::Operand(set) => self.operand(set)?,
                }
            }
            ExprKind::Like { value, .. } => self.operand(value)?,
            ExprKind::Exists(path) | ExprKind::Truth(path) => self.path(path.segments.len(), path.span)?,
        }
        if *nodes > self.nodes {
            let message = format!("the rule has more than {} conditions and list elements", self.nodes);
            return Err(too_large(expr.span, message)
                .with_help("write several rules, or compare with an attribute that holds the list"));
        }
        Ok(())
    }

    fn operand(&self, operand: &Operand) -> Result<(), Diagnostic> {
        match operand {
            Operand::Path(path) => self.path(path.segments.len(), path.span),
            Operand::Literal(_) => Ok(()),
        }
    }

    fn path(&self, segments: usize, span: Span) -> Result<(), Diagnostic> {
        if segments > self.depth { Err(self.too_deep(span)) } else { Ok(()) }
    }
}

fn too_large(span: Span, message: String) -> Diagnostic {
    Diagnostic::error("too-large", span, message)
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::LIMITS;

    fn check(text: &str, fits: bool) {
        match parse(text) {
            Ok(_) => assert!(fits, "must not fit: {} bytes", text.len()),
            Err(errors) => {
                assert!(!fits, "must fit: {errors}");
                assert_eq!(errors.0.len(), 1, "one finding, not {errors}");
                assert!(errors.0.iter().all(|d| d.code == "too-large"), "{errors}");
            }
        }
    }

    #[test]
    fn bytes() {
        let with = |n: usize| format!("a == '{}'", "x".repeat(n - 7));
        check(&with(LIMITS.bytes), true);
        check(&with(LIMITS.bytes + 1), false);
        check(&" ".repeat(LIMITS.bytes + 1), false);
        // Written short, but longer in canonical form.
        check(&format!("a=='{}'", "\u{200b}".repeat(3_000)), false);
    }

    #[test]
    fn nodes() {
        let joined = |n: usize, word: &str| vec!["a"; n].join(word);
        check(&joined(LIMITS.nodes - 1, " and "), true);
        check(&joined(LIMITS.nodes, " and "), false);
        check(&joined(LIMITS.nodes, " or "), false);
        let list = |n: usize| format!("a in [{}]", vec!["1"; n].join(", "));
        check(&list(LIMITS.nodes - 1), true);
        check(&list(LIMITS.nodes), false);
    }

    #[test]
    fn depth() {
        let nots = |n: usize| format!("{}a", "not ".repeat(n));
        check(&nots(LIMITS.depth - 1), true);
        check(&nots(LIMITS.depth), false);
        check(&nots(2_400), false);
        let parens = |n: usize| format!("{}a{}", "(".repeat(n), ")".repeat(n));
        check(&parens(LIMITS.depth - 1), true);
        check(&parens(LIMITS.depth), false);
        check(&parens(4_900), false);
        check(&"(".repeat(9_999), false);
        check(&"not (".repeat(1_999), false);
        let path = |n: usize| vec!["a"; n].join(".");
        check(&path(LIMITS.depth), true);
        check(&path(LIMITS.depth + 1), false);
        check(&format!("a{}", "['b']".repeat(1_900)), false);
        // Half the depth in parentheses, twice as deep as a tree.
        let tree = |n: usize| format!("{}a{}", "a or b and (".repeat(n), ")".repeat(n));
        check(&tree(15), true);
        check(&tree(16), false);
    }
}
