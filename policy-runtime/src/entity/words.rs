//! The small query string of Kinotic's clients: `status:open AND amount:[10 TO 20]`.
//!
//! In: text. Out: [`Words`], and a condition once the fields' kinds are known. Absent: rows. The form is the part of Lucene's
//! that says which rows; scores, fuzziness and `?` are refused by name.

use policy_core::kind::{Field, Kind, RecordType};
use policy_core::source::Span;
use policy_core::syntax::ast::{
    CompareOp, Expr, ExprKind, Literal, LiteralKind, Operand, Path, Pattern, PatternPart, Segment,
};

use super::error::EntityError;
use super::query::within;

/// The longest text.
const LENGTH: usize = 10_000;
/// The deepest nesting.
const DEPTH: usize = 32;

/// A query string, read.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Words {
    Everything,
    And(Vec<Self>),
    Or(Vec<Self>),
    Not(Box<Self>),
    /// A word anywhere.
    Any(Word),
    /// A field and what it must be.
    Field(String, Wanted),
}

/// A word: with quotes it is only itself.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Word {
    parts: Vec<PatternPart>,
    quoted: bool,
}

impl Word {
    fn text(&self) -> String {
        let character = |part: &PatternPart| match part {
            PatternPart::Char(c) => *c,
            PatternPart::AnyRun => '*',
        };
        self.parts.iter().map(character).collect()
    }

    fn is_pattern(&self) -> bool {
        self.parts.contains(&PatternPart::AnyRun)
    }

    fn is_star(&self) -> bool {
        self.parts == [PatternPart::AnyRun]
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Wanted {
    Word(Word),
    Order(CompareOp, Word),
    /// The ends, each with whether it counts; `None` is open.
    Range(Option<(Word, bool)>, Option<(Word, bool)>),
}

/// Reads a pattern: `*` is any run, and a backslash makes the next character itself.
pub(super) fn pattern(text: &str) -> Vec<PatternPart> {
    let mut chars = text.chars();
    let mut out = Vec::new();
    while let Some(c) = chars.next() {
        out.push(match c {
            '*' => PatternPart::AnyRun,
            '\\' => PatternPart::Char(chars.next().unwrap_or('\\')),
            c => PatternPart::Char(c),
        });
    }
    out
}

fn wrong(why: impl Into<String>) -> EntityError {
    EntityError::Query(why.into())
}

/// Reads a query string.
pub(super) fn parse(text: &str) -> Result<Words, EntityError> {
    if text.len() > LENGTH {
        return Err(wrong(format!("a query has at most {LENGTH} bytes")));
    }
    if text.trim().is_empty() {
        return Ok(Words::Everything);
    }
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens: tokens.into_iter().peekable() };
    let words = parser.or(DEPTH)?;
    match parser.tokens.next() {
        None => Ok(words),
        Some(token) => Err(wrong(format!("`{token}` is not expected here"))),
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Open,
    Close,
    And,
    Or,
    Not,
    Must,
    Colon,
    Compare(CompareOp),
    /// `[` or `{`: whether the end counts.
    From(bool),
    Until(bool),
    To,
    Word(Word),
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Open => f.write_str("("),
            Self::Close => f.write_str(")"),
            Self::And => f.write_str("AND"),
            Self::Or => f.write_str("OR"),
            Self::Not => f.write_str("NOT"),
            Self::Must => f.write_str("+"),
            Self::Colon => f.write_str(":"),
            Self::Compare(op) => f.write_str(op.as_str()),
            Self::From(counts) => f.write_str(if *counts { "[" } else { "{" }),
            Self::Until(counts) => f.write_str(if *counts { "]" } else { "}" }),
            Self::To => f.write_str("TO"),
            Self::Word(word) => f.write_str(&word.text()),
        }
    }
}

fn meaningless(c: char) -> EntityError {
    wrong(format!("`{c}` has no meaning here; write `\\{c}` or quotes for the character"))
}

