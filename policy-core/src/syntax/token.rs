//! The words of the language, shared by both spellings.
//!
//! In: single words, from our lexer or from the Rust compiler through `policy-macros`. Out: [`Token`]s. Absent: which word
//! may stand where, and whether a [`TokenKind::Word`] is a keyword there; the parser knows.

use std::fmt;

use super::ast::CompareOp;
use crate::source::Span;

/// One word with its place.
///
/// ```
/// use policy_core::source::Span;
/// use policy_core::syntax::token::{Token, TokenKind};
/// let dot = Token::new(TokenKind::punct("."), Span::new(5, 6));
/// assert_eq!(dot.kind, TokenKind::Dot);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the macro crate makes them")]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Bytes of the text, or the token's number and the next for Rust tokens.
    pub span: Span,
}

impl Token {
    /// Makes a token.
    pub const fn new(kind: TokenKind, span: Span) -> Self {
        Self { kind, span }
    }
}

/// What a word is.
///
/// ```
/// use policy_core::syntax::token::TokenKind;
/// assert_eq!(TokenKind::word("r#in"), TokenKind::Name("in".into()));
/// assert_eq!(TokenKind::rust_number("50_000"), TokenKind::Integer("50000".into()));
/// assert_eq!(TokenKind::punct("=="), TokenKind::joined('=', '=').unwrap());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the parser must decide about every word")]
pub enum TokenKind {
    /// An identifier as written; a keyword where the grammar has one.
    Word(String),
    /// An identifier that is never a keyword: `r#in`, without its prefix.
    Name(String),
    /// A string in single quotes in the text form: what stands between them, escapes not yet read.
    Quoted(String),
    /// A string in double quotes in the text form: what stands between them, escapes not yet read.
    DoubleQuoted(String),
    /// A string in the token form, as Rust has unescaped it.
    Text(String),
    /// A whole number without its sign: digits, or something the parser will refuse, such as `0x10`.
    Integer(String),
    /// A number with a point, without its sign.
    Decimal(String),
    /// `==`, `!=`, `<`, `<=`, `>` or `>=`
    Compare(CompareOp),
    /// `(`
    OpenParen,
    /// `)`
    CloseParen,
    /// `[`
    OpenBracket,
    /// `]`
    CloseBracket,
    /// `,`
    Comma,
    /// `.`
    Dot,
    /// `-`
    Minus,
    /// `*`, which only the target of a rule has.
    Star,
    /// Anything else, as written; the parser says what to write instead.
    Other(String),
}

/// What people write who think of another language; one word each, so that the message shows the whole of it.
const FOREIGN: [&str; 14] = ["===", "!==", "&&", "||", "<>", "=>", "=<", "::", "?.", "..", "->", "//", "/*", ":="];

impl TokenKind {
    /// Makes a word of an identifier; `r#` makes it a name that is never a keyword.
    pub fn word(text: &str) -> Self {
        text.strip_prefix("r#").map_or_else(|| Self::Word(text.to_owned()), |name| Self::Name(name.to_owned()))
    }

    /// Makes a number of a Rust literal, with `_` taken out.
    pub fn rust_number(text: &str) -> Self {
        let digits: String = text.chars().filter(|c| *c != '_').collect();
        if digits.contains('.') { Self::Decimal(digits) } else { Self::Integer(digits) }
    }

    /// Makes the word for a whole piece of punctuation; what the language does not have becomes [`TokenKind::Other`].
    pub fn punct(text: &str) -> Self {
        match text {
            "==" => Self::Compare(CompareOp::Eq),
            "!=" => Self::Compare(CompareOp::Ne),
            "<" => Self::Compare(CompareOp::Lt),
            "<=" => Self::Compare(CompareOp::Le),
            ">" => Self::Compare(CompareOp::Gt),
            ">=" => Self::Compare(CompareOp::Ge),
            "(" => Self::OpenParen,
            ")" => Self::CloseParen,
            "[" => Self::OpenBracket,
            "]" => Self::CloseBracket,
            "," => Self::Comma,
            "." => Self::Dot,
            "-" => Self::Minus,
            "*" => Self::Star,
            other => Self::Other(other.to_owned()),
        }
    }

    /// Makes one word of two characters of punctuation that Rust gives one by one, if they belong together.
    pub fn joined(first: char, second: char) -> Option<Self> {
        let text: String = [first, second].into_iter().collect();
        let joined = matches!(text.as_str(), "==" | "!=" | "<=" | ">=") || FOREIGN.contains(&text.as_str());
        joined.then(|| Self::punct(&text))
    }

    /// Takes the longest piece of punctuation from the start of `rest`; one character at least.
    pub(super) fn punct_prefix(rest: &str) -> Option<(Self, usize)> {
        let known = FOREIGN.iter().chain(&["==", "!=", "<=", ">="]);
        let longest = known.filter(|text| rest.starts_with(**text)).max_by_key(|text| text.len());
        let len = longest.map_or_else(|| rest.chars().next().map(char::len_utf8), |text| Some(text.len()))?;
        rest.get(..len).map(|text| (Self::punct(text), len))
    }

