//! Decisions: tiers, isolation, forbids, what data does to them.

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;

use super::*;
use crate::decision::DenialKind;
use crate::decl::{ActionDecl, ResourceDecl};
use crate::participant::Participant;
use crate::request::{ActionId, Resource};
use crate::testdata::*;
use crate::value::{Value, ValueRef};

fn why(decision: &Decision) -> String {
    decision.denial().map_or_else(|| "allowed".to_owned(), |d| format!("{:?}: {}", d.kind, d.message))
}

fn of(rule: &'static str) -> Engine {
    engine(vec![place_order(&[rule])])
}

fn with_staff(rule: &'static str) -> ActionDecl {
    ActionDecl { participant: Some(("Staff", staff)), ..place_order(&[rule]) }
}

#[test]
fn every_tier_must_allow() {
    let engine = of("participant.roles contains 'finance'");
    let alice = alice().build();
    assert!(ask(&engine, &alice, &an_order(1)).is_allowed());
    let nothing = SetSource { baseline: Baseline::Replaced, ..SetSource::default() };
    for (scope, tier) in [(Scope::System, Tier::System), (acme(), Tier::Organization)] {
        let before = SetSource::default();
        engine.replace(&scope, &nothing).unwrap();
        let denied = ask(&engine, &alice, &an_order(1));
        assert_eq!(denied.denial().map(|d| d.tier), Some(Some(tier)), "an empty set denies");
        engine.replace(&scope, &before).unwrap();
        assert!(ask(&engine, &alice, &an_order(1)).is_allowed());
    }
    let bob = Participant::builder(orders(), "bob").build();
    let denied = ask(&engine, &bob, &an_order(1));
    let denial = denied.denial().unwrap();
    assert_eq!(denial.tiers, [TierAnswer::Allow, TierAnswer::Allow, TierAnswer::Deny]);
    assert_eq!(denial.clause.as_deref(), Some("participant.roles contains 'finance'"));
    assert_eq!(denial.source.as_deref(), Some("src/orders.rs:7"));
    assert_eq!(denial.message, "`participant.roles contains 'finance'` was false: participant.roles is []");
}

#[test]
fn an_upper_tier_never_widens() {
    let engine = of("participant.roles contains 'finance'");
    engine.replace(&acme(), &rules(&[("open", "permit com.example.OrderService.placeOrder")])).unwrap();
    engine.replace(&Scope::System, &rules(&[("open", "permit com.example.OrderService.placeOrder")])).unwrap();
    let bob = Participant::builder(orders(), "bob").build();
    assert!(!ask(&engine, &bob, &an_order(1)).is_allowed());
}

#[test]
fn an_erring_forbid_denies_and_an_erring_permit_does_not_count() {
    let engine = of("order.amount > 0");
    let overflow = "order.amount + 9223372036854775807 > 0".replace("order", "context.args.order");
    let target = "principal, action == com::example::Action::\"OrderService.placeOrder\", resource";
    engine
        .replace(
            &acme(),
            &cedar(&format!(
                "@id(\"f\") forbid ({target}) when {{ {overflow} && false == principal.mfa && principal.mfa }};"
            )),
        )
        .unwrap();
    let denied = ask(&engine, &alice().build(), &an_order(5));
    assert_eq!(
        why(&denied),
        "ForbidFailed: the forbid `f` cannot be decided, so it denies: `+` leaves the range of its kind"
    );
    let permit = SetSource {
        baseline: Baseline::Replaced,
        ..cedar(&format!("@id(\"p\") permit ({target}) when {{ {overflow} }};"))
    };
    engine.replace(&acme(), &permit).unwrap();
    let denied = ask(&engine, &alice().build(), &an_order(5));
    assert_eq!(
        why(&denied),
        "NotPermitted: the permit `p` cannot be decided, so it does not count: `+` leaves the range of its kind"
    );
    assert_eq!(denied.denial().unwrap().errors.len(), 1);
    let two = SetSource {
        baseline: Baseline::Replaced,
        ..cedar(&format!("@id(\"p\") permit ({target}) when {{ {overflow} }}; @id(\"q\") permit ({target});"))
    };
    engine.replace(&acme(), &two).unwrap();
    assert!(ask(&engine, &alice().build(), &an_order(5)).is_allowed(), "another permit still counts");
}

