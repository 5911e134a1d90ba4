//! The attributes and derives of `policy-runtime`, which documents them where it re-exports them.
//!
//! In: annotated items. Out: the same items, guarded, with declarations as data beside them. Absent: Cedar, the runtime, and
//! any panic: whatever is wrong is an error at the word, and the item stays.

#![expect(missing_docs, reason = "the documentation of macros stands on their re-exports, where its examples compile")]
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the enums are syn's and the compiler's: what is not named here is left as it is or refused"
)]
#![expect(clippy::single_match_else, reason = "two arms of generated code read best side by side")]

mod ast;
mod attr;
mod contract;
mod derive;
mod entity;
mod expand;
mod fallback;
#[cfg(test)]
mod fuzz;
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
    policy::expand(&arguments.into(), item.into()).into()
}

#[proc_macro_attribute]
pub fn publish(arguments: TokenStream, item: TokenStream) -> TokenStream {
    publish::expand(arguments.into(), item.into()).into()
}

#[proc_macro_derive(Attributes, attributes(attributes))]
pub fn attributes(item: TokenStream) -> TokenStream {
    derive::expand(item.into()).into()
}

#[proc_macro_derive(Entity, attributes(abac_policy, attributes, entity))]
pub fn entity(item: TokenStream) -> TokenStream {
    entity::expand(item.into()).into()
}
