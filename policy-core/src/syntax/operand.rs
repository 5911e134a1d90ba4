//! The sides of a predicate: attributes, constants and patterns.
//!
//! In: the parser's position. Out: operands, each with its span. Absent: operators and what joins predicates.

use super::LIMITS;
use super::ast::{Literal, LiteralKind, Operand, Path, Pattern, Segment};
use super::parser::Parser;
use super::text;
use super::token::{Keyword, Token, TokenKind, is_identifier};
use crate::diagnostic::Diagnostic;
use crate::source::Span;
use crate::value::Decimal;

impl Parser<'_> {
    /// Reads an attribute or a literal; the error says that `wanted` was expected, after the operator if one is given.
    pub(super) fn operand(&mut self, wanted: &str, after: &str) -> Result<Operand, Diagnostic> {
        let place = if after.is_empty() { String::new() } else { format!(" after `{after}`") };
        let missing = |parser: &Self| parser.no_operand(&format!("{wanted}{place}"), after);
        let Some(token) = self.peek() else { return Err(missing(self)) };
        match (&token.kind, token.kind.keyword()) {
            (TokenKind::Word(_), Some(Keyword::True | Keyword::False))
            | (
                TokenKind::Quoted(_)
                | TokenKind::DoubleQuoted(_)
                | TokenKind::Text(_)
                | TokenKind::Integer(_)
                | TokenKind::Decimal(_)
                | TokenKind::Minus,
                _,
            ) => Ok(Operand::Literal(self.literal(token)?)),
            (TokenKind::Word(_), None) | (TokenKind::Name(_), _) => Ok(Operand::Path(self.path()?)),
            (
                TokenKind::Word(_)
                | TokenKind::Compare(_)
                | TokenKind::OpenParen
                | TokenKind::CloseParen
                | TokenKind::OpenBracket
                | TokenKind::CloseBracket
                | TokenKind::Comma
                | TokenKind::Dot
                | TokenKind::Star
                | TokenKind::Other(_),
                _,
            ) => Err(missing(self)),
        }
    }

    /// Reads the literal that is one element of a list.
    pub(super) fn list_item(&mut self, first: bool) -> Result<Literal, Diagnostic> {
        if !first && let Some(Token { kind: TokenKind::CloseBracket, .. }) = self.peek() {
            return Err(self.expected("a value after `,`").with_help("leave out the last `,`"));
        }
        match self.operand(if first { "a value or `]`" } else { "a value after `,`" }, "")? {
            Operand::Literal(literal) => Ok(literal),
            Operand::Path(path) => {
                Err(Diagnostic::error("syntax", path.span, format!("expected a value in the list, found `{path}`"))
                    .with_help("a list holds strings, numbers, `true` and `false`; compare with an attribute by `==`"))
            }
        }
    }

    /// Reads the string after `like`.
    pub(super) fn pattern(&mut self) -> Result<Pattern, Diagnostic> {
        let Some(token) = self.peek() else { return Err(self.no_pattern()) };
        if let TokenKind::DoubleQuoted(raw) = &token.kind {
            return Err(double_quoted(raw, token.span));
        }
        let pattern = text::pattern(token).unwrap_or_else(|| Err(self.no_pattern()))?;
        self.at += 1;
        Ok(pattern)
    }

    fn no_pattern(&self) -> Diagnostic {
        self.expected("a string after `like`")
            .with_help("a pattern is a string in which `*` stands for any run of characters")
    }

    fn literal(&mut self, first: &Token) -> Result<Literal, Diagnostic> {
        if let TokenKind::DoubleQuoted(raw) = &first.kind {
            return Err(double_quoted(raw, first.span));
        }
        if let Some(text) = text::text(first) {
            self.at += 1;
            return Ok(Literal { kind: LiteralKind::Text(text?), span: first.span });
        }
        if let Some(keyword) = first.kind.keyword() {
            self.at += 1;
            return Ok(Literal { kind: LiteralKind::Bool(keyword == Keyword::True), span: first.span });
        }
        let minus = self.take(&TokenKind::Minus);
        let Some(Token { kind: kind @ (TokenKind::Integer(digits) | TokenKind::Decimal(digits)), span }) = self.peek()
        else {
            return Err(self
                .expected("a number after `-`")
                .with_help("rules have no arithmetic; `-` stands before a number"));
        };
        let number = if minus.is_some() { format!("-{digits}") } else { digits.clone() };
        let span = minus.map_or(*span, |minus| minus.to(*span));
        self.at += 1;
        let kind = if matches!(kind, TokenKind::Integer(_)) { integer(&number, span) } else { decimal(&number, span) };
        Ok(Literal { kind: kind?, span })
    }

    /// Reads a path that starts at the next word.
    pub(super) fn path(&mut self) -> Result<Path, Diagnostic> {
        let root = self.name("an attribute")?;
        if root.name.eq_ignore_ascii_case("null") && self.is_word_before(&root) && !self.goes_on() {
            return Err(Self::null(root.span));
        }
        let mut span = root.span;
        let mut segments = vec![root];
        loop {
            if self.take(&TokenKind::Dot).is_some() {
                let any = "a name that is no identifier is written `[\"any name\"]`";
                let segment = self.name("a name after `.`").map_err(|error| error.with_help(any))?;
                span = span.to(segment.span);
                segments.push(segment);
            } else if let Some(open) = self.take(&TokenKind::OpenBracket) {
                segments.push(self.any_name()?);
                let Some(close) = self.take(&TokenKind::CloseBracket) else {
                    return Err(if self.peek().is_none() {
                        Diagnostic::error("unbalanced", open, "this `[` is never closed")
                            .with_help("add the closing `]`")
                    } else {
                        self.expected("`]` after the name")
                    });
                };
                span = span.to(close);
            } else {
                return Ok(Path { segments, span });
            }
            if segments.len() > LIMITS.depth {
                let error = LIMITS.too_deep(span);
                self.stop(error.clone());
                return Err(error);
            }
        }
    }

    fn is_word_before(&self, root: &Segment) -> bool {
        let before = self.at.checked_sub(1).and_then(|n| self.tokens.get(n));
        before.is_some_and(|token| matches!(&token.kind, TokenKind::Word(word) if *word == root.name))
    }

    fn goes_on(&self) -> bool {
        self.peek().is_some_and(|token| matches!(token.kind, TokenKind::Dot | TokenKind::OpenBracket))
    }

    /// Reads an identifier; keywords are names like any other.
    pub(super) fn name(&mut self, wanted: &str) -> Result<Segment, Diagnostic> {
        match self.peek() {
            Some(Token { kind: TokenKind::Word(name) | TokenKind::Name(name), span }) if is_identifier(name) => {
                self.at += 1;
                Ok(Segment { name: name.clone(), span: *span })
            }
            Some(_) | None => Err(self.expected(wanted)),
        }
    }

    /// Reads the string in `["any name"]`; the text form takes either quotes here.
    fn any_name(&mut self) -> Result<Segment, Diagnostic> {
        let wanted = |parser: &Self| {
            parser
                .expected("a name in quotes after `[`")
                .with_help("rules have no indexes; a list is compared with `in`, a set asked with `contains`")
        };
        let Some(token) = self.peek() else { return Err(wanted(self)) };
        let name = text::text(token).unwrap_or_else(|| Err(wanted(self)))?;
        self.at += 1;
        Ok(Segment { name, span: token.span })
    }
}

