//! The one grammar of both spellings.
//!
//! In: [`Token`]s. Out: a tree, or everything that is wrong with the rule. Absent: names and kinds of attributes, and the
//! explanations of common mistakes (`mistake`). Recursion follows parentheses only and is counted.

use super::LIMITS;
use super::ast::{Expr, ExprKind, Operand, SetOperand};
use super::token::{Keyword, Token, TokenKind};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::Span;

/// More findings than this are not worth reading at once.
const MAX_FINDINGS: usize = 20;

pub(super) struct Parser<'t> {
    pub(super) tokens: &'t [Token],
    pub(super) at: usize,
    /// What an error points at when a rule ends too early.
    end: Span,
    /// Around strings in what is said about the rule.
    quote: char,
    /// Parentheses and `not`s that are open.
    nested: usize,
    errors: Vec<Diagnostic>,
    /// A limit was exceeded: nothing more is read or reported.
    stopped: bool,
}

impl<'t> Parser<'t> {
    /// Starts before the first word of the text form.
    pub(super) const fn of_text(tokens: &'t [Token], end: Span) -> Self {
        Self::new(tokens, end, '\'')
    }

    /// Starts before the first word of the token form.
    pub(super) const fn of_tokens(tokens: &'t [Token], end: Span) -> Self {
        Self::new(tokens, end, '"')
    }

    const fn new(tokens: &'t [Token], end: Span, quote: char) -> Self {
        Self { tokens, at: 0, end, quote, nested: 0, errors: Vec::new(), stopped: false }
    }

    /// Ends the reading: the tree if nothing was wrong and nothing is left over.
    pub(super) fn finish<T>(mut self, tree: Option<T>) -> Result<T, Diagnostics> {
        if let Some(left_over) = self.peek() {
            let error = if left_over.kind == TokenKind::CloseParen {
                Diagnostic::error("unbalanced", left_over.span, "this `)` closes nothing")
                    .with_help("leave it out, or add the opening `(`")
            } else {
                self.expected("the end of the rule")
            };
            self.report(error);
        }
        match tree {
            Some(tree) if self.errors.is_empty() => Ok(tree),
            Some(_) | None => Err(Diagnostics(self.errors)),
        }
    }

    /// `policy = or`, where something must stand.
    pub(super) fn policy(&mut self) -> Option<Expr> {
        if self.peek().is_none() && !self.stopped {
            let empty = self.tokens.is_empty();
            let error = if empty {
                Diagnostic::error("empty-rule", self.end, "the rule is empty")
            } else {
                self.expected("a condition")
            };
            self.report(error.with_help("write a condition, such as `participant.roles contains 'finance'`"));
            return None;
        }
        self.or()
    }

    fn or(&mut self) -> Option<Expr> {
        let mut parts = vec![self.and()];
        while self.joint(Keyword::Or) {
            parts.push(self.and());
        }
        join(parts, Expr::or)
    }

    fn and(&mut self) -> Option<Expr> {
        let mut parts = vec![self.not()];
        while self.joint(Keyword::And) {
            parts.push(self.not());
        }
        join(parts, Expr::and)
    }

    fn joint(&mut self, wanted: Keyword) -> bool {
        let found = self.joint_here() == Some(wanted);
        if found {
            self.foreign_joint(wanted);
            self.at += 1;
        }
        found
    }

    fn not(&mut self) -> Option<Expr> {
        let mut starts = Vec::new();
        while let Some(span) = self.take_not() {
            starts.push(span);
            self.enter(span)?;
        }
        let inner = self.primary();
        self.nested -= starts.len();
        inner.map(|inner| {
            starts.into_iter().rev().fold(inner, |e, start| Expr::new(start.to(e.span), ExprKind::Not(Box::new(e))))
        })
    }

    fn take_not(&mut self) -> Option<Span> {
        let span = self.peek()?.span;
        let is_not = self.keyword() == Some(Keyword::Not) || self.foreign_not();
        if is_not {
            self.at += 1;
        }
        is_not.then_some(span)
    }

    fn primary(&mut self) -> Option<Expr> {
        let Some(open) = self.take(&TokenKind::OpenParen) else {
            let parsed = self.predicate();
            return self.settle(parsed);
        };
        self.enter(open)?;
        let inner = self.policy();
        self.nested -= 1;
        if self.stopped {
            return None;
        }
        let Some(close) = self.take(&TokenKind::CloseParen) else {
            let unclosed = Diagnostic::error("unbalanced", open, "this `(` is never closed");
            self.report(unclosed.with_help("add the closing `)`"));
            self.at = self.tokens.len();
            return None;
        };
        let mut inner = inner?;
        inner.span = open.to(close);
        self.settle(Ok(inner))
    }

