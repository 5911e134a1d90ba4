//! What a string says: escapes of the text form, and patterns of both forms.
//!
//! In: the string tokens. Out: texts and [`Pattern`]s, or a finding at the escape that is wrong. Absent: quotes, which the
//! lexer took off.

use super::ast::{Pattern, PatternPart};
use super::token::{Token, TokenKind};
use crate::diagnostic::Diagnostic;
use crate::source::Span;

/// Reads a string token as a text; `None` when the token is no string.
pub(super) fn text(token: &Token) -> Option<Result<String, Diagnostic>> {
    if let TokenKind::Text(text) = &token.kind {
        return Some(Ok(text.clone()));
    }
    let pieces = unescape(raw(token)?, token.span);
    Some(pieces.and_then(|pieces| {
        pieces.into_iter().map(|piece| if piece.starred { Err(star(piece.span)) } else { Ok(piece.c) }).collect()
    }))
}

/// Reads a string token as a pattern, where `*` is any run and `\*` a star; `None` when the token is no string.
///
/// In the token form Rust has unescaped the string already, and `\*` and `\\` are the pattern's own.
pub(super) fn pattern(token: &Token) -> Option<Result<Pattern, Diagnostic>> {
    let parts = if let TokenKind::Text(text) = &token.kind {
        rust_parts(text, token.span)
    } else {
        let part = |p: Piece| if p.c == '*' && !p.starred { PatternPart::AnyRun } else { PatternPart::Char(p.c) };
        unescape(raw(token)?, token.span).map(|pieces| pieces.into_iter().map(part).collect())
    };
    Some(parts.map(|parts| Pattern { parts, span: token.span }))
}

fn raw(token: &Token) -> Option<&str> {
    if let TokenKind::Quoted(raw) | TokenKind::DoubleQuoted(raw) = &token.kind { Some(raw) } else { None }
}

fn rust_parts(text: &str, span: Span) -> Result<Vec<PatternPart>, Diagnostic> {
    let mut chars = text.chars();
    let mut parts = Vec::new();
    while let Some(c) = chars.next() {
        parts.push(match c {
            '*' => PatternPart::AnyRun,
            '\\' => {
                let Some(c @ ('*' | '\\')) = chars.next() else {
                    let message = "a backslash in a pattern stands only before `*` and `\\`";
                    return Err(
                        bad(span, message).with_help("write `\\\\` for a backslash, in a raw string: `r\"..\"`")
                    );
                };
                PatternPart::Char(c)
            }
            c => PatternPart::Char(c),
        });
    }
    Ok(parts)
}

/// A character and how it was written.
struct Piece {
    c: char,
    /// Whether it was written `\*`.
    starred: bool,
    span: Span,
}

fn unescape(raw: &str, token: Span) -> Result<Vec<Piece>, Diagnostic> {
    // A token whose span is not made of bytes has one span for all its characters.
    let exact = usize::try_from(token.end.saturating_sub(token.start)) == Ok(raw.len() + 2);
    let span = |from: usize, to: usize| {
        let at = |n: usize| token.start + 1 + u32::try_from(n).unwrap_or_default();
        if exact { Span::new(at(from), at(to)) } else { token }
    };
    let mut chars = raw.char_indices();
    let mut pieces = Vec::new();
    while let Some((start, c)) = chars.next() {
        let mut starred = false;
        let c = if c == '\\' {
            match chars.next().map(|(_, c)| c) {
                Some(c @ ('\'' | '"' | '\\')) => c,
                Some('n') => '\n',
                Some('t') => '\t',
                Some('*') => {
                    starred = true;
                    '*'
                }
                Some('u') => match code_point(chars.as_str()) {
                    Some((c, len)) => {
                        chars.by_ref().take(len).for_each(drop);
                        c
                    }
                    None => {
                        return Err(bad(span(start, start + 2), "`\\u` needs a code point in braces")
                            .with_help("write one to six hexadecimal digits: `\\u{1f600}`"));
                    }
                },
                Some(other) => {
                    let message = format!("unknown escape `\\{}`", other.escape_debug());
                    return Err(bad(span(start, start + 1 + other.len_utf8()), message)
                        .with_help("write `\\\\` for a backslash; the escapes are `\\'`, `\\\"`, `\\\\`, `\\n`, `\\t` and `\\u{..}`"));
                }
                None => return Err(bad(token, "a string cannot end in a single backslash")),
            }
        } else {
            c
        };
        pieces.push(Piece { c, starred, span: span(start, raw.len() - chars.as_str().len()) });
    }
    Ok(pieces)
}

