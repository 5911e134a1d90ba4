//! `AttributeValue` and `Record` of a type, with the shape that rustc checks rules against.

use super::at;
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::spanned::Spanned;
use syn::{GenericParam, Ident, Type};

use crate::derive::{AttributeField, Form, Readable};
use crate::inputs::named;
use crate::names::shape_field;

/// Makes the impls of a type.
pub(crate) fn expand(readable: &Readable) -> TokenStream {
    match &readable.form {
        Form::Record(fields) => record(readable, fields),
        Form::Newtype(ty) => newtype(readable, ty),
        Form::Enum(variants) => unit_enum(readable, variants),
    }
}

fn record(readable: &Readable, fields: &[AttributeField]) -> TokenStream {
    let private = readable.krate.private();
    let (ident, name) = (&readable.ident, readable.ident.to_string());
    let mut generics = readable.generics.clone();
    for param in generics.type_params_mut() {
        param.bounds.push(syn::parse_quote!(#private::contract::AttributeValue));
        param.bounds.push(syn::parse_quote!(::core::marker::Sync));
        param.bounds.push(syn::parse_quote!('static));
    }
    let (of, types, clause) = generics.split_for_impl();
    // The shape is of the types only: lifetimes are all `'static` in it.
    let mut shape_generics = generics.clone();
    shape_generics.params =
        shape_generics.params.into_iter().filter(|p| !matches!(p, GenericParam::Lifetime(_))).collect();
    let (shape_of, shape_types, shape_clause) = shape_generics.split_for_impl();
    let shape = format_ident!("{}Attributes", ident, span = proc_macro2::Span::mixed_site());

    let value = |ty: &Type| at(ty.span(), quote!(#private::contract::AttributeValue));
    let shape_fields = fields.iter().map(|field| {
        let (ty, _) = named(&field.ty, None);
        let (value, name) = (value(&field.ty), shape_field(&field.name, field.member.span()));
        let shape = at(field.ty.span(), quote!(<#ty as #value>::Shape));
        quote!(pub #name: #shape)
    });
    let shape_values = fields.iter().map(|field| {
        let (ty, _) = named(&field.ty, None);
        let (value, name) = (value(&field.ty), shape_field(&field.name, field.member.span()));
        quote!(#name: <#ty as #value>::SHAPE)
    });
    let described = fields.iter().map(|field| {
        let (value, ty, name, rust, secret) =
            (value(&field.ty), &field.ty, &field.name, &field.rust_name, field.secret);
        quote!(#private::contract::field(#name, #rust, <#ty as #value>::describe(), #secret))
    });
    let read: Vec<TokenStream> = fields
        .iter()
        .map(|field| {
            let (value, ty, member) = (value(&field.ty), &field.ty, &field.member);
            quote!(<#ty as #value>::read(&self.#member))
        })
        .collect();
    let names: Vec<&String> = fields.iter().map(|field| &field.name).collect();
    let index = 0u16..;
    let by_index = index.zip(&read).map(|(n, read)| quote!(#n => #read));
    let quiet = quiet();
    quote! {
        #quiet
        const _: () = {
            #quiet
            pub struct #shape #shape_of #shape_clause { #(#shape_fields),* }

            #[automatically_derived]
            impl #of #private::contract::AttributeValue for #ident #types #clause {
                type Shape = #shape #shape_types;
                const SHAPE: #shape #shape_types = #shape { #(#shape_values),* };

                fn describe() -> #private::kind::Described {
                    #private::contract::record(#name, [#(#described),*])
                }

                fn read(&self) -> #private::value::ValueRef<'_> {
                    #private::value::ValueRef::Record(self)
                }
            }

            #[automatically_derived]
            impl #of #private::value::Record for #ident #types #clause {
                fn field(&self, slot: &#private::value::Slot) -> #private::value::ValueRef<'_> {
                    match slot.index {
                        #(#by_index,)*
                        #private::value::Slot::BY_NAME => match &*slot.name {
                            #(#names => #read,)*
                            _ => #private::value::ValueRef::Absent,
                        },
                        _ => #private::value::ValueRef::Absent,
                    }
                }

                fn each_field(&self, visit: &mut dyn ::core::ops::FnMut(&::core::primitive::str, #private::value::ValueRef<'_>)) {
                    #(#private::contract::visit_field(visit, #names, #read);)*
                }
            }

            #[automatically_derived]
            impl #of #private::contract::Attributes for #ident #types #clause {}
        };
    }
}

fn newtype(readable: &Readable, ty: &Type) -> TokenStream {
    let private = readable.krate.private();
    let ident = &readable.ident;
    let mut generics = readable.generics.clone();
    let value = at(ty.span(), quote!(#private::contract::AttributeValue));
    generics.make_where_clause().predicates.push(syn::parse_quote!(#ty: #value));
    let clause_of_values = &generics.where_clause;
    // A bound without parameters would be checked where it stands, twice.
    let (of, types, clause) = readable.generics.split_for_impl();
    let clause = if readable.generics.params.is_empty() { quote!(#clause) } else { quote!(#clause_of_values) };
    quote! {
        #[automatically_derived]
        impl #of #private::contract::AttributeValue for #ident #types #clause {
            type Shape = <#ty as #value>::Shape;
            const SHAPE: Self::Shape = <#ty as #value>::SHAPE;

            fn describe() -> #private::kind::Described {
                <#ty as #value>::describe()
            }

            fn read(&self) -> #private::value::ValueRef<'_> {
                <#ty as #value>::read(&self.0)
            }
        }
    }
}

fn unit_enum(readable: &Readable, variants: &[(Ident, String)]) -> TokenStream {
    let private = readable.krate.private();
    let ident = &readable.ident;
    let (of, types, clause) = readable.generics.split_for_impl();
    let (idents, names): (Vec<&Ident>, Vec<&String>) = variants.iter().map(|(ident, name)| (ident, name)).unzip();
    quote! {
        #[automatically_derived]
        impl #of #private::contract::AttributeValue for #ident #types #clause {
            type Shape = #private::shape::Enum<Self>;
            const SHAPE: #private::shape::Enum<Self> = #private::shape::Enum::SHAPE;

            fn describe() -> #private::kind::Described {
                #private::contract::variants(<Self as #private::shape::Variants>::VARIANTS)
            }

            fn read(&self) -> #private::value::ValueRef<'_> {
                #private::value::ValueRef::Text(match self {
                    #(Self::#idents { .. } => #names,)*
                })
            }
        }

        #[automatically_derived]
        impl #of #private::shape::Variants for #ident #types #clause {
            const VARIANTS: &'static [&'static ::core::primitive::str] = &[#(#names),*];
        }
    }
}

/// Lints that speak of how generated code looks.
pub(crate) fn quiet() -> TokenStream {
    quote! {
        #[allow(
            dead_code, non_snake_case, non_camel_case_types, missing_docs, missing_debug_implementations,
            unnameable_types, private_interfaces, private_bounds, clippy::all, clippy::pedantic
        )]
    }
}