fn integer(number: &str, span: Span) -> Result<LiteralKind, Diagnostic> {
    plain(number, span)?;
    number.parse().map(LiteralKind::Integer).map_err(|_| {
        bad_number(span, format!("`{}` does not fit 64 bits", short(number))).with_help(format!(
            "whole numbers go from {} to {}",
            i64::MIN,
            i64::MAX
        ))
    })
}

fn decimal(number: &str, span: Span) -> Result<LiteralKind, Diagnostic> {
    plain(number, span)?;
    if number.split_once('.').is_some_and(|(_, places)| places.len() > 4) {
        return Err(bad_number(span, format!("`{}` has more than four decimal places", short(number)))
            .with_help("round it to four places"));
    }
    number
        .parse::<Decimal>()
        .map(LiteralKind::Decimal)
        .map_err(|error| bad_number(span, format!("`{}` is not a decimal", short(number))).with_help(error.to_string()))
}

/// Refuses what is more than digits and a point.
fn plain(number: &str, span: Span) -> Result<(), Diagnostic> {
    let unsigned = number.strip_prefix('-').unwrap_or(number);
    if unsigned.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Ok(());
    }
    let error = bad_number(span, format!("`{}` is not a number", short(number)));
    let without: String = unsigned.chars().filter(|c| *c != '_').collect();
    Err(if without.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        error.with_help(format!("write `{}`: only Rust tokens have `_` in numbers", short(&without)))
    } else {
        error.with_help("write digits, and a point with up to four digits if need be")
    })
}

