//! Random policies of three tiers over the rows of a table, and who asks.
//!
//! In: chance. Out: [`Sets`], [`Asking`]. Absent: data, and what is decided.

use std::sync::Arc;

use super::random::Random;
use super::world::{self, World};
use super::{admin, language, rules};
use crate::cedar::{self, Fallback};
use crate::check::{self, Typed};
use crate::context::Facts;
use crate::contract::{field, record};
use crate::eval::Truth;
use crate::kind::{Described, Field, Kind};
use crate::lower::{Unknown, lower};
use crate::name::{EntityUid, Scope};
use crate::participant::Participant;
use crate::pdp::unchecked::Unchecked;
use crate::policy::{ActionConstraint, Constraint, Effect, Policy};
use crate::registry::Registry;
use crate::syntax;
use crate::table::Operation;
use crate::value::{IpRange, Millis, Value};

/// The policies of the three tiers.
#[derive(Clone, Default)]
pub(super) struct Sets(pub(super) [Vec<Written>; 3]);

/// A policy and what it was made of.
#[derive(Clone)]
pub(super) struct Written {
    pub(super) policy: Policy,
    pub(super) rule: Option<Typed>,
    pub(super) text: Option<String>,
}

/// Who asks, and when.
pub(super) struct Asking {
    pub(super) participant: Participant,
    pub(super) facts: Facts,
    pub(super) time: Millis,
}

pub(super) fn staff() -> Described {
    record("Staff", own())
}

pub(super) fn own() -> Vec<Field> {
    let f = |name: &str, kind: Kind| field(name, name, Described::optional(kind), false);
    vec![
        f("level", Kind::Long),
        f("budget", Kind::Decimal),
        f("team", Kind::Text),
        f("joined", Kind::Datetime),
        f("home", Kind::Ip),
        f("badge", Kind::Uuid),
        f("skills", Kind::Set(Arc::new(Kind::Text))),
        f("codes", Kind::Set(Arc::new(Kind::Long))),
        f("remote", Kind::Bool),
    ]
}

pub(super) fn application() -> Scope {
    Scope::application("acme", "photos").unwrap_or(Scope::System)
}

impl Asking {
    /// Somebody of the application, of whom nothing else is known.
    pub(super) fn plain() -> Self {
        let participant = Participant::builder(application(), "u-1").build();
        Self { participant, facts: Facts::default(), time: Millis(0) }
    }

    pub(super) fn random(r: &mut Random) -> Self {
        let scope = match r.below(8) {
            0 => Scope::System,
            1 => Scope::organization("acme").unwrap_or(Scope::System),
            _ => application(),
        };
        let mut builder = Participant::builder(scope, r.one(&["u-1", "a", "ab"])).mfa(r.percent(50));
        for role in ["finance", "admin"] {
            if r.percent(50) {
                builder = builder.role(role);
            }
        }
        if r.percent(50) {
            builder = builder.email("a");
        }
        if r.percent(80) {
            builder = builder.tenant(r.one(&["a", "a", "b", "c"]));
        }
        for field in own() {
            if r.percent(60) {
                builder = builder.attribute(&field.name, world::value(r, &field.ty.kind));
            }
        }
        let address = if r.percent(60) { Some(world::value(r, &Kind::Ip)) } else { None };
        let ip: Option<IpRange> = address.and_then(|v| if let Value::Ip(ip) = v { Some(ip) } else { None });
        let facts = Facts { ip, mfa: r.percent(50), ..Facts::default() };
        let time = if let Value::Datetime(at) = world::value(r, &Kind::Datetime) { at } else { Millis(0) };
        Self { participant: builder.build(), facts, time }
    }
}

/// A rule of the language that checks.
pub(super) fn rule(r: &mut Random, world: &World, registry: &Registry) -> Option<(String, Typed)> {
    let entry = registry.actions().find(|(_, entry)| entry.name.id() == "Photo.findAll").map(|(_, entry)| entry)?;
    for _ in 0..20 {
        let depth = 1 + r.below(3);
        let text = language::rule(r, world, depth);
        let Ok(typed) = syntax::parse(&text).and_then(|tree| check::check(&tree, &entry.env)) else { continue };
        // What never or always holds is refused at the start of a program.
        if crate::lower::constant(&lower(&typed, Unknown::Fails)).is_none() {
            return Some((text, typed));
        }
    }
    None
}

