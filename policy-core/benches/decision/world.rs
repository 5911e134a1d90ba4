//! What is decided: an order is placed by somebody in finance, below a limit, for himself.

use std::sync::Arc;

use policy_core::contract::{self, AttributeValue};
use policy_core::decl::{ActionDecl, ParamDecl, ResourceDecl, RuleDecl};
use policy_core::kind::Described;
use policy_core::pdp::{Engine, SetSource};
use policy_core::registry::Registry;
use policy_core::shape;
use policy_core::source::Place;
use policy_core::value::{Millis, Record, Slot, ValueRef};
use policy_core::{ActionId, Context, Facts, Participant, Request, Scope, Tier};

/// The rule that every engine here decides.
pub const RULE: &str =
    "participant.roles contains 'finance' and order.amount < 50000 and order.ownerId == participant.id";
/// How many actions there are beside the one that is decided.
pub const OTHERS: usize = 100;

const PLACE: Place = Place { file: "benches/decision/world.rs", line: 1 };

/// An argument, as an application would write it.
#[derive(Debug)]
pub struct Order {
    pub id: String,
    pub amount: i64,
    pub owner_id: String,
}

// What `#[derive(Attributes)]` writes.
impl AttributeValue for Order {
    type Shape = shape::Text;
    const SHAPE: shape::Text = shape::Text;
    const FORM: &'static shape::Form = &shape::Form::Text;

    fn describe() -> Described {
        contract::record(
            "Order",
            [
                contract::field("id", "id", String::describe(), false),
                contract::field("amount", "amount", i64::describe(), false),
                contract::field("ownerId", "owner_id", String::describe(), false),
            ],
        )
    }

    fn read(&self) -> ValueRef<'_> {
        ValueRef::record(self)
    }
}

impl Record for Order {
    fn field(&self, slot: &Slot) -> ValueRef<'_> {
        match slot.index {
            0 => self.id.read(),
            1 => self.amount.read(),
            2 => self.owner_id.read(),
            Slot::BY_NAME => match &*slot.name {
                "id" => self.id.read(),
                "amount" => self.amount.read(),
                "ownerId" => self.owner_id.read(),
                _ => ValueRef::Absent,
            },
            _ => ValueRef::Absent,
        }
    }

    fn each_field(&self, visit: &mut dyn FnMut(&str, ValueRef<'_>)) {
        visit("id", self.id.read());
        visit("amount", self.amount.read());
        visit("ownerId", self.owner_id.read());
    }
}

/// A user as a program without any engine would have it.
#[derive(Debug)]
pub struct User {
    pub id: String,
    pub roles: Vec<String>,
}

/// The same decision without any engine.
#[inline(never)]
pub fn by_hand(user: &User, order: &Order) -> bool {
    user.roles.iter().any(|role| role == "finance") && order.amount < 50_000 && order.owner_id == user.id
}

const ROLES: [&str; 3] = ["auditor", "finance", "support"];

/// Who asks, for what, and by which engine it is decided.
#[derive(Debug)]
pub struct World {
    pub engine: Engine,
    pub action: ActionId,
    pub participant: Participant,
    pub scope: Scope,
    pub facts: Facts,
    pub order: Order,
    pub user: User,
}

impl World {
    /// A service of the given tier: one of System is decided by its own rule alone, one of an application by three tiers.
    pub fn new(tier: Tier) -> Self {
        let scope = match tier {
            Tier::System => Scope::System,
            Tier::Organization => Scope::organization("acme").expect("a slug"),
            Tier::Application => Scope::application("acme", "orders").expect("slugs"),
        };
        let mut declarations = vec![declaration("OrderService.placeOrder".to_owned(), tier)];
        declarations.extend((0..OTHERS).map(|n| declaration(format!("OtherService.other{n}"), tier)));
        let registry = Registry::of(&declarations, &[]).expect("the declarations hold together");
        let action = registry.find("bench.OrderService.placeOrder").expect("it is declared");
        let engine = Engine::new(Arc::new(registry)).expect("the baseline is valid");
        match tier {
            Tier::System => {}
            Tier::Organization | Tier::Application => {
                engine.add_organization(scope.organization_id().expect("it has one")).expect("the baseline is valid");
            }
        }
        if tier == Tier::Application {
            engine.add_application(&scope).expect("its organization is known");
        }
        // A scope of the participant's own: in a server it does not come from the engine.
        let own = match &scope {
            Scope::Application { .. } => Scope::application("acme", "orders").expect("slugs"),
            Scope::System | Scope::Organization(_) => scope.clone(),
        };
        let participant = Participant::builder(own, "u-7f3a").roles(ROLES).mfa(true).build();
        let order = Order { id: "o-1".to_owned(), amount: 4_200, owner_id: "u-7f3a".to_owned() };
        let user = User { id: "u-7f3a".to_owned(), roles: ROLES.map(str::to_owned).into() };
        Self { engine, action, participant, scope, facts: Facts::default(), order, user }
    }