fn tokens(text: &str) -> Result<Vec<Token>, EntityError> {
    let mut chars = text.chars().peekable();
    let mut out: Vec<Token> = Vec::new();
    // Within a range a minus belongs to a number.
    let mut in_range = false;
    while let Some(c) = chars.next() {
        let mut followed = |by: char| chars.next_if_eq(&by).is_some();
        let after_colon = matches!(out.last(), Some(Token::Colon | Token::Compare(_)));
        let token = match c {
            c if c.is_whitespace() => continue,
            '(' => Token::Open,
            ')' => Token::Close,
            ':' => Token::Colon,
            '[' | '{' => {
                in_range = true;
                Token::From(c == '[')
            }
            ']' | '}' => {
                in_range = false;
                Token::Until(c == ']')
            }
            '>' if after_colon => Token::Compare(if followed('=') { CompareOp::Ge } else { CompareOp::Gt }),
            '<' if after_colon => Token::Compare(if followed('=') { CompareOp::Le } else { CompareOp::Lt }),
            '&' if followed('&') => Token::And,
            '|' if followed('|') => Token::Or,
            '!' => Token::Not,
            '+' => Token::Must,
            '-' if !in_range && !after_colon => Token::Not,
            '^' | '~' | '?' | '/' => {
                return Err(meaningless(c));
            }
            '"' => {
                let mut parts = Vec::new();
                loop {
                    match chars.next() {
                        Some('"') => break,
                        Some('\\') => parts.extend(chars.next().map(PatternPart::Char)),
                        Some(c) => parts.push(PatternPart::Char(c)),
                        None => return Err(wrong("a quote is not closed")),
                    }
                }
                Token::Word(Word { parts, quoted: true })
            }
            first => {
                let mut raw = String::from(first);
                if first == '\\' {
                    raw.extend(chars.next());
                }
                // An instant has colons; a field's name ends at one.
                let value = after_colon || in_range;
                while let Some(&c) = chars.peek() {
                    let ends = c.is_whitespace() || "()[]{}\"".contains(c) || (c == ':' && !value);
                    if ends {
                        break;
                    }
                    if matches!(c, '^' | '~' | '?') {
                        return Err(meaningless(c));
                    }
                    raw.push(c);
                    chars.next();
                    if c == '\\' {
                        raw.extend(chars.next());
                    }
                }
                match raw.as_str() {
                    "AND" => Token::And,
                    "OR" => Token::Or,
                    "NOT" => Token::Not,
                    "TO" if in_range => Token::To,
                    raw => Token::Word(Word { parts: pattern(raw), quoted: false }),
                }
            }
        };
        out.push(token);
    }
    Ok(out)
}

struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
}

impl Parser {
    fn or(&mut self, depth: usize) -> Result<Words, EntityError> {
        let mut any = vec![self.and(depth)?];
        while self.tokens.next_if_eq(&Token::Or).is_some() {
            any.push(self.and(depth)?);
        }
        Ok(if any.len() > 1 { Words::Or(any) } else { any.pop().unwrap_or(Words::Everything) })
    }

    fn and(&mut self, depth: usize) -> Result<Words, EntityError> {
        let mut all = vec![self.not(depth)?];
        loop {
            let joined = self.tokens.next_if_eq(&Token::And).is_some();
            match self.tokens.peek() {
                None | Some(Token::Or | Token::Close) if !joined => break,
                _ => all.push(self.not(depth)?),
            }
        }
        Ok(if all.len() > 1 { Words::And(all) } else { all.pop().unwrap_or(Words::Everything) })
    }

    fn not(&mut self, depth: usize) -> Result<Words, EntityError> {
        let depth = depth.checked_sub(1).ok_or_else(|| wrong(format!("a query is nested at most {DEPTH} deep")))?;
        if self.tokens.next_if_eq(&Token::Not).is_some() {
            return Ok(Words::Not(Box::new(self.not(depth)?)));
        }
        let _ = self.tokens.next_if_eq(&Token::Must);
        match self.tokens.next() {
            Some(Token::Open) => {
                let inner = self.or(depth)?;
                self.close()?;
                Ok(inner)
            }
            Some(Token::Word(word)) if self.tokens.next_if_eq(&Token::Colon).is_some() => self.field(&word, depth),
            Some(Token::Word(word)) if word.is_star() => Ok(Words::Everything),
            Some(Token::Word(word)) => Ok(Words::Any(word)),
            Some(token) => Err(wrong(format!("`{token}` is not expected here"))),
            None => Err(wrong("the query ends where a condition is expected")),
        }
    }

