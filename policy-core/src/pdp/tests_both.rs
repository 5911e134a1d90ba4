//! Decisions by both: they agree where nothing is wrong, and a difference denies.

use super::*;
use crate::decision::DenialKind;
use crate::decl::ActionDecl;
use crate::participant::Participant;
use crate::testdata::*;
use crate::value::{Value, ValueRef};

const TARGET: &str = "principal, action == com::example::Action::\"OrderService.placeOrder\", resource";

fn both() -> Engine {
    let declared =
        ActionDecl { was: &["OrderService.oldName"], ..place_order(&["order.amount < 50", "participant.mfa"]) };
    let engine = engine(vec![declared]).by_both();
    let source = SetSource {
        cedar: vec![(
            "rules.cedar".to_owned(),
            format!(
                "@id(\"mine\") forbid ({TARGET}) when {{ context.args.order has note && context.args.order.note like \"*x*\" }};\n\
                 @id(\"sum\") forbid ({TARGET}) when {{ context.args.order.amount + 9223372036854775800 == 3 }};"
            ),
        )],
        ..rules(&[("old", "forbid com.example.OrderService.oldName when order.status == 'sent'")])
    };
    engine.replace(&acme(), &source).unwrap();
    engine
}

fn kind(decision: &Decision) -> Option<DenialKind> {
    decision.denial().map(|d| d.kind)
}

#[test]
fn both_say_the_same_of_every_outcome() {
    let engine = both();
    let (alice, bob) = (alice().mfa(true).build(), Participant::builder(orders(), "bob").build());
    let with = |name: &str, value: Value| {
        let mut order = an_order(5);
        order.insert(name.into(), value);
        order
    };
    for (who, order, expect) in [
        (&alice, an_order(5), None),
        (&bob, an_order(5), Some(DenialKind::NotPermitted)),
        (&alice, an_order(50), Some(DenialKind::ForbidFailed)),
        (&alice, with("note", Value::text("a x b")), Some(DenialKind::Forbidden)),
        (&alice, with("status", Value::text("sent")), Some(DenialKind::Forbidden)),
        (&alice, with("amount", Value::text("5")), Some(DenialKind::Unusable)),
    ] {
        assert_eq!(kind(&ask(&engine, who, &order)), expect, "{order:?}");
    }
}

#[test]
fn a_disagreement_denies_and_is_told() {
    let alice = alice().mfa(true).build();
    for (scope, tier) in [(Scope::System, Tier::System), (acme(), Tier::Organization), (orders(), Tier::Application)] {
        let engine = both();
        assert!(engine.judge_by(&scope, &format!("@id(\"injected\") forbid ({TARGET});")));
        let denied = ask(&engine, &alice, &an_order(5));
        let denial = denied.denial().expect("it is denied");
        assert_eq!((denial.kind, denial.tier), (DenialKind::Disagreement, Some(tier)));
        assert!(denial.message.contains("Cedar says [`injected`] decide"), "{}", denial.message);
        assert!(denial.message.ends_with("(it was allowed)"), "{}", denial.message);
        assert!(!engine.judge_by(&scope, ""), "it was put to Cedar before");
    }
}

#[test]
fn what_we_deny_stays_denied_where_cedar_allows() {
    let engine = both();
    assert!(engine.judge_by(&acme(), "@id(\"open\") permit (principal, action, resource);"));
    let sent = {
        let mut order = an_order(5);
        order.insert("status".into(), Value::text("sent"));
        order
    };
    let denied = ask(&engine, &alice().mfa(true).build(), &sent);
    assert_eq!(kind(&denied), Some(DenialKind::Disagreement));
    assert!(!denied.is_allowed());
}

#[test]
fn cedar_that_cannot_be_asked_denies() {
    let engine = both();
    // No rule reads it, and Cedar cannot be told.
    let own = Row(vec![("team", ValueRef::Unusable("too long"))]);
    let odd = alice().mfa(true).attributes(&own).build();
    let denied = ask(&engine, &odd, &an_order(5));
    assert_eq!(kind(&denied), Some(DenialKind::Disagreement));
    assert!(denied.denial().is_some_and(|d| d.message.contains("Cedar cannot be asked")));
}
