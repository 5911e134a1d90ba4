//! The guard: what stands before the first statement of a function's body.
//!
//! In: an action and the function's form. Out: the function with its guard. Absent: which rules it has.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::quote;
use syn::spanned::Spanned;
use syn::{Expr, Pat, ReturnType, Stmt, Type};

use super::action::declaration;
use super::attributes::is_optional;
use super::checks::checks;
use super::{at, local};
use crate::ast::Function;
use crate::inputs::value_type;
use crate::model::{Action, Param, Reads, Resource};
use crate::validate::reads_param;

/// How a function answers.
pub(crate) enum Flow {
    /// It is not async.
    Sync,
    /// `async fn`
    Async,
    /// It returns a future that its body makes: the form of `#[async_trait]`, with the type of the future's output.
    Boxed(Box<Type>),
}

/// Where the decision comes from.
pub(crate) enum Source {
    /// A guard of the function's own.
    Own,
    /// A function that a published trait has for it, which takes the caller and the parameters; and the trait's names of the
    /// action, where the implementation adds a rule of its own.
    Contract { guard: TokenStream, names: Option<TokenStream> },
}

/// Puts the guard into a function; `context` is the parameter that is the caller.
pub(crate) fn guarded(function: &mut Function, action: &Action, flow: &Flow, context: Option<&Ident>, source: &Source) {
    let Some(body) = &mut function.body else { return };
    let private = action.krate.private();
    let caller = match context {
        Some(name) => {
            quote!(::core::option::Option::Some(::core::borrow::Borrow::<#private::SecurityContext>::borrow(&#name)))
        }
        None => quote!(::core::option::Option::None),
    };
    let returned = match &function.sig.output {
        ReturnType::Type(_, ty) => ty.span(),
        ReturnType::Default => function.sig.ident.span(),
    };
    let refused = |denied: &Ident| {
        let function = match flow {
            Flow::Boxed(output) => quote!(<#output as #private::GuardedReturn>::refused),
            Flow::Sync | Flow::Async => quote!(#private::GuardedReturn::refused),
        };
        at(returned, quote!(#function(#denied)))
    };
    let (permit, denied, opened) = (local("permit"), local("denied"), local("opened"));
    let refused = refused(&denied);
    let decision = match source {
        Source::Own => own(action, &caller),
        Source::Contract { guard, names } => {
            let params = action.params.iter().map(|param| &param.rust);
            let own = names.as_ref().map(|_| declared(action));
            quote!({
                #own
                #guard(#caller, #(&#params),*)
            })
        }
    };
    let begin = match flow {
        Flow::Sync => quote!(#private::Permit::begin_blocking(#permit)),
        Flow::Async | Flow::Boxed(_) => quote!(#private::Permit::begin(#permit).await),
    };
    let guard = quote! {
        let #permit = match #decision {
            ::core::result::Result::Ok(#permit) => #permit,
            ::core::result::Result::Err(#denied) => return #refused,
        };
        let #opened = match #begin {
            ::core::result::Result::Ok(#opened) => #opened,
            ::core::result::Result::Err(#denied) => return #refused,
        };
    };
    let tokens = std::mem::take(&mut body.tokens);
    body.tokens = match flow {
        Flow::Sync | Flow::Async => {
            let mut out = guard;
            out.extend(tokens);
            out
        }
        Flow::Boxed(_) => into_future(tokens, &guard),
    };
}

/// Declares the action and asks its guard; borrows end before anything is awaited.
fn own(action: &Action, caller: &TokenStream) -> TokenStream {
    let check = asked(action, caller);
    quote!({ #check })
}

/// The statements that declare an action, and the expression that asks its guard.
pub(crate) fn asked(action: &Action, caller: &TokenStream) -> TokenStream {
    let private = action.krate.private();
    let declared = declared(action);
    let mut slices = TokenStream::new();
    let args: Vec<TokenStream> =
        action.params.iter().map(|param| argument(&private, param, action, &mut slices)).collect();
    let resource = match &action.resource {
        Resource::Parameter(_, name, ty) => {
            let entity = local("entity");
            slices.extend(quote!(let #entity: &#ty = &#name;));
            quote! {
                ::core::option::Option::Some((
                    &*#private::contract::Entity::entity_id(#entity),
                    #entity as &(dyn #private::value::Record + ::core::marker::Sync),
                ))
            }
        }
        Resource::Scope | Resource::Service(_) | Resource::Entity(_) => quote!(::core::option::Option::None),
    };
    let answer = local("answer");
    quote! {
        #declared
        static __GUARD: #private::Guard = #private::Guard::new(&__DECLARATION);
        #slices
        let #answer = #private::Guard::check(&__GUARD, #caller, &[#(#args),*], #resource);
        #answer
    }
}

/// The declaration of an action, registered, and the checks of its rules.
pub(crate) fn declared(action: &Action) -> TokenStream {
    let private = action.krate.private();
    let declaration = declaration(action);
    let checks = checks(&action.krate, &action.rules, &action.roots());
    let organization = action.organization.and_then(|at| action.params.get(usize::from(at)));
    let organization = organization.and_then(|param| match &param.reads {
        Reads::Value(ty) => Some(at(
            param.rust.span(),
            quote!(const _: () = #private::shape::same_kind(&#private::shape::Text, &#private::contract::shape_of::<#ty>());),
        )),
        Reads::Slice(_) | Reads::Mirror(..) | Reads::Not(_) => None,
    });
    quote! {
        #organization
        static __DECLARATION: #private::decl::ActionDecl = #declaration;
        #private::register! { action &__DECLARATION }
        #checks
    }
}

fn argument(private: &TokenStream, param: &Param, action: &Action, slices: &mut TokenStream) -> TokenStream {
    let name = &param.rust;
    match &param.reads {
        Reads::Slice(_) if reads_param(&action.rules, &param.wire) => {
            let slice = Ident::new(&format!("slice_{}", crate::names::plain(name)), Span::mixed_site());
            slices.extend(quote!(let #slice: &[_] = &*#name;));
            quote!(#private::contract::read_slice(&#slice))
        }
        Reads::Mirror(mirror, ty) if reads_param(&action.rules, &param.wire) => {
            let read = at(mirror.span(), quote!(<#mirror as #private::contract::Mirror>::read));
            let lent = at(name.span(), quote!(&#name));
            if !is_optional(value_type(ty)) {
                return quote!(#read(#lent));
            }
            let given = Ident::new(&format!("given_{}", crate::names::plain(name)), Span::mixed_site());
            slices.extend(quote!(let #given: &::core::option::Option<_> = #lent;));
            quote! {
                match #given {
                    ::core::option::Option::Some(#given) => #read(#given),
                    ::core::option::Option::None => #private::value::ValueRef::Absent,
                }
            }
        }
        // A parameter that is not read must not be required to have a kind.
        Reads::Slice(_) | Reads::Mirror(..) => quote!(#private::value::ValueRef::Absent),
        Reads::Value(_) | Reads::Not(_) => quote! {{
            use #private::{ViaKind as _, ViaNothing as _};
            (&&#private::Probe(&#name)).read_or_absent()
        }},
    }
}

/// Puts the guard at the start of the future that the body makes, behind the rebindings of `#[async_trait]`.
fn into_future(body: TokenStream, guard: &TokenStream) -> TokenStream {
    in_last_group(body, &|stream, delimiter| match delimiter {
        Delimiter::Brace => behind_patterns(&stream, guard).unwrap_or_else(|| behind_rebindings(&stream, guard)),
        Delimiter::Parenthesis | Delimiter::Bracket | Delimiter::None => into_future(stream, guard),
    })
}

fn in_last_group(body: TokenStream, change: &dyn Fn(TokenStream, Delimiter) -> TokenStream) -> TokenStream {
    let mut tokens: Vec<TokenTree> = body.into_iter().collect();
    if let Some(TokenTree::Group(last)) = tokens.pop() {
        let mut group = Group::new(last.delimiter(), change(last.stream(), last.delimiter()));
        group.set_span(last.span());
        tokens.push(group.into());
    }
    tokens.into_iter().collect()
}

/// Puts the guard behind `let PATTERN = __arg1;`, at whatever depth another attribute has left it.
fn behind_patterns(block: &TokenStream, guard: &TokenStream) -> Option<TokenStream> {
    if has_pattern(block) {
        return Some(behind_rebindings(block, guard));
    }
    let mut found = false;
    let tokens = block.clone().into_iter().map(|token| match token {
        TokenTree::Group(inner) if !found => match behind_patterns(&inner.stream(), guard) {
            Some(stream) => {
                found = true;
                let mut group = Group::new(inner.delimiter(), stream);
                group.set_span(inner.span());
                group.into()
            }
            None => inner.into(),
        },
        other => other,
    });
    let tokens: TokenStream = tokens.collect();
    found.then_some(tokens)
}

/// Whether a block itself has `let PATTERN = { let __arg1 = __arg1; __arg1 };`, as `#[async_trait]` writes where a
/// parameter was a pattern, or the same without the inner block.
fn has_pattern(block: &TokenStream) -> bool {
    let moved = |token: &TokenTree| matches!(token, TokenTree::Ident(name) if name.to_string().starts_with("__arg"));
    let tokens: Vec<TokenTree> = block.clone().into_iter().collect();
    tokens.windows(3).any(|three| match three {
        [TokenTree::Group(_), TokenTree::Punct(equals), value] => {
            let inner = match value {
                TokenTree::Group(inner) => inner.stream().into_iter().last(),
                other => Some(other.clone()),
            };
            equals.as_char() == '=' && inner.as_ref().is_some_and(moved)
        }
        _ => false,
    })
}

fn behind_rebindings(block: &TokenStream, guard: &TokenStream) -> TokenStream {
    let Some(stmts) = statements(block) else {
        return quote!(#guard #block);
    };
    let first = stmts.iter().position(|stmt| rebinding(stmt).is_none() && !is_return_hint(stmt)).unwrap_or(stmts.len());
    let (before, after) = stmts.split_at_checked(first).unwrap_or((&stmts, &[]));
    quote!(#(#before)* #guard #(#after)*)
}

fn statements(block: &TokenStream) -> Option<Vec<Stmt>> {
    syn::parse::Parser::parse2(syn::Block::parse_within, block.clone()).ok()
}

/// `let PATTERN = name;` or `let PATTERN = { ..; name };`
fn rebinding(stmt: &Stmt) -> Option<(&Pat, &Ident)> {
    let Stmt::Local(local) = stmt else { return None };
    let value = match &*local.init.as_ref()?.expr {
        Expr::Block(block) => match block.block.stmts.last()? {
            Stmt::Expr(value, None) => value,
            _ => return None,
        },
        other => other,
    };
    let Expr::Path(path) = value else { return None };
    Some((&local.pat, path.path.get_ident()?))
}

/// `if let Some(__ret) = None::<R> { return __ret; }`, by which `#[async_trait]` says the type.
fn is_return_hint(stmt: &Stmt) -> bool {
    matches!(stmt, Stmt::Expr(Expr::If(branch), _) if matches!(&*branch.cond, Expr::Let(_)))
}

/// The patterns that `#[async_trait]` has moved from the signature into the future's body.
pub(crate) fn rebindings(body: &TokenStream) -> Vec<(Ident, Pat)> {
    if has_pattern(body) {
        let stmts = statements(body).unwrap_or_default();
        return stmts.iter().filter_map(rebinding).map(|(pat, name)| (name.clone(), pat.clone())).collect();
    }
    body.clone()
        .into_iter()
        .filter_map(|token| if let TokenTree::Group(group) = token { Some(rebindings(&group.stream())) } else { None })
        .find(|found| !found.is_empty())
        .unwrap_or_default()
}

/// Whether a body ends with an async block, bare or in `Box::pin(..)`.
pub(crate) fn makes_future(body: &TokenStream) -> bool {
    let tokens: Vec<TokenTree> = body.clone().into_iter().collect();
    match tokens.as_slice() {
        [before @ .., TokenTree::Group(last)] if last.delimiter() == Delimiter::Brace => {
            let word = |token: Option<&TokenTree>, text: &str| matches!(token, Some(TokenTree::Ident(w)) if w == text);
            match before {
                [.., token] if word(Some(token), "async") => true,
                [.., token, after] => word(Some(token), "async") && word(Some(after), "move"),
                _ => false,
            }
        }
        [.., TokenTree::Ident(pin), TokenTree::Group(last)] if pin == "pin" => makes_future(&last.stream()),
        _ => false,
    }
}
