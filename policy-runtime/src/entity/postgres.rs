//! Rows in PostgreSQL: cells to expressions, and its binary forms to cells.
//!
//! In: cells, or rows of the driver. Out: `sea_query` expressions, or cells. Absent: statements.
//!
//! The forms are those of PostgreSQL's `src/backend/utils/adt` (`numeric_send`, `inet_send`, `array_send`, ...), which are
//! stable; so nothing is asked of the driver's optional types, and nothing passes through a float.

#![expect(clippy::wildcard_enum_match_arm, reason = "all but NULL is written as text")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use policy_core::kind::Kind;
use policy_core::table::{Dialect, column_type};
use policy_core::value::{Decimal, uuid_text};
use sea_query::{ArrayType, Expr, ExprTrait as _, Value};
use sqlx::postgres::{PgRow, PgValueFormat};
use sqlx::{Row as _, TypeInfo as _, ValueRef as _};

use super::cell::{Cell, Misfit};
use super::error::EntityError;
use super::layout::{Layout, Row};

/// Microseconds from 1970 to 2000, from where PostgreSQL counts.
const EPOCH: i64 = 946_684_800_000_000;

/// A cell as a bound value of its column's type.
pub(super) fn bound(kind: Option<&Kind>, cell: &Cell) -> Expr {
    let plain = match cell {
        Cell::Bool(b) => return Expr::value(*b),
        Cell::Long(n) => return Expr::value(*n),
        Cell::Text(text) => return Expr::value(text.as_str()),
        Cell::Null => Value::String(None),
        Cell::Decimal(_) | Cell::Uuid(_) | Cell::Datetime(_) | Cell::Ip(_) => text(cell).into(),
        Cell::Json(document) => document.to_string().into(),
        Cell::Set(items) => {
            let item = |cell: &Cell| match cell {
                Cell::Null => Value::String(None),
                _ => text(cell).into(),
            };
            Value::Array(ArrayType::String, Some(Box::new(items.iter().map(item).collect())))
        }
    };
    let name = kind.map_or_else(|| "JSONB".to_owned(), |kind| column_type(kind, Dialect::Postgres));
    Expr::value(plain).cast_as(name)
}

/// A scalar as PostgreSQL reads it.
fn text(cell: &Cell) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Bool(b) => b.to_string(),
        Cell::Long(n) => n.to_string(),
        Cell::Decimal(scaled) => Decimal::from_scaled(*scaled).to_string(),
        Cell::Text(text) => text.clone(),
        Cell::Uuid(uuid) => uuid_text(*uuid),
        Cell::Datetime(_) => match cell.clone().into_value(None) {
            Ok(serde_json::Value::String(text)) => text,
            Ok(_) | Err(_) => String::new(),
        },
        Cell::Ip(ip) => ip.to_string(),
        Cell::Set(_) | Cell::Json(_) => cell.clone().into_stored().to_string(),
    }
}

/// Reads a row whose columns stand in the order of the layout.
pub(super) fn read(layout: &Layout, row: &PgRow) -> Result<Row, EntityError> {
    let mut cells = Vec::with_capacity(layout.columns.len());
    for (at, column) in layout.columns.iter().enumerate() {
        let raw = row.try_get_raw(at).map_err(|e| EntityError::database(layout.entity, e))?;
        let cell = if raw.is_null() {
            Ok(Cell::Null)
        } else if raw.format() == PgValueFormat::Binary {
            let name = raw.type_info().name().to_ascii_uppercase();
            raw.as_bytes().map_err(|_| "it cannot be read").and_then(|bytes| cell(column.kind(), &name, bytes))
        } else {
            Err("it is not in binary form")
        };
        cells.push(cell.map_err(|why| layout.unreadable(column, why))?);
    }
    Ok(cells)
}

fn cell(kind: Option<&Kind>, name: &str, bytes: &[u8]) -> Result<Cell, Misfit> {
    Ok(match kind {
        Some(Kind::Set(item)) if item.is_scalar() => Cell::Set(array(item, bytes)?),
        Some(kind @ (Kind::Set(_) | Kind::Record(_))) => Cell::from_stored(kind, json(name, bytes)?)?,
        None => Cell::Json(json(name, bytes)?),
        Some(kind) => scalar(kind, bytes)?,
    })
}

fn json(name: &str, bytes: &[u8]) -> Result<serde_json::Value, Misfit> {
    // JSONB is sent with its version before it.
    let body = if name == "JSONB" { bytes.strip_prefix(&[1]).ok_or("it is JSONB of another version")? } else { bytes };
    serde_json::from_slice(body).map_err(|_| "it is no JSON")
}

