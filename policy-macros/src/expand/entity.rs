//! `Entity` of a type, and the declarations of its operations.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

use super::action::declaration;
use super::checks::checks;
use crate::model::Identity;
use crate::tokens::Rule;

/// Makes the impl, the checks of the rules and the declarations.
pub(crate) fn expand(identity: &Identity) -> TokenStream {
    let Identity { krate, ident, id, id_type, actions, .. } = identity;
    let private = krate.private();
    let name = crate::names::plain(ident);
    let namespace = match &identity.namespace {
        Some(namespace) => quote!(#namespace),
        None => quote!(::core::module_path!()),
    };
    let declarations = actions.iter().map(|action| {
        let declaration = declaration(action);
        quote! {
            const _: () = {
                static __DECLARATION: #private::decl::ActionDecl = #declaration;
                #private::register! { action &__DECLARATION }
            };
        }
    });
    // A group's rule belongs to several operations and is checked once.
    let mut rules: Vec<Rule> = Vec::new();
    for rule in actions.iter().flat_map(|action| &action.rules) {
        let known = |known: &Rule| {
            known.text == rule.text && format!("{:?}", known.places.start()) == format!("{:?}", rule.places.start())
        };
        if !rules.iter().any(known) {
            rules.push(rule.clone());
        }
    }
    let checks = actions.first().map(|action| checks(krate, &rules, &action.roots()));
    let value = quote_spanned!(id_type.span()=> #private::contract::AttributeValue);
    quote! {
        #[automatically_derived]
        impl #private::contract::Entity for #ident {
            const NAMESPACE: &'static ::core::primitive::str = #namespace;
            const NAME: &'static ::core::primitive::str = #name;

            fn entity_id(&self) -> ::std::borrow::Cow<'_, ::core::primitive::str> {
                #private::contract::id_text(<#id_type as #value>::read(&self.#id))
            }
        }
        #checks
        #(#declarations)*
    }
}
