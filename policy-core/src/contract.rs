//! What generated code implements and calls: how rules read Rust values.
//!
//! In: types of users, by derive. Out: [`AttributeValue`], [`Attributes`]. Absent: decisions.

#![expect(clippy::wildcard_enum_match_arm, reason = "all other values are written as rules write them")]

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;
use std::sync::Arc;

use crate::kind::{Described, Field, Kind, RecordType};
use crate::name::Tier;
use crate::shape::{self, Form};
use crate::table::{ColumnDecl, FieldDecl, TableDecl};
use crate::value::{IpRange, Millis, Record, SetRef, ValueRef, uuid_text};

/// A Rust type that rules can read.
///
/// Implemented for `bool`, integers of up to 64 bits, `String`, `&str`, `char`, `IpAddr`, for the types of the crates
/// `rust_decimal`, `jiff` and `uuid` (by feature), for `Option`, sets, references and boxes of those, and by
/// `#[derive(Attributes)]` for structs and unit-only enums.
///
/// ```
/// use policy_core::contract::AttributeValue;
/// use policy_core::kind::Kind;
/// use policy_core::value::ValueRef;
///
/// assert_eq!(<Option<u64>>::describe().kind, Kind::Long);
/// assert!(<Option<u64>>::describe().optional);
/// assert!(matches!(u64::MAX.read(), ValueRef::Unusable(_)));
/// ```
#[diagnostic::on_unimplemented(
    message = "policies cannot read `{Self}`",
    label = "this type has no kind in the policy language",
    note = "kinds are bool, integers of up to 64 bits, String, char, IpAddr, rust_decimal::Decimal, jiff::Timestamp, uuid::Uuid, and Option, Vec, HashSet, BTreeSet and arrays of those",
    note = "for a struct or an enum of your own write #[derive(Attributes)] above it; instead of f32 and f64 use rust_decimal::Decimal",
    note = "for a type of another crate derive it on a local mirror with #[attributes(remote = \"path\")], and mark the field #[attributes(with = Mirror)]"
)]
pub trait AttributeValue {
    /// What the compiler checks rules against.
    type Shape: 'static;
    /// The only value of it.
    const SHAPE: Self::Shape;
    /// The same as data, for rules in the text form.
    const FORM: &'static Form;

    /// The kind, and whether a value may be absent or unusable.
    fn describe() -> Described;

    /// Borrows the value as rules read it.
    fn read(&self) -> ValueRef<'_>;
}

/// Gives the shape of a type, in the code by which rustc checks rules.
///
/// ```
/// use policy_core::contract::shape_of;
/// use policy_core::shape;
///
/// // A rule may look for a text in a set of them; anything else would not compile.
/// const _: () = shape::text_literal_item(&shape_of::<Vec<String>>(), "finance");
/// ```
pub const fn shape_of<T: AttributeValue + ?Sized>() -> T::Shape {
    T::SHAPE
}

/// The place of an attribute in the shape of a record. It asks nothing of the type, so that one without a kind is one error.
///
/// ```
/// use policy_core::contract::{Of, shape_in};
/// use policy_core::shape;
/// const _: () = shape::ordered(&shape_in(&Of::<u32>::SHAPE));
/// ```
#[derive(Debug)]
pub struct Of<T: ?Sized>(PhantomData<fn(&T)>);

impl<T: ?Sized> Of<T> {
    /// The only value.
    pub const SHAPE: Self = Self(PhantomData);
}

/// The place of an attribute that a mirror reads.
///
/// ```
/// use policy_core::contract::By;
/// const _: By<str> = By::SHAPE;
/// ```
#[derive(Debug)]
pub struct By<M: ?Sized>(PhantomData<fn(&M)>);

impl<M: ?Sized> By<M> {
    /// The only value.
    pub const SHAPE: Self = Self(PhantomData);
}

