//! What people write who think of another language, and what to write instead.
//!
//! In: the parser's position where the grammar does not go on. Out: [`Diagnostic`]s with help. Absent: the grammar itself.

#![expect(clippy::wildcard_enum_match_arm, reason = "only the words of a known mistake matter here")]

use super::ast::{CompareOp, Expr, ExprKind, Literal, LiteralKind, Operand, Path};
use super::parser::Parser;
use super::token::{Keyword, Token, TokenKind};
use crate::diagnostic::Diagnostic;
use crate::name::nearest;
use crate::source::Span;

/// Words in the place of an operator, in lower case, and the operator meant.
const OPERATOR_WORDS: [(&str, &str); 26] = [
    ("is", "=="),
    ("equals", "=="),
    ("eq", "=="),
    ("ne", "!="),
    ("lt", "<"),
    ("le", "<="),
    ("lte", "<="),
    ("gt", ">"),
    ("ge", ">="),
    ("gte", ">="),
    ("has", "contains"),
    ("includes", "contains"),
    ("hasrole", "contains"),
    ("containsany", "contains"),
    ("containsall", "contains"),
    ("within", "in"),
    ("among", "in"),
    ("one_of", "in"),
    ("oneof", "in"),
    ("matches", "like"),
    ("ilike", "like"),
    ("regex", "like"),
    ("present", "exists"),
    ("defined", "exists"),
    ("starts", "like"),
    ("ends", "like"),
];

