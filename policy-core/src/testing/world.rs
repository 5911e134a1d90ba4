//! Random models and the requests that can be made in them.
//!
//! In: chance. Out: a model with one action that is asked for, and requests with data: attributes that are absent or extreme,
//! participants of every tier, resources in a hierarchy.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::random::Random;
use crate::context::{Context, Facts};
use crate::ir::eval::{EntityRef, Env};
use crate::ir::{Path, Root};
use crate::kind::{Described, Field, Kind, RecordType};
use crate::model::{ActionModel, EntityModel, Model};
use crate::name::{ActionName, EntityUid, Scope};
use crate::participant::{self, Participant, chain};
use crate::value::{Decimal, Millis, Record, Slot, Value, ValueRef};
use crate::{context, platform};

const NAMES: [&str; 12] =
    ["a", "amount", "owner", "in", "if", "has", "tags", "loc\"ked", "é", "status", "args", "sharedWith"];
const TEXTS: [&str; 22] = [
    "",
    "a",
    "b",
    "ab",
    "abab",
    "finance",
    "a*b",
    "*",
    "\\",
    "\"",
    "é",
    "67e55044-10b1-426f-9247-bb680e5fe0c8",
    "A",
    "AB",
    "É",
    "%",
    "a_b",
    "a%",
    "[a]",
    "?",
    "a'b",
    "ab\nb",
];
const LONGS: [i64; 9] = [0, 1, -1, 2, 7, 1_000_000, i64::MAX, i64::MIN, i64::MAX - 1];
const SCALED: [i64; 7] = [0, 1, -5_000, 31_400, 10_000, i64::MAX, i64::MIN];
const INSTANTS: [i64; 9] =
    [0, 1, -1, 1_800_000_000_000, 86_400_000, -62_167_219_200_000, 253_402_300_799_999, i64::MAX, i64::MIN];
const ADDRESSES: [&str; 8] =
    ["10.0.0.1", "10.1.2.3", "127.0.0.1", "::1", "2001:db8::1", "224.0.0.1", "ff02::1", "255.255.255.255"];
const RANGES: [&str; 7] =
    ["10.0.0.0/8", "10.1.2.3/32", "0.0.0.0/0", "::/0", "2001:db8::/32", "127.0.0.1/7", "224.0.0.0/3"];

/// The action that every request asks for.
const ACTION: &str = "Photos.open";
const NAMESPACE: &str = "com.example";
pub(super) const RESOURCE: &str = "com::example::Photo";
pub(super) const GROUP: &str = "Photos";

/// A model, and all that its rules can name.
pub(super) struct World {
    pub(super) model: Model,
    pub(super) principal: Arc<str>,
    /// Every attribute, with what it is; optional when something before it is.
    pub(super) paths: Vec<(Path, Described)>,
    own: Vec<Field>,
    resource: Vec<Field>,
    added: Vec<Field>,
    params: Vec<(Arc<str>, Option<Described>)>,
    /// Whether data may be of another kind than declared, or missing where it is required.
    wild: bool,
}

/// The data of one request.
pub(super) struct Facets {
    participant: Participant,
    principal: Arc<str>,
    facts: Facts,
    time: Millis,
    resource_id: Arc<str>,
    resource: Option<Indexed>,
    resource_parents: Vec<EntityUid>,
    action: EntityUid,
    groups: Vec<EntityUid>,
    args: Vec<Argument>,
}

/// An argument: nothing, plain data that is read by name, or a record whose attributes have places, as derives make them.
enum Argument {
    Absent,
    Plain(Value),
    Placed(Indexed),
}

/// A record that is read by place, as generated code is.
struct Indexed(Vec<(Arc<str>, Option<Value>)>);

impl Record for Indexed {
    fn field(&self, slot: &Slot) -> ValueRef<'_> {
        let found = match slot.index {
            Slot::BY_NAME => self.0.iter().find(|(name, _)| *name == slot.name),
            index => self.0.get(usize::from(index)),
        };
        found.and_then(|(_, value)| value.as_ref()).map_or(ValueRef::Absent, Value::as_ref)
    }

    fn each_field(&self, visit: &mut dyn FnMut(&str, ValueRef<'_>)) {
        for (name, value) in &self.0 {
            if let Some(value) = value {
                visit(name, value.as_ref());
            }
        }
    }
}

