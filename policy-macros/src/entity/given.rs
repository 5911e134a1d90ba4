//! `#[entity(..)]` on a type and on its fields, and the rules of fields.
//!
//! In: a struct's attributes. Out: [`Given`], each value with its origin, and [`table`]. Absent: the rules of operations.

use policy_core::name::nearest;
use proc_macro2::{Ident, Span};
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned as _;
use syn::{DeriveInput, LitStr, Path};

use crate::ast::type_name;
use crate::attr::{self, POLICY, PolicyAttr, is_name, is_ours, listed, mod_path};
use crate::derive::unread;
use crate::model::{AttributeField, Table};
use crate::names::{plain, snake_case};
use crate::report::Sink;
use crate::tokens::{Rule, RuleSource};

/// The participant's attribute that a tenant's rows equal, if none is named.
const TENANT: &str = "tenant";

/// The contents of `#[entity(..)]` on the type and its fields.
#[derive(Default)]
pub(super) struct Given {
    pub(super) namespace: Option<String>,
    pub(super) krate: Option<Path>,
    pub(super) ids: Vec<Ident>,
    name: Option<LitStr>,
    table: Option<LitStr>,
    /// The field, and the participant's attribute that it equals.
    tenants: Vec<(Ident, Option<LitStr>)>,
    tenant_from: Option<LitStr>,
    /// Fields and the columns that they name.
    columns: Vec<(Ident, LitStr)>,
    /// Rules of fields.
    pub(super) rules: Vec<FieldRule>,
}

/// The rule of a field.
pub(super) struct FieldRule {
    pub(super) field: Ident,
    /// `read` or `write`.
    pub(super) what: Ident,
    pub(super) rule: Rule,
}

impl Given {
    pub(super) fn read(input: &DeriveInput, sink: &mut Sink) -> Self {
        let mut out = Self::default();
        for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("entity")) {
            if let Err(error) = attribute.parse_nested_meta(|meta| out.of_type(&meta)) {
                sink.add(error);
            }
        }
        let syn::Data::Struct(data) = &input.data else { return out };
        for field in &data.fields {
            let Some(ident) = &field.ident else { continue };
            for attribute in &field.attrs {
                if is_ours(attribute, POLICY) {
                    out.rules_of(ident, attribute, field, sink);
                } else if attribute.path().is_ident("entity")
                    && let Err(error) = attribute.parse_nested_meta(|meta| out.of_field(ident, &meta))
                {
                    sink.add(error);
                }
            }
        }
        out
    }

    fn of_type(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        match option(meta).as_str() {
            "namespace" => self.namespace = Some(meta.value()?.parse::<LitStr>()?.value()),
            "crate" => self.krate = Some(mod_path(meta)?),
            "name" => {
                let name = named(meta)?;
                if !is_name(&name.value()) {
                    return Err(syn::Error::new(name.span(), "a type is named by letters, digits and `_`"));
                }
                self.name = Some(name);
            }
            "table" => self.table = Some(named(meta)?),
            "tenant" => self.tenants.push((meta.value()?.parse::<Ident>()?, None)),
            "tenant_from" => self.tenant_from = Some(named(meta)?),
            _ => return Err(unknown(meta, &["name", "table", "tenant", "tenant_from", "namespace", "crate"])),
        }
        Ok(())
    }

    fn of_field(&mut self, field: &Ident, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        match option(meta).as_str() {
            "id" => self.ids.push(field.clone()),
            "tenant" if meta.input.peek(syn::Token![=]) => self.tenants.push((field.clone(), Some(named(meta)?))),
            "tenant" => self.tenants.push((field.clone(), None)),
            "column" => self.columns.push((field.clone(), named(meta)?)),
            _ => return Err(unknown(meta, &["id", "tenant", "column"])),
        }
        Ok(())
    }

    /// The entity's name: the type's, if no other is given.
    pub(super) fn name(&self, input: &DeriveInput) -> String {
        self.name.as_ref().map_or_else(|| plain(&input.ident), LitStr::value)
    }

    fn rules_of(&mut self, ident: &Ident, attribute: &syn::Attribute, field: &syn::Field, sink: &mut Sink) {
        const USAGE: &str = "a field's rule says whether it is of reading or of changing it\nhelp: write `#[abac_policy(read = \"..\", write = \"..\")]`; the rules of rows stand above the struct";
        let Some(arguments) = attr::arguments(attribute, sink) else { return };
        let given = PolicyAttr::parse(arguments, attr::place(attribute), Some(&["read", "write"]), sink);
        match &given.rule {
            Some(RuleSource::Text(literal)) => sink.at(literal.span(), USAGE),
            Some(RuleSource::Tokens(tokens, _)) => sink.under(tokens, USAGE),
            None => {}
        }
        if given.options.any() {
            sink.under(
                attribute,
                "the options of an entity's rules stand above the struct, and hold for its fields too",
            );
        }
        for (what, source) in given.operations {
            if what == "read" && type_name(&field.ty).is_none_or(|name| name != "Option") {
                sink.at(
                    field.ty.span(),
                    format!("whoever may not read `{ident}` finds nothing in it, so it is an `Option`\nhelp: write `Option<..>`"),
                );
            }
            if let Some(rule) = Rule::parse(&source, sink) {
                self.rules.push(FieldRule { field: ident.clone(), what, rule });
            }
        }
    }
}

