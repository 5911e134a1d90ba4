//! Cases of policies and the Cedar they become.

use expect_test::{Expect, expect};

use super::*;
use crate::ir::{Binary, Ir, Path, Root, Unary};
use crate::kind::{Described, Field, Kind, RecordType};
use crate::model::{ActionModel, EntityModel, Model};
use crate::name::{ActionName, EntityUid};
use crate::policy::{ActionConstraint, Constraint, Effect, Policy};
use crate::value::{Millis, Slot, Value};

fn field(name: &str, ty: Described) -> Field {
    Field { name: name.into(), rust_name: name.into(), ty, secret: false }
}

/// Orders with an amount, perhaps a note, and an attribute whose name is a keyword.
pub(super) fn shop() -> Model {
    let order = RecordType {
        name: "Order".into(),
        fields: vec![
            field("amount", Described::required(Kind::Long)),
            field("price", Described::required(Kind::Decimal)),
            field("note", Described::optional(Kind::Text)),
            field("in", Described::optional(Kind::Text)),
            field("tags", Described::required(Kind::Set(std::sync::Arc::new(Kind::Text)))),
        ],
    };
    Model {
        entities: vec![EntityModel {
            name: "com::example::OrderService".into(),
            parents: vec!["Platform::Application".into()],
            attributes: vec![field("owner", Described::optional(Kind::Text))],
        }],
        actions: vec![ActionModel {
            name: ActionName::new("com.example", "OrderService.placeOrder"),
            groups: vec!["OrderService".into()],
            principals: vec!["Platform::Participant".into()],
            resource: "com::example::OrderService".into(),
            params: vec![
                ("order".into(), Some(Described::required(Kind::Record(std::sync::Arc::new(order))))),
                ("opaque".into(), None),
            ],
        }],
        context: vec![],
    }
}

fn order(names: &[&str]) -> Path {
    Path { root: Root::Arg(0, "order".into()), slots: names.iter().map(|n| Slot::named(n)).collect() }
}

fn policy(effect: Effect, condition: Ir) -> Policy {
    Policy {
        id: "orders".into(),
        effect,
        principal: Constraint::Any,
        action: ActionConstraint::Eq(EntityUid::new("com::example::Action", "OrderService.placeOrder")),
        resource: Constraint::Any,
        condition: Some(condition),
        annotations: vec![("source".into(), "src/orders.rs:7".into())],
    }
}

fn check(condition: Ir, expect: &Expect) {
    let policy = policy(Effect::Permit, condition);
    expect.assert_eq(&render(&policy).unwrap());
    let found = validate(&[to_pst(&policy).unwrap()], &schema(&shop()).unwrap());
    assert!(!found.has_errors(), "{found}");
}

fn binary(op: Binary, left: Ir, right: Ir) -> Ir {
    Ir::Binary(op, Box::new([left, right]))
}

