//! Models to tokens; nothing here can fail.
//!
//! In: `model`. Out: declarations as data, checks for rustc, guards. Absent: decisions about what is allowed.

pub(crate) mod action;
pub(crate) mod attributes;
pub(crate) mod checks;
pub(crate) mod entity;
pub(crate) mod guard;
pub(crate) mod service;

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};

/// The same tokens, shown at `span` in messages.
pub(crate) fn at(span: Span, tokens: TokenStream) -> TokenStream {
    tokens
        .into_iter()
        .map(|token| match token {
            TokenTree::Group(group) => {
                let mut inner = Group::new(group.delimiter(), at(span, group.stream()));
                inner.set_span(group.span().located_at(span));
                inner.into()
            }
            mut other => {
                other.set_span(other.span().located_at(span));
                other
            }
        })
        .collect()
}

/// A name that the user's code cannot see.
pub(crate) fn local(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}
