//! Many requests at once are decided as each alone, and what is possible is what a decision would say.

use super::*;
use crate::context::{Context, Facts};
use crate::decl::{ActionDecl, ResourceDecl};
use crate::participant::Participant;
use crate::request::Resource;
use crate::testdata::*;
use crate::value::{Millis, Value, ValueRef};

const TARGET: &str = "principal, action == com::example::Action::\"OrderService.placeOrder\", resource";

fn some_orders() -> Vec<Fields> {
    let with = |amount: i64, more: &[(&str, Value)]| {
        let mut order = an_order(amount);
        order.extend(more.iter().map(|(name, value)| ((*name).into(), value.clone())));
        order
    };
    vec![
        with(5, &[]),
        with(50_000, &[]),
        with(i64::MAX, &[]),
        with(5, &[("ownerId", Value::text("alice"))]),
        with(5, &[("ownerId", Value::text("bob")), ("status", Value::text("sent"))]),
        with(5, &[("amount", Value::text("5"))]),
        with(5, &[("status", Value::text("unheard of"))]),
        with(5, &[("gift", Value::Bool(true)), ("note", Value::text("x"))]),
        Fields::new(),
    ]
}

fn people() -> Vec<Participant> {
    vec![
        alice().build(),
        alice().mfa(true).role("admin").email("a@b.c").build(),
        Participant::builder(orders(), "bob").build(),
        Participant::builder(Scope::application("globex", "parts").unwrap(), "mallory").role("finance").build(),
        alice().attribute("team", Value::Long(3)).build(),
    ]
}

#[test]
fn a_batch_is_decided_as_each_alone() {
    for rule in [
        "participant.roles contains 'finance' and order.amount < 50000",
        "participant.roles contains 'admin' or order.ownerId == participant.id",
        "not (order.gift == true) and participant.team == 'red' or participant.mfa",
        "participant.email exists and order.status != 'sent'",
        "order.amount > 0",
        "participant.roles contains 'finance'",
    ] {
        let engine = engine(vec![place_order(&[rule])]);
        let sets = [
            String::new(),
            format!("@id(\"mfa\") forbid ({TARGET}) unless {{ principal.mfa }};"),
            format!("@id(\"sum\") forbid ({TARGET}) when {{ context.args.order.amount + 10 > 60 && principal.mfa }};"),
            "@id(\"role\") forbid (principal in Platform::Role::\"app:acme/orders/admin\", action == com::example::Action::\"OrderService.placeOrder\", resource) when { context.args.order.rush == false };".to_owned(),
            format!(
                "@id(\"one\") forbid ({TARGET}) when {{ resource == com::example::OrderService::\"orders\" && principal.mfa }};"
            ),
        ];
        for set in sets {
            engine.replace(&acme(), &cedar(&set)).unwrap();
            let orders_ = some_orders();
            let (args, facts): (Vec<[ValueRef<'_>; 1]>, _) =
                (orders_.iter().map(|order| [ValueRef::record(order)]).collect(), Facts::default());
            let (scope, people) = (orders(), people());
            let action = engine.action("com.example.OrderService.placeOrder").unwrap();
            let context = Context { time: Millis(0), facts: &facts };
            let requests: Vec<Request<'_>> = people
                .iter()
                .flat_map(|participant| {
                    let one = |args| Request { participant, action, scope: &scope, resource: None, context, args };
                    args.iter().map(move |args| one(args))
                })
                .collect();
            let alone: Vec<Decision> = requests.iter().map(|request| engine.decide(request)).collect();
            assert_eq!(engine.decide_all(&requests), alone, "{rule}\n{set}");
        }
    }
}

#[test]
fn what_is_possible_on_an_entity_is_what_is_decided() {
    let on = |id: &'static str, rule: &'static str| ActionDecl {
        id,
        params: &[],
        resource: ResourceDecl::Entity { entity: photo },
        ..place_order(&[rule])
    };
    let engine = engine(vec![
        on("Photo.findById", "entity.amount < 10"),
        on("Photo.update", "entity.ownerId == participant.id"),
        on("Photo.deleteById", "participant.roles contains 'admin'"),
        place_order(&["order.amount < 10"]),
    ]);
    let (facts, scope) = (Facts::default(), orders());
    let context = Context { time: Millis(0), facts: &facts };
    for participant in people() {
        for order in some_orders() {
            let resource = Resource { id: "p-1", attributes: &order };
            let listed = engine.possible_on(&participant, &scope, context, "com::example::Photo", resource);
            assert_eq!(listed.len(), 3, "only actions on photos are listed");
            for possible in listed {
                let action = engine.action(&possible.action.to_string()).unwrap();
                let decision = ask_for(&engine, &participant, action, &scope, Some(resource), &[]);
                let unusable = decision.denial().is_some_and(|d| d.kind == crate::decision::DenialKind::Unusable);
                match possible.may {
                    May::Always => assert!(decision.is_allowed() || unusable, "{possible:?} {decision:?}"),
                    May::Never => assert!(!decision.is_allowed(), "{possible:?}"),
                    May::Depends => assert!(!decision.is_allowed(), "only what may fail is left open: {possible:?}"),
                }
            }
        }
    }
}
