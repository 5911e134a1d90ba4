//! A small program for tests, declared by hand: orders of the shop `orders` of `acme`, its participants, its facts.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::context::{Context, Facts};
use crate::contract;
use crate::decision::Decision;
use crate::decl::{ActionDecl, EntityDecl, ParamDecl, ResourceDecl, RuleDecl};
use crate::kind::{Described, Kind};
use crate::name::{Scope, Slug, Tier};
use crate::participant::{Participant, ParticipantBuilder};
use crate::pdp::{Engine, SetSource};
use crate::registry::{Registry, RegistryError};
use crate::request::{Request, Resource};
use crate::source::Place;
use crate::value::{Millis, Record, Slot, Value, ValueRef};

/// A record of given values, unusable ones among them.
pub(crate) struct Row(pub(crate) Vec<(&'static str, ValueRef<'static>)>);

impl Record for Row {
    fn field(&self, slot: &Slot) -> ValueRef<'_> {
        self.0.iter().find(|(name, _)| *name == &*slot.name).map_or(ValueRef::Absent, |(_, value)| *value)
    }

    fn each_field(&self, visit: &mut dyn FnMut(&str, ValueRef<'_>)) {
        self.0.iter().for_each(|(name, value)| visit(name, *value));
    }
}

pub(crate) fn described(kind: Kind, optional: bool, fallible: bool) -> Described {
    Described { kind, optional, fallible }
}

pub(crate) fn set_of(kind: Kind) -> Kind {
    Kind::Set(Arc::new(kind))
}

pub(crate) fn variants() -> Kind {
    Kind::Enum(["open", "paid", "sent"].map(Arc::from).into())
}

/// An order as `#[derive(Attributes)]` describes it.
pub(crate) fn order() -> Described {
    let f = |name: &str, ty: Described| contract::field(name, name, ty, false);
    let customer = contract::record(
        "Customer",
        [
            f("name", Described::required(Kind::Text)),
            f("limit", described(Kind::Long, false, true)),
            contract::field("card", "card", Described::optional(Kind::Text), true),
        ],
    );
    contract::record(
        "Order",
        [
            f("amount", described(Kind::Long, false, true)),
            f("price", described(Kind::Decimal, true, true)),
            f("status", Described::required(variants())),
            f("note", Described::optional(Kind::Text)),
            f("tags", Described::required(set_of(Kind::Text))),
            f("codes", described(set_of(Kind::Long), true, true)),
            f("key", Described::optional(Kind::Uuid)),
            f("at", Described::optional(Kind::Datetime)),
            f("from", Described::optional(Kind::Ip)),
            f("rush", Described::required(Kind::Bool)),
            f("gift", Described::optional(Kind::Bool)),
            f("customer", customer),
            contract::field("ownerId", "owner_id", Described::optional(Kind::Text), false),
            contract::field("pin", "pin", Described::optional(Kind::Long), true),
        ],
    )
}

/// What participants of this application are.
pub(crate) fn staff() -> Described {
    let f = |name: &str, ty: Described| contract::field(name, name, ty, false);
    contract::record(
        "Staff",
        [
            f("level", Described::required(Kind::Long)),
            f("team", Described::optional(Kind::Text)),
            f("skills", Described::required(set_of(Kind::Text))),
        ],
    )
}

pub(crate) fn photo() -> EntityDecl {
    EntityDecl { namespace: "com.example", name: "Photo", attributes: order() }
}

pub(crate) const fn rule(text: &'static str) -> RuleDecl {
    RuleDecl { text, place: Place { file: "src/orders.rs", line: 7 } }
}

pub(crate) const ORDER: &[ParamDecl] =
    &[ParamDecl { name: "order", rust_name: "the_order", describe: || Some(order()) }];

/// `OrderService.placeOrder` of the package `shop`, with rules.
pub(crate) fn place_order(rules: &[&'static str]) -> ActionDecl {
    ActionDecl {
        package: "shop",
        namespace: "com.example",
        id: "OrderService.placeOrder",
        function: "shop::OrderService::place_order:7",
        place: Place { file: "src/orders.rs", line: 7 },
        was: &[],
        tier: Tier::Application,
        callers: &[Tier::Application],
        organization: None,
        must_audit: false,
        participant: None,
        resource: ResourceDecl::Service { name: "OrderService" },
        params: ORDER,
        rules: Vec::leak(rules.iter().map(|text| rule(text)).collect()),
        authenticated: rules.is_empty(),
    }
}

pub(crate) fn keep(declaration: ActionDecl) -> &'static ActionDecl {
    Box::leak(Box::new(declaration))
}

pub(crate) fn registry(declarations: Vec<ActionDecl>) -> Result<Registry, RegistryError> {
    let kept: Vec<_> = declarations.into_iter().map(keep).collect();
    Registry::of(&kept, &[])
}

pub(crate) fn orders() -> Scope {
    Scope::application("acme", "orders").unwrap()
}

pub(crate) fn acme() -> Scope {
    Scope::organization("acme").unwrap()
}

/// An engine over declarations, with `acme`'s `orders` and `globex`'s `parts`.
pub(crate) fn engine(declarations: Vec<ActionDecl>) -> Engine {
    let engine = Engine::new(Arc::new(registry(declarations).unwrap())).unwrap();
    engine.add_application(&orders()).unwrap();
    engine.add_application(&Scope::application("globex", "parts").unwrap()).unwrap();
    engine.add_organization(&Slug::new("empty").unwrap()).unwrap();
    engine
}

pub(crate) fn alice() -> ParticipantBuilder {
    Participant::builder(orders(), "alice").role("finance")
}

pub(crate) type Fields = BTreeMap<Arc<str>, Value>;

pub(crate) fn fields<const N: usize>(all: [(&str, Value); N]) -> Fields {
    all.into_iter().map(|(name, value)| (Arc::from(name), value)).collect()
}

/// An order with all that it must have.
pub(crate) fn an_order(amount: i64) -> Fields {
    fields([
        ("amount", Value::Long(amount)),
        ("status", Value::text("open")),
        ("tags", Value::Set(vec![Value::text("new")])),
        ("rush", Value::Bool(false)),
        ("customer", Value::Record(fields([("name", Value::text("Ann")), ("limit", Value::Long(10))]))),
    ])
}

/// Asks about an order.
pub(crate) fn ask(engine: &Engine, participant: &Participant, order: &(dyn Record + Sync)) -> Decision {
    let action = engine.action("com.example.OrderService.placeOrder").unwrap();
    ask_for(engine, participant, action, &orders(), None, &[ValueRef::record(order)])
}

pub(crate) fn ask_for(
    engine: &Engine,
    participant: &Participant,
    action: crate::request::ActionId,
    scope: &Scope,
    resource: Option<Resource<'_>>,
    args: &[ValueRef<'_>],
) -> Decision {
    let facts = Facts { mfa: participant.mfa(), ..Facts::default() };
    let context = Context { time: Millis(1_800_000_000_000), facts: &facts };
    engine.decide(&Request { participant, action, scope, resource, context, args })
}

/// A set of rules of the language on the shipped baseline.
pub(crate) fn rules(all: &[(&str, &str)]) -> SetSource {
    let rules = all.iter().map(|(id, text)| ((*id).to_owned(), (*text).to_owned())).collect();
    SetSource { rules, ..SetSource::default() }
}

/// A set of Cedar on the shipped baseline.
pub(crate) fn cedar(text: &str) -> SetSource {
    SetSource { cedar: vec![("rules.cedar".to_owned(), text.to_owned())], ..SetSource::default() }
}
