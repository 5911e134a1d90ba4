//! `#[abac_policy]` on a function or an impl.
//!
//! In: the attribute's tokens and the item. Out: the guarded item. Absent: `#[publish]`, which guards its methods itself.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::spanned::Spanned;
use syn::{Attribute, FnArg, GenericArgument, PathArguments, ReturnType, Type, TypeParamBound};

use crate::ast::{Function, Target};
use crate::attr::{self, Options, POLICY, PolicyAttr, TierName, is_ours, listed};
use crate::expand::guard::{Flow, Source, guarded, makes_future, rebindings};
use crate::fallback::quieted;
use crate::inputs::{Around, Inputs, ungrouped, value_type};
use crate::model::{Action, Param, Reads, Resource};
use crate::names::{camel_case, plain};
use crate::path::Krate;
use crate::report::Sink;
use crate::tokens::Rule;
use crate::validate::check_roots;

/// What `#[publish]` leaves in the place of attributes that it has read: rustc resolves their paths, and sees them used.
pub(crate) const RESOLVED: &str = "__resolved";

/// Expands `#[abac_policy(arguments)] item`.
pub(crate) fn expand(arguments: &TokenStream, item: TokenStream) -> TokenStream {
    if arguments.to_string() == RESOLVED {
        return TokenStream::new();
    }
    let mut sink = Sink::default();
    let mut first = PolicyAttr::parse(arguments.clone(), Span::call_site(), None, &mut sink);
    // Names of operations are for entities; on a struct the item is what is wrong.
    let out = match Target::parse(&item) {
        Ok(Target::Function(mut function)) => {
            let mut own = vec![std::mem::take(&mut first)];
            own.extend(take_policies(&mut function.attrs, &mut sink));
            free(&mut function, own, &mut sink).then(|| function.to_token_stream())
        }
        Ok(Target::Impl(members)) => return crate::publish::policy_on_impl(arguments, first, *members, item, sink),
        Ok(Target::Trait(members)) => return crate::publish::policy_on_trait(arguments, *members, item, sink),
        Ok(Target::Other(what, at)) => {
            let mut sink_for_item = Sink::default();
            sink_for_item.at(at, unguardable(what));
            // What the attribute says matters less than where it stands.
            drop(sink.finish());
            sink = sink_for_item;
            None
        }
        Err(error) => {
            sink.add(error);
            None
        }
    };
    match out {
        Some(out) if sink.is_clean() => out,
        _ => {
            let (item, errors) = (quieted(item), sink.finish());
            quote!(#item #errors)
        }
    }
}

fn unguardable(what: &str) -> String {
    match what {
        "struct" => {
            "`#[abac_policy]` on a struct is a rule of an entity: put `#[derive(Entity)]` above it, and write it without a path\nhelp: for attributes that rules of other items read, write `#[derive(Attributes)]` and no policy".to_owned()
        }
        _ => format!(
            "`#[abac_policy]` guards functions, methods, impls and entities, but no {what}\nhelp: put it on the functions that use this {what}"
        ),
    }
}

/// Takes the policy attributes off an item and reads them.
pub(crate) fn take_policies(attrs: &mut Vec<Attribute>, sink: &mut Sink) -> Vec<PolicyAttr> {
    let (ours, others) = std::mem::take(attrs).into_iter().partition(|attribute| is_ours(attribute, POLICY));
    *attrs = others;
    let ours: Vec<Attribute> = ours;
    ours.iter()
        .filter_map(|attribute| {
            let arguments = attr::arguments(attribute, sink)?;
            Some(PolicyAttr::parse(arguments, attr::place(attribute), None, sink))
        })
        .collect()
}

/// Joins attributes by AND: their rules in order, their options together.
pub(crate) fn joined(attributes: Vec<PolicyAttr>, sink: &mut Sink) -> (Vec<Rule>, Options) {
    let (mut rules, mut options) = (Vec::new(), Options::default());
    for attribute in attributes {
        rules.extend(attribute.rule.and_then(|source| Rule::parse(&source, sink)));
        options.merge(attribute.options, sink);
    }
    (rules, options)
}

/// Guards a function or method by itself; `false` when it cannot be.
fn free(function: &mut Function, attributes: Vec<PolicyAttr>, sink: &mut Sink) -> bool {
    let (rules, options) = joined(attributes, sink);
    let method = function.sig.inputs.iter().any(|input| matches!(input, FnArg::Receiver(_)));
    if method && options.action.is_none() && sink.is_clean() {
        let name = camel_case(&plain(&function.sig.ident));
        sink.at(
            function.sig.ident.span(),
            format!("a method's policy needs the name of its action, since its type is not seen here\nhelp: add `action = \"Type.{name}\"`, or write `#[publish(\"com.example\")]` or the `#[abac_policy(..)]` on the impl"),
        );
    }
    let id = options.action.as_ref().map_or_else(|| plain(&function.sig.ident), syn::LitStr::value);
    let subject = Subject { namespace: None, id, owner: None, service: None, around: Around::default() };
    guard(function, rules, options, &subject, &Source::Own, sink)
}

/// What a function is beyond its signature.
pub(crate) struct Subject<'a> {
    pub(crate) namespace: Option<String>,
    pub(crate) id: String,
    /// The type it belongs to.
    pub(crate) owner: Option<String>,
    /// The published service it belongs to.
    pub(crate) service: Option<String>,
    pub(crate) around: Around<'a>,
}

