//! Shapes: what the compiler checks rules against.
//!
//! In: the kinds of Rust types, as types of their own ([`Long`], [`Text`], a struct whose fields are named as rules name
//! them). Out: `const fn`s bound by kind traits, which generated code calls with the user's own tokens in places that never
//! run, so that rustc itself finds the misspelt attribute and the wrong kind. Absent: anything at run time.

mod form;
mod literal;
mod message;
pub mod text;

use std::marker::PhantomData;

use crate::value::parse_instant;

pub use form::{Form, FormField};
pub use literal::{is_ip_range, is_uuid};

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub struct $name;
    )*};
}

kinds! {
    /// `bool`
    Bool
    /// Whole numbers.
    Long
    /// Numbers with four places.
    Decimal
    /// Text.
    Text
    /// UUIDs.
    Uuid
    /// Instants.
    Datetime
    /// Addresses.
    Ip
    /// Something whose kind is not checked by the compiler but when the program starts.
    Undeclared
}

/// An enum of unit variants.
///
/// ```
/// use policy_core::shape::{self, Variants};
///
/// struct Status;
/// impl Variants for Status {
///     const VARIANTS: &'static [&'static str] = &["open", "paid"];
/// }
/// const _: () = shape::text_literal(&shape::Enum::<Status>::SHAPE, "open");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Enum<T>(PhantomData<T>);

impl<T> Enum<T> {
    /// The only value.
    pub const SHAPE: Self = Self(PhantomData);
}

/// A set of a kind.
///
/// ```
/// use policy_core::shape;
/// const _: () = shape::contains(&shape::Set(shape::Text), &shape::Text);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Set<S>(pub S);

/// The variants of an enum, as serde writes them.
///
/// ```
/// use policy_core::shape::Variants;
///
/// struct Status;
/// impl Variants for Status {
///     const VARIANTS: &'static [&'static str] = &["open", "paid"];
/// }
/// assert!(Status::VARIANTS.contains(&"paid"));
/// ```
pub trait Variants {
    /// In the order of the declaration.
    const VARIANTS: &'static [&'static str];
}

/// How a string literal beside a kind is read.
///
/// ```
/// use policy_core::shape::{Reads, TextLiteral, Uuid};
/// assert!(matches!(Uuid::READS, Reads::Uuid));
/// ```
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_enums, reason = "closed: only kinds of this crate")]
pub enum Reads {
    /// Any text.
    Text,
    /// A UUID.
    Uuid,
    /// An instant.
    Datetime,
    /// An address or range.
    Ip,
    /// One of these.
    Variants(&'static [&'static str]),
}

/// A kind that `==`, `!=` and `in` work on.
///
/// ```
/// use policy_core::shape::{Long, Scalar, Text};
/// fn compares(_: impl Scalar) {}
/// compares(Long);
/// compares(Text);
/// ```
#[diagnostic::on_unimplemented(
    message = "`==`, `!=` and `in` compare scalars, and `{Self}` is not one",
    label = "a set or a record cannot be compared here",
    note = "to ask whether a set has an item write `set contains item`; to compare a record, compare its attributes"
)]
pub trait Scalar {}

/// A kind that `<`, `<=`, `>` and `>=` work on.
///
/// ```
/// use policy_core::shape::{Datetime, Ordered};
/// fn has_order(_: impl Ordered) {}
/// has_order(Datetime);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no order",
    label = "`<`, `<=`, `>` and `>=` work on Long, Decimal and Datetime"
)]
pub trait Ordered: Scalar {}

/// A kind that `like` works on.
///
/// ```
/// use policy_core::shape::{Like, Text};
/// fn matches_patterns(_: impl Like) {}
/// matches_patterns(Text);
/// ```
#[diagnostic::on_unimplemented(message = "`like` works on Text, not on `{Self}`", label = "this is not Text")]
pub trait Like {}

/// A kind that stands as a condition by itself.
///
/// ```
/// use policy_core::shape::{Bool, Truth};
/// fn stands_alone(_: impl Truth) {}
/// stands_alone(Bool);
/// ```
#[diagnostic::on_unimplemented(
    message = "a condition is needed, and an attribute of kind `{Self}` is not one",
    label = "compare it with something"
)]
pub trait Truth {}

/// A kind that `contains` works on.
///
/// ```
/// use policy_core::shape::{Set, SetKind, Text};
/// fn item_of<S: SetKind>(_: S) -> &'static str {
///     std::any::type_name::<S::Item>()
/// }
/// assert!(item_of(Set(Text)).ends_with("Text"));
/// ```
#[diagnostic::on_unimplemented(
    message = "`contains` asks a set, and `{Self}` is not one",
    label = "this is not a set",
    note = "for a part of a text write `text like '*part*'`"
)]
pub trait SetKind {
    /// What it is a set of.
    type Item;
}

/// A kind that a string literal can stand beside.
///
/// ```
/// use policy_core::shape::{Ip, Reads, TextLiteral};
/// assert!(matches!(Ip::READS, Reads::Ip));
/// ```
#[diagnostic::on_unimplemented(message = "a text cannot stand beside `{Self}`", label = "this is `{Self}`")]
pub trait TextLiteral: Scalar {
    /// How the literal is read.
    const READS: Reads;
}

