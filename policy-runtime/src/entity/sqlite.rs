//! Rows in SQLite: cells to expressions, and what it stores to cells.
//!
//! In: cells, or rows of the driver. Out: `sea_query` expressions, or cells. Absent: statements.

use std::net::{IpAddr, Ipv6Addr};

use policy_core::kind::Kind;
use policy_core::value::{parse_uuid, uuid_text};
use sea_query::{Expr, Value};
use serde_json::Value as Json;
use sqlx::sqlite::{Sqlite, SqliteRow, SqliteValueRef};
use sqlx::{Decode, Row as _, TypeInfo as _, ValueRef as _};

use super::cell::{Cell, Misfit, octets};
use super::error::EntityError;
use super::layout::{Layout, Row};

/// A cell as a bound value.
pub(super) fn bound(cell: &Cell) -> Expr {
    Expr::value(match cell {
        Cell::Null => Value::String(None),
        Cell::Bool(b) => Value::Bool(Some(*b)),
        Cell::Long(n) | Cell::Decimal(n) | Cell::Datetime(n) => Value::BigInt(Some(*n)),
        Cell::Text(text) => text.as_str().into(),
        Cell::Uuid(uuid) => uuid_text(*uuid).into(),
        Cell::Ip(ip) => octets(*ip).to_vec().into(),
        Cell::Set(_) | Cell::Json(_) => cell.clone().into_stored().to_string().into(),
    })
}

/// Reads a row whose columns stand in the order of the layout.
pub(super) fn read(layout: &Layout, row: &SqliteRow) -> Result<Row, EntityError> {
    let mut cells = Vec::with_capacity(layout.columns.len());
    for (at, column) in layout.columns.iter().enumerate() {
        let raw = row.try_get_raw(at).map_err(|e| EntityError::database(layout.entity, e))?;
        cells.push(cell(column.kind(), raw).map_err(|why| layout.unreadable(column, why))?);
    }
    Ok(cells)
}

fn cell(kind: Option<&Kind>, raw: SqliteValueRef<'_>) -> Result<Cell, Misfit> {
    if raw.is_null() {
        return Ok(Cell::Null);
    }
    let class = raw.type_info().name().to_owned();
    let is = |wanted: &[&str]| wanted.contains(&class.as_str());
    let integer = |raw, why| {
        if is(&["INTEGER", "BOOLEAN", "INT8", "BIGINT"]) {
            <i64 as Decode<Sqlite>>::decode(raw).map_err(|_| why)
        } else {
            Err(why)
        }
    };
    let text = |raw, why| {
        if is(&["TEXT"]) { <String as Decode<Sqlite>>::decode(raw).map_err(|_| why) } else { Err(why) }
    };
    Ok(match kind {
        Some(Kind::Bool) => match integer(raw, "it is no 0 or 1")? {
            0 => Cell::Bool(false),
            1 => Cell::Bool(true),
            _ => return Err("it is no 0 or 1"),
        },
        Some(Kind::Long) => Cell::Long(integer(raw, "it is no integer")?),
        Some(Kind::Decimal) => Cell::Decimal(integer(raw, "it is no integer")?),
        Some(Kind::Datetime) => Cell::Datetime(integer(raw, "it is no integer")?),
        Some(Kind::Text) => Cell::Text(text(raw, "it is no text")?),
        Some(Kind::Enum(variants)) => {
            let text = text(raw, "it is no text")?;
            if !variants.iter().any(|variant| **variant == *text) {
                return Err("it is none of the variants");
            }
            Cell::Text(text)
        }
        Some(Kind::Uuid) => {
            let text = text(raw, "it is no text")?;
            let uuid = parse_uuid(&text).filter(|uuid| uuid_text(*uuid) == text);
            Cell::Uuid(uuid.ok_or("it is no canonical UUID")?)
        }
        Some(Kind::Ip) => {
            let bytes = if is(&["BLOB"]) { <Vec<u8> as Decode<Sqlite>>::decode(raw).ok() } else { None };
            let octets: Option<[u8; 16]> = bytes.and_then(|bytes| bytes.try_into().ok());
            let address = octets.ok_or("it is no address of 16 bytes")?;
            Cell::Ip(IpAddr::V6(Ipv6Addr::from(address)).to_canonical())
        }
        Some(kind @ (Kind::Set(_) | Kind::Record(_))) => {
            let json: Json = serde_json::from_str(&text(raw, "it is no text")?).map_err(|_| "it is no JSON")?;
            if json.is_null() {
                return Err("it is no list or record");
            }
            Cell::from_stored(kind, json)?
        }
        None => Cell::Json(serde_json::from_str(&text(raw, "it is no text")?).map_err(|_| "it is no JSON")?),
    })
}
