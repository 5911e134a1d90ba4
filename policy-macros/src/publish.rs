//! `#[publish]` on an inherent impl, and `#[abac_policy]` on an impl.
//!
//! In: the attribute's tokens and the impl. Out: the impl with every method guarded, its dispatcher, its proxy. Absent: traits,
//! which `contract` publishes.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::{
    Attribute, FnArg, ImplItem, ItemImpl, ItemTrait, Receiver, ReceiverKind, Signature, TraitItem, Type, Visibility,
};

use crate::ast::{Function, Member, Members, Target, type_name};
use crate::attr::{ATTRIBUTES, CONTEXT, MethodAttr, Options, POLICY, PUBLISH, PolicyAttr, PublishAttr, is_ours};
use crate::contract;
use crate::expand::guard::Source;
use crate::expand::service;
use crate::fallback::quieted;
use crate::inputs::Around;
use crate::model::Service;
use crate::names::{camel_case, plain};
use crate::path::Krate;
use crate::policy::{RESOLVED, Subject, guard, joined, take_policies};
use crate::report::Sink;
use crate::service::method;
use crate::tokens::Rule;

/// Marks an attribute that was expanded already and only waits for `#[publish]`.
const MOVED: &str = "__moved";

/// Expands `#[publish(arguments)] item`.
pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut sink = Sink::default();
    let publish = PublishAttr::parse(arguments, &mut sink);
    let mut paths = Paths::default();
    let mut item = item;
    let (kept, mut beside) = match Target::parse(&item) {
        Ok(Target::Impl(members)) => {
            paths.collect(&members.head.attrs, &members.items);
            match members.head.trait_ {
                Some(_) => {
                    item = contract::marked(item);
                    contract::implementation(&publish, *members, &mut sink)
                }
                None => inherent(&publish, *members, &mut sink),
            }
        }
        Ok(Target::Trait(members)) => {
            paths.collect(&members.head.attrs, &members.items);
            contract::declared(&publish, *members, &mut sink)
        }
        Ok(Target::Function(function)) => {
            sink.at(function.sig.ident.span(), "`#[publish]` stands on the whole impl or trait, and makes its methods callable by name\nhelp: for a single function write `#[abac_policy(..)]` only");
            (None, TokenStream::new())
        }
        Ok(Target::Other(what, at)) => {
            sink.at(
                at,
                format!(
                    "`#[publish]` makes the methods of an impl or a trait callable by name; it publishes no {what}"
                ),
            );
            (None, TokenStream::new())
        }
        Err(error) => {
            sink.add(error);
            (None, TokenStream::new())
        }
    };
    beside.extend(paths.resolved());
    together(kept, &beside, item, sink)
}

/// The paths of policy attributes as the user wrote them, each once.
#[derive(Default)]
struct Paths(Vec<syn::Path>);

impl Paths {
    fn collect<I>(&mut self, own: &[Attribute], items: &[Member<I>]) {
        let methods =
            items.iter().filter_map(|item| if let Member::Function(f) = item { Some(&f.attrs) } else { None });
        for attribute in own.iter().chain(methods.flatten()).filter(|attribute| is_ours(attribute, POLICY)) {
            let moved = attribute.path().segments.first().is_some_and(|first| first.ident == MOVED);
            if !moved && !self.0.iter().any(|known| written(known) == written(attribute.path())) {
                self.0.push(attribute.path().clone());
            }
        }
    }

