//! The value of one column, in no database's own form.
//!
//! In: what serde makes of a field, and the kind of its attribute. Out: [`Cell`], and what serde reads again. Absent: SQL.
//!
//! `policy_core::table` says which form each kind has; this is the only place that knows both serde's forms and those.

#![expect(clippy::wildcard_enum_match_arm, reason = "what is no value of the kind is refused alike")]

use std::net::{IpAddr, Ipv6Addr};

use policy_core::kind::{Described, Kind};
use policy_core::value::{Decimal, Millis, parse_instant, parse_uuid, uuid_text};
use serde_json::Value;

/// Why a value does not fit its kind; never the value.
pub(super) type Misfit = &'static str;

/// The value of a column.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Null,
    Bool(bool),
    Long(i64),
    /// Ten-thousandths.
    Decimal(i64),
    Text(String),
    Uuid(u128),
    /// Microseconds since 1970.
    Datetime(i64),
    Ip(IpAddr),
    Set(Vec<Self>),
    /// A document in its stored form: what [`stored`] makes.
    Json(Value),
}

impl Cell {
    /// Reads what serde wrote, as a value of a kind.
    pub(super) fn of(ty: &Described, value: &Value) -> Result<Self, Misfit> {
        if value.is_null() {
            return if ty.optional { Ok(Self::Null) } else { Err("nothing is there") };
        }
        Self::of_kind(&ty.kind, value)
    }

    fn of_kind(kind: &Kind, value: &Value) -> Result<Self, Misfit> {
        Ok(match kind {
            Kind::Bool => Self::Bool(value.as_bool().ok_or("it is no truth value")?),
            Kind::Long => Self::Long(value.as_i64().ok_or("it is no whole number of 64 bits")?),
            Kind::Decimal => Self::Decimal(decimal(value)?),
            Kind::Text | Kind::Enum(_) => Self::Text(text(kind, value)?.to_owned()),
            Kind::Uuid => Self::Uuid(value.as_str().and_then(parse_uuid).ok_or("it is no UUID")?),
            Kind::Datetime => Self::Datetime(value.as_str().and_then(micros).ok_or("it is no instant")?),
            Kind::Ip => Self::Ip(address(value)?),
            Kind::Set(item) if item.is_scalar() => {
                let items = value.as_array().ok_or("it is no list")?;
                let one = |item_value: &Value| {
                    if item_value.is_null() { Ok(Self::Null) } else { Self::of_kind(item, item_value) }
                };
                Self::Set(items.iter().map(one).collect::<Result<_, _>>()?)
            }
            Kind::Set(_) | Kind::Record(_) => Self::Json(stored(kind, value)?),
        })
    }

    /// What serde reads.
    pub(super) fn into_value(self, kind: Option<&Kind>) -> Result<Value, Misfit> {
        Ok(match self {
            Self::Null => Value::Null,
            Self::Bool(b) => b.into(),
            Self::Long(n) => n.into(),
            Self::Decimal(scaled) => Decimal::from_scaled(scaled).to_string().into(),
            Self::Text(text) => text.into(),
            Self::Uuid(uuid) => uuid_text(uuid).into(),
            Self::Datetime(micros) => instant(micros).into(),
            Self::Ip(ip) => ip.to_string().into(),
            Self::Set(items) => {
                Value::Array(items.into_iter().map(|item| item.into_value(None)).collect::<Result<_, _>>()?)
            }
            Self::Json(document) => match kind {
                Some(kind) => loaded(kind, document)?,
                None => document,
            },
        })
    }

    /// As it is within a document.
    pub(super) fn into_stored(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(b) => b.into(),
            Self::Long(n) | Self::Decimal(n) | Self::Datetime(n) => n.into(),
            Self::Text(text) => text.into(),
            Self::Uuid(uuid) => uuid_text(uuid).into(),
            Self::Ip(ip) => hex(ip).into(),
            Self::Set(items) => Value::Array(items.into_iter().map(Self::into_stored).collect()),
            Self::Json(document) => document,
        }
    }

    /// Reads a value of a kind that stands within a document.
    pub(super) fn from_stored(kind: &Kind, value: Value) -> Result<Self, Misfit> {
        if value.is_null() {
            return Ok(Self::Null);
        }
        let whole = |value: &Value| value.as_i64().ok_or("it is no whole number of 64 bits");
        Ok(match kind {
            Kind::Decimal => Self::Decimal(whole(&value)?),
            Kind::Datetime => Self::Datetime(whole(&value)?),
            Kind::Ip => Self::Ip(value.as_str().and_then(unhex).ok_or("it is no address")?),
            Kind::Uuid => {
                let text = value.as_str().ok_or("it is no UUID")?;
                let uuid = parse_uuid(text).filter(|uuid| uuid_text(*uuid) == text);
                Self::Uuid(uuid.ok_or("it is no canonical UUID")?)
            }
            Kind::Set(item) if item.is_scalar() => match value {
                Value::Array(items) => {
                    Self::Set(items.into_iter().map(|value| Self::from_stored(item, value)).collect::<Result<_, _>>()?)
                }
                _ => return Err("it is no list"),
            },
            Kind::Set(_) | Kind::Record(_) => Self::Json(value),
            Kind::Bool | Kind::Long | Kind::Text | Kind::Enum(_) => Self::of_kind(kind, &value)?,
        })
    }
}

