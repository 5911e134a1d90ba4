//! A set that is only supposed decides as it would if it were active, and changes nothing.

use super::*;
use crate::context::{Context, Facts};
use crate::testdata::*;
use crate::value::ValueRef;

#[test]
fn a_supposed_set_decides_as_if_it_were_active() {
    let engine = engine(vec![place_order(&["order.amount < 400"])]);
    let people = [alice().build(), alice().mfa(true).build()];
    let sets = [
        rules(&[]),
        rules(&[("no", "forbid com.example.OrderService.placeOrder")]),
        rules(&[("mfa", "forbid com.example.OrderService.placeOrder unless participant.mfa")]),
        rules(&[("large", "forbid com.example.OrderService.placeOrder when order.amount > 100")]),
        SetSource { baseline: Baseline::Replaced, ..SetSource::default() },
    ];
    let mut seen = std::collections::BTreeSet::new();
    for scope in [Scope::System, acme(), orders(), Scope::organization("globex").unwrap()] {
        for source in &sets {
            let (draft, active) = match (engine.suppose(&scope, source), engine.supposing(&scope, source)) {
                (Ok(draft), Ok(active)) => (draft, active),
                (Err(one), Err(other)) => {
                    assert_eq!(one.to_string(), other.to_string());
                    continue;
                }
                (one, other) => panic!("{scope} {source:?}: {} and {}", one.is_ok(), other.is_ok()),
            };
            for (person, amount) in people.iter().flat_map(|person| [(person, 50), (person, 500)]) {
                let order = an_order(amount);
                let before = ask(&engine, person, &order).is_allowed();
                let facts = Facts { mfa: person.mfa(), ..Facts::default() };
                let supposed = engine.decide_supposing(
                    &draft,
                    &Request {
                        participant: person,
                        action: engine.action("com.example.OrderService.placeOrder").unwrap(),
                        scope: &orders(),
                        resource: None,
                        context: Context { time: Millis(1_800_000_000_000), facts: &facts },
                        args: &[ValueRef::record(&order)],
                    },
                );
                let supposed = supposed.is_allowed();
                assert_eq!(supposed, ask(&active, person, &order).is_allowed(), "{scope} {source:?} {amount}");
                assert_eq!(ask(&engine, person, &order).is_allowed(), before, "nothing has changed");
                seen.insert((before, supposed));
            }
        }
    }
    assert!(
        seen.contains(&(true, false)) && seen.contains(&(true, true)) && seen.contains(&(false, false)),
        "{seen:?}"
    );
}
