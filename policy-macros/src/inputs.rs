//! The parameters of a function as rules see them.
//!
//! In: a signature. Out: [`Inputs`]: every binding with its type, through extractor patterns and tuples, and the one that is
//! the caller's context. Absent: rules.

use proc_macro2::{Ident, Span};
use syn::visit_mut::VisitMut;
use syn::{
    Attribute, FnArg, GenericArgument, GenericParam, Generics, Lifetime, Pat, Path, PathArguments, Signature, Type,
};

use crate::ast::type_name;
use crate::attr::{ATTRIBUTES, CONTEXT, is_ours, mod_path};
use crate::model::{Param, Reads};
use crate::names::{camel_case, plain};
use crate::report::Sink;

/// The bindings of a signature.
#[derive(Default)]
pub(crate) struct Inputs {
    pub(crate) params: Vec<Param>,
    /// The parameter marked `#[context]`.
    pub(crate) context: Option<Ident>,
}

/// What is known around a signature.
#[derive(Default, Clone, Copy)]
pub(crate) struct Around<'a> {
    /// The type that `Self` is, where the impl is seen.
    pub(crate) self_type: Option<&'a Type>,
    /// The generics of the impl, where it is seen.
    pub(crate) generics: Option<&'a Generics>,
}

impl Inputs {
    /// Reads the parameters, and takes our attributes off them.
    pub(crate) fn take(sig: &mut Signature, around: Around<'_>, sink: &mut Sink) -> Self {
        let generics = around.generics.into_iter().chain([&sig.generics]);
        let names = generics.flat_map(|g| &g.params).filter_map(|param| match param {
            GenericParam::Type(ty) => Some(ty.ident.clone()),
            GenericParam::Const(c) => Some(c.ident.clone()),
            GenericParam::Lifetime(_) => None,
        });
        let names: Vec<Ident> = names.collect();
        let mut out = Self::default();
        for input in &mut sig.inputs {
            let FnArg::Typed(arg) = input else { continue };
            let mirror = take_mirror(&mut arg.attrs, sink);
            let before = arg.attrs.len();
            arg.attrs.retain(|attribute| !is_ours(attribute, CONTEXT));
            if arg.attrs.len() < before {
                out.context(&arg.pat, sink);
            } else if names_context(&arg.ty) {
                sink.under(
                    &arg.ty,
                    "a parameter that is the caller's context is marked: `#[context] cx: &SecurityContext`\nhelp: without the mark the guard would not know whether to believe it",
                );
            } else {
                let first = out.params.len();
                out.pattern(&arg.pat, Some(&arg.ty), around, &names);
                if let Some(mirror) = mirror {
                    out.mirrored(first, mirror, sink);
                }
            }
        }
        out
    }

    /// Reads the parameter that was added last through a mirror.
    fn mirrored(&mut self, first: usize, mirror: Path, sink: &mut Sink) {
        match self.params.get_mut(first..) {
            Some([Param { reads: reads @ Reads::Value(_), .. }]) => {
                if let Reads::Value(ty) = reads {
                    *reads = Reads::Mirror(mirror, ty.clone());
                }
            }
            // The rule that reads it says so.
            Some([Param { reads: Reads::Not(_), .. }]) => {}
            _ => sink.under(&mirror, "a mirror reads one value, and this parameter is none or several"),
        }
    }

    fn context(&mut self, pat: &Pat, sink: &mut Sink) {
        match binding(pat) {
            Some(name) if self.context.is_none() => self.context = Some(name.clone()),
            Some(name) => sink.at(name.span(), "two parameters are marked `#[context]`"),
            None => sink.under(pat, "a `#[context]` parameter needs a name"),
        }
    }

