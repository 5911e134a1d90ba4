//! Rules that administrators write: an effect, what it is about, and when.
//!
//! In: `forbid com.example.OrderService.* unless participant.mfa`. Out: [`Rule`]s, and their text again. Absent: which
//! targets there are and who may write which effect; an application's administrators only forbid, which is checked later.

use std::fmt;

use super::ast::{Expr, Segment};
use super::parser::Parser;
use super::token::{Token, TokenKind};
use super::{LIMITS, lexer};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::Span;

/// One rule: `("permit" | "forbid") target [("when" | "unless") policy]`.
///
/// ```
/// use policy_core::syntax::rule::{Rule, parse_rule};
/// let Rule { target, condition, .. } = parse_rule("permit com.example.Orders.place").unwrap();
/// assert_eq!((target.name().as_str(), condition), ("com.example.Orders.place", None));
/// ```
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "every reader must decide about every part")]
pub struct Rule {
    /// What it does.
    pub effect: RuleEffect,
    /// What it is about.
    pub target: Target,
    /// When it holds; always, if there is none.
    pub condition: Option<RuleCondition>,
    /// Where it was written.
    pub span: Span,
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.effect == other.effect && self.target == other.target && self.condition == other.condition
    }
}

/// What a rule does where it holds.
///
/// ```
/// use policy_core::syntax::rule::{RuleEffect, parse_rule};
/// assert_eq!(parse_rule("permit a.b").unwrap().effect, RuleEffect::Permit);
/// assert_eq!(RuleEffect::Forbid.as_str(), "forbid");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there are two effects")]
pub enum RuleEffect {
    /// Gives access.
    Permit,
    /// Takes access, whatever else gives it.
    Forbid,
}

impl RuleEffect {
    /// How it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Permit => "permit",
            Self::Forbid => "forbid",
        }
    }
}

/// What a rule is about: an action, or with `.*` all actions of a service or of an entity's group.
///
/// ```
/// use policy_core::syntax::rule::parse_rule;
/// let target = parse_rule("forbid com.example.Orders.*").unwrap().target;
/// assert!(target.wildcard && target.segments.len() == 3);
/// ```
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "every reader must decide about every part")]
pub struct Target {
    /// The dotted name; at least one part, each an identifier.
    pub segments: Vec<Segment>,
    /// Whether `.*` follows.
    pub wildcard: bool,
    /// Where it was written.
    pub span: Span,
}

impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        self.segments == other.segments && self.wildcard == other.wildcard
    }
}

impl Target {
    /// The dotted name without `.*`.
    ///
    /// ```
    /// use policy_core::syntax::rule::parse_rule;
    /// let rule = parse_rule("forbid com.example.OrderService.*").unwrap();
    /// assert_eq!((rule.target.name().as_str(), rule.target.wildcard), ("com.example.OrderService", true));
    /// ```
    pub fn name(&self) -> String {
        let names: Vec<&str> = self.segments.iter().map(|segment| segment.name.as_str()).collect();
        names.join(".")
    }
}

/// The condition of a rule, with its sense.
///
/// ```
/// use policy_core::syntax::rule::{RuleCondition, parse_rule};
/// let condition = parse_rule("forbid a.b unless participant.mfa").unwrap().condition.unwrap();
/// assert!(matches!(&condition, RuleCondition::Unless(_)));
/// assert_eq!(condition.expr().to_string(), "participant.mfa");
/// ```
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "every reader must decide about both senses")]
pub enum RuleCondition {
    /// `when policy`
    When(Expr),
    /// `unless policy`
    Unless(Expr),
}

impl RuleCondition {
    /// The condition itself.
    pub const fn expr(&self) -> &Expr {
        match self {
            Self::When(expr) | Self::Unless(expr) => expr,
        }
    }
}

