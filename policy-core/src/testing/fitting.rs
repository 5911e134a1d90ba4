//! Random rows of any table that matter to given conditions: in them is what the conditions compare with, and what lies beside it.
//!
//! In: a table, the conditions of its filters, chance. Out: [`Row`]s. Absent: what the rows should be; that is the oracle's.

#![expect(clippy::wildcard_enum_match_arm, reason = "all other values have nothing beside them")]

use std::sync::Arc;

use super::random::Random;
use super::rows::{self, Cell, Row};
use crate::filter::{Items, Operand, Predicate, RowField, Test};
use crate::kind::Kind;
use crate::syntax::ast::PatternPart;
use crate::table::Table;
use crate::value::{Decimal, IpRange, Millis, Value};

/// Makes rows: no two have the same id, and the same seed makes the same rows.
pub fn fitting(table: &Table, conditions: &[Predicate], count: usize, seed: u64) -> Vec<Row> {
    let r = &mut Random::new(seed);
    let mut hints = Vec::new();
    for condition in conditions {
        collect(condition, &mut hints);
    }
    let ids = ids(table, &hints, count);
    hints.retain(|hint| hint.field.column != table.id);
    ids.into_iter().map(|id| row(r, table, &hints, id)).collect()
}

/// A value that a condition looks for in an attribute, or as an item of a set.
struct Hint {
    field: RowField,
    item: bool,
    value: Value,
}

fn row(r: &mut Random, table: &Table, hints: &[Hint], id: Value) -> Row {
    let mut cells: Vec<(Arc<str>, Cell)> = Vec::with_capacity(table.columns.len());
    let mut id = Some(id);
    for (at, column) in table.columns.iter().enumerate() {
        let cell = match id.take_if(|_| at == table.id) {
            Some(id) => Cell::Value(id),
            None => rows::cell(r, &column.ty),
        };
        cells.push((column.attribute.clone(), cell));
    }
    // Each attribute gets what it is compared with in most rows, which of it by chance.
    for _ in 0..table.columns.len() * 2 {
        if let Some(hint) = r.pick(hints)
            && let Some((_, cell)) = cells.get_mut(hint.field.column)
        {
            put_cell(cell, hint);
        }
    }
    let fine = if r.percent(50) { 0 } else { i64::try_from(r.below(1_000)).unwrap_or(0) };
    Row { cells, fine, holes: r.percent(25) }
}

fn put_cell(cell: &mut Cell, hint: &Hint) {
    match cell {
        Cell::Value(value) => put(value, &hint.field.inner, hint),
        Cell::Absent | Cell::Odd if hint.field.inner.is_empty() => *cell = Cell::Value(alone(hint)),
        Cell::Absent | Cell::Odd => {}
    }
}

fn put(target: &mut Value, inner: &[Arc<str>], hint: &Hint) {
    match (inner.split_first(), target) {
        (None, Value::Set(items)) if hint.item => items.push(hint.value.clone()),
        (None, target) => *target = alone(hint),
        (Some((name, rest)), Value::Record(fields)) => match fields.get_mut(name) {
            Some(field) => put(field, rest, hint),
            None if rest.is_empty() => {
                fields.insert(name.clone(), alone(hint));
            }
            None => {}
        },
        (Some(_), _) => {}
    }
}

fn alone(hint: &Hint) -> Value {
    if hint.item { Value::Set(vec![hint.value.clone()]) } else { hint.value.clone() }
}

fn ids(table: &Table, hints: &[Hint], count: usize) -> Vec<Value> {
    let Some(column) = table.id_column() else { return Vec::new() };
    let mut out: Vec<Value> = Vec::new();
    let wanted = hints.iter().filter(|hint| hint.field.column == table.id).map(|hint| hint.value.clone());
    let made = (0..count).filter_map(|n| match &column.ty.kind {
        Kind::Long => i64::try_from(n).ok().map(Value::Long),
        Kind::Uuid => u128::try_from(n).ok().map(Value::Uuid),
        Kind::Enum(variants) => variants.get(n).cloned().map(Value::Text),
        _ => Some(Value::text(&format!("p{n}"))),
    });
    for id in wanted.take(count / 2).chain(made) {
        if out.len() < count && !out.contains(&id) {
            out.push(id);
        }
    }
    out
}