/// The place of an attribute, which leads to the attribute's own shape.
///
/// ```
/// use policy_core::contract::{Leads, Of};
/// use policy_core::shape;
/// let _: shape::Set<shape::Text> = <Of<Vec<String>> as Leads>::SHAPE;
/// ```
pub trait Leads {
    /// What it leads to.
    type Shape;
    /// The only value of it.
    const SHAPE: Self::Shape;
}

impl<T: AttributeValue + ?Sized> Leads for Of<T> {
    type Shape = T::Shape;
    const SHAPE: T::Shape = T::SHAPE;
}

impl<M: Mirror + ?Sized> Leads for By<M> {
    type Shape = M::Shape;
    const SHAPE: M::Shape = M::SHAPE;
}

/// Gives the shape of an attribute, in the code by which rustc checks rules.
///
/// ```
/// use policy_core::contract::{Of, shape_in};
/// use policy_core::shape;
/// const _: shape::Text = shape_in(&Of::<String>::SHAPE);
/// ```
pub const fn shape_in<L: Leads>(_: &L) -> L::Shape {
    L::SHAPE
}

/// Gives the form of a type, in the code by which rules in the text form are checked.
///
/// ```
/// use policy_core::contract::form_of;
/// use policy_core::shape::Form;
/// assert!(matches!(form_of::<char>(), Form::Text));
/// ```
pub const fn form_of<T: AttributeValue + ?Sized>() -> &'static Form {
    T::FORM
}

/// Describes a struct; for generated code.
///
/// ```
/// use policy_core::contract::{field, record};
/// use policy_core::kind::{Described, Kind};
///
/// let order = record("Order", [field("ownerId", "owner_id", Described::required(Kind::Text), false)]);
/// assert_eq!(order.kind.to_string(), "Record Order");
/// ```
pub fn record(name: &str, fields: impl IntoIterator<Item = Field>) -> Described {
    let fields: Vec<Field> = fields.into_iter().collect();
    let fallible = fields.iter().any(|field| field.ty.fallible);
    Described { kind: Kind::Record(Arc::new(RecordType { name: name.into(), fields })), optional: false, fallible }
}

/// Describes a field; for generated code.
///
/// ```
/// use policy_core::kind::{Described, Kind};
/// let pin = policy_core::contract::field("pin", "pin", Described::optional(Kind::Long), true);
/// assert!(pin.secret && pin.ty.optional);
/// ```
pub fn field(name: &str, rust_name: &str, ty: Described, secret: bool) -> Field {
    Field { name: name.into(), rust_name: rust_name.into(), ty, secret }
}

/// Describes an enum of unit variants; for generated code.
///
/// ```
/// let status = policy_core::contract::variants(&["open", "paid"]);
/// assert_eq!(status.kind.to_string(), "Enum(open | paid)");
/// ```
pub fn variants(names: &[&str]) -> Described {
    Described::required(Kind::Enum(names.iter().copied().map(Arc::from).collect()))
}

/// Calls `visit` with a field that is there; for generated code.
///
/// ```
/// use policy_core::contract::visit_field;
/// use policy_core::value::ValueRef;
///
/// let mut names = Vec::new();
/// let mut visit = |name: &str, _: ValueRef<'_>| names.push(name.to_owned());
/// visit_field(&mut visit, "amount", ValueRef::Long(5));
/// visit_field(&mut visit, "note", ValueRef::Absent);
/// assert_eq!(names, ["amount"]);
/// ```
pub fn visit_field(visit: &mut dyn FnMut(&str, ValueRef<'_>), name: &str, value: ValueRef<'_>) {
    if !matches!(value, ValueRef::Absent) {
        visit(name, value);
    }
}

/// The text of an entity's id; for generated code. Empty when it is absent.
///
/// ```
/// use policy_core::contract::id_text;
/// use policy_core::value::ValueRef;
/// assert_eq!(id_text(ValueRef::Long(7)), "7");
/// ```
pub fn id_text(id: ValueRef<'_>) -> Cow<'_, str> {
    match id {
        ValueRef::Text(text) => Cow::Borrowed(text),
        ValueRef::Long(n) => Cow::Owned(n.to_string()),
        ValueRef::Uuid(uuid) => Cow::Owned(uuid_text(uuid)),
        ValueRef::Char(c) => Cow::Owned(c.to_string()),
        ValueRef::Absent => Cow::Borrowed(""),
        other => Cow::Owned(other.to_string()),
    }
}

/// A struct whose fields are attributes; made by `#[derive(Attributes)]`.
///
/// ```
/// use policy_core::contract::{AttributeValue, Attributes};
/// use policy_core::kind::Kind;
///
/// fn attributes_of<T: Attributes>() -> usize {
///     match T::describe().kind {
///         Kind::Record(record) => record.fields.len(),
///         _ => 0,
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no attributes",
    label = "write #[derive(Attributes)] above this type"
)]
pub trait Attributes: AttributeValue + Record {}