    /// Adds the bindings of a pattern; `ty` is `None` where it cannot be known.
    fn pattern(&mut self, pat: &Pat, ty: Option<&Type>, around: Around<'_>, generics: &[Ident]) {
        match (pat, ty.map(ungrouped)) {
            (Pat::Ident(name), ty) => {
                // `ref x` is a reference to the value, which reads as the value does.
                let reads =
                    ty.map_or(Reads::Not("its type is not written in the signature"), |ty| reads(ty, around, generics));
                let rust = name.ident.clone();
                self.params.push(Param { wire: camel_case(&plain(&rust)), rust, reads });
            }
            (Pat::Paren(inner), ty) => self.pattern(&inner.pat, ty, around, generics),
            (Pat::Reference(inner), Some(Type::Reference(ty))) => {
                self.pattern(&inner.pat, Some(&ty.elem), around, generics);
            }
            (Pat::Tuple(tuple), Some(Type::Tuple(types))) if tuple.elems.len() == types.elems.len() => {
                for (pat, ty) in tuple.elems.iter().zip(&types.elems) {
                    self.pattern(pat, Some(ty), around, generics);
                }
            }
            (Pat::TupleStruct(extractor), Some(ty)) if extractor.elems.len() == 1 => {
                // `Json(order): Json<Order>`: what is bound is what the extractor is made of.
                let inner = last_type_argument(ty);
                for pat in &extractor.elems {
                    self.pattern(pat, inner, around, generics);
                }
            }
            (Pat::TupleStruct(parts), _) => self.untyped(parts.elems.iter()),
            (Pat::Tuple(parts), _) => self.untyped(parts.elems.iter()),
            (Pat::Slice(parts), _) => self.untyped(parts.elems.iter()),
            (Pat::Struct(parts), _) => self.untyped(parts.fields.iter().map(|field| &*field.pat)),
            (Pat::Reference(inner), _) => self.pattern(&inner.pat, None, around, generics),
            (Pat::Type(inner), _) => self.pattern(&inner.pat, Some(&inner.ty), around, generics),
            _ => {}
        }
    }

    fn untyped<'p>(&mut self, parts: impl Iterator<Item = &'p Pat>) {
        for pat in parts {
            self.pattern(pat, None, Around::default(), &[]);
        }
    }
}

/// Takes `#[attributes(with = Mirror)]` off a parameter.
fn take_mirror(attrs: &mut Vec<Attribute>, sink: &mut Sink) -> Option<Path> {
    let (ours, others) = std::mem::take(attrs).into_iter().partition(|attribute| is_ours(attribute, ATTRIBUTES));
    *attrs = others;
    let (ours, mut mirror): (Vec<Attribute>, _) = (ours, None);
    for attribute in &ours {
        let read = attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("with") {
                return Err(meta.error("on a parameter it can only be `with = Mirror`, for a type of another crate"));
            }
            mirror = Some(mod_path(&meta)?);
            Ok(())
        });
        if let Err(error) = read {
            sink.add(error);
        }
    }
    mirror
}

/// The one name that a pattern binds, if it binds one.
pub(crate) fn binding(pat: &Pat) -> Option<&Ident> {
    match pat {
        Pat::Ident(name) => Some(&name.ident),
        Pat::Paren(inner) => binding(&inner.pat),
        Pat::Reference(inner) => binding(&inner.pat),
        Pat::TupleStruct(inner) if inner.elems.len() == 1 => inner.elems.first().and_then(binding),
        _ => None,
    }
}

/// Whether a type names `SecurityContext`, by itself or behind references, boxes and extractors.
pub(crate) fn names_context(ty: &Type) -> bool {
    match ungrouped(ty) {
        Type::Reference(inner) => names_context(&inner.elem),
        ty => {
            type_name(ty).is_some_and(|name| name == "SecurityContext")
                || last_type_argument(ty).is_some_and(names_context)
        }
    }
}

/// Looks through the invisible groups and parentheses around a type.
pub(crate) fn ungrouped(ty: &Type) -> &Type {
    match ty {
        Type::Group(inner) => ungrouped(&inner.elem),
        Type::Paren(inner) => ungrouped(&inner.elem),
        other => other,
    }
}

/// The last type between a path's angle brackets: `Order` of `Json<Order>`.
pub(crate) fn last_type_argument(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ungrouped(ty) else { return None };
    let PathArguments::AngleBracketed(list) = &path.path.segments.last()?.arguments else { return None };
    list.args.iter().rev().find_map(|argument| if let GenericArgument::Type(ty) = argument { Some(ty) } else { None })
}

