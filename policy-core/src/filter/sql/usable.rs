//! What is stored can be held by its kind: a row of which a rule reads something else is hidden, as a decision denies it.

#![expect(clippy::wildcard_enum_match_arm, reason = "the kinds that are not named are held by the type of the column")]

use sea_query::{BinOper, CaseStatement, Condition, Expr, ExprTrait, Func};

use super::scalar::{Form, INSTANTS, Scalar, json_type, timestamp};
use super::{Assured, EACH, Render, constant, joined, one};
use crate::filter::predicate::RowField;
use crate::kind::Kind;
use crate::syntax::ast::CompareOp;
use crate::table::Dialect;
use crate::value::{Decimal, Value};

const HEX: &str = "[0-9a-f]";

impl Render<'_> {
    /// Whether what is stored can be held, and in a set is none of some values.
    pub(super) fn usable(&self, field: &RowField, kept_out: &[&Value]) -> Condition {
        let assured = self.assured_of(field);
        let there = self.scalar(field).raw;
        let mut fits = if assured.typed { Vec::new() } else { self.fits(field, kept_out) };
        let vouched = assured.not_null && field.inner.is_empty();
        if !field.nullable && !vouched {
            fits.insert(0, one(there.is_not_null()));
        } else if field.nullable && !fits.is_empty() {
            let absent = one(there.is_null());
            let fits = joined(fits, true);
            let records = if assured.typed { Vec::new() } else { self.records(field) };
            return joined(records.into_iter().chain([joined(vec![absent, fits], false)]).collect(), true);
        }
        let records = if assured.typed { Vec::new() } else { self.records(field) };
        joined(records.into_iter().chain(fits).collect(), true)
    }

    /// What the attribute is in is a record, wherever it is there.
    fn records(&self, field: &RowField) -> Vec<Condition> {
        let mut out = Vec::new();
        for depth in 0..field.inner.len() {
            let inner = field.inner.iter().take(depth).cloned().collect();
            let record = RowField { inner, ..field.clone() };
            let ty = self.type_of(&record);
            let object = ty.clone().is_in(["object", "null"]);
            let mut fits = vec![one(ty.is_null()), one(object)];
            if depth == 0 && self.dialect == Dialect::Sqlite {
                let column = self.column(field);
                let valid = Expr::from(Func::cust("json_valid").arg(column.clone())).eq(1i64);
                fits = vec![one(column.is_null()), joined(vec![one(valid), joined(fits, false)], true)];
            }
            out.push(joined(fits, false));
        }
        out
    }

    /// The JSON type of what is stored, or of a part of it.
    fn type_of(&self, field: &RowField) -> Expr {
        match self.dialect {
            Dialect::Postgres => json_type(self.json(field)),
            Dialect::Sqlite if field.inner.is_empty() => {
                Func::cust("json_type").arg(self.valid_json(field, "0")).into()
            }
            Dialect::Sqlite => self.scalar(field).json_type.unwrap_or_else(|| Expr::Constant(false.into())),
        }
    }

    fn fits(&self, field: &RowField, kept_out: &[&Value]) -> Vec<Condition> {
        match &field.kind {
            Kind::Set(of) if self.assured_of(field).array && field.inner.is_empty() => {
                self.items_fit(field, of, kept_out)
            }
            // One term, and one look whether it is JSON: SQLite puts terms that look nothing up before those that do, whatever the
            // order in which they are written.
            Kind::Set(of) if self.dialect == Dialect::Sqlite && field.inner.is_empty() => {
                let json = self.clone().assured(|_| Assured { array: true, ..Assured::default() });
                let fits = joined(json.set_fits(field, of, kept_out), true);
                let column = self.column(field);
                let valid = Expr::from(Func::cust("json_valid").arg(column.clone()));
                let whole = CaseStatement::new().case(column.eq("[]"), Expr::Constant(true.into()));
                vec![one(whole.case(valid, fits).finally(Expr::Constant(false.into())))]
            }
            Kind::Set(of) => self.set_fits(field, of, kept_out),
            Kind::Record(_) => vec![one(self.type_of(field).eq("object"))],
            _ => self.scalar(field).fits(),
        }
    }

    fn set_fits(&self, field: &RowField, of: &Kind, kept_out: &[&Value]) -> Vec<Condition> {
        let is_array = (!self.is_array(field)).then(|| one(self.type_of(field).eq("array")));
        is_array.into_iter().chain(self.items_fit(field, of, kept_out)).collect()
    }

    fn items_fit(&self, field: &RowField, of: &Kind, kept_out: &[&Value]) -> Vec<Condition> {
        let element = self.element(field, EACH);
        let fits = if of.is_scalar() { element.fits() } else { Vec::new() };
        let unfit = (!fits.is_empty()).then(|| joined(fits, true).not());
        let unwanted = kept_out.iter().map(|value| element.compare(CompareOp::Eq, value));
        let odd: Vec<_> = unfit.into_iter().chain(unwanted).collect();
        if odd.is_empty() {
            return Vec::new();
        }
        let odd = joined(vec![one(element.present()), joined(odd, false)], true);
        vec![one(Expr::exists(self.elements(field, EACH, odd)).not())]
    }
}