impl World {
    pub(super) fn random(r: &mut Random, wild: bool) -> Self {
        let own = fields(r, 1, &participant::BUILT_IN.fields);
        let resource = fields(r, 2, &[]);
        let added =
            fields(r, 1, &context::BUILT_IN.fields).into_iter().filter(|f| &*f.name != "args").collect::<Vec<_>>();
        let added: Vec<Field> =
            added.into_iter().map(|f| Field { ty: Described { optional: true, ..f.ty }, ..f }).collect();
        let params: Vec<(Arc<str>, Option<Described>)> =
            fields(r, 2, &[]).into_iter().map(|f| (f.name, if r.percent(10) { None } else { Some(f.ty) })).collect();
        let declared = r.percent(50);
        let principal: Arc<str> = if declared { "com::example::Staff".into() } else { platform::PARTICIPANT.into() };
        let parents = |names: &[&str]| names.iter().map(|n| Arc::from(*n)).collect();
        let mut entities = vec![
            EntityModel {
                name: RESOURCE.into(),
                parents: parents(&[
                    platform::APPLICATION,
                    platform::ORGANIZATION,
                    platform::SYSTEM,
                    "com::example::Album",
                ]),
                attributes: resource.clone(),
            },
            EntityModel { name: "com::example::Album".into(), parents: vec![], attributes: vec![] },
        ];
        entities.push(EntityModel { name: principal.clone(), parents: vec![], attributes: own.clone() });
        let action = ActionModel {
            name: ActionName::new(NAMESPACE, ACTION),
            groups: vec![GROUP.into()],
            principals: vec![principal.clone()],
            resource: RESOURCE.into(),
            params: params.clone(),
        };
        let model = Model { entities, actions: vec![action], context: added.clone() };
        let mut world = Self { model, principal, paths: vec![], own, resource, added, params, wild };
        world.collect(r);
        world
    }

    /// The world of a row: its attributes, and those of a declared participant.
    pub(super) fn of_row(r: &mut Random, model: Model, principal: &str, own: Vec<Field>, resource: Vec<Field>) -> Self {
        let mut world = Self {
            model,
            principal: principal.into(),
            paths: vec![],
            own,
            resource,
            added: vec![],
            params: vec![],
            wild: false,
        };
        world.collect(r);
        world
    }

    /// Lists every attribute; some of their slots are left to names.
    fn collect(&mut self, r: &mut Random) {
        let mut out = Vec::new();
        let mut under = |root: &Root, slots: &[Slot], fields: &[Field], optional: bool, named: bool| {
            list(&mut out, root, slots, fields, optional, named);
        };
        under(&Root::Participant, &[], &participant::BUILT_IN.fields, false, r.percent(30));
        under(&Root::Participant, &[], &self.own, false, true);
        under(&Root::Context, &[], &context::BUILT_IN.fields, false, r.percent(30));
        under(&Root::Context, &[], &self.added, false, true);
        under(&Root::Resource, &[], &self.resource, false, r.percent(30));
        for (place, (name, ty)) in self.params.iter().enumerate() {
            let Some(ty) = ty else { continue };
            let root = Root::Arg(u16::try_from(place).unwrap_or(0), name.clone());
            if let Kind::Record(record) = &ty.kind {
                list(&mut out, &root, &[], &record.fields, ty.optional, r.percent(30));
            }
            out.push((Path { root, slots: vec![] }, ty.clone()));
        }
        self.paths = out;
    }

    pub(super) fn roots(&self) -> Vec<(&str, Root, Described)> {
        let record = |built_in: &RecordType, own: &[Field]| {
            let fields = built_in.fields.iter().chain(own).cloned().collect();
            Described::required(Kind::Record(Arc::new(RecordType { name: built_in.name.clone(), fields })))
        };
        let resource = RecordType { name: "Photo".into(), fields: vec![] };
        let mut out = vec![
            ("participant", Root::Participant, record(&participant::BUILT_IN, &self.own)),
            ("context", Root::Context, record(&context::BUILT_IN, &self.added)),
            ("entity", Root::Resource, record(&resource, &self.resource)),
        ];
        for (place, (name, ty)) in self.params.iter().enumerate() {
            if let Some(ty) = ty {
                out.push((name, Root::Arg(u16::try_from(place).unwrap_or(0), name.clone()), ty.clone()));
            }
        }
        out
    }

