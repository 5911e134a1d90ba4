//! What is written is read again: trees and rules through both spellings, and no input that could stop the reader.

use policy_core::Diagnostics;
use policy_core::source::Span;
use policy_core::syntax::ast::{
    CompareOp, Expr, ExprKind, Literal, LiteralKind, Operand, Path, Pattern, PatternPart, Segment, SetOperand,
};
use policy_core::syntax::rule::{Rule, RuleCondition, RuleEffect, Target, format_rule, parse_rule};
use policy_core::syntax::token::{Token, TokenKind};
use policy_core::syntax::{self, LIMITS};
use policy_core::value::Decimal;
use proptest::prelude::*;

const WORDS: [&str; 52] = [
    "participant",
    "order",
    "a",
    "null",
    "is",
    "when",
    "forbid",
    "permit",
    "and",
    "OR",
    "not",
    "contains",
    "In",
    "like",
    "exists",
    "true",
    "False",
    "r#in",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "=",
    "&&",
    "||",
    "!",
    "(",
    ")",
    "(",
    ")",
    "[",
    "]",
    ",",
    ".",
    ".",
    "-",
    "*",
    "+",
    "'x'",
    "'a*\\*'",
    "\"y\"",
    "'\\d'",
    "1",
    "1.5",
    "99999999999999999999",
    "0.00001",
    "5x",
    ";",
    "'",
    "\u{200b}",
];

fn short_text() -> impl Strategy<Value = String> {
    prop::collection::vec(any::<char>(), 0..6).prop_map(|chars| chars.into_iter().collect())
}

fn nowhere() -> Span {
    Span::default()
}

/// Names that are identifiers, keywords, or nothing of the kind.
fn field() -> impl Strategy<Value = Segment> {
    let name = prop_oneof![
        4 => "[a-zA-Z_][a-zA-Z0-9_]{0,6}",
        1 => prop::sample::select(WORDS.to_vec()).prop_map(str::to_owned),
        1 => short_text(),
    ];
    name.prop_map(|name| Segment { name, span: nowhere() })
}

fn identifier() -> impl Strategy<Value = Segment> {
    let keywords = ["and", "or", "not", "IN", "like", "exists", "true", "contains", "null", "when", "Unless", "permit"];
    let name = prop_oneof![4 => "[a-zA-Z_ä][a-zA-Z0-9_ü]{0,6}", 1 => prop::sample::select(keywords.to_vec()).prop_map(str::to_owned)];
    name.prop_map(|name| Segment { name, span: nowhere() })
}

fn path() -> impl Strategy<Value = Path> {
    (identifier(), prop::collection::vec(field(), 0..4))
        .prop_map(|(root, fields)| Path { segments: std::iter::once(root).chain(fields).collect(), span: nowhere() })
}

fn character() -> impl Strategy<Value = char> {
    prop_oneof![3 => prop::sample::select(vec!['a', '*', '\'', '"', '\\', '\n', '\t', '{', 'u', '\u{202e}', '\u{0}']), 1 => any::<char>()]
}

fn literal() -> impl Strategy<Value = Literal> {
    let kind = prop_oneof![
        prop::collection::vec(character(), 0..10).prop_map(|text| LiteralKind::Text(text.into_iter().collect())),
        any::<i64>().prop_map(LiteralKind::Integer),
        (-9i64..9).prop_map(LiteralKind::Integer),
        prop_oneof![any::<i64>(), -99_999i64..99_999].prop_map(|n| LiteralKind::Decimal(Decimal::from_scaled(n))),
        any::<bool>().prop_map(LiteralKind::Bool),
    ];
    kind.prop_map(|kind| Literal { kind, span: nowhere() })
}

fn operand() -> impl Strategy<Value = Operand> {
    prop_oneof![2 => path().prop_map(Operand::Path), 1 => literal().prop_map(Operand::Literal)]
}

fn pattern() -> impl Strategy<Value = Pattern> {
    let part = prop_oneof![1 => Just(PatternPart::AnyRun), 3 => character().prop_map(PatternPart::Char)];
    prop::collection::vec(part, 0..8).prop_map(|parts| Pattern { parts, span: nowhere() })
}

fn predicate() -> impl Strategy<Value = Expr> {
    let op = prop::sample::select(vec![
        CompareOp::Eq,
        CompareOp::Ne,
        CompareOp::Lt,
        CompareOp::Le,
        CompareOp::Gt,
        CompareOp::Ge,
    ]);
    let set = prop_oneof![
        prop::collection::vec(literal(), 0..4).prop_map(|items| SetOperand::List(items, nowhere())),
        operand().prop_map(SetOperand::Operand),
    ];
    let kind = prop_oneof![
        (op, operand(), operand()).prop_map(|(op, left, right)| ExprKind::Compare { op, left, right }),
        (path(), operand()).prop_map(|(set, item)| ExprKind::Contains { set: Operand::Path(set), item }),
        (operand(), set).prop_map(|(item, set)| ExprKind::In { item, set }),
        (operand(), pattern()).prop_map(|(value, pattern)| ExprKind::Like { value, pattern }),
        path().prop_map(ExprKind::Exists),
        path().prop_map(ExprKind::Truth),
    ];
    kind.prop_map(|kind| Expr::new(nowhere(), kind))
}

