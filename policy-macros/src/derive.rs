//! `#[derive(Attributes)]` and `#[derive(Entity)]`: from a type to what its rules can read.
//!
//! In: a struct or an enum with serde's attributes and ours. Out: [`Readable`], in which every attribute has its policy name.
//! Absent: the rules of an entity, which `entity` reads.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Expr, Fields, Lit, LitStr, Member, Path, Type};

use crate::attr::{listed, mod_path};
use crate::expand::attributes;
use crate::inputs::float;
use crate::model::{AttributeField, Form, Readable};
use crate::names::{RenameRule, plain};
use crate::path::Krate;
use crate::report::Sink;

/// Expands `#[derive(Attributes)]`.
pub(crate) fn expand(item: TokenStream) -> TokenStream {
    let mut sink = Sink::default();
    let input = sink.take(syn::parse2::<DeriveInput>(item));
    let readable = input.and_then(|input| readable(&input, &mut sink));
    let out = readable.map(|readable| attributes::expand(&readable)).unwrap_or_default();
    let errors = sink.finish();
    quote!(#out #errors)
}

/// Reads a type; what cannot be read is left out and said.
pub(crate) fn readable(input: &DeriveInput, sink: &mut Sink) -> Option<Readable> {
    let ours = Ours::read(&input.attrs, Place::Type, sink);
    let serde = Serde::read(&input.attrs);
    let form = match &input.data {
        Data::Struct(data) => fields(input, &data.fields, serde.rename_all, sink)?,
        Data::Enum(data) => {
            let mut variants = Vec::new();
            for variant in &data.variants {
                if !matches!(variant.fields, Fields::Unit) {
                    sink.under(variant, format!(
                        "an enum that rules read has unit variants only, and `{}` holds data\nhelp: give rules a field that says which variant it is, and mark this one `#[attributes(skip)]`",
                        variant.ident
                    ));
                }
                let rules = Serde::read(&variant.attrs);
                let name = plain(&variant.ident);
                let name =
                    rules.rename.unwrap_or_else(|| serde.rename_all.map_or(name.clone(), |rule| rule.variant(&name)));
                variants.push((variant.ident.clone(), name));
            }
            if data.variants.is_empty() {
                sink.at(input.ident.span(), "an enum without variants has no values that rules could read");
                return None;
            }
            Form::Enum(variants)
        }
        Data::Union(data) => {
            sink.at(
                data.union_token.span,
                "rules cannot read a union\nhelp: derive on a struct that says which field holds",
            );
            return None;
        }
    };
    let krate = Krate::resolve(ours.krate.as_ref());
    if ours.remote.is_some() && !input.generics.params.is_empty() {
        sink.under(&input.generics, "the mirror of another type has no parameters\nhelp: write them into `remote`, as in `remote = \"Page<Order>\"`");
        return None;
    }
    let (ident, generics) = (input.ident.clone(), input.generics.clone());
    Some(Readable { krate, ident, generics, form, remote: ours.remote })
}

fn fields(input: &DeriveInput, fields: &Fields, rename: Option<RenameRule>, sink: &mut Sink) -> Option<Form> {
    let named = match fields {
        Fields::Named(named) => named,
        Fields::Unnamed(unnamed) => {
            let mut types = unnamed.unnamed.iter().map(|field| &field.ty);
            if let (Some(only), None) = (types.next(), types.next()) {
                return readable_type(only, input, sink).then(|| Form::Newtype(Box::new(only.clone())));
            }
            sink.at(input.ident.span(), "the fields of a tuple have no names that rules could use\nhelp: write a struct with named fields, or one field only, which then reads as its value");
            return None;
        }
        Fields::Unit => {
            sink.at(input.ident.span(), "a struct without fields has no attributes");
            return None;
        }
    };
    let mut out: Vec<AttributeField> = Vec::new();
    for field in &named.named {
        let Some(ident) = &field.ident else { continue };
        let (ours, serde) = (Ours::read(&field.attrs, Place::Field, sink), Serde::read(&field.attrs));
        if ours.skip || serde.skip {
            continue;
        }
        if let Some(span) = serde.flatten {
            sink.at(span, format!("the attributes of a flattened field are not seen here\nhelp: mark `{ident}` with `#[attributes(skip)]`, or let rules read it as a record without `flatten`"));
            continue;
        }
        let rust_name = plain(ident);
        let name = ours
            .rename
            .or(serde.rename)
            .unwrap_or_else(|| rename.map_or(rust_name.clone(), |rule| rule.field(&rust_name)));
        if let Some(twin) = out.iter().find(|other| other.name == name) {
            sink.at(
                ident.span(),
                format!("`{}` and `{rust_name}` are both called `{name}` in policies", twin.rust_name),
            );
            continue;
        }
        if readable_type(&field.ty, input, sink) {
            let member = Member::Named(ident.clone());
            out.push(AttributeField {
                member,
                name,
                rust_name,
                ty: field.ty.clone(),
                secret: ours.secret,
                with: ours.with,
            });
        }
    }
    Some(Form::Record(out))
}

/// The fields that no rule reads but that serde writes, each with its name in JSON. `strict` says what no row can hold.
pub(crate) fn unread<'a>(
    input: &'a DeriveInput,
    fields: &[AttributeField],
    strict: bool,
    sink: &mut Sink,
) -> Vec<(&'a Ident, String)> {
    let Data::Struct(data) = &input.data else { return Vec::new() };
    let rename = Serde::read(&input.attrs).rename_all;
    let mut out = Vec::new();
    for field in &data.fields {
        let Some(ident) = &field.ident else { continue };
        let (ours, serde) = (Ours::read(&field.attrs, Place::Field, sink), Serde::read(&field.attrs));
        let rust_name = plain(ident);
        let name = serde.rename.unwrap_or_else(|| rename.map_or(rust_name.clone(), |rule| rule.field(&rust_name)));
        if let Some(attribute) = fields.iter().find(|other| other.rust_name == rust_name) {
            if strict && attribute.name != name {
                sink.at(ident.span(), format!("rules call this `{}` and serde calls it `{name}`, and a row is read by one name\nhelp: write `#[serde(rename = \"{}\")]` instead of `#[attributes(rename = ..)]`", attribute.name, attribute.name));
            }
        } else if let (true, Some(span)) = (strict, serde.flatten) {
            sink.at(span, "a flattened field has no column\nhelp: leave out `flatten`, so that it is kept as one document, or mark it `#[serde(skip)]`");
        } else if ours.skip && !serde.skip && serde.flatten.is_none() {
            out.push((ident, name));
        }
    }
    out
}