impl Parser<'_> {
    /// The joint that stands here, also as `&&` or `||`.
    pub(super) fn joint_here(&self) -> Option<Keyword> {
        match &self.peek()?.kind {
            TokenKind::Other(text) if matches!(text.as_str(), "&&" | "&") => Some(Keyword::And),
            TokenKind::Other(text) if matches!(text.as_str(), "||" | "|") => Some(Keyword::Or),
            kind => kind.keyword().filter(|keyword| matches!(keyword, Keyword::And | Keyword::Or)),
        }
    }

    /// Reports `&&` and `||` in the place of `and` and `or`.
    pub(super) fn foreign_joint(&mut self, wanted: Keyword) {
        if let Some(Token { kind: kind @ TokenKind::Other(_), span }) = self.peek() {
            let word = if wanted == Keyword::And { "and" } else { "or" };
            let message = format!("expected `{word}`, found `{kind}`");
            self.report(syntax(*span, message).with_help(format!("write `{word}`")));
        }
    }

    /// Reports `!` in the place of `not`.
    pub(super) fn foreign_not(&mut self) -> bool {
        let Some(token) = self.peek().filter(|token| token.kind == TokenKind::Other("!".into())) else { return false };
        self.report(syntax(token.span, "expected `not`, found `!`").with_help("write `not`"));
        true
    }

    /// Takes a comparison, and reports `=`, `<>` and their kin as what they mean.
    pub(super) fn compare_op(&mut self) -> Option<CompareOp> {
        let token = self.peek()?;
        let op = match &token.kind {
            TokenKind::Compare(op) => *op,
            TokenKind::Other(text) => {
                let op = match text.as_str() {
                    "=" | "===" | ":=" | ":" => CompareOp::Eq,
                    "<>" | "!==" => CompareOp::Ne,
                    "=<" => CompareOp::Le,
                    "=>" => CompareOp::Ge,
                    _ => return None,
                };
                let message = format!("expected `{}`, found `{text}`", op.as_str());
                self.report(syntax(token.span, message).with_help(format!("write `{}`", op.as_str())));
                op
            }
            _ => return None,
        };
        self.at += 1;
        Some(op)
    }

    /// `exists x` and `exists(x)`: the word comes after the attribute.
    pub(super) fn exists_first(&mut self) -> Option<Diagnostic> {
        let word = self.peek().filter(|token| token.kind.keyword() == Some(Keyword::Exists))?;
        let negated = self.at.checked_sub(1).and_then(|n| self.tokens.get(n));
        let not = if negated.is_some_and(|token| token.kind.keyword() == Some(Keyword::Not)) { "not " } else { "" };
        self.at += 1;
        let open = self.take(&TokenKind::OpenParen);
        let named = matches!(self.peek(), Some(Token { kind: TokenKind::Word(_) | TokenKind::Name(_), .. }));
        let path = if named { self.path().ok() } else { None };
        if open.is_some() && path.is_some() {
            self.take(&TokenKind::CloseParen);
        }
        let what = path.map_or_else(|| "x".to_owned(), |path| path.to_string());
        Some(syntax(word.span, "`exists` comes after the attribute").with_help(format!("write `{not}{what} exists`")))
    }

    /// `x in (..)`.
    pub(super) fn parenthesised_list(&mut self, item: &Operand) -> Option<Diagnostic> {
        let open = self.peek().filter(|token| token.kind == TokenKind::OpenParen)?;
        let inner = self.spell_arguments();
        let error = syntax(open.span, "expected `[` after `in`, found `(`");
        let literal =
            inner.starts_with(|c: char| matches!(c, '\'' | '"' | '-') || c.is_ascii_digit()) || inner.contains(',');
        Some(error.with_help(if literal || inner.is_empty() {
            format!("a list is written in brackets: `{item} in [{inner}]`")
        } else {
            format!("leave out the parentheses: `{item} in {inner}`")
        }))
    }

    /// A literal where a condition is wanted.
    pub(super) fn bare_literal(literal: &Literal) -> Diagnostic {
        let error = syntax(literal.span, format!("`{literal}` alone is not a condition"));
        error.with_help(match literal.kind {
            LiteralKind::Bool(_) => "write the condition under which the rule holds",
            LiteralKind::Text(_) | LiteralKind::Integer(_) | LiteralKind::Decimal(_) => {
                "compare it with an attribute, such as `order.status == 'open'`"
            }
        })
    }

    /// `'finance' contains x`.
    pub(super) fn literal_contains(literal: &Literal, item: &Operand) -> Diagnostic {
        let error = syntax(literal.span, format!("expected an attribute before `contains`, found `{literal}`"));
        error.with_help(match item {
            Operand::Path(path) => format!("write `{path} contains {literal}`"),
            Operand::Literal(_) => "`contains` asks whether a set attribute has a value".into(),
        })
    }

    /// `null` as a value.
    pub(super) fn null(span: Span) -> Diagnostic {
        syntax(span, "there is no `null` to compare with")
            .with_help("write `not x exists` where the attribute is absent, `x exists` where it is there")
    }

    /// No operand where one is wanted.
    pub(super) fn no_operand(&self, wanted: &str, after: &str) -> Diagnostic {
        let error = self.expected(wanted);
        let Some(token) = self.peek() else { return error };
        match &token.kind {
            TokenKind::Compare(op) if after.is_empty() => {
                let message = format!("expected an attribute or a value before `{}`", op.as_str());
                syntax(token.span, message).with_help("write both sides of the comparison")
            }
            TokenKind::OpenBracket if after == "contains" => {
                error.with_help("write one `contains` for each value, joined with `and` or `or`")
            }
            TokenKind::OpenBracket => error.with_help("a list stands only after `in`: `x in ['a', 'b']`"),
            TokenKind::OpenParen if !after.is_empty() => {
                error.with_help("parentheses stand around whole conditions only")
            }
            TokenKind::Dot => error.with_help("write a digit before the point, or a name before the dot"),
            TokenKind::Other(text) => with_foreign_help(error, text),
            kind => match kind.keyword() {
                Some(Keyword::Contains | Keyword::In | Keyword::Like) => {
                    error.with_help(format!("write the attribute before `{kind}`"))
                }
                Some(Keyword::Not) if !after.is_empty() => error.with_help("`not` stands before a whole condition"),
                _ => error,
            },
        }
    }

    /// No operator after the left side.
    pub(super) fn no_operator(&mut self, left: &Operand) -> Diagnostic {
        let error = self.expected(&format!("an operator after `{left}`"));
        let Some(token) = self.peek() else { return error };
        match &token.kind {
            TokenKind::OpenParen => match left {
                Operand::Path(path) => self.call(path),
                Operand::Literal(_) => error,
            },
            TokenKind::Minus | TokenKind::Star => error.with_help(ARITHMETIC),
            TokenKind::Other(text) => with_foreign_help(error, text),
            TokenKind::OpenBracket => error.with_help("a list stands only after `in`: `x in ['a', 'b']`"),
            TokenKind::Comma => error.with_help(JOIN),
            TokenKind::Word(word) if token.kind.keyword() == Some(Keyword::Not) => {
                let next = self.tokens.get(self.at + 1).map_or("..".to_owned(), |next| next.kind.to_string());
                syntax(token.span, format!("expected an operator after `{left}`, found `{word}`"))
                    .with_help(format!("`not` comes first: `not {left} {next} ..`"))
            }
            TokenKind::Word(word) => self.operator_word(error, &word.to_ascii_lowercase(), left),
            _ => error
                .with_help("write an operator: `==`, `!=`, `<`, `<=`, `>`, `>=`, `contains`, `in`, `like` or `exists`"),
        }
    }

    fn operator_word(&self, error: Diagnostic, word: &str, left: &Operand) -> Diagnostic {
        let following = |n: usize| {
            let token = self.tokens.get(self.at + n);
            token.map(|token| token.kind.to_string().to_ascii_lowercase()).unwrap_or_default()
        };
        if word == "is" {
            let second = following(1);
            return error.with_help(match (second.as_str(), following(2).as_str()) {
                ("null" | "none" | "absent" | "missing", _) => format!("write `not {left} exists`"),
                ("not", "null" | "none" | "absent" | "missing") | ("present", _) => format!("write `{left} exists`"),
                ("not", _) => "write `!=`".into(),
                _ => "write `==`".into(),
            });
        }
        if word == "between" {
            return error.with_help(format!("write `{left} >= .. and {left} <= ..`"));
        }
        if matches!(word, "when" | "unless") {
            return error.with_help(ONE_CLAUSE);
        }
        let known = OPERATOR_WORDS.iter().find(|(other, _)| *other == word).map(|(_, meant)| *meant);
        let operators = Keyword::ALL.iter().map(|(keyword, _)| *keyword);
        match known.or_else(|| nearest(word, operators)) {
            Some(meant) => error.with_help(format!("write `{meant}`")),
            None => error
                .with_help("write an operator: `==`, `!=`, `<`, `<=`, `>`, `>=`, `contains`, `in`, `like` or `exists`"),
        }
    }

    /// `x.contains('a')`, `now()`.
    fn call(&mut self, path: &Path) -> Diagnostic {
        let message =
            format!("rules have no methods or functions such as `{}`", path.segments.last().map_or("", |s| &s.name));
        let span = path.segments.last().map_or(path.span, |last| last.span);
        let arguments = self.spell_arguments();
        let error = syntax(span, message);
        let Some((method, [_, ..])) =
            path.segments.split_last().map(|(last, before)| (last.name.to_ascii_lowercase(), before))
        else {
            return error.with_help("compare attributes and values with the operators");
        };
        let mut receiver = path.clone();
        receiver.segments.pop();
        let starred = |before: &str, after: &str| {
            let quote = arguments.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
            let inner = arguments.strip_prefix(quote)?.strip_suffix(quote)?;
            Some(format!("{receiver} like {quote}{before}{inner}{after}{quote}"))
        };
        let instead = match method.as_str() {
            "contains" | "includes" | "has" if !arguments.is_empty() => {
                Some(format!("{receiver} contains {arguments}"))
            }
            "in" => Some(format!("{receiver} in [{arguments}]")),
            "exists" | "ispresent" | "is_some" => Some(format!("{receiver} exists")),
            "isnull" | "is_none" | "isabsent" => Some(format!("not {receiver} exists")),
            "equals" | "eq" if !arguments.is_empty() => Some(format!("{receiver} == {arguments}")),
            "startswith" | "starts_with" => starred("", "*"),
            "endswith" | "ends_with" => starred("*", ""),
            "like" | "matches" => starred("", ""),
            _ => None,
        };
        error.with_help(instead.map_or_else(
            || "compare attributes and values with the operators".to_owned(),
            |instead| format!("write `{instead}`"),
        ))
    }

    /// A whole condition, and then something that cannot follow it.
    pub(super) fn unexpected_after(&mut self, expr: &Expr) -> Diagnostic {
        let error = self.expected("`and`, `or` or the end of the condition");
        let Some(token) = self.peek() else { return error };
        match (&token.kind, &expr.kind) {
            (TokenKind::Compare(second), ExprKind::Compare { op, left, right }) => {
                self.at += 1;
                let third = self.operand("", "").map_or("..".into(), |third| third.to_string());
                syntax(token.span, "comparisons cannot be chained").with_help(format!(
                    "write `{left} {} {right} and {right} {} {third}`",
                    op.as_str(),
                    second.as_str()
                ))
            }
            (TokenKind::Compare(_), _) => error.with_help("parentheses stand around whole conditions only"),
            (TokenKind::Minus | TokenKind::Star, _) => error.with_help(ARITHMETIC),
            (TokenKind::Other(text), _) => with_foreign_help(error, text),
            (TokenKind::Word(word), _) if word.eq_ignore_ascii_case("when") || word.eq_ignore_ascii_case("unless") => {
                error.with_help(ONE_CLAUSE)
            }
            (TokenKind::Dot, _) => {
                error.with_help("a number has digits after its point; only attributes have names after a dot")
            }
            (TokenKind::CloseBracket, _) => error.with_help("leave it out, or add the opening `[`"),
            _ => error.with_help(JOIN),
        }
    }

    /// Skips `(..)` and spells what stands in it; up to the end if it is never closed.
    fn spell_arguments(&mut self) -> String {
        let start = self.at + 1;
        let mut open = 0usize;
        while let Some(token) = self.bump() {
            match token.kind {
                TokenKind::OpenParen => open += 1,
                TokenKind::CloseParen => open = open.saturating_sub(1),
                _ => {}
            }
            if open == 0 {
                return spell(self.tokens.get(start..self.at - 1).unwrap_or_default());
            }
        }
        spell(self.tokens.get(start..).unwrap_or_default())
    }
}