/// A kind that a whole number can stand beside.
///
/// ```
/// use policy_core::shape::{Decimal, IntegerLiteral, Long};
/// assert!(Decimal::DECIMAL && !Long::DECIMAL);
/// ```
#[diagnostic::on_unimplemented(message = "a number cannot stand beside `{Self}`", label = "this is `{Self}`")]
pub trait IntegerLiteral: Scalar {
    /// Whether the number becomes a decimal.
    const DECIMAL: bool;
}

/// A kind that a number with a point can stand beside.
///
/// ```
/// use policy_core::shape::{Decimal, DecimalLiteral};
/// fn takes_a_point(_: impl DecimalLiteral) {}
/// takes_a_point(Decimal);
/// ```
#[diagnostic::on_unimplemented(
    message = "a number with a point cannot stand beside `{Self}`",
    label = "this is `{Self}`"
)]
pub trait DecimalLiteral: Scalar {}

/// A kind that `true` and `false` can stand beside.
///
/// ```
/// use policy_core::shape::{Bool, BoolLiteral};
/// fn takes_true(_: impl BoolLiteral) {}
/// takes_true(Bool);
/// ```
#[diagnostic::on_unimplemented(message = "`true` and `false` cannot stand beside `{Self}`", label = "this is `{Self}`")]
pub trait BoolLiteral: Scalar {}

/// A kind that can be looked for in an address range.
///
/// ```
/// use policy_core::shape::{InRange, Ip};
/// fn lies_in_a_range(_: impl InRange) {}
/// lies_in_a_range(Ip);
/// ```
#[diagnostic::on_unimplemented(
    message = "`in` beside a text asks whether an address lies in a range, and `{Self}` is not an address",
    label = "this is `{Self}`",
    note = "to ask for one of several values write a list: `x in ['a', 'b']`"
)]
pub trait InRange {}

macro_rules! has {
    ($($trait:ident: $($kind:ty),*;)*) => {$($(impl $trait for $kind {})*)*};
}
has! {
    Scalar: Bool, Long, Decimal, Text, Uuid, Datetime, Ip, Undeclared;
    Ordered: Long, Decimal, Datetime, Undeclared;
    Like: Text, Undeclared;
    Truth: Bool, Undeclared;
    DecimalLiteral: Decimal, Undeclared;
    BoolLiteral: Bool, Undeclared;
    InRange: Ip, Undeclared;
}
impl<T> Scalar for Enum<T> {}
impl<S> SetKind for Set<S> {
    type Item = S;
}
impl IntegerLiteral for Long {
    const DECIMAL: bool = false;
}
impl IntegerLiteral for Decimal {
    const DECIMAL: bool = true;
}
impl TextLiteral for Text {
    const READS: Reads = Reads::Text;
}
impl TextLiteral for Uuid {
    const READS: Reads = Reads::Uuid;
}
impl TextLiteral for Datetime {
    const READS: Reads = Reads::Datetime;
}
impl TextLiteral for Ip {
    const READS: Reads = Reads::Ip;
}
impl<T: Variants> TextLiteral for Enum<T> {
    const READS: Reads = Reads::Variants(T::VARIANTS);
}

/// `a == b`, `a != b`, `a in b` between attributes: both of one kind.
///
/// ```
/// use policy_core::shape;
/// const _: () = shape::same_kind(&shape::Text, &shape::Text);
/// ```
pub const fn same_kind<A: Scalar>(_: &A, _: &A) {}

/// `a < b` between attributes: both of one kind that has an order.
///
/// ```
/// use policy_core::shape;
/// const _: () = shape::same_order(&shape::Long, &shape::Long);
/// ```
pub const fn same_order<A: Ordered>(_: &A, _: &A) {}

/// `a < literal`.
///
/// ```
/// use policy_core::shape;
/// const _: () = shape::ordered(&shape::Datetime);
/// ```
pub const fn ordered<A: Ordered>(_: &A) {}

/// `a == ...`
///
/// ```
/// use policy_core::shape;
/// const _: () = shape::scalar(&shape::Uuid);
/// ```
pub const fn scalar<A: Scalar>(_: &A) {}

/// `a like '...'`
///
/// ```
/// use policy_core::shape;
/// const _: () = shape::like(&shape::Text);
/// ```
pub const fn like<A: Like>(_: &A) {}

/// `a` alone.
///
/// ```
/// use policy_core::shape;
/// const _: () = shape::truth(&shape::Bool);
/// ```
pub const fn truth<A: Truth>(_: &A) {}

/// `a exists`.
///
/// ```
/// use policy_core::shape;
/// const _: () = shape::exists(&shape::Set(shape::Text));
/// ```
pub const fn exists<A>(_: &A) {}

/// `set contains item` between attributes.
///
/// ```
/// use policy_core::shape;
/// const _: () = shape::contains(&shape::Set(shape::Long), &shape::Long);
/// ```
pub const fn contains<S: SetKind>(_: &S, _: &S::Item) {}

