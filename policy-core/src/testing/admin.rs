//! Random Cedar as administrators might write it, with forms that our own policies never take.

#![expect(clippy::wildcard_enum_match_arm, reason = "all other kinds are scalars, and alike here")]

use std::fmt;

use super::random::Random;
use super::world::{self, World};
use crate::ir::{Path, Root};
use crate::kind::{Described, Kind};
use crate::value::Value;

/// Text with parts that can give way to smaller ones.
#[derive(Debug, Clone)]
pub(super) struct Text(Vec<Part>);

#[derive(Debug, Clone)]
enum Part {
    Fixed(String),
    Inner(Text),
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Fixed(text) => f.write_str(text),
            Part::Inner(inner) => write!(f, "({inner})"),
        })
    }
}

impl Text {
    /// With one part replaced by one of its own, or by a constant.
    pub(super) fn smaller(&self) -> Vec<Self> {
        let mut out = Vec::new();
        for (place, part) in self.0.iter().enumerate() {
            let Part::Inner(inner) = part else { continue };
            let parts = inner.0.iter().filter_map(|p| match p {
                Part::Inner(inner) => Some(inner.clone()),
                Part::Fixed(_) => None,
            });
            let constants = ["true", "false", "1"].map(fixed);
            let is_constant = constants.iter().any(|c| c.to_string() == inner.to_string());
            let constants = constants.into_iter().filter(|_| !is_constant);
            for new in parts.chain(inner.smaller()).chain(constants) {
                let mut copy = self.clone();
                if let Some(slot) = copy.0.get_mut(place) {
                    *slot = Part::Inner(new);
                }
                out.push(copy);
            }
        }
        out
    }
}

fn fixed(text: impl Into<String>) -> Text {
    Text(vec![Part::Fixed(text.into())])
}

/// `#` stands for the next part.
fn join(pattern: &str, parts: impl IntoIterator<Item = Text>) -> Text {
    let mut parts = parts.into_iter();
    let mut out = Vec::new();
    for (n, piece) in pattern.split('#').enumerate() {
        if n > 0 {
            out.extend(parts.next().map(Part::Inner));
        }
        out.push(Part::Fixed(piece.to_owned()));
    }
    Text(out)
}

pub(super) fn policy(r: &mut Random, world: &World, id: usize) -> Text {
    let effect = if r.percent(55) { "permit" } else { "forbid" };
    let principal = match r.below(5) {
        0 => format!("principal is {}", world.principal),
        1 => "principal in Platform::Role::\"app:acme/photos/finance\"".to_owned(),
        _ => "principal".to_owned(),
    };
    let action = match r.below(4) {
        0 => "action in [com::example::Action::\"Photos\"]",
        1 => "action",
        _ => "action == com::example::Action::\"Photos.open\"",
    };
    let resource = match r.below(4) {
        0 => "resource is com::example::Photo in com::example::Album::\"a1\"",
        1 => "resource is com::example::Photo",
        _ => "resource",
    };
    let clauses = r.below(3) + 1;
    let mut pattern = format!("@id(\"p{id}\") {effect} ({principal}, {action}, {resource})");
    let mut parts = Vec::new();
    for _ in 0..clauses {
        pattern.push_str(if r.percent(70) { " when { # }" } else { " unless { # }" });
        parts.push(truth(r, world, 3));
    }
    pattern.push(';');
    join(&pattern, parts)
}

fn truth(r: &mut Random, world: &World, depth: usize) -> Text {
    if depth == 0 {
        return leaf(r, world);
    }
    let down = |r: &mut Random| truth(r, world, depth - 1);
    match r.below(10) {
        0..=2 => join("# && #", [down(r), down(r)]),
        3..=4 => join("# || #", [down(r), down(r)]),
        5 => join("!#", [down(r)]),
        6 => join("if # then # else #", [down(r), down(r), down(r)]),
        _ => leaf(r, world),
    }
}

