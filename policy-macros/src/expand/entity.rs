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
    let Identity { krate, ident, name, id, id_type, actions, .. } = identity;
    let private = krate.private();
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
    let table = table(identity);
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
        #table
        #checks
        #(#declarations)*
    }
}

/// Where the rows are.
fn table(identity: &Identity) -> TokenStream {
    let (private, ident, table) = (identity.krate.private(), &identity.ident, &identity.table);
    let (name, id) = (&table.name, &table.id);
    let tenant = match &table.tenant {
        Some((attribute, participant)) => quote! {
            ::core::option::Option::Some(#private::table::TenantDecl {
                attribute: #attribute,
                participant: #participant,
            })
        },
        None => quote!(::core::option::Option::None),
    };
    let column = |(attribute, column): &(String, String)| quote!(#private::table::ColumnDecl { attribute: #attribute, column: #column });
    let (columns, unread) = (table.columns.iter().map(column), table.unread.iter().map(column));
    let action = |id: &Option<String>| match id {
        Some(id) => quote!(::core::option::Option::Some(#id)),
        None => quote!(::core::option::Option::None),
    };
    let fields = table.fields.iter().map(|(attribute, read, write)| {
        let (read, write) = (action(read), action(write));
        quote!(#private::table::FieldDecl { attribute: #attribute, read: #read, write: #write })
    });
    quote! {
        #[automatically_derived]
        impl #private::contract::Stored for #ident {
            const TABLE: &'static #private::table::TableDecl = &#private::table::TableDecl {
                entity: || #private::decl::EntityDecl {
                    namespace: <#ident as #private::contract::Entity>::NAMESPACE,
                    name: <#ident as #private::contract::Entity>::NAME,
                    attributes: <#ident as #private::contract::AttributeValue>::describe(),
                },
                name: #name,
                id: #id,
                tenant: #tenant,
                columns: &[#(#columns),*],
            };
            const UNREAD: &'static [#private::table::ColumnDecl] = &[#(#unread),*];
            const FIELDS: &'static [#private::table::FieldDecl] = &[#(#fields),*];
        }
    }
}
