//! Kinds: what a value can be, and what a record is made of.
//!
//! In: what derives say of Rust types. Out: [`Kind`], [`RecordType`]. Absent: Cedar's schema, which is made from these.

use std::fmt;
use std::sync::Arc;

/// What a value is.
///
/// ```
/// use policy_core::kind::Kind;
/// let tags = Kind::Set(Kind::Text.into());
/// assert_eq!(tags.to_string(), "Set of Text");
/// assert!(!tags.is_scalar() && Kind::Datetime.is_ordered());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "every back end must decide about every kind")]
pub enum Kind {
    /// `bool`
    Bool,
    /// A whole number of 64 bits.
    Long,
    /// A number with four places.
    Decimal,
    /// Text, compared by code point.
    Text,
    /// A UUID; Cedar sees its canonical text.
    Uuid,
    /// One of these texts.
    Enum(Arc<[Arc<str>]>),
    /// An instant, to the millisecond.
    Datetime,
    /// An address.
    Ip,
    /// A set of a scalar kind (or of records, which rules cannot look into).
    Set(Arc<Self>),
    /// Named attributes.
    Record(Arc<RecordType>),
}

impl Kind {
    /// Whether `==` and `in` work on it.
    pub const fn is_scalar(&self) -> bool {
        !matches!(self, Self::Set(_) | Self::Record(_))
    }

    /// Whether `<` works on it: Long, Decimal and Datetime.
    pub const fn is_ordered(&self) -> bool {
        matches!(self, Self::Long | Self::Decimal | Self::Datetime)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("Bool"),
            Self::Long => f.write_str("Long"),
            Self::Decimal => f.write_str("Decimal"),
            Self::Text => f.write_str("Text"),
            Self::Uuid => f.write_str("Uuid"),
            Self::Enum(variants) => {
                f.write_str("Enum(")?;
                for (n, variant) in variants.iter().enumerate() {
                    write!(f, "{}{variant}", if n == 0 { "" } else { " | " })?;
                }
                f.write_str(")")
            }
            Self::Datetime => f.write_str("Datetime"),
            Self::Ip => f.write_str("Ip"),
            Self::Set(item) => write!(f, "Set of {item}"),
            Self::Record(record) => write!(f, "Record {}", record.name),
        }
    }
}

/// A named list of attributes.
///
/// ```
/// use policy_core::kind::RecordType;
/// use policy_core::participant;
/// let record: &RecordType = &participant::BUILT_IN;
/// assert_eq!(record.field("id").map(|(index, _)| index), Some(0));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RecordType {
    /// The type's name, for messages.
    pub name: Arc<str>,
    /// In the order of their [`crate::value::Slot`] indices.
    pub fields: Vec<Field>,
}

impl RecordType {
    /// Finds an attribute and its index.
    pub fn field(&self, name: &str) -> Option<(u16, &Field)> {
        let index = self.fields.iter().position(|f| &*f.name == name)?;
        Some((u16::try_from(index).ok()?, self.fields.get(index)?))
    }
}

/// One attribute of a record.
///
/// ```
/// use policy_core::kind::{Described, Field, Kind};
/// let owner = Field { name: "ownerId".into(), rust_name: "owner_id".into(), ty: Described::required(Kind::Text), secret: false };
/// assert!(!owner.ty.optional);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Field {
    /// As policies spell it (serde's name).
    pub name: Arc<str>,
    /// As Rust spells it.
    pub rust_name: Arc<str>,
    /// What it is.
    pub ty: Described,
    /// Whether no log, explanation or audit record may show it.
    pub secret: bool,
}

/// A kind with what else a Rust type says of its values.
///
/// ```
/// use policy_core::kind::{Described, Kind};
/// assert!(Described::optional(Kind::Text).optional);
/// assert!(!Described::required(Kind::Text).optional);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Described {
    /// The kind.
    pub kind: Kind,
    /// Whether a value may be absent.
    pub optional: bool,
    /// Whether a value may be unusable (a `u64` above `i64::MAX`); others need not be looked at before a decision.
    pub fallible: bool,
}

impl Described {
    /// A kind that is always there and always usable.
    pub const fn required(kind: Kind) -> Self {
        Self { kind, optional: false, fallible: false }
    }

    /// A kind that may be absent.
    pub const fn optional(kind: Kind) -> Self {
        Self { kind, optional: true, fallible: false }
    }
}