    pub(super) fn request(&self, r: &mut Random) -> Facets {
        let application = Scope::application("acme", "photos").unwrap_or(Scope::System);
        let organization = Scope::organization("acme").unwrap_or(Scope::System);
        let scope = match r.below(4) {
            0 => Scope::System,
            1 => organization,
            _ => application.clone(),
        };
        let mut builder = Participant::builder(scope, r.one(&["u-1", "a/b", "é\"x"])).mfa(r.percent(50));
        for role in ["finance", "admin", "a\"b"] {
            if r.percent(40) {
                builder = builder.role(role);
            }
        }
        if r.percent(50) {
            builder = builder.email("a@b.c");
        }
        if r.percent(50) {
            builder = builder.tenant(r.one(&TEXTS));
        }
        for field in &self.own {
            if let Some(value) = value_of(r, &field.ty, self.wild) {
                builder = builder.attribute(&field.name, value);
            }
        }
        let mut facts = Facts { mfa: r.percent(50), ..Facts::default() };
        if r.percent(60) {
            facts.ip = r.one(&ADDRESSES).parse().ok();
        }
        if r.percent(50) {
            facts.connection = Some(r.one(&TEXTS).into());
        }
        for field in &self.added {
            if let Some(value) = value_of(r, &field.ty, self.wild) {
                facts.attributes.insert(&field.name, value);
            }
        }
        let mut resource_parents = chain(&application);
        if r.percent(50) {
            resource_parents.push(EntityUid::new("com::example::Album", r.one(&["a1", "a2"])));
        }
        let args = self.params.iter().map(|(_, ty)| argument(r, ty.as_ref(), self.wild)).collect();
        Facets {
            participant: builder.build(),
            principal: self.principal.clone(),
            facts,
            time: Millis(r.one(&INSTANTS)),
            resource_id: r.one(&["p1", "p2"]).into(),
            resource: (!self.wild || r.percent(95)).then(|| placed(r, &self.resource, self.wild)),
            resource_parents,
            action: EntityUid::new("com::example::Action", ACTION),
            groups: vec![EntityUid::new("com::example::Action", GROUP)],
            args,
        }
    }
}

