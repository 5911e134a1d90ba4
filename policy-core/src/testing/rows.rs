//! An entity with attributes of every kind, others that chance makes of it, and random rows of them.
//!
//! In: chance. Out: a [`Table`] and [`Row`]s, with what goes wrong in databases: nothing where something is required, what its
//! kind cannot hold, empty sets, characters that mean something to patterns. Absent: SQL.

#![expect(clippy::wildcard_enum_match_arm, reason = "all other kinds are scalars, and alike here")]

use std::collections::BTreeMap;
use std::sync::Arc;

use super::random::Random;
use super::world::value;
use crate::contract::{field, record};
use crate::decl::EntityDecl;
use crate::kind::{Described, Field, Kind, RecordType};
use crate::table::{ColumnDecl, Dialect, Table, TableDecl, TenantDecl};
use crate::value::{Millis, Record, Slot, Value, ValueRef};

/// The first and the last millisecond that both databases hold.
pub(super) const SPAN: (i64, i64) = (-210_866_803_200_000, 253_402_207_200_000);

/// One row.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Row {
    /// What is in each column.
    pub cells: Vec<(Arc<str>, Cell)>,
    /// Microseconds that are stored beyond the millisecond of every instant.
    pub fine: i64,
    /// Whether every set that is stored has a NULL among its elements.
    pub holes: bool,
}

/// What is in a column.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "every store must decide about every form")]
pub enum Cell {
    /// NULL.
    Absent,
    /// A value of the column's kind.
    Value(Value),
    /// Something that the column's kind cannot hold.
    Odd,
}

impl Row {
    /// The row's id.
    pub fn id(&self) -> &str {
        match self.cells.first() {
            Some((_, Cell::Value(Value::Text(id)))) => id,
            _ => "",
        }
    }

    /// What is in a column.
    pub fn cell(&self, attribute: &str) -> &Cell {
        self.cells.iter().find(|(name, _)| **name == *attribute).map_or(&Cell::Absent, |(_, cell)| cell)
    }
}

impl Record for Row {
    fn field(&self, slot: &Slot) -> ValueRef<'_> {
        match self.cell(&slot.name) {
            Cell::Absent => ValueRef::Absent,
            Cell::Value(value) => value.as_ref(),
            Cell::Odd => ValueRef::Unusable("an odd value"),
        }
    }

    fn each_field(&self, visit: &mut dyn FnMut(&str, ValueRef<'_>)) {
        for (name, _) in &self.cells {
            visit(name, self.field(&Slot::named(name)));
        }
    }
}

fn set(of: Kind) -> Kind {
    Kind::Set(Arc::new(of))
}

fn variants() -> Kind {
    Kind::Enum(["a", "b", "finance"].map(Arc::from).into())
}

