//! `#[publish]` on a trait, and `#[publish(impl)]` on its implementation.
//!
//! In: a trait that says who may call what, apart from any server; an impl of it. Out: the trait with its guards, dispatcher and
//! proxy; the impl with its methods guarded by the trait's guards.

use proc_macro2::{Group, Ident, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::{FnArg, ImplItem, ItemImpl, ItemTrait, Pat, ReturnType, TraitItem};

use crate::ast::{Function, Member, Members, type_name};
use crate::attr::{MethodAttr, PublishAttr};
use crate::expand::guard::{self, Source};
use crate::expand::{local, service};
use crate::inputs::{Around, Inputs};
use crate::model::{Action, Method, Service};
use crate::names::{camel_case, plain};
use crate::path::Krate;
use crate::policy::{Subject, action, future_output, policy_doc, take_policies};
use crate::publish::{Shared, distinct, is_shared, namespace, no_conditional, receiver, unguarded};
use crate::report::Sink;
use crate::service::method;

/// What every implementation must have, so that one without `#[publish(impl)]` does not compile.
const MARK: &str = "__write_publish_impl_above_this_impl";

/// A published trait.
pub(crate) fn declared(
    publish: &PublishAttr,
    mut members: Members<ItemTrait, TraitItem>,
    sink: &mut Sink,
) -> (Option<TokenStream>, TokenStream) {
    let Some(namespace) = namespace(publish, members.head.trait_token.span, sink) else {
        return (None, TokenStream::new());
    };
    if let Some(span) = publish.implementation {
        sink.at(span, "`impl` marks the implementation of a published trait, and this is the trait");
    }
    if !members.head.generics.params.is_empty() {
        sink.under(&members.head.generics, "a published trait has no parameters, since its methods are called by name");
    }
    no_conditional(&members.head.attrs, sink);
    let attributes = take_policies(&mut members.head.attrs, sink);
    let shared = Shared::new(attributes, sink);
    let ident = members.head.ident.clone();
    let name = publish.name.as_ref().map_or_else(|| plain(&ident), syn::LitStr::value);
    let boxed = members.head.attrs.iter().any(|attribute| crate::attr::is_ours(attribute, "async_trait"));
    let krate = Krate::resolve(publish.krate.as_ref().or(shared.options.krate.as_ref()));
    let (mut methods, mut hidden) = (Vec::new(), TokenStream::new());
    for member in &mut members.items {
        let Member::Function(function) = member else { continue };
        let found = declared_method(function, publish, &namespace, &name, &shared, sink);
        if let Some((found, guard)) = found {
            methods.extend(found);
            hidden.extend(guard);
        }
        if !boxed {
            send(function);
        }
    }
    let service = Service {
        krate: krate.clone(),
        namespace,
        name,
        version: publish.version.as_ref().map(syn::LitStr::value),
        at: ident.span(),
        methods: distinct(methods, sink),
    };
    let private = krate.private();
    hidden.extend(dispatcher(&service, &private));
    members.items.push(Member::Other(TraitItem::Verbatim(quote!(#private::engine! { #hidden }))));
    let proxy = service::proxy(&service, &members.head.vis);
    (Some(members.into_token_stream()), proxy)
}

fn declared_method(
    function: &mut Function,
    publish: &PublishAttr,
    namespace: &str,
    name: &str,
    shared: &Shared,
    sink: &mut Sink,
) -> Option<(Option<Method>, TokenStream)> {
    let ident = function.sig.ident.clone();
    no_conditional(&function.attrs, sink);
    let policies = take_policies(&mut function.attrs, sink);
    let own = MethodAttr::take(&mut function.attrs, sink);
    if function.body.is_some() {
        sink.at(ident.span(), "a published trait has no default methods: an implementation could have one that nothing guards\nhelp: leave the body to the implementations, or put the method into a trait of its own");
        return None;
    }
    if !receiver(&function.sig).is_some_and(is_shared) {
        sink.at(ident.span(), "a published method takes `&self`, since one service answers many callers at once");
        return None;
    }
    if policies.is_empty() && shared.is_empty() {
        if own.skip.is_none() {
            unguarded(&ident, sink);
        }
        return None;
    }
    let (rules, mut options) = shared.with(policies, sink);
    options.krate = options.krate.or_else(|| publish.krate.clone());
    let wire = own.name.as_ref().map_or_else(|| camel_case(&plain(&ident)), syn::LitStr::value);
    let id = options.action.as_ref().map_or_else(|| format!("{name}.{wire}"), syn::LitStr::value);
    if let ReturnType::Default = function.sig.output {
        sink.at(
            ident.span(),
            "a guarded function returns `Result<_, E>` with `E: From<Denied>`: a refusal has no way out of this one",
        );
        return None;
    }
    let published = own
        .skip
        .is_none()
        .then(|| method(&function.sig, &function.attrs, Some(wire), id.clone(), Around::default(), sink))
        .flatten();
    let around = Around::default();
    let inputs = Inputs::take(&mut function.sig, around, sink);
    let subject = Subject {
        namespace: Some(namespace.to_owned()),
        id,
        owner: Some(name.to_owned()),
        service: Some(name.to_owned()),
        around,
    };
    let action = action(function, rules, options, &subject, inputs.params, sink)?;
    function.attrs.push(policy_doc(&action));
    Some((published, hidden_guard(function, &action)))
}

/// The guard of a method, as a function of the trait: the implementation's crate calls it.
fn hidden_guard(function: &Function, action: &Action) -> TokenStream {
    let private = action.krate.private();
    let name = guard_name(&function.sig.ident);
    let names = names_of(&function.sig.ident);
    let caller = local("caller");
    let asked = guard::asked(action, &quote!(#caller));
    let params = function.sig.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(arg) => {
            let Pat::Ident(pat) = &*arg.pat else { return None };
            let known = action.params.iter().any(|param| param.rust == pat.ident);
            known.then(|| (pat.ident.clone(), (*arg.ty).clone()))
        }
        FnArg::Receiver(_) => None,
    });
    let (idents, types): (Vec<_>, Vec<_>) = params.unzip();
    let (namespace, id, full) = crate::expand::action::names(action);
    let generics = &function.sig.generics;
    quote! {
        #[doc(hidden)]
        #[allow(non_upper_case_globals)]
        const #names: (&'static ::core::primitive::str, &'static ::core::primitive::str, &'static ::core::primitive::str) =
            (#namespace, #id, #full);

        #[doc(hidden)]
        fn #name #generics (
            #caller: ::core::option::Option<&#private::SecurityContext>,
            #(#idents: &#types,)*
        ) -> ::core::result::Result<#private::Permit, #private::Denied>
        where
            Self: ::core::marker::Sized,
        {
            #asked
        }
    }
}

fn guard_name(method: &Ident) -> Ident {
    format_ident!("__guard_{}", plain(method))
}

fn names_of(method: &Ident) -> Ident {
    format_ident!("__ACTION_{}", plain(method))
}

fn dispatcher(service: &Service, private: &TokenStream) -> TokenStream {
    let declaration = service::declaration(service);
    let (method, arguments, context) = (local("method"), local("arguments"), local("context"));
    let dispatch = service::dispatch(service, &quote!(Self), &method, &arguments, &context);
    let mark = format_ident!("{MARK}");
    quote! {
        #[doc(hidden)]
        fn #mark() where Self: ::core::marker::Sized;

        #[doc(hidden)]
        fn __service() -> &'static #private::decl::ServiceDecl where Self: ::core::marker::Sized {
            static __SERVICE: #private::decl::ServiceDecl = #declaration;
            #private::register! { service &__SERVICE }
            &__SERVICE
        }

        #[doc(hidden)]
        fn __call(
            self: ::std::sync::Arc<Self>,
            #method: &::core::primitive::str,
            #arguments: #private::Arguments,
            #context: #private::SecurityContext,
        ) -> #private::CallFuture
        where
            Self: ::core::marker::Sized + ::core::marker::Send + ::core::marker::Sync + 'static,
        {
            #dispatch
        }
    }
}

/// `async fn f() -> R` as a function whose future can move between threads, so that a dispatcher can call it.
fn send(function: &mut Function) {
    if function.sig.asyncness.take().is_none() {
        return;
    }
    if let ReturnType::Type(arrow, ty) = &function.sig.output {
        function.sig.output = ReturnType::Type(
            *arrow,
            syn::parse_quote!(impl ::core::future::Future<Output = #ty> + ::core::marker::Send),
        );
    }
}

/// The implementation of a published trait.
pub(crate) fn implementation(
    publish: &PublishAttr,
    mut members: Members<ItemImpl, ImplItem>,
    sink: &mut Sink,
) -> (Option<TokenStream>, TokenStream) {
    let Some((contract, _)) = members.head.trait_.clone() else { return (None, TokenStream::new()) };
    if let Some(namespace) = &publish.namespace {
        sink.at(
            namespace.span(),
            "a trait is published where it is declared, with its namespace\nhelp: here write `#[publish(impl)]`",
        );
    } else if publish.implementation.is_none() {
        sink.under(&contract, "on the implementation of a published trait write `#[publish(impl)]`");
    }
    no_conditional(&members.head.attrs, sink);
    let attributes = take_policies(&mut members.head.attrs, sink);
    let shared = Shared::new(attributes, sink);
    let ty = (*members.head.self_ty).clone();
    let krate = Krate::resolve(publish.krate.as_ref().or(shared.options.krate.as_ref()));
    let around = Around { self_type: Some(&ty), generics: Some(&members.head.generics) };
    let generic = !members.head.generics.params.is_empty();
    for member in &mut members.items {
        let Member::Function(function) = member else { continue };
        no_conditional(&function.attrs, sink);
        let mut policies = take_policies(&mut function.attrs, sink);
        let own = MethodAttr::take(&mut function.attrs, sink);
        if let Some(span) = own.skip.or_else(|| own.name.as_ref().map(syn::LitStr::span)) {
            sink.at(span, "what is callable by name, and by which, the trait says");
        }
        for policy in &mut policies {
            if let Some(action) = policy.options.action.take() {
                sink.at(action.span(), "the action's name stands on the trait's method");
            }
        }
        let (rules, mut options) = shared.with(policies, sink);
        if let Some(rule) = rules.first().filter(|_| generic) {
            sink.at(rule.places.start(), "the implementation is generic, and a rule needs a type that is known here\nhelp: write the rule on the trait");
        }
        options.krate = options.krate.or_else(|| publish.krate.clone());
        // With no rule of its own the method has the trait's only.
        options.authenticated = options.authenticated.or_else(|| rules.is_empty().then(|| function.sig.ident.span()));
        for input in &function.sig.inputs {
            if let FnArg::Typed(arg) = input
                && !matches!(&*arg.pat, Pat::Ident(_))
                && !returns_future(&function.sig.output)
            {
                sink.under(&arg.pat, "in the implementation of a published trait a parameter is a plain name, which the guard can lend to the trait's policy");
            }
        }
        let name = type_name(&ty).map(plain).unwrap_or_default();
        let subject = Subject { namespace: None, id: String::new(), owner: Some(name), service: None, around };
        let extra = !rules.is_empty();
        let (guard, names) = (guard_name(&function.sig.ident), names_of(&function.sig.ident));
        let source = Source::Contract {
            guard: quote!(<Self as #contract>::#guard),
            names: extra.then(|| quote!(<#ty as #contract>::#names)),
        };
        crate::policy::guard(function, rules, options, &subject, &source, sink);
    }
    let mark = format_ident!("{MARK}");
    members.items.push(Member::Other(ImplItem::Verbatim(quote!(fn #mark() {}))));
    let beside = service::of_trait(&krate, &ty, &contract, &members.head.generics);
    (Some(members.into_token_stream()), beside)
}

/// An implementation with its mark, for where it cannot be guarded: its errors are enough.
pub(crate) fn marked(item: TokenStream) -> TokenStream {
    let mark = format_ident!("{MARK}");
    let mut tokens: Vec<TokenTree> = item.into_iter().collect();
    if let Some(TokenTree::Group(body)) = tokens.pop() {
        let stream = body.stream();
        let mut filled = Group::new(body.delimiter(), quote!(#stream fn #mark() {}));
        filled.set_span(body.span());
        tokens.push(filled.into());
    }
    tokens.into_iter().collect()
}

/// Whether a method returns a future by itself.
fn returns_future(output: &ReturnType) -> bool {
    matches!(output, ReturnType::Type(_, ty) if future_output(ty).is_some())
}