#[test]
fn conditions_read_as_a_person_would_write_them() {
    let roles = Path { root: Root::Participant, slots: vec![Slot::named("roles")] };
    check(
        Ir::And(vec![
            binary(Binary::Contains, Ir::Path(roles), Ir::Const(Value::text("finance"))),
            binary(Binary::Less, Ir::Path(order(&["amount"])), Ir::Const(Value::Long(50_000))),
        ]),
        &expect![[r#"
            @id("orders")
            @source("src/orders.rs:7")
            permit (
              principal,
              action == com::example::Action::"OrderService.placeOrder",
              resource
            )
            when { principal.roles.contains("finance") && (context.args.order.amount < 50000) };"#]],
    );
}

#[test]
fn a_keyword_is_an_attribute_in_brackets() {
    let guarded = Ir::And(vec![
        Ir::Has(order(&["in"])),
        binary(Binary::Ne, Ir::Path(order(&["in"])), Ir::Const(Value::text("a\"b\\c*"))),
    ]);
    check(
        guarded,
        &expect![[r#"
        @id("orders")
        @source("src/orders.rs:7")
        permit (
          principal,
          action == com::example::Action::"OrderService.placeOrder",
          resource
        )
        when
        {
          (context.args has order) &&
          (context.args.order has "in") &&
          (context.args.order["in"] != "a\"b\\c*")
        };"#]],
    );
}

#[test]
fn several_rules_are_several_clauses() {
    let rule = |n| Ir::And(vec![binary(Binary::Less, Ir::Path(order(&["amount"])), Ir::Const(Value::Long(n)))]);
    check(
        Ir::And(vec![rule(1), rule(2)]),
        &expect![[r#"
        @id("orders")
        @source("src/orders.rs:7")
        permit (
          principal,
          action == com::example::Action::"OrderService.placeOrder",
          resource
        )
        when { context.args.order.amount < 1 }
        when { context.args.order.amount < 2 };"#]],
    );
}

#[test]
fn decimals_instants_and_addresses_are_constructed() {
    let context = |name: &str| Ir::Path(Path { root: Root::Context, slots: vec![Slot::named(name)] });
    check(
        Ir::And(vec![
            binary(
                Binary::Less.of_kind(&Kind::Decimal),
                Ir::Path(order(&["price"])),
                Ir::Const(Value::Decimal("3.5".parse().unwrap())),
            ),
            binary(Binary::Less, context("time"), Ir::Const(Value::Datetime("2027-01-01".parse().unwrap()))),
            binary(Binary::Greater, context("time"), Ir::Const(Value::Datetime(Millis(i64::MIN)))),
            Ir::Has(Path { root: Root::Context, slots: vec![Slot::named("ip")] }),
            binary(Binary::IsInRange, context("ip"), Ir::Const(Value::Ip("10.0.0.0/8".parse().unwrap()))),
            binary(
                Binary::Eq,
                Ir::Unary(Unary::ToHours, Box::new(Ir::Unary(Unary::ToTime, Box::new(context("time"))))),
                Ir::Const(Value::Long(-3)),
            ),
        ]),
        &expect![[r#"
            @id("orders")
            @source("src/orders.rs:7")
            permit (
              principal,
              action == com::example::Action::"OrderService.placeOrder",
              resource
            )
            when
            {
              context.args.order.price.lessThan(decimal("3.5")) &&
              (context.time < datetime("2027-01-01")) &&
              (context.time > datetime("1970-01-01").offset(duration("-106751991167d7h12m55s808ms"))) &&
              (context has ip) &&
              context.ip.isInRange(ip("10.0.0.0/8")) &&
              (context.time.toTime().toHours() == (-3))
            };"#]],
    );
}

#[test]
fn an_empty_set_is_never_written() {
    let empty = || Ir::Const(Value::Set(vec![]));
    let never = binary(Binary::Contains, empty(), Ir::Path(order(&["amount"])));
    let same = binary(Binary::Eq, Ir::Path(order(&["tags"])), empty());
    check(
        Ir::Or(vec![never, same]),
        &expect![[r#"
        @id("orders")
        @source("src/orders.rs:7")
        permit (
          principal,
          action == com::example::Action::"OrderService.placeOrder",
          resource
        )
        when { false || context.args.order.tags.isEmpty() };"#]],
    );
}

#[test]
fn a_forbid_that_lets_absence_through_is_shown_the_closing_form() {
    let cedar = |text: &str| {
        let set: cedar_policy::PolicySet = text.parse().unwrap();
        let found: Vec<_> = set.policies().flat_map(|p| lets_absence_through(p).0).collect();
        found.into_iter().map(|d| d.to_string()).collect::<Vec<_>>()
    };
    let open =
        cedar("forbid (principal, action, resource) when { resource has owner && resource.owner != principal.id };");
    expect!["`policy0` does not forbid where `resource.owner` is absent (help: if absence should forbid too, write `!((resource has owner) && (!(resource.owner != principal.id)))`)"].assert_eq(&open.join("\n"));
    let excused = cedar("forbid (principal, action, resource) unless { !(principal has mfa) || principal.mfa };");
    expect!["`policy0` does not forbid where `principal.mfa` is absent (help: if absence should forbid too, write `(principal has mfa) && principal.mfa`)"].assert_eq(&excused.join("\n"));
    for closed in [
        "forbid (principal, action, resource) when { !(resource has owner) || resource.owner != principal.id };",
        "forbid (principal, action, resource) unless { principal has mfa && principal.mfa };",
        "permit (principal, action, resource) when { resource has owner && resource.owner != principal.id };",
        "forbid (principal, action, resource) when { resource has deletedAt };",
    ] {
        assert_eq!(cedar(closed), Vec::<String>::new(), "{closed}");
    }
}

#[test]
fn an_impossible_policy_and_a_wrong_word_are_found() {
    let found = |condition: &str| {
        let text = format!(
            r#"permit (principal, action == com::example::Action::"OrderService.placeOrder", resource) when {{ {condition} }};"#
        );
        let set: cedar_policy::PolicySet = text.parse().unwrap();
        let policies: Vec<_> = set.policies().cloned().collect();
        let found = validate(&policies, &schema(&shop()).unwrap());
        found.0.iter().fold(String::new(), |out, d| out + &d.render(&text) + "\n")
    };
    expect![[r#"
        for policy `policy0`, attribute `args.order.amuont` in context for com::example::Action::"OrderService.placeOrder" not found
          |
        1 | permit (principal, action == com::example::Action::"OrderService.placeOrder", resource) when { context.args.order.amuont < 3 };
          |                                                                                                ^^^^^^^^^^^^^^^^^^^^^^^^^
        help: did you mean `amount`?
    "#]].assert_eq(&found("context.args.order.amuont < 3"));
    expect![[r#"
        for policy `policy0`, policy is impossible: the policy expression evaluates to false for all valid requests
          |
        1 | permit (principal, action == com::example::Action::"OrderService.placeOrder", resource) when { principal.mfa && !principal.mfa && false };
          | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#]].assert_eq(&found("principal.mfa && !principal.mfa && false"));
    expect![[r#"
        for policy `policy0`, unable to guarantee safety of access to optional attribute `args.order.note` in context for com::example::Action::"OrderService.placeOrder"
          |
        1 | permit (principal, action == com::example::Action::"OrderService.placeOrder", resource) when { context.args.order.note == "x" };
          |                                                                                                ^^^^^^^^^^^^^^^^^^^^^^^
        help: try testing for the attribute's presence with `context.args.order has note && ..`
    "#]].assert_eq(&found("context.args.order.note == \"x\""));
}

#[test]
fn the_schema_is_written_for_people() {
    let text = schema_text(&shop()).unwrap();
    let orders = text.split("namespace").find(|part| part.starts_with(" com::example")).unwrap();
    expect![[r#"
         com::example {
          entity OrderService in [Platform::Application] = {
            owner?: __cedar::String
          };

          action "OrderService";

          action "OrderService.placeOrder" in [Action::"OrderService"] appliesTo {
            principal: [Platform::Participant],
            resource: [com::example::OrderService],
            context: {
              args: {
                order: {
                  amount: __cedar::Long,
                  "in"?: __cedar::String,
                  note?: __cedar::String,
                  price: __cedar::decimal,
                  tags: Set<__cedar::String>
                }
              },
              connection?: __cedar::String,
              ip?: __cedar::ipaddr,
              mfa: __cedar::Bool,
              quota?: __cedar::Long,
              requestId?: __cedar::String,
              time: __cedar::datetime
            }
          };
        }
    "#]]
    .assert_eq(orders);
}

fn loaded(text: &str) -> Result<Vec<Loaded>, crate::diagnostic::Diagnostics> {
    load(text, "rules.cedar", &schema(&shop()).unwrap())
}

fn refused(text: &str) -> String {
    loaded(text).unwrap_err().0.iter().map(|d| format!("{}: {}", d.code, d.render(text))).collect::<Vec<_>>().join("\n")
}

#[test]
fn baselines_are_valid_and_lowered() {
    let schema = schema(&shop()).unwrap();
    for text in [baseline::SYSTEM, baseline::ORGANIZATION] {
        let policies = load(text, "baseline.cedar", &schema).unwrap();
        let cedar: Vec<_> = policies.iter().map(|p| p.cedar.clone()).collect();
        assert_eq!(validate(&cedar, &schema), crate::diagnostic::Diagnostics::default());
        for policy in policies {
            assert_eq!(policy.not_lowered, None);
            assert!(policy.policy.id.contains('.'), "every policy of a baseline has an id: {}", policy.text());
        }
    }
}

#[test]
fn ids_are_taken_or_derived_and_never_twice() {
    let both = loaded(
        "permit (principal, action, resource is Platform::System);\n@id(\"a\") forbid (principal, action, resource);",
    );
    let ids: Vec<_> = both.unwrap().iter().map(|l| (l.policy.id.to_string(), l.cedar.id().to_string())).collect();
    assert_eq!(ids, [("rules#1".into(), "rules#1".into()), ("a".into(), "a".into())]);
    let twice = "@id(\"a\") permit (principal, action, resource);\n@id(\"a\") forbid (principal, action, resource);";
    expect![[r#"
        duplicate-id: two policies have the id `a`
          |
        2 | @id("a") forbid (principal, action, resource);
          | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        help: give each its own `@id`"#]]
    .assert_eq(&refused(twice));
}

#[test]
fn what_is_not_taken_says_so() {
    expect![[r#"
        template: templates are not taken: a `?principal` or `?resource` names nobody
          |
        1 | permit (principal == ?principal, action, resource);
          | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        help: write the entity itself"#]]
    .assert_eq(&refused("permit (principal == ?principal, action, resource);"));
    expect![[r#"
        cedar-syntax: '=' is not a valid operator in Cedar
          |
        1 | permit (principal, action, resource) when { principal.mfa = true };
          |                                             ^^^^^^^^^^^^^^^^^^^^
        help: try using '==' instead"#]]
    .assert_eq(&refused("permit (principal, action, resource) when { principal.mfa = true };"));
    expect![[r#"
        foreign-entity: `Platform::Application::"a" in ..` asks about an entity that is not of the request
          |
        1 | forbid (principal, action, resource) when { Platform::Application::"a" in Platform::Organization::"b" };
          | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        help: only `principal`, `action` and `resource` are known with what they belong to"#]]
    .assert_eq(&refused(
        "forbid (principal, action, resource) when { Platform::Application::\"a\" in Platform::Organization::\"b\" };",
    ));
    let long = format!("forbid (principal, action, resource) when {{ {}true }};", "true && ".repeat(300));
    assert!(refused(&long).starts_with("too-large: `rules#1` has 300 conditions"));
    let deep = format!("forbid (principal, action, resource) when {{ context{} }};", ".a".repeat(2_000));
    assert!(refused(&deep).starts_with("too-large: `rules#1` nests deeper"));
}

#[test]
fn slots_are_resolved_and_the_rest_is_left_to_cedar() {
    let condition = |text: &str| {
        let text = format!(
            r#"forbid (principal, action == com::example::Action::"OrderService.placeOrder", resource) when {{ {text} }};"#
        );
        let one = loaded(&text).unwrap().remove(0);
        (one.policy.condition, one.not_lowered)
    };
    let (Some(Ir::And(clauses)), None) = condition("context.args.order.note like \"a*\"") else { panic!() };
    let Some(Ir::And(inner)) = clauses.first() else { panic!() };
    let Some(Ir::Like(path, _)) = inner.first() else { panic!() };
    let Ir::Path(path) = &**path else { panic!() };
    assert_eq!((path.to_string(), path.slots[0].index), ("order.note".to_owned(), 2));
    assert_eq!(
        condition("context.args.opaque == 1").1.unwrap(),
        "`context.args.opaque`, which not all actions of the policy have in one place"
    );
    assert_eq!(condition("resource.hasTag(\"x\")").1.unwrap(), "`hasTag`");
    assert!(condition("if principal has email then principal.email like \"*@x\" else false").0.is_some());
}
