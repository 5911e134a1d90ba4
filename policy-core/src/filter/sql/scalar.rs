//! Scalars: how a value of a kind is read from where it is stored, and how it is compared.

use std::sync::Arc;

use sea_query::{Alias, BinOper, CaseStatement, Condition, Expr, ExprTrait, Func};

use super::{Assured, Render, bytes, constant, hex, joined, one};
use crate::filter::predicate::RowField;
use crate::kind::Kind;
use crate::syntax::ast::CompareOp;
use crate::table::Dialect;
use crate::value::{IpRange, Millis, Value, uuid_text};

/// The instants that can be held, in microseconds: what the timestamps of Rust can be, from year -9999 to 9999. PostgreSQL's
/// begin in 4714 BC.
pub(super) const INSTANTS: [(Dialect, i64, i64); 2] = [
    (Dialect::Sqlite, -377_705_023_201_000_000, 253_402_207_200_999_999),
    (Dialect::Postgres, -210_866_803_200_000_000, 253_402_207_200_999_999),
];

/// How a scalar is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As a column, or an element of a PostgreSQL array.
    Native(Dialect),
    /// Within JSON, read by SQLite's functions: numbers, texts, and 1 or 0.
    Json,
    /// Within JSON, read by PostgreSQL's functions: texts.
    Jsonb,
}

/// An expression that reads a scalar (or a set, or a record, of which only presence and form are asked).
#[derive(Debug, Clone)]
pub(super) struct Scalar {
    pub(super) kind: Kind,
    pub(super) form: Form,
    /// What is there as it is stored, NULL where nothing is.
    pub(super) raw: Expr,
    /// Its type within JSON: NULL where there is nothing at all.
    pub(super) json_type: Option<Expr>,
}

impl Render<'_> {
    pub(super) fn scalar(&self, field: &RowField) -> Scalar {
        if field.inner.is_empty() {
            let mut scalar = Scalar::native(field.kind.clone(), self.column(field), self.dialect);
            if self.dialect == Dialect::Postgres && !self.is_array(field) && !field.kind.is_scalar() {
                scalar.json_type = Some(json_type(scalar.raw.clone()));
            }
            return scalar;
        }
        match self.dialect {
            Dialect::Sqlite => {
                let read = |function: &'static str| {
                    Func::cust(function).arg(self.valid_json(field, "{}")).arg(json_path(&field.inner))
                };
                Scalar {
                    kind: field.kind.clone(),
                    form: Form::Json,
                    raw: read("json_extract").into(),
                    json_type: Some(read("json_type").into()),
                }
            }
            Dialect::Postgres => {
                let names = |function: &'static str| {
                    field.inner.iter().fold(Func::cust(function).arg(self.column(field)), |f, name| f.arg(&**name))
                };
                Scalar {
                    kind: field.kind.clone(),
                    form: Form::Jsonb,
                    raw: names("jsonb_extract_path_text").into(),
                    json_type: Some(json_type(self.json(field))),
                }
            }
        }
    }

    /// A column of JSON in SQLite, with something valid in the place of what is not: reading that would fail the whole query.
    pub(super) fn valid_json(&self, field: &RowField, otherwise: &'static str) -> Expr {
        let column = self.column(field);
        let Assured { typed, array, .. } = self.assured_of(field);
        if typed || array {
            return column;
        }
        let valid = Func::cust("json_valid").arg(column.clone());
        CaseStatement::new().case(Expr::from(valid), column).finally(otherwise).into()
    }

    /// A part of a column of JSON in PostgreSQL.
    pub(super) fn json(&self, field: &RowField) -> Expr {
        if field.inner.is_empty() {
            return self.column(field);
        }
        let start = Func::cust("jsonb_extract_path").arg(self.column(field));
        field.inner.iter().fold(start, |f, name| f.arg(&**name)).into()
    }
}

/// The path of nested names in SQLite. None of them has a quotation mark, a backslash or a control character.
pub(super) fn json_path(names: &[Arc<str>]) -> Expr {
    let path = names.iter().fold("$".to_owned(), |path, name| format!("{path}.\"{name}\""));
    Expr::val(path)
}

