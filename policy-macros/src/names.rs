//! How Rust names become the names that policies and the wire use.
//!
//! In: identifiers and serde's `rename_all`. Out: wire names, and the identifiers of shape fields.

use std::fmt::Write as _;

use proc_macro2::{Ident, Span};

/// An identifier without `r#`.
pub(crate) fn plain(name: &Ident) -> String {
    let text = name.to_string();
    text.strip_prefix("r#").map_or(text.clone(), ToOwned::to_owned)
}

/// `place_order` as `placeOrder`; underscores before and after are left out.
pub(crate) fn camel_case(name: &str) -> String {
    let mut out = String::new();
    for word in name.split('_').filter(|word| !word.is_empty()) {
        if out.is_empty() {
            out.push_str(&lower_first(word));
        } else {
            out.push_str(&upper_first(word));
        }
    }
    if out.is_empty() { name.to_owned() } else { out }
}

/// `PhotoAlbum` as `photo_album`.
pub(crate) fn snake_case(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}

fn upper_first(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn lower_first(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// serde's `rename_all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RenameRule {
    Lower,
    Upper,
    Pascal,
    Camel,
    Snake,
    ScreamingSnake,
    Kebab,
    ScreamingKebab,
}

impl RenameRule {
    /// The spellings that serde takes.
    pub(crate) const ALL: [(&'static str, Self); 8] = [
        ("lowercase", Self::Lower),
        ("UPPERCASE", Self::Upper),
        ("PascalCase", Self::Pascal),
        ("camelCase", Self::Camel),
        ("snake_case", Self::Snake),
        ("SCREAMING_SNAKE_CASE", Self::ScreamingSnake),
        ("kebab-case", Self::Kebab),
        ("SCREAMING-KEBAB-CASE", Self::ScreamingKebab),
    ];

    /// Renames a field, which Rust writes in snake case.
    pub(crate) fn field(self, name: &str) -> String {
        match self {
            Self::Lower | Self::Snake => name.to_owned(),
            Self::Upper | Self::ScreamingSnake => name.to_ascii_uppercase(),
            Self::Pascal => pascal(name),
            Self::Camel => lower_ascii_first(&pascal(name)),
            Self::Kebab => name.replace('_', "-"),
            Self::ScreamingKebab => name.to_ascii_uppercase().replace('_', "-"),
        }
    }

    /// Renames a variant, which Rust writes in Pascal case.
    pub(crate) fn variant(self, name: &str) -> String {
        match self {
            Self::Pascal => name.to_owned(),
            Self::Lower => name.to_ascii_lowercase(),
            Self::Upper => name.to_ascii_uppercase(),
            Self::Camel => lower_ascii_first(name),
            Self::Snake => snake(name),
            Self::ScreamingSnake => snake(name).to_ascii_uppercase(),
            Self::Kebab => snake(name).replace('_', "-"),
            Self::ScreamingKebab => snake(name).to_ascii_uppercase().replace('_', "-"),
        }
    }
}

fn pascal(name: &str) -> String {
    let mut out = String::new();
    let mut capital = true;
    for c in name.chars() {
        if c == '_' {
            capital = true;
        } else if capital {
            out.push(c.to_ascii_uppercase());
            capital = false;
        } else {
            out.push(c);
        }
    }
    out
}

fn lower_ascii_first(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map(|first| std::iter::once(first.to_ascii_lowercase()).chain(chars).collect()).unwrap_or_default()
}

fn snake(name: &str) -> String {
    let mut out = String::new();
    for (n, c) in name.chars().enumerate() {
        if n > 0 && c.is_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// The identifier of the shape's field for an attribute's name.
///
/// A name that is an identifier stands as it is (a Rust keyword with `r#`). In another, each character that an identifier
/// cannot have becomes `_x2d_` with its code point in hexadecimal, and a name that does not begin as an identifier gets a
/// `_` before it: `unit-price` is `unit_x2d_price`. `self`, `Self`, `super`, `crate` and `_` get a `_` behind.
pub(crate) fn shape_field(name: &str, span: Span) -> Ident {
    if syn::parse_str::<Ident>(name).is_ok() {
        return Ident::new(name, span);
    }
    if matches!(name, "self" | "Self" | "super" | "crate" | "_") {
        return Ident::new(&format!("{name}_"), span);
    }
    if syn::parse_str::<Ident>(&format!("r#{name}")).is_ok() {
        return Ident::new_raw(name, span);
    }
    let mut out = String::new();
    for (n, c) in name.chars().enumerate() {
        let probe: String = ['a', c].into_iter().collect();
        if syn::parse_str::<Ident>(&probe).is_err() {
            // Writing to a `String` cannot fail.
            let _ = write!(out, "_x{:x}_", u32::from(c));
        } else {
            if n == 0 && syn::parse_str::<Ident>(&format!("{c}a")).is_err() {
                out.push('_');
            }
            out.push(c);
        }
    }
    if out.is_empty() {
        out.push_str("_empty");
    }
    Ident::new(&out, span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wire_names() {
        for (rust, wire) in
            [("place_order", "placeOrder"), ("id", "id"), ("_order_id", "orderId"), ("_", "_"), ("a__b", "aB")]
        {
            assert_eq!(camel_case(rust), wire);
        }
    }

    #[test]
    fn serde_names() {
        for (name, rule) in RenameRule::ALL {
            let field = rule.field("owner_id");
            let variant = rule.variant("InReview");
            let expected = match name {
                "lowercase" => ("owner_id", "inreview"),
                "UPPERCASE" => ("OWNER_ID", "INREVIEW"),
                "PascalCase" => ("OwnerId", "InReview"),
                "camelCase" => ("ownerId", "inReview"),
                "snake_case" => ("owner_id", "in_review"),
                "SCREAMING_SNAKE_CASE" => ("OWNER_ID", "IN_REVIEW"),
                "kebab-case" => ("owner-id", "in-review"),
                _ => ("OWNER-ID", "IN-REVIEW"),
            };
            assert_eq!((field.as_str(), variant.as_str()), expected);
        }
    }

    #[test]
    fn shape_fields_are_identifiers() {
        for (name, field) in [
            ("amount", "amount"),
            ("type", "r#type"),
            ("self", "self_"),
            ("unit-price", "unit_x2d_price"),
            ("2nd", "_2nd"),
            ("", "_empty"),
            ("größe", "größe"),
        ] {
            assert_eq!(shape_field(name, Span::call_site()).to_string(), field);
        }
    }
}