/// Checks and guards a function; `false` when something is wrong, which the sink then says.
pub(crate) fn guard(
    function: &mut Function,
    rules: Vec<Rule>,
    options: Options,
    subject: &Subject<'_>,
    source: &Source,
    sink: &mut Sink,
) -> bool {
    let Some(body) = &function.body else {
        sink.at(
            function.sig.ident.span(),
            "a function without a body cannot be guarded\nhelp: put the attribute on its implementation, or `#[publish(\"com.example\")]` on the trait",
        );
        return false;
    };
    let flow = flow(function, &body.tokens, options.audit, sink);
    let moved = if matches!(flow, Some(Flow::Boxed(_))) { rebindings(&body.tokens) } else { Vec::new() };
    let mut seen = function.sig.clone();
    for input in &mut seen.inputs {
        if let FnArg::Typed(arg) = input
            && let Some((_, pat)) =
                moved.iter().find(|(name, _)| matches!(&*arg.pat, syn::Pat::Ident(p) if p.ident == *name))
        {
            *arg.pat = pat.clone();
        }
    }
    let inputs = Inputs::take(&mut seen, subject.around, sink);
    let mut sig_sink = Sink::default();
    Inputs::take(&mut function.sig, subject.around, &mut sig_sink);
    drop(sig_sink.finish());
    let Some(mut action) = action(function, rules, options, subject, inputs.params, sink) else { return false };
    if let Source::Contract { names, .. } = source {
        action.names.clone_from(names);
    }
    let Some(flow) = flow else { return false };
    if !sink.is_clean() {
        return false;
    }
    if !action.rules.is_empty() || !matches!(source, Source::Contract { .. }) {
        function.attrs.push(policy_doc(&action));
    }
    guarded(function, &action, &flow, inputs.context.as_ref(), source);
    true
}

/// Makes the action of a function.
pub(crate) fn action(
    function: &Function,
    rules: Vec<Rule>,
    options: Options,
    subject: &Subject<'_>,
    params: Vec<Param>,
    sink: &mut Sink,
) -> Option<Action> {
    let ident = &function.sig.ident;
    if rules.is_empty() && options.authenticated.is_none() && sink.is_clean() {
        sink.at(
            ident.span(),
            "options alone guard nothing\nhelp: write a rule, or `authenticated` for every participant whom the upper tiers let through",
        );
    }
    let function_name = plain(ident);
    let resource = match (&options.resource, &subject.service) {
        (Some(name), _) => resource(name, &params, sink)?,
        (None, Some(service)) => Resource::Service(service.clone()),
        (None, None) => Resource::Scope,
    };
    let organization = organization(&options, &params, sink);
    let action = Action {
        krate: Krate::resolve(options.krate.as_ref()),
        namespace: subject.namespace.clone(),
        id: subject.id.clone(),
        function: subject.owner.as_ref().map_or(function_name.clone(), |owner| format!("{owner}::{function_name}")),
        at: ident.span(),
        was: options.was.iter().map(syn::LitStr::value).collect(),
        tier: options.tier.map_or(TierName::Application, |(_, tier)| tier),
        callers: options.callers.map_or_else(|| vec![TierName::Application], |(_, callers)| callers),
        organization,
        must_audit: options.audit.is_some(),
        participant: options.participant,
        resource,
        params,
        authenticated: rules.is_empty(),
        rules,
        names: None,
    };
    for rule in &action.rules {
        check_roots(rule, &action.roots(), sink);
    }
    Some(action)
}

/// The place of the parameter that names the organization.
fn organization(options: &Options, params: &[Param], sink: &mut Sink) -> Option<u16> {
    let name = options.organization.as_ref()?;
    if !matches!(options.tier, Some((_, TierName::Organization))) {
        sink.at(name.span(), "`organization` names the organization of a service with `tier = organization`, for callers of the System tier");
        return None;
    }
    let at = params.iter().position(|param| param.rust == *name || name == &param.wire);
    match at.and_then(|at| Some((at, params.get(at)?))) {
        Some((at, Param { reads: Reads::Value(_), .. })) => u16::try_from(at).ok(),
        Some(_) => {
            sink.at(name.span(), format!("`{name}` cannot name an organization: it is no text"));
            None
        }
        None => {
            sink.at(name.span(), format!("`organization` names a parameter, and none is called `{name}`"));
            None
        }
    }
}