fn tree() -> impl Strategy<Value = Expr> {
    predicate().prop_recursive(6, 24, 3, |inner| {
        let parts = || prop::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            parts().prop_map(|parts| join(parts, Expr::and)),
            parts().prop_map(|parts| join(parts, Expr::or)),
            inner.prop_map(|inner| Expr::new(nowhere(), ExprKind::Not(Box::new(inner)))),
        ]
    })
}

fn join(parts: Vec<Expr>, of: fn(Vec<Expr>) -> Option<Expr>) -> Expr {
    let nothing = Expr::new(nowhere(), ExprKind::Or(Vec::new()));
    of(parts).unwrap_or(nothing)
}

fn rule() -> impl Strategy<Value = Rule> {
    let effect = prop::sample::select(vec![RuleEffect::Permit, RuleEffect::Forbid]);
    let target = (prop::collection::vec(identifier(), 1..5), any::<bool>()).prop_map(|(segments, wildcard)| Target {
        segments,
        wildcard,
        span: nowhere(),
    });
    let condition = prop::option::of(
        (any::<bool>(), tree())
            .prop_map(|(when, expr)| if when { RuleCondition::When(expr) } else { RuleCondition::Unless(expr) }),
    );
    (effect, target, condition).prop_map(|(effect, target, condition)| Rule {
        effect,
        target,
        condition,
        span: nowhere(),
    })
}

/// Writes a tree in the token form, with every parenthesis that can be written.
fn rust_tokens(expr: &Expr) -> Vec<Token> {
    let mut kinds = Vec::new();
    write(expr, &mut kinds);
    kinds.into_iter().zip(0u32..).map(|(kind, n)| Token::new(kind, Span::new(n, n + 1))).collect()
}

fn write(expr: &Expr, out: &mut Vec<TokenKind>) {
    out.push(TokenKind::OpenParen);
    match &expr.kind {
        ExprKind::Or(parts) => write_joined(parts, "or", out),
        ExprKind::And(parts) => write_joined(parts, "and", out),
        ExprKind::Not(inner) => {
            out.push(TokenKind::word("not"));
            write(inner, out);
        }
        ExprKind::Compare { op, left, right } => {
            write_operand(left, out);
            out.push(TokenKind::Compare(*op));
            write_operand(right, out);
        }
        ExprKind::Contains { set, item } => {
            write_operand(set, out);
            out.push(TokenKind::word("contains"));
            write_operand(item, out);
        }
        ExprKind::In { item, set } => {
            write_operand(item, out);
            out.push(TokenKind::word("in"));
            match set {
                SetOperand::Operand(set) => write_operand(set, out),
                SetOperand::List(items, _) => {
                    out.push(TokenKind::OpenBracket);
                    for (n, item) in items.iter().enumerate() {
                        out.extend((n > 0).then_some(TokenKind::Comma));
                        write_literal(item, out);
                    }
                    out.push(TokenKind::CloseBracket);
                }
            }
        }
        ExprKind::Like { value, pattern } => {
            write_operand(value, out);
            out.push(TokenKind::word("like"));
            let text = pattern.parts.iter().map(|part| match part {
                PatternPart::AnyRun => "*".to_owned(),
                PatternPart::Char(c @ ('*' | '\\')) => format!("\\{c}"),
                PatternPart::Char(c) => c.to_string(),
            });
            out.push(TokenKind::Text(text.collect()));
        }
        ExprKind::Exists(path) => {
            write_path(path, out);
            out.push(TokenKind::word("exists"));
        }
        ExprKind::Truth(path) => write_path(path, out),
    }
    out.push(TokenKind::CloseParen);
}

fn write_joined(parts: &[Expr], word: &str, out: &mut Vec<TokenKind>) {
    for (n, part) in parts.iter().enumerate() {
        if n > 0 {
            out.push(TokenKind::word(word));
        }
        write(part, out);
    }
}

fn write_operand(operand: &Operand, out: &mut Vec<TokenKind>) {
    match operand {
        Operand::Path(path) => write_path(path, out),
        Operand::Literal(literal) => write_literal(literal, out),
    }
}

fn write_path(path: &Path, out: &mut Vec<TokenKind>) {
    out.push(TokenKind::Name(path.root().to_owned()));
    for field in path.fields() {
        out.extend([TokenKind::OpenBracket, TokenKind::Text(field.name.clone()), TokenKind::CloseBracket]);
    }
}

fn write_literal(literal: &Literal, out: &mut Vec<TokenKind>) {
    let text = match &literal.kind {
        LiteralKind::Text(text) => return out.push(TokenKind::Text(text.clone())),
        LiteralKind::Bool(b) => return out.push(TokenKind::word(&b.to_string())),
        LiteralKind::Integer(n) => n.to_string(),
        LiteralKind::Decimal(n) => n.to_string(),
    };
    let unsigned = text.strip_prefix('-');
    out.extend(unsigned.map(|_| TokenKind::Minus));
    out.push(TokenKind::rust_number(unsigned.unwrap_or(&text)));
}

