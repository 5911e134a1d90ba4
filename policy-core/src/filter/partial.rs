//! Partial evaluation: what a condition asks of a row when the participant, the action and the context are known.
//!
//! In: an [`Ir`], the facts of a request whose resource is not known, a table. Out: a [`Predicate`] for "is true" or for "is
//! false"; where neither holds, the condition errs. Absent: effects; a permit counts where it is true, a forbid spares a row
//! only where it is false.

#![expect(clippy::wildcard_enum_match_arm, reason = "all other pairs of operands are alike, or an error")]

use std::sync::Arc;

use super::leaf::{
    Leaf, STRUCTURE, Side, alike, contains, equals, id_value, in_range, like, ordered, same, several, unary, value_as,
};
use super::predicate::{Operand, Predicate, RowCheck, RowField, Test};
use crate::ir::eval::{Env, holds};
use crate::ir::known::{Known, known};
use crate::ir::{Binary, Ir, Path, Root, Var};
use crate::kind::Kind;
use crate::name::EntityUid;
use crate::policy::Constraint;
use crate::syntax::ast::CompareOp;
use crate::table::Table;
use crate::value::Value;

/// One policy, put to the rows of a table.
pub(crate) struct Partial<'e> {
    env: &'e Env<'e>,
    table: &'e Table,
    policy: &'e Arc<str>,
    /// Attributes that are there wherever what is being looked at is asked.
    present: Vec<&'e Path>,
    /// How many more parts are looked at: two outcomes of each part are asked for, and parts nest.
    budget: u32,
}

const BUDGET: u32 = 10_000;
const LARGE: &str = "the condition is too large to be turned around";
const ARITHMETIC: &str = "arithmetic on what the row has is not done in the database";
const NAME: &str = "an attribute in a nested record has a name that cannot be written in a path";

impl<'e> Partial<'e> {
    pub(crate) const fn new(env: &'e Env<'e>, table: &'e Table, policy: &'e Arc<str>) -> Self {
        Self { env, table, policy, present: Vec::new(), budget: BUDGET }
    }

    /// What is to be checked row by row.
    pub(crate) fn row(&self, why: &'static str) -> Predicate {
        Predicate::Row(RowCheck::new(self.policy.clone(), why))
    }

    /// The rows that a policy is about.
    pub(crate) fn scope(&self, constraint: &Constraint) -> Predicate {
        match constraint {
            Constraint::Any => Predicate::Const(true),
            Constraint::Eq(uid) => self.is(&[uid]),
            Constraint::In(uid) => self.within(&[uid]),
            Constraint::Is(kind) => Predicate::Const(*self.env.resource.kind == **kind),
            Constraint::IsIn(kind, uid) if *self.env.resource.kind == **kind => self.within(&[uid]),
            Constraint::IsIn(..) => Predicate::Const(false),
        }
    }