fn collect(condition: &Predicate, out: &mut Vec<Hint>) {
    let test = match condition {
        Predicate::Const(_) | Predicate::Row(_) => return,
        Predicate::All(items) | Predicate::Any(items) => return items.iter().for_each(|item| collect(item, out)),
        Predicate::Test(test) => test,
    };
    let mut add = |field: &RowField, item: bool, values: Vec<Value>| {
        let kind = match &field.kind {
            Kind::Set(of) if item => of,
            kind => kind,
        };
        let values = values.into_iter().filter(|value| storable(kind, value));
        out.extend(values.map(|value| Hint { field: field.clone(), item, value }));
    };
    match test {
        Test::Compare { left, right: Operand::Value(value), .. } => add(left, false, beside(value)),
        Test::OneOf { field, values, .. } => values.iter().for_each(|value| add(field, false, beside(value))),
        Test::Contains { set, item: Operand::Value(value), .. } => add(set, true, beside(value)),
        Test::InRange { field, range, .. } => add(field, false, beside(&Value::Ip(*range))),
        Test::Like { field, pattern, .. } => {
            for run in ["", "x%_", "\\"] {
                let written = |part: &PatternPart| match part {
                    PatternPart::AnyRun => run.to_owned(),
                    PatternPart::Char(c) => c.to_string(),
                };
                add(field, false, beside(&Value::text(&pattern.iter().map(written).collect::<String>())));
            }
        }
        Test::Among { set, others: Items::Values(values), .. } => {
            for value in values {
                add(set, true, beside(value));
            }
        }
        Test::Truth { .. }
        | Test::Present { .. }
        | Test::Usable { .. }
        | Test::Empty { .. }
        | Test::Compare { right: Operand::Field(_), .. }
        | Test::Among { others: Items::Field(_), .. }
        | Test::Contains { item: Operand::Field(_), .. } => {}
    }
}

/// Whether an attribute of a kind can hold a value, in both databases.
fn storable(kind: &Kind, value: &Value) -> bool {
    match (kind, value) {
        (Kind::Enum(variants), Value::Text(text)) => variants.contains(text),
        (Kind::Text, Value::Text(text)) => !text.contains('\0'),
        (Kind::Datetime, Value::Datetime(at)) => (rows::SPAN.0..=rows::SPAN.1).contains(&at.0),
        (Kind::Long, Value::Long(_))
        | (Kind::Decimal, Value::Decimal(_))
        | (Kind::Uuid, Value::Uuid(_))
        | (Kind::Ip, Value::Ip(_))
        | (Kind::Bool, Value::Bool(_)) => true,
        _ => false,
    }
}

/// A value, and the nearest that are not the same.
fn beside(value: &Value) -> Vec<Value> {
    let steps = |n: i64| [n, n.saturating_sub(1), n.saturating_add(1)];
    match value {
        Value::Long(n) => steps(*n).map(Value::Long).to_vec(),
        Value::Decimal(d) => steps(d.scaled()).map(|scaled| Value::Decimal(Decimal::from_scaled(scaled))).to_vec(),
        Value::Datetime(at) => steps(at.0).map(|millis| Value::Datetime(Millis(millis))).to_vec(),
        Value::Uuid(uuid) => vec![value.clone(), Value::Uuid(uuid.wrapping_add(1))],
        Value::Text(text) => {
            let other = if text.chars().any(char::is_lowercase) { text.to_uppercase() } else { text.to_lowercase() };
            vec![value.clone(), Value::text(&other), Value::text(&format!("{text} ")), Value::text("")]
        }
        Value::Ip(range) => {
            let (first, last) = range.bounds();
            vec![Value::Ip(IpRange::single(first)), Value::Ip(IpRange::single(last))]
        }
        other => vec![other.clone()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::ast::CompareOp;

    #[test]
    fn what_is_compared_with_is_in_some_rows_and_its_neighbours_in_others() {
        let table = rows::table(true).unwrap();
        let of = |attribute: &str| {
            let at = table.columns.iter().position(|column| *column.attribute == *attribute).unwrap();
            RowField::of(at, &table.columns[at])
        };
        let amount = Test::Compare { op: CompareOp::Le, left: of("amount"), right: Operand::Value(Value::Long(4_711)) };
        let tags = Test::Contains { set: of("tags"), item: Operand::Value(Value::text("it")), wanted: false };
        let id = Test::Compare { op: CompareOp::Ne, left: of("id"), right: Operand::Value(Value::text("me")) };
        let condition = Predicate::all([amount.into(), Predicate::any([tags.into(), id.into()])]);
        let made = fitting(&table, std::slice::from_ref(&condition), 50, 3);
        assert_eq!(made, fitting(&table, &[condition], 50, 3));
        let having = |attribute: &str, value: Value| {
            let meant = |cell: &Cell| match cell {
                Cell::Value(Value::Set(items)) => items.contains(&value),
                cell => *cell == Cell::Value(value.clone()),
            };
            made.iter().filter(|row| meant(row.cell(attribute))).count()
        };
        assert!(having("amount", Value::Long(4_711)) > 3);
        assert!(having("amount", Value::Long(4_712)) > 3);
        assert!(having("tags", Value::text("it")) > 3 && having("tags", Value::text("IT")) > 3);
        assert_eq!((made.len(), having("id", Value::text("me"))), (50, 1));
    }
}
