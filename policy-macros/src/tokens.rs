//! A rule in Rust's spelling: the compiler's tokens to words of the language, and their places back again.
//!
//! In: a rule, as a string literal or as tokens. Out: [`Rule`], whose parts know which word the user wrote. Absent: what the
//! words mean.

use policy_core::Diagnostic;
use policy_core::source::Span as Words;
use policy_core::syntax::ast::Expr;
use policy_core::syntax::token::{Token, TokenKind};
use policy_core::syntax::{self};
use proc_macro2::{Delimiter, Ident, Punct, Spacing, Span, TokenStream, TokenTree};
use quote::quote_spanned;
use syn::{Lit, LitStr};

use crate::report::Sink;

/// A rule as the user wrote it.
#[derive(Clone)]
pub(crate) enum RuleSource {
    /// `"order.amount < 5"`
    Text(LitStr),
    /// `order.amount < 5`, and where it stands when it is empty.
    Tokens(TokenStream, Span),
}

/// A rule that was parsed, with its places.
#[derive(Clone)]
pub(crate) struct Rule {
    /// The tree.
    pub(crate) tree: Expr,
    /// The canonical text.
    pub(crate) text: String,
    /// Where its words are.
    pub(crate) places: Places,
}

/// Where the words of a rule are.
#[derive(Clone)]
pub(crate) enum Places {
    /// All in one literal, which stable Rust cannot point into; with its text.
    Literal(LitStr),
    /// One span for each token.
    Tokens(Vec<Span>),
}

impl Rule {
    /// Parses a rule; what is wrong goes to the sink.
    pub(crate) fn parse(source: &RuleSource, sink: &mut Sink) -> Option<Self> {
        let (result, places) = match source {
            RuleSource::Text(literal) => (syntax::parse(&literal.value()), Places::Literal(literal.clone())),
            RuleSource::Tokens(stream, at) => {
                let (tokens, mut spans) = words(stream.clone());
                let result = syntax::parse_tokens(&tokens);
                if spans.is_empty() {
                    spans.push(*at);
                }
                (result, Places::Tokens(spans))
            }
        };
        match result {
            Ok(tree) => Some(Self { text: syntax::format(&tree), tree, places }),
            Err(found) => {
                for one in &found.0 {
                    places.report(one, sink);
                }
                None
            }
        }
    }
}

impl Places {
    /// Where a part begins; in a literal, the literal.
    pub(crate) fn first(&self, part: Words) -> Span {
        match self {
            Self::Literal(literal) => literal.span(),
            Self::Tokens(spans) => nth(spans, part.start),
        }
    }

    /// Where the rule begins.
    pub(crate) fn start(&self) -> Span {
        self.first(Words::default())
    }

    /// In the text form: the text with a caret under a part, each line after a line break.
    pub(crate) fn quoted(&self, part: Words) -> String {
        match self {
            Self::Literal(literal) => Diagnostic::error("", part, "").render(&literal.value()),
            Self::Tokens(_) => String::new(),
        }
    }

    /// Says what is wrong at its words; in the text form it quotes the text.
    pub(crate) fn report(&self, found: &Diagnostic, sink: &mut Sink) {
        match self {
            Self::Literal(literal) => sink.at(literal.span(), found.render(&literal.value())),
            Self::Tokens(spans) => {
                let (first, last) = (nth(spans, found.span.start), nth(spans, found.span.end.max(1) - 1));
                let mut under = quote_spanned!(first=> x);
                under.extend(quote_spanned!(last=> x));
                let help = found.help.as_ref().map(|help| format!("\nhelp: {help}")).unwrap_or_default();
                sink.under(under, format!("{}{help}", found.message));
            }
        }
    }
}

fn nth(spans: &[Span], n: u32) -> Span {
    let at = usize::try_from(n).unwrap_or(usize::MAX);
    spans.get(at).or(spans.last()).copied().unwrap_or_else(Span::call_site)
}

/// Turns the compiler's tokens into words, with a span for each.
pub(crate) fn words(stream: TokenStream) -> (Vec<Token>, Vec<Span>) {
    let mut out = Reader::default();
    out.read(stream);
    let numbered = out.kinds.into_iter().zip(0u32..);
    (numbered.map(|(kind, n)| Token::new(kind, Words::new(n, n + 1))).collect(), out.spans)
}

#[derive(Default)]
struct Reader {
    kinds: Vec<TokenKind>,
    spans: Vec<Span>,
}

impl Reader {
    fn read(&mut self, stream: TokenStream) {
        let mut rest = stream.into_iter().peekable();
        while let Some(token) = rest.next() {
            match token {
                TokenTree::Ident(word) => self.push(TokenKind::word(&word.to_string()), word.span()),
                TokenTree::Literal(literal) => self.literal(&literal),
                TokenTree::Punct(first) => {
                    let joined = match rest.peek() {
                        Some(TokenTree::Punct(second)) if first.spacing() == Spacing::Joint => {
                            TokenKind::joined(first.as_char(), second.as_char())
                        }
                        _ => None,
                    };
                    if let Some(kind) = joined {
                        rest.next();
                        self.push(kind, first.span());
                    } else if let Some(TokenTree::Ident(word)) = rest.peek().filter(|_| first.as_char() == '\'') {
                        let word = format!("'{word}");
                        rest.next();
                        self.push(TokenKind::Other(word), first.span());
                    } else {
                        self.push(TokenKind::punct(&first.as_char().to_string()), first.span());
                    }
                }
                TokenTree::Group(group) => {
                    let (open, close) = match group.delimiter() {
                        Delimiter::Parenthesis => ("(", ")"),
                        Delimiter::Bracket => ("[", "]"),
                        Delimiter::Brace => ("{", "}"),
                        // Around what a `macro_rules!` passed on; it cannot be seen.
                        Delimiter::None => {
                            self.read(group.stream());
                            continue;
                        }
                    };
                    self.push(TokenKind::punct(open), group.span_open());
                    self.read(group.stream());
                    self.push(TokenKind::punct(close), group.span_close());
                }
            }
        }
    }