fn leaf(r: &mut Random, world: &World) -> Text {
    let kind = world::scalar(r);
    let set = Kind::Set(std::sync::Arc::new(kind.clone()));
    match r.below(18) {
        0 | 1 => guarded(r, world),
        2 => {
            let kind = if r.percent(30) { set } else { kind };
            join(r.one(&["# == #", "# != #"]), [give(r, world, &kind, 1), give(r, world, &kind, 1)])
        }
        3 => {
            let pattern = r.one(&["# < #", "# <= #", "# > #", "# >= #"]);
            let kind = if r.percent(60) { Kind::Long } else { Kind::Datetime };
            join(pattern, [give(r, world, &kind, 2), give(r, world, &kind, 1)])
        }
        4 => {
            let pattern =
                r.one(&["#.lessThan(#)", "#.lessThanOrEqual(#)", "#.greaterThan(#)", "#.greaterThanOrEqual(#)"]);
            join(pattern, [give(r, world, &Kind::Decimal, 0), give(r, world, &Kind::Decimal, 0)])
        }
        5 | 6 => join("#.contains(#)", [give(r, world, &set, 0), give(r, world, &kind, 1)]),
        7 => {
            let pattern = r.one(&["#.containsAll(#)", "#.containsAny(#)"]);
            join(pattern, [give(r, world, &set, 0), give(r, world, &set, 0)])
        }
        8 => {
            let pattern = r.one(&["# like \"*\"", "# like \"a*\"", "# like \"\\**\"", "# like \"*b*\"", "# like \"\""]);
            join(pattern, [give(r, world, &Kind::Text, 0)])
        }
        9 | 10 => has(r, world),
        11 => fixed(r.one(&[
            "principal in Platform::Organization::\"acme\"",
            "principal in [Platform::Role::\"app:acme/photos/finance\", Platform::System::\"system\"]",
            "resource in com::example::Album::\"a1\"",
            "resource is com::example::Photo in com::example::Album::\"a1\"",
            "principal is Platform::Participant in Platform::Application::\"photos\"",
            "action in com::example::Action::\"Photos\"",
            "action in []",
            "principal == resource",
            "principal in resource",
        ])),
        12 => {
            let pattern = r.one(&["#.isEmpty()", "!#.isEmpty()"]);
            join(pattern, [give(r, world, &set, 0)])
        }
        13 => {
            let pattern =
                r.one(&["#.isInRange(ip(\"10.0.0.0/8\"))", "#.isIpv4()", "#.isLoopback()", "#.isMulticast()"]);
            join(pattern, [give(r, world, &Kind::Ip, 0)])
        }
        // What is not lowered, and what is an error.
        14 if r.percent(40) => fixed(r.one(&[
            "resource.hasTag(\"x\")",
            "principal.getTag(\"x\") == 1",
            "{a: 1, \"b\": [2]} == {\"b\": [2, 2], a: 1}",
            "{a: principal.mfa}.a",
            "(if principal.mfa then principal else resource) == principal",
            "ip(\"::ffff:a00:1\").isIpv6()",
            "decimal(\"1.23456\") == decimal(\"1.0\")",
            "datetime(\"2024-02-30\") == context.time",
            "Platform::Role::\"x\" has y",
            "context has args && context.args has nothing",
            "[1, \"a\", true].contains(true)",
        ])),
        14 => join("# == #", [give(r, world, &kind, 0), fixed("{}")]),
        15 => join(
            "#.durationSince(#) < duration(\"1d\")",
            [give(r, world, &Kind::Datetime, 0), give(r, world, &Kind::Datetime, 0)],
        ),
        16 => join("#.toTime().toHours() < 12", [give(r, world, &Kind::Datetime, 1)]),
        _ => give(r, world, &Kind::Bool, 0),
    }
}

/// An attribute with the guard that the validator asks for.
fn guarded(r: &mut Random, world: &World) -> Text {
    let Some((path, ty)) = r.pick(&world.paths).cloned() else { return fixed("true") };
    if !ty.kind.is_scalar() {
        return has(r, world);
    }
    join("# && # == #", [presence(&path), fixed(written(&path)), constant(r, &ty.kind)])
}

