//! Random policies of the whole representation, led by kinds.

#![expect(clippy::wildcard_enum_match_arm, reason = "all other kinds are scalars, and alike here")]

use std::sync::Arc;

use super::random::Random;
use super::world::{self, GROUP, RESOURCE, World};
use crate::ir::{Binary, Ir, Path, Unary, Var};
use crate::kind::{Described, Kind};
use crate::name::EntityUid;
use crate::platform;
use crate::policy::{ActionConstraint, Constraint, Effect, Policy};
use crate::syntax::ast::PatternPart;
use crate::value::Value;

/// What an expression gives: a kind of data, or what only expressions make.
#[derive(Clone)]
enum Wanted {
    Data(Kind),
    Duration,
}

pub(super) fn policy(r: &mut Random, world: &World, id: usize) -> Policy {
    let principal = match r.below(8) {
        0 => Constraint::Is(world.principal.clone()),
        1 => Constraint::In(EntityUid::new(platform::ROLE, "app:acme/photos/finance")),
        2 => Constraint::IsIn(world.principal.clone(), EntityUid::new(platform::ORGANIZATION, "acme")),
        3 => Constraint::Eq(EntityUid::new(&world.principal, "app:acme/photos/u-1")),
        _ => Constraint::Any,
    };
    let resource = match r.below(8) {
        0 => Constraint::Is(RESOURCE.into()),
        1 => Constraint::In(EntityUid::new("com::example::Album", "a1")),
        2 => Constraint::IsIn(RESOURCE.into(), EntityUid::new(platform::APPLICATION, "photos")),
        3 => Constraint::Eq(EntityUid::new(RESOURCE, "p1")),
        _ => Constraint::Any,
    };
    let own = |id: &str| EntityUid::new("com::example::Action", id);
    let action = match r.below(5) {
        0 => ActionConstraint::Any,
        1 => ActionConstraint::In(vec![own(GROUP)]),
        2 => ActionConstraint::In(vec![own("other"), own("Photos.open")]),
        _ => ActionConstraint::Eq(own("Photos.open")),
    };
    let depth = 2 + r.below(3);
    Policy {
        id: format!("p{id}").into(),
        effect: if r.percent(55) { Effect::Permit } else { Effect::Forbid },
        principal,
        action,
        resource,
        condition: Some(truth(r, world, depth)),
        annotations: vec![(Arc::from("source"), Arc::from("a \"quoted\" place"))],
    }
}

fn truth(r: &mut Random, world: &World, depth: usize) -> Ir {
    if depth == 0 {
        return leaf(r, world);
    }
    let down = |r: &mut Random| truth(r, world, depth - 1);
    match r.below(12) {
        0..=3 => {
            let count = 1 + r.below(3);
            Ir::And((0..count).map(|_| down(r)).collect())
        }
        4..=6 => {
            let count = 1 + r.below(3);
            Ir::Or((0..count).map(|_| down(r)).collect())
        }
        7 => Ir::Not(Box::new(down(r))),
        8 => Ir::If(Box::new([down(r), down(r), down(r)])),
        _ => leaf(r, world),
    }
}

/// A comparison; half of those that read what may be absent are guarded.
fn leaf(r: &mut Random, world: &World) -> Ir {
    let bare = bare(r, world);
    if !r.percent(50) {
        return bare;
    }
    let mut guards = Vec::new();
    collect(&bare, &mut |path| {
        if world.paths.iter().any(|(p, ty)| p == path && ty.optional) {
            guards.push(Ir::Has(path.clone()));
        }
    });
    guards.push(bare);
    Ir::And(guards)
}

fn collect(ir: &Ir, visit: &mut dyn FnMut(&Path)) {
    ir.each_path(&mut |path| visit(path));
}

