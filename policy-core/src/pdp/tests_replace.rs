//! Sets that are replaced: what is let in, what is refused and how, and what a rule of each form does.

use std::sync::Arc;

use expect_test::{Expect, expect};

use super::*;
use crate::decl::{ActionDecl, ResourceDecl};
use crate::participant::Participant;
use crate::testdata::*;
use crate::value::{Value, ValueRef};

fn shop() -> Engine {
    engine(vec![place_order(&["order.amount < 50000"])])
}

fn refused(scope: &Scope, source: &SetSource, expect: &Expect) {
    let engine = shop();
    let before = (engine.revisions(&orders()), engine.cedar_of(scope));
    let error = engine.replace(scope, source).unwrap_err();
    expect.assert_eq(&error.to_string());
    assert_eq!((engine.revisions(&orders()), engine.cedar_of(scope)), before, "a bad set changes nothing");
    assert!(ask(&engine, &alice().build(), &an_order(1)).is_allowed());
    assert_eq!(engine.check(scope, source).unwrap_err(), error);
}

fn rule(text: &str) -> SetSource {
    rules(&[("r", text)])
}

#[test]
fn a_bad_rule_says_why_at_the_word() {
    refused(
        &acme(),
        &rule("forbid com.example.OrderService.placeOrder unless order.amuont < 5"),
        &expect![[r#"
        the policy set is refused, and nothing has changed

        r: `order` has no attribute `amuont`
          |
        1 | forbid com.example.OrderService.placeOrder unless order.amuont < 5
          |                                                         ^^^^^^
        help: did you mean `amount`?"#]],
    );
    refused(
        &acme(),
        &rule("forbid com.example.OrderService.placeOrdr when participant.mfa"),
        &expect![[r#"
        the policy set is refused, and nothing has changed

        r: there is no action, service or group `com.example.OrderService.placeOrdr`
          |
        1 | forbid com.example.OrderService.placeOrdr when participant.mfa
          |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        help: did you mean `com.example.OrderService.placeOrder`?"#]],
    );
    refused(
        &acme(),
        &rule("forbid com.example.OrderService.* when order.status == 'stolen'"),
        &expect![[r#"
        the policy set is refused, and nothing has changed

        r: `order.status` is never `stolen`
          |
        1 | forbid com.example.OrderService.* when order.status == 'stolen'
          |                                                        ^^^^^^^^
        help: it is one of `open`, `paid`, `sent`"#]],
    );
    refused(
        &acme(),
        &rule("permit com.example.OrderService.placeOrder when participant.unheard == 1"),
        &expect![[r#"
            the policy set is refused, and nothing has changed

            r: nothing tells the kind of `participant.unheard`
              |
            1 | permit com.example.OrderService.placeOrder when participant.unheard == 1
              |                                                 ^^^^^^^^^^^^^^^^^^^
            help: declare it with `participant = Type`, or compare it with a literal in a rule of the program"#]],
    );
    refused(
        &acme(),
        &rule("forbid com.example.OrderService.placeOrder when not participant.id exists"),
        &expect![[r#"
            the policy set is refused, and nothing has changed

            r: this rule never holds, whatever the data
              |
            1 | forbid com.example.OrderService.placeOrder when not participant.id exists
              |                                                 ^^^^^^^^^^^^^^^^^^^^^^^^^
            help: drop the rule, or say what it should ask"#]],
    );
    refused(
        &acme(),
        &rule("forbid com.example.OrderService.placeOrder when participant.id exists or order.amount < 3"),
        &expect![[r#"
            the policy set is refused, and nothing has changed

            r: this rule always holds, whatever the data
              |
            1 | forbid com.example.OrderService.placeOrder when participant.id exists or order.amount < 3
              |                                                 ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
            help: leave the condition out"#]],
    );
}

#[test]
fn a_forbid_may_read_what_no_rule_of_the_program_reads() {
    let engine = shop();
    let text = "forbid com.example.OrderService.placeOrder unless participant.clearance >= 3";
    engine.replace(&acme(), &rule(text)).unwrap();
    let decide = |participant: Participant| ask(&engine, &participant, &an_order(1));
    assert!(decide(alice().attribute("clearance", Value::Long(3)).build()).is_allowed());
    assert!(!decide(alice().attribute("clearance", Value::Long(2)).build()).is_allowed());
    assert!(!decide(alice().build()).is_allowed(), "missing data closes");
    assert!(!decide(alice().attribute("clearance", Value::text("3")).build()).is_allowed(), "another kind closes");
}

#[test]
fn one_bad_rule_refuses_the_whole_set() {
    let good = "forbid com.example.OrderService.placeOrder unless participant.mfa";
    let engine = shop();
    let error = engine.replace(&acme(), &rules(&[("good", good), ("bad", "forbid nothing.here")])).unwrap_err();
    assert_eq!(error.findings().len(), 1, "{error}");
    assert!(ask(&engine, &alice().build(), &an_order(1)).is_allowed());
    engine.replace(&acme(), &rules(&[("good", good)])).unwrap();
    assert!(!ask(&engine, &alice().build(), &an_order(1)).is_allowed());
    assert!(ask(&engine, &alice().mfa(true).build(), &an_order(1)).is_allowed());
}

#[test]
fn an_application_only_forbids_and_the_refusal_says_where_the_door_is() {
    refused(
        &orders(),
        &rule("permit com.example.OrderService.placeOrder"),
        &expect![[r#"
        the policy set is refused, and nothing has changed

        r: an application's admin can only forbid: nothing at run time opens what the code closed
        help: the door is the annotation of `com.example.OrderService.placeOrder` at src/orders.rs:7"#]],
    );
    refused(
        &orders(),
        &cedar("@id(\"p\") permit (principal, action in com::example::Action::\"OrderService\", resource);"),
        &expect![[r#"
            the policy set is refused, and nothing has changed

            p: an application's admin can only forbid: nothing at run time opens what the code closed
            help: the door is the annotation of `com.example.OrderService.placeOrder` at src/orders.rs:7"#]],
    );
    let engine = shop();
    engine.replace(&orders(), &rule("forbid com.example.OrderService.* when order.amount > 10")).unwrap();
    assert!(ask(&engine, &alice().build(), &an_order(10)).is_allowed());
    let denied = ask(&engine, &alice().build(), &an_order(11));
    assert_eq!(denied.denial().map(|d| (d.tier, d.is_forbidden())), Some((Some(Tier::Application), true)));
}

#[test]
fn a_permit_without_scope_is_refused() {
    refused(
        &acme(),
        &cedar("@id(\"all\") permit (principal, action, resource);"),
        &expect![[r#"
        the policy set is refused, and nothing has changed

        rules.cedar: `all` permits everyone everything
          |
        1 | @id("all") permit (principal, action, resource);
          | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        help: name a principal, an action or a resource: `principal in ..`, `action == ..`, `resource is ..`"#]],
    );
    refused(
        &Scope::System,
        &cedar("@id(\"all\") permit (principal, action, resource) when { principal.mfa };"),
        &expect![[r#"
            the policy set is refused, and nothing has changed

            rules.cedar: `all` permits everyone everything
              |
            1 | @id("all") permit (principal, action, resource) when { principal.mfa };
              | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
            help: name a principal, an action or a resource: `principal in ..`, `action == ..`, `resource is ..`"#]],
    );
}

#[test]
fn ids_are_unique_in_a_set() {
    let one = "forbid com.example.OrderService.placeOrder unless participant.mfa";
    refused(
        &acme(),
        &rules(&[("a", one), ("a", one)]),
        &expect![[r#"
        the policy set is refused, and nothing has changed

        org:acme: two policies have the id `a`
        help: ids are unique in a set"#]],
    );
    let both = SetSource {
        rules: rules(&[("organization.owner", one)]).rules,
        ..cedar("@id(\"x\") forbid (principal, action, resource is Platform::Organization);")
    };
    refused(
        &acme(),
        &both,
        &expect![[r#"
        the policy set is refused, and nothing has changed

        org:acme: two policies have the id `organization.owner`
        help: ids are unique in a set"#]],
    );
    refused(
        &acme(),
        &rules(&[("", one)]),
        &expect![[r#"
        the policy set is refused, and nothing has changed

        org:acme: a rule has no id
        help: give it one, such as `mfa-for-orders`"#]],
    );
}

#[test]
fn an_impossible_cedar_policy_is_an_error_when_saved_and_a_warning_at_the_start() {
    refused(
        &acme(),
        &cedar(
            "@id(\"never\") forbid (principal, action, resource is Platform::Organization) when { principal.mfa && !principal.mfa && false };",
        ),
        &expect![[r#"
            the policy set is refused, and nothing has changed

            rules.cedar: for policy `never`, policy is impossible: the policy expression evaluates to false for all valid requests
              |
            1 | @id("never") forbid (principal, action, resource is Platform::Organization) when { principal.mfa && !principal.mfa && false };
              | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^"#]],
    );
    let registry = registry(vec![place_order(&["order.amount < 5 and not participant.id exists"])]).unwrap();
    assert_eq!(registry.warnings().len(), 1, "{:?}", registry.warnings());
    assert!(registry.warnings()[0].to_string().contains("impossible"), "{}", registry.warnings()[0]);
}

#[test]
fn rules_of_the_system_read_only_the_platforms_types() {
    refused(
        &Scope::System,
        &rule("forbid com.example.OrderService.placeOrder when order.amount > 5"),
        &expect![[r#"
        the policy set is refused, and nothing has changed

        r: there is no root `order` here
          |
        1 | forbid com.example.OrderService.placeOrder when order.amount > 5
          |                                                 ^^^^^
        help: the roots here are `participant`, `context`"#]],
    );
    refused(
        &Scope::System,
        &cedar(
            "@id(\"peek\") forbid (principal, action == com::example::Action::\"OrderService.placeOrder\", resource) when { context.args.order.amount > 5 };",
        ),
        &expect![[r#"
            the policy set is refused, and nothing has changed

            rules.cedar: for policy `peek`, attribute `args` in context for com::example::Action::"OrderService.placeOrder" not found
              |
            1 | @id("peek") forbid (principal, action == com::example::Action::"OrderService.placeOrder", resource) when { context.args.order.amount > 5 };
              |                                                                                                            ^^^^^^^^^^^^^^^^^^^^^^^^^
            help: did you mean `ip`?"#]],
    );
    let declared = ActionDecl { participant: Some(("Staff", staff)), ..place_order(&["participant.level > 1"]) };
    let engine = engine(vec![declared]);
    let error = engine
        .replace(&Scope::System, &rule("forbid com.example.OrderService.placeOrder when participant.level > 5"))
        .unwrap_err();
    assert!(error.to_string().contains("`participant` has no attribute `level`"), "{error}");
    let cedar_rule = "@id(\"x\") forbid (principal, action == com::example::Action::\"OrderService.placeOrder\", resource) when { principal.level > 5 };";
    assert!(engine.replace(&Scope::System, &cedar(cedar_rule)).is_err());
    engine.replace(&Scope::System, &rule("forbid com.example.OrderService.placeOrder unless participant.mfa")).unwrap();
    let staff = alice().attribute("level", Value::Long(5)).attribute("skills", Value::Set(vec![]));
    assert!(!ask(&engine, &staff.clone().build(), &an_order(1)).is_allowed());
    assert!(ask(&engine, &staff.mfa(true).build(), &an_order(1)).is_allowed());
}

#[test]
fn missing_data_closes_in_every_form_of_forbid() {
    let condition = "order.note == 'gift'";
    let with = |note: Option<&str>| {
        let mut order = an_order(1);
        order.extend(note.map(|note| (Arc::from("note"), Value::text(note))));
        order
    };
    for (form, gift, other) in [("when", false, true), ("unless", true, false)] {
        for target in ["com.example.OrderService.placeOrder", "com.example.OrderService", "com.example.OrderService.*"]
        {
            let engine = shop();
            engine.replace(&acme(), &rule(&format!("forbid {target} {form} {condition}"))).unwrap();
            let allowed = |note| ask(&engine, &alice().build(), &with(note)).is_allowed();
            assert_eq!(
                (allowed(Some("gift")), allowed(Some("x")), allowed(None)),
                (gift, other, false),
                "{form} {target}"
            );
        }
    }
    let engine = shop();
    engine.replace(&acme(), &rule("forbid com.example.OrderService.placeOrder")).unwrap();
    assert!(!ask(&engine, &alice().build(), &an_order(1)).is_allowed());
}

#[test]
fn a_rule_on_a_group_reads_only_what_all_its_actions_have() {
    let second =
        ActionDecl { id: "OrderService.cancel", function: "cancel", params: &[], ..place_order(&["participant.mfa"]) };
    let engine = engine(vec![place_order(&["order.amount > 0"]), second]);
    let error = engine.replace(&acme(), &rule("forbid com.example.OrderService.* when order.amount > 5")).unwrap_err();
    assert!(error.to_string().contains("there is no root `order` here"), "{error}");
    engine.replace(&acme(), &rule("forbid com.example.OrderService.* unless participant.mfa")).unwrap();
    assert!(!ask(&engine, &alice().build(), &an_order(1)).is_allowed());
    let cancel = engine.action("com.example.OrderService.cancel").unwrap();
    assert!(ask_for(&engine, &alice().mfa(true).build(), cancel, &orders(), None, &[]).is_allowed());
}

#[test]
fn a_group_of_different_participant_types_reads_what_is_built_in() {
    let second =
        ActionDecl { id: "OrderService.cancel", function: "cancel", params: &[], ..place_order(&["participant.mfa"]) };
    let engine = engine(vec![
        ActionDecl { participant: Some(("Staff", staff)), ..place_order(&["participant.level > 1"]) },
        second,
    ]);
    assert!(engine.replace(&acme(), &rule("forbid com.example.OrderService.* when participant.level > 5")).is_err());
    engine.replace(&acme(), &rule("forbid com.example.OrderService.* unless participant.mfa")).unwrap();
}

#[test]
fn former_names_match_in_rules_and_in_cedar() {
    let renamed = ActionDecl { was: &["OrderDesk.place", "org.old.Desk.place"], ..place_order(&["order.amount > 0"]) };
    let engine = engine(vec![renamed]);
    assert_eq!(engine.action("com.example.OrderDesk.place"), engine.action("com.example.OrderService.placeOrder"));
    for source in [
        rule("forbid com.example.OrderDesk.place"),
        rule("forbid org.old.Desk.place"),
        rule("forbid com.example.OrderDesk.*"),
        cedar("@id(\"f\") forbid (principal, action == com::example::Action::\"OrderDesk.place\", resource);"),
        cedar("@id(\"f\") forbid (principal, action in com::example::Action::\"OrderDesk\", resource);"),
        cedar(
            "@id(\"f\") forbid (principal, action == org::old::Action::\"Desk.place\", resource) when { context.args == context.args };",
        ),
    ] {
        engine.replace(&acme(), &source).unwrap();
        assert!(!ask(&engine, &alice().build(), &an_order(1)).is_allowed(), "{source:?}");
    }
}

#[test]
fn revisions_count_and_are_never_reused() {
    let engine = shop();
    let mut seen = std::collections::BTreeSet::new();
    let first = engine.revisions(&orders());
    seen.insert(first[1]);
    let mfa = rule("forbid com.example.OrderService.* unless participant.mfa");
    for source in [&mfa, &mfa, &SetSource::default(), &mfa] {
        let activation = engine.replace(&acme(), source).unwrap();
        assert!(seen.insert(activation.revision), "{:?} again", activation.revision);
        assert_eq!(activation.revision.number, activation.before.number + 1);
        assert_eq!(engine.revisions(&orders())[1], activation.revision);
        assert!(engine.replace(&acme(), &rule("forbid nothing")).is_err());
    }
    assert_eq!(engine.revisions(&orders())[0], first[0], "other tiers keep theirs");
    let swapped = |name: &str, text: &str| {
        (
            SetSource { cedar: vec![(name.into(), text.into())], ..SetSource::default() },
            SetSource { rules: vec![(name.into(), text.into())], ..SetSource::default() },
        )
    };
    let (a, b) = swapped("x", "y");
    let hash = |source| admit::revision(&acme(), source, (0, 1)).hash;
    assert_ne!(hash(&a), hash(&b), "a section is part of the content");
}

#[test]
fn a_decision_names_its_permits_until_the_set_changes() {
    let engine = shop();
    let Decision::Allow(allowed) = ask(&engine, &alice().build(), &an_order(1)) else { panic!("denied") };
    let id = |tier| engine.policy_id(&orders(), &allowed, tier).map(|id| id.to_string());
    assert_eq!(id(Tier::System).as_deref(), Some("system.lower-tiers"));
    assert_eq!(id(Tier::Organization).as_deref(), Some("organization.applications"));
    assert_eq!(id(Tier::Application).as_deref(), Some("com.example.OrderService.placeOrder"));
    engine.replace(&acme(), &SetSource::default()).unwrap();
    let id = |tier| engine.policy_id(&orders(), &allowed, tier);
    assert_eq!(id(Tier::Organization), None);
}

#[test]
fn decisions_go_on_while_sets_are_replaced() {
    let engine = Arc::new(shop());
    let mfa = rule("forbid com.example.OrderService.* unless participant.mfa");
    std::thread::scope(|scope| {
        let writer = engine.clone();
        let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let stop = done.clone();
        scope.spawn(move || {
            for _ in 0..5 {
                writer.replace(&acme(), &mfa).unwrap();
                writer.replace(&acme(), &SetSource::default()).unwrap();
            }
            stop.store(true, std::sync::atomic::Ordering::Release);
        });
        let action = engine.action("com.example.OrderService.placeOrder").unwrap();
        let (alice, order, scope_of) = (alice().build(), an_order(1), orders());
        let args = [ValueRef::record(&order)];
        let facts = crate::context::Facts::default();
        let context = crate::context::Context { time: Millis(0), facts: &facts };
        let request = Request { participant: &alice, action, scope: &scope_of, resource: None, context, args: &args };
        while !done.load(std::sync::atomic::Ordering::Acquire) {
            // Even numbers have the rule, odd ones the baseline alone; a batch reads one snapshot.
            let all = engine.decide_all(&[request; 16]);
            assert!(all.windows(2).all(|two| two[0] == two[1]));
            match &all[0] {
                Decision::Allow(allowed) => assert_eq!(allowed.revisions[1].number % 2, 1),
                Decision::Deny(denial) => assert_eq!(denial.revisions[1].number % 2, 0, "{}", denial.message),
            }
        }
    });
}

#[test]
fn explain_tells_every_tier_and_what_may_be_done() {
    let engine = engine(vec![
        place_order(&["participant.roles contains 'finance' and order.amount < 50000"]),
        ActionDecl {
            id: "OrderService.list",
            function: "list",
            ..place_order(&["participant.roles contains 'finance'"])
        },
        ActionDecl {
            id: "OrderService.purge",
            function: "purge",
            ..place_order(&["participant.roles contains 'root'"])
        },
    ]);
    engine
        .replace(
            &acme(),
            &rule("forbid com.example.OrderService.placeOrder unless participant.mfa or order.amount < 10"),
        )
        .unwrap();
    let (alice, order, scope) = (alice().build(), an_order(60_000), orders());
    let args = [ValueRef::record(&order)];
    let facts = crate::context::Facts::default();
    let context = crate::context::Context { time: Millis(0), facts: &facts };
    let action = engine.action("com.example.OrderService.placeOrder").unwrap();
    let explained =
        engine.explain(&Request { participant: &alice, action, scope: &scope, resource: None, context, args: &args });
    let lines: Vec<String> = explained
        .tiers
        .iter()
        .flat_map(|t| {
            t.policies.iter().map(move |p| {
                let values: Vec<_> = p.values.iter().map(|v| format!("{} is {}", v.path, v.value)).collect();
                format!(
                    "{} {}: {} {} {:?} | {} | {}",
                    t.tier,
                    t.answer,
                    p.effect,
                    p.id,
                    p.outcome,
                    p.clause.as_deref().unwrap_or("-"),
                    values.join(", ")
                )
            })
        })
        .collect();
    expect![[r#"
        system yes: permit system.lower-tiers Ok(true) | - | 
        system yes: permit system.administrator Ok(false) | system.administrator | participant.tier is 'application', participant.roles is ['finance']
        organization NO: forbid r Ok(true) | participant.mfa or order.amount < 10 | participant.mfa is false, order.amount is 60000
        organization NO: permit organization.applications Ok(true) | - | 
        organization NO: permit organization.owner Ok(false) | organization.owner | participant.tier is 'application', participant.roles is ['finance']
        organization NO: permit organization.admin Ok(false) | organization.admin | participant.tier is 'application', participant.roles is ['finance']
        application NO: permit com.example.OrderService.placeOrder Ok(false) | order.amount < 50000 | order.amount is 60000"#]].assert_eq(&lines.join("\n"));
    let may = |who: &Participant| -> Vec<String> {
        engine
            .possible(who, &scope, context)
            .iter()
            .filter(|p| p.action.namespace() == "com.example")
            .map(|p| format!("{}: {:?}", p.action.id(), p.may))
            .collect()
    };
    assert_eq!(
        may(&alice),
        ["OrderService.list: Always", "OrderService.placeOrder: Depends", "OrderService.purge: Never"]
    );
    let nobody = Participant::builder(orders(), "n").build();
    assert_eq!(
        may(&nobody),
        ["OrderService.list: Never", "OrderService.placeOrder: Never", "OrderService.purge: Never"]
    );
    engine.replace(&orders(), &rule("forbid com.example.OrderService.list")).unwrap();
    assert_eq!(may(&alice)[0], "OrderService.list: Never");
    let other = Participant::builder(Scope::application("globex", "parts").unwrap(), "m").role("finance").build();
    assert_eq!(
        may(&other),
        ["OrderService.list: Never", "OrderService.placeOrder: Never", "OrderService.purge: Never"]
    );
}

#[test]
fn possible_looks_at_what_each_policy_is_about() {
    let engine = engine(vec![ActionDecl {
        id: "share",
        resource: ResourceDecl::Parameter { name: "order", entity: photo },
        ..place_order(&["participant.roles contains 'finance'"])
    }]);
    let facts = crate::context::Facts::default();
    let context = crate::context::Context { time: Millis(0), facts: &facts };
    let (alice, scope) = (alice().build(), orders());
    let action = engine.action("com.example.share").unwrap();
    let may =
        || engine.may(&Request { participant: &alice, action, scope: &scope, resource: None, context, args: &[] });
    assert_eq!(may(), May::Always);
    let forbid = |text: &str| engine.replace(&acme(), &cedar(&format!("@id(\"f\") forbid {text};"))).unwrap();
    forbid("(principal, action == com::example::Action::\"share\", resource == com::example::Photo::\"7\")");
    assert_eq!(may(), May::Depends, "one photo is closed");
    forbid(
        "(principal == Platform::Participant::\"app:acme/orders/bob\", action == com::example::Action::\"share\", resource)",
    );
    assert_eq!(may(), May::Always, "it is about somebody else");
    forbid(
        "(principal == Platform::Participant::\"app:acme/orders/alice\", action == com::example::Action::\"share\", resource)",
    );
    assert_eq!(may(), May::Never);
}

#[test]
fn secrets_are_never_told() {
    let mut order = an_order(1);
    order.insert("pin".into(), Value::Long(4711));
    let Some(Value::Record(customer)) = order.get_mut("customer") else { panic!("no customer") };
    customer.insert("card".into(), Value::text("4000-1234"));
    for rule in [
        "order.pin == 1 and order.amount > 0",
        "not order.customer exists",
        "not order exists",
        "order.customer.card like 'x*'",
    ] {
        let engine = engine(vec![place_order(&[rule])]);
        let denied = format!("{:?}", ask(&engine, &alice().build(), &order));
        assert!(denied.contains("Deny") && !denied.contains("4711") && !denied.contains("4000-1234"), "{denied}");
    }
    let engine = shop();
    for condition in [
        "[context.args.order.customer].contains(context.args.order.customer)",
        "context.args.order has pin && context.args.order.pin + 9223372036854775807 > 5",
        "context.args == context.args",
    ] {
        let target = "principal, action == com::example::Action::\"OrderService.placeOrder\", resource";
        engine
            .replace(&acme(), &cedar(&format!("@id(\"f\") forbid ({target}) when {{ !({condition}) || true }};")))
            .unwrap();
        let denied = format!("{:?}", ask(&engine, &alice().build(), &order));
        assert!(denied.contains("Deny") && !denied.contains("4711") && !denied.contains("4000-1234"), "{denied}");
    }
}

#[test]
fn a_set_that_is_too_large_says_so() {
    let engine = engine(vec![place_order(&["order.amount > 0"])]);
    let before = engine.revisions(&acme());
    let many = cedar(&"permit (principal, action, resource);\n".repeat(200_001));
    let long = cedar(&" ".repeat((64 << 20) + 1));
    for (source, expect) in
        [(many, "the set has 200001 policies, more than 200000"), (long, "bytes, more than 67108864")]
    {
        let refused = engine.replace(&acme(), &source).unwrap_err().to_string();
        assert!(refused.contains(expect), "{refused}");
    }
    assert_eq!(engine.revisions(&acme()), before, "nothing has changed");
}

/// Nothing else brings a hierarchy: no entity is loaded from outside, so there is none that could be deep or go in circles.
#[test]
fn hierarchies_are_as_deep_as_scopes_and_have_no_cycle() {
    for scope in [Scope::System, acme(), orders()] {
        let participant = Participant::builder(scope.clone(), "p").role("a").role("b").build();
        let parents = participant.parents();
        assert_eq!(parents.len(), 2 + 1 + scope.tier() as usize);
        assert!(parents.iter().all(|p| p.id() != participant.uid_id()));
        let distinct: std::collections::BTreeSet<_> = parents.iter().collect();
        assert_eq!(distinct.len(), parents.len());
    }
}
