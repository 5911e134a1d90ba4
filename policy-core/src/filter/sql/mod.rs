//! A predicate as a condition of `sea_query`, for SQLite or PostgreSQL.
//!
//! In: a [`Predicate`] and where its attributes are stored. Out: a [`Condition`] that is true or false for every row, never
//! NULL, with every value bound. Absent: text of SQL, and any connection.
//!
//! Columns are written with the name of their table, so that the condition also stands in a query that joins others.

mod like;
mod scalar;
mod usable;

use std::sync::Arc;

use sea_query::{Alias, ArrayType, Condition, DynIden, Expr, ExprTrait, Func, IntoIden, Query, SelectStatement};

use self::scalar::Scalar;
pub use self::scalar::timestamp;
use super::predicate::{Items, Operand, Predicate, RowField, Test};
use crate::kind::Kind;
use crate::syntax::ast::CompareOp;
use crate::table::{Column, Dialect, Table};
use crate::value::{IpRange, Value};

/// What the database itself vouches for, so that no condition has to ask.
///
/// ```
/// use policy_core::filter::sql::{Assured, Render};
/// use policy_core::table::{Dialect, Table};
///
/// /// What was found when the program started.
/// fn checked(table: &Table) -> Render<'_> {
///     Render::new(table, Dialect::Postgres).assured(|column| Assured { not_null: !column.ty.optional, typed: true, array: false })
/// }
///
/// /// The same, kept since then, for a WHERE.
/// fn again(table: &Table, found: std::sync::Arc<[Assured]>) -> Render<'_> {
///     Render::new(table, Dialect::Postgres).vouched(found).only_true()
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Assured {
    /// The column is never NULL.
    pub not_null: bool,
    /// Whatever is in the column is a value that its kind can hold, in the form that [`crate::table`] says.
    pub typed: bool,
    /// Whatever is in the column is an array of JSON, whose items may be anything.
    pub array: bool,
}

/// Renders predicates for one table in one database.
///
/// ```
/// use policy_core::filter::sql::Render;
/// use policy_core::filter::Predicate;
/// use policy_core::table::{Dialect, Table};
/// use sea_query::{Asterisk, Query, SqliteQueryBuilder};
///
/// # fn rows(table: &Table, predicate: &Predicate) -> (String, sea_query::Values) {
/// let condition = Render::new(table, Dialect::Sqlite).named("p").condition(predicate);
/// Query::select().column(Asterisk).from_as("photos", "p").cond_where(condition).build(SqliteQueryBuilder)
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Render<'t> {
    table: &'t Table,
    dialect: Dialect,
    name: DynIden,
    assured: Arc<[Assured]>,
    /// Whether what is NULL is as good as false.
    only_true: bool,
}

/// The names of elements while those of one set, or of two, are looked at; no column is called so by accident.
const EACH: &str = "policy_each";
const OTHER: &str = "policy_other";

impl<'t> Render<'t> {
    /// A renderer that relies on nothing that the database says of its columns.
    pub fn new(table: &'t Table, dialect: Dialect) -> Self {
        Self { table, dialect, name: Alias::new(&*table.name).into_iden(), assured: Arc::new([]), only_true: false }
    }

    /// Uses the name that the query gives the table.
    #[must_use]
    pub fn named(mut self, alias: &str) -> Self {
        self.name = Alias::new(alias).into_iden();
        self
    }

    /// Leaves out what the database vouches for, as whoever compared its columns with the declaration found.
    #[must_use]
    pub fn assured(self, of: impl Fn(&Column) -> Assured) -> Self {
        let all = self.table.columns.iter().map(of).collect();
        self.vouched(all)
    }

    /// Leaves out what the database vouches for, said for each column in the table's order.
    #[must_use]
    pub fn vouched(mut self, assured: Arc<[Assured]>) -> Self {
        self.assured = assured;
        self
    }

    /// Renders for a WHERE that nobody negates: where the condition does not hold it may be NULL instead of false, so that no
    /// comparison needs a guard beside it.
    #[must_use]
    pub const fn only_true(mut self) -> Self {
        self.only_true = true;
        self
    }