#[test]
fn an_erring_permit_is_reported_beside_one_that_allows() {
    let engine = of("order.amount > 100");
    let target = "principal, action == com::example::Action::\"OrderService.placeOrder\", resource";
    let two = SetSource {
        baseline: Baseline::Replaced,
        ..cedar(&format!(
            "@id(\"p\") permit ({target}) when {{ context.args.order.amount + 9223372036854775807 > 0 }}; @id(\"q\") permit ({target});"
        ))
    };
    engine.replace(&acme(), &two).unwrap();
    let said = ("p".to_owned(), "`+` leaves the range of its kind".to_owned());
    // The organization's other permit lets it through, and the application then denies.
    let denied = ask(&engine, &alice().build(), &an_order(5));
    let denial = denied.denial().unwrap();
    assert_eq!(denial.tiers, [TierAnswer::Allow, TierAnswer::Allow, TierAnswer::Deny]);
    let errors: Vec<_> = denial.errors.iter().map(|(id, why)| (id.to_string(), why.clone())).collect();
    assert_eq!(errors, std::slice::from_ref(&said));
    // All tiers allow it, and whoever asks is told nevertheless.
    let (alice, order, facts, scope) = (alice().build(), an_order(500), crate::context::Facts::default(), orders());
    let explanation = engine.explain(&Request {
        participant: &alice,
        action: engine.action("com.example.OrderService.placeOrder").unwrap(),
        scope: &scope,
        resource: None,
        context: crate::context::Context { time: Millis(0), facts: &facts },
        args: &[ValueRef::record(&order)],
    });
    assert!(explanation.decision.is_allowed());
    let policies = explanation.tiers.iter().flat_map(|tier| &tier.policies);
    let erring: Vec<_> =
        policies.filter_map(|p| p.outcome.as_ref().err().map(|why| (p.id.to_string(), why.clone()))).collect();
    assert_eq!(erring, [said]);
}

#[test]
fn unknown_actions_and_scopes_deny() {
    let engine = of("order.amount > 0");
    let alice = alice().build();
    let denied = ask_for(&engine, &alice, ActionId(9_999), &orders(), None, &[]);
    assert_eq!(denied.denial().map(|d| d.kind), Some(DenialKind::UnknownAction));
    let elsewhere = Scope::application("acme", "unheard-of").unwrap();
    let stranger = Participant::builder(elsewhere.clone(), "x").build();
    let action = engine.action("com.example.OrderService.placeOrder").unwrap();
    let order = an_order(1);
    let denied = ask_for(&engine, &stranger, action, &elsewhere, None, &[ValueRef::record(&order)]);
    assert_eq!(why(&denied), "UnknownScope: `app:acme/unheard-of` has no policy set here");
    // The name of an application of another organization is not the application.
    let impostor = Scope::application("globex", "orders").unwrap();
    let mallory = Participant::builder(impostor.clone(), "m").role("finance").build();
    let denied = ask_for(&engine, &mallory, action, &impostor, None, &[ValueRef::record(&order)]);
    assert_eq!(denied.denial().map(|d| d.kind), Some(DenialKind::UnknownScope));
    let error = engine.replace(&impostor, &SetSource::default()).unwrap_err().to_string();
    assert!(error.contains("an application of this name belongs to another organization"), "{error}");
}