    /// Keeps a condition that can stand where it does; otherwise reports, and goes on at the next `and`, `or` or `)`.
    fn settle(&mut self, parsed: Result<Expr, Diagnostic>) -> Option<Expr> {
        let settled = match parsed {
            Ok(expr) if self.ends_here() => Ok(expr),
            Ok(expr) => Err(self.unexpected_after(&expr)),
            Err(error) => Err(error),
        };
        settled
            .map_err(|error| {
                self.report(error);
                self.recover();
            })
            .ok()
    }

    fn predicate(&mut self) -> Result<Expr, Diagnostic> {
        if let Some(mistake) = self.exists_first() {
            return Err(mistake);
        }
        let left = self.operand("a condition", "")?;
        let start = left.span();
        if self.ends_here() {
            return match left {
                Operand::Path(path) => Ok(Expr::new(start, ExprKind::Truth(path))),
                Operand::Literal(literal) => Err(Self::bare_literal(&literal)),
            };
        }
        if let Some(op) = self.compare_op() {
            let right = self.operand("an attribute or a value", op.as_str())?;
            return Ok(Expr::new(start.to(right.span()), ExprKind::Compare { op, left, right }));
        }
        match self.keyword() {
            Some(Keyword::Contains) => {
                self.at += 1;
                let item = self.operand("a value", "contains")?;
                if let Operand::Literal(literal) = &left {
                    return Err(Self::literal_contains(literal, &item));
                }
                Ok(Expr::new(start.to(item.span()), ExprKind::Contains { set: left, item }))
            }
            Some(Keyword::In) => {
                self.at += 1;
                let (set, end) = self.set(&left)?;
                Ok(Expr::new(start.to(end), ExprKind::In { item: left, set }))
            }
            Some(Keyword::Like) => {
                self.at += 1;
                let pattern = self.pattern()?;
                Ok(Expr::new(start.to(pattern.span), ExprKind::Like { value: left, pattern }))
            }
            Some(Keyword::Exists) => {
                let end = self.bump().map_or(self.end, |token| token.span);
                match left {
                    Operand::Path(path) => Ok(Expr::new(start.to(end), ExprKind::Exists(path))),
                    Operand::Literal(literal) => {
                        Err(Diagnostic::error("syntax", literal.span, format!("`{literal}` always exists"))
                            .with_help("`exists` asks whether an attribute is there"))
                    }
                }
            }
            Some(Keyword::And | Keyword::Or | Keyword::Not | Keyword::True | Keyword::False) | None => {
                Err(self.no_operator(&left))
            }
        }
    }

    /// What follows `in`, with where it ends.
    fn set(&mut self, item: &Operand) -> Result<(SetOperand, Span), Diagnostic> {
        if let Some(mistake) = self.parenthesised_list(item) {
            return Err(mistake);
        }
        let Some(open) = self.take(&TokenKind::OpenBracket) else {
            let operand = self.operand("a list in brackets or an attribute", "in")?;
            let end = operand.span();
            return Ok((SetOperand::Operand(operand), end));
        };
        let mut items = Vec::new();
        let mut close = self.take(&TokenKind::CloseBracket);
        while close.is_none() {
            if self.peek().is_none() {
                let unclosed = Diagnostic::error("unbalanced", open, "this `[` is never closed");
                return Err(unclosed.with_help("add the closing `]`"));
            }
            items.push(self.list_item(items.is_empty()).inspect_err(|_| self.recover_list())?);
            close = self.take(&TokenKind::CloseBracket);
            if close.is_none() && self.take(&TokenKind::Comma).is_none() && self.peek().is_some() {
                let error = self.expected("`,` or `]`").with_help("separate the values of a list by `,`");
                self.recover_list();
                return Err(error);
            }
        }
        let close = close.unwrap_or(open);
        Ok((SetOperand::List(items, open.to(close)), close))
    }

    /// Counts one more level; `None` when that is too deep, and then nothing more is read.
    fn enter(&mut self, span: Span) -> Option<()> {
        self.nested += 1;
        if self.nested < LIMITS.depth {
            return Some(());
        }
        self.stop(LIMITS.too_deep(span));
        None
    }

    pub(super) fn stop(&mut self, error: Diagnostic) {
        self.errors.clear();
        self.errors.push(error);
        self.at = self.tokens.len();
        self.stopped = true;
    }

    pub(super) fn report(&mut self, mut error: Diagnostic) {
        if self.stopped || self.errors.len() >= MAX_FINDINGS {
            return;
        }
        if self.quote != '\'' {
            // Advice is written in the text form; only a foreign word is quoted as it stands.
            let requote = |text: &str| text.replace('\'', "\"");
            error.help = error.help.as_deref().map(requote);
            if !error.message.contains("found `'") {
                error.message = requote(&error.message);
            }
        }
        self.errors.push(error);
    }