    /// Renders a predicate. Where it says [`Predicate::Row`] every row passes: those have to be checked afterwards.
    pub fn condition(&self, predicate: &Predicate) -> Condition {
        match predicate {
            Predicate::Const(b) => constant(*b),
            Predicate::Row(_) => constant(true),
            Predicate::All(items) => {
                // What tells rows apart comes first: SQLite keeps this order, and looks at the form of what is stored only then.
                let is_form = |item: &&Predicate| matches!(item, Predicate::Test(Test::Usable { .. }));
                let needed = items.iter().filter(|item| !self.is_implied(item, items) && !self.is_seen(item, items));
                let (form, telling): (Vec<_>, Vec<_>) = needed.partition(is_form);
                let form = form.into_iter().map(|item| {
                    let Predicate::Test(Test::Usable { field }) = item else { return self.condition(item) };
                    self.usable(field, &self.kept_out(field, items))
                });
                joined(telling.into_iter().map(|item| self.condition(item)).chain(form).collect(), true)
            }
            Predicate::Any(items) => joined(items.iter().map(|item| self.condition(item)).collect(), false),
            Predicate::Test(test) => self.test(test),
        }
    }

    /// Whether a guard only says what another of the tests that must all hold says too.
    fn is_implied(&self, guard: &Predicate, all: &[Predicate]) -> bool {
        let Predicate::Test(Test::Present { field, wanted: true }) = guard else { return false };
        self.only_true && all.iter().any(|other| matches!(other, Predicate::Test(test) if self.needs(test, field)))
    }