fn short(number: &str) -> String {
    let mut out: String = number.chars().take(40).collect();
    if out.len() < number.len() {
        out.push_str("...");
    }
    out
}

fn bad_number(span: Span, message: String) -> Diagnostic {
    Diagnostic::error("bad-number", span, message)
}

fn double_quoted(raw: &str, span: Span) -> Diagnostic {
    let help =
        if raw.len() <= 60 && !raw.contains('\'') { format!("write `'{raw}'`") } else { "write single quotes".into() };
    Diagnostic::error("bad-string", span, "a string has single quotes here").with_help(help)
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;

    use super::super::{parse, parse_tokens, shown};
    use super::*;

    /// Reads the operand on the right of a comparison, and writes it.
    fn check(operand: &str, canonical: &str) {
        let tree = parse(&format!("a == {operand}")).unwrap_or_else(|errors| panic!("{operand}: {errors}"));
        assert_eq!(tree.to_string(), format!("a == {canonical}"));
    }

    fn check_refused(topics: &[(&str, &[&str])]) {
        let found = topics.iter().map(|(topic, operands)| {
            let found = operands.iter().map(|operand| {
                let text = format!("a == {operand}");
                shown::findings(&text, &parse(&text).expect_err(operand))
            });
            format!("# {topic}\n\n{}", found.collect::<Vec<_>>().join("\n"))
        });
        expect_file!["../../tests/messages/operands.txt"].assert_eq(&found.collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn literals() {
        check("'finance'", "'finance'");
        check(r"'it\'s \u{41}'", r"'it\'s A'");
        check("TRUE", "true");
        check("false", "false");
        check("- 5", "-5");
        check("-9223372036854775808", "-9223372036854775808");
        check("007", "7");
        check("3.10", "3.1");
        check("-922337203685477.5808", "-922337203685477.5808");
    }

    #[test]
    fn paths() {
        check("order.customer.name", "order.customer.name");
        check("entity.in.Not.exists", "entity.in.Not.exists");
        check("entity.r#in", "entity.in");
        check("r#like.x", "r#like.x");
        check(
            r#"claims["any name"]['https://x.example/it\'s'].y["ok"]"#,
            r#"claims["any name"]["https://x.example/it's"].y.ok"#,
        );
        check("order . amount", "order.amount");
        check("null.x", "null.x");
    }

    #[test]
    fn refused() {
        check_refused(&[
            (
                "bad numbers",
                &[
                    "9223372036854775808",
                    "-9223372036854775809",
                    "0.00001",
                    "922337203685477.5808",
                    "50_000",
                    "1e5",
                    "0x1F",
                    "1.",
                    ".5",
                    "-x",
                    "--5",
                ],
            ),
            ("bad strings", &["\"finance\"", r"'a\d'", r"'a\*'", "‘finance’"]),
            (
                "bad paths",
                &[
                    "order.",
                    "order.1",
                    "order..x",
                    "order::x",
                    "order?.x",
                    "order[0]",
                    "order['x'",
                    "order['x' y]",
                    "null",
                ],
            ),
        ]);
    }

    #[test]
    fn rust_tokens() {
        let parsed = |kinds: Vec<TokenKind>| {
            let numbered = kinds.into_iter().zip(0u32..).map(|(kind, n)| Token::new(kind, Span::new(n, n + 1)));
            parse_tokens(&numbered.collect::<Vec<_>>())
        };
        let a_eq = || vec![TokenKind::word("a"), TokenKind::punct("==")];
        let with = |more: &[TokenKind]| parsed(a_eq().into_iter().chain(more.iter().cloned()).collect());
        assert_eq!(with(&[TokenKind::rust_number("50_000")]).unwrap().to_string(), "a == 50000");
        assert_eq!(with(&[TokenKind::Text(r"\d*".into())]).unwrap().to_string(), r"a == '\\d*'");
        let bad = with(&[TokenKind::Minus, TokenKind::rust_number("1e5")]).unwrap_err();
        assert_eq!(bad.0[0].span, Span::new(2, 4));
        let short = with(&[]).unwrap_err();
        assert_eq!(short.0[0].span, Span::new(1, 2), "the last word, since Rust has none after it");
    }
}