impl Sets {
    pub(super) fn random(r: &mut Random, world: &World, registry: &Registry) -> Self {
        let mut out = Self::default();
        for (tier, policies) in out.0.iter_mut().enumerate() {
            // An application's own set only forbids.
            let permits = tier < 2;
            if permits && r.percent(85) {
                policies.push(Written::open());
            }
            let count = r.below(if permits { 3 } else { 2 });
            for n in 0..count {
                if let Some(mut one) = Written::random(r, (world, registry), n) {
                    one.policy.id = format!("t{tier}p{n}").into();
                    if !permits {
                        one.policy.effect = Effect::Forbid;
                    }
                    policies.push(one);
                }
            }
        }
        out
    }
}

fn own_action(id: &str) -> EntityUid {
    EntityUid::new("com::example::Action", id)
}

impl Written {
    /// A permit for everybody.
    pub(super) fn open() -> Self {
        let policy = Policy {
            id: "open".into(),
            effect: Effect::Permit,
            principal: Constraint::Any,
            action: ActionConstraint::Any,
            resource: Constraint::Any,
            condition: Some(crate::ir::Ir::Const(Value::Bool(true))),
            annotations: Vec::new(),
        };
        Self { policy, rule: None, text: None }
    }

    /// A policy made of a rule; its condition is still to be said.
    pub(super) fn of_rule(rule: Typed, text: &str) -> Self {
        Self { rule: Some(rule), text: Some(text.to_owned()), ..Self::open() }
    }

    fn random(r: &mut Random, (world, registry): (&World, &Registry), n: usize) -> Option<Self> {
        let operation = r.pick(&Operation::ALL).copied().unwrap_or(Operation::FindAll);
        let action = match r.below(3) {
            0 => ActionConstraint::Any,
            1 => ActionConstraint::In(vec![own_action(&format!("Photo.{}", operation.group())), own_action("Photo")]),
            _ => ActionConstraint::In(vec![own_action("Photo.allRead"), own_action("Photo.allDelete")]),
        };
        match r.below(10) {
            // Any representation, with errors that admission would refuse.
            0..=3 => {
                let policy = Policy { action, ..rules::policy(r, world, n) };
                Some(Self { policy, rule: None, text: None })
            }
            // Cedar as it is written.
            4 | 5 => {
                let text = admin::policy(r, world, n).to_string();
                let text =
                    text.replace("\"Photos.open\"", "\"Photo.findById\"").replace("\"Photos\"", "\"Photo.allRead\"");
                let loaded = cedar::load(&text, "random.cedar", registry.schema()).ok()?;
                let loaded = loaded.into_iter().next()?;
                Some(Self { policy: loaded.policy, rule: None, text: Some(text) })
            }
            // Rules of the language.
            _ => {
                let (text, typed) = rule(r, world, registry)?;
                let effect = if r.percent(55) { Effect::Permit } else { Effect::Forbid };
                let unknown = if effect == Effect::Permit { Unknown::Fails } else { Unknown::Holds };
                let policy = Policy { effect, action, condition: Some(lower(&typed, unknown)), ..Self::open().policy };
                Some(Self { policy, rule: Some(typed), text: Some(text) })
            }
        }
    }

    pub(super) fn unchecked(&self, registry: &Registry) -> Result<Unchecked, String> {
        let fallback = match (&self.policy.condition, &self.text) {
            (None, Some(text)) => {
                let loaded = cedar::load(text, "random.cedar", registry.schema()).map_err(|e| e.to_string())?;
                loaded.first().map(Fallback::new)
            }
            _ => None,
        };
        let rules = self.rule.clone().map(|rule| {
            let wanted = if self.policy.effect == Effect::Permit { Truth::True } else { Truth::False };
            (rule, wanted)
        });
        Ok(Unchecked { policy: self.policy.clone(), fallback, rules: rules.into_iter().collect() })
    }
}