    /// How many bytes the word has in the text form, quotes and escapes aside.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Word(text)
            | Self::Name(text)
            | Self::Quoted(text)
            | Self::DoubleQuoted(text)
            | Self::Text(text)
            | Self::Integer(text)
            | Self::Decimal(text)
            | Self::Other(text) => text.len().max(1),
            Self::Compare(op) => op.as_str().len(),
            Self::OpenParen
            | Self::CloseParen
            | Self::OpenBracket
            | Self::CloseBracket
            | Self::Comma
            | Self::Dot
            | Self::Minus
            | Self::Star => 1,
        }
    }

    /// The keyword that this word is where a keyword may stand.
    pub(super) fn keyword(&self) -> Option<Keyword> {
        if let Self::Word(text) = self { Keyword::of(text) } else { None }
    }
}

impl fmt::Display for TokenKind {
    /// Writes the word as the user did; a long string is cut.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(text) => f.write_str(text),
            Self::Name(text) => write!(f, "r#{text}"),
            Self::Quoted(raw) => write!(f, "'{}'", cut(raw)),
            Self::DoubleQuoted(raw) => write!(f, "\"{}\"", cut(raw)),
            Self::Text(text) => write!(f, "\"{}\"", visible(text, &['"', '\\'])),
            Self::Integer(text) | Self::Decimal(text) => f.write_str(&cut(text)),
            Self::Compare(op) => f.write_str(op.as_str()),
            Self::OpenParen => f.write_str("("),
            Self::CloseParen => f.write_str(")"),
            Self::OpenBracket => f.write_str("["),
            Self::CloseBracket => f.write_str("]"),
            Self::Comma => f.write_str(","),
            Self::Dot => f.write_str("."),
            Self::Minus => f.write_str("-"),
            Self::Star => f.write_str("*"),
            Self::Other(text) => f.write_str(&visible(text, &[])),
        }
    }
}

/// Cuts a text, and escapes what cannot be seen, with `also`.
fn visible(text: &str, also: &[char]) -> String {
    let escape = |c: char| {
        if matches!(c, '\'' | '"' | '\\') && !also.contains(&c) { c.to_string() } else { c.escape_debug().to_string() }
    };
    cut(text).chars().map(escape).collect()
}

fn cut(text: &str) -> String {
    let mut out: String = text.chars().take(40).collect();
    if out.len() < text.len() {
        out.push_str("...");
    }
    out
}

/// The words with a meaning of their own, in any case of letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keyword {
    And,
    Or,
    Not,
    Contains,
    In,
    Like,
    Exists,
    True,
    False,
}

impl Keyword {
    pub(super) const ALL: [(&'static str, Self); 9] = [
        ("and", Self::And),
        ("or", Self::Or),
        ("not", Self::Not),
        ("contains", Self::Contains),
        ("in", Self::In),
        ("like", Self::Like),
        ("exists", Self::Exists),
        ("true", Self::True),
        ("false", Self::False),
    ];

    pub(super) fn of(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)).map(|(_, keyword)| *keyword)
    }
}

/// Whether a text can be written as an identifier, as Rust defines them.
pub(super) fn is_identifier(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(starts_identifier) && chars.all(continues_identifier)
}

pub(super) fn starts_identifier(c: char) -> bool {
    c == '_' || unicode_ident::is_xid_start(c)
}

pub(super) fn continues_identifier(c: char) -> bool {
    unicode_ident::is_xid_continue(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: &TokenKind, shown: &str) {
        assert_eq!(kind.to_string(), shown);
    }

    #[test]
    fn a_word_is_shown_as_written() {
        for text in ["==", "!=", "<", "<=", ">", ">=", "(", ")", "[", "]", ",", ".", "-", "*", "&&", "=", "!"] {
            check(&TokenKind::punct(text), text);
        }
        check(&TokenKind::word("Contains"), "Contains");
        check(&TokenKind::word("r#in"), "r#in");
        check(&TokenKind::Quoted(r"it\'s".into()), r"'it\'s'");
        check(&TokenKind::Text("a\"b's".into()), r#""a\"b's""#);
        check(&TokenKind::Other("'x'".into()), "'x'");
        check(&TokenKind::Quoted("x".repeat(50)), &format!("'{}...'", "x".repeat(40)));
        check(&TokenKind::Other("\u{200b}".into()), r"\u{200b}");
    }

    #[test]
    fn keywords_have_any_case_and_names_none() {
        assert_eq!(TokenKind::word("AND").keyword(), Some(Keyword::And));
        assert_eq!(TokenKind::word("Exists").keyword(), Some(Keyword::Exists));
        assert_eq!(TokenKind::word("r#in").keyword(), None);
        assert_eq!(TokenKind::word("order").keyword(), None);
    }

    #[test]
    fn two_characters_join_only_where_they_are_one_word() {
        assert_eq!(TokenKind::joined('<', '='), Some(TokenKind::Compare(CompareOp::Le)));
        assert_eq!(TokenKind::joined('&', '&'), Some(TokenKind::Other("&&".into())));
        assert_eq!(TokenKind::joined('<', '-'), None);
        assert_eq!(TokenKind::joined('=', '-'), None);
    }

    #[test]
    fn rust_numbers() {
        assert_eq!(TokenKind::rust_number("1_000.50"), TokenKind::Decimal("1000.50".into()));
        assert_eq!(TokenKind::rust_number("0x10"), TokenKind::Integer("0x10".into()));
    }

    #[test]
    fn identifiers() {
        for (text, is) in
            [("a", true), ("_", true), ("größe", true), ("a1", true), ("1a", false), ("a-b", false), ("", false)]
        {
            assert_eq!(is_identifier(text), is, "{text}");
        }
    }
}