    fn resolved(&self) -> TokenStream {
        let (paths, word) = (&self.0, Ident::new(RESOLVED, Span::call_site()));
        quote!(#(#[#paths(#word)] const _: () = ();)*)
    }
}

/// The guarded item if nothing is wrong, else the item as it was; what is made beside it, either way.
fn together(kept: Option<TokenStream>, beside: &TokenStream, item: TokenStream, sink: Sink) -> TokenStream {
    let item = match kept {
        Some(guarded) if sink.is_clean() => guarded,
        _ => quieted(item),
    };
    let errors = sink.finish();
    quote!(#item #beside #errors)
}

/// A service whose methods are its own.
fn inherent(
    publish: &PublishAttr,
    mut members: Members<ItemImpl, ImplItem>,
    sink: &mut Sink,
) -> (Option<TokenStream>, TokenStream) {
    let Some(namespace) = namespace(publish, members.head.impl_token.span, sink) else {
        return (None, TokenStream::new());
    };
    if let Some(span) = publish.implementation {
        sink.at(span, "`impl` marks the implementation of a published trait, and this impl is of no trait");
    }
    no_conditional(&members.head.attrs, sink);
    let shared = take_policies(&mut members.head.attrs, sink);
    let ty = (*members.head.self_ty).clone();
    let Some(ident) = type_name(&ty).cloned() else {
        sink.under(&ty, "a published type has a name");
        return (None, TokenStream::new());
    };
    let shared = Shared::new(shared, sink);
    let name = publish.name.as_ref().map_or_else(|| plain(&ident), syn::LitStr::value);
    let around = Around { self_type: Some(&ty), generics: Some(&members.head.generics) };
    let krate = Krate::resolve(publish.krate.as_ref().or(shared.options.krate.as_ref()));
    let mut methods = Vec::new();
    for member in &mut members.items {
        let Member::Function(function) = member else { continue };
        let entry = Entry::take(function, sink);
        if entry.published {
            methods.extend(method(
                &function.sig,
                &function.attrs,
                entry.method.name.as_ref().map(syn::LitStr::value),
                entry.action(&name, function),
                around,
                sink,
            ));
        }
        if entry.published && entry.policies.is_empty() && shared.is_empty() {
            unguarded(&function.sig.ident, sink);
            continue;
        }
        if entry.policies.is_empty() && (shared.is_empty() || receiver(&function.sig).is_none()) {
            strip_context(&mut function.sig);
            continue;
        }
        let (rules, mut options) = shared.with(entry.policies, sink);
        options.krate = options.krate.or_else(|| publish.krate.clone());
        let id = options.action.as_ref().map_or_else(|| format!("{name}.{}", entry.wire), syn::LitStr::value);
        let subject = Subject {
            namespace: Some(namespace.clone()),
            id,
            owner: Some(ident.to_string()),
            service: Some(name.clone()),
            around,
        };
        guard(function, rules, options, &subject, &Source::Own, sink);
    }
    let service = Service {
        krate,
        namespace,
        name,
        version: publish.version.as_ref().map(syn::LitStr::value),
        at: ident.span(),
        methods: distinct(methods, sink),
    };
    let mut beside = service::inherent(&service, &ty, &members.head.generics);
    beside.extend(service::proxy(&service, &Visibility::Public(<syn::Token![pub]>::default())));
    (Some(members.into_token_stream()), beside)
}

/// Rules and options that stand on the impl or trait and hold for all its methods.
pub(crate) struct Shared {
    pub(crate) rules: Vec<Rule>,
    pub(crate) options: Options,
}

impl Shared {
    pub(crate) fn new(attributes: Vec<PolicyAttr>, sink: &mut Sink) -> Self {
        let (rules, options) = joined(attributes, sink);
        if let Some(action) = &options.action {
            sink.at(action.span(), "an action is named on its method, not on all of them");
        }
        if let Some(resource) = &options.resource {
            sink.at(resource.span(), "a resource is named on the method that has the parameter");
        }
        Self { rules, options }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.options.authenticated.is_none()
    }

    /// The rules of a method: the shared ones, then its own.
    pub(crate) fn with(&self, own: Vec<PolicyAttr>, sink: &mut Sink) -> (Vec<Rule>, Options) {
        let (mine, mut options) = joined(own, sink);
        let shared = self.options.clone();
        options.callers = options.callers.or(shared.callers);
        options.tier = options.tier.or(shared.tier);
        options.audit = options.audit.or(shared.audit);
        options.participant = options.participant.or(shared.participant);
        options.krate = options.krate.or(shared.krate);
        options.authenticated = options.authenticated.or(shared.authenticated);
        (self.rules.iter().cloned().chain(mine).collect(), options)
    }
}

/// What the attributes of one method say.
struct Entry {
    policies: Vec<PolicyAttr>,
    method: MethodAttr,
    /// Its name on the wire.
    wire: String,
    /// Whether it is callable by name.
    published: bool,
}

impl Entry {
    fn take(function: &mut Function, sink: &mut Sink) -> Self {
        let clean = no_conditional(&function.attrs, sink);
        let policies = take_policies(&mut function.attrs, sink);
        let method = MethodAttr::take(&mut function.attrs, sink);
        let wire = method.name.as_ref().map_or_else(|| camel_case(&plain(&function.sig.ident)), syn::LitStr::value);
        let public = matches!(function.vis, Visibility::Public(_));
        let receiver = receiver(&function.sig);
        let candidate = public && receiver.is_some() && method.skip.is_none();
        let shared = receiver.is_some_and(is_shared);
        if candidate && !shared {
            sink.at(
                function.sig.ident.span(),
                "a published method takes `&self`, since one service answers many callers at once\nhelp: keep what changes behind a lock, or mark the method `#[publish(skip, reason = \"..\")]`",
            );
        }
        Self { policies, method, wire, published: candidate && shared && clean }
    }

    fn action(&self, service: &str, function: &Function) -> String {
        let _ = function;
        let own = self.policies.iter().find_map(|policy| policy.options.action.as_ref());
        own.map_or_else(|| format!("{service}.{}", self.wire), syn::LitStr::value)
    }
}

pub(crate) fn receiver(sig: &Signature) -> Option<&Receiver> {
    sig.inputs.iter().find_map(|input| if let FnArg::Receiver(receiver) = input { Some(receiver) } else { None })
}

/// Whether a receiver is `&self`.
pub(crate) fn is_shared(receiver: &Receiver) -> bool {
    match &receiver.kind {
        ReceiverKind::Reference(_, _, mutability) => mutability.is_none(),
        ReceiverKind::Typed(_, ty) => {
            matches!(&**ty, Type::Reference(reference) if reference.mutability.is_none() && matches!(&*reference.elem, Type::Path(path) if path.path.is_ident("Self")))
        }
        _ => false,
    }
}

fn strip_context(sig: &mut Signature) {
    for input in &mut sig.inputs {
        if let FnArg::Typed(arg) = input {
            arg.attrs.retain(|attribute| ![CONTEXT, ATTRIBUTES].iter().any(|name| is_ours(attribute, name)));
        }
    }
}

pub(crate) fn unguarded(name: &Ident, sink: &mut Sink) {
    sink.at(
        name.span(),
        format!("`{name}` is published, and nothing says who may call it\nhelp: write `#[abac_policy(..)]` with a rule, `#[abac_policy(authenticated)]` for every participant whom the upper tiers let through, or `#[publish(skip, reason = \"..\")]`"),
    );
}

pub(crate) fn namespace(publish: &PublishAttr, at: Span, sink: &mut Sink) -> Option<String> {
    if publish.namespace.is_none() && sink.is_clean() {
        sink.at(at, "the service's namespace is missing\nhelp: write `#[publish(\"com.example\")]`");
    }
    publish.namespace.as_ref().map(syn::LitStr::value)
}

/// Refuses our attributes under `cfg_attr`, which would go by unseen.
pub(crate) fn no_conditional(attrs: &[Attribute], sink: &mut Sink) -> bool {
    let mut clean = true;
    for attribute in attrs.iter().filter(|attribute| attribute.path().is_ident("cfg_attr")) {
        let hidden = attribute.to_token_stream();
        if [POLICY, PUBLISH, CONTEXT].iter().any(|name| mentions(hidden.clone(), name)) {
            clean = false;
            sink.under(attribute, "an attribute of a published item cannot be conditional, since whether it holds is not seen here\nhelp: write it without `cfg_attr`; `#[cfg(..)]` on the whole method is fine");
        }
    }
    clean
}

fn mentions(stream: TokenStream, name: &str) -> bool {
    stream.into_iter().any(|token| match token {
        proc_macro2::TokenTree::Ident(word) => word == name,
        proc_macro2::TokenTree::Group(group) => mentions(group.stream(), name),
        proc_macro2::TokenTree::Punct(_) | proc_macro2::TokenTree::Literal(_) => false,
    })
}

/// Drops methods whose wire name another has already, and says so.
pub(crate) fn distinct(methods: Vec<crate::model::Method>, sink: &mut Sink) -> Vec<crate::model::Method> {
    let mut out: Vec<crate::model::Method> = Vec::new();
    for method in methods {
        // Under a `cfg` one of the two may be absent.
        let twin = out.iter().any(|other| other.wire == method.wire && other.cfgs.is_empty() && method.cfgs.is_empty());
        if twin {
            sink.at(
                method.ident.span(),
                format!(
                    "two methods are called `{}` on the wire\nhelp: write `#[publish(name = \"..\")]` on one",
                    method.wire
                ),
            );
        } else {
            out.push(method);
        }
    }
    out
}

/// Expands `#[abac_policy(arguments)]` on an impl.
pub(crate) fn policy_on_impl(
    arguments: &TokenStream,
    first: PolicyAttr,
    mut members: Members<ItemImpl, ImplItem>,
    item: TokenStream,
    mut sink: Sink,
) -> TokenStream {
    if let Some(moved) = below_publish(arguments, &mut members.head.attrs) {
        members.head.attrs = moved;
        drop(sink.finish());
        return members.into_token_stream();
    }
    let mut attributes = vec![first];
    attributes.extend(take_policies(&mut members.head.attrs, &mut sink));
    let shared = Shared::new(attributes, &mut sink);
    let ty = (*members.head.self_ty).clone();
    let Some(ident) = type_name(&ty).cloned() else {
        sink.under(&ty, "a guarded type has a name");
        return together(None, &TokenStream::new(), item, sink);
    };
    let owner = match &members.head.trait_ {
        Some((path, _)) => {
            path.segments.last().map_or_else(|| ident.to_string(), |last| format!("{ident} as {}", last.ident))
        }
        None => ident.to_string(),
    };
    let around = Around { self_type: Some(&ty), generics: Some(&members.head.generics) };
    for member in &mut members.items {
        let Member::Function(function) = member else { continue };
        let policies = take_policies(&mut function.attrs, &mut sink);
        // What has no receiver makes a value and is no method of one.
        if policies.is_empty() && receiver(&function.sig).is_none() {
            continue;
        }
        let (rules, options) = shared.with(policies, &mut sink);
        let default = || format!("{}.{}", plain(&ident), camel_case(&plain(&function.sig.ident)));
        let id = options.action.as_ref().map_or_else(default, syn::LitStr::value);
        let subject = Subject { namespace: None, id, owner: Some(owner.clone()), service: None, around };
        guard(function, rules, options, &subject, &Source::Own, &mut sink);
    }
    together(Some(members.into_token_stream()), &TokenStream::new(), item, sink)
}

/// Expands `#[abac_policy(arguments)]` on a trait.
pub(crate) fn policy_on_trait(
    arguments: &TokenStream,
    mut members: Members<ItemTrait, TraitItem>,
    item: TokenStream,
    mut sink: Sink,
) -> TokenStream {
    if let Some(moved) = below_publish(arguments, &mut members.head.attrs) {
        members.head.attrs = moved;
        drop(sink.finish());
        return members.into_token_stream();
    }
    sink.at(
        members.head.trait_token.span,
        "a trait has no bodies that could be guarded\nhelp: write `#[publish(\"com.example\")]` above it, so that its implementations are guarded, or put the attribute on the impl",
    );
    together(None, &TokenStream::new(), item, sink)
}

/// Where `#[publish]` follows, it does the work: the attributes, with ours behind it.
fn below_publish(arguments: &TokenStream, attrs: &mut Vec<Attribute>) -> Option<Vec<Attribute>> {
    let at = attrs.iter().position(|attribute| is_ours(attribute, PUBLISH))?;
    let mut moved = std::mem::take(attrs);
    let mark = Ident::new(MOVED, Span::call_site());
    moved.insert(at + 1, syn::parse_quote!(#[#mark::abac_policy(#arguments)]));
    Some(moved)
}

impl<I: ToTokens> ToTokens for Members<ItemImpl, I> {
    fn to_tokens(&self, out: &mut TokenStream) {
        with_items(self.head.to_token_stream(), self.braces, &self.items, out);
    }
}

impl<I: ToTokens> ToTokens for Members<ItemTrait, I> {
    fn to_tokens(&self, out: &mut TokenStream) {
        with_items(self.head.to_token_stream(), self.braces, &self.items, out);
    }
}

/// Fills the empty braces of a head.
fn with_items<I: ToTokens>(head: TokenStream, braces: Span, items: &[Member<I>], out: &mut TokenStream) {
    let mut tokens: Vec<proc_macro2::TokenTree> = head.into_iter().collect();
    if let Some(proc_macro2::TokenTree::Group(group)) = tokens.pop() {
        let mut stream = group.stream();
        for item in items {
            item.to_tokens(&mut stream);
        }
        let mut filled = proc_macro2::Group::new(group.delimiter(), stream);
        filled.set_span(braces);
        tokens.push(filled.into());
    }
    out.extend(tokens);
}

fn written(path: &syn::Path) -> String {
    path.to_token_stream().to_string()
}