    fn close(&mut self) -> Result<(), EntityError> {
        match self.tokens.next() {
            Some(Token::Close) => Ok(()),
            Some(token) => Err(wrong(format!("`{token}` stands where `)` is expected"))),
            None => Err(wrong("a parenthesis is not closed")),
        }
    }

    fn field(&mut self, name: &Word, depth: usize) -> Result<Words, EntityError> {
        let name = name.text();
        match self.tokens.next() {
            // `tags:(red OR blue)`
            Some(Token::Open) => {
                let inner = self.or(depth)?;
                self.close()?;
                of_field(&name, inner)
            }
            Some(Token::Compare(op)) => match self.tokens.next() {
                Some(Token::Word(word)) => Ok(Words::Field(name, Wanted::Order(op, word))),
                _ => Err(wrong(format!("`{name}:{}` is followed by a value", op.as_str()))),
            },
            Some(Token::From(counts)) => {
                let from = self.end(counts)?;
                if self.tokens.next() != Some(Token::To) {
                    return Err(wrong("a range is written `[from TO to]`"));
                }
                let until = self.end(true)?;
                match self.tokens.next() {
                    Some(Token::Until(counts)) => {
                        Ok(Words::Field(name, Wanted::Range(from, until.map(|(word, _)| (word, counts)))))
                    }
                    _ => Err(wrong("a range is not closed")),
                }
            }
            Some(Token::Word(word)) if name == "*" && word.is_star() => Ok(Words::Everything),
            Some(Token::Word(word)) if name == "_exists_" => {
                Ok(Words::Field(word.text(), Wanted::Word(Word { parts: vec![PatternPart::AnyRun], quoted: false })))
            }
            Some(Token::Word(word)) => Ok(Words::Field(name, Wanted::Word(word))),
            Some(token) => Err(wrong(format!("`{token}` stands where a value of `{name}` is expected"))),
            None => Err(wrong(format!("`{name}:` is followed by a value"))),
        }
    }

    fn end(&mut self, counts: bool) -> Result<Option<(Word, bool)>, EntityError> {
        match self.tokens.next() {
            Some(Token::Word(word)) if word.is_star() => Ok(None),
            Some(Token::Word(word)) => Ok(Some((word, counts))),
            _ => Err(wrong("a range is written `[from TO to]`, with `*` for an open end")),
        }
    }
}

/// What stands in parentheses behind a field is all of this field.
fn of_field(name: &str, inner: Words) -> Result<Words, EntityError> {
    let each = |items: Vec<Words>| items.into_iter().map(|item| of_field(name, item)).collect::<Result<Vec<_>, _>>();
    Ok(match inner {
        Words::Any(word) => Words::Field(name.to_owned(), Wanted::Word(word)),
        Words::And(all) => Words::And(each(all)?),
        Words::Or(any) => Words::Or(each(any)?),
        Words::Not(inner) => Words::Not(Box::new(of_field(name, *inner)?)),
        Words::Everything | Words::Field(..) => {
            return Err(wrong(format!("behind `{name}:` stand values of this field")));
        }
    })
}

fn expr(kind: ExprKind) -> Expr {
    Expr::new(Span::default(), kind)
}

impl Words {
    /// The condition on an entity of these fields; `None` for every row.
    pub(super) fn expr(&self, record: &RecordType) -> Result<Option<Expr>, EntityError> {
        Ok(match self {
            Self::Everything => None,
            Self::And(all) => {
                let all: Vec<Option<Expr>> = all.iter().map(|one| one.expr(record)).collect::<Result<_, _>>()?;
                Expr::and(all.into_iter().flatten().collect())
            }
            Self::Or(any) => {
                let any: Vec<Option<Expr>> = any.iter().map(|one| one.expr(record)).collect::<Result<_, _>>()?;
                any.into_iter().collect::<Option<Vec<Expr>>>().and_then(Expr::or)
            }
            Self::Not(inner) => match inner.expr(record)? {
                Some(inner) => Some(expr(ExprKind::Not(Box::new(inner)))),
                None => return Err(wrong("`NOT *` asks for no row")),
            },
            Self::Any(word) => Some(anywhere(word, record)?),
            Self::Field(name, wanted) => Some(of(name, wanted, record)?),
        })
    }
}

