//! `AttributeValue` and `Record` of a type, with the shape that rustc checks rules against.

use super::{at, local};
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::spanned::Spanned;
use syn::{GenericParam, Ident, Member, Type};

use crate::ast::type_name;
use crate::inputs::named;
use crate::model::{AttributeField, Form, Readable};
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

    // The places of a shape ask nothing of the types, so that a field without a kind is told once: where it is described.
    let shape_fields = fields.iter().map(|field| {
        let name = shape_field(&field.name, field.member.span());
        let place = Reader::of(field, &private).place();
        quote!(pub #name: #place)
    });
    let shape_values = fields.iter().map(|field| {
        let name = shape_field(&field.name, field.member.span());
        let leads = if field.with.is_some() { quote!(By) } else { quote!(Of) };
        quote!(#name: #private::contract::#leads::SHAPE)
    });
    let forms = fields.iter().map(|field| {
        let (name, rust_name, reader) = (&field.name, &field.rust_name, Reader::of(field, &private).shaped());
        quote!(#private::shape::FormField { name: #name, rust_name: #rust_name, form: <#reader>::FORM })
    });
    let described = fields.iter().map(|field| {
        let (described, name, rust, secret) =
            (Reader::of(field, &private).described(), &field.name, &field.rust_name, field.secret);
        quote!(#private::contract::field(#name, #rust, #described, #secret))
    });
    // Reading goes through this name, whether the value is of this type or of the one that it mirrors.
    let own = local("own");
    let read: Vec<TokenStream> = fields
        .iter()
        .map(|field| {
            let member = &field.member;
            Reader::of(field, &private).read(&quote!(#own.#member))
        })
        .collect();
    let names: Vec<&String> = fields.iter().map(|field| &field.name).collect();
    let index = 0u16..;
    let by_index = index.zip(&read).map(|(n, read)| quote!(#n => #read));
    let reading = quote! {
        match slot.index {
            #(#by_index,)*
            #private::value::Slot::BY_NAME => match &*slot.name {
                #(#names => #read,)*
                _ => #private::value::ValueRef::Absent,
            },
            _ => #private::value::ValueRef::Absent,
        }
    };
    let visiting = quote!(#(#private::contract::visit_field(visit, #names, #read);)*);
    let visitor = quote!(&mut dyn ::core::ops::FnMut(&::core::primitive::str, #private::value::ValueRef<'_>));
    let shaped = quote! {
        type Shape = #shape #shape_types;
        const SHAPE: #shape #shape_types = #shape { #(#shape_values),* };
        const FORM: &'static #private::shape::Form = &#private::shape::Form::Record(&[#(#forms),*]);

        fn describe() -> #private::kind::Described {
            #private::contract::record(#name, [#(#described),*])
        }
    };
    let quiet = quiet();
    let impls = if let Some(remote) = &readable.remote {
        mirror(readable, remote, fields, &shaped, &reading, &visiting)
    } else {
        quote! {
            #[automatically_derived]
            impl #of #private::contract::AttributeValue for #ident #types #clause {
                #shaped

                fn read(&self) -> #private::value::ValueRef<'_> {
                    #private::value::ValueRef::record(self)
                }
            }

            #[automatically_derived]
            impl #of #private::value::Record for #ident #types #clause {
                fn field(&self, slot: &#private::value::Slot) -> #private::value::ValueRef<'_> {
                    let #own = self;
                    #reading
                }

                fn each_field(&self, visit: #visitor) {
                    let #own = self;
                    #visiting
                }
            }

            #[automatically_derived]
            impl #of #private::contract::Attributes for #ident #types #clause {}
        }
    };
    quote! {
        #quiet
        const _: () = {
            #quiet
            pub struct #shape #shape_of #shape_clause { #(#shape_fields),* }

            #impls
        };
    }
}

/// The impls of a record's mirror: `reading` and `visiting` read the foreign value.
fn mirror(
    readable: &Readable,
    remote: &Type,
    fields: &[AttributeField],
    shaped: &TokenStream,
    reading: &TokenStream,
    visiting: &TokenStream,
) -> TokenStream {
    let (private, ident, own) = (readable.krate.private(), &readable.ident, local("own"));
    let members: Vec<&Member> = fields.iter().map(|field| &field.member).collect();
    let locals: Vec<Ident> = (0..members.len()).map(|n| local(&format!("field{n}"))).collect();
    quote! {
        #[automatically_derived]
        impl #private::contract::Mirror for #ident {
            type Of = #remote;
            #shaped

            fn read(#own: &#remote) -> #private::value::ValueRef<'_> {
                #private::value::ValueRef::Record(#private::value::RecordRef::remote::<Self>(#own))
            }
        }

        #[automatically_derived]
        impl #private::value::RemoteRecord for #ident {
            type Of = #remote;

            fn field<'own>(#own: &'own #remote, slot: &#private::value::Slot) -> #private::value::ValueRef<'own> {
                #reading
            }

            fn each_field(#own: &#remote, visit: &mut dyn ::core::ops::FnMut(&::core::primitive::str, #private::value::ValueRef<'_>)) {
                #visiting
            }
        }

        // Nobody makes a mirror; its fields are used by being declared.
        const _: fn(#ident) = |mirror| {
            let #ident { #(#members: #locals,)* .. } = mirror;
            #(let _ = #locals;)*
        };
    }
}

/// How a field is read: as its type says, or by a mirror.
struct Reader<'a> {
    field: &'a AttributeField,
    /// Messages about it stand under the field's type, or under the mirror's name.
    value: TokenStream,
    private: &'a TokenStream,
}

impl<'a> Reader<'a> {
    fn of(field: &'a AttributeField, private: &'a TokenStream) -> Self {
        let value = match &field.with {
            Some(mirror) => at(mirror.span(), quote!(#private::contract::Mirror)),
            None => at(field.ty.span(), quote!(#private::contract::AttributeValue)),
        };
        Self { field, value, private }
    }

    /// `Type as Trait`, where every lifetime is `'static`.
    fn shaped(&self) -> TokenStream {
        let value = &self.value;
        match &self.field.with {
            Some(mirror) => quote!(#mirror as #value),
            None => {
                let (ty, _) = named(&self.field.ty, None);
                quote!(#ty as #value)
            }
        }
    }

    /// The type of its place in the shape, where every lifetime is `'static`.
    fn place(&self) -> TokenStream {
        let private = self.private;
        match &self.field.with {
            Some(mirror) => quote!(#private::contract::By<#mirror>),
            None => {
                let (ty, _) = named(&self.field.ty, None);
                quote!(#private::contract::Of<#ty>)
            }
        }
    }

    fn described(&self) -> TokenStream {
        let (value, private, ty) = (&self.value, self.private, &self.field.ty);
        match &self.field.with {
            Some(mirror) if is_optional(ty) => quote!(#private::contract::optional(<#mirror as #value>::describe())),
            Some(mirror) => quote!(<#mirror as #value>::describe()),
            None => quote!(<#ty as #value>::describe()),
        }
    }

    fn read(&self, place: &TokenStream) -> TokenStream {
        let (value, private, ty) = (&self.value, self.private, &self.field.ty);
        let place = at(ty.span(), quote!(&#place));
        match &self.field.with {
            Some(mirror) if is_optional(ty) => quote! {
                match #place {
                    ::core::option::Option::Some(of) => <#mirror as #value>::read(of),
                    ::core::option::Option::None => #private::value::ValueRef::Absent,
                }
            },
            Some(mirror) => quote!(<#mirror as #value>::read(#place)),
            None => quote!(<#ty as #value>::read(#place)),
        }
    }
}

/// Whether a type is written as an `Option`.
pub(crate) fn is_optional(ty: &Type) -> bool {
    type_name(ty).is_some_and(|name| name == "Option")
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
    let shaped = quote! {
        type Shape = <#ty as #value>::Shape;
        const SHAPE: Self::Shape = <#ty as #value>::SHAPE;
        const FORM: &'static #private::shape::Form = <#ty as #value>::FORM;

        fn describe() -> #private::kind::Described {
            <#ty as #value>::describe()
        }
    };
    if let Some(remote) = &readable.remote {
        return quote! {
            #[automatically_derived]
            impl #private::contract::Mirror for #ident {
                type Of = #remote;
                #shaped

                fn read(of: &#remote) -> #private::value::ValueRef<'_> {
                    <#ty as #value>::read(&of.0)
                }
            }

            const _: fn(#ident) = |mirror| {
                let _ = mirror.0;
            };
        };
    }
    quote! {
        #[automatically_derived]
        impl #of #private::contract::AttributeValue for #ident #types #clause {
            #shaped

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
    let shaped = quote! {
        type Shape = #private::shape::Enum<Self>;
        const SHAPE: #private::shape::Enum<Self> = #private::shape::Enum::SHAPE;
        const FORM: &'static #private::shape::Form = &#private::shape::Form::Enum(<Self as #private::shape::Variants>::VARIANTS);

        fn describe() -> #private::kind::Described {
            #private::contract::variants(<Self as #private::shape::Variants>::VARIANTS)
        }
    };
    let reading = match &readable.remote {
        Some(remote) => quote! {
            #[automatically_derived]
            impl #private::contract::Mirror for #ident {
                type Of = #remote;
                #shaped

                fn read(of: &#remote) -> #private::value::ValueRef<'_> {
                    type Foreign = #remote;
                    #private::value::ValueRef::Text(match of {
                        #(Foreign::#idents { .. } => #names,)*
                    })
                }
            }

            const _: fn() = || {
                let _ = [#(#ident::#idents),*];
            };
        },
        None => quote! {
            #[automatically_derived]
            impl #of #private::contract::AttributeValue for #ident #types #clause {
                #shaped

                fn read(&self) -> #private::value::ValueRef<'_> {
                    #private::value::ValueRef::Text(match self {
                        #(Self::#idents { .. } => #names,)*
                    })
                }
            }
        },
    };
    quote! {
        #reading

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
