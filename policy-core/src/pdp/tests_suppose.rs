//! A set that is only supposed decides as it would if it were active, and changes nothing.

use super::*;
use crate::context::{Context, Facts};
use crate::decl::{ActionDecl, ResourceDecl};
use crate::filter::Predicate;
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

#[test]
fn a_supposed_set_asks_of_rows_what_it_would_if_it_were_active() {
    let find_all = ActionDecl {
        id: "Photo.findAll",
        function: "shop::Photo::find_all",
        resource: ResourceDecl::Entity { entity: photo },
        params: &[],
        ..place_order(&["entity.ownerId == participant.id"])
    };
    let engine = engine(vec![find_all]);
    let (alice, facts) = (alice().build(), Facts::default());
    let request = Request {
        participant: &alice,
        action: engine.action("com.example.Photo.findAll").unwrap(),
        scope: &orders(),
        resource: None,
        context: Context { time: Millis(1_800_000_000_000), facts: &facts },
        args: &[],
    };
    let large = rules(&[("large", "forbid com.example.Photo.findAll when entity.amount > 5")]);
    let sum = |more: i64| {
        let text = format!(
            "@id(\"sum\") forbid (principal, action == com::example::Action::\"Photo.findAll\", resource) \
             when {{ resource.amount + {more} > 5 }};"
        );
        SetSource { cedar: vec![("sum".into(), text)], ..SetSource::default() }
    };
    let said = |tiers: &Result<Vec<TierFilter>, _>| {
        let tiers = tiers.as_ref().unwrap().iter();
        Predicate::all(tiers.filter(|part| part.tier.is_some()).map(|part| part.predicate.clone())).to_string()
    };
    let own = "entity.ownerId exists and entity.ownerId == 'alice'";
    for scope in [acme(), orders()] {
        let rows = engine.rows_supposing(&engine.suppose(&scope, &large).unwrap(), &request).unwrap();
        assert_eq!(said(&rows.active), own);
        assert_eq!(said(&rows.supposed), format!("entity.amount <= 5 and {own}"), "{scope}");
        let activated = engine.supposing(&scope, &large).unwrap();
        let nothing = activated.suppose(&Scope::System, &SetSource::default()).unwrap();
        let active = activated.rows_supposing(&nothing, &request).unwrap().active;
        assert_eq!(active.unwrap(), rows.supposed.unwrap());
        assert_eq!(rows.unsure, None);
    }
    // Of rules that need the row, only that they are the same can be told.
    let drafted = |engine: &Engine, draft: &SetSource| {
        let draft = engine.suppose(&acme(), draft).unwrap();
        engine.rows_supposing(&draft, &request).unwrap().unsure
    };
    assert_eq!(drafted(&engine, &sum(1)).as_deref(), Some("sum"));
    engine.replace(&acme(), &sum(1)).unwrap();
    assert_eq!(drafted(&engine, &sum(1)), None);
    assert_eq!(drafted(&engine, &sum(2)).as_deref(), Some("sum"));
    assert_eq!(drafted(&engine, &SetSource::default()).as_deref(), Some("sum"));
}