/// The type of a JSON value in PostgreSQL.
pub(super) fn json_type(json: Expr) -> Expr {
    Func::cust("jsonb_typeof").arg(json).into()
}

impl Scalar {
    pub(super) const fn native(kind: Kind, raw: Expr, dialect: Dialect) -> Self {
        Self { kind, form: Form::Native(dialect), raw, json_type: None }
    }

    /// An element that SQLite's `json_each` gives.
    pub(super) fn of_each(kind: Kind, name: &'static str) -> Self {
        let part = |column: &'static str| Expr::col((Alias::new(name), Alias::new(column)));
        Self { kind, form: Form::Json, raw: part("value"), json_type: Some(part("type")) }
    }

    /// An element that PostgreSQL's `jsonb_array_elements` gives.
    pub(super) fn of_jsonb(kind: Kind, json: Expr) -> Self {
        let whole = Expr::val("{}").cast_as("text[]");
        let raw = json.clone().binary(BinOper::Custom("#>>"), whole);
        Self { kind, form: Form::Jsonb, raw, json_type: Some(json_type(json)) }
    }

    pub(super) fn present(&self) -> Expr {
        self.raw.clone().is_not_null()
    }

    /// Whether it is a number within JSON that PostgreSQL reads.
    const fn is_json_number(&self) -> bool {
        matches!((self.form, &self.kind), (Form::Jsonb, Kind::Long | Kind::Decimal | Kind::Datetime))
    }

    /// The value, of a type that can be compared.
    pub(super) fn value(&self) -> Expr {
        match (&self.json_type, self.is_json_number()) {
            (Some(ty), true) => {
                let number = self.raw.clone().cast_as("numeric");
                CaseStatement::new().case(ty.clone().eq("number"), number).into()
            }
            _ => self.raw.clone(),
        }
    }

    /// The value as text, of a Text, an Enum or a UUID.
    pub(super) fn text(&self) -> Expr {
        match (self.form, &self.kind) {
            (Form::Native(Dialect::Postgres), Kind::Uuid) => self.raw.clone().cast_as("text"),
            _ => self.raw.clone(),
        }
    }

    /// A value, in the form in which this is stored; `None` when nothing that is stored equals it.
    pub(super) fn constant(&self, value: &Value) -> Option<Expr> {
        Some(match (value, self.form) {
            (Value::Bool(b), Form::Jsonb) => Expr::val(b.to_string()),
            (Value::Bool(b), _) => Expr::val(*b),
            (Value::Long(n), _) => Expr::val(*n),
            (Value::Decimal(d), Form::Native(Dialect::Postgres)) => Expr::val(d.to_string()).cast_as("numeric"),
            (Value::Decimal(d), _) => Expr::val(d.scaled()),
            // PostgreSQL holds no text with U+0000, and fails where it is sent one.
            (Value::Text(t), Form::Native(Dialect::Postgres) | Form::Jsonb) if t.contains('\0') => return None,
            (Value::Text(t), _) => Expr::val(&**t),
            (Value::Uuid(uuid), Form::Native(Dialect::Postgres)) => Expr::val(uuid_text(*uuid)).cast_as("uuid"),
            (Value::Uuid(uuid), _) => Expr::val(uuid_text(*uuid)),
            (Value::Ip(ip), Form::Native(Dialect::Postgres)) => Expr::val(ip.to_string()).cast_as("inet"),
            (Value::Ip(ip), Form::Native(Dialect::Sqlite)) => Expr::val(bytes(*ip).0.to_vec()),
            (Value::Ip(ip), Form::Json | Form::Jsonb) => Expr::val(hex(bytes(*ip).0)),
            (Value::Datetime(_) | Value::Set(_) | Value::Record(_), _) => return None,
        })
    }

    pub(super) fn eq(&self, value: &Value) -> Expr {
        self.constant(value).map_or_else(|| Expr::Constant(false.into()), |c| self.value().eq(c))
    }

    pub(super) fn compare(&self, op: CompareOp, value: &Value) -> Condition {
        if let Value::Datetime(at) = value {
            return self.instant(op, *at);
        }
        match self.constant(value) {
            Some(c) => one(self.value().binary(oper(op), c)),
            None => constant(op == CompareOp::Ne),
        }
    }