fn word_soup() -> impl Strategy<Value = String> {
    let word = prop::sample::select(WORDS.to_vec());
    let gap = prop::sample::select(vec!["", " ", " "]);
    prop::collection::vec((word, gap), 0..24)
        .prop_map(|words| words.into_iter().flat_map(|(word, gap)| [word, gap]).collect())
}

fn token_soup() -> impl Strategy<Value = Vec<Token>> {
    let kind = prop_oneof![
        4 => prop::sample::select(WORDS.to_vec()).prop_map(TokenKind::punct),
        4 => prop::sample::select(WORDS.to_vec()).prop_map(TokenKind::word),
        1 => short_text().prop_map(TokenKind::Text),
        1 => short_text().prop_map(TokenKind::Quoted),
        1 => short_text().prop_map(TokenKind::DoubleQuoted),
        1 => short_text().prop_map(TokenKind::Integer),
        1 => short_text().prop_map(TokenKind::Decimal),
        1 => short_text().prop_map(TokenKind::Other),
    ];
    let span = prop_oneof![9 => (0u32..40).prop_map(|n| Span::new(n, n + 1)), 1 => (any::<u32>(), any::<u32>()).prop_map(|(a, b)| Span::new(a, b))];
    prop::collection::vec((kind, span).prop_map(|(kind, span)| Token::new(kind, span)), 0..24)
}

/// A text either is refused with findings that point into it, or is read to a tree that is written and read again.
fn check_text(text: &str) -> Result<(), TestCaseError> {
    match syntax::parse(text) {
        Ok(tree) => {
            prop_assert!(LIMITS.check(&tree).is_ok());
            prop_assert_eq!(syntax::parse(&syntax::format(&tree)), Ok(tree));
        }
        Err(errors) => check_findings(text, &errors)?,
    }
    match parse_rule(text) {
        Ok(rule) => prop_assert_eq!(parse_rule(&format_rule(&rule)), Ok(rule)),
        Err(errors) => check_findings(text, &errors)?,
    }
    Ok(())
}

fn check_findings(text: &str, errors: &Diagnostics) -> Result<(), TestCaseError> {
    prop_assert!(!errors.0.is_empty());
    for error in &errors.0 {
        let place = text.get(error.span.start as usize..error.span.end as usize);
        prop_assert!(place.is_some(), "{:?} is no part of {:?}", error, text);
        prop_assert!(error.render(text).contains('^'));
    }
    Ok(())
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(5_000))]

    #[test]
    fn a_tree_is_written_and_read_again(tree in tree()) {
        prop_assert_eq!(syntax::parse(&syntax::format(&tree)), Ok(tree));
    }

    #[test]
    fn both_spellings_give_one_tree(tree in tree()) {
        prop_assert_eq!(syntax::parse_tokens(&rust_tokens(&tree)), Ok(tree));
    }

    #[test]
    fn a_rule_is_written_and_read_again(rule in rule()) {
        prop_assert_eq!(parse_rule(&format_rule(&rule)), Ok(rule));
    }
}

proptest! {
    #![proptest_config(cases(10_000))]

    #[test]
    fn no_words_stop_the_reader(text in word_soup()) {
        check_text(&text)?;
        check_text(&format!("forbid a.b when {text}"))?;
    }

    #[test]
    fn no_bytes_stop_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        check_text(&String::from_utf8_lossy(&bytes))?;
    }

    #[test]
    fn no_tokens_stop_the_reader(tokens in token_soup()) {
        match syntax::parse_tokens(&tokens) {
            Ok(tree) => prop_assert_eq!(syntax::parse(&syntax::format(&tree)), Ok(tree)),
            Err(errors) => prop_assert!(!errors.0.is_empty()),
        }
    }
}

/// Long runs of one piece, as deep as bytes allow and far deeper.
#[test]
fn no_depth_stops_the_reader() {
    for piece in [
        "(",
        "not ",
        "!",
        "a.",
        "a[",
        "['x']",
        "a in [",
        "-",
        "exists(",
        "a.b(",
        "a == (",
        "((a) and ",
        "'",
        "\\",
        "a and ",
        "a or (b and ",
    ] {
        for count in [1, 40, 300, LIMITS.bytes / piece.len(), 200_000] {
            for tail in ["", "a", "a)", "]"] {
                let text = format!("{}{tail}", piece.repeat(count));
                if let Err(error) = check_text(&text) {
                    panic!("{count} times `{piece}` and `{tail}`: {error}");
                }
            }
        }
    }
    for kind in [TokenKind::OpenParen, TokenKind::word("not"), TokenKind::OpenBracket, TokenKind::Minus] {
        let tokens = vec![Token::new(kind, Span::new(0, 1)); 200_000];
        assert_eq!(syntax::parse_tokens(&tokens).unwrap_err().0[0].code, "too-large");
    }
}