#[test]
fn what_a_kind_cannot_hold_refuses_the_call() {
    let with = |name: &'static str, value: ValueRef<'static>| {
        let mut row =
            vec![("amount", ValueRef::Long(1)), ("status", ValueRef::Text("open")), ("rush", ValueRef::Bool(false))];
        row.retain(|(n, _)| *n != name);
        row.push((name, value));
        let tags: &'static Vec<Value> = Box::leak(Box::default());
        let customer: &'static Row =
            Box::leak(Box::new(Row(vec![("name", ValueRef::Text("Ann")), ("limit", ValueRef::Long(1))])));
        row.push(("tags", ValueRef::Set(tags)));
        row.push(("customer", ValueRef::record(customer)));
        Row(row)
    };
    let big = "a whole number above 9223372036854775807";
    let numbers: &'static Vec<u64> = Box::leak(Box::new(vec![1, u64::MAX]));
    let nested: &'static Row =
        Box::leak(Box::new(Row(vec![("name", ValueRef::Text("x")), ("limit", ValueRef::Unusable(big))])));
    let cases = [
        (
            with("amount", ValueRef::Unusable(big)),
            "`order.amount` is unusable: a whole number above 9223372036854775807",
        ),
        (with("price", ValueRef::Unusable("five places")), "`order.price` is unusable: five places"),
        (
            with("codes", ValueRef::Set(numbers)),
            "`order.codes` is unusable: an item of it: a whole number above 9223372036854775807",
        ),
        (
            Row(vec![("amount", ValueRef::Long(1)), ("customer", ValueRef::record(nested))]),
            "`order.customer.limit` is unusable: a whole number above 9223372036854775807",
        ),
    ];
    // Read by a rule, behind a rule that is true without it, and behind `authenticated`, which reads nothing.
    let all = [
        "order.amount != 5 and order.price != 5.0 and not order.codes contains 5 and order.customer.limit != 5",
        "participant.id exists",
    ];
    let mut engines: Vec<Engine> = all.iter().map(|rule| of(rule)).collect();
    engines.push(engine(vec![place_order(&[])]));
    for engine in &engines {
        for (row, message) in &cases {
            let denied = ask(engine, &alice().build(), row);
            assert_eq!(why(&denied), format!("Unusable: {message}"));
        }
        assert!(
            ask(engine, &alice().build(), &with("amount", ValueRef::Long(1))).is_allowed()
                || engine.registry().export_cedar().contains("price")
        );
    }
}

#[test]
fn wrong_argument_types_deny() {
    let engine = of("order.status != 'paid' and not order.rush");
    let right = an_order(1);
    assert!(ask(&engine, &alice().build(), &right).is_allowed());
    for (name, value) in [("status", Value::Long(1)), ("status", Value::text("stolen")), ("rush", Value::text("no"))] {
        let mut wrong = right.clone();
        wrong.insert(name.into(), value);
        let denied = ask(&engine, &alice().build(), &wrong);
        assert_eq!(denied.denial().map(|d| d.kind), Some(DenialKind::Unusable), "{}", why(&denied));
    }
    let action = engine.action("com.example.OrderService.placeOrder").unwrap();
    for args in [&[][..], &[ValueRef::Long(1)], &[ValueRef::Absent]] {
        let denied = ask_for(&engine, &alice().build(), action, &orders(), None, args);
        assert!(!denied.is_allowed(), "{args:?}");
    }
}

#[test]
fn a_participant_without_what_its_type_requires_is_denied_whatever_the_rule() {
    for rule in [
        "participant.level >= 3",
        "not participant.level >= 3",
        "participant.level != 3",
        "participant.level exists",
        "not participant.level in []",
        "not participant.level in [1, 2]",
        "not participant.skills contains 'x'",
        "participant.level == 3 or participant.mfa == false",
    ] {
        let engine = engine(vec![with_staff(rule)]);
        let denied = ask(&engine, &alice().build(), &an_order(1));
        assert_eq!(denied.denial().map(|d| d.kind), Some(DenialKind::Unusable), "{rule}: {}", why(&denied));
        let wrong = alice().attribute("level", Value::text("x")).attribute("skills", Value::Long(1)).build();
        assert!(!ask(&engine, &wrong, &an_order(1)).is_allowed(), "{rule}");
        let odd = alice().attribute("level", Value::Long(1)).attribute("skills", Value::Set(vec![Value::Long(1)]));
        if rule.contains("skills") {
            assert!(!ask(&engine, &odd.build(), &an_order(1)).is_allowed(), "{rule}");
        }
    }
    // In a forbid too.
    for rule in [
        "when participant.level == 3",
        "when not participant.level exists",
        "unless participant.level != 3",
        "unless participant.level exists",
    ] {
        let engine = engine(vec![with_staff("order.amount > 0")]);
        let text = format!("forbid com.example.OrderService.placeOrder {rule}");
        if engine.replace(&acme(), &rules(&[("f", &text)])).is_err() {
            // Never satisfied for any valid participant, so refused where it is saved.
            assert!(rule.contains("exists"), "{rule}");
            continue;
        }
        assert!(!ask(&engine, &alice().build(), &an_order(1)).is_allowed(), "{rule}");
    }
}