fn anywhere(word: &Word, record: &RecordType) -> Result<Expr, EntityError> {
    let parts = if word.is_pattern() { word.parts.clone() } else { within(&word.text()) };
    let any: Vec<Expr> = record
        .fields
        .iter()
        .filter(|field| !field.secret)
        .filter_map(|field| {
            let value = Operand::Path(path(&field.name));
            match &field.ty.kind {
                Kind::Text => {
                    let pattern = Pattern { parts: parts.clone(), span: Span::default() };
                    Some(expr(ExprKind::Like { value, pattern }))
                }
                Kind::Set(item) if **item == Kind::Text && !word.is_pattern() => {
                    Some(expr(ExprKind::Contains { set: value, item: Operand::Literal(text(word.text())) }))
                }
                Kind::Bool
                | Kind::Long
                | Kind::Decimal
                | Kind::Uuid
                | Kind::Enum(_)
                | Kind::Datetime
                | Kind::Ip
                | Kind::Set(_)
                | Kind::Record(_) => None,
            }
        })
        .collect();
    Expr::or(any).ok_or_else(|| wrong("there is no text to look for a word in; name a field"))
}

fn of(name: &str, wanted: &Wanted, record: &RecordType) -> Result<Expr, EntityError> {
    let path = path(name);
    let kind = find(record, name).map(|field| field.ty.kind.clone());
    let side = || Operand::Path(path.clone());
    let (item, set) = match &kind {
        Some(Kind::Set(item)) => (Some((**item).clone()), true),
        other => (other.clone(), false),
    };
    let value = |word: &Word| Ok::<_, EntityError>(Operand::Literal(literal(word, item.as_ref(), name)?));
    let compare =
        |op, word: &Word| Ok::<_, EntityError>(expr(ExprKind::Compare { op, left: side(), right: value(word)? }));
    match wanted {
        Wanted::Word(word) if word.is_star() && !word.quoted => Ok(expr(ExprKind::Exists(path))),
        Wanted::Word(word) if word.is_pattern() => {
            let pattern = Pattern { parts: word.parts.clone(), span: Span::default() };
            Ok(expr(ExprKind::Like { value: side(), pattern }))
        }
        Wanted::Word(word) if set => Ok(expr(ExprKind::Contains { set: side(), item: value(word)? })),
        Wanted::Word(word) => compare(CompareOp::Eq, word),
        Wanted::Order(op, word) => compare(*op, word),
        Wanted::Range(from, until) => {
            let mut all = Vec::new();
            if let Some((word, counts)) = from {
                all.push(compare(if *counts { CompareOp::Ge } else { CompareOp::Gt }, word)?);
            }
            if let Some((word, counts)) = until {
                all.push(compare(if *counts { CompareOp::Le } else { CompareOp::Lt }, word)?);
            }
            Ok(Expr::and(all).unwrap_or_else(|| expr(ExprKind::Exists(path.clone()))))
        }
    }
}

fn path(field: &str) -> Path {
    let segment = |name: &str| Segment { name: name.to_owned(), span: Span::default() };
    Path { segments: std::iter::once("entity").chain(field.split('.')).map(segment).collect(), span: Span::default() }
}

fn find<'r>(record: &'r RecordType, name: &str) -> Option<&'r Field> {
    let (first, rest) = name.split_once('.').map_or((name, None), |(first, rest)| (first, Some(rest)));
    let (_, field) = record.field(first)?;
    match (rest, &field.ty.kind) {
        (None, _) => Some(field),
        (Some(rest), Kind::Record(inner)) => find(inner, rest),
        (Some(_), _) => None,
    }
}