    /// Skips what belongs to a condition that could not be read.
    fn recover(&mut self) {
        let mut open = 0usize;
        while let Some(token) = self.peek() {
            if token.kind == TokenKind::OpenParen {
                open += 1;
            } else if open == 0 && self.ends_here() && !self.is_name_after_dot(token) {
                return;
            } else if token.kind == TokenKind::CloseParen {
                open = open.saturating_sub(1);
            }
            self.at += 1;
        }
    }

    fn is_name_after_dot(&self, token: &Token) -> bool {
        let before = self.at.checked_sub(1).and_then(|n| self.tokens.get(n));
        before.is_some_and(|before| before.kind == TokenKind::Dot) && token.kind.keyword().is_some()
    }

    /// Skips the rest of a list that could not be read.
    fn recover_list(&mut self) {
        let rest = self.tokens.get(self.at..).unwrap_or_default();
        if let Some(n) = rest.iter().position(|token| token.kind == TokenKind::CloseBracket) {
            self.at += n + 1;
        }
    }

    /// Whether a condition may end before the next word.
    pub(super) fn ends_here(&self) -> bool {
        self.peek().is_none_or(|token| token.kind == TokenKind::CloseParen) || self.joint_here().is_some()
    }

    pub(super) fn peek(&self) -> Option<&'t Token> {
        self.tokens.get(self.at)
    }

    pub(super) fn keyword(&self) -> Option<Keyword> {
        self.peek().and_then(|token| token.kind.keyword())
    }

    pub(super) fn bump(&mut self) -> Option<&'t Token> {
        let token = self.peek()?;
        self.at += 1;
        Some(token)
    }

    pub(super) fn take(&mut self, kind: &TokenKind) -> Option<Span> {
        let token = self.peek().filter(|token| token.kind == *kind)?;
        self.at += 1;
        Some(token.span)
    }

    /// An error at the next word, or at the end.
    pub(super) fn expected(&self, what: &str) -> Diagnostic {
        match self.peek() {
            Some(token) => Diagnostic::error("syntax", token.span, format!("expected {what}, found `{}`", token.kind)),
            None => Diagnostic::error("syntax", self.end, format!("expected {what}, found the end of the rule")),
        }
    }
}

fn join(parts: Vec<Option<Expr>>, of: impl Fn(Vec<Expr>) -> Option<Expr>) -> Option<Expr> {
    of(parts.into_iter().collect::<Option<Vec<Expr>>>()?)
}

#[cfg(test)]
mod tests {
    use super::super::ast::{Expr, ExprKind, SetOperand};
    use super::super::{format, parse};
    use crate::source::Span;

    /// Parses, and compares with the tree: its form in brackets.
    fn check(input: &str, tree: &str) {
        let parsed = parse(input).unwrap_or_else(|errors| panic!("{input}: {errors}"));
        assert_eq!(shape(&parsed), tree);
        assert_eq!(parse(&format(&parsed)).as_ref(), Ok(&parsed));
    }

    fn shape(expr: &Expr) -> String {
        let joined =
            |word: &str, parts: &[Expr]| format!("({word} {})", parts.iter().map(shape).collect::<Vec<_>>().join(" "));
        match &expr.kind {
            ExprKind::Or(parts) => joined("or", parts),
            ExprKind::And(parts) => joined("and", parts),
            ExprKind::Not(inner) => format!("(not {})", shape(inner)),
            ExprKind::Compare { op, left, right } => format!("({} {left} {right})", op.as_str()),
            ExprKind::Contains { set, item } => format!("(contains {set} {item})"),
            ExprKind::In { item, set: set @ SetOperand::List(..) } => format!("(in {item} {set})"),
            ExprKind::In { item, set: SetOperand::Operand(set) } => format!("(in {item} {set})"),
            ExprKind::Like { value, pattern } => format!("(like {value} {pattern})"),
            ExprKind::Exists(path) => format!("(exists {path})"),
            ExprKind::Truth(path) => path.to_string(),
        }
    }

    #[test]
    fn operators() {
        check("a == 1", "(== a 1)");
        check("a != 'x'", "(!= a 'x')");
        check("a < 1.5", "(< a 1.5)");
        check("a <= -1", "(<= a -1)");
        check("a > b.c", "(> a b.c)");
        check("5 >= a", "(>= 5 a)");
        check("a contains 'x'", "(contains a 'x')");
        check("a.b contains c.d", "(contains a.b c.d)");
        check("a in ['x', 'y']", "(in a ['x', 'y'])");
        check("a in []", "(in a [])");
        check("'x' in participant.roles", "(in 'x' participant.roles)");
        check("context.ip in '10.0.0.0/8'", "(in context.ip '10.0.0.0/8')");
        check("a like 'x*'", "(like a 'x*')");
        check("a exists", "(exists a)");
        check("a", "a");
    }