    /// Where the condition is `wanted`.
    pub(crate) fn when(&mut self, ir: &'e Ir, wanted: bool) -> Predicate {
        if !ir.is_open() {
            return Predicate::Const(holds(ir, self.env) == Ok(wanted));
        }
        let Some(left) = self.budget.checked_sub(1) else { return self.row(LARGE) };
        self.budget = left;
        match (ir, wanted) {
            (Ir::And(items), true) => self.each(items, true),
            (Ir::Or(items), false) => self.each(items, false),
            (Ir::And(items), false) => self.chain(items, false),
            (Ir::Or(items), true) => self.chain(items, true),
            (Ir::Not(inner), _) => self.when(inner, !wanted),
            (Ir::If(parts), _) => {
                let [test, then, otherwise] = &**parts;
                let mut arm = |taken: bool, arm: &'e Ir| {
                    let test_holds = self.when(test, taken);
                    if test_holds.is_never() {
                        return test_holds;
                    }
                    let known = self.present.len();
                    implied(test, taken, &mut self.present);
                    let arm = self.when(arm, wanted);
                    self.present.truncate(known);
                    Predicate::all([test_holds, arm])
                };
                let (yes, no) = (arm(true, then), arm(false, otherwise));
                Predicate::any([yes, no])
            }
            _ => self.leaf_when(ir, wanted),
        }
    }

    /// All of the items are `wanted`: `and` is true, or `or` false.
    fn each(&mut self, items: &'e [Ir], wanted: bool) -> Predicate {
        let known = self.present.len();
        let mut out = Vec::with_capacity(items.len());
        for item in items {
            let one = self.when(item, wanted);
            let never = one.is_never();
            out.push(one);
            if never {
                break;
            }
            implied(item, wanted, &mut self.present);
        }
        self.present.truncate(known);
        Predicate::all(out)
    }

    /// The first item that is not the other way is `wanted`: `or` is true, or `and` false. What comes before it must not err.
    fn chain(&mut self, items: &'e [Ir], wanted: bool) -> Predicate {
        let Some((first, rest)) = items.split_first() else { return Predicate::Const(!wanted) };
        let here = self.when(first, wanted);
        if rest.is_empty() || here.is_always() {
            return here;
        }
        let before = if self.never_errs(first) {
            // Where it is not the other way it is `wanted`, and that is asked already.
            Predicate::Const(true)
        } else {
            self.when(first, !wanted)
        };
        if before.is_never() {
            return here;
        }
        let known = self.present.len();
        implied(first, !wanted, &mut self.present);
        let after = self.chain(rest, wanted);
        self.present.truncate(known);
        Predicate::any([here, Predicate::all([before, after])])
    }

    /// Whether the condition is true or false for every row.
    fn never_errs(&mut self, ir: &'e Ir) -> bool {
        if !ir.is_open() {
            return holds(ir, self.env).is_ok();
        }
        let known = self.present.len();
        let safe = match ir {
            Ir::Not(inner) => self.never_errs(inner),
            Ir::And(items) | Ir::Or(items) => {
                let goes_on = matches!(ir, Ir::And(_));
                items.iter().all(|item| {
                    let safe = self.never_errs(item);
                    implied(item, goes_on, &mut self.present);
                    safe
                })
            }
            Ir::If(parts) => {
                let [test, then, otherwise] = &**parts;
                self.never_errs(test)
                    && [(true, then), (false, otherwise)].into_iter().all(|(taken, arm)| {
                        let known = self.present.len();
                        implied(test, taken, &mut self.present);
                        let safe = self.never_errs(arm);
                        self.present.truncate(known);
                        safe
                    })
            }
            leaf => match self.leaf(leaf) {
                Leaf::Plain(_, reads) => reads.iter().all(|field| self.there(field)),
                Leaf::Error | Leaf::Same(_) | Leaf::Opaque(..) => false,
            },
        };
        self.present.truncate(known);
        safe
    }

    fn leaf_when(&mut self, ir: &'e Ir, wanted: bool) -> Predicate {
        match self.leaf(ir) {
            Leaf::Error => Predicate::Const(false),
            Leaf::Opaque(why, reads) => {
                let guards = self.guards(reads.into_iter().filter_map(|path| self.field(path).ok()));
                Predicate::all(guards.into_iter().chain([self.row(why)]))
            }
            Leaf::Plain(test, reads) => {
                let guards = self.guards(reads);
                let test = if wanted { test } else { test.opposite() };
                Predicate::all(guards.into_iter().chain([test]))
            }
            Leaf::Same(other) => {
                // It is a copy, so what is known to be there is not: that only adds guards.
                let mut copy = Partial { present: Vec::new(), ..*self };
                let out = copy.when(&other, wanted);
                self.budget = copy.budget;
                out
            }
        }
    }

    fn guards(&self, reads: impl IntoIterator<Item = RowField>) -> Vec<Predicate> {
        let needed = reads.into_iter().filter(|field| !self.there(field));
        needed.map(|field| Test::Present { field, wanted: true }.into()).collect()
    }

    /// Whether an attribute is there wherever it is asked for here.
    fn there(&self, field: &RowField) -> bool {
        let same = |path: &Path| {
            path.slots.len() == field.inner.len() + 1
                && std::iter::once(&field.attribute).chain(&field.inner).zip(&path.slots).all(|(a, s)| **a == *s.name)
        };
        !field.nullable || self.present.iter().any(|path| same(path))
    }

    /// Where an attribute is stored; `Ok(None)` when no row has it.
    fn field(&self, path: &Path) -> Result<RowField, Side> {
        let Some((first, rest)) = path.slots.split_first() else { return Err(Side::Error) };
        let found = self.table.columns.iter().enumerate().find(|(_, c)| *c.attribute == *first.name);
        let Some((column, stored)) = found else { return Err(Side::Error) };
        let (mut kind, mut nullable, mut secret) = (&stored.ty.kind, stored.ty.optional, stored.secret);
        for slot in rest {
            let Kind::Record(record) = kind else { return Err(Side::Error) };
            let Some((_, field)) = record.field(&slot.name) else { return Err(Side::Error) };
            if slot.name.chars().any(|c| c == '"' || c == '\\' || c.is_control()) {
                return Err(Side::Opaque(NAME));
            }
            kind = &field.ty.kind;
            nullable |= field.ty.optional;
            secret |= field.secret;
        }
        let inner = rest.iter().map(|slot| slot.name.clone()).collect();
        Ok(RowField { inner, kind: kind.clone(), nullable, secret, ..RowField::of(column, stored) })
    }

    fn side(&self, ir: &Ir) -> Side {
        if !ir.is_open() {
            return known(ir, self.env).map_or(Side::Error, Side::Known);
        }
        match ir {
            Ir::Path(path) => self.field(path).map_or_else(|side| side, Side::Field),
            Ir::Var(Var::Resource) => Side::Resource,
            Ir::Set(_) | Ir::Record(_) => Side::Opaque(STRUCTURE),
            _ => Side::Opaque(ARITHMETIC),
        }
    }

    fn leaf(&self, ir: &'e Ir) -> Leaf<'e> {
        let opaque = |why| {
            let mut reads = Vec::new();
            implied(ir, true, &mut reads);
            Leaf::Opaque(why, reads)
        };
        match ir {
            Ir::Has(path) => match self.field(path) {
                Ok(field) if field.nullable => Leaf::Plain(Test::Present { field, wanted: true }.into(), Vec::new()),
                Ok(_) => Leaf::Plain(Predicate::Const(true), Vec::new()),
                // What no row has is absent; of something that is no record it is an error.
                Err(Side::Error) if path.slots.len() == 1 => Leaf::Plain(Predicate::Const(false), Vec::new()),
                Err(Side::Opaque(why)) => Leaf::Opaque(why, Vec::new()),
                Err(_) => Leaf::Opaque(STRUCTURE, Vec::new()),
            },
            Ir::Path(_) => match self.side(ir) {
                Side::Field(field) if field.kind == Kind::Bool => {
                    Leaf::Plain(Test::Truth { field: field.clone(), wanted: true }.into(), vec![field])
                }
                Side::Opaque(why) => opaque(why),
                _ => Leaf::Error,
            },
            Ir::Binary(op, sides) => {
                let [left, right] = &**sides;
                if let Some(same) = unfolded(*op, left, right) {
                    return Leaf::Same(same);
                }
                if let (Binary::Contains, Ir::Set(items)) = (op, left)
                    && left.is_open()
                {
                    return match self.one_of(items, right) {
                        Leaf::Opaque(why, _) => opaque(why),
                        leaf => leaf,
                    };
                }
                match self.binary(*op, self.side(left), self.side(right)) {
                    Leaf::Opaque(why, _) => opaque(why),
                    leaf => leaf,
                }
            }
            Ir::Like(text, pattern) => match &**text {
                Ir::If(parts) => Leaf::Same(lifted(parts, |arm| Ir::Like(Box::new(arm.clone()), pattern.clone()))),
                text => match self.side(text) {
                    Side::Field(field) => like(field, pattern),
                    Side::Opaque(why) => opaque(why),
                    _ => Leaf::Error,
                },
            },
            Ir::Unary(op, operand) => match &**operand {
                Ir::If(parts) => Leaf::Same(lifted(parts, |arm| Ir::Unary(*op, Box::new(arm.clone())))),
                operand => match self.side(operand) {
                    Side::Field(field) => unary(*op, field),
                    Side::Opaque(why) => opaque(why),
                    _ => Leaf::Error,
                },
            },
            Ir::Is(..) => opaque(STRUCTURE),
            _ => Leaf::Error,
        }
    }

    fn binary(&self, op: Binary, left: Side, right: Side) -> Leaf<'e> {
        use CompareOp::{Eq, Ge, Gt, Le, Lt, Ne};
        match (&left, &right) {
            (Side::Error, _) | (_, Side::Error) => return Leaf::Error,
            (Side::Opaque(why), _) | (_, Side::Opaque(why)) => return Leaf::Opaque(why, Vec::new()),
            _ => {}
        }
        match op {
            Binary::Eq => self.equal(left, right, Eq),
            Binary::Ne => self.equal(left, right, Ne),
            Binary::Less => ordered(left, right, Lt, false),
            Binary::LessEq => ordered(left, right, Le, false),
            Binary::Greater => ordered(left, right, Gt, false),
            Binary::GreaterEq => ordered(left, right, Ge, false),
            Binary::DecimalLess => ordered(left, right, Lt, true),
            Binary::DecimalLessEq => ordered(left, right, Le, true),
            Binary::DecimalGreater => ordered(left, right, Gt, true),
            Binary::DecimalGreaterEq => ordered(left, right, Ge, true),
            Binary::Contains => self.contains(left, right),
            Binary::ContainsAll | Binary::ContainsAny => several(left, right, op == Binary::ContainsAll),
            Binary::IsInRange => in_range(left, right),
            Binary::In => self.belongs(left, right),
            Binary::Add | Binary::Sub | Binary::Mul | Binary::Offset | Binary::DurationSince => Leaf::Error,
        }
    }

    fn equal(&self, left: Side, right: Side, op: CompareOp) -> Leaf<'e> {
        let turned = |p: Predicate| if op == CompareOp::Eq { p } else { p.opposite() };
        match (left, right) {
            (Side::Field(field), Side::Known(value)) | (Side::Known(value), Side::Field(field)) => {
                match equals(&field, value) {
                    Ok(test) => Leaf::Plain(turned(test), vec![field]),
                    Err(why) => Leaf::Opaque(why, Vec::new()),
                }
            }
            (Side::Field(a), Side::Field(b)) => match same(&a, &b) {
                Ok(test) => Leaf::Plain(turned(test), vec![a, b]),
                Err(why) => Leaf::Opaque(why, Vec::new()),
            },
            (Side::Resource, Side::Known(Known::Entity(uid))) | (Side::Known(Known::Entity(uid)), Side::Resource) => {
                Leaf::Plain(turned(self.is(&[&uid])), Vec::new())
            }
            (Side::Resource, Side::Known(_)) | (Side::Known(_), Side::Resource) => {
                Leaf::Plain(turned(Predicate::Const(false)), Vec::new())
            }
            (Side::Resource, Side::Field(field)) | (Side::Field(field), Side::Resource) => {
                Leaf::Plain(turned(Predicate::Const(false)), vec![field])
            }
            (Side::Resource, Side::Resource) => Leaf::Plain(turned(Predicate::Const(true)), Vec::new()),
            _ => Leaf::Error,
        }
    }

    /// `[a, b] contains item`, where the row has some of them. Each is evaluated, so each must be there.
    fn one_of(&self, items: &'e [Ir], item: &'e Ir) -> Leaf<'e> {
        let (mut any, mut reads) = (Vec::new(), Vec::new());
        for each in items {
            if !each.is_open() && !item.is_open() {
                match holds(&Ir::Binary(Binary::Eq, Box::new([each.clone(), item.clone()])), self.env) {
                    Ok(equal) => any.push(Predicate::Const(equal)),
                    Err(_) => return Leaf::Error,
                }
                continue;
            }
            match self.binary(Binary::Eq, self.side(each), self.side(item)) {
                Leaf::Plain(test, fields) => {
                    any.push(test);
                    reads.extend(fields);
                }
                other => return other,
            }
        }
        Leaf::Plain(Predicate::any(any), reads)
    }

    fn contains(&self, set: Side, item: Side) -> Leaf<'e> {
        let never = || Predicate::Const(false);
        match (set, item) {
            (Side::Field(set), item) => {
                let Kind::Set(of) = &set.kind else { return Leaf::Error };
                if !of.is_scalar() {
                    return Leaf::Opaque(STRUCTURE, Vec::new());
                }
                let of = (**of).clone();
                match item {
                    Side::Known(Known::Value(value)) => Leaf::Plain(contains(&set, &of, &value), vec![set]),
                    Side::Known(_) | Side::Resource => Leaf::Plain(never(), vec![set]),
                    Side::Field(item) if alike(&of, &item.kind) => {
                        let operand = Operand::Field(item.clone());
                        let test = Test::Contains { set: set.clone(), item: operand, wanted: true };
                        Leaf::Plain(test.into(), vec![set, item])
                    }
                    Side::Field(item) => Leaf::Plain(never(), vec![set, item]),
                    Side::Error | Side::Opaque(_) => Leaf::Error,
                }
            }
            (Side::Known(Known::Value(Value::Set(values))), Side::Field(field)) => {
                if !field.kind.is_scalar() {
                    return Leaf::Opaque(STRUCTURE, Vec::new());
                }
                let mut fitting: Vec<Value> = Vec::new();
                for value in values.iter().filter_map(|v| value_as(&field.kind, v)) {
                    if !fitting.contains(&value) {
                        fitting.push(value);
                    }
                }
                let test = if fitting.is_empty() {
                    never()
                } else {
                    Test::OneOf { field: field.clone(), values: fitting, wanted: true }.into()
                };
                Leaf::Plain(test, vec![field])
            }
            (Side::Known(Known::Value(Value::Set(_))), Side::Resource) => Leaf::Plain(never(), Vec::new()),
            (Side::Known(Known::Entities(uids)), Side::Resource) => {
                Leaf::Plain(self.is(&uids.iter().collect::<Vec<_>>()), Vec::new())
            }
            (Side::Known(Known::Entities(_)), Side::Field(field)) => Leaf::Plain(never(), vec![field]),
            (Side::Known(Known::Other), _) => Leaf::Opaque(STRUCTURE, Vec::new()),
            _ => Leaf::Error,
        }
    }

    /// `left in right`, of entities.
    fn belongs(&self, left: Side, right: Side) -> Leaf<'e> {
        let plain = |p| Leaf::Plain(p, Vec::new());
        match (left, right) {
            (Side::Resource, Side::Known(Known::Entity(group))) => plain(self.within(&[&group])),
            (Side::Resource, Side::Known(Known::Entities(groups))) => {
                plain(self.within(&groups.iter().collect::<Vec<_>>()))
            }
            (Side::Resource, Side::Known(Known::Value(Value::Set(items)))) if items.is_empty() => {
                plain(Predicate::Const(false))
            }
            (Side::Known(Known::Entity(child)), Side::Resource) => {
                let Env { principal, action, .. } = self.env;
                let is = |uid: &crate::ir::eval::EntityRef<'_>| uid.kind == child.kind() && uid.id == child.id();
                let mut above: Vec<&EntityUid> = vec![&child];
                if is(principal) {
                    above.extend(self.env.principal_parents);
                }
                if is(action) {
                    above.extend(self.env.action_groups);
                }
                // The resource itself belongs to scopes, and only to those: none is a row.
                plain(self.is(&above))
            }
            (Side::Resource, Side::Resource) => plain(Predicate::Const(true)),
            _ => Leaf::Error,
        }
    }

    /// The resource is one of these, or belongs to one of them.
    fn within(&self, groups: &[&EntityUid]) -> Predicate {
        if groups.iter().any(|group| self.env.resource_parents.contains(group)) {
            return Predicate::Const(true);
        }
        self.is(groups)
    }

    /// The resource is one of these.
    fn is(&self, uids: &[&EntityUid]) -> Predicate {
        let Some(column) = self.table.id_column() else { return Predicate::Const(false) };
        let own = uids.iter().filter(|uid| *uid.kind() == *self.env.resource.kind);
        let mut values: Vec<Value> = Vec::new();
        for value in own.filter_map(|uid| id_value(&column.ty.kind, uid.id())) {
            if !values.contains(&value) {
                values.push(value);
            }
        }
        let field = RowField::of(self.table.id, column);
        match (values.pop(), values.is_empty()) {
            (None, _) => Predicate::Const(false),
            (Some(value), true) => {
                Test::Compare { op: CompareOp::Eq, left: field, right: Operand::Value(value) }.into()
            }
            (Some(value), false) => {
                values.push(value);
                Test::OneOf { field, values, wanted: true }.into()
            }
        }
    }
}