fn bare(r: &mut Random, world: &World) -> Ir {
    let kind = world::scalar(r);
    match r.below(16) {
        0..=2 => {
            let op = if r.percent(60) { Binary::Eq } else { Binary::Ne };
            let kind = if r.percent(20) { Kind::Set(Arc::new(kind)) } else { kind };
            binary(op, data(r, world, &kind, 1), data(r, world, &kind, 1))
        }
        3..=5 => {
            let op = r.pick(&[Binary::Less, Binary::LessEq, Binary::Greater, Binary::GreaterEq]).copied();
            let op = op.unwrap_or(Binary::Less);
            match r.below(4) {
                0 => binary(op, duration(r, world), duration(r, world)),
                1 => binary(
                    op.of_kind(&Kind::Decimal),
                    data(r, world, &Kind::Decimal, 1),
                    data(r, world, &Kind::Decimal, 1),
                ),
                2 => binary(op, data(r, world, &Kind::Datetime, 2), data(r, world, &Kind::Datetime, 1)),
                _ => binary(op, data(r, world, &Kind::Long, 2), data(r, world, &Kind::Long, 1)),
            }
        }
        6 | 7 => {
            let set = data(r, world, &Kind::Set(Arc::new(kind.clone())), 1);
            binary(Binary::Contains, set, data(r, world, &kind, 1))
        }
        8 => {
            let op = if r.percent(50) { Binary::ContainsAll } else { Binary::ContainsAny };
            let set = Kind::Set(Arc::new(kind));
            binary(op, data(r, world, &set, 1), data(r, world, &set, 1))
        }
        9 => {
            let kind = if r.percent(20) { kind } else { Kind::Text };
            Ir::Like(Box::new(data(r, world, &kind, 1)), pattern(r))
        }
        10 => match r.pick(&world.paths) {
            Some((path, _)) => Ir::Has(path.clone()),
            None => Ir::Const(Value::Bool(true)),
        },
        11 => membership(r, world),
        12 => {
            let to = if r.percent(80) { Ir::Const(world::range(r)) } else { data(r, world, &Kind::Ip, 1) };
            binary(Binary::IsInRange, data(r, world, &Kind::Ip, 1), to)
        }
        13 => {
            let ops = [Unary::IsIpv4, Unary::IsIpv6, Unary::IsLoopback, Unary::IsMulticast];
            let op = r.pick(&ops).copied().unwrap_or(Unary::IsIpv4);
            Ir::Unary(op, Box::new(data(r, world, &Kind::Ip, 1)))
        }
        14 if r.percent(50) => Ir::Unary(Unary::IsEmpty, Box::new(data(r, world, &Kind::Set(Arc::new(kind)), 1))),
        // Of two kinds: false, or an error.
        14 => {
            let other = world::scalar(r);
            let op = r.pick(&[Binary::Eq, Binary::Less, Binary::Contains, Binary::DecimalLess]).copied();
            binary(op.unwrap_or(Binary::Eq), data(r, world, &kind, 0), data(r, world, &other, 0))
        }
        _ => data(r, world, &Kind::Bool, 1),
    }
}

fn binary(op: Binary, left: Ir, right: Ir) -> Ir {
    Ir::Binary(op, Box::new([left, right]))
}

fn data(r: &mut Random, world: &World, kind: &Kind, depth: usize) -> Ir {
    give(r, world, &Wanted::Data(kind.clone()), depth)
}

fn duration(r: &mut Random, world: &World) -> Ir {
    give(r, world, &Wanted::Duration, 1)
}

fn give(r: &mut Random, world: &World, wanted: &Wanted, depth: usize) -> Ir {
    if depth > 0 && r.percent(8) {
        let parts = [leaf_of_if(r, world), give(r, world, wanted, depth - 1), give(r, world, wanted, depth - 1)];
        return Ir::If(Box::new(parts));
    }
    match wanted {
        Wanted::Duration => match r.below(3) {
            0 => Ir::Unary(Unary::ToTime, Box::new(data(r, world, &Kind::Datetime, 0))),
            1 => binary(Binary::DurationSince, data(r, world, &Kind::Datetime, 0), data(r, world, &Kind::Datetime, 0)),
            _ => Ir::Duration(r.one(&[0, 1, -1, 86_400_000, 90_061_001, -5_400_000, i64::MAX, i64::MIN])),
        },
        Wanted::Data(kind) => {
            let fitting: Vec<&(Path, Described)> = world.paths.iter().filter(|(_, ty)| ty.kind == *kind).collect();
            match r.below(10) {
                0..=5 if !fitting.is_empty() => {
                    r.pick(&fitting).map_or(Ir::Const(Value::Bool(true)), |(path, _)| Ir::Path(path.clone()))
                }
                6 | 7 if depth > 0 => computed(r, world, kind, depth - 1),
                _ => constant(r, kind),
            }
        }
    }
}

