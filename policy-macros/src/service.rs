//! A method's signature as the wire sees it.
//!
//! In: a signature. Out: [`Method`]: what is decoded, what is lent, what comes back. Absent: policies.

use proc_macro2::Span;
use quote::format_ident;
use syn::spanned::Spanned;
use syn::{
    Attribute, FnArg, GenericArgument, GenericParam, Ident, PathArguments, ReturnType, Signature, Type, TypeParamBound,
};

use crate::ast::type_name;
use crate::attr::{CONTEXT, is_ours};
use crate::inputs::{Around, binding, last_type_argument, named, names_context, ungrouped};
use crate::model::{Argument, Method, Reply, Value};
use crate::names::{camel_case, plain};
use crate::policy::future_output;
use crate::report::Sink;

/// Reads a signature; what cannot go over the wire is an error.
pub(crate) fn method(
    sig: &Signature,
    attrs: &[Attribute],
    wire: Option<String>,
    action: String,
    around: Around<'_>,
    sink: &mut Sink,
) -> Option<Method> {
    for param in &sig.generics.params {
        if !matches!(param, GenericParam::Lifetime(_)) {
            sink.under(param, "a published method has no type parameters, since its arguments are decoded from the wire\nhelp: name the type, or mark the method `#[publish(skip, reason = \"..\")]`");
            return None;
        }
    }
    let (mut arguments, mut whole) = (Vec::new(), true);
    for (n, input) in sig.inputs.iter().enumerate() {
        let FnArg::Typed(arg) = input else { continue };
        let marked = arg.attrs.iter().any(|attribute| is_ours(attribute, CONTEXT));
        if marked || names_context(&arg.ty) {
            arguments.push(Argument::Context { lent: matches!(ungrouped(&arg.ty), Type::Reference(_)) });
            continue;
        }
        let rust = binding(&arg.pat).cloned().unwrap_or_else(|| format_ident!("arg{n}"));
        let wire = camel_case(&plain(&rust));
        let Some((ty, decoded, lent)) = decoded(&arg.ty, around, sink) else {
            whole = false;
            continue;
        };
        let rust = Ident::new(&format!("argument_{}", plain(&rust)), Span::mixed_site());
        let sent = if let Type::Reference(reference) = &ty { (*reference.elem).clone() } else { ty.clone() };
        arguments.push(Argument::Value(Box::new(Value { wire, rust, ty, sent, decoded, lent })));
    }
    if !whole {
        return None;
    }
    let returned = match &sig.output {
        ReturnType::Type(_, ty) => ungrouped(ty),
        ReturnType::Default => return None,
    };
    let future = future_output(returned);
    let given = ok_type(future.unwrap_or(returned), around, sink)?;
    Some(Method {
        cfgs: attrs.iter().filter(|attribute| attribute.path().is_ident("cfg")).cloned().collect(),
        wire: wire.unwrap_or_else(|| camel_case(&plain(&sig.ident))),
        ident: sig.ident.clone(),
        action,
        arguments,
        awaited: sig.asyncness.is_some() || future.is_some(),
        reply: reply(given),
    })
}