/// The attributes that are there when a condition was evaluated and turned out so, without an error.
fn implied<'e>(ir: &'e Ir, outcome: bool, out: &mut Vec<&'e Path>) {
    let own = |path: &'e Path, out: &mut Vec<&'e Path>| {
        if path.root == Root::Resource {
            out.push(path);
        }
    };
    match ir {
        Ir::Has(path) if outcome => own(path, out),
        Ir::Path(path) => own(path, out),
        Ir::Not(inner) => implied(inner, !outcome, out),
        Ir::And(items) if outcome => items.iter().for_each(|i| implied(i, true, out)),
        Ir::Or(items) if !outcome => items.iter().for_each(|i| implied(i, false, out)),
        // The first is always evaluated.
        Ir::And(items) | Ir::Or(items) => {
            if let [only] = items.as_slice() {
                implied(only, outcome, out);
            }
        }
        Ir::Binary(_, sides) => sides.iter().for_each(|side| operands(side, out)),
        Ir::Like(text, _) | Ir::Unary(_, text) => operands(text, out),
        _ => {}
    }
}

/// The attributes that an operand surely reads.
fn operands<'e>(ir: &'e Ir, out: &mut Vec<&'e Path>) {
    match ir {
        Ir::Path(path) if path.root == Root::Resource => out.push(path),
        Ir::Unary(_, inner) => operands(inner, out),
        Ir::Binary(_, sides) => sides.iter().for_each(|side| operands(side, out)),
        Ir::Set(items) => items.iter().for_each(|item| operands(item, out)),
        Ir::Record(fields) => fields.values().for_each(|field| operands(field, out)),
        _ => {}
    }
}

