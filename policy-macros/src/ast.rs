//! What the user wrote, before it is known to be right.
//!
//! In: the tokens of an item. Out: [`Target`]: functions with their bodies left as tokens, impls and traits as lists of
//! those. Absent: any judgement.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Attribute, ImplItem, ItemImpl, ItemTrait, Signature, Token, TraitItem, Visibility};

/// The item under an attribute.
pub(crate) enum Target {
    Function(Box<Function>),
    Impl(Box<Members<ItemImpl, ImplItem>>),
    Trait(Box<Members<ItemTrait, TraitItem>>),
    /// Anything else: what it is called, and its keyword.
    Other(&'static str, Span),
}

/// A function or method; its body is not looked into.
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    /// `None` for a declaration that ends with a semicolon.
    pub(crate) body: Option<Body>,
}

/// A function's body.
#[derive(Clone)]
pub(crate) struct Body {
    /// `#![..]` at its start.
    pub(crate) inner: Vec<Attribute>,
    /// What follows.
    pub(crate) tokens: TokenStream,
    /// Its braces.
    pub(crate) braces: Span,
}

/// An impl or a trait: its head, and its items apart.
pub(crate) struct Members<H, I> {
    pub(crate) head: H,
    pub(crate) braces: Span,
    pub(crate) items: Vec<Member<I>>,
}

/// An item of an impl or a trait.
pub(crate) enum Member<I> {
    Function(Box<Function>),
    Other(I),
}

impl Target {
    /// Reads an item.
    pub(crate) fn parse(item: &TokenStream) -> syn::Result<Self> {
        let (what, at) = sniff(item);
        match what {
            What::Function => Function::parse.parse2(item.clone()).map(|found| Self::Function(Box::new(found))),
            What::Impl => {
                Members::parse(item, |item: &ItemImpl| item.items.is_empty()).map(|m| Self::Impl(Box::new(m)))
            }
            What::Trait => {
                Members::parse(item, |item: &ItemTrait| item.items.is_empty()).map(|m| Self::Trait(Box::new(m)))
            }
            What::Other(name) => Ok(Self::Other(name, at)),
        }
    }
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attrs = Attribute::parse_outer(input)?;
        let vis = input.parse()?;
        let sig: Signature = input.parse()?;
        if input.peek(Token![;]) {
            input.parse::<Token![;]>()?;
            return Ok(Self { attrs, vis, sig, body: None });
        }
        let block: Group = input.step(|cursor| match cursor.token_tree() {
            Some((TokenTree::Group(group), rest)) if group.delimiter() == Delimiter::Brace => Ok((group, rest)),
            _ => Err(cursor.error("expected the body of the function")),
        })?;
        let read = |input: ParseStream<'_>| Ok((Attribute::parse_inner(input)?, input.parse::<TokenStream>()?));
        let (inner, tokens) = read.parse2(block.stream())?;
        Ok(Self { attrs, vis, sig, body: Some(Body { inner, tokens, braces: block.span() }) })
    }
}

impl ToTokens for Function {
    fn to_tokens(&self, out: &mut TokenStream) {
        for attribute in &self.attrs {
            attribute.to_tokens(out);
        }
        self.vis.to_tokens(out);
        self.sig.to_tokens(out);
        match &self.body {
            Some(body) => body.to_tokens(out),
            None => <Token![;]>::default().to_tokens(out),
        }
    }
}

impl ToTokens for Body {
    fn to_tokens(&self, out: &mut TokenStream) {
        let mut stream = TokenStream::new();
        for attribute in &self.inner {
            attribute.to_tokens(&mut stream);
        }
        stream.extend(self.tokens.clone());
        let mut group = Group::new(Delimiter::Brace, stream);
        group.set_span(self.braces);
        group.to_tokens(out);
    }
}