fn has(r: &mut Random, world: &World) -> Text {
    r.pick(&world.paths).map_or_else(
        || fixed("true"),
        |(path, _)| {
            // Either guarded link by link, or only at the end, which errs where the base is absent.
            if r.clone().percent(50) { presence(path) } else { fixed(last_link(path)) }
        },
    )
}

/// `a has "b" && a.b has "c"`
fn presence(path: &Path) -> Text {
    let (root, names) = start(path);
    let mut at = root;
    let mut links = Vec::new();
    for name in names {
        links.push(format!("{at} has {}", quoted(&name)));
        at = format!("{at}[{}]", quoted(&name));
    }
    fixed(if links.is_empty() { "true".to_owned() } else { links.join(" && ") })
}

fn last_link(path: &Path) -> String {
    let (mut at, mut names) = start(path);
    let Some(last) = names.pop() else { return "true".to_owned() };
    for name in names {
        at = format!("{at}[{}]", quoted(&name));
    }
    format!("{at} has {}", quoted(&last))
}

fn start(path: &Path) -> (String, Vec<String>) {
    let mut names: Vec<String> = path.slots.iter().map(|slot| slot.name.to_string()).collect();
    let root = match &path.root {
        Root::Participant => "principal",
        Root::Resource => "resource",
        Root::Context => "context",
        Root::Arg(_, name) => {
            names.insert(0, name.to_string());
            "context.args"
        }
    };
    (root.to_owned(), names)
}

fn written(path: &Path) -> String {
    let (root, names) = start(path);
    names.iter().fold(root, |at, name| format!("{at}[{}]", quoted(name)))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn give(r: &mut Random, world: &World, kind: &Kind, depth: usize) -> Text {
    let fitting: Vec<&(Path, Described)> = world.paths.iter().filter(|(_, ty)| ty.kind == *kind).collect();
    match (r.below(10), kind) {
        (0..=5, _) if !fitting.is_empty() => {
            r.pick(&fitting).map_or_else(|| fixed("true"), |(path, _)| fixed(written(path)))
        }
        (6 | 7, Kind::Long) if depth > 0 => {
            let pattern = r.one(&["# + #", "# - #", "# * #", "-#"]);
            join(pattern, [give(r, world, kind, depth - 1), give(r, world, kind, depth - 1)])
        }
        (6 | 7, Kind::Datetime) if depth > 0 => {
            let pattern = r.one(&["#.offset(duration(\"1d2h\"))", "#.offset(duration(\"-5ms\"))", "#.toDate()"]);
            join(pattern, [give(r, world, kind, depth - 1)])
        }
        (8, _) if depth > 0 => {
            join("if # then # else #", [has(r, world), give(r, world, kind, 0), give(r, world, kind, 0)])
        }
        _ => constant(r, kind),
    }
}

fn constant(r: &mut Random, kind: &Kind) -> Text {
    match kind {
        Kind::Set(item) => {
            let count = r.below(3);
            let pattern = ["[]", "[#]", "[#, #]"].get(count).copied().unwrap_or("[]");
            let parts: Vec<Text> = (0..count).map(|_| constant(r, item)).collect();
            join(pattern, parts)
        }
        Kind::Record(_) => fixed("{}"),
        kind => fixed(literal(&world::value(r, kind))),
    }
}

fn literal(value: &Value) -> String {
    match value {
        Value::Bool(b) => b.to_string(),
        Value::Long(n) => n.to_string(),
        Value::Decimal(d) => format!("decimal(\"{d}\")"),
        Value::Text(t) => quoted(t),
        Value::Uuid(u) => quoted(&crate::value::uuid_text(*u)),
        Value::Datetime(t) => match t.to_string() {
            text if text.len() == 24 && !text.starts_with('-') => format!("datetime(\"{text}\")"),
            _ => "datetime(\"2027-01-01T12:00:00+0230\")".to_owned(),
        },
        Value::Ip(ip) => format!("ip(\"{ip}\")"),
        Value::Set(_) | Value::Record(_) => "[]".to_owned(),
    }
}
