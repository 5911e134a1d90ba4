//! Data as rules see it: owned [`Value`]s, and [`ValueRef`]s that borrow from the user's own types.
//!
//! In: Rust values. Out: scalars, sets and records, where *absent* (nothing is there) and *unusable* (something is there
//! that its kind cannot hold) are different things. Absent from this module: kinds and names of types.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

mod instant;
mod remote;
mod show;

pub use instant::{InstantError, Millis, parse_instant};
pub use remote::{RecordRef, RemoteRecord};

/// A number with four decimal places, as Cedar's `decimal`: from -922337203685477.5808 to 922337203685477.5807.
///
/// ```
/// use policy_core::value::Decimal;
/// let d: Decimal = "3.14".parse().unwrap();
/// assert_eq!(d.to_string(), "3.14");
/// assert_eq!(d.scaled(), 31_400);
/// assert!("3.14159".parse::<Decimal>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Decimal(i64);

impl Decimal {
    /// Makes a decimal of ten-thousandths.
    ///
    /// ```
    /// use policy_core::value::Decimal;
    /// assert_eq!(Decimal::from_integer(3), Some(Decimal::from_scaled(30_000)));
    /// assert_eq!(Decimal::from_integer(i64::MAX), None);
    /// ```
    pub const fn from_scaled(scaled: i64) -> Self {
        Self(scaled)
    }

    /// Makes a decimal of a whole number, if it fits.
    pub const fn from_integer(n: i64) -> Option<Self> {
        match n.checked_mul(10_000) {
            Some(scaled) => Some(Self(scaled)),
            None => None,
        }
    }

    /// The number of ten-thousandths.
    pub const fn scaled(self) -> i64 {
        self.0
    }
}

/// Why a text is not a [`Decimal`].
///
/// ```
/// use policy_core::value::{Decimal, DecimalError};
/// assert_eq!("3".parse::<Decimal>(), Err(DecimalError));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a decimal has digits, a point, one to four digits, and lies within ±922337203685477.5807")]
pub struct DecimalError;

impl FromStr for Decimal {
    type Err = DecimalError;

    fn from_str(text: &str) -> Result<Self, DecimalError> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, part) = digits.split_once('.').ok_or(DecimalError)?;
        let all_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        if !all_digits(whole) || !all_digits(part) || part.len() > 4 || whole.len() > 20 {
            return Err(DecimalError);
        }
        let scaled: i128 = format!("{whole}{part:0<4}").parse().map_err(|_| DecimalError)?;
        i64::try_from(if negative { -scaled } else { scaled }).map(Self).map_err(|_| DecimalError)
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, n) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        let part = format!("{:04}", n % 10_000);
        let part = part.trim_end_matches('0');
        write!(f, "{sign}{}.{}", n / 10_000, if part.is_empty() { "0" } else { part })
    }
}

/// An address with a prefix length; a single address has the full length. IPv4-mapped IPv6 is IPv4.
///
/// ```
/// use policy_core::value::IpRange;
/// let range: IpRange = "10.0.0.0/8".parse().unwrap();
/// assert!(range.contains("10.1.2.3".parse().unwrap()));
/// assert!(range.contains("::ffff:10.1.2.3".parse().unwrap()));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IpRange {
    address: IpAddr,
    prefix: u8,
}

/// Why a text is not an address or a range.
///
/// ```
/// use policy_core::value::{IpRange, IpRangeError};
/// assert_eq!("10.0.0.0/33".parse::<IpRange>(), Err(IpRangeError));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an address is written `10.0.0.1` or `2001:db8::1`, a range `10.0.0.0/8`")]
pub struct IpRangeError;

impl IpRange {
    /// Every IPv4 address.
    pub const V4: Self = Self { address: IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), prefix: 0 };

    /// Makes the range that holds one address.
    ///
    /// ```
    /// use policy_core::value::IpRange;
    /// assert_eq!(IpRange::single([10, 0, 0, 1].into()), "10.0.0.1/32".parse().unwrap());
    /// ```
    pub const fn single(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { address, prefix: if address.is_ipv4() { 32 } else { 128 } }
    }

    /// The address as written.
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// The prefix length.
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether the range is one address.
    pub const fn is_single(&self) -> bool {
        self.prefix == if self.address.is_ipv4() { 32 } else { 128 }
    }

    /// The first and the last address of the range.
    pub fn bounds(&self) -> (IpAddr, IpAddr) {
        match self.address {
            IpAddr::V4(a) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                let first = u32::from(a) & mask;
                (IpAddr::V4(first.into()), IpAddr::V4((first | !mask).into()))
            }
            IpAddr::V6(a) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                let first = u128::from(a) & mask;
                (IpAddr::V6(first.into()), IpAddr::V6((first | !mask).into()))
            }
        }
    }

    /// Whether `address` lies in the range; the two families never meet.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let (first, last) = self.bounds();
        address.is_ipv4() == first.is_ipv4() && first <= address && address <= last
    }
}

