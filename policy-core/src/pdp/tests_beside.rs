//! Sets of organizations with several programs: what decides in which, and what is closed until it is accepted.

use expect_test::expect;

use super::*;
use crate::decl::{ActionDecl, ResourceDecl};
use crate::registry::Finding;
use crate::testdata::*;
use crate::value::Value;

fn pay() -> ActionDecl {
    let resource = ResourceDecl::Service { name: "Billing" };
    ActionDecl { id: "Billing.pay", function: "billing::pay:3", resource, params: &[], ..place_order(&[]) }
}

/// The shop, in an organization that has the billing program too.
fn shop() -> Engine {
    let engine = engine(vec![place_order(&["order.amount < 50000"])]);
    let mut beside = Beside::default();
    beside.add(&registry(vec![pay()]).unwrap());
    engine.set_beside(&acme(), beside);
    engine
}

#[test]
fn what_another_program_has_decides_nothing_here() {
    let engine = shop();
    let sources = [
        rules(&[("r", "forbid com.example.Billing.pay unless participant.mfa")]),
        rules(&[("r", "forbid com.example.Billing.* when bill.amount > 5")]),
        cedar(
            "@id(\"r\") forbid (principal, action == com::example::Action::\"Billing.pay\", resource) when { context.args.bill > 5 };",
        ),
        cedar("@id(\"r\") forbid (principal, action, resource is com::example::Billing);"),
    ];
    for source in sources {
        engine.replace(&acme(), &source).unwrap();
        assert!(ask(&engine, &alice().build(), &an_order(1)).is_allowed(), "{source:?}");
        assert!(engine.cedar_of(&acme()).iter().any(|(id, text)| &**id == "r" && text.contains("Billing")));
        assert!(engine.check(&Scope::organization("empty").unwrap(), &source).is_err(), "nobody has it there");
    }
}

#[test]
fn a_policy_about_actions_of_two_programs_decides_in_each() {
    let engine = shop().by_both();
    let text = "@id(\"r\") forbid (principal, action in [com::example::Action::\"OrderService.placeOrder\", com::example::Action::\"Billing.pay\"], resource) unless { principal.mfa };";
    engine.replace(&acme(), &cedar(text)).unwrap();
    assert!(!ask(&engine, &alice().build(), &an_order(1)).is_allowed());
    assert!(ask(&engine, &alice().mfa(true).build(), &an_order(1)).is_allowed());
    let typo = text.replace("Billing.pay", "Billing.pya");
    assert!(engine.check(&acme(), &cedar(&typo)).unwrap_err().to_string().contains("Billing.pya"));
}

#[test]
fn names_of_all_programs_are_near() {
    let error = shop().check(&acme(), &rules(&[("r", "forbid com.example.Billing.pya")])).unwrap_err();
    assert!(error.to_string().contains("did you mean `com.example.Billing.pay`?"), "{error}");
}

#[test]
fn closed_actions_are_denied_and_rules_about_them_wait() {
    let engine = shop();
    let action = "com.example.OrderService.placeOrder";
    // It would not check: the attribute is gone.
    let waiting = rules(&[("r", "forbid com.example.OrderService.placeOrder when order.total > 5")]);
    for scope in [acme(), orders()] {
        assert!(engine.check(&scope, &waiting).is_err());
        engine.set_beside(&scope, Beside::default().close([action]));
        engine.replace(&scope, &waiting).unwrap();
    }
    let denied = ask(&engine, &alice().build(), &an_order(1));
    let denial = denied.denial().unwrap();
    assert_eq!((denial.tier, denial.is_forbidden()), (Some(Tier::Application), true), "{denial:?}");
    assert!(denial.message.contains("manifest.unaccepted"), "{}", denial.message);
    engine.set_beside(&orders(), Beside::default());
    assert!(engine.replace(&orders(), &waiting).is_err(), "what was accepted is checked");
    engine.replace(&orders(), &SetSource::default()).unwrap();
    assert!(ask(&engine, &alice().build(), &an_order(1)).is_allowed());
    assert!(!engine.supposing(&acme(), &waiting).unwrap().knows(&Scope::organization("none").unwrap()));
}

#[test]
fn what_stands_beside_is_kept_as_text() {
    let mut beside = Beside::default().close(["com.example.Billing.pay"]);
    beside.add(&registry(vec![pay()]).unwrap());
    let text = serde_json::to_string(&beside).unwrap();
    assert_eq!(serde_json::from_str::<Beside>(&text).unwrap(), beside);
    expect![[r#"{"actions":{"com::example::Action":["Billing","Billing.pay"]},"types":["com::example::Billing"],"closed":["com.example.Billing.pay"]}"#]]
        .assert_eq(&text);
}

#[test]
fn a_misspelt_attribute_is_told_at_its_word() {
    let told = |text: &str| {
        let found = shop().check(&acme(), &rules(&[("r", text)])).unwrap();
        found.iter().map(Finding::to_string).collect::<Vec<_>>().join("\n\n")
    };
    expect![[r"
        r: nothing declares `participant.mfaa`, and no rule of the program reads it
          |
        1 | forbid com.example.OrderService.placeOrder unless participant.mfaa
          |                                                               ^^^^
        help: did you mean `mfa`?"]]
    .assert_eq(&told("forbid com.example.OrderService.placeOrder unless participant.mfaa"));
    expect![[r"
        r: nothing declares `participant.clearance`, and no rule of the program reads it
          |
        1 | forbid com.example.OrderService.placeOrder unless participant.clearance >= 3
          |                                                               ^^^^^^^^^
        help: whoever signs in has it only where the sign-in supplies it"]]
    .assert_eq(&told("forbid com.example.OrderService.placeOrder unless participant.clearance >= 3"));
    assert_eq!(told("forbid com.example.OrderService.placeOrder unless participant.mfa"), "");
    let value = alice().attribute("clearance", Value::Long(3)).build();
    let engine = shop();
    engine
        .replace(
            &acme(),
            &rules(&[("r", "forbid com.example.OrderService.placeOrder unless participant.clearance >= 3")]),
        )
        .unwrap();
    assert!(ask(&engine, &value, &an_order(1)).is_allowed(), "it warns, and decides");
}