impl<H: Parse, I: Parse> Members<H, I> {
    /// Reads the head with the braces emptied, then the items one by one, so that bodies stay tokens.
    fn parse(item: &TokenStream, _empty: impl Fn(&H) -> bool) -> syn::Result<Self> {
        let mut tokens: Vec<TokenTree> = item.clone().into_iter().collect();
        let Some(TokenTree::Group(group)) = tokens.pop() else {
            return Err(syn::Error::new_spanned(item, "expected an item with a body in braces"));
        };
        let inner = |input: ParseStream<'_>| Ok((Attribute::parse_inner(input)?, input.parse::<TokenStream>()?));
        let (attributes, rest) = inner.parse2(group.stream())?;
        let mut head = Group::new(group.delimiter(), attributes.iter().map(ToTokens::to_token_stream).collect());
        head.set_span(group.span());
        tokens.push(head.into());
        let read = |input: ParseStream<'_>| {
            let mut items = Vec::new();
            while !input.is_empty() {
                items.push(input.parse::<Member<I>>()?);
            }
            Ok(items)
        };
        Ok(Self { head: syn::parse2(tokens.into_iter().collect())?, braces: group.span(), items: read.parse2(rest)? })
    }
}

impl<I: Parse> Parse for Member<I> {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let ahead = input.fork();
        let is_function = Attribute::parse_outer(&ahead).is_ok()
            && ahead.parse::<Visibility>().is_ok()
            && ahead.parse::<Signature>().is_ok();
        if is_function {
            input.parse().map(|found| Self::Function(Box::new(found)))
        } else {
            input.parse().map(Self::Other)
        }
    }
}

impl<I: ToTokens> ToTokens for Member<I> {
    fn to_tokens(&self, out: &mut TokenStream) {
        match self {
            Self::Function(function) => function.to_tokens(out),
            Self::Other(item) => item.to_tokens(out),
        }
    }
}

enum What {
    Function,
    Impl,
    Trait,
    Other(&'static str),
}

/// Says by its first words what an item is.
fn sniff(item: &TokenStream) -> (What, Span) {
    let mut tokens = item.clone().into_iter().peekable();
    let mut held: Option<Span> = None;
    while let Some(token) = tokens.next() {
        let word = match token {
            TokenTree::Punct(p) if p.as_char() == '#' => {
                tokens.next();
                continue;
            }
            // A visibility or an item from a `macro_rules!` stands in an invisible group.
            TokenTree::Group(group) if group.delimiter() == Delimiter::None && tokens.peek().is_none() => {
                return sniff(&group.stream());
            }
            TokenTree::Ident(word) => word,
            TokenTree::Group(_) | TokenTree::Literal(_) => continue,
            TokenTree::Punct(p) => {
                return (
                    held.map_or(What::Other("item"), |_| What::Other("constant")),
                    held.unwrap_or_else(|| p.span()),
                );
            }
        };
        let what = match word.to_string().as_str() {
            "pub" | "async" | "unsafe" | "extern" | "default" | "safe" | "auto" => continue,
            "const" => {
                held = Some(word.span());
                continue;
            }
            "fn" => What::Function,
            "impl" => What::Impl,
            "trait" => What::Trait,
            "struct" => What::Other("struct"),
            "enum" => What::Other("enum"),
            "union" => What::Other("union"),
            "static" => What::Other("static"),
            "mod" => What::Other("module"),
            "use" => What::Other("import"),
            "type" => What::Other("type alias"),
            "macro_rules" => What::Other("macro"),
            _ if held.is_some() => What::Other("constant"),
            _ => What::Other("item"),
        };
        return (what, word.span());
    }
    (What::Other("item"), Span::call_site())
}

/// The identifier of a type that is a plain path, such as `OrderService` of `shop::OrderService<S>`.
pub(crate) fn type_name(ty: &syn::Type) -> Option<&Ident> {
    match ty {
        syn::Type::Path(path) if path.qself.is_none() => path.path.segments.last().map(|segment| &segment.ident),
        syn::Type::Group(group) => type_name(&group.elem),
        syn::Type::Paren(paren) => type_name(&paren.elem),
        _ => None,
    }
}
