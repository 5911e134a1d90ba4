//! `#[derive(Entity)]`: a record with an id, and the rules of its operations.
//!
//! In: a struct with `#[abac_policy(all_read = "..")]` above it. Out: its attributes, its identity, and one action for each
//! operation that has a rule; one without is denied, since nothing declares it.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::{DeriveInput, Fields, LitStr, Member};

use crate::attr::{self, Options, POLICY, PolicyAttr, TierName, is_ours};
use crate::derive::readable;
use crate::expand::{attributes, entity};
use crate::model::{Action, AttributeField, Form, Identity, Resource};
use crate::names::{camel_case, plain};
use crate::path::Krate;
use crate::report::Sink;
use crate::tokens::{Rule, RuleSource};
use crate::validate::check_roots;

mod given;

use given::{FieldRule, Given};

/// The operations, by the group whose rules hold for them, too.
const GROUPS: [(&str, &[&str]); 6] = [
    ("all_create", &["save", "bulk_save"]),
    ("all_read", &["find_by_id", "find_by_ids", "find_all", "search", "count", "count_by_query"]),
    ("all_update", &["update", "bulk_update"]),
    ("all_delete", &["delete_by_id", "delete_by_query"]),
    (
        "all_tenants_read",
        &[
            "tenants_find_by_id",
            "tenants_find_by_ids",
            "tenants_find_all",
            "tenants_search",
            "tenants_count",
            "tenants_count_by_query",
        ],
    ),
    ("all_tenants_delete", &["tenants_delete_by_id", "tenants_delete_by_query"]),
];