/// A document as it is stored, of one as serde wrote it. What rules do not read stays as it is.
fn stored(kind: &Kind, value: &Value) -> Result<Value, Misfit> {
    match (kind, value) {
        (_, Value::Null) => Ok(Value::Null),
        (Kind::Record(record), Value::Object(fields)) => {
            let mut out = serde_json::Map::new();
            for (name, value) in fields {
                let kind = record.field(name).map(|(_, field)| &field.ty.kind);
                out.insert(name.clone(), kind.map_or(Ok(value.clone()), |kind| stored(kind, value))?);
            }
            Ok(out.into())
        }
        (Kind::Set(item), Value::Array(items)) => {
            Ok(Value::Array(items.iter().map(|value| stored(item, value)).collect::<Result<_, _>>()?))
        }
        (Kind::Record(_), _) => Err("it is no record"),
        (kind, value) => Cell::of_kind(kind, value).map(Cell::into_stored),
    }
}

/// A document as serde reads it.
fn loaded(kind: &Kind, value: Value) -> Result<Value, Misfit> {
    match (kind, value) {
        (_, Value::Null) => Ok(Value::Null),
        (Kind::Record(record), Value::Object(fields)) => {
            let mut out = serde_json::Map::new();
            for (name, value) in fields {
                let value = match record.field(&name) {
                    Some((_, field)) => loaded(&field.ty.kind, value)?,
                    None => value,
                };
                out.insert(name, value);
            }
            Ok(out.into())
        }
        (Kind::Set(item), Value::Array(items)) => {
            Ok(Value::Array(items.into_iter().map(|value| loaded(item, value)).collect::<Result<_, _>>()?))
        }
        (Kind::Record(_), _) => Err("it is no record"),
        (kind, value) => Cell::from_stored(kind, value)?.into_value(None),
    }
}

fn text<'v>(kind: &Kind, value: &'v Value) -> Result<&'v str, Misfit> {
    let text = value.as_str().ok_or("it is no text")?;
    if text.contains('\0') {
        return Err("a text holds no U+0000");
    }
    match kind {
        Kind::Enum(variants) if !variants.iter().any(|variant| **variant == *text) => Err("it is none of the variants"),
        _ => Ok(text),
    }
}

fn decimal(value: &Value) -> Result<i64, Misfit> {
    const WHY: Misfit = "it is no decimal of at most four places";
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Err(WHY),
    };
    // More places are no loss where they are zeros.
    let (whole, places) = text.split_once('.').unwrap_or((&text, "0"));
    let places = places.trim_end_matches('0');
    let text = format!("{whole}.{}", if places.is_empty() { "0" } else { places });
    text.parse::<Decimal>().map(Decimal::scaled).map_err(|_| WHY)
}

fn address(value: &Value) -> Result<IpAddr, Misfit> {
    let address = value.as_str().and_then(|text| text.parse::<IpAddr>().ok()).ok_or("it is no address")?;
    Ok(address.to_canonical())
}

/// The sixteen bytes of an address, IPv4 mapped.
pub(super) fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

fn hex(ip: IpAddr) -> String {
    format!("{:032x}", u128::from_be_bytes(octets(ip)))
}

fn unhex(text: &str) -> Option<IpAddr> {
    let digits = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let bits = digits.then(|| u128::from_str_radix(text, 16).ok()).flatten()?;
    Some(IpAddr::V6(Ipv6Addr::from_bits(bits)).to_canonical())
}

