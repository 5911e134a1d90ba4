//! `#[publish]` (to come).
use crate::ast::Members;
use crate::attr::PolicyAttr;
use crate::report::Sink;
use proc_macro2::TokenStream;
use quote::quote;
use syn::{ImplItem, ItemImpl, ItemTrait, TraitItem};

pub(crate) fn policy_on_impl(
    _arguments: TokenStream,
    _first: PolicyAttr,
    _members: Members<ItemImpl, ImplItem>,
    item: TokenStream,
    sink: Sink,
) -> TokenStream {
    let errors = sink.finish();
    quote!(#item #errors)
}
pub(crate) fn policy_on_trait(
    _arguments: TokenStream,
    _members: &Members<ItemTrait, TraitItem>,
    item: TokenStream,
    sink: Sink,
) -> TokenStream {
    let errors = sink.finish();
    quote!(#item #errors)
}