#[test]
fn an_undeclared_attribute_of_another_kind_is_refused_and_an_absent_one_is_unknown() {
    let engine = of("participant.level != 3");
    assert!(ask(&engine, &alice().attribute("level", Value::Long(4)).build(), &an_order(1)).is_allowed());
    let denied = ask(&engine, &alice().build(), &an_order(1));
    assert_eq!(why(&denied), "NotPermitted: `participant.level != 3` was unknown: participant.level is absent");
    let denied = ask(&engine, &alice().attribute("level", Value::text("4")).build(), &an_order(1));
    assert_eq!(why(&denied), "Unusable: `participant.level` is unusable: it is no Long");
}

#[test]
fn attributes_of_a_type_that_are_unusable_are_not_absent() {
    let engine = of("not participant.limit exists or participant.limit < 5");
    let own = Row(vec![("limit", ValueRef::Unusable("too large"))]);
    let denied = ask(&engine, &alice().attributes(&own).build(), &an_order(1));
    assert_eq!(why(&denied), "Unusable: `participant.limit` is unusable: too large");
    assert!(ask(&engine, &alice().build(), &an_order(1)).is_allowed());
}

#[test]
fn a_claim_never_forges_what_is_built_in() {
    let engine = of(
        "participant.roles contains 'admin' or participant.tier == 'system' or participant.id == 'root' or participant.mfa",
    );
    let forged = alice()
        .attribute("roles", Value::Set(vec![Value::text("admin")]))
        .attribute("tier", Value::text("system"))
        .attribute("id", Value::text("root"))
        .attribute("mfa", Value::Bool(true))
        .attributes(&fields([("mfa", Value::Bool(true)), ("id", Value::text("root"))]))
        .build();
    assert!(!ask(&engine, &forged, &an_order(1)).is_allowed());
}

#[test]
fn records_behind_an_open_attribute_are_safe() {
    let engine = of("participant.level != 3");
    for value in [Value::Record(fields([("id", Value::Long(1))])), Value::Set(vec![Value::Long(3)]), Value::Bool(true)]
    {
        let denied = ask(&engine, &alice().attribute("level", value).build(), &an_order(1));
        assert_eq!(denied.denial().map(|d| d.kind), Some(DenialKind::Unusable));
    }
}

#[test]
fn callers_of_other_tiers_have_none_of_the_types_attributes() {
    let declaration = ActionDecl {
        callers: &[Tier::Application, Tier::Organization],
        ..with_staff("participant.level >= 3 or participant.tier == 'organization' and not participant.level exists")
    };
    let engine = engine(vec![declaration]);
    let admin = Participant::builder(acme(), "admin").attribute("level", Value::Long(9)).build();
    assert!(ask(&engine, &admin, &an_order(1)).is_allowed(), "its own `level` is absent here");
    let staff = |level| alice().attribute("level", Value::Long(level)).attribute("skills", Value::Set(vec![])).build();
    assert!(ask(&engine, &staff(3), &an_order(1)).is_allowed());
    assert!(!ask(&engine, &staff(2), &an_order(1)).is_allowed());
}

