//! A published service: its declaration, its dispatcher and its proxy.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{Generics, Type, Visibility};

use super::action::place;
use super::attributes::quiet;
use super::local;
use crate::model::{Argument, Method, Reply, Service, Value};
use crate::names::plain;

/// The service's declaration, as an expression that a `static` can hold.
pub(crate) fn declaration(service: &Service) -> TokenStream {
    let private = service.krate.private();
    let Service { namespace, name, at, .. } = service;
    let version = match &service.version {
        Some(version) => quote!(::core::option::Option::Some(#version)),
        None => quote!(::core::option::Option::None),
    };
    let place = place(&private, *at);
    let methods = service.methods.iter().map(|method| {
        let Method { cfgs, wire, action, .. } = method;
        let rust = plain(&method.ident);
        let streaming = matches!(method.reply, Reply::Stream { .. });
        let arguments = values(method).map(|value| &value.wire);
        quote! {
            #(#cfgs)*
            #private::decl::MethodDecl {
                name: #wire,
                rust_name: #rust,
                action: #action,
                arguments: &[#(#arguments),*],
                streaming: #streaming,
            }
        }
    });
    quote! {
        #private::decl::ServiceDecl {
            package: ::core::env!("CARGO_PKG_NAME"),
            namespace: #namespace,
            name: #name,
            version: #version,
            place: #place,
            methods: &[#(#methods),*],
        }
    }
}

/// `impl Service` for a type whose own methods are published.
pub(crate) fn inherent(service: &Service, ty: &Type, generics: &Generics) -> TokenStream {
    let (private, api) = (service.krate.private(), service.krate.service());
    let declaration = declaration(service);
    let (method, arguments, context) = (local("method"), local("arguments"), local("context"));
    let dispatch = dispatch(service, &quote!(Self), &method, &arguments, &context);
    let (of, _, _) = generics.split_for_impl();
    let clause = clause(&quote!(#ty), generics);
    quote! {
        const _: () = {
            static __SERVICE: #private::decl::ServiceDecl = #declaration;
            #private::register! { service &__SERVICE }

            #[automatically_derived]
            impl #of #api::Service for #ty #clause {
                fn declaration(&self) -> &'static #private::decl::ServiceDecl {
                    &__SERVICE
                }

                fn call(
                    self: ::std::sync::Arc<Self>,
                    #method: &::core::primitive::str,
                    #arguments: #private::Arguments,
                    #context: #private::SecurityContext,
                ) -> #private::CallFuture {
                    #dispatch
                }
            }
        };
    }
}

/// `impl Service` for a type that implements a published trait.
pub(crate) fn of_trait(
    krate: &crate::path::Krate,
    ty: &Type,
    contract: &syn::Path,
    generics: &Generics,
) -> TokenStream {
    let (private, api) = (krate.private(), krate.service());
    let (of, _, _) = generics.split_for_impl();
    let clause = clause(&quote!(#ty), generics);
    quote! {
        #[automatically_derived]
        impl #of #api::Service for #ty #clause {
            fn declaration(&self) -> &'static #private::decl::ServiceDecl {
                <Self as #contract>::__service()
            }

            fn call(
                self: ::std::sync::Arc<Self>,
                method: &::core::primitive::str,
                arguments: #private::Arguments,
                context: #private::SecurityContext,
            ) -> #private::CallFuture {
                <Self as #contract>::__call(self, method, arguments, context)
            }
        }
    }
}