/// A local mirror of a type of another crate, which cannot derive anything here; made by `#[attributes(remote = "path")]`.
///
/// ```
/// use policy_core::contract::{AttributeValue, Mirror};
/// use policy_core::kind::Described;
/// use policy_core::shape;
/// use policy_core::value::ValueRef;
///
/// /// Reads durations, which have no kind, as whole seconds.
/// struct Seconds;
///
/// impl Mirror for Seconds {
///     type Of = std::time::Duration;
///     type Shape = shape::Long;
///     const SHAPE: shape::Long = shape::Long;
///     const FORM: &'static shape::Form = &shape::Form::Long;
///
///     fn describe() -> Described {
///         i64::describe()
///     }
///
///     fn read(of: &std::time::Duration) -> ValueRef<'_> {
///         i64::try_from(of.as_secs()).map_or(ValueRef::Unusable("too long"), ValueRef::Long)
///     }
/// }
/// assert!(matches!(Seconds::read(&std::time::Duration::from_secs(3)), ValueRef::Long(3)));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the mirror of another type",
    label = "`with = ..` names a type that has #[derive(Attributes)] and #[attributes(remote = \"path\")]"
)]
pub trait Mirror {
    /// The foreign type.
    type Of: 'static;
    /// What the compiler checks rules against.
    type Shape: 'static;
    /// The only value of it.
    const SHAPE: Self::Shape;
    /// The same as data, for rules in the text form.
    const FORM: &'static Form;

    /// The kind of the foreign type.
    fn describe() -> Described;

    /// Borrows a value of the foreign type as rules read it.
    fn read(of: &Self::Of) -> ValueRef<'_>;
}

/// Describes what may be absent; for generated code.
///
/// ```
/// use policy_core::contract::{AttributeValue, optional};
/// assert!(optional(bool::describe()).optional);
/// ```
pub const fn optional(mut described: Described) -> Described {
    described.optional = true;
    described
}

/// An entity that a call can be about: it has an id, and its attributes are the resource's.
///
/// ```
/// use policy_core::contract::Entity;
///
/// fn describe(entity: &impl Entity) -> String {
///     format!("a record {}", entity.entity_id())
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an entity",
    label = "`resource = ..` names a parameter whose type has #[derive(Entity)]"
)]
pub trait Entity: Attributes {
    /// The published namespace of the type, dotted; empty for the crate's own name.
    const NAMESPACE: &'static str;
    /// The type's name.
    const NAME: &'static str;

    /// The id of this record within its application.
    fn entity_id(&self) -> Cow<'_, str>;
}

/// An entity whose records are rows of a table; made by `#[derive(Entity)]`.
///
/// ```
/// use policy_core::contract::Stored;
///
/// fn table_of<T: Stored>() -> &'static str {
///     T::TABLE.name
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no table",
    label = "only a type with #[derive(Entity)] is stored"
)]
pub trait Stored: Entity {
    /// Where its records are.
    const TABLE: &'static TableDecl;
    /// The columns of fields that no rule reads; each holds what serde makes of its field, as JSON.
    const UNREAD: &'static [ColumnDecl] = &[];
    /// The attributes that have rules of their own.
    const FIELDS: &'static [FieldDecl] = &[];
}