fn resource(name: &Ident, params: &[Param], sink: &mut Sink) -> Option<Resource> {
    let param = params.iter().find(|param| param.rust == *name || name == &param.wire);
    match param.map(|param| (param, &param.reads)) {
        Some((param, Reads::Value(ty))) => {
            Some(Resource::Parameter(param.wire.clone(), param.rust.clone(), value_type(ty).clone()))
        }
        Some((_, Reads::Slice(_))) => {
            sink.at(name.span(), format!("`{name}` is several records, and a call is about one"));
            None
        }
        Some((_, Reads::Mirror(..))) => {
            sink.at(
                name.span(),
                format!("`{name}` cannot be the resource: it is a type of another crate, and no entity"),
            );
            None
        }
        Some((_, Reads::Not(why))) => {
            sink.at(name.span(), format!("`{name}` cannot be the resource: {why}"));
            None
        }
        None => {
            let known = listed(params.iter().map(|param| param.wire.as_str()));
            let known = if known.is_empty() {
                "the function has no parameters".to_owned()
            } else {
                format!("they are {known}")
            };
            sink.at(name.span(), format!("`resource` names a parameter, and none is called `{name}`\nhelp: {known}"));
            None
        }
    }
}

/// How a function answers; what cannot be guarded is an error.
fn flow(function: &Function, body: &TokenStream, audit: Option<Span>, sink: &mut Sink) -> Option<Flow> {
    let sig = &function.sig;
    if let Some(token) = &sig.constness {
        sink.at(
            token.span(),
            "a `const fn` can run while the program is compiled, where nobody is calling; it cannot be guarded",
        );
        return None;
    }
    let returned = match &sig.output {
        ReturnType::Type(_, ty) => ungrouped(ty),
        ReturnType::Default => {
            let method = sig.inputs.iter().any(|input| matches!(input, FnArg::Receiver(_)));
            let help = if method {
                "\nhelp: a policy on an impl holds for all its methods; a helper that needs none stands in an impl of its own"
            } else {
                ""
            };
            sink.at(sig.ident.span(), format!("a guarded function returns `Result<_, E>` with `E: From<Denied>`: a refusal has no way out of this one{help}"));
            return None;
        }
    };
    if sig.asyncness.is_some() {
        return Some(Flow::Async);
    }
    if let Some(output) = future_output(returned) {
        if makes_future(body) {
            return Some(Flow::Boxed(Box::new(output.clone())));
        }
        sink.under(returned, "a guarded function that returns a future ends with `async move { .. }` or `Box::pin(async move { .. })`, so that the guard can stand inside\nhelp: write `async fn`");
        return None;
    }
    if let Type::ImplTrait(_) = returned {
        sink.under(
            returned,
            "a guarded function returns `Result<_, E>` with `E: From<Denied>`; this type does not say that it is one",
        );
        return None;
    }
    if let Some(span) = audit {
        sink.at(span, "`audit = required` needs an `async fn`: the record must be written before the body runs, which a function that is not async cannot await");
        return None;
    }
    Some(Flow::Sync)
}

/// The output of `Pin<Box<dyn Future<Output = R>>>`, `BoxFuture<'_, R>` or `impl Future<Output = R>`.
pub(crate) fn future_output(ty: &Type) -> Option<&Type> {
    let bounds = match ungrouped(ty) {
        Type::ImplTrait(opaque) => &opaque.bounds,
        Type::TraitObject(object) => &object.bounds,
        other => {
            let name = crate::ast::type_name(other)?;
            let inner = crate::inputs::last_type_argument(other)?;
            return match name.to_string().as_str() {
                "BoxFuture" => Some(inner),
                "Pin" | "Box" => future_output(inner),
                _ => None,
            };
        }
    };
    bounds.iter().find_map(|bound| {
        let TypeParamBound::Trait(bound) = bound else { return None };
        let last = bound.path.segments.last().filter(|segment| segment.ident == "Future")?;
        let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
        arguments.args.iter().find_map(|argument| match argument {
            GenericArgument::AssocType(output) if output.ident == "Output" => Some(&output.ty),
            _ => None,
        })
    })
}

/// A paragraph of rustdoc that shows the policy.
pub(crate) fn policy_doc(action: &Action) -> Attribute {
    let name =
        action.namespace.as_ref().map_or_else(|| action.id.clone(), |namespace| format!("{namespace}.{}", action.id));
    let rules: Vec<String> = action.rules.iter().map(|rule| format!("`{}`", rule.text.replace('`', "'"))).collect();
    let when = if rules.is_empty() { "the caller is authenticated".to_owned() } else { rules.join(" and ") };
    let text = match &action.names {
        Some(_) => format!("\n**Policy** of this implementation, beside the trait's: permitted when {when}."),
        None => format!("\n**Policy** `{name}`: permitted when {when}."),
    };
    syn::parse_quote!(#[doc = #text])
}
