//! The traps known in this field, by hand: negation over NULL, De Morgan, the value on the left, empty sets, characters that
//! mean something to patterns, case, the ends of numbers, field against field.
//!
//! In: databases. Out: what is not as it must be. Each rule stands as a permit, whose rows are written beside it, and as a
//! forbid, whose rows are those for which the rule is certainly false.

use std::collections::BTreeSet;

use super::filter::{Bench, Rows};
use super::rows::{Cell, Row};
use super::sets::{Asking, Sets, Written};
use crate::check::check;
use crate::lower::{Unknown, lower};
use crate::policy::Effect;
use crate::syntax::parse;
use crate::table::Operation;
use crate::value::{Decimal, Millis, Value};

/// Every rule, with the rows for which it is true.
const TRAPS: [(&str, &str); 70] = [
    // Negation over NULL, and De Morgan.
    ("entity.limit != 5", "2 3 4 5"),
    ("not entity.limit == 5", "2 3 4 5"),
    ("not entity.limit != 5", "1"),
    ("not (entity.limit == 5 or entity.gift)", "2 5"),
    ("not entity.limit == 5 and not entity.gift", "2 5"),
    ("not (entity.limit == 5 and entity.gift)", "2 3 4 5"),
    ("not entity.limit == 5 or not entity.gift", "2 3 4 5"),
    ("not (not entity.gift)", "1 4 6"),
    ("not entity.gift exists or entity.gift == false", "0 2 3 5 7"),
    ("entity.gift exists and not entity.gift", "2 5"),
    ("entity.limit < 5 or entity.limit >= 5", "1 2 3 4 5"),
    ("not (entity.limit < 5 or entity.limit >= 5)", ""),
    // The value on the left.
    ("5 < entity.limit", "2 5"),
    ("5 == entity.limit", "1"),
    ("not 5 <= entity.limit", "3 4"),
    ("'AB' == entity['in']", "4"),
    ("9223372036854775807 == entity.amount", "2"),
    // The ends of numbers.
    ("entity.limit >= 9223372036854775807", "2"),
    ("entity.limit <= -9223372036854775808", "3"),
    ("entity.limit < 0", "3"),
    ("entity.limit in [-9223372036854775808, 9223372036854775807]", "2 3"),
    ("entity.cost == 1.5", "1 5"),
    ("entity.cost > 1.4999 and entity.cost < 1.5001", "1 5"),
    ("entity.cost == 0.0000 or entity.cost == -0.0001", "3 4"),
    ("entity.cost < 0", "3"),
    ("entity.cost >= 922337203685477.5807", "2"),
    ("not entity.cost > -0.0001", "3"),
    // Field against field.
    ("entity.limit == entity.amount", "1 2 4"),
    ("entity.limit > entity.amount", "5"),
    ("entity['in'] == entity.name", "4 6"),
    ("entity['in'] != entity.name", "1 2 3 5 7"),
    // Characters that mean something to patterns, and case.
    ("entity['in'] like 'a%b'", "1"),
    ("entity['in'] like 'a_b'", "2"),
    (r"entity['in'] like 'a\\b'", "3"),
    ("entity['in'] like 'ab'", "5"),
    ("entity['in'] like 'a*b'", "1 2 3 5 6"),
    (r"entity['in'] like 'a\*b'", "6"),
    ("not entity['in'] like 'a*'", "4 7"),
    ("entity['in'] like '*'", "1 2 3 4 5 6 7"),
    ("entity['in'] like ''", ""),
    ("entity['in'] like '_'", ""),
    ("entity['in'] like '*%*'", "1"),
    ("entity['in'] like 'A*'", "4"),
    ("entity['in'] == 'AB'", "4"),
    // Texts are compared by code point: no blank is trimmed, and nothing composed.
    ("entity['in'] == 'ab '", ""),
    ("entity['in'] == 'é'", "7"),
    (r"entity['in'] == 'e\u{301}'", ""),
    (r"entity.name == 'e\u{301}'", "7"),
    // Empty sets, and sets.
    ("entity['in'] in []", ""),
    ("not entity['in'] in []", "1 2 3 4 5 6 7"),
    ("entity['in'] in ['a%b', 'AB', 'zz']", "1 4"),
    ("entity.labels contains 'a'", "1 5"),
    ("not entity.labels contains 'a'", "2 3 4"),
    ("entity.labels contains 'A'", ""),
    ("entity.labels contains '%'", "3"),
    ("entity.labels contains ''", ""),
    ("entity['in'] in entity.labels", "5"),
    ("not entity.labels contains entity['in']", "1 2 3 4"),
    ("entity.tags contains 'a'", ""),
    ("not entity.tags contains 'a'", "0 1 2 3 4 5 6 7"),
    // Instants that are stored more finely than they are compared, and addresses of two families.
    ("entity.seen == '2027-01-01T00:00:00Z'", "1"),
    ("entity.seen <= '2027-01-01T00:00:00Z'", "1 3"),
    ("entity.seen > '2027-01-01T00:00:00Z' or entity.seen < '1970-01-01T00:00:00Z'", "3"),
    ("entity.seen < '1970-01-01T00:00:00Z'", "3"),
    ("entity.seen == '1969-12-31T23:59:59.999Z'", "3"),
    ("entity.seen >= '2027-01-01T00:00:00Z'", "1"),
    ("entity.seen != '2027-01-01T00:00:00Z'", "3"),
    ("not entity.from in '10.0.0.0/8'", "2 4"),
    ("entity.from in '0.0.0.0/0'", "1 4"),
    ("entity.from in '::/0'", "2"),
];

