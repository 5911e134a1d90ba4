//! The nearest change that opens: told, tried, and no larger than it must be.

use proptest::prelude::*;

use super::altered::Altered;
use super::*;
use crate::context::{Context, Facts};
use crate::participant::Participant;
use crate::testdata::*;
use crate::value::{Record, ValueRef};

fn nearest(engine: &Engine, participant: &Participant, order: &(dyn Record + Sync)) -> (Nearest, bool) {
    let facts = Facts::default();
    let request = Request {
        participant,
        action: engine.action("com.example.OrderService.placeOrder").unwrap(),
        scope: &orders(),
        resource: None,
        context: Context { time: Millis(0), facts: &facts },
        args: &[ValueRef::record(order)],
    };
    let found = engine.nearest(&request);
    let mut altered = Altered::of(&request);
    let applied = match &found {
        Nearest::Change { edits, .. } => edits.iter().all(|edit| altered.edit(edit).is_some()),
        Nearest::Allowed | Nearest::None { .. } => false,
    };
    let opens = applied && altered.ask(&request, |changed| engine.decide(changed).is_allowed());
    (found, opens)
}

fn told(found: &Nearest) -> Vec<String> {
    match found {
        Nearest::Allowed => vec!["allowed".to_owned()],
        Nearest::None { because } => vec![because.clone()],
        Nearest::Change { flips, edits } => {
            let now = |flip: &Flip| {
                flip.now.iter().map(|seen| format!("{} is {}", seen.path, seen.value)).collect::<Vec<_>>()
            };
            let flips = flips.iter().map(|flip| format!("{} ({})", flip.wanted, now(flip).join(", ")));
            flips.chain(edits.iter().map(ToString::to_string)).collect()
        }
    }
}

#[track_caller]
fn check(rule: &'static str, forbids: &[(&str, &str)], amount: i64, expect: &[&str]) {
    let engine = engine(vec![place_order(&[rule])]);
    engine.replace(&acme(), &rules(forbids)).unwrap();
    let (found, opens) = nearest(&engine, &alice().build(), &an_order(amount));
    assert_eq!(told(&found), expect);
    assert_eq!(opens, matches!(found, Nearest::Change { .. }));
}

#[test]
fn the_fewest_conditions_are_told_with_what_they_read() {
    check("order.amount < 50000", &[], 1, &["allowed"]);
    check(
        "order.amount < 50000",
        &[],
        72_000,
        &["order.amount < 50000 (order.amount is 72000)", "order.amount = 49999"],
    );
    check(
        "order.amount < 50000 or participant.mfa and participant.email exists",
        &[],
        72_000,
        &["order.amount < 50000 (order.amount is 72000)", "order.amount = 49999"],
    );
    check(
        "participant.roles contains 'director' and participant.roles contains 'board'",
        &[],
        1,
        &[
            "participant.roles contains 'director' (participant.roles is ['finance'])",
            "participant.roles contains 'board' (participant.roles is ['finance'])",
            "participant.roles = ['finance', 'director', 'board']",
        ],
    );
    let mfa = ("mfa-for-orders", "forbid com.example.OrderService.placeOrder unless participant.mfa");
    check(
        "order.amount < 50000",
        &[mfa],
        72_000,
        &[
            "participant.mfa (participant.mfa is false)",
            "order.amount < 50000 (order.amount is 72000)",
            "participant.mfa = true",
            "order.amount = 49999",
        ],
    );
    check(
        "order.status in ['paid', 'sent'] and not order.rush == true",
        &[],
        1,
        &["order.status in ['paid', 'sent'] (order.status is 'open')", "order.status = 'paid'"],
    );
}

#[test]
fn what_no_change_can_open_is_said_with_what_closes_it() {
    let closed = ("closed", "forbid com.example.OrderService.placeOrder");
    check("order.amount < 5", &[closed], 1, &["no change of the request can: forbidden by `closed`"]);
    let tier = ("nobody", "forbid com.example.OrderService.placeOrder unless participant.tier == 'system'");
    check("order.amount < 5", &[tier], 1, &["no change of the request can: forbidden by `nobody`"]);
    check(
        "participant.id == 'bob'",
        &[],
        1,
        &["no change of the request can: no policy of the application permits it"],
    );
}

