//! Shapes: what the compiler checks rules against.
//!
//! In: the kinds of Rust types, as types of their own ([`Long`], [`Text`], a struct whose fields are named as rules name
//! them). Out: `const fn`s bound by kind traits, which generated code calls with the user's own tokens in places that never
//! run, so that rustc itself finds the misspelt attribute and the wrong kind. Absent: anything at run time.

use std::marker::PhantomData;

use crate::value::parse_instant;

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
#[derive(Debug, Clone, Copy)]
pub struct Enum<T>(PhantomData<T>);

impl<T> Enum<T> {
    /// The only value.
    pub const SHAPE: Self = Self(PhantomData);
}

/// A set of a kind.
#[derive(Debug, Clone, Copy)]
pub struct Set<S>(pub S);

/// The variants of an enum, as serde writes them.
pub trait Variants {
    /// In the order of the declaration.
    const VARIANTS: &'static [&'static str];
}

/// How a string literal beside a kind is read.
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
#[diagnostic::on_unimplemented(
    message = "`==`, `!=` and `in` compare scalars, and `{Self}` is not one",
    label = "a set or a record cannot be compared here",
    note = "to ask whether a set has an item write `set contains item`; to compare a record, compare its attributes"
)]
pub trait Scalar {}

/// A kind that `<`, `<=`, `>` and `>=` work on.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no order",
    label = "`<`, `<=`, `>` and `>=` work on Long, Decimal and Datetime"
)]
pub trait Ordered: Scalar {}

/// A kind that `like` works on.
#[diagnostic::on_unimplemented(message = "`like` works on Text, not on `{Self}`", label = "this is not Text")]
pub trait Like {}

/// A kind that stands as a condition by itself.
#[diagnostic::on_unimplemented(
    message = "a condition is needed, and an attribute of kind `{Self}` is not one",
    label = "compare it with something"
)]
pub trait Truth {}

/// A kind that `contains` works on.
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
#[diagnostic::on_unimplemented(message = "a text cannot stand beside `{Self}`", label = "this is `{Self}`")]
pub trait TextLiteral: Scalar {
    /// How the literal is read.
    const READS: Reads;
}

/// A kind that a whole number can stand beside.
#[diagnostic::on_unimplemented(message = "a number cannot stand beside `{Self}`", label = "this is `{Self}`")]
pub trait IntegerLiteral: Scalar {
    /// Whether the number becomes a decimal.
    const DECIMAL: bool;
}

/// A kind that a number with a point can stand beside.
#[diagnostic::on_unimplemented(
    message = "a number with a point cannot stand beside `{Self}`",
    label = "this is `{Self}`"
)]
pub trait DecimalLiteral: Scalar {}

/// A kind that `true` and `false` can stand beside.
#[diagnostic::on_unimplemented(message = "`true` and `false` cannot stand beside `{Self}`", label = "this is `{Self}`")]
pub trait BoolLiteral: Scalar {}

/// A kind that can be looked for in an address range.
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
pub const fn same_kind<A: Scalar>(_: &A, _: &A) {}

/// `a < b` between attributes: both of one kind that has an order.
pub const fn same_order<A: Ordered>(_: &A, _: &A) {}

/// `a < literal`.
pub const fn ordered<A: Ordered>(_: &A) {}

/// `a == ...`
pub const fn scalar<A: Scalar>(_: &A) {}

/// `a like '...'`
pub const fn like<A: Like>(_: &A) {}

/// `a` alone.
pub const fn truth<A: Truth>(_: &A) {}

/// `a exists`.
pub const fn exists<A>(_: &A) {}

/// `set contains item` between attributes.
pub const fn contains<S: SetKind>(_: &S, _: &S::Item) {}

/// `set contains x` where nothing is known of `x`.
pub const fn set<S: SetKind>(_: &S) {}

/// `a in '10.0.0.0/8'`.
///
/// # Panics
/// While compiling, where the literal cannot be read as the kind.
#[track_caller]
pub const fn in_range<A: InRange>(_: &A, text: &str) {
    assert!(is_ip_range(text), "an address is written `10.0.0.1` or `2001:db8::1`, a range `10.0.0.0/8`");
}

/// A string literal beside a kind.
///
/// # Panics
/// While compiling, where the literal cannot be read as the kind.
#[track_caller]
pub const fn text_literal<A: TextLiteral>(_: &A, text: &str) {
    read_text(A::READS, text);
}

/// A string literal as an item of a set.
///
/// # Panics
/// While compiling, where the literal cannot be read as the kind.
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
#[track_caller]
pub const fn integer_literal<A: IntegerLiteral>(_: &A, n: i64) {
    assert!(!A::DECIMAL || n.checked_mul(10_000).is_some(), "a decimal lies within ±922337203685477.5807");
}

/// A whole number as an item of a set.
///
/// # Panics
/// While compiling, where the literal cannot be read as the kind.
#[track_caller]
pub const fn integer_literal_item<S: SetKind<Item: IntegerLiteral>>(_: &S, n: i64) {
    assert!(
        !<S::Item as IntegerLiteral>::DECIMAL || n.checked_mul(10_000).is_some(),
        "a decimal lies within ±922337203685477.5807"
    );
}

