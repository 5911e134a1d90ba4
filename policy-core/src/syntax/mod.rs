//! The language's one grammar: text or tokens to tree, and back.
//!
//! In: a rule as text, or as Rust tokens that `policy-macros` has turned into [`token::Token`]s. Out: [`ast::Expr`] and
//! [`rule::Rule`], each part with its place, or [`Diagnostics`] that say what is wrong, where, and what to write instead.
//! Absent: names of attributes and their kinds (the checker knows them), and whatever a rule is made into.
//!
//! ```
//! use policy_core::syntax;
//!
//! let tree = syntax::parse("participant.roles contains 'finance' AND order.amount < 50000").unwrap();
//! assert_eq!(syntax::format(&tree), "participant.roles contains 'finance' and order.amount < 50000");
//!
//! let text = "order.status = 'open'";
//! let errors = syntax::parse(text).unwrap_err();
//! assert_eq!(
//!     errors.0[0].render(text),
//!     "\
//! expected `==`, found `=`
//!   |
//! 1 | order.status = 'open'
//!   |              ^
//! help: write `==`",
//! );
//! ```
//!
//! # The grammar
//!
//! ```text
//! policy    = or
//! or        = and { "or" and }
//! and       = not { "and" not }
//! not       = "not" not | primary
//! primary   = "(" or ")" | predicate
//! predicate = operand ( "==" | "!=" | "<" | "<=" | ">" | ">=" ) operand
//!           | path "contains" operand
//!           | operand "in" ( set | operand )
//!           | operand "like" string
//!           | path "exists"
//!           | path                                  a Bool attribute stands for itself
//! operand   = path | literal
//! path      = ident { "." ident | "[" string "]" }
//! literal   = string | [ "-" ] integer | [ "-" ] decimal | "true" | "false"
//! set       = "[" [ literal { "," literal } ] "]"
//!
//! rule      = ( "permit" | "forbid" ) target [ ( "when" | "unless" ) policy ]
//! target    = ident { "." ident } [ ".*" ]
//! ```
//!
//! Keywords have any case; after a dot they are names, and as a root they are written `r#like`, as in Rust. The text form
//! has strings in single quotes with the escapes `\'`, `\"`, `\\`, `\n`, `\t` and `\u{..}`; the token form has Rust's own
//! strings. In a pattern `*` is any run of characters and `\*` a star.

pub mod ast;
mod lexer;
mod limits;
mod mistake;
mod operand;
mod parser;
mod print;
pub mod rule;
mod text;
pub mod token;

pub use limits::{LIMITS, Limits};
pub use print::format;

use crate::diagnostic::Diagnostics;
use ast::Expr;
use parser::Parser;
use token::Token;

/// Parses a condition in text form; spans are byte ranges of the text.
///
/// # Errors
/// Everything that is wrong with it, at bytes of the text.
///
/// ```
/// use policy_core::syntax::{format, parse};
/// let tree = parse("order.amount<5 AND NOT order.rush").unwrap();
/// assert_eq!(format(&tree), "order.amount < 5 and not order.rush");
/// ```
pub fn parse(text: &str) -> Result<Expr, Diagnostics> {
    LIMITS.check_bytes(text.len(), lexer::span(0, text.len()), "as written")?;
    let tokens = lexer::lex(text)?;
    read(Parser::of_text(&tokens, lexer::span(text.len(), text.len())))
}

/// Parses a condition in token form; spans are those of the tokens.
///
/// ```
/// use policy_core::source::Span;
/// use policy_core::syntax::token::{Token, TokenKind};
/// use policy_core::syntax::{self, ast::ExprKind};
///
/// let kinds = [TokenKind::word("order"), TokenKind::punct("."), TokenKind::word("amount"), TokenKind::punct("<"),
///     TokenKind::rust_number("50_000")];
/// let tokens: Vec<Token> = kinds.into_iter().zip(0..).map(|(kind, n)| Token::new(kind, Span::new(n, n + 1))).collect();
/// let tree = syntax::parse_tokens(&tokens).unwrap();
/// assert_eq!(tree.to_string(), "order.amount < 50000");
/// assert_eq!(tree.span, Span::new(0, 5));
/// ```
///
/// # Errors
/// Everything that is wrong with it, at tokens. A rule that ends too early is an error at its last token, since nothing
/// stands behind it; one without tokens is an error at the empty span.
pub fn parse_tokens(tokens: &[Token]) -> Result<Expr, Diagnostics> {
    let last = tokens.last().map(|token| token.span).unwrap_or_default();
    let first = tokens.first().map(|token| token.span).unwrap_or_default();
    LIMITS.check_bytes(tokens.iter().map(|token| token.kind.len()).sum(), first.to(last), "as written")?;
    read(Parser::of_tokens(tokens, last))
}

fn read(mut parser: Parser<'_>) -> Result<Expr, Diagnostics> {
    let tree = parser.policy();
    let tree = parser.finish(tree)?;
    LIMITS.check(&tree)?;
    Ok(tree)
}

/// Shows the findings of tests as people read them: under the words meant.
#[cfg(test)]
mod shown {
    use std::fmt::Write as _;

    use crate::diagnostic::Diagnostics;

    pub(super) fn findings(text: &str, findings: &Diagnostics) -> String {
        let mut out = format!("{text}\n");
        for finding in &findings.0 {
            let before = text.get(..finding.span.start as usize).unwrap().chars().count();
            let meant = text.get(finding.span.start as usize..finding.span.end as usize).unwrap();
            let (pad, carets) = (" ".repeat(before), "^".repeat(meant.chars().count().max(1)));
            writeln!(out, "{pad}{carets} {}", finding.message).unwrap();
            if let Some(help) = &finding.help {
                writeln!(out, "{pad}{} {help}", " ".repeat(carets.len())).unwrap();
            }
        }
        out
    }
}
