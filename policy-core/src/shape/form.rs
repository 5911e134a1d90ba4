//! Kinds as data that can be looked at while a program is compiled.

/// What a kind is made of.
///
/// ```
/// use policy_core::contract::AttributeValue;
/// use policy_core::shape::Form;
/// assert!(matches!(<Option<Vec<u32>>>::FORM, Form::Set(Form::Long)));
/// ```
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_enums, reason = "every check must decide about every kind")]
pub enum Form {
    /// `bool`
    Bool,
    /// Whole numbers.
    Long,
    /// Numbers with four places.
    Decimal,
    /// Text.
    Text,
    /// UUIDs.
    Uuid,
    /// Instants.
    Datetime,
    /// Addresses.
    Ip,
    /// One of these texts.
    Enum(&'static [&'static str]),
    /// A set.
    Set(&'static Self),
    /// Named attributes.
    Record(&'static [FormField]),
}

/// One attribute of a record.
///
/// ```
/// use policy_core::shape::{Form, FormField};
/// const OWNER: FormField = FormField { name: "ownerId", rust_name: "owner_id", form: &Form::Text };
/// assert!(OWNER.form.is_scalar());
/// ```
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "generated code makes it")]
pub struct FormField {
    /// As policies spell it.
    pub name: &'static str,
    /// As Rust spells it.
    pub rust_name: &'static str,
    /// What it is.
    pub form: &'static Form,
}

impl Form {
    /// Whether `==` and `in` work on it.
    pub const fn is_scalar(&self) -> bool {
        !matches!(self, Self::Set(_) | Self::Record(_))
    }

    /// Whether `<` works on it.
    pub const fn is_ordered(&self) -> bool {
        matches!(self, Self::Long | Self::Decimal | Self::Datetime)
    }

    /// Whether values of both can be compared.
    pub(super) const fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Enum(a), Self::Enum(b)) => same_texts(a, b),
            (Self::Set(a), Self::Set(b)) => a.is_same(b),
            (a, b) => a.number() == b.number(),
        }
    }

    const fn number(&self) -> u8 {
        match self {
            Self::Bool => 0,
            Self::Long => 1,
            Self::Decimal => 2,
            Self::Text => 3,
            Self::Uuid => 4,
            Self::Datetime => 5,
            Self::Ip => 6,
            Self::Enum(_) => 7,
            Self::Set(_) => 8,
            Self::Record(_) => 9,
        }
    }
}

const fn same_texts(mut a: &[&str], mut b: &[&str]) -> bool {
    while let ([x, rest_a @ ..], [y, rest_b @ ..]) = (a, b) {
        if !same_text(x, y) {
            return false;
        }
        (a, b) = (rest_a, rest_b);
    }
    a.is_empty() && b.is_empty()
}

pub(super) const fn same_text(a: &str, b: &str) -> bool {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while let ([x, rest_a @ ..], [y, rest_b @ ..]) = (a, b) {
        if *x != *y {
            return false;
        }
        (a, b) = (rest_a, rest_b);
    }
    a.is_empty() && b.is_empty()
}