/// A number with a point beside a kind.
pub const fn decimal_literal<A: DecimalLiteral>(_: &A) {}

/// A number with a point as an item of a set.
pub const fn decimal_literal_item<S: SetKind<Item: DecimalLiteral>>(_: &S) {}

/// `true` or `false` beside a kind.
pub const fn bool_literal<A: BoolLiteral>(_: &A) {}

/// `true` or `false` as an item of a set.
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

/// Whether a text is a UUID, plain or hyphenated; usable at compile time.
pub const fn is_uuid(text: &str) -> bool {
    let (mut rest, mut digits, mut hyphens, mut at) = (text.as_bytes(), 0, 0, 0);
    while let [b, tail @ ..] = rest {
        if *b == b'-' && matches!(at, 8 | 13 | 18 | 23) {
            hyphens += 1;
        } else if b.is_ascii_hexdigit() {
            digits += 1;
        } else {
            return false;
        }
        at += 1;
        rest = tail;
    }
    digits == 32 && (hyphens == 0 || hyphens == 4)
}

/// Whether a text is an address or a range; usable at compile time.
pub const fn is_ip_range(text: &str) -> bool {
    let mut address = text.as_bytes();
    let (mut at, mut prefix) = (0, None);
    while let Some((head, [b, tail @ ..])) = address.split_at_checked(at) {
        if *b == b'/' {
            let Some(n) = small_number(tail) else { return false };
            prefix = Some(n);
            address = head;
            break;
        }
        at += 1;
    }
    if is_v4(address) {
        return match prefix {
            Some(n) => n <= 32,
            None => true,
        };
    }
    is_v6(address)
        && match prefix {
            Some(n) => n <= 128,
            None => true,
        }
}

const fn small_number(mut digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 3 {
        return None;
    }
    let mut n = 0;
    while let [d @ b'0'..=b'9', rest @ ..] = digits {
        n = n * 10 + (*d - b'0') as u32;
        digits = rest;
    }
    if digits.is_empty() { Some(n) } else { None }
}

const fn is_v4(mut text: &[u8]) -> bool {
    let mut parts = 0;
    loop {
        let mut len = 0;
        while let Some((_, [b'0'..=b'9', ..])) = text.split_at_checked(len) {
            len += 1;
        }
        let Some((digits, rest)) = text.split_at_checked(len) else { return false };
        match small_number(digits) {
            Some(n) if n <= 255 && !(len > 1 && matches!(digits, [b'0', ..])) => parts += 1,
            _ => return false,
        }
        match rest {
            [b'.', tail @ ..] if parts < 4 => text = tail,
            [] => return parts == 4,
            _ => return false,
        }
    }
}

const fn is_v6(mut text: &[u8]) -> bool {
    let (mut groups, mut gap) = (0, false);
    if let [b':', b':', rest @ ..] = text {
        gap = true;
        text = rest;
        if text.is_empty() {
            return true;
        }
    }
    loop {
        if is_v4(text) {
            groups += 2;
            return if gap { groups < 8 } else { groups == 8 };
        }
        let mut len = 0;
        while let Some((_, [b, ..])) = text.split_at_checked(len) {
            if !b.is_ascii_hexdigit() {
                break;
            }
            len += 1;
        }
        if len == 0 || len > 4 {
            return false;
        }
        groups += 1;
        let Some((_, rest)) = text.split_at_checked(len) else { return false };
        match rest {
            [] => return if gap { groups < 8 } else { groups == 8 },
            [b':', b':', tail @ ..] => {
                if gap {
                    return false;
                }
                gap = true;
                if tail.is_empty() {
                    return groups < 8;
                }
                text = tail;
            }
            [b':', tail @ ..] => text = tail,
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compile_time_addresses_agree_with_run_time() {
        for text in [
            "10.0.0.1",
            "10.0.0.0/8",
            "0.0.0.0/0",
            "256.0.0.1",
            "1.2.3",
            "01.2.3.4",
            "1.2.3.4/33",
            "::",
            "::1",
            "1::",
            "2001:db8::1",
            "2001:db8::/32",
            "::ffff:10.0.0.1",
            "1:2:3:4:5:6:7:8",
            "1:2:3:4:5:6:7:8:9",
            "1:2:3:4:5:6:7",
            "1::2::3",
            ":1",
            "12345::",
            "g::",
            "",
            "/8",
            "10.0.0.1/",
            "::/129",
            "1:2:3:4:5:6:1.2.3.4",
        ] {
            assert_eq!(is_ip_range(text), text.parse::<crate::value::IpRange>().is_ok(), "{text}");
        }
    }

    #[test]
    fn compile_time_uuids() {
        assert!(is_uuid("67e55044-10b1-426f-9247-bb680e5fe0c8"));
        assert!(is_uuid("67E5504410B1426F9247BB680E5FE0C8"));
        assert!(!is_uuid("67e55044-10b1-426f-9247-bb680e5fe0c"));
        assert!(!is_uuid("67e5504410-b1-426f-9247-bb680e5fe0c8"));
    }
}