    /// The values that a set must not have, where one look at its items tells that together with their form.
    fn kept_out<'p>(&self, set: &RowField, all: &'p [Predicate]) -> Vec<&'p Value> {
        if self.dialect != Dialect::Sqlite || !set.inner.is_empty() {
            return Vec::new();
        }
        let there = Predicate::from(Test::Present { field: set.clone(), wanted: true });
        let one_look = !set.nullable || all.contains(&there);
        let kept_out = all.iter().filter_map(|item| {
            let Predicate::Test(Test::Contains { set: of, item: Operand::Value(value), wanted: false }) = item else {
                return None;
            };
            (of == set).then_some(value)
        });
        kept_out.filter(|_| one_look).collect()
    }

    /// Whether a look at the form of a set tells what a test of it does.
    fn is_seen(&self, test: &Predicate, all: &[Predicate]) -> bool {
        let Predicate::Test(Test::Contains { set, item: Operand::Value(value), wanted: false }) = test else {
            return false;
        };
        let looks = |item: &Predicate| matches!(item, Predicate::Test(Test::Usable { field }) if field == set);
        all.iter().any(looks) && self.kept_out(set, all).contains(&value)
    }

    /// Whether a test never holds where an attribute is absent, as it is rendered.
    fn needs(&self, test: &Test, wanted: &RowField) -> bool {
        match test {
            // What no stored value equals is left out of the others.
            Test::Compare { op, left, right: Operand::Value(value) } => {
                left == wanted && (*op == CompareOp::Eq || self.scalar(left).constant(value).is_some())
            }
            Test::Compare { left, right: Operand::Field(right), .. } => left == wanted || right == wanted,
            Test::Contains { set, item: Operand::Field(item), wanted: true } => set == wanted || item == wanted,
            Test::Truth { field, .. }
            | Test::OneOf { field, wanted: true, .. }
            | Test::InRange { field, wanted: true, .. }
            | Test::Like { field, wanted: true, .. }
            | Test::Contains { set: field, wanted: true, .. } => field == wanted,
            Test::Present { .. }
            | Test::Usable { .. }
            | Test::OneOf { .. }
            | Test::Contains { .. }
            | Test::Among { .. }
            | Test::Empty { .. }
            | Test::InRange { .. }
            | Test::Like { .. } => false,
        }
    }

    fn test(&self, test: &Test) -> Condition {
        match test {
            Test::Present { field, wanted } => {
                let there = self.scalar(field).raw;
                one(if *wanted { there.is_not_null() } else { there.is_null() })
            }
            Test::Usable { field } => self.usable(field, &[]),
            Test::Truth { field, wanted } => one(self.scalar(field).eq(&Value::Bool(*wanted))),
            Test::Compare { op, left, right: Operand::Value(value) } => self.scalar(left).compare(*op, value),
            Test::Compare { op, left, right: Operand::Field(right) } => {
                one(self.scalar(left).compare_to(*op, &self.scalar(right)))
            }
            Test::OneOf { field, values, wanted } => self.scalar(field).one_of(values, *wanted),
            Test::Contains { set, item, wanted } => self.contains(set, item, *wanted),
            Test::Among { set, others, every, wanted } => {
                let outside = self.among(set, others, !every);
                let found = Expr::exists(self.elements(set, EACH, outside));
                one(if every == wanted { found.not() } else { found })
            }
            Test::Empty { set, wanted } => {
                let any = Expr::exists(self.elements(set, EACH, one(self.element(set, EACH).present())));
                one(if *wanted { any.not() } else { any })
            }
            Test::InRange { field, range, wanted } => {
                let within = self.scalar(field).within(*range);
                if *wanted { within } else { within.not() }
            }
            Test::Like { field, pattern, wanted } => like::like(&self.scalar(field), pattern, *wanted),
        }
    }

    fn assured_of(&self, field: &RowField) -> Assured {
        self.assured.get(field.column).copied().unwrap_or_default()
    }

    fn column(&self, field: &RowField) -> Expr {
        let name = self.table.columns.get(field.column).map_or(&*field.attribute, |column| &*column.name);
        Expr::col((self.name.clone(), Alias::new(name)))
    }

    /// Whether an item of a set, which [`Render::elements`] looks at, is among others.
    fn among(&self, set: &RowField, others: &Items, wanted: bool) -> Condition {
        let item = self.element(set, EACH);
        let found = match others {
            Items::Values(values) => item.one_of(values, wanted),
            Items::Field(others) => {
                let same = self.element(others, OTHER).compare_to(CompareOp::Eq, &item);
                let found = Expr::exists(self.elements(others, OTHER, one(same)));
                one(if wanted { found } else { found.not() })
            }
        };
        joined(vec![one(item.present()), found], true)
    }

    fn contains(&self, set: &RowField, item: &Operand, wanted: bool) -> Condition {
        let turned = |found: Condition| if wanted { found } else { found.not() };
        let Kind::Set(of) = &set.kind else { return constant(false) };
        let element = self.element(set, EACH);
        match item {
            Operand::Value(value) => {
                if self.dialect == Dialect::Postgres
                    && set.inner.is_empty()
                    && **of != Kind::Datetime
                    && let Some(array) = array(of, value)
                {
                    // An index on the array serves this.
                    let found = self.column(set).binary(sea_query::extension::postgres::PgBinOper::Contains, array);
                    return turned(one(found));
                }
                let found = one(Expr::exists(self.elements(set, EACH, element.compare(CompareOp::Eq, value))));
                turned(match self.mentions(set, value) {
                    Some(mentioned) => joined(vec![mentioned, found], true),
                    None => found,
                })
            }
            Operand::Field(item) => {
                let same = element.compare_to(CompareOp::Eq, &self.scalar(item));
                turned(one(Expr::exists(self.elements(set, EACH, one(same)))))
            }
        }
    }

    /// What is true of the text of every JSON in SQLite that has the value as an item: it has it as it is, or it has escapes. That
    /// is seen much faster than the items are read.
    fn mentions(&self, set: &RowField, value: &Value) -> Option<Condition> {
        let text = match value {
            Value::Long(n) => n.to_string(),
            Value::Decimal(decimal) => decimal.scaled().to_string(),
            Value::Text(text) => text.to_string(),
            Value::Uuid(uuid) => crate::value::uuid_text(*uuid),
            Value::Ip(ip) => hex(bytes(*ip).0),
            Value::Bool(_) | Value::Datetime(_) | Value::Set(_) | Value::Record(_) => return None,
        };
        // What JSON writes with an escape only.
        let escaped = text.contains(|c: char| c < ' ' || c == '"' || c == '\\');
        if self.dialect != Dialect::Sqlite || escaped {
            return None;
        }
        let has = |part: &str| one(Expr::from(Func::cust("instr").arg(self.column(set)).arg(part)).gt(0i64));
        let number = matches!(value, Value::Long(_) | Value::Decimal(_));
        Some(if number { has(&text) } else { joined(vec![has(&text), has("\\")], false) })
    }

    /// The elements of a set for which a condition holds, each called by a name meanwhile.
    fn elements(&self, set: &RowField, name: &'static str, condition: Condition) -> SelectStatement {
        let function = match self.dialect {
            Dialect::Sqlite => {
                let each = Func::cust("json_each").arg(self.valid_json(set, "[]"));
                if set.inner.is_empty() { each } else { each.arg(scalar::json_path(&set.inner)) }
            }
            Dialect::Postgres if self.is_array(set) => Func::cust("unnest").arg(self.column(set)),
            Dialect::Postgres => {
                let json = self.json(set);
                let is_array = scalar::json_type(json.clone()).eq("array");
                let empty = Expr::val("[]").cast_as("jsonb");
                Func::cust("jsonb_array_elements")
                    .arg(sea_query::CaseStatement::new().case(is_array, json).finally(empty))
            }
        };
        Query::select().expr(Expr::val(1)).from_function(function, Alias::new(name)).cond_where(condition).take()
    }

    /// The element that [`Render::elements`] calls so.
    fn element(&self, set: &RowField, name: &'static str) -> Scalar {
        let kind = if let Kind::Set(of) = &set.kind { (**of).clone() } else { set.kind.clone() };
        // PostgreSQL calls the column of `unnest` as the whole, that of `jsonb_array_elements` has a name of its own.
        let part = |column: &'static str| Expr::col((Alias::new(name), Alias::new(column)));
        match self.dialect {
            Dialect::Sqlite => Scalar::of_each(kind, name),
            Dialect::Postgres if self.is_array(set) => Scalar::native(kind, part(name), Dialect::Postgres),
            Dialect::Postgres => Scalar::of_jsonb(kind, part("value")),
        }
    }

    /// Whether a set is an array of PostgreSQL.
    fn is_array(&self, set: &RowField) -> bool {
        let scalars = matches!(&set.kind, Kind::Set(of) if of.is_scalar());
        self.dialect == Dialect::Postgres && scalars && set.inner.is_empty()
    }
}