impl FromStr for IpRange {
    type Err = IpRangeError;

    fn from_str(text: &str) -> Result<Self, IpRangeError> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address.parse().map_err(|_| IpRangeError)?;
        let Some(prefix) = prefix else { return Ok(Self::single(address)) };
        if prefix.is_empty() || prefix.len() > 3 || !prefix.bytes().all(|b| b.is_ascii_digit()) {
            return Err(IpRangeError);
        }
        let prefix: u8 = prefix.parse().map_err(|_| IpRangeError)?;
        match address {
            IpAddr::V4(_) if prefix <= 32 => Ok(Self { address, prefix }),
            IpAddr::V6(a) => match a.to_ipv4_mapped() {
                Some(v4) if (96..=128).contains(&prefix) => Ok(Self { address: IpAddr::V4(v4), prefix: prefix - 96 }),
                None if prefix <= 128 => Ok(Self { address, prefix }),
                Some(_) | None => Err(IpRangeError),
            },
            IpAddr::V4(_) => Err(IpRangeError),
        }
    }
}

impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_single() { write!(f, "{}", self.address) } else { write!(f, "{}/{}", self.address, self.prefix) }
    }
}

/// Reads a UUID in any of its usual spellings (32 digits, hyphenated, in braces, as a URN, in either case).
///
/// ```
/// use policy_core::value::{parse_uuid, uuid_text};
/// let uuid = parse_uuid("{67E55044-10B1-426F-9247-BB680E5FE0C8}").unwrap();
/// assert_eq!(uuid_text(uuid), "67e55044-10b1-426f-9247-bb680e5fe0c8");
/// ```
pub fn parse_uuid(text: &str) -> Option<u128> {
    let text = text.strip_prefix("urn:uuid:").unwrap_or(text);
    let text = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or(text);
    let hyphenated =
        text.len() == 36 && text.bytes().enumerate().all(|(i, b)| (b == b'-') == matches!(i, 8 | 13 | 18 | 23));
    let digits: String = if hyphenated { text.replace('-', "") } else { text.to_owned() };
    (digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit()))
        .then(|| u128::from_str_radix(&digits, 16).ok())
        .flatten()
}

/// The canonical spelling of a UUID: lower case, hyphenated (RFC 9562, section 4).
///
/// ```
/// assert_eq!(policy_core::value::uuid_text(0), "00000000-0000-0000-0000-000000000000");
/// ```
pub fn uuid_text(uuid: u128) -> String {
    let h = format!("{uuid:032x}");
    let part = |from: usize, to: usize| h.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

/// A value that owns its data.
///
/// ```
/// use policy_core::value::Value;
/// let roles = Value::Set(vec![Value::text("user"), Value::text("finance")]);
/// assert_eq!(roles.as_ref().to_string(), "['user', 'finance']");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "every back end must decide about every kind of value")]
pub enum Value {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Long(i64),
    /// A number with four places.
    Decimal(Decimal),
    /// Text, also a variant of an enum.
    Text(Arc<str>),
    /// A UUID.
    Uuid(u128),
    /// An instant.
    Datetime(Millis),
    /// An address, or a range where a rule wrote one.
    Ip(IpRange),
    /// A set; order and repetition mean nothing.
    Set(Vec<Self>),
    /// Named attributes; an absent one is not there.
    Record(BTreeMap<Arc<str>, Self>),
}

impl Value {
    /// Makes a text value.
    pub fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    /// Borrows the value as rules read it.
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Bool(b) => ValueRef::Bool(*b),
            Self::Long(n) => ValueRef::Long(*n),
            Self::Decimal(d) => ValueRef::Decimal(*d),
            Self::Text(t) => ValueRef::Text(t),
            Self::Uuid(u) => ValueRef::Uuid(*u),
            Self::Datetime(t) => ValueRef::Datetime(*t),
            Self::Ip(ip) => ValueRef::Ip(*ip),
            Self::Set(items) => ValueRef::Set(items),
            Self::Record(fields) => ValueRef::record(fields),
        }
    }
}

