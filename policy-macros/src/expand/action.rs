//! A declaration as data: the `ActionDecl` that the registry finds when the program starts.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};

use super::attributes::is_optional;
use super::checks::slice_as_set;
use crate::attr::TierName;
use crate::inputs::value_type;
use crate::model::{Action, Param, Reads, Resource};
use crate::tokens::Rule;

/// Makes the declaration, as an expression that a `static` can hold.
pub(crate) fn declaration(action: &Action) -> TokenStream {
    let private = action.krate.private();
    let (was, must_audit, authenticated) = (&action.was, action.must_audit, action.authenticated);
    let (namespace, id, function) = names(action);
    let place = place(&private, action.at);
    let tier = tier(&private, action.tier);
    let callers = action.callers.iter().map(|caller| self::tier(&private, *caller));
    let participant = match &action.participant {
        Some(ty) => quote! {
            ::core::option::Option::Some((
                ::core::stringify!(#ty),
                <#ty as #private::contract::AttributeValue>::describe,
            ))
        },
        None => quote!(::core::option::Option::None),
    };
    let organization = match action.organization {
        Some(at) => quote!(::core::option::Option::Some(#at)),
        None => quote!(::core::option::Option::None),
    };
    let resource = resource(&private, &action.resource);
    let params = action.params.iter().map(|param| parameter(&private, param));
    let rules = action.rules.iter().map(|rule| self::rule(&private, rule));
    quote! {
        #private::decl::ActionDecl {
            package: ::core::env!("CARGO_PKG_NAME"),
            namespace: #namespace,
            id: #id,
            function: #function,
            place: #place,
            was: &[#(#was),*],
            tier: #tier,
            callers: &[#(#callers),*],
            organization: #organization,
            must_audit: #must_audit,
            participant: #participant,
            resource: #resource,
            params: &[#(#params),*],
            rules: &[#(#rules),*],
            authenticated: #authenticated,
        }
    }
}

/// The namespace, the id and the function's path.
pub(crate) fn names(action: &Action) -> (TokenStream, TokenStream, TokenStream) {
    if let Some(names) = &action.names {
        return (quote!(#names.0), quote!(#names.1), quote!(#names.2));
    }
    let namespace = match &action.namespace {
        Some(namespace) => quote!(#namespace),
        None => quote!(::core::module_path!()),
    };
    let (id, function) = (&action.id, format!("::{}", action.function));
    let line = quote_spanned!(action.at=> ::core::line!());
    (namespace, quote!(#id), quote!(::core::concat!(::core::module_path!(), #function, ":", #line)))
}

/// A place in the user's file.
pub(crate) fn place(private: &TokenStream, span: Span) -> TokenStream {
    let (file, line) = (quote_spanned!(span=> ::core::file!()), quote_spanned!(span=> ::core::line!()));
    quote!(#private::Place { file: #file, line: #line })
}

fn tier(private: &TokenStream, tier: TierName) -> TokenStream {
    let name = match tier {
        TierName::System => "System",
        TierName::Organization => "Organization",
        TierName::Application => "Application",
    };
    let name = Ident::new(name, Span::call_site());
    quote!(#private::Tier::#name)
}

fn resource(private: &TokenStream, resource: &Resource) -> TokenStream {
    let entity = |ty: &syn::Type| {
        quote! {
            || #private::decl::EntityDecl {
                namespace: <#ty as #private::contract::Entity>::NAMESPACE,
                name: <#ty as #private::contract::Entity>::NAME,
                attributes: <#ty as #private::contract::AttributeValue>::describe(),
            }
        }
    };
    match resource {
        Resource::Scope => quote!(#private::decl::ResourceDecl::Scope),
        Resource::Service(name) => quote!(#private::decl::ResourceDecl::Service { name: #name }),
        Resource::Parameter(name, _, ty) => {
            let entity = entity(ty);
            quote!(#private::decl::ResourceDecl::Parameter { name: #name, entity: #entity })
        }
        Resource::Entity(ty) => {
            let entity = entity(ty);
            quote!(#private::decl::ResourceDecl::Entity { entity: #entity })
        }
    }
}

fn parameter(private: &TokenStream, param: &Param) -> TokenStream {
    let (wire, rust) = (&param.wire, param.rust.to_string());
    let probe = |ty: &syn::Type| {
        quote! {{
            use #private::{DescribeViaKind as _, DescribeViaNothing as _};
            (&&#private::DescribeProbe::<#ty>::new()).describe()
        }}
    };
    let describe = match &param.reads {
        Reads::Value(ty) => probe(ty),
        Reads::Slice(ty) => probe(&slice_as_set(ty)),
        Reads::Mirror(mirror, ty) => {
            let described = quote!(<#mirror as #private::contract::Mirror>::describe());
            if is_optional(value_type(ty)) {
                quote!(::core::option::Option::Some(#private::contract::optional(#described)))
            } else {
                quote!(::core::option::Option::Some(#described))
            }
        }
        Reads::Not(_) => quote!(::core::option::Option::None),
    };
    quote! {
        #private::decl::ParamDecl { name: #wire, rust_name: #rust, describe: || #describe }
    }
}

fn rule(private: &TokenStream, rule: &Rule) -> TokenStream {
    let (text, place) = (&rule.text, place(private, rule.places.start()));
    quote!(#private::decl::RuleDecl { text: #text, place: #place })
}