fn readable_type(ty: &Type, input: &DeriveInput, sink: &mut Sink) -> bool {
    if let Some(float) = float(ty) {
        sink.at(
            float.span(),
            format!("rules cannot read an `{float}`, since it is not exact\nhelp: use `rust_decimal::Decimal`, or `#[attributes(skip)]` to leave the field out of policies"),
        );
        return false;
    }
    let (_, found) = crate::inputs::named(ty, None);
    if found.mentions(&input.ident) {
        sink.under(
            ty,
            format!("`{}` contains itself, and rules cannot follow it without end\nhelp: mark the field `#[attributes(skip)]`", input.ident),
        );
        return false;
    }
    true
}

/// Where an `#[attributes(..)]` stands.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Place {
    Type,
    Field,
}

/// The contents of `#[attributes(..)]`.
#[derive(Default)]
pub(crate) struct Ours {
    secret: bool,
    skip: bool,
    rename: Option<String>,
    krate: Option<Path>,
    /// The foreign type of which this one is the mirror.
    remote: Option<Type>,
    /// The mirror that reads a field of a foreign type.
    with: Option<Path>,
}

impl Ours {
    fn read(attrs: &[Attribute], place: Place, sink: &mut Sink) -> Self {
        let mut out = Self::default();
        for attribute in attrs.iter().filter(|attribute| attribute.path().is_ident("attributes")) {
            let result = attribute.parse_nested_meta(|meta| out.one(&meta, place));
            if let Err(error) = result {
                sink.add(error);
            }
        }
        out
    }

    fn one(&mut self, meta: &ParseNestedMeta<'_>, place: Place) -> syn::Result<()> {
        let known: &[&str] = match place {
            Place::Type => &["crate", "remote"],
            Place::Field => &["secret", "skip", "rename", "with"],
        };
        let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        match name.as_str() {
            "secret" if place == Place::Field => self.secret = true,
            "skip" if place == Place::Field => self.skip = true,
            "rename" if place == Place::Field => self.rename = Some(meta.value()?.parse::<LitStr>()?.value()),
            "with" if place == Place::Field => self.with = Some(mod_path(meta)?),
            "crate" if place == Place::Type => self.krate = Some(mod_path(meta)?),
            "remote" if place == Place::Type => {
                let value = meta.value()?;
                self.remote =
                    Some(if value.peek(LitStr) { value.parse::<LitStr>()?.parse()? } else { value.parse()? });
            }
            _ => {
                let near = policy_core::name::nearest(&name, known.iter().copied());
                let offer = near.map_or_else(
                    || format!("help: here it can be {}", listed(known.iter().copied())),
                    |near| format!("help: write `{near}`"),
                );
                return Err(meta.error(format!("unknown option `{name}`\n{offer}")));
            }
        }
        Ok(())
    }
}

/// What serde's attributes say of names. What is wrong with them, serde says itself.
#[derive(Default)]
pub(crate) struct Serde {
    rename: Option<String>,
    rename_all: Option<RenameRule>,
    skip: bool,
    flatten: Option<Span>,
}

impl Serde {
    fn read(attrs: &[Attribute]) -> Self {
        let mut out = Self::default();
        for attribute in attrs.iter().filter(|attribute| attribute.path().is_ident("serde")) {
            // serde reports its own mistakes.
            let _ = attribute.parse_nested_meta(|meta| out.one(&meta));
        }
        out
    }

    fn one(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        match name.as_str() {
            "skip" => self.skip = true,
            "flatten" => self.flatten = Some(meta.path.span()),
            "rename" => self.rename = text_of(meta)?.or(self.rename.take()),
            "rename_all" => {
                let text = text_of(meta)?;
                let rule = RenameRule::ALL.iter().find(|(name, _)| Some(*name) == text.as_deref());
                self.rename_all = rule.map(|(_, rule)| *rule).or(self.rename_all);
            }
            _ if meta.input.peek(syn::Token![=]) => {
                meta.value()?.parse::<Expr>()?;
            }
            _ if meta.input.peek(syn::token::Paren) => {
                let inner;
                syn::parenthesized!(inner in meta.input);
                inner.parse::<TokenStream>()?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// `= "x"`, or the name that is written in `(serialize = "x", deserialize = "y")`.
fn text_of(meta: &ParseNestedMeta<'_>) -> syn::Result<Option<String>> {
    if meta.input.peek(syn::Token![=]) {
        return match meta.value()?.parse::<Lit>()? {
            Lit::Str(text) => Ok(Some(text.value())),
            _ => Ok(None),
        };
    }
    let mut written = None;
    meta.parse_nested_meta(|inner| {
        let text = inner.value()?.parse::<LitStr>()?.value();
        if inner.path.is_ident("serialize") {
            written = Some(text);
        }
        Ok(())
    })?;
    Ok(written)
}