/// Parses one rule in text form.
///
/// ```
/// use policy_core::syntax::rule::{RuleEffect, format_rule, parse_rule};
/// let rule = parse_rule("FORBID com.example.OrderService.placeOrder UNLESS participant.mfa").unwrap();
/// assert_eq!(rule.effect, RuleEffect::Forbid);
/// assert_eq!(format_rule(&rule), "forbid com.example.OrderService.placeOrder unless participant.mfa");
/// ```
///
/// # Errors
/// Everything that is wrong with it, at bytes of the text.
pub fn parse_rule(text: &str) -> Result<Rule, Diagnostics> {
    LIMITS.check_bytes(text.len(), lexer::span(0, text.len()), "as written")?;
    let tokens = lexer::lex(text)?;
    let mut parser = Parser::of_text(&tokens, lexer::span(text.len(), text.len()));
    let rule = parser.rule();
    let rule = parser.finish(rule)?;
    if let Some(condition) = &rule.condition {
        LIMITS.check(condition.expr())?;
    }
    LIMITS.check_bytes(format_rule(&rule).len(), rule.span, "in canonical form")?;
    Ok(rule)
}

/// Writes a rule in its canonical text form; `parse_rule(format_rule(r)) == r`.
///
/// ```
/// use policy_core::syntax::rule::{format_rule, parse_rule};
/// let rule = parse_rule("FORBID a.b  WHEN not participant.mfa").unwrap();
/// assert_eq!(format_rule(&rule), "forbid a.b when not participant.mfa");
/// ```
pub fn format_rule(rule: &Rule) -> String {
    rule.to_string()
}

impl Parser<'_> {
    fn rule(&mut self) -> Option<Rule> {
        match self.try_rule_head() {
            Ok((effect, start, target)) => {
                let end = target.span;
                let condition = match self.clause() {
                    Ok(None) => None,
                    Ok(Some(clause)) => Some(clause(self.policy()?)),
                    Err(error) => {
                        self.give_up(error);
                        return None;
                    }
                };
                let end = condition.as_ref().map_or(end, |condition| condition.expr().span);
                Some(Rule { effect, target, condition, span: start.to(end) })
            }
            Err(error) => {
                self.give_up(error);
                None
            }
        }
    }

    fn give_up(&mut self, error: Diagnostic) {
        self.report(error);
        self.at = self.tokens.len();
    }

    fn try_rule_head(&mut self) -> Result<(RuleEffect, Span, Target), Diagnostic> {
        const HELP: &str = "write `forbid com.example.OrderService.placeOrder when ..`";
        let start = self.peek().map(|token| token.span);
        let word = self.peek().map(|token| token.kind.to_string().to_ascii_lowercase());
        let effect = match (word.as_deref(), start) {
            (Some("permit"), Some(start)) => (RuleEffect::Permit, start),
            (Some("forbid"), Some(start)) => (RuleEffect::Forbid, start),
            (Some("allow"), _) => return Err(self.expected("`permit` or `forbid`").with_help("write `permit`")),
            (Some("deny"), _) => return Err(self.expected("`permit` or `forbid`").with_help("write `forbid`")),
            (Some(_), _) => return Err(self.expected("`permit` or `forbid`").with_help(HELP)),
            (None, _) => {
                return Err(Diagnostic::error("empty-rule", Span::default(), "the rule is empty").with_help(HELP));
            }
        };
        self.at += 1;
        let name = |parser: &mut Self| parser.name("the name of an action, a service or an entity");
        if let Some(open) = self.take(&TokenKind::OpenParen) {
            return Err(Diagnostic::error("syntax", open, "expected a name, found `(`").with_help(
                "this looks like Cedar; a rule here names its target: `forbid com.example.OrderService.*`",
            ));
        }
        if self.peek().is_none_or(|token| token.kind == TokenKind::Star || clause_word(token).is_some()) {
            let error = self.expected("the name of an action, a service or an entity");
            return Err(error.with_help(HELP));
        }
        let mut segments = vec![name(self)?];
        let mut wildcard = None;
        while wildcard.is_none() && self.take(&TokenKind::Dot).is_some() {
            wildcard = self.take(&TokenKind::Star);
            if wildcard.is_none() {
                segments.push(name(self)?);
            }
        }
        let first = segments.first().map_or(effect.1, |segment| segment.span);
        let last = wildcard.or_else(|| segments.last().map(|segment| segment.span)).unwrap_or(first);
        Ok((effect.0, effect.1, Target { segments, wildcard: wildcard.is_some(), span: first.to(last) }))
    }

    /// Takes `when` or `unless`.
    fn clause(&mut self) -> Result<Option<Clause>, Diagnostic> {
        let Some(token) = self.peek() else { return Ok(None) };
        let Some(clause) = clause_word(token) else {
            let error = self.expected("`when`, `unless` or the end of the rule");
            return Err(match token.kind.to_string().to_ascii_lowercase().as_str() {
                "if" | "where" => error.with_help("write `when`"),
                ";" => error.with_help("leave out the `;`"),
                "::" => error.with_help("names are joined by `.`"),
                "-" => error.with_help("names are identifiers joined by `.`"),
                _ => error,
            });
        };
        self.at += 1;
        Ok(Some(clause))
    }
}