    pub(super) fn one_of(&self, values: &[Value], wanted: bool) -> Condition {
        if self.kind == Kind::Datetime {
            let op = if wanted { CompareOp::Eq } else { CompareOp::Ne };
            return joined(values.iter().map(|value| self.compare(op, value)).collect(), !wanted);
        }
        let list: Vec<Expr> = values.iter().filter_map(|value| self.constant(value)).collect();
        match (list.is_empty(), wanted) {
            (true, wanted) => constant(!wanted),
            (false, true) => one(self.value().is_in(list)),
            (false, false) => one(self.value().is_not_in(list)),
        }
    }

    /// A comparison with another scalar of the same kind, or of two texts of any.
    pub(super) fn compare_to(&self, op: CompareOp, other: &Self) -> Expr {
        let (left, right) = if self.form == other.form && self.kind == other.kind {
            (self.comparable(), other.comparable())
        } else {
            (self.as_json(), other.as_json())
        };
        left.binary(oper(op), right)
    }

    /// The value as it is compared with one that is stored in the same way.
    fn comparable(&self) -> Expr {
        if self.kind == Kind::Datetime { self.floored(self.value()) } else { self.value() }
    }

    /// The value as it would be read if it stood within JSON.
    fn as_json(&self) -> Expr {
        let raw = || self.raw.clone();
        match (self.form, &self.kind) {
            (Form::Native(Dialect::Postgres), Kind::Bool) => raw().cast_as("text"),
            (Form::Native(Dialect::Postgres), Kind::Decimal) => raw().mul(10_000i64),
            (Form::Native(Dialect::Postgres), Kind::Datetime) => {
                let seconds = Func::cust("pg_catalog.extract").arg("epoch").arg(self.floored(raw()));
                Expr::from(seconds).mul(1_000_000i64)
            }
            (Form::Native(Dialect::Postgres), Kind::Ip) => {
                let octets = Func::cust("substr").arg(Func::cust("inet_send").arg(raw())).arg(5i32);
                let digits = Func::cust("encode").arg(octets).arg("hex");
                let mapped = Expr::val("00000000000000000000ffff").binary(BinOper::Custom("||"), digits.clone());
                let is_v4 = Expr::from(Func::cust("family").arg(raw())).eq(4i32);
                CaseStatement::new().case(is_v4, mapped).finally(digits).into()
            }
            (Form::Native(Dialect::Sqlite), Kind::Ip) => Func::lower(Func::cust("hex").arg(raw())).into(),
            (_, Kind::Datetime) => self.floored(self.value()),
            (_, Kind::Text | Kind::Enum(_) | Kind::Uuid) => self.text(),
            _ => self.value(),
        }
    }

    /// An instant without what is finer than a millisecond.
    fn floored(&self, value: Expr) -> Expr {
        if self.form == Form::Native(Dialect::Postgres) {
            return Func::cust("date_trunc").arg("milliseconds").arg(value).into();
        }
        // The remainder has the sign of the dividend, in both databases.
        let rest = value.clone().modulo(1_000i64).add(1_000i64).modulo(1_000i64);
        value.sub(rest)
    }

    /// A comparison of an instant with a millisecond: with the half-open range of what is floored to it.
    fn instant(&self, op: CompareOp, at: Millis) -> Condition {
        let start = i128::from(at.0) * 1_000;
        let end = start + 1_000;
        match op {
            CompareOp::Lt => self.before(start),
            CompareOp::Le => self.before(end),
            CompareOp::Gt => self.from(end),
            CompareOp::Ge => self.from(start),
            CompareOp::Eq => joined(vec![self.from(start), self.before(end)], true),
            CompareOp::Ne => joined(vec![self.before(start), self.from(end)], false),
        }
    }

    fn before(&self, micros: i128) -> Condition {
        match self.bound(micros) {
            Ok(bound) => one(self.value().lt(bound)),
            Err(beyond) => constant(beyond),
        }
    }

    fn from(&self, micros: i128) -> Condition {
        match self.bound(micros) {
            Ok(bound) => one(self.value().gte(bound)),
            Err(beyond) => constant(!beyond),
        }
    }