/// A generic type is a service where it can be shared between threads; another simply must be.
fn clause(ty: &TokenStream, generics: &Generics) -> TokenStream {
    let mut generics = generics.clone();
    if generics.params.is_empty() {
        return quote!();
    }
    let bound = quote!(#ty: ::core::marker::Send + ::core::marker::Sync + 'static);
    generics.make_where_clause().predicates.push(syn::parse_quote!(#bound));
    let clause = &generics.where_clause;
    quote!(#clause)
}

/// The body of a dispatcher: from a method's name to its future.
pub(crate) fn dispatch(
    service: &Service,
    owner: &TokenStream,
    method: &Ident,
    arguments: &Ident,
    context: &Ident,
) -> TokenStream {
    let private = service.krate.private();
    let full = format!("{}.{}", service.namespace, service.name);
    let arms = service.methods.iter().map(|m| {
        let (cfgs, wire) = (&m.cfgs, &m.wire);
        let call = call(&private, owner, m, arguments, context);
        quote! {
            #(#cfgs)*
            #wire => ::std::boxed::Box::pin(async move { #call }),
        }
    });
    let error = local("error");
    quote! {
        match #method {
            #(#arms)*
            #method => {
                let #error = #private::CallError::unknown_method(#full, #method);
                ::std::boxed::Box::pin(async move { ::core::result::Result::Err(#error) })
            }
        }
    }
}

fn call(
    private: &TokenStream,
    owner: &TokenStream,
    method: &Method,
    arguments: &Ident,
    context: &Ident,
) -> TokenStream {
    let count = values(method).count();
    let mut decode = TokenStream::new();
    let mut passed: Vec<TokenStream> = Vec::new();
    let mut index = 0usize;
    for argument in &method.arguments {
        match argument {
            Argument::Context { lent: true } => passed.push(quote!(&#context)),
            Argument::Context { lent: false } => passed.push(quote!(::core::clone::Clone::clone(&#context))),
            Argument::Value(value) => {
                let (name, ty, wire) =
                    (format_ident!("a{index}", span = proc_macro2::Span::mixed_site()), &value.decoded, &value.wire);
                decode.extend(quote!(let #name = #private::Arguments::take::<#ty>(&#arguments, #index, #wire)?;));
                passed.push(if value.lent { quote!(&#name) } else { quote!(#name) });
                index += 1;
            }
        }
    }
    let (this, name) = (quote!(&self), &method.ident);
    let awaited = method.awaited.then(|| quote!(.await));
    let (outcome, given, error) = (local("outcome"), local("given"), local("error"));
    let reply = match &method.reply {
        Reply::Nothing => quote!({
            let () = #given;
            ::core::result::Result::Ok(#private::Reply::Nothing)
        }),
        Reply::Value(_) => quote!(#private::Reply::value(&#given)),
        Reply::Stream { fallible: true, .. } => {
            quote!(::core::result::Result::Ok(#private::Reply::stream(#private::in_context(&#context, #given))))
        }
        Reply::Stream { fallible: false, .. } => {
            quote!(::core::result::Result::Ok(#private::Reply::values(#private::in_context(&#context, #given))))
        }
    };
    let at = method.ident.span();
    let refusal = quote!({
        use #private::{DeniedInError as _, NoDeniedInError as _};
        (&&#private::ErrorProbe(&#error)).denied()
    });
    let failed = quote_spanned!(at=> #private::call_error(&#context, &#error, #refusal));
    quote! {
        #private::Arguments::expect(&#arguments, #count)?;
        #decode
        let #outcome = #private::SecurityContext::scope(&#context, async {
            <#owner>::#name(#this, #(#passed),*) #awaited
        })
        .await;
        match #outcome {
            ::core::result::Result::Ok(#given) => #reply,
            ::core::result::Result::Err(#error) => ::core::result::Result::Err(#failed),
        }
    }
}

/// The typed proxy: the same methods, called elsewhere.
pub(crate) fn proxy(service: &Service, vis: &Visibility) -> TokenStream {
    let (private, api) = (service.krate.private(), service.krate.service());
    let name = format_ident!("{}Proxy", service.name, span = service.at);
    let full = format!("{}.{}", service.namespace, service.name);
    let summary = format!("Calls `{full}` elsewhere: what answers is a server, through an [`Invoke`].");
    let link = format!("\n[`Invoke`]: {}::Invoke", api.to_string().replace(' ', "").trim_start_matches("::"));
    let methods = service.methods.iter().map(|method| proxy_method(&private, &full, method));
    let quiet = quiet();
    quote! {
        #quiet
        #[doc = #summary]
        #[doc = #link]
        #[derive(::core::clone::Clone)]
        #vis struct #name {
            invoke: ::std::sync::Arc<dyn #api::Invoke>,
        }

        #quiet
        #[automatically_derived]
        impl #name {
            /// Makes a proxy that calls through `invoke`.
            pub fn new(invoke: ::std::sync::Arc<dyn #api::Invoke>) -> Self {
                Self { invoke }
            }

            #(#methods)*
        }
    }
}

fn proxy_method(private: &TokenStream, service: &str, method: &Method) -> TokenStream {
    let Method { cfgs, ident, wire, .. } = method;
    let parameters = values(method).map(|value| {
        let (name, ty) = (&value.rust, &value.ty);
        quote!(#name: #ty)
    });
    let sent: Vec<&Type> = values(method).map(|value| &value.sent).collect();
    let encoded = values(method).map(|value| {
        let (name, ty, lent) = (&value.rust, &value.sent, if value.lent { quote!() } else { quote!(&) });
        quote!(<#ty as #private::Sent<'wire>>::encode(#lent #name)?)
    });
    let body = quote!(#private::encode_all(&[#(#encoded),*]));
    let error = quote!(#private::CallError);
    let doc = format!("Calls `{wire}`.");
    // The lifetime keeps rustc from asking for the bounds where nobody calls: a server need not decode what it sends.
    match &method.reply {
        Reply::Stream { item, .. } => quote! {
            #(#cfgs)*
            #[doc = #doc]
            pub fn #ident<'wire>(&self, #(#parameters),*) -> ::core::result::Result<#private::Values<#item>, #error>
            where
                #(#sent: #private::Sent<'wire>,)*
                #item: #private::Received<'wire>,
            {
                ::core::result::Result::Ok(#private::values(
                    #private::Invoke::invoke_stream(&*self.invoke, #service, #wire, #body),
                    <#item as #private::Received<'wire>>::decode,
                ))
            }
        },
        reply => {
            let (ty, bound, decode) = match reply {
                Reply::Value(ty) => (
                    quote!(#ty),
                    quote!(#ty: #private::Received<'wire>,),
                    quote!(<#ty as #private::Received<'wire>>::decode),
                ),
                Reply::Nothing | Reply::Stream { .. } => (quote!(()), quote!(), quote!(#private::decode_nothing)),
            };
            quote! {
                #(#cfgs)*
                #[doc = #doc]
                pub async fn #ident<'wire>(&self, #(#parameters),*) -> ::core::result::Result<#ty, #error>
                where
                    #(#sent: #private::Sent<'wire>,)*
                    #bound
                {
                    #decode(&#private::Invoke::invoke(&*self.invoke, #service, #wire, #body).await?)
                }
            }
        }
    }
}

fn values(method: &Method) -> impl Iterator<Item = &Value> {
    method.arguments.iter().filter_map(|argument| match argument {
        Argument::Value(value) => Some(&**value),
        Argument::Context { .. } => None,
    })
}