/// Expands `#[derive(Entity)]`.
pub(crate) fn expand(item: TokenStream) -> TokenStream {
    let mut sink = Sink::default();
    let mut out = TokenStream::new();
    if let Some(input) = sink.take(syn::parse2::<DeriveInput>(item))
        && let Some(mut readable) = readable(&input, &mut sink)
    {
        let given = Given::read(&input, &mut sink);
        if given.krate.is_some() {
            readable.krate = Krate::resolve(given.krate.as_ref());
        }
        out.extend(attributes::expand(&readable));
        if let Some(remote) = &readable.remote {
            sink.under(
                remote,
                "an entity is a type of your own, and no mirror of another\nhelp: write `#[derive(Attributes)]`",
            );
            return sink.finish();
        }
        let named = matches!(&input.data, syn::Data::Struct(data) if matches!(data.fields, Fields::Named(_)));
        match &readable.form {
            Form::Record(fields) if named => {
                if let Some(identity) = identity(&input, fields, &given, readable.krate.clone(), &mut sink) {
                    out.extend(entity::expand(&identity));
                }
            }
            Form::Record(_) | Form::Newtype(_) | Form::Enum(_) => {
                sink.at(input.ident.span(), "an entity is a struct with named fields\nhelp: for a value inside of an entity write `#[derive(Attributes)]`");
            }
        }
    }
    let errors = sink.finish();
    quote!(#out #errors)
}

fn identity(
    input: &DeriveInput,
    fields: &[AttributeField],
    given: &Given,
    krate: Krate,
    sink: &mut Sink,
) -> Option<Identity> {
    if !input.generics.params.is_empty() {
        sink.under(&input.generics, "an entity has no parameters, since its rows have one type");
        return None;
    }
    let syn::Data::Struct(data) = &input.data else { return None };
    let marked = |field: &&syn::Field| given.ids.iter().any(|id| field.ident.as_ref() == Some(id));
    let named_id = |field: &&syn::Field| field.ident.as_ref().is_some_and(|ident| ident == "id");
    if let Some(second) = given.ids.get(1) {
        sink.at(second.span(), "an entity has one id");
    }
    let Some(id) = data.fields.iter().find(marked).or_else(|| data.fields.iter().find(named_id)) else {
        sink.at(
            input.ident.span(),
            format!(
                "`{}` has no id\nhelp: mark the field that is one with `#[entity(id)]`, or call it `id`",
                input.ident
            ),
        );
        return None;
    };
    let (id_type, id_name) = (id.ty.clone(), id.ident.clone()?);
    let id = Member::Named(id_name.clone());
    let table = given::table(input, given, fields, &id_name, sink);
    let actions = actions(input, fields, given, &krate, sink);
    Some(Identity {
        krate,
        ident: input.ident.clone(),
        name: given.name(input),
        namespace: given.namespace.clone(),
        id,
        id_type,
        actions,
        table,
    })
}

fn actions(
    input: &DeriveInput,
    fields: &[AttributeField],
    given: &Given,
    krate: &Krate,
    sink: &mut Sink,
) -> Vec<Action> {
    let known: Vec<&str> =
        GROUPS.iter().flat_map(|(group, operations)| std::iter::once(group).chain(*operations)).copied().collect();
    let (mut options, mut rules): (Options, Vec<(Ident, Rule)>) = Default::default();
    for attribute in input.attrs.iter().filter(|attribute| is_ours(attribute, POLICY)) {
        if let syn::Data::Struct(data) = &input.data
            && above_its_derive(attr::place(attribute), data.struct_token.span)
        {
            // rustc says so too, but as an ambiguity of names, and after this. It resolves the attribute before any macro runs:
            // nothing that a macro answers can take that second error away.
            sink.under(attribute, "the rules of an entity stand below the derive that reads them\nhelp: put `#[derive(Entity)]` above this");
        }
        let Some(arguments) = attr::arguments(attribute, sink) else { continue };
        let read = PolicyAttr::parse(arguments, attr::place(attribute), Some(&known), sink);
        if let Some(rule) = &read.rule {
            let message = "an entity's rule says for which operations it is\nhelp: write `all_read(..)`, `all_create(..)`, `all_update(..)`, `all_delete(..)`, or a single operation such as `find_by_id(..)`";
            match rule {
                RuleSource::Text(literal) => sink.at(literal.span(), message),
                RuleSource::Tokens(tokens, _) => sink.under(tokens, message),
            }
        }
        options.merge(read.options, sink);
        for (name, source) in read.operations {
            rules.extend(Rule::parse(&source, sink).map(|rule| (name, rule)));
        }
    }
    refuse(&options, sink);
    let ty: syn::Type = {
        let ident = &input.ident;
        syn::parse_quote!(#ident)
    };
    let mut out = Vec::new();
    for (group, operations) in GROUPS {
        for operation in operations {
            let of_it = rules.iter().filter(|(name, _)| name == group || name == operation);
            let of_it: Vec<Rule> = of_it.map(|(_, rule)| rule.clone()).collect();
            if !of_it.is_empty() {
                let id = format!("{}.{}", given.name(input), camel_case(operation));
                out.push(action(input, given, krate, &options, (id, operation), of_it, &ty));
            }
        }
    }
    for (n, FieldRule { field, what, .. }) in given.rules.iter().enumerate() {
        let same = |other: &&FieldRule| other.field == *field && other.what == *what;
        if given.rules.iter().position(|other| same(&other)) != Some(n) {
            continue;
        }
        let Some(attribute) = fields.iter().find(|attribute| attribute.rust_name == plain(field)) else { continue };
        let of_it = given.rules.iter().filter(same).map(|other| other.rule.clone()).collect();
        let id = given::action_id(&given.name(input), &attribute.name, what, &attribute.rust_name);
        let function = format!("{}.{what}", attribute.rust_name);
        out.push(action(input, given, krate, &options, (id, &function), of_it, &ty));
    }
    // Once for each rule, not for each operation that it is for.
    for rule in rules.iter().map(|(_, rule)| rule).chain(given.rules.iter().map(|field| &field.rule)) {
        let roots = crate::model::Roots { params: &[], entity: Some(&ty), participant: options.participant.as_ref() };
        check_roots(rule, &roots, sink);
    }
    out
}

/// Whether an attribute comes before the derive that is being expanded, in one text with it and the item.
fn above_its_derive(attribute: Span, item: Span) -> bool {
    if !proc_macro::is_available() {
        return false;
    }
    let [attribute, derive, item] = [attribute, Span::call_site(), item].map(Span::unwrap);
    let place = |span: proc_macro::Span| (span.line(), span.column());
    attribute.file() == derive.file()
        && derive.file() == item.file()
        && place(attribute) < place(derive)
        && place(derive) < place(item)
}

fn refuse(options: &Options, sink: &mut Sink) {
    let refused: [(&str, Option<Span>); 4] = [
        ("action", options.action.as_ref().map(LitStr::span)),
        ("was", options.was.first().map(LitStr::span)),
        ("resource", options.resource.as_ref().map(Ident::span)),
        ("authenticated", options.authenticated),
    ];
    for (name, span) in refused {
        if let Some(span) = span {
            sink.at(span, format!("option `{name}` is for functions; an entity's actions are its operations"));
        }
    }
}

fn action(
    input: &DeriveInput,
    given: &Given,
    krate: &Krate,
    options: &Options,
    (id, function): (String, &str),
    rules: Vec<Rule>,
    ty: &syn::Type,
) -> Action {
    let name = plain(&input.ident);
    Action {
        krate: krate.clone(),
        namespace: given.namespace.clone(),
        id,
        function: format!("{name}::{function}"),
        at: input.ident.span(),
        was: Vec::new(),
        tier: options.tier.map_or(TierName::Application, |(_, tier)| tier),
        callers: options.callers.as_ref().map_or_else(|| vec![TierName::Application], |(_, callers)| callers.clone()),
        organization: None,
        must_audit: options.audit.is_some(),
        participant: options.participant.clone(),
        resource: Resource::Entity(ty.clone()),
        params: Vec::new(),
        authenticated: false,
        rules,
        names: None,
    }
}
