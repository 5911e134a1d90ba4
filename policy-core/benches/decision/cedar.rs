//! The same decision by Cedar's own evaluator, set up as its documentation advises: policies parsed once, no schema on the
//! way of a request, entities made from values and not from JSON.

use std::collections::{HashMap, HashSet};
use std::str::FromStr;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicySet, Request,
    RestrictedExpression,
};

use super::world::{Order, User};

const RULE: &str = r#"permit (principal, action == bench::Action::"OrderService.placeOrder", resource)
when { principal.roles.contains("finance") && context.args.order.amount < 50000 && context.args.order.ownerId == principal.id };"#;

/// Cedar with everything that can be prepared.
pub struct Peer {
    authorizer: Authorizer,
    /// From System down; the last one has the rule.
    tiers: Vec<PolicySet>,
    types: Types,
    prepared: (Request, Entities),
}

/// Names of types, parsed once.
struct Types {
    participant: EntityTypeName,
    role: EntityTypeName,
    application: EntityTypeName,
    organization: EntityTypeName,
    system: EntityTypeName,
    service: EntityTypeName,
    action: EntityTypeName,
}

impl Types {
    fn new() -> Self {
        let name = |text| EntityTypeName::from_str(text).expect("a name");
        Self {
            participant: name("Platform::Participant"),
            role: name("Platform::Role"),
            application: name("Platform::Application"),
            organization: name("Platform::Organization"),
            system: name("Platform::System"),
            service: name("bench::OrderService"),
            action: name("bench::Action"),
        }
    }
}

fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

impl Peer {
    /// Only the rule.
    pub fn one_tier(user: &User, order: &Order) -> Self {
        Self::new([RULE.to_owned()], user, order)
    }

    /// The shipped baselines above the rule.
    pub fn three_tiers(user: &User, order: &Order) -> Self {
        let baselines = [policy_core::cedar::baseline::SYSTEM, policy_core::cedar::baseline::ORGANIZATION];
        Self::new(baselines.map(str::to_owned).into_iter().chain([RULE.to_owned()]), user, order)
    }

    /// The rule and policies beside it.
    pub fn with(policies: &str, user: &User, order: &Order) -> Self {
        Self::new([format!("{policies}\n{RULE}")], user, order)
    }

    fn new(tiers: impl IntoIterator<Item = String>, user: &User, order: &Order) -> Self {
        let tiers = tiers.into_iter().map(|text| PolicySet::from_str(&text).expect("the policies parse")).collect();
        let types = Types::new();
        let prepared = (request(&types, user, order), entities(&types, user));
        Self { authorizer: Authorizer::new(), tiers, types, prepared }
    }

    /// Decides what was prepared.
    #[inline(never)]
    pub fn prebuilt(&self) -> bool {
        let (request, entities) = &self.prepared;
        self.ask(request, entities)
    }

    /// Makes the request and its entities, and decides.
    #[inline(never)]
    pub fn per_call(&self, user: &User, order: &Order) -> bool {
        self.ask(&request(&self.types, user, order), &entities(&self.types, user))
    }

    fn ask(&self, request: &Request, entities: &Entities) -> bool {
        self.tiers.iter().all(|tier| {
            let response = self.authorizer.is_authorized(request, tier, entities);
            response.decision() == Decision::Allow
        })
    }
}

fn text(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}

fn request(types: &Types, user: &User, order: &Order) -> Request {
    let fields = [
        ("id".to_owned(), text(&order.id)),
        ("amount".to_owned(), RestrictedExpression::new_long(order.amount)),
        ("ownerId".to_owned(), text(&order.owner_id)),
    ];
    let order = RestrictedExpression::new_record(fields).expect("the names differ");
    let args = RestrictedExpression::new_record([("order".to_owned(), order)]).expect("the names differ");
    let context = Context::from_pairs([("args".to_owned(), args)]).expect("the names differ");
    let principal = uid(&types.participant, &user.id);
    let action = uid(&types.action, "OrderService.placeOrder");
    Request::new(principal, action, uid(&types.service, "orders"), context, None).expect("no schema is asked")
}

fn entities(types: &Types, user: &User) -> Entities {
    let scopes = || [uid(&types.application, "orders"), uid(&types.organization, "acme"), uid(&types.system, "system")];
    let parents: HashSet<EntityUid> = user.roles.iter().map(|role| uid(&types.role, role)).chain(scopes()).collect();
    let roles = RestrictedExpression::new_set(user.roles.iter().map(|role| text(role)));
    let attributes = HashMap::from([
        ("id".to_owned(), text(&user.id)),
        ("roles".to_owned(), roles),
        ("tier".to_owned(), text("application")),
        ("mfa".to_owned(), RestrictedExpression::new_bool(true)),
    ]);
    let principal = Entity::new(uid(&types.participant, &user.id), attributes, parents).expect("values evaluate");
    let resource = Entity::new_no_attrs(uid(&types.service, "orders"), scopes().into());
    Entities::from_entities([principal, resource], None).expect("the uids differ")
}