impl Scalar {
    /// What must hold of a scalar that is there.
    fn fits(&self) -> Vec<Condition> {
        let mut out: Vec<Condition> = self.stored_as().into_iter().map(one).collect();
        match (&self.kind, self.form) {
            (Kind::Bool, Form::Native(Dialect::Sqlite)) => out.push(one(self.raw.clone().is_in([0i64, 1]))),
            (Kind::Enum(variants), _) => {
                out.push(if variants.is_empty() {
                    constant(false)
                } else {
                    one(self.text().is_in(variants.iter().map(|v| &**v)))
                });
            }
            (Kind::Decimal, Form::Native(Dialect::Postgres)) => {
                let end = |scaled: i64| Expr::val(Decimal::from_scaled(scaled).to_string()).cast_as("numeric");
                out.push(one(self.raw.clone().between(end(i64::MIN), end(i64::MAX))));
                let rounded = Func::cust("round").arg(self.raw.clone()).arg(4i32);
                out.push(one(self.raw.clone().eq(Expr::from(rounded))));
            }
            (Kind::Datetime, form) => {
                let dialect = if let Form::Native(dialect) = form { dialect } else { Dialect::Sqlite };
                for (_, first, last) in INSTANTS.iter().filter(|(d, ..)| *d == dialect) {
                    let end = |micros: i64| match form {
                        Form::Native(Dialect::Postgres) => Expr::val(timestamp(micros)).cast_as("timestamptz"),
                        Form::Native(Dialect::Sqlite) | Form::Json | Form::Jsonb => Expr::val(micros),
                    };
                    out.push(one(self.value().between(end(*first), end(*last))));
                }
            }
            (Kind::Uuid, Form::Native(Dialect::Sqlite) | Form::Json) => {
                let digits = |n: usize| HEX.repeat(n);
                let canonical = [8, 4, 4, 4, 12].map(digits).join("-");
                out.push(one(self.raw.clone().binary(sea_query::extension::sqlite::SqliteBinOper::Glob, canonical)));
            }
            (Kind::Uuid, Form::Jsonb) => out.push(one(matches_all(
                self.raw.clone(),
                "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
            ))),
            (Kind::Ip, Form::Native(Dialect::Sqlite)) => {
                out.push(one(Expr::from(Func::cust("length").arg(self.raw.clone())).eq(16i64)));
            }
            (Kind::Ip, Form::Native(Dialect::Postgres)) => {
                let address = Func::cust("host").arg(self.raw.clone());
                let whole = self.raw.clone().eq(Expr::from(address).cast_as("inet"));
                let mapped = Expr::val("::ffff:0.0.0.0/96").cast_as("inet");
                out.push(one(whole));
                out.push(one(self.raw.clone().binary(BinOper::Custom("<<="), mapped).not()));
            }
            (Kind::Ip, Form::Json) => {
                let glob = sea_query::extension::sqlite::SqliteBinOper::Glob;
                out.push(one(self.raw.clone().binary(glob, HEX.repeat(32))));
            }
            (Kind::Ip, Form::Jsonb) => out.push(one(matches_all(self.raw.clone(), "^[0-9a-f]{32}$"))),
            _ => {}
        }
        out
    }

    /// The type that the database itself gives the value, where a column may hold others.
    fn stored_as(&self) -> Vec<Expr> {
        let storage = |name: &'static str| Expr::from(Func::cust("typeof").arg(self.raw.clone())).eq(name);
        let json = |names: &[&'static str]| {
            let ty = self.json_type.clone().unwrap_or_else(|| Expr::Constant(false.into()));
            ty.is_in(names.iter().copied())
        };
        match (self.form, &self.kind) {
            (Form::Native(Dialect::Postgres), _) => Vec::new(),
            (Form::Native(Dialect::Sqlite), Kind::Ip) => vec![storage("blob")],
            (Form::Native(Dialect::Sqlite), Kind::Bool | Kind::Long | Kind::Decimal | Kind::Datetime) => {
                vec![storage("integer")]
            }
            (Form::Native(Dialect::Sqlite), _) => vec![storage("text")],
            (Form::Json, Kind::Bool) => vec![json(&["true", "false"])],
            // A number too large for an integer is read as a real.
            (Form::Json, Kind::Long | Kind::Decimal | Kind::Datetime) => vec![json(&["integer"]), storage("integer")],
            (Form::Json, _) => vec![json(&["text"])],
            (Form::Jsonb, Kind::Bool) => vec![json(&["boolean"])],
            (Form::Jsonb, Kind::Long | Kind::Decimal | Kind::Datetime) => {
                let whole = Func::cust("trunc").arg(self.value());
                vec![json(&["number"]), self.value().eq(Expr::from(whole)), self.value().between(i64::MIN, i64::MAX)]
            }
            (Form::Jsonb, _) => vec![json(&["string"])],
        }
    }
}

fn matches_all(text: Expr, pattern: &'static str) -> Expr {
    text.binary(sea_query::extension::postgres::PgBinOper::Regex, pattern)
}