    #[test]
    fn precedence() {
        check("a or b and c", "(or a (and b c))");
        check("a and b or c", "(or (and a b) c)");
        check("not a and b", "(and (not a) b)");
        check("not a == 1 or b", "(or (not (== a 1)) b)");
        check("not not a exists", "(not (not (exists a)))");
        check("(a or b) and c", "(and (or a b) c)");
        check("not (a or b)", "(not (or a b))");
        check("a and b and c", "(and a b c)");
        check("a and (b and (c and d)) and e", "(and a b c d e)");
        check("a or (b or c)", "(or a b c)");
        check("a and (b or (c and d))", "(and a (or b (and c d)))");
    }

    #[test]
    fn keywords_have_any_case() {
        check(
            "NOT a CONTAINS 'x' AND b IN [True] OR c LIKE '*' And d EXISTS",
            "(or (and (not (contains a 'x')) (in b [true])) (and (like c '*') (exists d)))",
        );
    }

    #[test]
    fn keywords_after_a_dot_are_names() {
        check("entity.in in entity.contains", "(in entity.in entity.contains)");
        check("a.and and b.or or c.not", "(or (and a.and b.or) c.not)");
        check("a.exists exists", "(exists a.exists)");
        check("a.true == true", "(== a.true true)");
        check("a.like like 'x'", "(like a.like 'x')");
    }

    #[test]
    fn roles() {
        check("participant.roles contains 'finance'", "(contains participant.roles 'finance')");
        check(
            "participant.roles contains 'admin' or participant.roles contains 'manager'",
            "(or (contains participant.roles 'admin') (contains participant.roles 'manager'))",
        );
        check("not participant.roles contains 'guest'", "(not (contains participant.roles 'guest'))");
    }

    #[test]
    fn ownership_and_department() {
        check("entity.ownerId == participant.id", "(== entity.ownerId participant.id)");
        check(
            "entity.ownerId == participant.id or entity.sharedWith contains participant.id",
            "(or (== entity.ownerId participant.id) (contains entity.sharedWith participant.id))",
        );
        check("participant.department == entity.department", "(== participant.department entity.department)");
    }

    #[test]
    fn amount_and_status() {
        check("order.amount < 50000", "(< order.amount 50000)");
        check("order.status in ['open', 'pending']", "(in order.status ['open', 'pending'])");
        check("order.status != 'archived'", "(!= order.status 'archived')");
        check(
            "not entity.deleted exists or entity.deleted == false",
            "(or (not (exists entity.deleted)) (== entity.deleted false))",
        );
    }

    #[test]
    fn combined() {
        check(
            "participant.roles contains 'finance' and order.amount < 50000",
            "(and (contains participant.roles 'finance') (< order.amount 50000))",
        );
        check(
            "(participant.roles contains 'finance' or entity.ownerId == participant.id)\n    and not order.status == 'closed'",
            "(and (or (contains participant.roles 'finance') (== entity.ownerId participant.id)) (not (== order.status 'closed')))",
        );
        check(
            "participant.email like '*@example.com' and context.time < '2027-01-01T00:00:00Z'",
            "(and (like participant.email '*@example.com') (< context.time '2027-01-01T00:00:00Z'))",
        );
    }

    #[test]
    fn spans_cover_what_was_written() {
        let text = "a == 1 and not ( b in [ 'x' ] or c.d exists )";
        let parsed = parse(text).unwrap();
        let at = |span: Span| text.get(span.start as usize..span.end as usize).unwrap();
        assert_eq!(at(parsed.span), text);
        let ExprKind::And(parts) = &parsed.kind else { panic!("{parsed:?}") };
        assert_eq!(
            parts.iter().map(|part| at(part.span)).collect::<Vec<_>>(),
            ["a == 1", "not ( b in [ 'x' ] or c.d exists )"]
        );
        let ExprKind::Not(inner) = &parts[1].kind else { panic!("{parsed:?}") };
        assert_eq!(at(inner.span), "( b in [ 'x' ] or c.d exists )");
        let ExprKind::Or(parts) = &inner.kind else { panic!("{parsed:?}") };
        assert_eq!(parts.iter().map(|part| at(part.span)).collect::<Vec<_>>(), ["b in [ 'x' ]", "c.d exists"]);
    }
}