/// Looks through references, boxes and pointers that count, to the value itself.
pub(crate) fn value_type(ty: &Type) -> &Type {
    match ungrouped(ty) {
        Type::Reference(inner) => value_type(&inner.elem),
        ty if type_name(ty).is_some_and(|name| ["Box", "Arc", "Rc"].iter().any(|known| name == known)) => {
            last_type_argument(ty).map_or(ty, value_type)
        }
        ty => ty,
    }
}

fn reads(ty: &Type, around: Around<'_>, generics: &[Ident]) -> Reads {
    let (reads, found) = named(ty, around.self_type);
    if found.opaque {
        return Reads::Not("its type is `impl ..`, and a rule needs one that is known here");
    }
    if found.self_type && around.self_type.is_none() {
        return Reads::Not("its type says `Self`, which is not known here: write the type's name");
    }
    if found.names.iter().any(|name| generics.contains(name)) {
        return Reads::Not("its type is generic, and a rule needs one that is known here");
    }
    // Outside an impl that is seen, a single capital letter is taken for a parameter of the impl.
    if around.generics.is_none() && found.names.iter().any(is_capital) {
        return Reads::Not("its type is generic, and a rule needs one that is known here");
    }
    if let Type::Reference(inner) = ungrouped(&reads)
        && let Type::Slice(slice) = ungrouped(&inner.elem)
    {
        return Reads::Slice((*slice.elem).clone());
    }
    Reads::Value(reads)
}

fn is_capital(name: &Ident) -> bool {
    let text = name.to_string();
    text.len() == 1 && text.chars().all(|c| c.is_ascii_uppercase())
}

/// The type as it can be named outside the function, and what stands in the way.
pub(crate) fn named(ty: &Type, self_type: Option<&Type>) -> (Type, Found) {
    let mut out = ungrouped(ty).clone();
    let mut visitor = Namer { self_type, found: Found::default() };
    visitor.visit_type_mut(&mut out);
    (out, visitor.found)
}

/// What a type mentions.
#[derive(Default)]
pub(crate) struct Found {
    opaque: bool,
    self_type: bool,
    /// First names of its paths.
    names: Vec<Ident>,
}

impl Found {
    /// Whether a path of the type begins with this name.
    pub(crate) fn mentions(&self, name: &Ident) -> bool {
        self.names.contains(name)
    }

    /// Whether the type is `impl ..` somewhere.
    pub(crate) const fn is_opaque(&self) -> bool {
        self.opaque
    }

    /// Whether the type says `Self`.
    pub(crate) const fn says_self(&self) -> bool {
        self.self_type
    }
}

struct Namer<'a> {
    self_type: Option<&'a Type>,
    found: Found,
}

impl VisitMut for Namer<'_> {
    fn visit_type_mut(&mut self, ty: &mut Type) {
        if let Type::ImplTrait(_) = ty {
            self.found.opaque = true;
            return;
        }
        if let Type::Path(path) = ty
            && path.qself.is_none()
            && path.path.is_ident("Self")
        {
            self.found.self_type = true;
            if let Some(known) = self.self_type {
                *ty = known.clone();
            }
            return;
        }
        if let Type::Reference(reference) = ty {
            reference.lifetime.get_or_insert_with(statical);
        }
        syn::visit_mut::visit_type_mut(self, ty);
    }

    fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
        *lifetime = statical();
    }

    fn visit_path_mut(&mut self, path: &mut Path) {
        if path.leading_colon.is_none()
            && let Some(first) = path.segments.first()
        {
            self.found.self_type |= first.ident == "Self";
            self.found.names.push(first.ident.clone());
        }
        syn::visit_mut::visit_path_mut(self, path);
    }
}

fn statical() -> Lifetime {
    Lifetime::new("'static", Span::call_site())
}

/// The first `f32` or `f64` that a type mentions.
pub(crate) fn float(ty: &Type) -> Option<Ident> {
    let (_, found) = named(ty, None);
    found.names.into_iter().find(|name| name == "f32" || name == "f64")
}
