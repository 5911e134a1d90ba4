//! The text form, cut into words.
//!
//! In: a rule's text. Out: [`Token`]s with byte ranges. Absent: the meaning of escapes (they depend on whether a string is
//! a pattern) and the refusal of foreign words, both the parser's, so that it can say what to write instead.

use super::token::{self, Token, TokenKind};
use crate::diagnostic::Diagnostic;
use crate::source::Span;

/// Cuts a text, no longer than the limit, into words.
///
/// # Errors
/// A string that is never closed: what follows cannot be told apart any more.
pub(super) fn lex(text: &str) -> Result<Vec<Token>, Diagnostic> {
    let mut cursor = Cursor { text, at: 0 };
    let mut tokens = Vec::new();
    loop {
        cursor.take_while(char::is_whitespace);
        let start = cursor.at;
        let Some(first) = cursor.peek() else { return Ok(tokens) };
        let kind = match first {
            '\'' => TokenKind::Quoted(cursor.string('\'')?),
            '"' => TokenKind::DoubleQuoted(cursor.string('"')?),
            '0'..='9' => cursor.number(),
            c if token::starts_identifier(c) => cursor.word(),
            _ => cursor.punct(),
        };
        tokens.push(Token::new(kind, span(start, cursor.at)));
    }
}

/// The span of a byte range; texts are far shorter than `u32::MAX`.
pub(super) fn span(start: usize, end: usize) -> Span {
    let at = |n| u32::try_from(n).unwrap_or(u32::MAX);
    Span::new(at(start), at(end))
}

struct Cursor<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Cursor<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn peek_second(&self) -> Option<char> {
        self.rest().chars().nth(1)
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let len = rest.find(|c| !keep(c)).unwrap_or(rest.len());
        self.at += len;
        rest.get(..len).unwrap_or_default()
    }

    fn word(&mut self) -> TokenKind {
        let word = self.take_while(token::continues_identifier);
        if word == "r" && self.peek() == Some('#') && self.peek_second().is_some_and(token::starts_identifier) {
            self.bump();
            return TokenKind::Name(self.take_while(token::continues_identifier).to_owned());
        }
        TokenKind::Word(word.to_owned())
    }

    /// Takes digits, a point with digits, and letters that touch them (`1e5`, `50_000`), which the parser refuses whole.
    fn number(&mut self) -> TokenKind {
        let start = self.at;
        self.take_while(token::continues_identifier);
        let point = self.peek() == Some('.') && self.peek_second().is_some_and(|c| c.is_ascii_digit());
        if point {
            self.bump();
            self.take_while(token::continues_identifier);
        }
        let text = self.text.get(start..self.at).unwrap_or_default().to_owned();
        if point { TokenKind::Decimal(text) } else { TokenKind::Integer(text) }
    }

    fn string(&mut self, quote: char) -> Result<String, Diagnostic> {
        let open = self.at;
        self.bump();
        let start = self.at;
        while let Some(c) = self.bump() {
            if c == quote {
                return Ok(self.text.get(start..self.at - 1).unwrap_or_default().to_owned());
            }
            if c == '\\' {
                self.bump();
            }
        }
        Err(Diagnostic::error("bad-string", span(open, open + 1), "this string is never closed")
            .with_help(format!("add the closing `{quote}`; a quote inside a string is written `\\{quote}`")))
    }

    fn punct(&mut self) -> TokenKind {
        match TokenKind::punct_prefix(self.rest()) {
            Some((kind, len)) => {
                self.at += len;
                kind
            }
            None => TokenKind::Other(String::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(input: &str, expect: &Expect) {
        let shown = match lex(input) {
            Ok(tokens) => tokens
                .iter()
                .map(|Token { kind, span }| format!("{}..{} {kind:?}\n", span.start, span.end))
                .collect::<Vec<_>>()
                .concat(),
            Err(error) => error.render(input),
        };
        expect.assert_eq(&shown);
    }

    #[test]
    fn words() {
        check(
            "participant.roles contains 'finance'",
            &expect![[r#"
            0..11 Word("participant")
            11..12 Dot
            12..17 Word("roles")
            18..26 Word("contains")
            27..36 Quoted("finance")
        "#]],
        );
        check(
            "entity.r#in r # größe_1",
            &expect![[r##"
            0..6 Word("entity")
            6..7 Dot
            7..11 Name("in")
            12..13 Word("r")
            14..15 Other("#")
            16..25 Word("größe_1")
        "##]],
        );
        check(
            r#"x["any name"] 'it\'s' ''"#,
            &expect![[r#"
            0..1 Word("x")
            1..2 OpenBracket
            2..12 DoubleQuoted("any name")
            12..13 CloseBracket
            14..21 Quoted("it\\'s")
            22..24 Quoted("")
        "#]],
        );
    }

    #[test]
    fn numbers() {
        check(
            "1 1.5 -1 1. 1.x 1e5 50_000 0x1F 1.5f",
            &expect![[r#"
            0..1 Integer("1")
            2..5 Decimal("1.5")
            6..7 Minus
            7..8 Integer("1")
            9..10 Integer("1")
            10..11 Dot
            12..13 Integer("1")
            13..14 Dot
            14..15 Word("x")
            16..19 Integer("1e5")
            20..26 Integer("50_000")
            27..31 Integer("0x1F")
            32..36 Decimal("1.5f")
        "#]],
        );
    }

    #[test]
    fn punctuation() {
        check(
            "==!=<=>= < > ()[],.-*",
            &expect![[r#"
            0..2 Compare(Eq)
            2..4 Compare(Ne)
            4..6 Compare(Le)
            6..8 Compare(Ge)
            9..10 Compare(Lt)
            11..12 Compare(Gt)
            13..14 OpenParen
            14..15 CloseParen
            15..16 OpenBracket
            16..17 CloseBracket
            17..18 Comma
            18..19 Dot
            19..20 Minus
            20..21 Star
        "#]],
        );
        check(
            "= === && || ! <> // ‘ \u{0} ;",
            &expect![[r#"
            0..1 Other("=")
            2..5 Other("===")
            6..8 Other("&&")
            9..11 Other("||")
            12..13 Other("!")
            14..16 Other("<>")
            17..19 Other("//")
            20..23 Other("‘")
            24..25 Other("\0")
            26..27 Other(";")
        "#]],
        );
    }

    #[test]
    fn unclosed() {
        check(
            "a == 'x",
            &expect![[r#"
            this string is never closed
              |
            1 | a == 'x
              |      ^
            help: add the closing `'`; a quote inside a string is written `\'`"#]],
        );
        check(
            "a == 'it's'",
            &expect![[r#"
            this string is never closed
              |
            1 | a == 'it's'
              |           ^
            help: add the closing `'`; a quote inside a string is written `\'`"#]],
        );
        check(
            r"a == '\'",
            &expect![[r#"
            this string is never closed
              |
            1 | a == '\'
              |      ^
            help: add the closing `'`; a quote inside a string is written `\'`"#]],
        );
        check(
            "a == \"x",
            &expect![[r#"
            this string is never closed
              |
            1 | a == "x
              |      ^
            help: add the closing `"`; a quote inside a string is written `\"`"#]],
        );
        check(
            r"'\",
            &expect![[r#"
            this string is never closed
              |
            1 | '\
              | ^
            help: add the closing `'`; a quote inside a string is written `\'`"#]],
        );
    }
}
