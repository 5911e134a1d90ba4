//! Programs that hold together, and those that do not: each refusal names the place and the remedy.

use expect_test::{Expect, expect};

use super::*;
use crate::contract;
use crate::decl::{EntityDecl, MethodDecl, ParamDecl, ResourceDecl};
use crate::kind::Kind;
use crate::testdata::{keep, photo, place_order, registry, staff};

fn refused(declarations: Vec<ActionDecl>, expect: &Expect) {
    expect.assert_eq(&registry(declarations).unwrap_err().to_string());
}

#[expect(clippy::needless_pass_by_value, reason = "it reads better where it is called")]
fn at(file: &'static str, line: u32, declaration: ActionDecl) -> ActionDecl {
    ActionDecl { place: Place { file, line }, ..declaration }
}

#[test]
fn two_functions_with_one_action_are_refused() {
    let other = ActionDecl { function: "shop::cancel:9", ..at("src/cancel.rs", 9, place_order(&["participant.mfa"])) };
    refused(
        vec![place_order(&["participant.mfa"]), other],
        &expect![[r#"
        the program's policies do not hold together (1 finding)

        src/orders.rs:7: `shop::OrderService::place_order:7` has the same action as at src/cancel.rs:9: `com.example.OrderService.placeOrder`
        help: give one of them another `action = ".."`"#]],
    );
}

#[test]
fn several_attributes_on_one_function_are_joined_by_and() {
    let joined = registry(vec![
        place_order(&["order.amount < 5"]),
        ActionDecl { must_audit: true, ..at("src/orders.rs", 8, place_order(&["participant.mfa"])) },
    ])
    .unwrap();
    expect![[r#"
        @id("com.example.OrderService.placeOrder")
        @rule("(order.amount < 5) and (participant.mfa)")
        @source("src/orders.rs:7")
        permit (
          principal,
          action == com::example::Action::"OrderService.placeOrder",
          resource
        )
        when { context.args.order.amount < 5 }
        when { principal.mfa };

    "#]]
    .assert_eq(&joined.export_cedar());
    let id = joined.find("com.example.OrderService.placeOrder").unwrap();
    let entry = joined.action(id).unwrap();
    assert!(entry.must_audit);
    assert_eq!(entry.places.len(), 2);
}

#[test]
fn one_function_with_different_parameters_is_refused() {
    static OTHER: &[ParamDecl] =
        &[ParamDecl { name: "order", rust_name: "order", describe: || Some(Described::required(Kind::Text)) }];
    let other = ActionDecl { params: OTHER, ..at("src/orders.rs", 8, place_order(&["participant.mfa"])) };
    refused(
        vec![place_order(&["participant.mfa"]), other],
        &expect![[r#"
        the program's policies do not hold together (1 finding)

        src/orders.rs:8: `shop::OrderService::place_order:7` is declared otherwise as at src/orders.rs:7: `com.example.OrderService.placeOrder`
        help: give one of them another `action = ".."`"#]],
    );
}

#[test]
fn two_actions_that_are_spelled_alike_are_refused() {
    let other = ActionDecl {
        namespace: "com::example::OrderService",
        id: "placeOrder",
        function: "com::example::OrderService::place_order:3",
        resource: ResourceDecl::Scope,
        ..at("src/other.rs", 3, place_order(&["participant.mfa"]))
    };
    refused(
        vec![place_order(&["participant.mfa"]), other],
        &expect![[r#"
        the program's policies do not hold together (1 finding)

        src/other.rs:3: `com.example.OrderService.placeOrder` is spelled like another action, at src/orders.rs:7
        help: give one of them another `action = ".."`"#]],
    );
}

#[test]
fn an_action_without_a_rule_is_refused_and_authenticated_is_a_rule() {
    let nothing = ActionDecl { authenticated: false, ..place_order(&[]) };
    refused(
        vec![nothing],
        &expect![[r#"
        the program's policies do not hold together (1 finding)

        src/orders.rs:7: `com.example.OrderService.placeOrder` has no rule"#]],
    );
    let open = registry(vec![place_order(&[])]).unwrap();
    assert!(open.export_cedar().contains("@rule(\"authenticated\")"), "{}", open.export_cedar());
}

#[test]
fn every_mistake_of_every_rule_is_told_at_once() {
    let other = ActionDecl { id: "OrderService.cancel", function: "c", ..place_order(&["order.amount ="]) };
    refused(
        vec![place_order(&["order.amuont < 5", "partcipant.mfa"]), other],
        &expect![[r#"
        the program's policies do not hold together (4 findings)

        src/orders.rs:7: expected `==`, found `=`
          |
        1 | order.amount =
          |              ^
        help: write `==`

        src/orders.rs:7: expected an attribute or a value after `==`, found the end of the rule
          |
        1 | order.amount =
          |               ^
        help: write both sides of `==`

        src/orders.rs:7: `order` has no attribute `amuont`
          |
        1 | order.amuont < 5
          |       ^^^^^^
        help: did you mean `amount`?

        src/orders.rs:7: there is no root `partcipant` here
          |
        1 | partcipant.mfa
          | ^^^^^^^^^^
        help: did you mean `participant`? the roots here are `participant`, `context`, `order`"#]],
    );
}

#[test]
fn former_names_are_found_and_never_clash() {
    let renamed =
        ActionDecl { was: &["OrderService.place", "com.example.Desk.place"], ..place_order(&["participant.mfa"]) };
    let found = registry(vec![renamed]).unwrap();
    let id = found.find("com.example.OrderService.placeOrder");
    assert!(id.is_some());
    assert_eq!(found.find("com.example.OrderService.place"), id);
    assert_eq!(found.find("com.example.Desk.place"), id);
    assert_eq!(found.find("com.example.OrderService.unheard"), None);
    let cancel = ActionDecl { id: "OrderService.cancel", function: "c", ..place_order(&["participant.mfa"]) };
    let taken = ActionDecl { was: &["OrderService.cancel"], ..place_order(&["participant.mfa"]) };
    refused(
        vec![taken, cancel],
        &expect![[r#"
        the program's policies do not hold together (1 finding)

        src/orders.rs:7: `was` names `com.example.OrderService.cancel`, which is another action
        help: drop it"#]],
    );
    let (a, b) = (
        ActionDecl { was: &["OrderService.old"], ..place_order(&["participant.mfa"]) },
        ActionDecl {
            id: "OrderService.cancel",
            function: "c",
            was: &["OrderService.old"],
            ..place_order(&["participant.mfa"])
        },
    );
    assert!(registry(vec![a, b]).is_err(), "one former name, two actions");
}

#[test]
fn two_crates_that_declare_one_type_differently_are_refused() {
    fn other_photo() -> EntityDecl {
        EntityDecl { attributes: staff(), ..photo() }
    }
    let share = |id: &'static str, file: &'static str, entity: fn() -> EntityDecl| ActionDecl {
        id,
        function: id,
        params: &[],
        resource: ResourceDecl::Entity { entity },
        ..at(file, 4, place_order(&["participant.mfa"]))
    };
    refused(
        vec![share("Photo.findAll", "a/src/lib.rs", photo), share("Photo.update", "b/src/lib.rs", other_photo)],
        &expect![[r#"
            the program's policies do not hold together (1 finding)

            b/src/lib.rs:4: `com::example::Photo` is declared otherwise at a/src/lib.rs:4
            help: publish one of them under another namespace"#]],
    );
    assert!(registry(vec![share("Photo.findAll", "a", photo), share("Photo.update", "b", photo)]).is_ok());
}

#[test]
fn a_participant_type_never_redeclares_what_is_built_in() {
    fn forged() -> Described {
        contract::record("Staff", [contract::field("roles", "roles", Described::required(Kind::Text), false)])
    }
    let declaration = ActionDecl { participant: Some(("Staff", forged)), ..place_order(&["participant.mfa"]) };
    refused(
        vec![declaration],
        &expect![[r#"
        the program's policies do not hold together (1 finding)

        src/orders.rs:7: `Staff` declares `roles`, which every participant has already
        help: rename it"#]],
    );
}

#[test]
fn names_that_cedar_cannot_write_are_refused_with_a_remedy() {
    let named = |namespace: &'static str| ActionDecl { namespace, ..place_order(&["participant.mfa"]) };
    refused(
        vec![named("com.in.orders")],
        &expect![[r#"
        the program's policies do not hold together (1 finding)

        src/orders.rs:7: `in` in the name of `com.in.orders.OrderService.placeOrder` cannot be written in Cedar
        help: publish it under another name: letters, digits and `_`, and none of `true`, `false`, `if`, `then`, `else`, `in`, `is`, `like`, `has`, `__cedar`"#]],
    );
    refused(
        vec![named("com.größe")],
        &expect![[r#"
        the program's policies do not hold together (1 finding)

        src/orders.rs:7: `größe` in the name of `com.größe.OrderService.placeOrder` cannot be written in Cedar
        help: publish it under another name: letters, digits and `_`, and none of `true`, `false`, `if`, `then`, `else`, `in`, `is`, `like`, `has`, `__cedar`"#]],
    );
    refused(
        vec![named("Platform")],
        &expect![[r#"
        the program's policies do not hold together (1 finding)

        src/orders.rs:7: `Platform.OrderService.placeOrder` is in the platform's own namespace
        help: publish it under another one"#]],
    );
    for odd in ["__cedar.x", "com..x", "com.9x", "com.a-b", "Platform.x", "if"] {
        assert!(registry(vec![named(odd)]).is_err(), "{odd}");
    }
    for fine in ["", "a", "com.example.principal", "permit.forbid", "com.Action"] {
        let found = registry(vec![named(fine)]);
        assert!(found.is_ok(), "{fine}: {}", found.unwrap_err());
    }
    let action = ActionDecl { resource: ResourceDecl::Service { name: "Action" }, ..place_order(&["participant.mfa"]) };
    assert!(registry(vec![action]).unwrap_err().to_string().contains("src/orders.rs:7: `Action` in the name"));
    let service = ActionDecl { resource: ResourceDecl::Service { name: "has" }, ..place_order(&["participant.mfa"]) };
    assert!(registry(vec![service]).is_err());
}

#[test]
fn a_group_named_like_an_action_or_like_itself_is_no_cycle() {
    let all = vec![
        ActionDecl { id: "a", function: "1", ..place_order(&["participant.mfa"]) },
        ActionDecl { id: "a.b", function: "2", ..place_order(&["participant.mfa"]) },
        ActionDecl { id: "a.b.a", function: "3", ..place_order(&["participant.mfa"]) },
    ];
    let found = registry(all);
    assert!(found.is_ok(), "{}", found.unwrap_err());
}

#[test]
fn a_package_that_is_required_and_not_linked_is_told() {
    let place = Place { file: "src/main.rs", line: 3 };
    let declarations = [keep(place_order(&["participant.mfa"]))];
    let required = |name| build::build(&declarations, &[], &[RequiredPackage { name, place }]);
    assert!(required("shop").is_ok());
    expect![[r#"
        the program's policies do not hold together (1 finding)

        src/main.rs:3: the annotations of `billing` are not in this program
        help: the linker left it out, or it has none; name something of it, or drop it from `link!`"#]]
    .assert_eq(&required("billing").unwrap_err().to_string());
    let dashed = ActionDecl { package: "my-shop", ..place_order(&["participant.mfa"]) };
    assert!(build::build(&[keep(dashed)], &[], &[RequiredPackage { name: "my_shop", place }]).is_ok());
}

#[test]
fn a_program_says_what_it_declares() {
    static METHODS: &[MethodDecl] = &[MethodDecl {
        name: "placeOrder",
        rust_name: "place_order",
        action: "OrderService.placeOrder",
        arguments: &["order"],
        streaming: false,
    }];
    static SERVICE: ServiceDecl = ServiceDecl {
        package: "shop",
        namespace: "com.example",
        name: "OrderService",
        version: Some("1.2.3"),
        place: Place { file: "src/orders.rs", line: 1 },
        methods: METHODS,
    };
    let declaration = ActionDecl {
        participant: Some(("Staff", staff)),
        callers: &[Tier::Application, Tier::Organization],
        ..place_order(&["participant.level > 3"])
    };
    let found = Registry::of(&[keep(declaration)], &[&SERVICE]).unwrap();
    let manifest = found.manifest();
    let action = &manifest["actions"][0];
    assert_eq!(action["action"], "com.example.OrderService.placeOrder");
    assert_eq!(action["participant"], "com::example::Staff");
    assert_eq!(action["callers"], serde_json::json!(["organization", "application"]));
    assert_eq!(action["rules"][0]["source"], "src/orders.rs:7");
    assert_eq!(action["parameters"][0]["type"]["name"], "Order");
    assert_eq!(manifest["services"][0]["methods"][0]["arguments"][0], "order");
    expect![[r#"
        @id("com.example.OrderService.placeOrder")
        @rule("participant.level > 3")
        @source("src/orders.rs:7")
        permit (
          principal,
          action == com::example::Action::"OrderService.placeOrder",
          resource
        )
        when { (principal has level) && (principal.level > 3) };

    "#]]
    .assert_eq(&found.export_cedar());
    let schema = found.export_schema().unwrap();
    assert!(schema.contains("entity Staff in") && schema.contains("level: __cedar::Long"), "{schema}");
    assert!(schema.contains("action \"OrderService.placeOrder\" in [Action::\"OrderService\"]"), "{schema}");
}

#[test]
fn a_rule_that_always_or_never_holds_is_a_warning_at_the_start() {
    let warned = |rule: &'static str| {
        let registry = registry(vec![place_order(&[rule])]).unwrap();
        registry.warnings().iter().map(|w| w.message.clone()).collect::<Vec<_>>()
    };
    assert_eq!(warned("participant.id exists"), ["`participant.id exists` always holds, whatever the data"]);
    assert_eq!(warned("not participant.id exists").len(), 1, "Cedar's validator finds it impossible");
    assert!(warned("order.amount < 50000").is_empty());
}

#[test]
fn a_manifest_stands_for_the_program_that_wrote_it() {
    let own = registry(vec![
        ActionDecl { was: &["old.Name.place"], ..place_order(&["participant.level > 3 and order.amount < 5"]) },
        ActionDecl {
            id: "Photo.findAll",
            function: "shop::Photo::findAll",
            resource: ResourceDecl::Entity { entity: photo },
            params: &[],
            ..place_order(&["entity.ownerId == participant.id and participant.team == 'red'"])
        },
    ])
    .unwrap();
    let text = own.manifest().to_string();
    let read = Registry::from_manifest(&text).unwrap();
    assert_eq!(read.manifest().to_string(), text);
    assert_eq!(read.export_schema().unwrap(), own.export_schema().unwrap());
    assert_eq!(read.export_cedar(), own.export_cedar());
    assert_eq!(read.model(), own.model());
    let actions = |of: &Registry| format!("{:?} {:?}", of.actions, of.numbers.len());
    assert_eq!(actions(&read), actions(&own));
}

#[test]
fn a_manifest_is_read_as_what_a_stranger_wrote() {
    let own = registry(vec![place_order(&["participant.mfa"])]).unwrap().manifest().to_string();
    let changed = |from: &str, to: &str| {
        let text = own.replace(from, to);
        assert_ne!(text, own, "{from}");
        Registry::from_manifest(&text).unwrap_err().to_string()
    };
    let check = |from: &str, to: &str, expect: &str| {
        let told = changed(from, to);
        assert!(told.contains(expect), "{told}");
    };
    check(r#""manifest":1"#, r#""manifest":2"#, "is of form 2");
    check(r#""mustAudit":false"#, r#""mustAduit":false"#, "unknown field `mustAduit`");
    check(r#""participant.mfa""#, r#""order.amuont < 5""#, "did you mean `amount`?");
    check(r#""kind":"Record""#, r#""kind":"Set""#, "a Set says what it is `of`");
    check(r#""callers":["application"]"#, r#""callers":[]"#, "at least one");
    check(r#""participant":"Platform::Participant""#, r#""participant":"Platform::Role""#, "`participantAttributes`");
    check(
        r#""resource":"com::example::OrderService""#,
        r#""resource":"Platform::Role""#,
        "the platform's own namespace",
    );
    let mut twice: serde_json::Value = serde_json::from_str(&own).unwrap();
    let again = twice["actions"][0].clone();
    twice["actions"].as_array_mut().unwrap().push(again);
    assert!(Registry::from_manifest(&twice.to_string()).unwrap_err().to_string().contains("declared twice"));
    let deep = format!(r#"{{"manifest":1,"actions":[{}"#, "[".repeat(100_000));
    assert!(matches!(Registry::from_manifest(&deep), Err(ManifestError::Form { .. })));
    assert!(matches!(Registry::from_manifest(&" ".repeat((16 << 20) + 1)), Err(ManifestError::TooLarge(_))));
}

#[test]
fn what_moved_between_two_manifests_is_told_by_name() {
    let cancel = |line| ActionDecl {
        id: "OrderService.cancel",
        rules: &[],
        authenticated: true,
        ..at("src/orders.rs", line, place_order(&[]))
    };
    let renamed = |was| ActionDecl { id: "OrderService.placeOrders", was, ..place_order(&["participant.level > 3"]) };
    let older = registry(vec![place_order(&["participant.level == 'senior'"]), cancel(9)]).unwrap();
    let moved = |newer: &Registry| newer.moved_since(&older).iter().map(ToString::to_string).collect::<Vec<_>>();
    let newer = registry(vec![renamed(&[]), cancel(12)]).unwrap();
    assert_eq!(
        moved(&newer),
        [
            "`participant.level` of `com.example.OrderService.cancel` was Text and is Long",
            "`com.example.OrderService.placeOrder` is gone; `com.example.OrderService.placeOrders` is near"
        ]
    );
    assert_eq!(newer.changed_since(Some(&older)), ["com.example.OrderService.placeOrders"], "`cancel` only moved down");
    assert_eq!(newer.changed_since(None).len(), 2);
    let known = registry(vec![renamed(&["OrderService.placeOrder"]), cancel(9)]).unwrap();
    assert_eq!(moved(&known).len(), 2, "the action is found by its former name: {:?}", moved(&known));
    assert!(moved(&older).is_empty() && older.changed_since(Some(&older)).is_empty());
}