fn scalar(kind: &Kind, bytes: &[u8]) -> Result<Cell, Misfit> {
    Ok(match kind {
        Kind::Bool => match bytes {
            [0] => Cell::Bool(false),
            [1] => Cell::Bool(true),
            _ => return Err("it is no truth value"),
        },
        Kind::Long => Cell::Long(integer(bytes).ok_or("it is no integer")?),
        Kind::Decimal => Cell::Decimal(numeric(bytes).ok_or("it is no decimal of at most four places")?),
        Kind::Text => Cell::Text(utf8(bytes)?),
        Kind::Enum(variants) => {
            let text = utf8(bytes)?;
            if !variants.iter().any(|variant| **variant == *text) {
                return Err("it is none of the variants");
            }
            Cell::Text(text)
        }
        Kind::Uuid => Cell::Uuid(u128::from_be_bytes(bytes.try_into().map_err(|_| "it is no UUID")?)),
        Kind::Datetime => {
            let since = i64::from_be_bytes(bytes.try_into().map_err(|_| "it is no instant")?);
            if matches!(since, i64::MIN | i64::MAX) {
                return Err("it is no instant but an infinity");
            }
            Cell::Datetime(since.checked_add(EPOCH).ok_or("it is out of range")?)
        }
        Kind::Ip => Cell::Ip(inet(bytes).ok_or("it is no single address")?),
        Kind::Set(_) | Kind::Record(_) => return Err("it is no scalar"),
    })
}

fn utf8(bytes: &[u8]) -> Result<String, Misfit> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "it is no UTF-8")
}

fn integer(bytes: &[u8]) -> Option<i64> {
    match bytes.len() {
        2 => Some(i64::from(i16::from_be_bytes(bytes.try_into().ok()?))),
        4 => Some(i64::from(i32::from_be_bytes(bytes.try_into().ok()?))),
        8 => Some(i64::from_be_bytes(bytes.try_into().ok()?)),
        _ => None,
    }
}

/// Takes a number of two bytes off the front.
fn short(bytes: &mut &[u8]) -> Option<i16> {
    let (head, rest) = bytes.split_first_chunk::<2>()?;
    *bytes = rest;
    Some(i16::from_be_bytes(*head))
}

/// Takes a number of four bytes off the front.
fn int(bytes: &mut &[u8]) -> Option<i32> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    *bytes = rest;
    Some(i32::from_be_bytes(*head))
}

/// Ten-thousandths: PostgreSQL sends digits to the base of ten thousand, so that four places are one digit.
fn numeric(mut bytes: &[u8]) -> Option<i64> {
    const NEGATIVE: i16 = 0x4000;
    let (count, weight, sign, _places) =
        (short(&mut bytes)?, short(&mut bytes)?, short(&mut bytes)?, short(&mut bytes)?);
    if sign != 0 && sign != NEGATIVE {
        // Not a number, or an infinity.
        return None;
    }
    let mut total: i128 = 0;
    for n in 0..count {
        let digit = i128::from(short(&mut bytes)?);
        // The digit's power of ten thousand, counted from the last that fits.
        let power = i32::from(weight) - i32::from(n) + 1;
        match u32::try_from(power) {
            Ok(power) if power <= 6 => total += digit * 10_000_i128.pow(power),
            Err(_) if digit == 0 => {}
            Ok(_) | Err(_) => return None,
        }
    }
    i64::try_from(if sign == NEGATIVE { -total } else { total }).ok()
}

fn inet(bytes: &[u8]) -> Option<IpAddr> {
    let [_family, bits, _is_cidr, length, address @ ..] = bytes else { return None };
    match (length, bits) {
        (4, 32) => Some(IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(address).ok()?))),
        (16, 128) => Some(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(address).ok()?)).to_canonical()),
        _ => None,
    }
}

fn array(item: &Kind, mut bytes: &[u8]) -> Result<Vec<Cell>, Misfit> {
    const WHY: Misfit = "it is no array of one dimension";
    let dimensions = int(&mut bytes).ok_or(WHY)?;
    let (_nulls, _of) = (int(&mut bytes).ok_or(WHY)?, int(&mut bytes).ok_or(WHY)?);
    if dimensions == 0 {
        return Ok(Vec::new());
    }
    if dimensions != 1 {
        return Err(WHY);
    }
    let (count, _lower) = (int(&mut bytes).ok_or(WHY)?, int(&mut bytes).ok_or(WHY)?);
    let mut out = Vec::new();
    for _ in 0..count {
        let length = int(&mut bytes).ok_or(WHY)?;
        let Ok(length) = usize::try_from(length) else {
            out.push(Cell::Null);
            continue;
        };
        let (value, rest) = bytes.split_at_checked(length).ok_or(WHY)?;
        out.push(scalar(item, value)?);
        bytes = rest;
    }
    Ok(out)
}