/// Reads an RFC 3339 instant to the microsecond; what is finer is floored.
fn micros(text: &str) -> Option<i64> {
    let upper = text.to_ascii_uppercase();
    let Some((before, rest)) = upper.split_once('.') else {
        return parse_instant(&upper)?.0.checked_mul(1_000);
    };
    let places: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let zone = rest.strip_prefix(&*places)?;
    if places.is_empty() || places.len() > 9 {
        return None;
    }
    let fraction: i64 = places.chars().chain(std::iter::repeat('0')).take(6).collect::<String>().parse().ok()?;
    parse_instant(&format!("{before}{zone}"))?.0.checked_mul(1_000)?.checked_add(fraction)
}

/// Writes an instant as RFC 3339 does.
fn instant(micros: i64) -> String {
    let millis = Millis(micros.div_euclid(1_000)).to_string();
    let finer = micros.rem_euclid(1_000);
    match millis.strip_suffix('Z') {
        Some(text) if finer != 0 => format!("{text}{finer:03}Z"),
        _ => millis,
    }
}

#[cfg(test)]
mod tests {
    use policy_core::contract::{AttributeValue, field, record};
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn round(kind: Kind, value: Value, stored_as: Value) {
        let ty = Described::required(kind);
        let cell = Cell::of(&ty, &value).unwrap();
        assert_eq!(cell.clone().into_stored(), stored_as);
        assert_eq!(Cell::from_stored(&ty.kind, stored_as), Ok(cell.clone()));
        assert_eq!(cell.into_value(Some(&ty.kind)), Ok(value));
    }

    #[test]
    fn each_kind_has_one_stored_form() {
        round(Kind::Bool, json!(true), json!(true));
        round(Kind::Long, json!(i64::MAX), json!(i64::MAX));
        round(Kind::Decimal, json!("922337203685477.5807"), json!(i64::MAX));
        round(Kind::Decimal, json!("-0.5"), json!(-5_000));
        round(Kind::Text, json!("a%_\\'"), json!("a%_\\'"));
        round(Kind::Uuid, json!("67e55044-10b1-426f-9247-bb680e5fe0c8"), json!("67e55044-10b1-426f-9247-bb680e5fe0c8"));
        round(Kind::Datetime, json!("1969-12-31T23:59:59.999999Z"), json!(-1));
        round(Kind::Datetime, json!("2027-01-01T00:00:00.000Z"), json!(1_798_761_600_000_000_i64));
        round(Kind::Ip, json!("10.0.0.1"), json!("00000000000000000000ffff0a000001"));
        round(Kind::Ip, json!("::1"), json!("00000000000000000000000000000001"));
        round(Kind::Set(Kind::Decimal.into()), json!(["1.5", null]), json!([15_000, null]));
    }

    #[test]
    fn a_document_is_stored_kind_by_kind_and_keeps_what_rules_do_not_read() {
        let price = field("price", "price", Described::required(Kind::Decimal), false);
        let seen = field("seen", "seen", Vec::<IpAddr>::describe(), false);
        let kind = record("Item", [price, seen]).kind;
        round(
            kind,
            json!({ "price": "2.25", "seen": ["127.0.0.1"], "weight": 1.25 }),
            json!({ "price": 22_500, "seen": ["00000000000000000000ffff7f000001"], "weight": 1.25 }),
        );
    }

    #[test]
    fn what_a_kind_cannot_hold_is_refused() {
        let colours = Kind::Enum(["red".into()].into());
        for (kind, value) in [
            (Kind::Long, json!(9_223_372_036_854_775_808_u64)),
            (Kind::Long, json!(1.5)),
            (Kind::Decimal, json!("1.00001")),
            (Kind::Decimal, json!("922337203685477.5808")),
            (Kind::Decimal, json!("1e3")),
            (Kind::Text, json!("a\u{0}b")),
            (Kind::Text, json!(1)),
            (Kind::Uuid, json!("67e55044")),
            (Kind::Datetime, json!("yesterday")),
            (Kind::Datetime, json!("2027-01-01T00:00:00.1234567891Z")),
            (Kind::Ip, json!("10.0.0.0/8")),
            (Kind::Set(Kind::Long.into()), json!([1, "2"])),
            (Kind::Bool, Value::Null),
            (colours, json!("blue")),
        ] {
            assert!(Cell::of(&Described::required(kind.clone()), &value).is_err(), "{kind}: {value}");
        }
        assert_eq!(Cell::of(&Described::required(Kind::Decimal), &json!("1.500000")), Ok(Cell::Decimal(15_000)));
        assert_eq!(
            Cell::of(&Described::required(Kind::Datetime), &json!("2027-01-01T02:00:00.123456789+02:00")),
            Ok(Cell::Datetime(1_798_761_600_123_456))
        );
    }
}