    /// A bound in the form of what is stored; or whether it lies after all that can be stored, rather than before.
    fn bound(&self, micros: i128) -> Result<Expr, bool> {
        let dialect = if let Form::Native(dialect) = self.form { dialect } else { Dialect::Sqlite };
        let range = INSTANTS.iter().find(|(d, ..)| *d == dialect);
        if range.is_some_and(|(_, first, _)| micros <= i128::from(*first)) {
            return Err(false);
        }
        if range.is_some_and(|(.., last)| micros > i128::from(*last)) {
            return Err(true);
        }
        let micros = i64::try_from(micros).map_err(|_| micros > 0)?;
        Ok(match self.form {
            Form::Native(Dialect::Postgres) => Expr::val(timestamp(micros)).cast_as("timestamptz"),
            Form::Native(Dialect::Sqlite) | Form::Json | Form::Jsonb => Expr::val(micros),
        })
    }

    /// Whether an address lies in a range; the two families never meet.
    pub(super) fn within(&self, range: IpRange) -> Condition {
        if self.form == Form::Native(Dialect::Postgres) {
            let range = Expr::val(range.to_string()).cast_as("inet");
            return one(self.raw.clone().binary(BinOper::Custom("<<="), range));
        }
        let bind = |address: [u8; 16]| match self.form {
            Form::Native(_) => Expr::val(address.to_vec()),
            Form::Json | Form::Jsonb => Expr::val(hex(address)),
        };
        let between = |(first, last): ([u8; 16], [u8; 16])| self.raw.clone().between(bind(first), bind(last));
        let (first, last) = bytes(range);
        let mapped = bytes(IpRange::V4);
        let mut within = one(between((first, last)));
        if range.address().is_ipv6() && first <= mapped.1 && mapped.0 <= last {
            within = within.add(between(mapped).not());
        }
        within
    }
}

/// An instant, in microseconds since 1970, as PostgreSQL reads it.
///
/// ```
/// use policy_core::filter::sql::timestamp;
/// assert_eq!(timestamp(1), "1970-01-01 00:00:00.000001+00");
/// assert_eq!(timestamp(-62_167_219_200_000_000), "0001-01-01 00:00:00.000000+00 BC");
/// ```
pub fn timestamp(micros: i64) -> String {
    let millis = Millis(micros.div_euclid(1_000)).to_string();
    let (sign, rest) = millis.strip_prefix('-').map_or((false, &*millis), |rest| (true, rest));
    let rest = rest.trim_end_matches('Z').replace('T', " ");
    let (year, rest) = rest.split_once('-').unwrap_or((&rest, ""));
    let year: i64 = year.parse().unwrap_or_default();
    // There is no year 0: the year before 1 is 1 BC.
    let (year, era) = if sign || year == 0 { (year + 1, " BC") } else { (year, "") };
    format!("{year:04}-{rest}{:03}+00{era}", micros.rem_euclid(1_000))
}

const fn oper(op: CompareOp) -> BinOper {
    match op {
        CompareOp::Eq => BinOper::Equal,
        CompareOp::Ne => BinOper::NotEqual,
        CompareOp::Lt => BinOper::SmallerThan,
        CompareOp::Le => BinOper::SmallerThanOrEqual,
        CompareOp::Gt => BinOper::GreaterThan,
        CompareOp::Ge => BinOper::GreaterThanOrEqual,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_written_as_postgresql_reads_them() {
        for (text, expect) in [
            ("2027-01-01T00:00:00.123Z", "2027-01-01 00:00:00.123007+00"),
            ("0001-01-01T00:00:00Z", "0001-01-01 00:00:00.000007+00"),
        ] {
            let at: Millis = text.parse().unwrap();
            assert_eq!(timestamp(at.0 * 1_000 + 7), expect);
        }
        // The year 0 is 1 BC, and the year -44 is 45 BC.
        assert_eq!(timestamp(-62_167_219_200_000_000), "0001-01-01 00:00:00.000000+00 BC");
        assert_eq!(timestamp(-63_524_131_200_000_001), "0045-12-31 23:59:59.999999+00 BC");
        assert_eq!(timestamp(-1), "1969-12-31 23:59:59.999999+00");
    }
}