const ARITHMETIC: &str = "rules have no arithmetic; a name with other characters is written `[\"any name\"]`";
const JOIN: &str = "join conditions with `and` or `or`";
const ONE_CLAUSE: &str = "a rule has one `when` or one `unless`; join conditions with `and`";

/// Spells a few tokens as a person would; the rest is `..`.
fn spell(tokens: &[Token]) -> String {
    let mut out = String::new();
    let mut glue = true;
    for token in tokens.iter().take(20) {
        let tight = matches!(
            token.kind,
            TokenKind::Dot
                | TokenKind::Comma
                | TokenKind::OpenBracket
                | TokenKind::CloseBracket
                | TokenKind::CloseParen
        );
        if !glue && !tight {
            out.push(' ');
        }
        out.push_str(&token.kind.to_string());
        glue = matches!(token.kind, TokenKind::Dot | TokenKind::OpenBracket | TokenKind::OpenParen | TokenKind::Minus);
    }
    if tokens.len() > 20 {
        out.push_str(" ..");
    }
    out
}

fn with_foreign_help(error: Diagnostic, text: &str) -> Diagnostic {
    let help = match text {
        "+" | "/" | "%" | "^" => ARITHMETIC,
        "::" | "?." | ".." | "->" => "names of a path are joined by a single `.`",
        "//" | "/*" | "#" => "a rule has no comments",
        ";" => "leave out the `;`",
        "~" => "write `like`",
        "‘" | "’" | "‚" | "“" | "”" | "„" | "`" => "write straight quotes: `'..'`",
        "{" | "}" | "@" | "$" => "write attributes and values without decoration",
        text if text.starts_with('\'') => "in Rust tokens a string has double quotes",
        _ => return error,
    };
    error.with_help(help)
}