thread_local! {
    /// What chance makes another entity of; 0 for the one that is written here.
    static SHAPE: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Makes [`entity`] and [`table`] of this thread others: without some attributes, and with others that may be absent.
pub(super) fn shape(seed: u64) {
    SHAPE.set(seed);
}

/// What is left of attributes by chance.
fn reshaped(r: &mut Random, fields: &[Field]) -> Vec<Field> {
    let mut out = Vec::new();
    for field in fields {
        let mut field = field.clone();
        if matches!(&*field.name, "id" | "tenantId") {
            out.push(field);
            continue;
        }
        let (kept, optional) = (r.percent(85), r.percent(50));
        if let Kind::Record(record) = &field.ty.kind {
            let fields = reshaped(r, &record.fields);
            field.ty.kind = Kind::Record(Arc::new(RecordType { name: record.name.clone(), fields }));
        }
        field.ty.optional = optional;
        if kept {
            out.push(field);
        }
    }
    out
}

/// The entity: every kind, required and not, in a column, in a set, and in a nested record.
pub(super) fn entity() -> EntityDecl {
    let f = |name: &str, kind: Kind| field(name, name, Described::required(kind), false);
    let o = |name: &str, kind: Kind| field(name, name, Described::optional(kind), false);
    let inner = record("Inner", [f("n", Kind::Long), o("t", Kind::Text)]);
    let inner = Field { ty: Described { optional: true, ..inner }, ..f("inner", Kind::Bool) };
    let nested = |name: &str, optional: bool| {
        let fields = [
            f("name", Kind::Text),
            o("limit", Kind::Long),
            o("worth", Kind::Decimal),
            o("since", Kind::Datetime),
            o("ok", Kind::Bool),
            o("host", Kind::Ip),
            o("key", Kind::Uuid),
            o("state", variants()),
            o("tags", set(Kind::Text)),
            o("codes", set(Kind::Long)),
            o("times", set(Kind::Datetime)),
            inner.clone(),
        ];
        let ty = record(name, fields);
        Field { ty: Described { optional, ..ty }, ..f(name, Kind::Bool) }
    };
    let fields = [
        f("id", Kind::Text),
        o("tenantId", Kind::Text),
        f("flag", Kind::Bool),
        o("gift", Kind::Bool),
        f("amount", Kind::Long),
        o("limit", Kind::Long),
        f("price", Kind::Decimal),
        o("cost", Kind::Decimal),
        f("name", Kind::Text),
        o("in", Kind::Text),
        f("status", variants()),
        o("state", variants()),
        f("key", Kind::Uuid),
        o("other", Kind::Uuid),
        f("made", Kind::Datetime),
        o("seen", Kind::Datetime),
        f("host", Kind::Ip),
        o("from", Kind::Ip),
        f("tags", set(Kind::Text)),
        o("labels", set(Kind::Text)),
        o("codes", set(Kind::Long)),
        o("prices", set(Kind::Decimal)),
        o("keys", set(Kind::Uuid)),
        o("times", set(Kind::Datetime)),
        o("hosts", set(Kind::Ip)),
        o("flags", set(Kind::Bool)),
        o("states", set(variants())),
        nested("owner", false),
        nested("extra", true),
    ];
    let fields = match SHAPE.get() {
        0 => fields.to_vec(),
        seed => reshaped(&mut Random::new(seed), &fields),
    };
    EntityDecl { namespace: "com.example", name: "Photo", attributes: record("Photo", fields) }
}

/// The columns of [`entity`], whose names are not those of the attributes.
static COLUMNS: [ColumnDecl; 29] = [
    ColumnDecl { attribute: "id", column: "id" },
    ColumnDecl { attribute: "tenantId", column: "tenant_id" },
    ColumnDecl { attribute: "flag", column: "value" },
    ColumnDecl { attribute: "gift", column: "type" },
    ColumnDecl { attribute: "amount", column: "key" },
    ColumnDecl { attribute: "limit", column: "limit" },
    ColumnDecl { attribute: "price", column: "price" },
    ColumnDecl { attribute: "cost", column: "cost" },
    ColumnDecl { attribute: "name", column: "name" },
    ColumnDecl { attribute: "in", column: "in" },
    ColumnDecl { attribute: "status", column: "status" },
    ColumnDecl { attribute: "state", column: "state" },
    ColumnDecl { attribute: "key", column: "uuid_key" },
    ColumnDecl { attribute: "other", column: "other" },
    ColumnDecl { attribute: "made", column: "made" },
    ColumnDecl { attribute: "seen", column: "se\"en" },
    ColumnDecl { attribute: "host", column: "host" },
    ColumnDecl { attribute: "from", column: "from" },
    ColumnDecl { attribute: "tags", column: "json" },
    ColumnDecl { attribute: "labels", column: "policy_each" },
    ColumnDecl { attribute: "codes", column: "codes" },
    ColumnDecl { attribute: "prices", column: "prices" },
    ColumnDecl { attribute: "keys", column: "keys" },
    ColumnDecl { attribute: "times", column: "times" },
    ColumnDecl { attribute: "hosts", column: "hosts" },
    ColumnDecl { attribute: "flags", column: "flags" },
    ColumnDecl { attribute: "states", column: "states" },
    ColumnDecl { attribute: "owner", column: "owner" },
    ColumnDecl { attribute: "extra", column: "extra" },
];

/// The table of [`entity`].
pub(super) fn table(tenant: bool) -> Result<Table, String> {
    let tenant = tenant.then_some(TenantDecl { attribute: "tenantId", participant: "tenant" });
    let attributes = entity().attributes;
    let known = |column: &&ColumnDecl| match &attributes.kind {
        Kind::Record(record) => record.field(column.attribute).is_some(),
        _ => false,
    };
    // Declarations stay as long as the program.
    let columns = Vec::leak(COLUMNS.iter().filter(known).copied().collect());
    Table::new(&TableDecl { entity, name: "photos", id: "id", tenant, columns }).map_err(|e| e.to_string())
}

/// Random rows.
pub(super) fn rows(r: &mut Random, table: &Table, count: usize) -> Vec<Row> {
    (0..count).map(|n| row(r, table, n)).collect()
}

fn row(r: &mut Random, table: &Table, n: usize) -> Row {
    let cells = table.columns.iter().map(|column| {
        let cell = match &*column.attribute {
            "id" => Cell::Value(Value::text(&format!("p{n}"))),
            "tenantId" => match r.below(5) {
                0 => Cell::Absent,
                1 => Cell::Value(Value::text("b")),
                _ => Cell::Value(Value::text("a")),
            },
            _ => cell(r, &column.ty),
        };
        (column.attribute.clone(), cell)
    });
    let cells = cells.collect();
    Row {
        cells,
        fine: if r.percent(50) { 0 } else { i64::try_from(r.below(1_000)).unwrap_or(0) },
        holes: r.percent(25),
    }
}

pub(super) fn cell(r: &mut Random, ty: &Described) -> Cell {
    // Now and then a row is not what it was declared to be.
    if r.below(250) == 0 {
        return Cell::Absent;
    }
    let can_be_odd = matches!(ty.kind, Kind::Decimal | Kind::Datetime | Kind::Ip | Kind::Enum(_));
    if can_be_odd && r.below(150) == 0 {
        return Cell::Odd;
    }
    if ty.optional && r.percent(35) {
        return Cell::Absent;
    }
    Cell::Value(storable(r, &ty.kind))
}

/// A value that a database can hold.
fn storable(r: &mut Random, kind: &Kind) -> Value {
    match kind {
        Kind::Datetime => loop {
            if let Value::Datetime(at) = value(r, kind)
                && (SPAN.0..=SPAN.1).contains(&at.0)
            {
                return Value::Datetime(at);
            }
        },
        Kind::Set(of) => {
            let count = r.below(4);
            Value::Set((0..count).map(|_| storable(r, of)).collect())
        }
        Kind::Record(record) => {
            let mut fields = BTreeMap::new();
            for field in &record.fields {
                if !(field.ty.optional && r.percent(35)) {
                    fields.insert(field.name.clone(), storable(r, &field.ty.kind));
                }
            }
            Value::Record(fields)
        }
        kind => value(r, kind),
    }
}

/// A value within JSON, as [`crate::table`] says; `fine` and `holes` are those of the row.
pub fn json(value: &Value, fine: i64, holes: bool) -> serde_json::Value {
    use serde_json::Value as Json;
    match value {
        Value::Bool(b) => Json::Bool(*b),
        Value::Long(n) => Json::from(*n),
        Value::Decimal(d) => Json::from(d.scaled()),
        Value::Text(t) => Json::from(&**t),
        Value::Uuid(uuid) => Json::from(crate::value::uuid_text(*uuid)),
        Value::Datetime(at) => Json::from(micros(*at, fine)),
        Value::Ip(ip) => Json::from(format!("{:032x}", u128::from_be_bytes(address(ip.address())))),
        Value::Set(items) => {
            let items = items.iter().map(|item| json(item, fine, holes));
            Json::Array(items.chain(holes.then_some(Json::Null)).collect())
        }
        Value::Record(fields) => {
            Json::Object(fields.iter().map(|(name, field)| (name.to_string(), json(field, fine, holes))).collect())
        }
    }
}

/// An instant as it is stored in SQLite and in JSON.
pub const fn micros(at: Millis, fine: i64) -> i64 {
    at.0.saturating_mul(1_000).saturating_add(fine)
}

/// An address as 16 bytes, IPv4 mapped.
pub const fn address(ip: std::net::IpAddr) -> [u8; 16] {
    match ip {
        std::net::IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        std::net::IpAddr::V6(v6) => v6.octets(),
    }
}

/// What `CREATE TABLE` says of each column: nothing but names and types, so that odd rows can be stored.
pub fn columns(table: &Table, dialect: Dialect) -> Vec<(Arc<str>, String)> {
    let ty = |kind: &Kind| crate::table::column_type(kind, dialect);
    table.columns.iter().map(|column| (column.name.clone(), ty(&column.ty.kind))).collect()
}