#[test]
fn two_conditions_on_one_attribute_are_tried_together() {
    // Below five and above three: one value for both.
    check(
        "order.amount < 5 and order.amount > 3",
        &[],
        9,
        &["order.amount < 5 (order.amount is 9)", "order.amount = 4"],
    );
    check("order.amount < 3 and order.amount > 5", &[], 9, &["no change was found with which every tier allows it"]);
}

#[test]
fn cedar_of_administrators_is_read_as_far_as_it_is_understood() {
    let engine = engine(vec![place_order(&["order.amount < 50000"])]);
    let text = r#"@id("mfa") forbid (principal, action, resource is com::example::OrderService) unless { principal.mfa || principal.roles.contains("robot") };"#;
    engine.replace(&acme(), &cedar(text)).unwrap();
    let (found, opens) = nearest(&engine, &alice().build(), &an_order(1));
    assert_eq!(told(&found).first().map(String::as_str), Some("participant.mfa (participant.mfa is false)"));
    assert!(opens);
}

#[test]
fn secrets_are_shown_neither_as_they_are_nor_as_they_would_be() {
    let engine = engine(vec![place_order(&["order.pin == 4711"])]);
    let mut order = an_order(1);
    order.insert("pin".into(), crate::value::Value::Long(1));
    let (found, opens) = nearest(&engine, &alice().build(), &order);
    assert!(opens, "{found:?}");
    let Nearest::Change { flips, edits } = &found else { panic!("{found:?}") };
    assert_eq!(flips[0].now[0].value, "(secret)");
    assert_eq!(
        (edits[0].to_string(), format!("{:?}", edits[0])),
        ("order.pin = (secret)".into(), "order.pin = (secret)".into())
    );
}

const LEAVES: [&str; 8] = [
    "order.amount < 100",
    "participant.mfa",
    "participant.roles contains 'board'",
    "order.note == 'x'",
    "order.rush",
    "order.status == 'paid'",
    "context.ip in '10.0.0.0/8'",
    "participant.email exists",
];

fn rule() -> impl Strategy<Value = String> {
    let leaf = (0..LEAVES.len(), any::<bool>())
        .prop_map(|(n, not)| if not { format!("not {}", LEAVES[n]) } else { LEAVES[n].to_owned() });
    leaf.prop_recursive(3, 12, 3, |inner| {
        (prop::collection::vec(inner, 2..4), any::<bool>())
            .prop_map(|(parts, and)| format!("({})", parts.join(if and { " and " } else { " or " })))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn applying_the_change_does_allow(permit in rule(), forbid in rule(), amount in 0i64..200, mfa: bool) {
        let permit: &'static str = Box::leak(permit.into_boxed_str());
        let Ok(found) = registry(vec![place_order(&[permit])]) else { return Ok(()) };
        let engine = Engine::new(found.into()).unwrap();
        engine.add_application(&orders()).unwrap();
        let forbid = format!("forbid com.example.OrderService.placeOrder when {forbid}");
        // A rule that is always or never true is refused.
        let _ = engine.replace(&acme(), &rules(&[("f", &forbid)]));
        let (found, opens) = nearest(&engine, &alice().mfa(mfa).build(), &an_order(amount));
        match &found {
            Nearest::Change { flips, edits } => prop_assert!(opens && !flips.is_empty() && !edits.is_empty(), "{:?}", found),
            Nearest::Allowed | Nearest::None { .. } => {}
        }
    }

    #[test]
    fn no_fewer_conditions_are_enough(wanted in prop::collection::vec(any::<bool>(), 4), mfa: bool) {
        // Independent conditions, joined by `and`: each that does not hold is needed, and no other.
        let all = ["order.amount < 100", "participant.mfa", "participant.roles contains 'board'", "order.rush"];
        let picked: Vec<&str> = all.iter().zip(&wanted).filter(|(_, wanted)| **wanted).map(|(leaf, _)| *leaf).collect();
        prop_assume!(!picked.is_empty());
        let rule: &'static str = Box::leak(picked.join(" and ").into_boxed_str());
        let engine = engine(vec![place_order(&[rule])]);
        let (found, _) = nearest(&engine, &alice().mfa(mfa).build(), &an_order(500));
        let failing = picked.iter().filter(|leaf| !mfa || **leaf != "participant.mfa").count();
        match found {
            Nearest::Change { flips, .. } => prop_assert_eq!(flips.len(), failing),
            Nearest::Allowed => prop_assert_eq!(failing, 0),
            Nearest::None { because } => prop_assert!(false, "{}", because),
        }
    }
}