    /// The request as a guard makes it for every call.
    pub const fn request<'a>(&'a self, args: &'a [ValueRef<'a>]) -> Request<'a> {
        Request {
            participant: &self.participant,
            action: self.action,
            scope: &self.scope,
            resource: None,
            context: Context { time: Millis(1_800_000_000_000), facts: &self.facts },
            args,
        }
    }

    /// Asks the engine, as a guard does.
    #[inline(never)]
    pub fn decide(&self) -> bool {
        let args = [self.order.read()];
        self.engine.decide(&self.request(&args)).is_allowed()
    }

    /// Gives the organization this many policies.
    pub fn replace_organization(&self, others: Others, count: usize) {
        let organization = Scope::Organization(self.scope.organization_id().expect("it has one").clone());
        let text = policies(others, count);
        let source = SetSource { cedar: vec![("bench.cedar".to_owned(), text)], ..SetSource::default() };
        self.engine.replace(&organization, &source).expect("the set is valid");
    }
}

fn declaration(id: String, tier: Tier) -> &'static ActionDecl {
    let params: &'static [ParamDecl] =
        Box::leak(Box::new([ParamDecl { name: "order", rust_name: "order", describe: || Some(Order::describe()) }]));
    let callers: &'static [Tier] = Box::leak(Box::new([tier]));
    let name: &'static str = Box::leak(id.into_boxed_str());
    Box::leak(Box::new(ActionDecl {
        package: "bench",
        namespace: "bench",
        id: name,
        function: name,
        place: PLACE,
        was: &[],
        tier,
        callers,
        organization: None,
        must_audit: false,
        participant: None,
        resource: ResourceDecl::Service {
            name: if name.starts_with("Order") { "OrderService" } else { "OtherService" },
        },
        params,
        rules: &[RuleDecl { text: RULE, place: PLACE }],
        authenticated: false,
    }))
}

/// What the policies are about that do not matter for the request.
#[derive(Debug, Clone, Copy)]
pub enum Others {
    /// Other actions.
    Actions,
    /// The same action, by participants with other roles.
    Principals,
    /// The same action, on other applications' services.
    Resources,
}

/// An organization's policies as Cedar: one applies to the request, the others do not.
pub fn policies(others: Others, count: usize) -> String {
    let mut text = String::from(
        "@id(\"applies\")\nforbid (principal, action == bench::Action::\"OrderService.placeOrder\", resource)\nunless { principal.mfa };\n",
    );
    for n in 1..count {
        let policy = match others {
            Others::Actions => format!(
                "@id(\"p{n}\")\nforbid (principal, action == bench::Action::\"OtherService.other{}\", resource)\nwhen {{ principal.id == \"u-{n}\" }};\n",
                n % OTHERS
            ),
            Others::Principals => format!(
                "@id(\"p{n}\")\nforbid (principal in Platform::Role::\"app:acme/orders/role-{n}\", action == bench::Action::\"OrderService.placeOrder\", resource)\nwhen {{ context.args.order.amount > {n} }};\n"
            ),
            Others::Resources => format!(
                "@id(\"p{n}\")\nforbid (principal, action == bench::Action::\"OrderService.placeOrder\", resource == bench::OrderService::\"app-{n}\")\nwhen {{ context.args.order.amount > {n} }};\n"
            ),
        };
        text.push_str(&policy);
    }
    text
}