impl Facets {
    /// Lends the request.
    pub(super) fn with_env<T>(&self, ask: impl FnOnce(&Env<'_>) -> T) -> T {
        let args: Vec<ValueRef<'_>> = self
            .args
            .iter()
            .map(|arg| match arg {
                Argument::Absent => ValueRef::Absent,
                Argument::Plain(value) => value.as_ref(),
                Argument::Placed(record) => ValueRef::record(record),
            })
            .collect();
        let env = Env {
            principal: EntityRef { kind: &self.principal, id: self.participant.uid_id() },
            principal_parents: self.participant.parents(),
            participant: (&self.participant).into(),
            action: EntityRef::from(&self.action),
            action_groups: &self.groups,
            resource: EntityRef { kind: RESOURCE, id: &self.resource_id },
            resource_parents: &self.resource_parents,
            attributes: self.resource.as_ref().map(|r| r as &(dyn Record + Sync)),
            context: Context { time: self.time, facts: &self.facts },
            args: &args,
        };
        ask(&env)
    }

    /// All that is known, for a report.
    pub(super) fn describe(&self) -> String {
        self.with_env(|env| {
            let resource = env.attributes.map_or(ValueRef::Absent, ValueRef::record);
            format!(
                "principal {}::{:?} {}\nresource {:?} {resource}\ncontext {}\nargs {:?}",
                env.principal.kind,
                env.principal.id,
                ValueRef::record(&env.participant),
                env.resource.id,
                ValueRef::record(&env.context),
                env.args,
            )
        })
    }
}

fn list(out: &mut Vec<(Path, Described)>, root: &Root, slots: &[Slot], fields: &[Field], optional: bool, named: bool) {
    for (place, field) in fields.iter().enumerate() {
        let index = if named { Slot::BY_NAME } else { u16::try_from(place).unwrap_or(Slot::BY_NAME) };
        let mut slots = slots.to_vec();
        slots.push(Slot { index, name: field.name.clone() });
        let ty = Described { optional: optional || field.ty.optional, ..field.ty.clone() };
        if let Kind::Record(record) = &ty.kind {
            list(out, root, &slots, &record.fields, ty.optional, named);
        }
        out.push((Path { root: root.clone(), slots }, ty));
    }
}

/// Up to five attributes with names of their own and none of `taken`.
fn fields(r: &mut Random, depth: usize, taken: &[Field]) -> Vec<Field> {
    let mut out: Vec<Field> = Vec::new();
    for _ in 0..r.below(6) {
        let name = r.one(&NAMES);
        if out.iter().chain(taken).any(|f| &*f.name == name) {
            continue;
        }
        let kind = kind(r, depth);
        let ty = Described { kind, optional: r.percent(50), fallible: false };
        out.push(Field { name: name.into(), rust_name: name.into(), ty, secret: false });
    }
    out
}

fn kind(r: &mut Random, depth: usize) -> Kind {
    match r.below(10) {
        0 if depth > 0 => {
            Kind::Record(Arc::new(RecordType { name: "Inner".into(), fields: fields(r, depth - 1, &[]) }))
        }
        0 | 1 => Kind::Set(Arc::new(scalar(r))),
        _ => scalar(r),
    }
}

pub(super) fn scalar(r: &mut Random) -> Kind {
    match r.below(9) {
        0 => Kind::Bool,
        1 | 2 => Kind::Long,
        3 => Kind::Decimal,
        4 => Kind::Uuid,
        5 => Kind::Datetime,
        6 => Kind::Ip,
        7 => Kind::Enum(["a", "b", "finance"].map(Arc::from).into()),
        _ => Kind::Text,
    }
}

/// A value of a kind; one in a hundred is of another, as data from outside can be.
fn value_of(r: &mut Random, ty: &Described, wild: bool) -> Option<Value> {
    if ty.optional && r.percent(45) {
        return None;
    }
    if wild && r.percent(1) {
        let other = scalar(r);
        return Some(value(r, &other));
    }
    Some(value(r, &ty.kind))
}

pub(super) fn value(r: &mut Random, kind: &Kind) -> Value {
    match kind {
        Kind::Bool => Value::Bool(r.percent(50)),
        Kind::Long => Value::Long(if r.percent(50) { r.one(&LONGS) } else { i64::try_from(r.below(9)).unwrap_or(0) }),
        Kind::Decimal => Value::Decimal(Decimal::from_scaled(r.one(&SCALED))),
        Kind::Text => Value::text(r.one(&TEXTS)),
        Kind::Uuid => Value::Uuid(if r.percent(50) { 0x67e5_5044_10b1_426f_9247_bb68_0e5f_e0c8 } else { 7 }),
        Kind::Enum(variants) => Value::Text(r.pick(variants).cloned().unwrap_or_default()),
        Kind::Datetime => Value::Datetime(Millis(r.one(&INSTANTS))),
        Kind::Ip => Value::Ip(address(r.one(&ADDRESSES))),
        Kind::Set(item) => {
            let count = r.below(4);
            Value::Set((0..count).map(|_| value(r, item)).collect())
        }
        Kind::Record(record) => {
            let fields = record.fields.iter().filter_map(|f| Some((f.name.clone(), value_of(r, &f.ty, false)?)));
            Value::Record(fields.collect::<BTreeMap<_, _>>())
        }
    }
}

pub(super) fn range(r: &mut Random) -> Value {
    Value::Ip(address(r.one(&RANGES)))
}

fn address(text: &str) -> crate::value::IpRange {
    text.parse().unwrap_or(crate::value::IpRange::single(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)))
}

fn placed(r: &mut Random, fields: &[Field], wild: bool) -> Indexed {
    Indexed(fields.iter().map(|f| (f.name.clone(), value_of(r, &f.ty, wild))).collect())
}

fn argument(r: &mut Random, ty: Option<&Described>, wild: bool) -> Argument {
    match ty {
        Some(ty) if ty.optional && r.percent(45) => Argument::Absent,
        Some(Described { kind: Kind::Record(record), .. }) => Argument::Placed(placed(r, &record.fields, wild)),
        Some(ty) => Argument::Plain(value(r, &ty.kind)),
        None => Argument::Absent,
    }
}