/// A comparison of what is itself a condition, without the comparison.
fn unfolded(op: Binary, left: &Ir, right: &Ir) -> Option<Ir> {
    let both = |l: &Ir, r: &Ir| Ir::Binary(op, Box::new([l.clone(), r.clone()]));
    if let Ir::If(parts) = left {
        return Some(lifted(parts, |arm| both(arm, right)));
    }
    if let Ir::If(parts) = right {
        return Some(lifted(parts, |arm| both(left, arm)));
    }
    let condition = |ir: &Ir| {
        let made = matches!(ir, Ir::And(_) | Ir::Or(_) | Ir::Not(_) | Ir::Has(_) | Ir::Like(..) | Ir::Is(..));
        let compares = |op: &Binary| {
            !matches!(op, Binary::Add | Binary::Sub | Binary::Mul | Binary::Offset | Binary::DurationSince)
        };
        made || matches!(ir, Ir::Binary(op, _) if compares(op))
    };
    let wanted = match op {
        Binary::Eq => true,
        Binary::Ne => false,
        _ => return None,
    };
    let (inner, constant) = match (left, right) {
        (inner, Ir::Const(Value::Bool(b))) | (Ir::Const(Value::Bool(b)), inner)
            if inner.is_open() && condition(inner) =>
        {
            (inner, *b)
        }
        _ => return None,
    };
    Some(if constant == wanted { inner.clone() } else { Ir::Not(Box::new(inner.clone())) })
}

fn lifted(parts: &[Ir; 3], mut make: impl FnMut(&Ir) -> Ir) -> Ir {
    let [test, then, otherwise] = parts;
    Ir::If(Box::new([test.clone(), make(then), make(otherwise)]))
}