proptest! {
    #[test]
    fn nobody_reaches_another_organization(caller in 0usize..6, organization in 0usize..2, role in "[a-z]{0,8}", tier in 0usize..3) {
        static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
            let open = |id: &'static str, tier: Tier| ActionDecl {
                id, function: id, tier, callers: &Tier::ALL,
                resource: ResourceDecl::Scope, ..place_order(&[])
            };
            let engine = engine(vec![open("application", Tier::Application), open("organization", Tier::Organization), open("system", Tier::System)]);
            for scope in [acme(), Scope::organization("globex").unwrap(), Scope::System] {
                // Everything is permitted that can be.
                let all = "permit (principal, action, resource is Platform::Organization); permit (principal, action, resource is Platform::Application); permit (principal, action, resource is Platform::System);";
                engine.replace(&scope, &cedar(all)).unwrap();
            }
            engine
        });
        let orders_of = [("acme", "orders"), ("globex", "parts")];
        let scopes = |at: usize| match at {
            0 | 1 => Scope::application(orders_of[at].0, orders_of[at].1).unwrap(),
            2 | 3 => Scope::organization(orders_of[at - 2].0).unwrap(),
            _ => Scope::System,
        };
        let participant = Participant::builder(scopes(caller), "x").role(&role).role("owner").role("administrator").build();
        let (target, id) = match tier {
            0 => (scopes(organization), "com.example.application"),
            1 => (scopes(organization + 2), "com.example.organization"),
            _ => (Scope::System, "com.example.system"),
        };
        let action = ENGINE.action(id).unwrap();
        let allowed = ask_for(&ENGINE, &participant, action, &target, None, &[ValueRef::record(&an_order(1))]).is_allowed();
        let own = participant.scope().tier() == Tier::System || match (&target, participant.scope()) {
            (target @ Scope::Application { .. }, scope @ Scope::Application { .. }) => target == scope,
            (Scope::System, _) | (Scope::Organization(_), Scope::Application { .. }) => false,
            (target, scope) => target.organization_id() == scope.organization_id(),
        };
        prop_assert_eq!(allowed, own);
        // And on an action of another tier than the scope, never.
        let other = ENGINE.action(if tier == 0 { "com.example.organization" } else { "com.example.application" }).unwrap();
        prop_assert!(!ask_for(&ENGINE, &participant, other, &target, None, &[]).is_allowed());
    }
}

#[test]
fn callers_are_those_that_are_declared() {
    let engine = of("order.amount > 0");
    let denied = ask(&engine, &Participant::builder(acme(), "admin").role("owner").build(), &an_order(1));
    assert_eq!(
        why(&denied),
        "Isolation: isolation: `com.example.OrderService.placeOrder` is not open to callers of the organization"
    );
    let denied = ask(&engine, &Participant::builder(Scope::System, "root").build(), &an_order(1));
    assert_eq!(denied.denial().map(|d| d.kind), Some(DenialKind::Isolation));
    let globex = Participant::builder(Scope::application("globex", "parts").unwrap(), "m").role("finance").build();
    assert_eq!(why(&ask(&engine, &globex, &an_order(1))), "Isolation: isolation: globex never reaches acme");
}

#[test]
fn the_part_of_a_tier_that_lacks_a_permit_is_blamed() {
    let declaration = ActionDecl {
        id: "Team.rename",
        tier: Tier::Organization,
        callers: &[Tier::Organization],
        resource: ResourceDecl::Service { name: "Team" },
        ..place_order(&["participant.roles contains 'owner'"])
    };
    let engine = engine(vec![declaration]);
    let action = engine.action("com.example.Team.rename").unwrap();
    let order = an_order(1);
    let ask = |role: &str| {
        let member = Participant::builder(acme(), "m").role(role).build();
        ask_for(&engine, &member, action, &acme(), None, &[ValueRef::record(&order)])
    };
    assert!(ask("owner").is_allowed());
    assert_eq!(ask("member").denial().unwrap().clause.as_deref(), Some("participant.roles contains 'owner'"));
    let create = engine.action("Platform.applications.create").unwrap();
    let nobody = Participant::builder(acme(), "m").build();
    let denied = ask_for(&engine, &nobody, create, &acme(), None, &[]);
    assert!(why(&denied).starts_with("NotPermitted: none of the "), "{}", why(&denied));
}

#[test]
fn an_entity_in_a_parameter_is_the_resource() {
    let declaration = ActionDecl {
        id: "share",
        resource: ResourceDecl::Parameter { name: "order", entity: photo },
        ..place_order(&["order.ownerId == participant.id"])
    };
    let engine = engine(vec![declaration]);
    let action = engine.action("com.example.share").unwrap();
    let ask = |owner: Option<Value>| {
        let mut row = an_order(1);
        row.extend(owner.map(|owner| (Arc::from("ownerId"), owner)));
        let resource = Resource { id: "7", attributes: &row };
        ask_for(&engine, &alice().build(), action, &orders(), Some(resource), &[ValueRef::Absent])
    };
    assert!(ask(Some(Value::text("alice"))).is_allowed());
    assert!(!ask(Some(Value::text("bob"))).is_allowed());
    assert!(!ask(None).is_allowed());
    assert_eq!(ask(Some(Value::Long(1))).denial().map(|d| d.kind), Some(DenialKind::Unusable));
}