/// The type as the method takes it, the type as it is decoded, and whether it is lent.
fn decoded(ty: &Type, around: Around<'_>, sink: &mut Sink) -> Option<(Type, Type, bool)> {
    let (owned, lent) = match ungrouped(ty) {
        Type::Reference(reference) if reference.mutability.is_some() => {
            sink.under(
                ty,
                "an argument from the wire is owned, or lent by `&`\nhelp: take it by value, `mut` if need be",
            );
            return None;
        }
        Type::Reference(reference) => match ungrouped(&reference.elem) {
            Type::Slice(slice) => {
                let item = &slice.elem;
                (syn::parse_quote!(::std::vec::Vec<#item>), true)
            }
            elem if type_name(elem).is_some_and(|name| name == "str") => {
                (syn::parse_quote!(::std::string::String), true)
            }
            elem => (elem.clone(), true),
        },
        other => (other.clone(), false),
    };
    if borrows(&owned) {
        sink.under(ty, "an argument from the wire is owned: `&str`, `&[T]` and `&T` are lent, but nothing can be borrowed inside of a type\nhelp: own it, as `String` does");
        return None;
    }
    let (owned, found) = named(&owned, around.self_type);
    let generic = around.generics.into_iter().flat_map(|g| &g.params).any(|param| match param {
        GenericParam::Type(param) => found.mentions(&param.ident),
        GenericParam::Const(param) => found.mentions(&param.ident),
        GenericParam::Lifetime(_) => false,
    });
    if generic || found.is_opaque() {
        sink.under(ty, "an argument from the wire has a type that is known here, since it is decoded\nhelp: name the type, or mark the method `#[publish(skip, reason = \"..\")]`");
        return None;
    }
    if found.says_self() && around.self_type.is_none() {
        sink.under(
            ty,
            "an argument of a published trait cannot be `Self`, which each implementation would decode differently",
        );
        return None;
    }
    let ty = match ungrouped(ty) {
        Type::Reference(reference) => {
            let (elem, _) = named(&reference.elem, around.self_type);
            syn::parse_quote!(&#elem)
        }
        _ => owned.clone(),
    };
    Some((ty, owned, lent))
}

/// Whether a type has a reference or a lifetime in it.
fn borrows(ty: &Type) -> bool {
    struct Finder(bool);
    impl syn::visit_mut::VisitMut for Finder {
        fn visit_type_mut(&mut self, ty: &mut Type) {
            self.0 |= matches!(ty, Type::Reference(_));
            syn::visit_mut::visit_type_mut(self, ty);
        }
        fn visit_lifetime_mut(&mut self, lifetime: &mut syn::Lifetime) {
            self.0 |= lifetime.ident != "static";
        }
    }
    let mut finder = Finder(false);
    syn::visit_mut::VisitMut::visit_type_mut(&mut finder, &mut ty.clone());
    finder.0
}

/// `T` of `Result<T, E>`, of whatever name.
fn ok_type(ty: &Type, around: Around<'_>, sink: &mut Sink) -> Option<Type> {
    let arguments = match ungrouped(ty) {
        Type::Path(path) => path.path.segments.last().map(|segment| &segment.arguments),
        _ => None,
    };
    let first = match arguments {
        Some(PathArguments::AngleBracketed(list)) => {
            list.args.iter().find_map(|argument| if let GenericArgument::Type(ty) = argument { Some(ty) } else { None })
        }
        _ => None,
    };
    let Some(first) = first else {
        sink.at(
            ty.span(),
            "a published method returns `Result<T, E>`, written so that its `T` can be seen: the proxy answers with it",
        );
        return None;
    };
    // A stream may be `impl Stream`, which stays as it is.
    Some(if stream_item(first).is_some() { first.clone() } else { named(first, around.self_type).0 })
}

fn reply(given: Type) -> Reply {
    match (&given, stream_item(&given)) {
        (_, Some(item)) => {
            let fallible = type_name(item).is_some_and(|name| name.to_string().ends_with("Result"));
            let value = if fallible { first_type_argument(item).unwrap_or(item) } else { item };
            Reply::Stream { item: value.clone(), fallible }
        }
        (Type::Tuple(unit), None) if unit.elems.is_empty() => Reply::Nothing,
        (_, None) => Reply::Value(given),
    }
}

fn first_type_argument(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ungrouped(ty) else { return None };
    let PathArguments::AngleBracketed(list) = &path.path.segments.last()?.arguments else { return None };
    list.args.iter().find_map(|argument| if let GenericArgument::Type(ty) = argument { Some(ty) } else { None })
}

/// The item of `impl Stream<Item = T>`, `BoxStream<'_, T>`, or one of these in a box.
fn stream_item(ty: &Type) -> Option<&Type> {
    let bounds = match ungrouped(ty) {
        Type::ImplTrait(opaque) => &opaque.bounds,
        Type::TraitObject(object) => &object.bounds,
        other => {
            let inner = last_type_argument(other)?;
            return match type_name(other)?.to_string().as_str() {
                "BoxStream" => Some(inner),
                "Pin" | "Box" => stream_item(inner),
                _ => None,
            };
        }
    };
    bounds.iter().find_map(|bound| {
        let TypeParamBound::Trait(bound) = bound else { return None };
        let last = bound.path.segments.last().filter(|segment| segment.ident == "Stream")?;
        let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
        arguments.args.iter().find_map(|argument| match argument {
            GenericArgument::AssocType(item) if item.ident == "Item" => Some(&item.ty),
            _ => None,
        })
    })
}