/// `set contains x` where nothing is known of `x`.
///
/// ```
/// use policy_core::shape;
/// const _: () = shape::set(&shape::Set(shape::Long));
/// ```
pub const fn set<S: SetKind>(_: &S) {}

/// `a in '10.0.0.0/8'`.
///
/// # Panics
/// While compiling, where the literal cannot be read as the kind.
///
/// ```
/// use policy_core::shape;
/// const _: () = shape::in_range(&shape::Ip, "10.0.0.0/8");
/// ```
#[track_caller]
pub const fn in_range<A: InRange>(_: &A, text: &str) {
    assert!(is_ip_range(text), "an address is written `10.0.0.1` or `2001:db8::1`, a range `10.0.0.0/8`");
}

/// A string literal beside a kind.
///
/// # Panics
/// While compiling, where the literal cannot be read as the kind.
///
/// ```
/// use policy_core::shape;
/// const _: () = shape::text_literal(&shape::Datetime, "2027-01-01T00:00:00Z");
/// ```
#[track_caller]
pub const fn text_literal<A: TextLiteral>(_: &A, text: &str) {
    read_text(A::READS, text);
}

/// A string literal as an item of a set.
///
/// # Panics
/// While compiling, where the literal cannot be read as the kind.
///
/// ```
/// use policy_core::shape;
/// const _: () = shape::text_literal_item(&shape::Set(shape::Text), "finance");
/// ```
#[track_caller]
pub const fn text_literal_item<S: SetKind<Item: TextLiteral>>(_: &S, text: &str) {
    read_text(<S::Item as TextLiteral>::READS, text);
}

#[track_caller]
const fn read_text(reads: Reads, text: &str) {
    match reads {
        Reads::Text => {}
        Reads::Uuid => assert!(is_uuid(text), "a UUID is written `67e55044-10b1-426f-9247-bb680e5fe0c8`"),
        Reads::Datetime => assert!(
            parse_instant(text).is_some(),
            "an instant is written `2027-01-01`, `2027-01-01T00:00:00Z` or `2027-01-01T00:00:00.000+02:00`"
        ),
        Reads::Ip => {
            assert!(is_ip_range(text), "an address is written `10.0.0.1` or `2001:db8::1`, a range `10.0.0.0/8`");
        }
        Reads::Variants(variants) => {
            let (mut rest, mut found) = (variants, false);
            while let [first, tail @ ..] = rest {
                found |= same_bytes(first.as_bytes(), text.as_bytes());
                rest = tail;
            }
            assert!(found, "the enum has no variant of this name (variants are named as serde writes them)");
        }
    }
}

/// A whole number beside a kind.
///
/// # Panics
/// While compiling, where the literal cannot be read as the kind.
///
/// ```
/// use policy_core::shape;
/// const _: () = shape::integer_literal(&shape::Decimal, 3);
/// ```
#[track_caller]
pub const fn integer_literal<A: IntegerLiteral>(_: &A, n: i64) {
    assert!(!A::DECIMAL || n.checked_mul(10_000).is_some(), "a decimal lies within ±922337203685477.5807");
}

/// A whole number as an item of a set.
///
/// # Panics
/// While compiling, where the literal cannot be read as the kind.
///
/// ```
/// use policy_core::shape;
/// const _: () = shape::integer_literal_item(&shape::Set(shape::Long), 3);
/// ```
#[track_caller]
pub const fn integer_literal_item<S: SetKind<Item: IntegerLiteral>>(_: &S, n: i64) {
    assert!(
        !<S::Item as IntegerLiteral>::DECIMAL || n.checked_mul(10_000).is_some(),
        "a decimal lies within ±922337203685477.5807"
    );
}

/// A number with a point beside a kind.
///
/// ```
/// use policy_core::shape;
/// const _: () = shape::decimal_literal(&shape::Decimal);
/// ```
pub const fn decimal_literal<A: DecimalLiteral>(_: &A) {}

/// A number with a point as an item of a set.
///
/// ```
/// use policy_core::shape;
/// const _: () = shape::decimal_literal_item(&shape::Set(shape::Decimal));
/// ```
pub const fn decimal_literal_item<S: SetKind<Item: DecimalLiteral>>(_: &S) {}

/// `true` or `false` beside a kind.
///
/// ```
/// use policy_core::shape;
/// const _: () = shape::bool_literal(&shape::Bool);
/// ```
pub const fn bool_literal<A: BoolLiteral>(_: &A) {}

/// `true` or `false` as an item of a set.
///
/// ```
/// use policy_core::shape;
/// const _: () = shape::bool_literal_item(&shape::Set(shape::Bool));
/// ```
pub const fn bool_literal_item<S: SetKind<Item: BoolLiteral>>(_: &S) {}

const fn same_bytes(mut a: &[u8], mut b: &[u8]) -> bool {
    while let ([x, rest_a @ ..], [y, rest_b @ ..]) = (a, b) {
        if *x != *y {
            return false;
        }
        (a, b) = (rest_a, rest_b);
    }
    a.is_empty() && b.is_empty()
}
