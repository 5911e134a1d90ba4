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
        let error = syntax(literal.span, format!("expected an attribute before `contains`, not `{literal}`"));
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
        let Some(token) = self.peek() else {
            return if after.is_empty() { error } else { error.with_help(format!("write both sides of `{after}`")) };
        };
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
                Some(Keyword::And | Keyword::Or) if !after.is_empty() => {
                    error.with_help(format!("write both sides of `{after}`"))
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

    fn operator_word(&mut self, error: Diagnostic, word: &str, left: &Operand) -> Diagnostic {
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
            self.at += 1;
            let low = self.operand("", "").map_or("..".into(), |low| low.to_string());
            self.at += usize::from(self.keyword() == Some(Keyword::And));
            let high = self.operand("", "").map_or("..".into(), |high| high.to_string());
            return error.with_help(format!("write `{left} >= {low} and {left} <= {high}`"));
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
        let before = self.at.checked_sub(1).and_then(|n| self.tokens.get(n));
        if before.is_some_and(|before| before.kind == TokenKind::CloseParen)
            && matches!(token.kind, TokenKind::Compare(_))
        {
            return error.with_help("parentheses stand around whole conditions only");
        }
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
            (TokenKind::Compare(_), _) => {
                error.with_help(format!("`{expr}` is a whole condition; its opposite is `not {expr}`"))
            }
            (TokenKind::OpenParen, ExprKind::Compare { right: Operand::Path(path), .. }) => self.call(path),
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
    use expect_test::expect_file;

    use super::super::{parse, parse_tokens, shown};
    use super::*;

    /// Compares what is said about every input of every topic.
    fn check(topics: &[(&str, &[&str])]) {
        let found = topics.iter().map(|(topic, inputs)| {
            let found = inputs.iter().map(|input| shown::findings(input, &parse(input).expect_err(input)));
            format!("# {topic}\n\n{}", found.collect::<Vec<_>>().join("\n"))
        });
        expect_file!["../../tests/messages/mistakes.txt"].assert_eq(&found.collect::<Vec<_>>().join("\n"));
    }

    const TOPICS: &[(&str, &[&str])] = &[
        (
            "operators of other languages",
            &[
                "a = 1",
                "a === 1",
                "a <> 1 and b =< 2 and c => 3",
                "a == 1 && b == 2 || c",
                "a & b | c",
                "!a",
                "not !a and !(b)",
            ],
        ),
        (
            "words of other languages",
            &[
                "a is 'x'",
                "a is not 'x'",
                "order.deletedAt is null",
                "order.deletedAt IS NOT NULL",
                "a == null",
                "a has 'x'",
                "a contans 'x'",
                "a between 1 and 5",
                "a matches 'x'",
                "a foo 'x'",
                "a ilike 'x'",
            ],
        ),
        (
            "where not and exists stand",
            &[
                "a not in [1]",
                "a not like 'x*'",
                "exists a.b",
                "not exists a.b",
                "exists(a.b) and c",
                "not exists (a.b)",
                "exists",
                "a == not b",
            ],
        ),
        (
            "calls",
            &[
                "participant.roles.contains('finance')",
                "a.b.startsWith('x')",
                "a.endsWith('x') and b = 1",
                "a.in(1, 2)",
                "a.exists()",
                "not a.isNull()",
                "now()",
                "a == now()",
                "a.b.size() > 3",
                "contains(a, 'x')",
                "a.contains(",
                "a == b.lower() and c",
            ],
        ),
        (
            "lists",
            &[
                "a IN ('x', 'y')",
                "a in (b.c) and d",
                "a in ()",
                "a in (",
                "['x'] contains a",
                "a contains ['x', 'y']",
                "a in ['x', b]",
                "a in ['x' 'y'] and c = 1",
                "a in ['x'",
                "a in [,]",
                "a in [1,] and b = 1",
                "a in [1,,2]",
                "a in [1, ",
                "a in [['x']]",
                "a in 'x', 'y'",
            ],
        ),
        (
            "sides",
            &[
                "== 5",
                "a ==",
                "a == and b",
                "a == 1 or",
                "and a",
                "a and or b",
                "a == == b",
                "'x'",
                "true",
                "not 5 and 'y'",
                "'x' contains a.b",
                "'x' contains 'y'",
                "5 exists",
                "contains 'x'",
                "a like b",
                "a like",
                "a == (b)",
                "(a) == b",
            ],
        ),
        (
            "after a condition",
            &[
                "a < b < c",
                "1 <= a.b <= 10 and c",
                "a == b == ",
                "a == 1 b == 2",
                "a exists == true",
                "a - 1 > 2",
                "a > 1 + 2",
                "a * 2 > 1",
                "a == 1, b",
                "a == 1;",
                "a // why",
                "a == 1 when b",
                "a == 1]",
                "a == b ? c : d",
                "(a == b) == c",
            ],
        ),
        ("parentheses", &["(a", "(a and (b)", "a)", "(a))", "()", "a and ()", "(a and b = ) or c =", "(", "((a) b)"]),
        ("nothing", &["", " 	 "]),
        ("several at once", &["a = 1 and b in (2) and c is null or exists(d)"]),
    ];

    #[test]
    fn every_mistake_is_explained() {
        check(TOPICS);
    }

    /// Advice for Rust tokens has Rust's quotes.
    #[test]
    fn rust_tokens_are_quoted_as_such() {
        let check = |kinds: &[TokenKind], message: &str, help: &str| {
            let tokens = kinds.iter().zip(0u32..).map(|(kind, n)| Token::new(kind.clone(), Span::new(n, n + 1)));
            let found = parse_tokens(&tokens.collect::<Vec<_>>()).unwrap_err().0;
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!((found[0].message.as_str(), found[0].help.as_deref()), (message, Some(help)));
        };
        let (a, x) = (TokenKind::word("a"), TokenKind::Text("x".into()));
        check(
            &[x.clone(), TokenKind::word("contains"), a.clone()],
            "expected an attribute before `contains`, not `\"x\"`",
            "write `a contains \"x\"`",
        );
        check(
            &[a.clone(), TokenKind::word("in"), TokenKind::OpenParen, x.clone(), TokenKind::CloseParen],
            "expected `[` after `in`, found `(`",
            "a list is written in brackets: `a in [\"x\"]`",
        );
        check(
            &[x],
            "`\"x\"` alone is not a condition",
            "compare it with an attribute, such as `order.status == \"open\"`",
        );
        check(
            &[a, TokenKind::punct("=="), TokenKind::Other("'x'".into())],
            "expected an attribute or a value after `==`, found `'x'`",
            "in Rust tokens a string has double quotes",
        );
    }

    #[test]
    fn findings_are_bounded() {
        assert_eq!(parse(&vec!["a = 1"; 60].join(" and ")).unwrap_err().0.len(), 20);
    }
}