fn syntax(span: Span, message: impl Into<String>) -> Diagnostic {
    Diagnostic::error("syntax", span, message)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::super::parse;

    /// Each finding on a line: where, what, and what to do.
    fn check(input: &str, expect: &Expect) {
        let errors = parse(input).expect_err(input).0;
        let lines = errors.iter().map(|d| {
            let place = input.get(d.span.start as usize..d.span.end as usize).unwrap();
            format!(
                "{}..{} {place:?} {}\n    {}\n",
                d.span.start,
                d.span.end,
                d.message,
                d.help.as_deref().unwrap_or("-")
            )
        });
        expect.assert_eq(&lines.collect::<String>());
    }

    #[test]
    fn operators_of_other_languages() {
        check(
            "a = 1",
            &expect![[r#"
            2..3 "=" expected `==`, found `=`
                write `==`
        "#]],
        );
        check(
            "a === 1",
            &expect![[r#"
            2..5 "===" expected `==`, found `===`
                write `==`
        "#]],
        );
        check(
            "a <> 1 and b =< 2 and c => 3",
            &expect![[r#"
            2..4 "<>" expected `!=`, found `<>`
                write `!=`
            13..15 "=<" expected `<=`, found `=<`
                write `<=`
            24..26 "=>" expected `>=`, found `=>`
                write `>=`
        "#]],
        );
        check(
            "a == 1 && b == 2 || c",
            &expect![[r#"
            7..9 "&&" expected `and`, found `&&`
                write `and`
            17..19 "||" expected `or`, found `||`
                write `or`
        "#]],
        );
        check(
            "a & b | c",
            &expect![[r#"
            2..3 "&" expected `and`, found `&`
                write `and`
            6..7 "|" expected `or`, found `|`
                write `or`
        "#]],
        );
        check(
            "!a",
            &expect![[r#"
            0..1 "!" expected `not`, found `!`
                write `not`
        "#]],
        );
        check(
            "not !a and !(b)",
            &expect![[r#"
            4..5 "!" expected `not`, found `!`
                write `not`
            11..12 "!" expected `not`, found `!`
                write `not`
        "#]],
        );
    }

    #[test]
    fn words_of_other_languages() {
        check(
            "a is 'x'",
            &expect![[r#"
            2..4 "is" expected an operator after `a`, found `is`
                write `==`
        "#]],
        );
        check(
            "a is not 'x'",
            &expect![[r#"
            2..4 "is" expected an operator after `a`, found `is`
                write `!=`
        "#]],
        );
        check(
            "order.deletedAt is null",
            &expect![[r#"
            16..18 "is" expected an operator after `order.deletedAt`, found `is`
                write `not order.deletedAt exists`
        "#]],
        );
        check(
            "order.deletedAt IS NOT NULL",
            &expect![[r#"
            16..18 "IS" expected an operator after `order.deletedAt`, found `IS`
                write `order.deletedAt exists`
        "#]],
        );
        check(
            "a == null",
            &expect![[r#"
            5..9 "null" there is no `null` to compare with
                write `not x exists` where the attribute is absent, `x exists` where it is there
        "#]],
        );
        check(
            "a has 'x'",
            &expect![[r#"
            2..5 "has" expected an operator after `a`, found `has`
                write `contains`
        "#]],
        );
        check(
            "a contans 'x'",
            &expect![[r#"
            2..9 "contans" expected an operator after `a`, found `contans`
                write `contains`
        "#]],
        );
        check(
            "a between 1 and 5",
            &expect![[r#"
            2..9 "between" expected an operator after `a`, found `between`
                write `a >= .. and a <= ..`
            16..17 "5" `5` alone is not a condition
                compare it with an attribute, such as `order.status == 'open'`
        "#]],
        );
        check(
            "a matches 'x'",
            &expect![[r#"
            2..9 "matches" expected an operator after `a`, found `matches`
                write `like`
        "#]],
        );
        check(
            "a foo 'x'",
            &expect![[r#"
            2..5 "foo" expected an operator after `a`, found `foo`
                write an operator: `==`, `!=`, `<`, `<=`, `>`, `>=`, `contains`, `in`, `like` or `exists`
        "#]],
        );
        check(
            "a ilike 'x'",
            &expect![[r#"
            2..7 "ilike" expected an operator after `a`, found `ilike`
                write `like`
        "#]],
        );
    }

    #[test]
    fn where_not_and_exists_stand() {
        check(
            "a not in [1]",
            &expect![[r#"
            2..5 "not" expected an operator after `a`, found `not`
                `not` comes first: `not a in ..`
        "#]],
        );
        check(
            "a not like 'x*'",
            &expect![[r#"
            2..5 "not" expected an operator after `a`, found `not`
                `not` comes first: `not a like ..`
        "#]],
        );
        check(
            "exists a.b",
            &expect![[r#"
            0..6 "exists" `exists` comes after the attribute
                write `a.b exists`
        "#]],
        );
        check(
            "not exists a.b",
            &expect![[r#"
            4..10 "exists" `exists` comes after the attribute
                write `not a.b exists`
        "#]],
        );
        check(
            "exists(a.b) and c",
            &expect![[r#"
            0..6 "exists" `exists` comes after the attribute
                write `a.b exists`
        "#]],
        );
        check(
            "not exists (a.b)",
            &expect![[r#"
            4..10 "exists" `exists` comes after the attribute
                write `not a.b exists`
        "#]],
        );
        check(
            "exists",
            &expect![[r#"
            0..6 "exists" `exists` comes after the attribute
                write `x exists`
        "#]],
        );
        check(
            "a == not b",
            &expect![[r#"
            5..8 "not" expected an attribute or a value after `==`, found `not`
                `not` stands before a whole condition
        "#]],
        );
    }

    #[test]
    fn calls() {
        check(
            "participant.roles.contains('finance')",
            &expect![[r#"
            18..26 "contains" rules have no methods or functions such as `contains`
                write `participant.roles contains 'finance'`
        "#]],
        );
        check(
            "a.b.startsWith('x')",
            &expect![[r#"
            4..14 "startsWith" rules have no methods or functions such as `startsWith`
                write `a.b like 'x*'`
        "#]],
        );
        check(
            "a.endsWith('x') and b = 1",
            &expect![[r#"
            2..10 "endsWith" rules have no methods or functions such as `endsWith`
                write `a like '*x'`
            22..23 "=" expected `==`, found `=`
                write `==`
        "#]],
        );
        check(
            "a.in(1, 2)",
            &expect![[r#"
            2..4 "in" rules have no methods or functions such as `in`
                write `a in [1, 2]`
        "#]],
        );
        check(
            "a.exists()",
            &expect![[r#"
            2..8 "exists" rules have no methods or functions such as `exists`
                write `a exists`
        "#]],
        );
        check(
            "not a.isNull()",
            &expect![[r#"
            6..12 "isNull" rules have no methods or functions such as `isNull`
                write `not a exists`
        "#]],
        );
        check(
            "now()",
            &expect![[r#"
            0..3 "now" rules have no methods or functions such as `now`
                compare attributes and values with the operators
        "#]],
        );
        check(
            "a == now()",
            &expect![[r#"
            8..9 "(" expected `and`, `or` or the end of the condition, found `(`
                join conditions with `and` or `or`
        "#]],
        );
        check(
            "a.b.size() > 3",
            &expect![[r#"
            4..8 "size" rules have no methods or functions such as `size`
                compare attributes and values with the operators
        "#]],
        );
        check(
            "contains(a, 'x')",
            &expect![[r#"
            0..8 "contains" expected a condition, found `contains`
                write the attribute before `contains`
        "#]],
        );
        check(
            "a.contains(",
            &expect![[r#"
            2..10 "contains" rules have no methods or functions such as `contains`
                compare attributes and values with the operators
        "#]],
        );
    }

    #[test]
    fn lists() {
        check(
            "a IN ('x', 'y')",
            &expect![[r#"
            5..6 "(" expected `[` after `in`, found `(`
                a list is written in brackets: `a in ['x', 'y']`
        "#]],
        );
        check(
            "a in (b.c) and d",
            &expect![[r#"
            5..6 "(" expected `[` after `in`, found `(`
                leave out the parentheses: `a in b.c`
        "#]],
        );
        check(
            "a in ()",
            &expect![[r#"
            5..6 "(" expected `[` after `in`, found `(`
                a list is written in brackets: `a in []`
        "#]],
        );
        check(
            "a in (",
            &expect![[r#"
            5..6 "(" expected `[` after `in`, found `(`
                a list is written in brackets: `a in []`
        "#]],
        );
        check(
            "['x'] contains a",
            &expect![[r#"
            0..1 "[" expected a condition, found `[`
                a list stands only after `in`: `x in ['a', 'b']`
        "#]],
        );
        check(
            "a contains ['x', 'y']",
            &expect![[r#"
            11..12 "[" expected a value after `contains`, found `[`
                write one `contains` for each value, joined with `and` or `or`
        "#]],
        );
        check(
            "a in ['x', b]",
            &expect![[r#"
            11..12 "b" expected a value in the list, found `b`
                a list holds strings, numbers, `true` and `false`; compare with an attribute by `==`
        "#]],
        );
        check(
            "a in ['x' 'y'] and c = 1",
            &expect![[r#"
            10..13 "'y'" expected `,` or `]`, found `'y'`
                -
            21..22 "=" expected `==`, found `=`
                write `==`
        "#]],
        );
        check(
            "a in ['x'",
            &expect![[r#"
            5..6 "[" this `[` is never closed
                add the closing `]`
        "#]],
        );
        check(
            "a in [,]",
            &expect![[r#"
            6..7 "," expected a value or `]`, found `,`
                -
        "#]],
        );
        check(
            "a in 'x', 'y'",
            &expect![[r#"
            8..9 "," expected `and`, `or` or the end of the condition, found `,`
                join conditions with `and` or `or`
        "#]],
        );
    }

    #[test]
    fn sides() {
        check(
            "== 5",
            &expect![[r#"
            0..2 "==" expected an attribute or a value before `==`
                write both sides of the comparison
        "#]],
        );
        check(
            "a ==",
            &expect![[r#"
            4..4 "" expected an attribute or a value after `==`, found the end of the rule
                -
        "#]],
        );
        check(
            "a == and b",
            &expect![[r#"
            5..8 "and" expected an attribute or a value after `==`, found `and`
                -
        "#]],
        );
        check(
            "a == 1 or",
            &expect![[r#"
            9..9 "" expected a condition, found the end of the rule
                -
        "#]],
        );
        check(
            "and a",
            &expect![[r#"
            0..3 "and" expected a condition, found `and`
                -
        "#]],
        );
        check(
            "a and or b",
            &expect![[r#"
            6..8 "or" expected a condition, found `or`
                -
        "#]],
        );
        check(
            "a == == b",
            &expect![[r#"
            5..7 "==" expected an attribute or a value after `==`, found `==`
                -
        "#]],
        );
        check(
            "'x'",
            &expect![[r#"
            0..3 "'x'" `'x'` alone is not a condition
                compare it with an attribute, such as `order.status == 'open'`
        "#]],
        );
        check(
            "true",
            &expect![[r#"
            0..4 "true" `true` alone is not a condition
                write the condition under which the rule holds
        "#]],
        );
        check(
            "not 5 and 'y'",
            &expect![[r#"
            4..5 "5" `5` alone is not a condition
                compare it with an attribute, such as `order.status == 'open'`
            10..13 "'y'" `'y'` alone is not a condition
                compare it with an attribute, such as `order.status == 'open'`
        "#]],
        );
        check(
            "'x' contains a.b",
            &expect![[r#"
            0..3 "'x'" expected an attribute before `contains`, found `'x'`
                write `a.b contains 'x'`
        "#]],
        );
        check(
            "'x' contains 'y'",
            &expect![[r#"
            0..3 "'x'" expected an attribute before `contains`, found `'x'`
                `contains` asks whether a set attribute has a value
        "#]],
        );
        check(
            "5 exists",
            &expect![[r#"
            0..1 "5" `5` always exists
                `exists` asks whether an attribute is there
        "#]],
        );
        check(
            "contains 'x'",
            &expect![[r#"
            0..8 "contains" expected a condition, found `contains`
                write the attribute before `contains`
        "#]],
        );
        check(
            "a like b",
            &expect![[r#"
            7..8 "b" expected a string after `like`, found `b`
                a pattern is a string in which `*` stands for any run of characters
        "#]],
        );
        check(
            "a like",
            &expect![[r#"
            6..6 "" expected a string after `like`, found the end of the rule
                a pattern is a string in which `*` stands for any run of characters
        "#]],
        );
        check(
            "a == (b)",
            &expect![[r#"
            5..6 "(" expected an attribute or a value after `==`, found `(`
                parentheses stand around whole conditions only
        "#]],
        );
        check(
            "(a) == b",
            &expect![[r#"
            4..6 "==" expected `and`, `or` or the end of the condition, found `==`
                parentheses stand around whole conditions only
        "#]],
        );
    }

    #[test]
    fn after_a_condition() {
        check(
            "a < b < c",
            &expect![[r#"
            6..7 "<" comparisons cannot be chained
                write `a < b and b < c`
        "#]],
        );
        check(
            "1 <= a.b <= 10 and c",
            &expect![[r#"
            9..11 "<=" comparisons cannot be chained
                write `1 <= a.b and a.b <= 10`
        "#]],
        );
        check(
            "a == b == ",
            &expect![[r#"
            7..9 "==" comparisons cannot be chained
                write `a == b and b == ..`
        "#]],
        );
        check(
            "a == 1 b == 2",
            &expect![[r#"
            7..8 "b" expected `and`, `or` or the end of the condition, found `b`
                join conditions with `and` or `or`
        "#]],
        );
        check(
            "a exists == true",
            &expect![[r#"
            9..11 "==" expected `and`, `or` or the end of the condition, found `==`
                parentheses stand around whole conditions only
        "#]],
        );
        check(
            "a - 1 > 2",
            &expect![[r#"
            2..3 "-" expected an operator after `a`, found `-`
                rules have no arithmetic; a name with other characters is written `["any name"]`
        "#]],
        );
        check(
            "a > 1 + 2",
            &expect![[r#"
            6..7 "+" expected `and`, `or` or the end of the condition, found `+`
                rules have no arithmetic; a name with other characters is written `["any name"]`
        "#]],
        );
        check(
            "a * 2 > 1",
            &expect![[r#"
            2..3 "*" expected an operator after `a`, found `*`
                rules have no arithmetic; a name with other characters is written `["any name"]`
        "#]],
        );
        check(
            "a == 1, b",
            &expect![[r#"
            6..7 "," expected `and`, `or` or the end of the condition, found `,`
                join conditions with `and` or `or`
        "#]],
        );
        check(
            "a == 1;",
            &expect![[r#"
            6..7 ";" expected `and`, `or` or the end of the condition, found `;`
                leave out the `;`
        "#]],
        );
        check(
            "a // why",
            &expect![[r#"
            2..4 "//" expected an operator after `a`, found `//`
                a rule has no comments
        "#]],
        );
        check(
            "a == 1 when b",
            &expect![[r#"
            7..11 "when" expected `and`, `or` or the end of the condition, found `when`
                a rule has one `when` or one `unless`; join conditions with `and`
        "#]],
        );
        check(
            "a == 1]",
            &expect![[r#"
            6..7 "]" expected `and`, `or` or the end of the condition, found `]`
                leave it out, or add the opening `[`
        "#]],
        );
        check(
            "a == b ? c : d",
            &expect![[r#"
            7..8 "?" expected `and`, `or` or the end of the condition, found `?`
                -
        "#]],
        );
    }

    #[test]
    fn parentheses() {
        check(
            "(a",
            &expect![[r#"
            0..1 "(" this `(` is never closed
                add the closing `)`
        "#]],
        );
        check(
            "(a and (b)",
            &expect![[r#"
            0..1 "(" this `(` is never closed
                add the closing `)`
        "#]],
        );
        check(
            "a)",
            &expect![[r#"
            1..2 ")" this `)` closes nothing
                leave it out, or add the opening `(`
        "#]],
        );
        check(
            "(a))",
            &expect![[r#"
            3..4 ")" this `)` closes nothing
                leave it out, or add the opening `(`
        "#]],
        );
        check(
            "()",
            &expect![[r#"
            1..2 ")" expected a condition, found `)`
                -
        "#]],
        );
        check(
            "a and ()",
            &expect![[r#"
            7..8 ")" expected a condition, found `)`
                -
        "#]],
        );
        check(
            "(a and b = ) or c =",
            &expect![[r#"
            9..10 "=" expected `==`, found `=`
                write `==`
            11..12 ")" expected an attribute or a value after `==`, found `)`
                -
            18..19 "=" expected `==`, found `=`
                write `==`
            19..19 "" expected an attribute or a value after `==`, found the end of the rule
                -
        "#]],
        );
        check(
            "(",
            &expect![[r#"
            1..1 "" expected a condition, found the end of the rule
                write a condition, such as `participant.roles contains 'finance'`
            0..1 "(" this `(` is never closed
                add the closing `)`
        "#]],
        );
        check(
            "((a) b)",
            &expect![[r#"
            5..6 "b" expected `and`, `or` or the end of the condition, found `b`
                join conditions with `and` or `or`
        "#]],
        );
    }

    #[test]
    fn nothing() {
        check(
            "",
            &expect![[r#"
            0..0 "" the rule is empty
                write a condition, such as `participant.roles contains 'finance'`
        "#]],
        );
        check(
            " 	 ",
            &expect![[r#"
            3..3 "" the rule is empty
                write a condition, such as `participant.roles contains 'finance'`
        "#]],
        );
    }

    #[test]
    fn several_at_once() {
        check(
            "a = 1 and b in (2) and c is null or exists(d)",
            &expect![[r#"
            2..3 "=" expected `==`, found `=`
                write `==`
            15..16 "(" expected `[` after `in`, found `(`
                a list is written in brackets: `b in [2]`
            25..27 "is" expected an operator after `c`, found `is`
                write `not c exists`
            36..42 "exists" `exists` comes after the attribute
                write `d exists`
        "#]],
        );
    }

    #[test]
    fn findings_are_bounded() {
        assert_eq!(parse(&vec!["a = 1"; 60].join(" and ")).unwrap_err().0.len(), 20);
    }
}