/// The code point in `{..}` at the start of a text, and how many characters it took.
fn code_point(rest: &str) -> Option<(char, usize)> {
    let (digits, _) = rest.strip_prefix('{')?.split_once('}')?;
    let good = (1..=6).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let c = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32).filter(|_| good)?;
    Some((c, digits.len() + 2))
}

fn star(span: Span) -> Diagnostic {
    bad(span, "`\\*` stands only in the pattern of a `like`").with_help("write `*`")
}

fn bad(span: Span, message: impl Into<String>) -> Diagnostic {
    Diagnostic::error("bad-string", span, message)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn token(raw: &str) -> Token {
        Token::new(TokenKind::Quoted(raw.into()), Span::new(0, u32::try_from(raw.len() + 2).unwrap()))
    }

    fn check(raw: &str, expect: &Expect) {
        let source = format!("'{raw}'");
        let text = match text(&token(raw)).unwrap() {
            Ok(text) => format!("text    {text:?}"),
            Err(error) => error.render(&source),
        };
        let pattern = match pattern(&token(raw)).unwrap() {
            Ok(pattern) => format!("pattern {:?}", shown(&pattern)),
            Err(error) => error.render(&source),
        };
        expect.assert_eq(&format!("{text}\n{pattern}\n"));
    }

    /// `%` for any run.
    fn shown(pattern: &Pattern) -> String {
        let parts = pattern.parts.iter();
        parts.map(|part| if let PatternPart::Char(c) = part { *c } else { '%' }).collect()
    }

    #[test]
    fn escapes() {
        check(
            r#"\'\"\\\n\t\u{1F600}\u{41}"#,
            &expect![[r#"
            text    "'\"\\\n\t😀A"
            pattern "'\"\\\n\t😀A"
        "#]],
        );
        check(
            "plain ünï \n",
            &expect![[r#"
            text    "plain ünï \n"
            pattern "plain ünï \n"
        "#]],
        );
        check(
            "",
            &expect![[r#"
            text    ""
            pattern ""
        "#]],
        );
    }

    #[test]
    fn patterns() {
        check(
            "a*b",
            &expect![[r#"
            text    "a*b"
            pattern "a%b"
        "#]],
        );
        check(
            r"a\*b",
            &expect![[r#"
            `\*` stands only in the pattern of a `like`
              |
            1 | 'a\*b'
              |   ^^
            help: write `*`
            pattern "a*b"
        "#]],
        );
        check(
            r"a\\*b",
            &expect![[r#"
            text    "a\\*b"
            pattern "a\\%b"
        "#]],
        );
    }

    #[test]
    fn bad_escapes() {
        let check = |raw: &str, message: &str, place: std::ops::Range<u32>| {
            let in_text = text(&token(raw)).unwrap().unwrap_err();
            assert_eq!((in_text.message.as_str(), in_text.span), (message, Span::new(place.start, place.end)), "{raw}");
            assert_eq!(pattern(&token(raw)).unwrap().unwrap_err(), in_text);
        };
        check(r"a\d", "unknown escape `\\d`", 2..4);
        check(r"ä\ß", "unknown escape `\\ß`", 3..6);
        for raw in [r"\u41", r"\u{}", r"\u{d800}", r"\u{0000041}", r"\u{+41}", r"\u{41"] {
            check(raw, "`\\u` needs a code point in braces", 1..3);
        }
    }

    #[test]
    fn rust_has_unescaped_its_own() {
        let check = |text: &str, value: &str, patterned: Option<&str>| {
            let token = Token::new(TokenKind::Text(text.into()), Span::new(3, 4));
            assert_eq!(super::text(&token).unwrap().unwrap(), value);
            let pattern = pattern(&token).unwrap();
            assert_eq!(pattern.as_ref().ok().map(shown).as_deref(), patterned);
            assert!(pattern.err().is_none_or(|error| error.span == Span::new(3, 4)));
        };
        check("a*b", "a*b", Some("a%b"));
        check(r"a\*b", r"a\*b", Some("a*b"));
        check(r"a\\b", r"a\\b", Some(r"a\b"));
        check(r"a\nb", r"a\nb", None);
        check(r"a\", r"a\", None);
    }
}