/// Holds the corpus against databases; what is not as it must be.
///
/// # Errors
/// When the corpus itself does not hold together, or a database cannot be filled.
pub fn traps(databases: &mut [Box<dyn Rows>]) -> Result<Vec<String>, String> {
    let bench = Bench::of(corpus())?;
    for database in &mut *databases {
        database.load(&bench.table, &bench.rows)?;
    }
    let asking = Asking::plain();
    let mut wrong = Vec::new();
    for (text, expected) in TRAPS {
        let expected: BTreeSet<String> = expected.split_whitespace().map(|n| format!("p{n}")).collect();
        let env = bench.env(Operation::FindAll).ok_or("there is no such action")?;
        let typed = parse(text).and_then(|tree| check(&tree, env)).map_err(|e| format!("{text}: {e}"))?;
        for (effect, unknown) in [(Effect::Permit, Unknown::Fails), (Effect::Forbid, Unknown::Holds)] {
            let mut rule = Written::of_rule(typed.clone(), text);
            rule.policy.effect = effect;
            rule.policy.condition = Some(lower(&typed, unknown));
            rule.policy.id = "trap".into();
            let organization = match effect {
                Effect::Permit => vec![rule],
                Effect::Forbid => vec![Written::open(), rule],
            };
            bench.put(&Sets([vec![Written::open()], organization, Vec::new()]))?;
            let (decided, found) = bench.found(&asking, Operation::FindAll, databases)?;
            if effect == Effect::Permit && decided != expected {
                wrong.push(format!("`{text}` allows {decided:?}, and not {expected:?}"));
            }
            for (name, found) in found {
                if found != decided {
                    wrong.push(format!("{name}: {effect} `{text}` finds {found:?}, and not {decided:?}"));
                }
            }
        }
    }
    Ok(wrong)
}

/// The rows p0 to p7.
fn corpus() -> Vec<Row> {
    let text = |t: &str| Some(Value::text(t));
    let texts = |all: &[&str]| Some(Value::Set(all.iter().map(|t| Value::text(t)).collect()));
    let cost = |scaled: i64| Some(Value::Decimal(Decimal::from_scaled(scaled)));
    let long = |n: i64| Some(Value::Long(n));
    let ip = |t: &str| t.parse().ok().map(Value::Ip);
    let at = |millis: i64| Some(Value::Datetime(Millis(millis)));
    let bool = |b: bool| Some(Value::Bool(b));
    let given = [
        vec![],
        vec![
            ("limit", long(5)),
            ("in", text("a%b")),
            ("gift", bool(true)),
            ("labels", texts(&["a", "B"])),
            ("cost", cost(15_000)),
            ("amount", long(5)),
            ("seen", at(1_798_761_600_000)),
            ("from", ip("10.1.2.3")),
        ],
        vec![
            ("limit", long(i64::MAX)),
            ("in", text("a_b")),
            ("gift", bool(false)),
            ("labels", texts(&[])),
            ("cost", cost(i64::MAX)),
            ("amount", long(i64::MAX)),
            ("from", ip("::1")),
        ],
        vec![
            ("limit", long(i64::MIN)),
            ("in", text("a\\b")),
            ("labels", texts(&["%"])),
            ("cost", cost(-1)),
            ("seen", at(-1)),
        ],
        vec![
            ("limit", long(0)),
            ("in", text("AB")),
            ("gift", bool(true)),
            ("labels", texts(&["ab"])),
            ("cost", cost(0)),
            ("amount", long(0)),
            ("name", text("AB")),
            ("from", ip("192.168.0.1")),
        ],
        vec![
            ("limit", long(6)),
            ("in", text("ab")),
            ("gift", bool(false)),
            ("labels", texts(&["ab", "a"])),
            ("cost", cost(15_000)),
            ("amount", long(5)),
        ],
        vec![("in", text("a*b")), ("gift", bool(true)), ("name", text("a*b"))],
        vec![("in", text("é")), ("name", text("e\u{301}"))],
    ];
    given.into_iter().enumerate().map(|(n, given)| row(n, &given)).collect()
}

/// A row with what it must have, and what is given.
fn row(n: usize, given: &[(&str, Option<Value>)]) -> Row {
    let plain = [
        ("id", Value::text(&format!("p{n}"))),
        ("flag", Value::Bool(true)),
        ("amount", Value::Long(1)),
        ("price", Value::Decimal(Decimal::from_scaled(0))),
        ("name", Value::text("n")),
        ("status", Value::text("a")),
        ("key", Value::Uuid(7)),
        ("made", Value::Datetime(Millis(0))),
        ("tags", Value::Set(Vec::new())),
    ];
    let host = "127.0.0.1".parse().ok().map(Value::Ip);
    let owner = Value::Record([("name".into(), Value::text("n"))].into());
    let mut cells: Vec<(std::sync::Arc<str>, Cell)> =
        plain.into_iter().map(|(name, value)| (name.into(), Cell::Value(value))).collect();
    cells.extend(host.map(|host| ("host".into(), Cell::Value(host))));
    cells.push(("owner".into(), Cell::Value(owner)));
    for (name, value) in given {
        let cell = value.clone().map_or(Cell::Absent, Cell::Value);
        match cells.iter_mut().find(|(known, _)| **known == **name) {
            Some((_, known)) => *known = cell,
            None => cells.push(((*name).into(), cell)),
        }
    }
    Row { cells, fine: 999, holes: true }
}