fn leaf_of_if(r: &mut Random, world: &World) -> Ir {
    match r.pick(&world.paths) {
        Some((path, _)) => Ir::Has(path.clone()),
        None => Ir::Const(Value::Bool(true)),
    }
}

fn computed(r: &mut Random, world: &World, kind: &Kind, depth: usize) -> Ir {
    match kind {
        Kind::Long => match r.below(4) {
            0 => Ir::Unary(Unary::Neg, Box::new(data(r, world, kind, depth))),
            1 => {
                let ops = [Unary::ToMilliseconds, Unary::ToSeconds, Unary::ToMinutes, Unary::ToHours, Unary::ToDays];
                Ir::Unary(r.pick(&ops).copied().unwrap_or(Unary::ToDays), Box::new(duration(r, world)))
            }
            _ => {
                let op = r.pick(&[Binary::Add, Binary::Sub, Binary::Mul]).copied().unwrap_or(Binary::Add);
                binary(op, data(r, world, kind, depth), data(r, world, kind, depth))
            }
        },
        Kind::Datetime if r.percent(50) => Ir::Unary(Unary::ToDate, Box::new(data(r, world, kind, depth))),
        Kind::Datetime => binary(Binary::Offset, data(r, world, kind, depth), duration(r, world)),
        Kind::Set(item) => {
            let count = 1 + r.below(3);
            Ir::Set((0..count).map(|_| data(r, world, item, 0)).collect())
        }
        Kind::Bool => bare(r, world),
        _ => constant(r, kind),
    }
}

/// Never an empty set: it is not written in Cedar.
fn constant(r: &mut Random, kind: &Kind) -> Ir {
    Ir::Const(match kind {
        Kind::Set(item) => {
            let count = 1 + r.below(3);
            Value::Set((0..count).map(|_| world::value(r, item)).collect())
        }
        kind => world::value(r, kind),
    })
}

fn pattern(r: &mut Random) -> Vec<PatternPart> {
    let count = r.below(5);
    let part = |r: &mut Random| {
        if r.percent(40) {
            PatternPart::AnyRun
        } else {
            PatternPart::Char(r.one(&['a', 'b', '*', 'é', '\\', '"', '%', '_', '[', '?', 'A']))
        }
    };
    (0..count).map(|_| part(r)).collect()
}

fn membership(r: &mut Random, world: &World) -> Ir {
    let entity = |r: &mut Random| {
        let groups = [
            EntityUid::new(platform::ROLE, "app:acme/photos/finance"),
            EntityUid::new(platform::ROLE, "org:acme/admin"),
            EntityUid::new(platform::ORGANIZATION, "acme"),
            EntityUid::new("com::example::Album", "a1"),
            EntityUid::new("com::example::Action", GROUP),
            EntityUid::new(RESOURCE, "p1"),
        ];
        Ir::Entity(r.pick(&groups).cloned().unwrap_or_else(|| EntityUid::new(RESOURCE, "p1")))
    };
    let var = r.pick(&[Var::Principal, Var::Resource, Var::Action]).copied().unwrap_or(Var::Principal);
    match r.below(5) {
        0 => Ir::Is(Box::new(Ir::Var(var)), if r.percent(50) { RESOURCE.into() } else { world.principal.clone() }),
        1 => binary(Binary::Eq, Ir::Var(var), entity(r)),
        2 => binary(Binary::In, Ir::Var(var), Ir::Set(vec![entity(r), entity(r)])),
        3 => binary(Binary::In, Ir::Var(var), Ir::Var(Var::Resource)),
        _ => binary(Binary::In, Ir::Var(var), entity(r)),
    }
}