macro_rules! long {
    ($($t:ty)*) => {$(
        impl AttributeValue for $t {
            type Shape = shape::Long;
            const SHAPE: shape::Long = shape::Long;
            const FORM: &'static Form = &Form::Long;
            fn describe() -> Described {
                Described::required(Kind::Long)
            }
            fn read(&self) -> ValueRef<'_> {
                ValueRef::Long(i64::from(*self))
            }
        }
    )*};
}
long! { i8 i16 i32 i64 u8 u16 u32 }

macro_rules! checked_long {
    ($($t:ty)*) => {$(
        impl AttributeValue for $t {
            type Shape = shape::Long;
            const SHAPE: shape::Long = shape::Long;
            const FORM: &'static Form = &Form::Long;
            fn describe() -> Described {
                Described { kind: Kind::Long, optional: false, fallible: true }
            }
            fn read(&self) -> ValueRef<'_> {
                i64::try_from(*self).map_or(ValueRef::Unusable("a whole number above 9223372036854775807"), ValueRef::Long)
            }
        }
    )*};
}
checked_long! { u64 usize isize }

macro_rules! scalar {
    ($($t:ty, $kind:ident, $self:ident => $read:expr;)*) => {$(
        impl AttributeValue for $t {
            type Shape = shape::$kind;
            const SHAPE: shape::$kind = shape::$kind;
            const FORM: &'static Form = &Form::$kind;
            fn describe() -> Described {
                Described::required(Kind::$kind)
            }
            fn read(&$self) -> ValueRef<'_> {
                $read
            }
        }
    )*};
}
scalar! {
    bool, Bool, self => ValueRef::Bool(*self);
    str, Text, self => ValueRef::Text(self);
    String, Text, self => ValueRef::Text(self);
    char, Text, self => ValueRef::Char(*self);
    IpAddr, Ip, self => ValueRef::Ip(IpRange::single(*self));
    Ipv4Addr, Ip, self => ValueRef::Ip(IpRange::single(IpAddr::V4(*self)));
    Ipv6Addr, Ip, self => ValueRef::Ip(IpRange::single(IpAddr::V6(*self)));
}

scalar! {
    Millis, Datetime, self => ValueRef::Datetime(*self);
    IpRange, Ip, self => ValueRef::Ip(*self);
}

impl shape::Variants for Tier {
    const VARIANTS: &'static [&'static str] = &["system", "organization", "application"];
}

impl AttributeValue for Tier {
    type Shape = shape::Enum<Self>;
    const SHAPE: shape::Enum<Self> = shape::Enum::SHAPE;
    const FORM: &'static Form = &Form::Enum(<Self as shape::Variants>::VARIANTS);

    fn describe() -> Described {
        variants(<Self as shape::Variants>::VARIANTS)
    }

    fn read(&self) -> ValueRef<'_> {
        ValueRef::Text(self.as_str())
    }
}

#[cfg(feature = "uuid")]
scalar! { uuid::Uuid, Uuid, self => ValueRef::Uuid(self.as_u128()); }

#[cfg(feature = "jiff")]
scalar! {
    jiff::Timestamp, Datetime, self => {
        let (seconds, nanos) = (self.as_second(), i64::from(self.subsec_nanosecond()));
        // A timestamp before 1970 has a negative part; flooring goes down, not towards zero.
        ValueRef::Datetime(Millis(seconds.saturating_mul(1_000).saturating_add(nanos.div_euclid(1_000_000))))
    };
}

#[cfg(feature = "rust_decimal")]
impl AttributeValue for rust_decimal::Decimal {
    type Shape = shape::Decimal;
    const SHAPE: shape::Decimal = shape::Decimal;
    const FORM: &'static Form = &Form::Decimal;

    fn describe() -> Described {
        Described { kind: Kind::Decimal, optional: false, fallible: true }
    }

    fn read(&self) -> ValueRef<'_> {
        let normal = self.normalize();
        let scaled = (normal.scale() <= 4)
            .then(|| normal.mantissa().checked_mul(10i128.pow(4 - normal.scale())))
            .flatten()
            .and_then(|scaled| i64::try_from(scaled).ok());
        scaled.map_or(ValueRef::Unusable("a decimal with more than four places or out of range"), |scaled| {
            ValueRef::Decimal(crate::value::Decimal::from_scaled(scaled))
        })
    }
}

