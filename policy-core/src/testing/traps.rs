//! The traps known in this field, by hand: negation over NULL, De Morgan, the value on the left, empty sets, characters that
//! mean something to patterns, case, the ends of numbers, field against field.
//!
//! In: databases. Out: what is not as it must be. Each rule stands as a permit, whose rows are written beside it, and as a
//! forbid, whose rows are those for which the rule is certainly false.

use std::collections::BTreeSet;

use super::filter::{Bench, Rows};
use super::rows::{Cell, Row};
use super::sets::{Asking, Sets, Written};
use crate::cedar::load;
use crate::check::check;
use crate::lower::{Unknown, lower};
use crate::policy::{Effect, Policy};
use crate::syntax::parse;
use crate::table::Operation;
use crate::value::{Decimal, Millis, Value};

/// Every rule, with the rows for which it is true.
const TRAPS: [(&str, &str); 87] = [
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
    // A column against a part of a document, where most kinds have another form.
    ("entity.owner.worth == entity.cost", "1"),
    ("entity.owner.worth < entity.cost", "5"),
    ("entity.cost <= entity.owner.worth", "1"),
    ("entity.owner.since == entity.seen", "1"),
    ("entity.seen < entity.owner.since", "3"),
    ("entity.owner.host == entity.from", "1 4"),
    ("entity.owner.host != entity.from", "2"),
    ("entity.owner.ok == entity.gift", "1"),
    ("entity.owner.ok != entity.gift", "5"),
    ("entity.key == entity.owner.key", "1"),
    ("entity.owner.state == entity.status", "1"),
    ("entity.owner.limit == entity.limit", "1"),
    ("entity.owner.tags contains entity['in']", "5"),
    ("entity.owner.times contains entity.seen", "1"),
    ("entity.hosts contains entity.owner.host", "4"),
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
    ("entity.tags contains 'a'", "1 5"),
    ("not entity.tags contains 'a'", "0 2 3 4 6 7"),
    (r#"entity.tags contains '"'"#, "6"),
    (r"entity.tags contains '\u{1}'", "6"),
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

/// What only Cedar says: whole sets, against sets of the row and others.
const WHOLE: [(&str, &str); 12] = [
    ("resource has labels && resource.labels == resource.tags", "1 2"),
    ("resource has labels && resource.labels != resource.tags", "3 4 5"),
    ("resource has labels && resource.labels.containsAll(resource.tags)", "1 2 4 5"),
    ("resource has labels && resource.tags.containsAll(resource.labels)", "1 2 3"),
    ("resource has labels && resource.tags.containsAny(resource.labels)", "1 3 5"),
    ("resource has labels && resource.owner has tags && resource.owner.tags == resource.labels", "1"),
    ("resource has labels && resource.labels == [\"B\", \"a\", \"a\"]", "1"),
    ("resource has labels && !(resource.labels == [\"ab\"])", "1 2 3 5"),
    ("resource has labels && [\"a\", \"B\", \"%\"].containsAll(resource.labels)", "1 2 3"),
    ("resource has times && resource.owner has times && resource.times == resource.owner.times", "1"),
    ("[resource.name, \"a\"].contains(\"n\")", "0 1 2 3 5"),
    ("resource has \"in\" && [resource[\"in\"], resource.name].contains(\"AB\")", "4"),
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
    let traps = TRAPS.iter().map(|trap| (trap, false)).chain(WHOLE.iter().map(|trap| (trap, true)));
    for ((text, expected), is_cedar) in traps {
        let expected: BTreeSet<String> = expected.split_whitespace().map(|n| format!("p{n}")).collect();
        for effect in [Effect::Permit, Effect::Forbid] {
            let rule = if is_cedar { cedar(&bench, text, effect)? } else { language(&bench, text, effect)? };
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

fn language(bench: &Bench, text: &str, effect: Effect) -> Result<Written, String> {
    let env = bench.env(Operation::FindAll).ok_or("there is no such action")?;
    let typed = parse(text).and_then(|tree| check(&tree, env)).map_err(|e| format!("{text}: {e}"))?;
    let unknown = if effect == Effect::Permit { Unknown::Fails } else { Unknown::Holds };
    let condition = Some(lower(&typed, unknown));
    let mut rule = Written::of_rule(typed, text);
    rule.policy = Policy { id: "trap".into(), effect, condition, ..rule.policy };
    Ok(rule)
}

fn cedar(bench: &Bench, text: &str, effect: Effect) -> Result<Written, String> {
    let text = format!("@id(\"trap\") {effect} (principal, action, resource) when {{ {text} }};");
    let loaded = load(&text, "trap.cedar", bench.schema()).map_err(|e| format!("{text}: {e}"))?;
    let policy = loaded.into_iter().next().ok_or("there is no policy")?.policy;
    Ok(Written { policy, rule: None, text: Some(text) })
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
    let times = |all: &[i64]| Some(Value::Set(all.iter().map(|at| Value::Datetime(Millis(*at))).collect()));
    let owner = |parts: Vec<(&str, Option<Value>)>| {
        let name = ("name", text("n"));
        let parts = parts.into_iter().chain([name]).filter_map(|(name, value)| Some((name.into(), value?)));
        Some(Value::Record(parts.collect()))
    };
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
            ("tags", texts(&["B", "a"])),
            ("times", times(&[0, 1_798_761_600_000])),
            (
                "owner",
                owner(vec![
                    ("worth", cost(15_000)),
                    ("since", at(1_798_761_600_000)),
                    ("host", ip("10.1.2.3")),
                    ("ok", bool(true)),
                    ("key", Some(Value::Uuid(7))),
                    ("state", text("a")),
                    ("limit", long(5)),
                    ("tags", texts(&["a", "B"])),
                    ("times", times(&[1_798_761_600_000, 0])),
                ]),
            ),
        ],
        vec![
            ("limit", long(i64::MAX)),
            ("in", text("a_b")),
            ("gift", bool(false)),
            ("labels", texts(&[])),
            ("cost", cost(i64::MAX)),
            ("amount", long(i64::MAX)),
            ("from", ip("::1")),
            ("owner", owner(vec![("host", ip("0.0.0.1"))])),
        ],
        vec![
            ("limit", long(i64::MIN)),
            ("in", text("a\\b")),
            ("labels", texts(&["%"])),
            ("cost", cost(-1)),
            ("seen", at(-1)),
            ("tags", texts(&["%", "%%"])),
            ("owner", owner(vec![("since", at(0))])),
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
            ("hosts", Some(Value::Set(ip("192.168.0.1").into_iter().collect()))),
            ("owner", owner(vec![("host", ip("192.168.0.1"))])),
        ],
        vec![
            ("limit", long(6)),
            ("in", text("ab")),
            ("gift", bool(false)),
            ("labels", texts(&["ab", "a"])),
            ("cost", cost(15_000)),
            ("amount", long(5)),
            ("tags", texts(&["a"])),
            (
                "owner",
                owner(vec![
                    ("worth", cost(14_999)),
                    ("ok", bool(true)),
                    ("key", Some(Value::Uuid(8))),
                    ("state", text("b")),
                    ("limit", long(5)),
                    ("tags", texts(&["ab"])),
                    ("times", times(&[])),
                ]),
            ),
        ],
        vec![("in", text("a*b")), ("gift", bool(true)), ("name", text("a*b")), ("tags", texts(&["\"", "\u{1}"]))],
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
