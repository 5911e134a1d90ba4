//! The user's item without our attributes, so that whatever is wrong with them causes no second error.
//!
//! In: the item's tokens. Out: the same tokens, our attributes gone at every depth that they may stand at.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::quote;

use crate::attr::{ATTRIBUTES, CONTEXT, POLICY, PUBLISH};

/// Takes our attributes out of an item, whether or not it can be parsed.
pub(crate) fn without_ours(item: TokenStream) -> TokenStream {
    strip(item, 0, false)
}

/// The same, where lints are silent about what only the guard would have used.
pub(crate) fn quieted(item: TokenStream) -> TokenStream {
    let item = without_ours(item);
    if syn::parse2::<syn::Item>(item.clone()).is_ok() { quote!(#[allow(unused)] #item) } else { item }
}

/// Depth 0 is the item, 1 the braces of an impl or the parentheses of a function, 2 a method's parentheses. `params` is
/// whether it is parentheses, where parameters stand.
fn strip(stream: TokenStream, depth: usize, params: bool) -> TokenStream {
    let mut out: Vec<TokenTree> = Vec::new();
    let mut tokens = stream.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(p) if p.as_char() == '#' => match tokens.peek() {
                Some(TokenTree::Group(attribute)) if is_ours(attribute, params) => {
                    tokens.next();
                }
                _ => out.push(p.into()),
            },
            TokenTree::Group(group) if depth < 2 && group.delimiter() != Delimiter::Bracket => {
                let mut inner = Group::new(
                    group.delimiter(),
                    strip(group.stream(), depth + 1, group.delimiter() == Delimiter::Parenthesis),
                );
                inner.set_span(group.span());
                out.push(inner.into());
            }
            other => out.push(other),
        }
    }
    out.into_iter().collect()
}

fn is_ours(group: &Group, params: bool) -> bool {
    if group.delimiter() != Delimiter::Bracket {
        return false;
    }
    let mut last = None;
    let mut names = group.stream().into_iter();
    if matches!(names.next(), Some(TokenTree::Ident(first)) if first == "cfg_attr") {
        return names.any(|token| matches!(token, TokenTree::Group(inner) if names_ours(inner.stream())));
    }
    for token in group.stream() {
        match token {
            TokenTree::Ident(word) => last = Some(word.to_string()),
            TokenTree::Punct(p) if p.as_char() == ':' => {}
            TokenTree::Punct(_) | TokenTree::Group(_) | TokenTree::Literal(_) => break,
        }
    }
    last.is_some_and(|name| [POLICY, PUBLISH, CONTEXT].contains(&name.as_str()) || (params && name == ATTRIBUTES))
}

/// Whether one of our attributes hides in the contents of a `cfg_attr`.
fn names_ours(stream: TokenStream) -> bool {
    stream.into_iter().any(|token| match token {
        TokenTree::Ident(word) => [POLICY, PUBLISH, CONTEXT].iter().any(|name| word == name),
        TokenTree::Group(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_go_and_others_stay() {
        let item: TokenStream =
            "#[inline] #[x::abac_policy(a)] fn f(#[context] c: C, #[attributes(with = M)] #[cfg(a)] b: B) { #[allow(x)] 1 }".parse().unwrap();
        let expected: TokenStream = "#[inline] fn f(c: C, #[cfg(a)] b: B) { #[allow(x)] 1 }".parse().unwrap();
        assert_eq!(without_ours(item).to_string(), expected.to_string());
    }
}