impl<T: AttributeValue> AttributeValue for Option<T> {
    type Shape = T::Shape;
    const SHAPE: T::Shape = T::SHAPE;
    const FORM: &'static Form = T::FORM;

    fn describe() -> Described {
        Described { optional: true, ..T::describe() }
    }

    fn read(&self) -> ValueRef<'_> {
        self.as_ref().map_or(ValueRef::Absent, T::read)
    }
}

macro_rules! through {
    ($($t:ty),*) => {$(
        impl<T: AttributeValue + ?Sized> AttributeValue for $t {
            type Shape = T::Shape;
            const SHAPE: T::Shape = T::SHAPE;
            const FORM: &'static Form = T::FORM;
            fn describe() -> Described {
                T::describe()
            }
            fn read(&self) -> ValueRef<'_> {
                T::read(self)
            }
        }
    )*};
}
through! { &T, &mut T, Box<T>, Arc<T>, Rc<T> }

impl<T: AttributeValue + ToOwned + ?Sized> AttributeValue for Cow<'_, T> {
    type Shape = T::Shape;
    const SHAPE: T::Shape = T::SHAPE;
    const FORM: &'static Form = T::FORM;

    fn describe() -> Described {
        T::describe()
    }

    fn read(&self) -> ValueRef<'_> {
        T::read(self)
    }
}

macro_rules! set {
    ([$($generics:tt)*] $t:ty) => {
        impl<T: AttributeValue + Sync, $($generics)*> AttributeValue for $t {
            type Shape = shape::Set<T::Shape>;
            const SHAPE: shape::Set<T::Shape> = shape::Set(T::SHAPE);
            const FORM: &'static Form = &Form::Set(T::FORM);
            fn describe() -> Described {
                let item = T::describe();
                Described { kind: Kind::Set(Arc::new(item.kind)), optional: false, fallible: item.fallible }
            }
            fn read(&self) -> ValueRef<'_> {
                ValueRef::Set(self)
            }
        }
        impl<T: AttributeValue + Sync, $($generics)*> SetRef for $t {
            fn each(&self, visit: &mut dyn FnMut(ValueRef<'_>) -> bool) {
                for item in self {
                    let item = item.read();
                    if !matches!(item, ValueRef::Absent) && !visit(item) {
                        return;
                    }
                }
            }
            fn has(&self, wanted: ValueRef<'_>) -> Result<bool, &'static str> {
                for item in self {
                    match item.read() {
                        ValueRef::Unusable(why) => return Err(why),
                        item if item.same_as(&wanted) => return Ok(true),
                        _ => {}
                    }
                }
                Ok(false)
            }
        }
    };
}
set! { [] Vec<T> }
set! { [] BTreeSet<T> }
set! { [S: std::hash::BuildHasher + Sync] HashSet<T, S> }
set! { [const N: usize] [T; N] }

impl<T: AttributeValue + Sync> SetRef for &[T] {
    fn each(&self, visit: &mut dyn FnMut(ValueRef<'_>) -> bool) {
        for item in *self {
            let item = item.read();
            if !matches!(item, ValueRef::Absent) && !visit(item) {
                return;
            }
        }
    }
}

/// Reads a borrowed slice as a set. A slice is no [`AttributeValue`] itself, since only a sized value can be borrowed as one.
///
/// ```
/// use policy_core::contract::read_slice;
/// use policy_core::value::ValueRef;
///
/// let slice: &[i64] = &[1, 2];
/// let ValueRef::Set(set) = read_slice(&slice) else { panic!("a set") };
/// assert_eq!(set.has(ValueRef::Long(2)), Ok(true));
/// ```
pub fn read_slice<'a, T: AttributeValue + Sync>(slice: &'a &'a [T]) -> ValueRef<'a> {
    ValueRef::Set(slice)
}