    fn literal(&mut self, literal: &proc_macro2::Literal) {
        let (span, written) = (literal.span(), literal.to_string());
        let digits = |text: &str| match text.strip_prefix('-') {
            Some(digits) => (true, digits.to_owned()),
            None => (false, text.to_owned()),
        };
        match syn::parse2::<Lit>(TokenTree::Literal(literal.clone()).into()) {
            Ok(Lit::Str(text)) => self.push(TokenKind::Text(text.value()), span),
            Ok(Lit::Int(_) | Lit::Float(_)) => {
                // A macro can make a literal that has its sign in it.
                let (negative, digits) = digits(&written);
                if negative {
                    self.push(TokenKind::Minus, span);
                }
                self.push(TokenKind::rust_number(&digits), span);
            }
            Ok(Lit::Bool(value)) => self.push(TokenKind::word(if value.value { "true" } else { "false" }), span),
            _ => self.push(TokenKind::Other(written), span),
        }
    }

    fn push(&mut self, kind: TokenKind, span: Span) {
        self.kinds.push(kind);
        self.spans.push(span);
    }
}

/// Splits a stream at its commas; groups are not looked into.
pub(crate) fn split_commas(stream: TokenStream) -> Vec<Vec<TokenTree>> {
    let mut parts = vec![Vec::new()];
    for token in stream {
        if is_punct(Some(&token), ',') {
            parts.push(Vec::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(token);
        }
    }
    if parts.last().is_some_and(Vec::is_empty) {
        parts.pop();
    }
    parts
}

/// Whether a token is this character by itself: `=` but not the start of `==`.
pub(crate) fn is_punct(token: Option<&TokenTree>, c: char) -> bool {
    matches!(token, Some(TokenTree::Punct(p)) if p.as_char() == c)
}

/// Whether a part begins with `name =`, and not with `name ==`.
pub(crate) fn assigned(part: &[TokenTree]) -> Option<(&Ident, &Punct, &[TokenTree])> {
    match part {
        [TokenTree::Ident(name), TokenTree::Punct(equals), value @ ..] if equals.as_char() == '=' => {
            let double = equals.spacing() == Spacing::Joint && is_punct(value.first(), '=');
            (!double).then_some((name, equals, value))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use policy_core::syntax::ast::ExprKind;

    use super::*;

    fn kinds(text: &str) -> Vec<String> {
        let (tokens, spans) = words(text.parse().unwrap());
        assert_eq!(tokens.len(), spans.len());
        tokens.iter().zip(0u32..).for_each(|(token, n)| assert_eq!(token.span, Words::new(n, n + 1)));
        tokens.iter().map(|token| token.kind.to_string()).collect()
    }

    #[test]
    fn rust_tokens_are_words() {
        assert_eq!(
            kinds("a.b <= 50_000 and not (c == -1.5)"),
            ["a", ".", "b", "<=", "50000", "and", "not", "(", "c", "==", "-", "1.5", ")"]
        );
        assert_eq!(
            kinds(r##"x in ["a", r#"b"#] or r#in.y"##),
            ["x", "in", "[", "\"a\"", ",", "\"b\"", "]", "or", "r#in", ".", "y"]
        );
        assert_eq!(kinds("a && b = c"), ["a", "&&", "b", "=", "c"]);
        assert_eq!(kinds("a == b'x'"), ["a", "==", "b'x'"]);
    }

    #[test]
    fn a_tree_knows_the_place_of_its_words() {
        let mut sink = Sink::default();
        let stream: TokenStream = "participant.roles contains \"finance\" and order.amount < 50_000".parse().unwrap();
        let rule = Rule::parse(&RuleSource::Tokens(stream, Span::call_site()), &mut sink).unwrap();
        assert_eq!(rule.text, "participant.roles contains 'finance' and order.amount < 50000");
        let ExprKind::And(parts) = &rule.tree.kind else { panic!("an and") };
        let places: Vec<(u32, u32)> = parts.iter().map(|part| (part.span.start, part.span.end)).collect();
        assert_eq!(places, [(0, 5), (6, 11)]);
        drop(sink.finish());
    }

    #[test]
    fn both_spellings_are_one_rule() {
        let mut sink = Sink::default();
        let tokens = RuleSource::Tokens("order.note like \"a*\" or not x exists".parse().unwrap(), Span::call_site());
        let text = RuleSource::Text(syn::parse_quote!("order.note LIKE 'a*' or not x exists"));
        let (tokens, text) = (Rule::parse(&tokens, &mut sink).unwrap(), Rule::parse(&text, &mut sink).unwrap());
        assert_eq!(tokens.tree, text.tree);
        assert_eq!(tokens.text, text.text);
        drop(sink.finish());
    }
}