/// A value that borrows from the type that has it.
///
/// ```
/// use policy_core::value::{Value, ValueRef};
/// assert!(ValueRef::Text("a").same_as(&Value::text("a").as_ref()));
/// assert_eq!(ValueRef::Unusable("a decimal with five places").to_value(), None);
/// assert_eq!(ValueRef::Long(5).to_value(), Some(Value::Long(5)));
/// ```
#[derive(Clone, Copy)]
#[expect(clippy::exhaustive_enums, reason = "every reader must decide about every form")]
pub enum ValueRef<'a> {
    /// Nothing is there.
    Absent,
    /// Something is there that its kind cannot hold; the text says why, never the value.
    Unusable(&'static str),
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Long(i64),
    /// A number with four places.
    Decimal(Decimal),
    /// Text, also a variant of an enum.
    Text(&'a str),
    /// A text of one character.
    Char(char),
    /// A UUID.
    Uuid(u128),
    /// An instant.
    Datetime(Millis),
    /// An address or range.
    Ip(IpRange),
    /// A set.
    Set(&'a (dyn SetRef + Sync)),
    /// Named attributes.
    Record(RecordRef<'a>),
}

/// A set whose elements can be visited without copying it.
///
/// ```
/// use policy_core::value::{SetRef, Value, ValueRef};
/// let roles = vec![Value::text("user"), Value::text("finance")];
/// assert_eq!(roles.has(ValueRef::Text("finance")), Ok(true));
/// ```
pub trait SetRef {
    /// Calls `visit` with each element until it returns `false`. Absent elements are passed over.
    fn each(&self, visit: &mut dyn FnMut(ValueRef<'_>) -> bool);

    /// Whether an element is the same as `item`.
    ///
    /// # Errors
    /// Why an element before it is unusable.
    fn has(&self, item: ValueRef<'_>) -> Result<bool, &'static str> {
        let mut answer = Ok(false);
        self.each(&mut |x| {
            answer = if let ValueRef::Unusable(why) = x { Err(why) } else { Ok(x.same_as(&item)) };
            matches!(answer, Ok(false))
        });
        answer
    }
}

impl SetRef for Vec<Value> {
    fn each(&self, visit: &mut dyn FnMut(ValueRef<'_>) -> bool) {
        for item in self {
            if !visit(item.as_ref()) {
                return;
            }
        }
    }
}

/// The name of an attribute and, where the type is known, its place among the fields of that type.
///
/// ```
/// use policy_core::value::Slot;
/// assert_eq!(Slot::named("amount").index, Slot::BY_NAME);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot {
    /// Place among the fields of the type; [`Slot::BY_NAME`] when only the name is known.
    pub index: u16,
    /// The attribute's name as policies spell it.
    pub name: Arc<str>,
}

impl Slot {
    /// The index of a slot that is looked up by name.
    pub const BY_NAME: u16 = u16::MAX;

    /// Makes a slot that is looked up by name.
    pub fn named(name: &str) -> Self {
        Self { index: Self::BY_NAME, name: name.into() }
    }
}

/// Something with named attributes that are read one at a time and only when a rule asks.
///
/// ```
/// use policy_core::value::{Record, Slot, ValueRef};
///
/// struct Order { amount: i64 }
///
/// impl Record for Order {
///     fn field(&self, slot: &Slot) -> ValueRef<'_> {
///         if &*slot.name == "amount" { ValueRef::Long(self.amount) } else { ValueRef::Absent }
///     }
///
///     fn each_field(&self, visit: &mut dyn FnMut(&str, ValueRef<'_>)) {
///         visit("amount", ValueRef::Long(self.amount));
///     }
/// }
/// assert!(matches!(Order { amount: 5 }.field(&Slot::named("amount")), ValueRef::Long(5)));
/// ```
pub trait Record {
    /// The attribute in `slot`. Generated implementations go by the index, open ones by the name.
    fn field(&self, slot: &Slot) -> ValueRef<'_>;

    /// Calls `visit` with every attribute that is there. For exports and for Cedar, not on the way of a decision.
    fn each_field(&self, visit: &mut dyn FnMut(&str, ValueRef<'_>));
}

impl Record for BTreeMap<Arc<str>, Value> {
    fn field(&self, slot: &Slot) -> ValueRef<'_> {
        self.get(&*slot.name).map_or(ValueRef::Absent, Value::as_ref)
    }

    fn each_field(&self, visit: &mut dyn FnMut(&str, ValueRef<'_>)) {
        for (name, value) in self {
            visit(name, value.as_ref());
        }
    }
}

impl ValueRef<'_> {
    /// Copies the value; `None` when there is none or it is unusable.
    pub fn to_value(&self) -> Option<Value> {
        Some(match self {
            Self::Absent | Self::Unusable(_) => return None,
            Self::Bool(b) => Value::Bool(*b),
            Self::Long(n) => Value::Long(*n),
            Self::Decimal(d) => Value::Decimal(*d),
            Self::Text(t) => Value::text(t),
            Self::Char(c) => Value::Text(c.to_string().into()),
            Self::Uuid(u) => Value::Uuid(*u),
            Self::Datetime(t) => Value::Datetime(*t),
            Self::Ip(ip) => Value::Ip(*ip),
            Self::Set(set) => {
                let mut items = Vec::new();
                set.each(&mut |item| {
                    items.extend(item.to_value());
                    true
                });
                Value::Set(items)
            }
            Self::Record(record) => {
                let mut fields = BTreeMap::new();
                record.each_field(&mut |name, value| {
                    if let Some(value) = value.to_value() {
                        fields.insert(Arc::from(name), value);
                    }
                });
                Value::Record(fields)
            }
        })
    }

    /// Why the value, or something in it, is unusable; `None` when all of it can be used.
    pub fn unusable(&self) -> Option<&'static str> {
        let mut found = None;
        if let Self::Unusable(why) = self {
            found = Some(*why);
        } else if let Self::Set(set) = self {
            set.each(&mut |item| {
                found = item.unusable();
                found.is_none()
            });
        } else if let Self::Record(record) = self {
            record.each_field(&mut |_, value| found = found.or_else(|| value.unusable()));
        }
        found
    }

    /// Whether two scalars are equal within one kind. A UUID equals its canonical text, a character the text of it alone:
    /// both are Strings to Cedar. Sets are compared as sets.
    #[inline]
    pub fn same_as(&self, other: &ValueRef<'_>) -> bool {
        match (self, other) {
            (Self::Text(a), ValueRef::Text(b)) => a == b,
            (a, b) => a.same_otherwise(b),
        }
    }

    fn same_otherwise(&self, other: &ValueRef<'_>) -> bool {
        match (self, other) {
            (Self::Text(a), ValueRef::Text(b)) => a == b,
            (Self::Long(a), ValueRef::Long(b)) => a == b,
            (Self::Bool(a), ValueRef::Bool(b)) => a == b,
            (Self::Decimal(a), ValueRef::Decimal(b)) => a == b,
            (Self::Uuid(a), ValueRef::Uuid(b)) => a == b,
            (Self::Datetime(a), ValueRef::Datetime(b)) => a == b,
            (Self::Ip(a), ValueRef::Ip(b)) => a == b,
            (Self::Char(a), ValueRef::Char(b)) => a == b,
            (Self::Char(c), ValueRef::Text(t)) | (Self::Text(t), ValueRef::Char(c)) => char_is(*c, t),
            (Self::Uuid(u), ValueRef::Text(t)) | (Self::Text(t), ValueRef::Uuid(u)) => uuid_text(*u) == **t,
            (Self::Set(_) | Self::Record(_), ValueRef::Set(_) | ValueRef::Record(_)) => {
                match (self.to_value(), other.to_value()) {
                    (Some(a), Some(b)) => same_values(&a, &b),
                    _ => false,
                }
            }
            _ => false,
        }
    }
}

fn char_is(c: char, text: &str) -> bool {
    let mut chars = text.chars();
    chars.next() == Some(c) && chars.next().is_none()
}

fn same_values(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Set(a), Value::Set(b)) => {
            let within = |x: &[Value], y: &[Value]| x.iter().all(|i| y.iter().any(|j| same_values(i, j)));
            within(a, b) && within(b, a)
        }
        (Value::Record(a), Value::Record(b)) => {
            a.len() == b.len() && a.iter().all(|(name, x)| b.get(name).is_some_and(|y| same_values(x, y)))
        }
        (Value::Set(_) | Value::Record(_), _) | (_, Value::Set(_) | Value::Record(_)) => false,
        (a, b) => a.as_ref().same_as(&b.as_ref()),
    }
}