pub(super) fn one(expr: impl Into<Expr>) -> Condition {
    Condition::all().add(expr.into())
}

pub(super) fn constant(b: bool) -> Condition {
    one(Expr::Constant(b.into()))
}

/// Joins conditions. Long lists become trees: what renders them walks a list as deep as it is long.
pub(super) fn joined(mut items: Vec<Condition>, all: bool) -> Condition {
    const WIDTH: usize = 64;
    let join = |items: Vec<Condition>| {
        let start = if all { Condition::all() } else { Condition::any() };
        items.into_iter().fold(start, Condition::add)
    };
    while items.len() > WIDTH {
        let mut next = Vec::with_capacity(items.len() / WIDTH + 1);
        let mut rest = items.into_iter().peekable();
        while rest.peek().is_some() {
            next.push(join(rest.by_ref().take(WIDTH).collect()));
        }
        items = next;
    }
    join(items)
}

/// An array of one value, as PostgreSQL's containment takes it.
fn array(of: &Kind, value: &Value) -> Option<Expr> {
    let bound =
        |ty: ArrayType, item: sea_query::Value| Expr::val(sea_query::Value::Array(ty, Some(Box::new(vec![item]))));
    let text = |text: String| bound(ArrayType::String, text.into());
    Some(match (of, value) {
        (Kind::Bool, Value::Bool(b)) => bound(ArrayType::Bool, (*b).into()),
        (Kind::Long, Value::Long(n)) => bound(ArrayType::BigInt, (*n).into()),
        (Kind::Text | Kind::Enum(_), Value::Text(t)) if !t.contains('\0') => text(t.to_string()),
        (Kind::Decimal, Value::Decimal(d)) => text(d.to_string()).cast_as("numeric[]"),
        (Kind::Uuid, Value::Uuid(uuid)) => text(crate::value::uuid_text(*uuid)).cast_as("uuid[]"),
        (Kind::Ip, Value::Ip(ip)) => text(ip.to_string()).cast_as("inet[]"),
        _ => return None,
    })
}

/// The first and last address of a range as 16 bytes each, IPv4 mapped.
pub(super) fn bytes(range: IpRange) -> ([u8; 16], [u8; 16]) {
    let octets = |address: std::net::IpAddr| match address {
        std::net::IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        std::net::IpAddr::V6(v6) => v6.octets(),
    };
    let (first, last) = range.bounds();
    (octets(first), octets(last))
}

pub(super) fn hex(bytes: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(bytes))
}
