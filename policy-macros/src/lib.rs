//! The attributes and derives of `policy-runtime`, which documents them where it re-exports them.
//!
//! In: annotated items. Out: the same items, guarded, with declarations as data beside them. Absent: Cedar, the runtime, and
//! any panic: whatever is wrong is an error at the word, and the item stays.

#![expect(missing_docs, reason = "the documentation of macros stands on their re-exports, where its examples compile")]

mod ast;
mod attr;
mod contract;
mod derive;
mod expand;
mod fallback;
mod inputs;
mod model;
mod names;
mod path;
mod policy;
mod publish;
mod report;
mod service;
mod tokens;
mod validate;

use proc_macro::TokenStream;

#[proc_macro_attribute]
pub fn abac_policy(arguments: TokenStream, item: TokenStream) -> TokenStream {
    policy::expand(arguments.into(), item.into()).into()
}

#[proc_macro_attribute]
pub fn publish(arguments: TokenStream, item: TokenStream) -> TokenStream {
    publish::expand(arguments.into(), item.into()).into()
}

#[proc_macro_derive(Attributes, attributes(attributes))]
pub fn attributes(item: TokenStream) -> TokenStream {
    derive::expand(item.into()).into()
}