fn option(meta: &ParseNestedMeta<'_>) -> String {
    meta.path.get_ident().map(ToString::to_string).unwrap_or_default()
}

/// `= "text"`, which is not empty.
fn named(meta: &ParseNestedMeta<'_>) -> syn::Result<LitStr> {
    let text = meta.value()?.parse::<LitStr>()?;
    if text.value().is_empty() || text.value().contains('\0') {
        return Err(syn::Error::new(text.span(), "this is no name"));
    }
    Ok(text)
}

fn unknown(meta: &ParseNestedMeta<'_>, known: &[&str]) -> syn::Error {
    let name = option(meta);
    let offer = match nearest(&name, known.iter().copied()) {
        Some(near) => format!("help: write `{near}`"),
        None => format!("help: here it can be {}", listed(known.iter().copied())),
    };
    meta.error(format!("unknown option `{name}`\n{offer}"))
}

/// The id of the action of a field: `Photo.salary.read`.
pub(super) fn action_id(entity: &str, attribute: &str, what: &Ident, rust_name: &str) -> String {
    let name = if is_name(attribute) { attribute } else { rust_name };
    format!("{entity}.{name}.{what}")
}

/// Where the rows are; what cannot be is said.
pub(super) fn table(
    input: &DeriveInput,
    given: &Given,
    fields: &[AttributeField],
    id: &Ident,
    sink: &mut Sink,
) -> Table {
    let attribute = |ident: &Ident| fields.iter().find(|field| field.rust_name == plain(ident));
    let column = |ident: &Ident| {
        let named = given.columns.iter().find(|(field, _)| field == ident);
        named.map_or_else(|| plain(ident), |(_, column)| column.value())
    };
    let unread = unread(input, fields, given.table.is_some(), sink);
    let mut columns: Vec<(String, String, Span)> = Vec::new();
    let syn::Data::Struct(data) = &input.data else { return Table::default() };
    for field in data.fields.iter().filter_map(|field| field.ident.as_ref()) {
        if let Some(attribute) = attribute(field) {
            columns.push((attribute.name.clone(), column(field), field.span()));
        }
    }
    let unread: Vec<(String, String, Span)> =
        unread.into_iter().map(|(field, name)| (name, column(field), field.span())).collect();
    let mut seen: Vec<String> = Vec::new();
    for (_, name, span) in columns.iter().chain(&unread) {
        let folded = name.to_lowercase();
        if seen.contains(&folded) {
            sink.at(*span, format!("two fields have the column `{name}`\nhelp: databases fold case in names; give one of them another `#[entity(column = \"..\")]`"));
        }
        seen.push(folded);
    }
    for (field, literal) in &given.columns {
        if given.columns.iter().filter(|(other, _)| other == field).count() > 1 {
            sink.at(literal.span(), "a field has one column");
        }
    }
    if attribute(id).is_none() {
        sink.at(id.span(), "no rule can read the id\nhelp: leave out `skip`");
    }
    if let Some((second, _)) = given.tenants.get(1) {
        sink.at(second.span(), "an entity has one tenant");
    }
    let tenant = given.tenants.first().and_then(|(field, from)| {
        let Some(attribute) = attribute(field) else {
            let names: Vec<&str> = fields.iter().map(|field| field.rust_name.as_str()).collect();
            let near =
                nearest(&plain(field), names.iter().copied()).map(|near| format!("\nhelp: did you mean `{near}`?"));
            sink.at(
                field.span(),
                format!("`{field}` is no attribute of `{}`{}", input.ident, near.unwrap_or_default()),
            );
            return None;
        };
        if field == id {
            sink.at(field.span(), "the id cannot be the tenant, too");
        }
        let from = from.as_ref().or(given.tenant_from.as_ref()).map_or_else(|| TENANT.to_owned(), LitStr::value);
        Some((attribute.name.clone(), from))
    });
    if given.tenants.is_empty()
        && let Some(from) = &given.tenant_from
    {
        sink.at(from.span(), "this says what a tenant equals, and no field is one\nhelp: add `tenant = field`");
    }
    let mut rules: Vec<(String, Option<String>, Option<String>)> = Vec::new();
    for FieldRule { field, what, .. } in &given.rules {
        let Some(attribute) = attribute(field) else {
            sink.at(field.span(), format!("`{field}` is no attribute, so it has no rule\nhelp: leave out `skip`"));
            continue;
        };
        if field == id || given.tenants.iter().any(|(tenant, _)| tenant == field) {
            sink.at(
                what.span(),
                "the id and the tenant have no rules of their own: rows are found by them, and they never change",
            );
        }
        let action = action_id(&given.name(input), &attribute.name, what, &attribute.rust_name);
        let at = rules.iter().position(|(name, ..)| *name == attribute.name).unwrap_or_else(|| {
            rules.push((attribute.name.clone(), None, None));
            rules.len() - 1
        });
        if let Some((_, read, write)) = rules.get_mut(at) {
            *(if what == "read" { read } else { write }) = Some(action);
        }
    }
    let bare = |(name, column, _): (String, String, Span)| (name, column);
    Table {
        name: given.table.as_ref().map_or_else(|| snake_case(&given.name(input)), LitStr::value),
        id: attribute(id).map(|field| field.name.clone()).unwrap_or_default(),
        tenant,
        columns: columns.into_iter().map(bare).collect(),
        unread: unread.into_iter().map(bare).collect(),
        fields: rules,
    }
}