/// Gives a condition its sense.
type Clause = fn(Expr) -> RuleCondition;

fn clause_word(token: &Token) -> Option<Clause> {
    let TokenKind::Word(word) = &token.kind else { return None };
    match word.to_ascii_lowercase().as_str() {
        "when" => Some(RuleCondition::When),
        "unless" => Some(RuleCondition::Unless),
        _ => None,
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.effect, self.target)?;
        match &self.condition {
            None => Ok(()),
            Some(RuleCondition::When(expr)) => write!(f, " when {expr}"),
            Some(RuleCondition::Unless(expr)) => write!(f, " unless {expr}"),
        }
    }
}

impl fmt::Display for RuleEffect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        let reserved = self.segments.first().is_some_and(|first| is_clause(&first.name));
        write!(f, "{}{name}{}", if reserved { "r#" } else { "" }, if self.wildcard { ".*" } else { "" })
    }
}

fn is_clause(word: &str) -> bool {
    word.eq_ignore_ascii_case("when") || word.eq_ignore_ascii_case("unless")
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;

    use super::super::shown;
    use super::*;

    fn check(input: &str, canonical: &str) {
        let rule = parse_rule(input).unwrap_or_else(|errors| panic!("{input}: {errors}"));
        assert_eq!(format_rule(&rule), canonical);
        assert_eq!(parse_rule(canonical).as_ref(), Ok(&rule));
        assert_eq!(rule.span, lexer::span(0, input.len()));
    }

    fn check_refused(inputs: &[&str]) {
        let found = inputs.iter().map(|input| shown::findings(input, &parse_rule(input).expect_err(input)));
        expect_file!["../../tests/messages/rules.txt"].assert_eq(&found.collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn rules() {
        check(
            "forbid com.example.OrderService.placeOrder when order.amount >= 1000 and not participant.mfa",
            "forbid com.example.OrderService.placeOrder when order.amount >= 1000 and not participant.mfa",
        );
        check(
            "FORBID com.example.OrderService.*\nUNLESS participant.mfa",
            "forbid com.example.OrderService.* unless participant.mfa",
        );
        check("permit Platform.service.call", "permit Platform.service.call");
        check(
            "forbid Photo.* when entity.ownerId==participant.id",
            "forbid Photo.* when entity.ownerId == participant.id",
        );
        check("permit in.when.unless.* Unless a", "permit in.when.unless.* unless a");
        check("permit r#when.in unless (a or b)", "permit r#when.in unless a or b");
    }

    #[test]
    fn refused() {
        check_refused(&[
            "",
            "deny x.y",
            "allow x.y",
            "com.example.X when a",
            "forbid",
            "forbid when a",
            "forbid *",
            "forbid a.*.b",
            "forbid a.",
            "forbid a.1",
            "forbid a::b",
            "forbid my-app.x",
            "forbid a.b if c",
            "forbid a.b;",
            "forbid a.b when",
            "forbid a.b when c unless d",
            "forbid a.b when c = 1 && d",
            "forbid(principal, action, resource);",
            "forbid a when 'x",
        ]);
    }

    #[test]
    fn limits() {
        assert_eq!(parse_rule(&format!("forbid {}", "a".repeat(LIMITS.bytes))).unwrap_err().0[0].code, "too-large");
        assert_eq!(parse_rule(&format!("forbid a when {}b", "not ".repeat(40))).unwrap_err().0[0].code, "too-large");
    }
}