fn text(text: String) -> Literal {
    Literal { kind: LiteralKind::Text(text), span: Span::default() }
}

fn literal(word: &Word, kind: Option<&Kind>, name: &str) -> Result<Literal, EntityError> {
    let text = word.text();
    let bad = |what: &str| wrong(format!("`{name}` is compared with {what}"));
    let kind = match kind {
        Some(Kind::Bool) => LiteralKind::Bool(text.parse().map_err(|_| bad("`true` or `false`"))?),
        Some(Kind::Long) => LiteralKind::Integer(text.parse().map_err(|_| bad("a whole number"))?),
        Some(Kind::Decimal) if text.contains('.') => {
            LiteralKind::Decimal(text.parse().map_err(|_| bad("a number of at most four places"))?)
        }
        Some(Kind::Decimal) => LiteralKind::Integer(text.parse().map_err(|_| bad("a number"))?),
        Some(Kind::Text | Kind::Uuid | Kind::Enum(_) | Kind::Datetime | Kind::Ip | Kind::Set(_) | Kind::Record(_))
        | None => LiteralKind::Text(text),
    };
    Ok(Literal { kind, span: Span::default() })
}

#[cfg(test)]
mod tests {
    use policy_core::contract::{AttributeValue, field, record};

    use super::*;

    fn photo() -> RecordType {
        let f = |name: &str, ty| field(name, name, ty, false);
        let described = record(
            "Photo",
            [
                f("title", String::describe()),
                f("note", Option::<String>::describe()),
                f("size", i64::describe()),
                f("tags", Vec::<String>::describe()),
                f("open", bool::describe()),
                f("at", Option::<std::net::IpAddr>::describe()),
            ],
        );
        let Kind::Record(record) = described.kind else { panic!("a record") };
        (*record).clone()
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let found = match parse(text).and_then(|words| words.expr(&photo())) {
            Ok(Some(expr)) => policy_core::syntax::format(&expr),
            Ok(None) => "all".to_owned(),
            Err(error) => format!("error: {error}"),
        };
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn words_become_conditions_of_the_language() {
        check("", "all");
        check("*:*", "all");
        check("*", "all");
        check("title:sunset", "entity.title == 'sunset'");
        check("title:\"at sea\" AND size:>=10", "entity.title == 'at sea' and entity.size >= 10");
        check("title:sun* OR note:*", "entity.title like 'sun*' or entity.note exists");
        check("size:[10 TO -3}", "entity.size >= 10 and entity.size < -3");
        check("size:{* TO 5]", "entity.size <= 5");
        check("tags:red", "entity.tags contains 'red'");
        check(
            "tags:(red OR blue) -open:true",
            "(entity.tags contains 'red' or entity.tags contains 'blue') and not entity.open == true",
        );
        check("NOT title:a AND title:b", "not entity.title == 'a' and entity.title == 'b'");
        check("+title:a +title:b", "entity.title == 'a' and entity.title == 'b'");
        check("sea", "entity.title like '*sea*' or entity.note like '*sea*' or entity.tags contains 'sea'");
        check("title:100%_\\*", "entity.title == '100%_*'");
        check("title:'; OR note:--", "entity.title == '\\';' or entity.note == '--'");
        check("_exists_:note", "entity.note exists");
    }

    #[test]
    fn what_is_no_query_is_said() {
        check("title:", "error: `title:` is followed by a value");
        check("(title:a", "error: a parenthesis is not closed");
        check("title:a)", "error: `)` is not expected here");
        check("title:\"a", "error: a quote is not closed");
        check("AND", "error: `AND` is not expected here");
        check("size:[1 2]", "error: a range is written `[from TO to]`");
        check("size:many", "error: `size` is compared with a whole number");
        check("title~2", "error: `~` has no meaning here; write `\\~` or quotes for the character");
        check("title:a?c", "error: `?` has no meaning here; write `\\?` or quotes for the character");
        check(&"(".repeat(100), "error: a query is nested at most 32 deep");
        check(&"a".repeat(10_001), "error: a query has at most 10000 bytes");
    }
}
