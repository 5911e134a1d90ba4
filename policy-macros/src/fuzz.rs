//! Whatever is written, the macros answer; they never panic.

use proc_macro2::{Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};

/// A small generator of numbers: the same ones in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap_or(0) % n
    }

    fn tokens(&mut self, depth: usize) -> TokenStream {
        let words = [
            "participant",
            "order",
            "and",
            "or",
            "not",
            "in",
            "contains",
            "like",
            "exists",
            "true",
            "fn",
            "impl",
            "pub",
            "struct",
            "self",
            "async",
            "const",
            "trait",
            "enum",
            "action",
            "callers",
            "tier",
            "crate",
            "authenticated",
            "all_read",
            "skip",
            "context",
            "abac_policy",
            "publish",
            "serde",
            "rename",
            "where",
            "for",
            "Self",
            "u32",
            "f64",
            "mut",
        ];
        let count = self.below(9);
        let token = |dice: &mut Self| -> TokenTree {
            match dice.below(if depth == 0 { 10 } else { 13 }) {
                0..=4 => Ident::new(words[dice.below(words.len())], Span::call_site()).into(),
                5..=7 => {
                    let c = ['=', '<', '>', '!', '.', ',', '-', '#', '&', ':', ';', '*', '?', '\''][dice.below(13)];
                    Punct::new(c, if dice.below(2) == 0 { Spacing::Joint } else { Spacing::Alone }).into()
                }
                8 => Literal::string(["", "a.b == 1", "com.example", "participant.mfa", "(", "\u{0}"][dice.below(6)])
                    .into(),
                9 => match dice.below(5) {
                    0 => Literal::i64_suffixed(-7).into(),
                    1 => Literal::f64_unsuffixed(0.5).into(),
                    2 => Literal::byte_string(b"x").into(),
                    3 => Literal::u128_unsuffixed(u128::MAX).into(),
                    _ => Literal::character('x').into(),
                },
                n => {
                    let delimiter = [Delimiter::Parenthesis, Delimiter::Brace, Delimiter::Bracket, Delimiter::None]
                        [(n + dice.below(4)) % 4];
                    Group::new(delimiter, dice.tokens(depth - 1)).into()
                }
            }
        };
        (0..count).map(|_| token(self)).collect()
    }
}

const ITEMS: [&str; 12] = [
    "",
    "fn f(order: &Order, Json(x): Json<u8>) -> Result<(), E> { body }",
    "async fn f<T>(#[context] cx: &SecurityContext, a: impl X) -> Result<(), E> { #![allow(x)] }",
    "fn f(&self) -> Pin<Box<dyn Future<Output = Result<(), E>> + Send>> { Box::pin(async move { 1 }) }",
    "fn f();",
    "impl Orders { pub fn a(&self, order: Order) -> Result<(), E> { } #[publish(skip)] pub fn b(&mut self) {} }",
    "impl<T> Shop for Orders<T> { async fn a(&self) -> Result<(), E> { } const X: u8 = 1; }",
    "pub trait Shop { #[abac_policy(participant.mfa)] async fn a(&self, x: &str) -> Result<u8, E>; type T; fn d() {} }",
    "struct Order { id: u32, #[attributes(secret)] #[serde(rename = \"x-y\", flatten)] b: Vec<f64> }",
    "#[abac_policy(all_read = \"entity.id == 1\")] struct Photo { #[entity(id)] id: u32 }",
    "enum E { A, B(u8) }",
    "union U { a: u8 }",
];

#[test]
fn no_tokens_panic() {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    for round in 0..1_500 {
        let arguments = dice.tokens(2);
        let item: TokenStream =
            if round % 3 == 0 { dice.tokens(3) } else { ITEMS[dice.below(ITEMS.len())].parse().unwrap() };
        let _ = crate::policy::expand(&arguments, item.clone());
        let _ = crate::publish::expand(arguments, item.clone());
        let _ = crate::derive::expand(item.clone());
        let _ = crate::entity::expand(item);
    }
}

#[test]
fn every_item_answers_every_macro() {
    for item in ITEMS {
        let item: TokenStream = item.parse().unwrap();
        for arguments in
            ["", "participant.mfa", "\"participant.mfa\"", "\"com.example\"", "impl", "authenticated, action = \"A.b\""]
        {
            let arguments: TokenStream = arguments.parse().unwrap();
            let _ = crate::policy::expand(&arguments, item.clone());
            let _ = crate::publish::expand(arguments, item.clone());
        }
    }
}
