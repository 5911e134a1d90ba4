//! Code that never runs, by which rustc checks a rule against the shapes of the types.
//!
//! In: rules and what their roots are. Out: one `const _: () = { .. };` of calls, each at the user's own words.

use policy_core::syntax::ast::{CompareOp, Expr, ExprKind, Literal, LiteralKind, Operand, Path, SetOperand};
use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{quote, quote_spanned};
use syn::Type;
use syn::spanned::Spanned as _;

use super::at;
use crate::model::{Reads, Roots};
use crate::names::shape_field;
use crate::path::Krate;
use crate::tokens::{Places, Rule};

/// What every participant has; other names are the application's own.
const PARTICIPANT: [&str; 11] = [
    "id",
    "email",
    "displayName",
    "roles",
    "tier",
    "organization",
    "application",
    "tenant",
    "authType",
    "mfa",
    "subject",
];
/// What every context may have; other names are the application's own.
const CONTEXT: [&str; 5] = ["time", "ip", "mfa", "connection", "requestId"];

/// Makes the checks of some rules.
pub(crate) fn checks(krate: &Krate, rules: &[Rule], roots: &Roots<'_>) -> TokenStream {
    let private = krate.private();
    let bodies = rules.iter().map(|rule| {
        let mut checker =
            Checker { private: &private, places: &rule.places, roots, bound: Vec::new(), out: TokenStream::new() };
        checker.expr(&rule.tree);
        let (bindings, calls) = (checker.bound.into_iter().map(|(_, binding)| binding), checker.out);
        // Each in its own item, so that one mistake does not hide another.
        quote!(const _: () = { #(#bindings)* #calls };)
    });
    quote!(#(#bodies)*)
}

struct Checker<'a> {
    private: &'a TokenStream,
    places: &'a Places,
    roots: &'a Roots<'a>,
    /// Roots that are bound already, by the names of their bindings.
    bound: Vec<(String, TokenStream)>,
    out: TokenStream,
}

impl Checker<'_> {
    fn expr(&mut self, tree: &Expr) {
        match &tree.kind {
            ExprKind::Or(parts) | ExprKind::And(parts) => parts.iter().for_each(|part| self.expr(part)),
            ExprKind::Not(inner) => self.expr(inner),
            ExprKind::Compare { op, left, right } => self.compare(*op, left, right),
            ExprKind::Contains { set, item } => self.contains(set, item),
            ExprKind::In { item, set } => self.membership(item, set),
            ExprKind::Like { value, .. } => self.one("like", value),
            ExprKind::Exists(path) => self.path_alone("exists", path),
            ExprKind::Truth(path) => self.path_alone("truth", path),
        }
    }

    fn compare(&mut self, op: CompareOp, left: &Operand, right: &Operand) {
        match (left, right) {
            (Operand::Path(a), Operand::Path(b)) => {
                let of_one_kind = if op.is_ordering() { "same_order" } else { "same_kind" };
                let alone = if op.is_ordering() { "ordered" } else { "scalar" };
                match (self.path(a), self.path(b)) {
                    (Some(a), Some(b)) => self.call(of_one_kind, right.span(), op.as_str(), quote!(#a, #b)),
                    (Some(one), None) | (None, Some(one)) => self.call(alone, left.span(), op.as_str(), one),
                    (None, None) => {}
                }
            }
            (Operand::Path(path), Operand::Literal(literal)) | (Operand::Literal(literal), Operand::Path(path)) => {
                let Some(value) = self.path(path) else { return };
                if op.is_ordering() {
                    self.call("ordered", path.span, op.as_str(), value.clone());
                }
                self.literal("", &value, literal);
            }
            (Operand::Literal(_), Operand::Literal(_)) => {}
        }
    }

    fn contains(&mut self, set: &Operand, item: &Operand) {
        let Operand::Path(set) = set else { return };
        let Some(set) = self.path(set) else {
            return self.one("scalar", item);
        };
        match item {
            Operand::Path(item_path) => match self.path(item_path) {
                Some(item) => self.call("contains", item_path.span, "contains", quote!(#set, #item)),
                None => self.call("set", item_path.span, "contains", set),
            },
            Operand::Literal(literal) => self.literal("_item", &set, literal),
        }
    }

    fn membership(&mut self, item: &Operand, set: &SetOperand) {
        match set {
            SetOperand::Operand(set @ Operand::Path(_)) => self.contains(set, item),
            SetOperand::Operand(Operand::Literal(range)) => {
                let Operand::Path(path) = item else { return };
                let (Some(value), LiteralKind::Text(text)) = (self.path(path), &range.kind) else { return };
                self.call("in_range", range.span, &range.to_string(), quote!(#value, #text));
            }
            SetOperand::List(literals, _) => {
                self.one("scalar", item);
                let Operand::Path(path) = item else { return };
                for literal in literals {
                    if let Some(value) = self.path(path) {
                        self.literal("", &value, literal);
                    }
                }
            }
        }
    }

    fn one(&mut self, function: &str, operand: &Operand) {
        match operand {
            Operand::Path(path) => self.path_alone(function, path),
            Operand::Literal(_) => {}
        }
    }

    fn path_alone(&mut self, function: &str, path: &Path) {
        if let Some(value) = self.path(path) {
            self.call(function, path.span, function, value);
        }
    }

    /// A literal beside a value, or beside the items of a set (`of` is `_item`).
    fn literal(&mut self, of: &str, value: &TokenStream, literal: &Literal) {
        let (name, argument) = match &literal.kind {
            LiteralKind::Text(text) => ("text", quote!(, #text)),
            LiteralKind::Integer(n) => ("integer", quote!(, #n)),
            LiteralKind::Decimal(_) => ("decimal", TokenStream::new()),
            LiteralKind::Bool(_) => ("bool", TokenStream::new()),
        };
        self.call(&format!("{name}_literal{of}"), literal.span, &literal.to_string(), quote!(#value #argument));
    }

    /// Calls a function of `shape`; where it fails, the words of `part` are underlined, or quoted in the text form. `word` is
    /// what a message about them names.
    fn call(&mut self, function: &str, part: policy_core::source::Span, word: &str, arguments: TokenStream) {
        let span = self.places.first(part);
        let (private, function) = (self.private, Ident::new(function, Span::call_site()));
        let (callee, arguments) = match self.places {
            Places::Tokens(_) => (quote!(#private::shape::#function), arguments),
            Places::Literal(_) => {
                let place = self.place(part, word);
                (quote!(#private::shape::text::#function), quote!(#arguments, #place))
            }
        };
        self.out.extend(at(span, callee));
        let mut group = Group::new(Delimiter::Parenthesis, arguments);
        group.set_span(Span::mixed_site().located_at(span));
        self.out.extend([TokenTree::from(group)]);
        self.out.extend(at(span, quote!(;)));
    }

    /// A word of a rule in the text form, with the text and a caret under the word.
    fn place(&self, part: policy_core::source::Span, word: &str) -> TokenStream {
        let (private, quote) = (self.private, self.places.quoted(part));
        quote!(#private::shape::text::At { word: #word, quote: #quote })
    }

    /// What a path leads to: in the token form a shape, read through the user's own words; in the text form what
    /// `shape::text` finds. `None` where the compiler knows nothing of it.
    fn path(&mut self, path: &Path) -> Option<TokenStream> {
        let root = path.segments.first()?;
        let span = self.places.first(root.span);
        let n = self.root(root.name.as_str(), path.fields().first().map(|field| field.name.as_str()), span)?;
        let (binding, private) = (Self::binding(n, span), self.private);
        let mut out = quote!(#binding);
        if let Places::Literal(_) = self.places {
            let mut so_far = root.name.clone();
            for field in path.fields() {
                so_far = format!("{so_far}.{}", field.name);
                let place = self.place(field.span, &field.name);
                out = at(span, quote!(#private::shape::text::attribute(#out, #so_far, #place)));
            }
            return Some(out);
        }
        let lent = quote_spanned!(span=> &);
        for field in path.fields() {
            let end = self.places.first(field.span);
            let (name, dot) = (shape_field(&field.name, end), at(end, quote!(.)));
            // From the root to the attribute, so that all of the path is underlined.
            let callee = spanned(span, private, quote!(#private::contract::shape_in));
            let mut group = Group::new(Delimiter::Parenthesis, quote!(#lent #out #dot #name));
            group.set_span(end);
            out = quote!(#callee #group);
        }
        Some(quote!(#lent #out))
    }

    /// The name of a binding. It has the user's own span, so that all of a path is underlined; nothing of the user's stands
    /// in the same block.
    fn binding(n: usize, span: Span) -> Ident {
        Ident::new(&format!("__root{n}"), span)
    }

    /// A root that every request has.
    fn of_root(&self, root: &str, shape: &TokenStream) -> TokenStream {
        let private = self.private;
        match self.places {
            Places::Tokens(_) => quote!(#shape::SHAPE),
            Places::Literal(_) => quote!(#private::shape::text::root(#root, #shape::FORM)),
        }
    }

    /// A root of a type; where the type has no kind, the root is underlined.
    fn of_type(&self, root: &str, ty: &Type, span: Span) -> TokenStream {
        let private = self.private;
        match self.places {
            Places::Tokens(_) => at(span, quote!(#private::contract::shape_of::<#ty>())),
            Places::Literal(_) => {
                let form = at(span, quote!(#private::contract::form_of::<#ty>()));
                quote!(#private::shape::text::root(#root, #form))
            }
        }
    }

    /// A root that a mirror reads.
    fn of_mirror(&self, root: &str, mirror: &syn::Path, span: Span) -> TokenStream {
        let private = self.private;
        let reader = at(mirror.span(), quote!(#private::contract::Mirror));
        match self.places {
            Places::Tokens(_) => at(span, quote!(<#mirror as #reader>::SHAPE)),
            Places::Literal(_) => quote!(#private::shape::text::root(#root, <#mirror as #reader>::FORM)),
        }
    }

    /// Binds a root once, and returns the number of the binding.
    fn root(&mut self, root: &str, field: Option<&str>, span: Span) -> Option<usize> {
        let private = self.private;
        let (name, shape) = match root {
            "participant" if field.is_some_and(|field| PARTICIPANT.contains(&field)) => {
                ("participant".to_owned(), self.of_root(root, &quote!(#private::ParticipantShape)))
            }
            "participant" => ("own_participant".to_owned(), self.of_type(root, self.roots.participant?, span)),
            "context" if field.is_some_and(|field| CONTEXT.contains(&field)) => {
                ("context".to_owned(), self.of_root(root, &quote!(#private::ContextShape)))
            }
            "context" => return None,
            "entity" if self.roots.entity.is_some() => {
                ("entity".to_owned(), self.of_type(root, self.roots.entity?, span))
            }
            parameter => {
                let param = self.roots.params.iter().find(|param| param.wire == parameter)?;
                let shape = match &param.reads {
                    Reads::Value(ty) => self.of_type(root, ty, span),
                    Reads::Slice(ty) => self.of_type(root, &slice_as_set(ty), span),
                    Reads::Mirror(mirror, _) => self.of_mirror(root, mirror, span),
                    Reads::Not(_) => return None,
                };
                (format!("parameter_{parameter}"), shape)
            }
        };
        if let Some(known) = self.bound.iter().position(|(bound, _)| *bound == name) {
            return Some(known);
        }
        let binding = Self::binding(self.bound.len(), span);
        self.bound.push((name, quote!(let #binding = #shape;)));
        Some(self.bound.len() - 1)
    }
}

/// The same tokens as if the user had written them at `span`. A façade that the user has named stays as it was: lints would
/// speak of its path.
fn spanned(span: Span, private: &TokenStream, tokens: TokenStream) -> TokenStream {
    if !private.to_string().starts_with("::") {
        return at(span, tokens);
    }
    let own = |mut token: TokenTree| {
        token.set_span(span);
        token
    };
    tokens.into_iter().map(own).collect()
}

/// A slice has no kind of its own, since only sized values can be borrowed as one; it reads as a `Vec` does.
pub(crate) fn slice_as_set(item: &Type) -> Type {
    syn::parse_quote!(::std::vec::Vec<#item>)
}
