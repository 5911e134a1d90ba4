//! Rules as the checker reads them, and what it says of those that it refuses.

#![expect(clippy::too_many_lines, reason = "messages are long")]

use expect_test::{Expect, expect};

use super::*;
use crate::testdata::{order, place_order, registry, set_of, staff};

fn env() -> RuleEnv {
    let registry = registry(vec![crate::decl::ActionDecl {
        participant: Some(("Staff", staff)),
        ..place_order(&["order.amount > 0"])
    }])
    .unwrap();
    let id = registry.find("com.example.OrderService.placeOrder").unwrap();
    let mut env = registry.action(id).unwrap().env.clone();
    let root = |name: &str, kind: Kind, at: u16| RootType {
        name: name.into(),
        rust_name: name.into(),
        root: Root::Arg(at, name.into()),
        ty: Some(Described::required(kind)),
        open: false,
    };
    env.roots.push(root("ips", set_of(Kind::Ip), 1));
    env.roots.push(root("lines", set_of(order().kind), 2));
    env.roots.push(root("keys", set_of(Kind::Uuid), 3));
    env.roots.push(RootType { ty: None, ..root("body", Kind::Bool, 4) });
    env
}

fn checked(input: &str) -> Result<Typed, Diagnostics> {
    check(&crate::syntax::parse(input).unwrap(), &env())
}

fn refused(input: &str, expect: &Expect) {
    let found = checked(input).unwrap_err();
    let told: Vec<_> = found.0.iter().map(|d| format!("{}: {}", d.code, d.render(input))).collect();
    expect.assert_eq(&told.join("\n"));
}

/// One attribute of each kind.
const KINDS: [(&str, &str); 12] = [
    ("Bool", "order.rush"),
    ("Long", "order.amount"),
    ("Decimal", "order.price"),
    ("Text", "order.note"),
    ("Uuid", "order.key"),
    ("Enum", "order.status"),
    ("Datetime", "order.at"),
    ("Ip", "order.from"),
    ("Set of Text", "order.tags"),
    ("Set of Ip", "ips"),
    ("Record", "order.customer"),
    ("Set of Record", "lines"),
];

#[test]
fn operators_by_kind() {
    let literal = |kind: &str| match kind {
        "Bool" => "true",
        "Long" => "3",
        "Decimal" => "3.5",
        "Uuid" => "'67e55044-10b1-426f-9247-bb680e5fe0c8'",
        "Enum" => "'open'",
        "Datetime" => "'2027-01-01T00:00:00Z'",
        "Ip" | "Set of Ip" => "'10.0.0.1'",
        _ => "'x'",
    };
    let mut table = String::new();
    for (kind, path) in KINDS {
        let value = literal(kind);
        let takes: Vec<&str> = [
            ("==", format!("{path} == {value}")),
            ("!=", format!("{value} != {path}")),
            ("<", format!("{path} < {value}")),
            (">=", format!("{path} >= {path}")),
            ("like", format!("{path} like 'a*'")),
            ("contains", format!("{path} contains {value}")),
            ("in list", format!("{path} in [{value}, {value}]")),
            ("in []", format!("{path} in []")),
            ("in range", format!("{path} in '10.0.0.0/8'")),
            ("in set", format!("{value} in {path}")),
            ("alone", path.to_owned()),
            ("exists", format!("{path} exists")),
        ]
        .into_iter()
        .filter(|(_, rule)| crate::syntax::parse(rule).is_ok_and(|tree| check(&tree, &env()).is_ok()))
        .map(|(name, _)| name)
        .collect();
        table.extend([kind, ": ", &takes.join("  "), "\n"]);
    }
    expect![[r#"
        Bool: ==  !=  in list  in []  alone  exists
        Long: ==  !=  <  >=  in list  in []  exists
        Decimal: ==  !=  <  >=  in list  in []  exists
        Text: ==  !=  like  in list  in []  exists
        Uuid: ==  !=  in list  in []  exists
        Enum: ==  !=  in list  in []  exists
        Datetime: ==  !=  <  >=  in list  in []  exists
        Ip: ==  !=  in list  in []  in range  exists
        Set of Text: contains  in set  exists
        Set of Ip: contains  in set  exists
        Record: exists
        Set of Record: exists
    "#]]
    .assert_eq(&table);
}

#[test]
fn unknown_names_are_told_with_the_nearest() {
    refused(
        "participnt.id == 'x'",
        &expect![[r#"
        unknown-root: there is no root `participnt` here
          |
        1 | participnt.id == 'x'
          | ^^^^^^^^^^
        help: did you mean `participant`? the roots here are `participant`, `context`, `order`, `ips`, `lines`, `keys`, `body`"#]],
    );
    refused(
        "the_order.amount < 5",
        &expect![[r#"
        unknown-root: there is no root `the_order` here
          |
        1 | the_order.amount < 5
          | ^^^^^^^^^
        help: policies spell this parameter as the wire does: `order`"#]],
    );
    refused(
        "order.amuont < 5 and order.customer.nme == 'x'",
        &expect![[r#"
        unknown-attribute: `order` has no attribute `amuont`
          |
        1 | order.amuont < 5 and order.customer.nme == 'x'
          |       ^^^^^^
        help: did you mean `amount`?
        unknown-attribute: `order.customer` has no attribute `nme`
          |
        1 | order.amuont < 5 and order.customer.nme == 'x'
          |                                     ^^^
        help: did you mean `name`?"#]],
    );
    refused(
        "order.owner_id == 'x'",
        &expect![[r#"
        unknown-attribute: `order` has no attribute `owner_id`
          |
        1 | order.owner_id == 'x'
          |       ^^^^^^^^
        help: policies spell it as serde does: `ownerId`"#]],
    );
    refused(
        "participant.display_name == 'x'",
        &expect![[r#"
        unknown-attribute: `participant` has no attribute `display_name`
          |
        1 | participant.display_name == 'x'
          |             ^^^^^^^^^^^^
        help: policies spell it as serde does: `displayName`"#]],
    );
    refused(
        "context.tine > '2027-01-01'",
        &expect![[r#"
            undeclared: nothing tells the kind of `context.tine`
              |
            1 | context.tine > '2027-01-01'
              | ^^^^^^^^^^^^
            help: did you mean `time`?"#]],
    );
    refused(
        "body.x == 1",
        &expect![[r#"
        unreadable: policies cannot read `body`: its type has no kind
          |
        1 | body.x == 1
          | ^^^^^^
        help: derive `Attributes` for its type, or use a concrete type"#]],
    );
    refused(
        "order.amount.x == 1",
        &expect![[r#"
        unknown-attribute: `order.amount` is Long and has no attribute `x`
          |
        1 | order.amount.x == 1
          |              ^"#]],
    );
    refused(
        "participant.unheard == 1",
        &expect![[r#"
        unknown-attribute: `participant` has no attribute `unheard`
          |
        1 | participant.unheard == 1
          |             ^^^^^^^
        help: it has `id`, `email`, `displayName`, `roles`, `tier`, `organization`, `application`, `tenant`, `authType`, `mfa`, `subject`, `level`, ..."#]],
    );
    refused(
        "context.unheard.deep == 1",
        &expect![[r#"
            undeclared-record: `context.unheard` is read like a record, but nothing declares it
              |
            1 | context.unheard.deep == 1
              |         ^^^^^^^
            help: what an application adds to the context are scalars and sets of them"#]],
    );
}

#[test]
fn kinds_agree_on_both_sides() {
    refused(
        "order.amount == order.note",
        &expect![[r#"
        wrong-kind: `order.amount` is Long, and `order.note` is Text
          |
        1 | order.amount == order.note
          |                 ^^^^^^^^^^"#]],
    );
    refused(
        "order.note < 'x'",
        &expect![[r#"
        wrong-kind: `<` works on Long, Decimal and Datetime, and `order.note` is Text
          |
        1 | order.note < 'x'
          | ^^^^^^^^^^"#]],
    );
    refused(
        "order.tags == 'x'",
        &expect![[r#"
        wrong-kind: `==` compares scalars, and `order.tags` is Set of Text
          |
        1 | order.tags == 'x'
          | ^^^^^^^^^^
        help: to ask for an item write `order.tags contains ...`"#]],
    );
    refused(
        "order.customer == order.customer",
        &expect![[r#"
        wrong-kind: `==` compares scalars, and `order.customer` is Record Customer
          |
        1 | order.customer == order.customer
          | ^^^^^^^^^^^^^^
        help: compare its attributes"#]],
    );
    refused(
        "order.note contains 'x'",
        &expect![[r#"
        wrong-kind: `contains` asks a set, and `order.note` is Text
          |
        1 | order.note contains 'x'
          | ^^^^^^^^^^
        help: for a part of a text write `order.note like '*part*'`"#]],
    );
    refused(
        "order.amount like '5*'",
        &expect![[r#"
        wrong-kind: `like` works on Text, and `order.amount` is Long
          |
        1 | order.amount like '5*'
          | ^^^^^^^^^^^^"#]],
    );
    refused(
        "order.tags contains 5",
        &expect![[r#"
        wrong-kind: `an item of order.tags` is Text, and `5` is a whole number
          |
        1 | order.tags contains 5
          |                     ^"#]],
    );
    refused(
        "order.tags contains order.amount",
        &expect![[r#"
        wrong-kind: an item of `order.tags` is Text, and `order.amount` is Long
          |
        1 | order.tags contains order.amount
          |                     ^^^^^^^^^^^^"#]],
    );
    refused(
        "order.note in '10.0.0.0/8'",
        &expect![[r#"
        wrong-kind: `in` beside a text asks whether an address lies in a range, and `order.note` is Text
          |
        1 | order.note in '10.0.0.0/8'
          | ^^^^^^^^^^
        help: for one of several values write `order.note in ['a', 'b']`"#]],
    );
    refused(
        "order.amount",
        &expect![[r#"
        not-a-condition: `order.amount` is Long and no condition by itself
          |
        1 | order.amount
          | ^^^^^^^^^^^^
        help: compare it, or ask `order.amount exists`"#]],
    );
    refused(
        "3 == 3",
        &expect![[r#"
        constant: both sides are constants
          |
        1 | 3 == 3
          | ^^^^^^
        help: one side is an attribute, such as `participant.id`"#]],
    );
    refused(
        "'x' like 'x'",
        &expect![[r#"
        constant: `like` asks an attribute, and `'x'` is a constant
          |
        1 | 'x' like 'x'
          | ^^^"#]],
    );
    refused(
        "order.status == order.note",
        &expect![[r#"
        wrong-kind: `order.status` is Enum(open | paid | sent), and `order.note` is Text
          |
        1 | order.status == order.note
          |                 ^^^^^^^^^^"#]],
    );
    refused(
        "lines contains 'x'",
        &expect![[r#"
        wrong-kind: `contains` asks a set of scalars, and `lines` is Set of Record Order
          |
        1 | lines contains 'x'
          | ^^^^^
        help: to ask for an item write `lines contains ...`"#]],
    );
}

#[test]
fn literals_take_the_kind_of_the_other_side() {
    refused(
        "order.key == 'not-a-uuid'",
        &expect![[r#"
        literal: `not-a-uuid` is no UUID, and `order.key` is one
          |
        1 | order.key == 'not-a-uuid'
          |              ^^^^^^^^^^^^
        help: a UUID is written `67e55044-10b1-426f-9247-bb680e5fe0c8`"#]],
    );
    refused(
        "order.status == 'paied' or order.status in ['open', 'gone']",
        &expect![[r#"
        literal: `order.status` is never `paied`
          |
        1 | order.status == 'paied' or order.status in ['open', 'gone']
          |                 ^^^^^^^
        help: did you mean `paid`? it is one of `open`, `paid`, `sent`
        literal: `order.status` is never `gone`
          |
        1 | order.status == 'paied' or order.status in ['open', 'gone']
          |                                                     ^^^^^^
        help: it is one of `open`, `paid`, `sent`"#]],
    );
    refused(
        "order.at > 'tomorrow'",
        &expect![[r#"
        literal: `tomorrow` is no instant, and `order.at` is one
          |
        1 | order.at > 'tomorrow'
          |            ^^^^^^^^^^
        help: an instant is written `2027-01-01`, `2027-01-01T00:00:00Z` or `2027-01-01T00:00:00.000+02:00`"#]],
    );
    refused(
        "order.at == '2027-02-30'",
        &expect![[r#"
        literal: `2027-02-30` is no instant, and `order.at` is one
          |
        1 | order.at == '2027-02-30'
          |             ^^^^^^^^^^^^
        help: an instant is written `2027-01-01`, `2027-01-01T00:00:00Z` or `2027-01-01T00:00:00.000+02:00`"#]],
    );
    refused(
        "order.from == '10.0.0.256'",
        &expect![[r#"
        literal: `10.0.0.256` is no address, and `order.from` is one
          |
        1 | order.from == '10.0.0.256'
          |               ^^^^^^^^^^^^
        help: an address is written `10.0.0.1` or `2001:db8::1`, a range `10.0.0.0/8`"#]],
    );
    refused(
        "order.from == '10.0.0.0/8'",
        &expect![[r#"
        literal: `10.0.0.0/8` is a range and never equals an address
          |
        1 | order.from == '10.0.0.0/8'
          |               ^^^^^^^^^^^^
        help: write `order.from in '10.0.0.0/8'`"#]],
    );
    refused(
        "order.from in '10.0.0.0/33'",
        &expect![[r#"
        literal: `10.0.0.0/33` is no address, and `order.from` is one
          |
        1 | order.from in '10.0.0.0/33'
          |               ^^^^^^^^^^^^^
        help: an address is written `10.0.0.1` or `2001:db8::1`, a range `10.0.0.0/8`"#]],
    );
    refused(
        "ips contains '10.0.0.0/8'",
        &expect![[r#"
        literal: `10.0.0.0/8` is a range, and the items of `ips` are addresses
          |
        1 | ips contains '10.0.0.0/8'
          |              ^^^^^^^^^^^^"#]],
    );
    refused(
        "order.price < 922337203685478",
        &expect![[r#"
        literal: `922337203685478` is no Decimal: they lie within ±922337203685477.5807
          |
        1 | order.price < 922337203685478
          |               ^^^^^^^^^^^^^^^"#]],
    );
    refused(
        "order.amount < 3.5",
        &expect![[r#"
        wrong-kind: `order.amount` is Long, and `3.5` is a number with a point
          |
        1 | order.amount < 3.5
          |                ^^^"#]],
    );
    refused(
        "order.amount == '3'",
        &expect![[r#"
        wrong-kind: `order.amount` is Long, and `'3'` is a text
          |
        1 | order.amount == '3'
          |                 ^^^"#]],
    );
    refused(
        "order.note == 3",
        &expect![[r#"
        wrong-kind: `order.note` is Text, and `3` is a whole number
          |
        1 | order.note == 3
          |               ^"#]],
    );
    refused(
        "order.rush == 1",
        &expect![[r#"
        wrong-kind: `order.rush` is Bool, and `1` is a whole number
          |
        1 | order.rush == 1
          |               ^"#]],
    );
    refused(
        "keys contains 'x'",
        &expect![[r#"
        literal: `x` is no UUID, and `an item of keys` is one
          |
        1 | keys contains 'x'
          |               ^^^
        help: a UUID is written `67e55044-10b1-426f-9247-bb680e5fe0c8`"#]],
    );
    let value = |rule: &str| match checked(rule) {
        Ok(Typed::Leaf(Leaf { test: Test::Compare(_, _, Term::Value(value)), .. })) => format!("{value:?}"),
        other => format!("{other:?}"),
    };
    assert_eq!(value("order.price == 3"), "Decimal(Decimal(30000))");
    assert_eq!(value("order.price == 922337203685477.5807"), "Decimal(Decimal(9223372036854775807))");
    assert_eq!(value("order.price == -922337203685477.5808"), "Decimal(Decimal(-9223372036854775808))");
    assert_eq!(value("order.amount == -9223372036854775808"), "Long(-9223372036854775808)");
    assert_eq!(
        value("order.key == '67E5504410B1426F9247BB680E5FE0C8'"),
        "Uuid(138101147531900207301164854559698313416)"
    );
    assert_eq!(value("order.at == '2027-01-01T02:00:00+02:00'"), "Datetime(Millis(1798761600000))");
    assert_eq!(value("order.from == '::ffff:10.0.0.1'"), "Ip(IpRange { address: 10.0.0.1, prefix: 32 })");
}

#[test]
fn both_spellings_are_one_rule() {
    let text = checked("participant.roles contains 'finance' and order.amount < 50000").unwrap();
    assert_eq!(text.to_string(), "participant.roles contains 'finance' and order.amount < 50000");
    assert_eq!(checked("(participant.roles contains 'finance') AND (order.amount < 50000)").unwrap(), text);
    let again = checked("not (order.rush or order.gift) and (order.rush or not order.gift)").unwrap();
    assert_eq!(checked(&again.to_string()).unwrap(), again);
}

#[test]
fn absence_and_secrecy_travel_down_a_path() {
    let path = |rule: &str| match checked(rule).unwrap() {
        Typed::Leaf(leaf) => {
            let path = leaf.test.paths()[0].clone();
            (path.optional, path.secret)
        }
        Typed::And(_) | Typed::Or(_) | Typed::Not(_) => panic!("{rule}"),
    };
    assert_eq!(path("order.amount == 1"), (false, false));
    assert_eq!(path("order.note == 'x'"), (true, false));
    assert_eq!(path("order.customer.card == 'x'"), (true, true));
    assert_eq!(path("participant.level == 1"), (false, false));
    assert_eq!(path("participant.email == 'x'"), (true, false));
}

/// The kinds of undeclared attributes in rules, each at a place of its own.
fn inferred(rules: &[&'static str]) -> String {
    let all = rules.iter().zip(1u32..).map(|(text, line)| {
        let mut declaration = place_order(&[text]);
        let rule = crate::decl::RuleDecl { text, place: crate::source::Place { file: "src/a.rs", line } };
        declaration.rules = Vec::leak(vec![rule]);
        declaration.id = Box::leak(format!("S.m{line}").into_boxed_str());
        declaration.function = declaration.id;
        declaration
    });
    match registry(all.collect()) {
        Ok(registry) => {
            let participant = registry.model().entities.iter().find(|e| &*e.name == crate::platform::PARTICIPANT);
            let own = participant.map(|p| p.attributes.as_slice()).unwrap_or_default();
            let all = own.iter().chain(&registry.model().context);
            all.map(|f| format!("{}: {}{}", f.name, f.ty.kind, if f.ty.optional { "?" } else { "" }))
                .collect::<Vec<_>>()
                .join(", ")
        }
        Err(e) => e.to_string(),
    }
}

#[test]
fn undeclared_attributes_have_the_kind_of_their_uses() {
    for (rules, kinds) in [
        (&["participant.level > 3"][..], "level: Long?"),
        (&["participant.level > 3", "participant.level == 3.5"], "level: Decimal?"),
        (&["participant.level == order.price", "participant.level == 3"], "level: Decimal?"),
        (&["participant.key == order.key", "participant.key == '67e55044-10b1-426f-9247-bb680e5fe0c8'"], "key: Uuid?"),
        (&["participant.until > '2027-01-01'", "participant.until == '2027-01-01T00:00:00Z'"], "until: Datetime?"),
        (&["participant.until > context.time"], "until: Datetime?"),
        (&["participant.net in '10.0.0.0/8'"], "net: Ip?"),
        (&["participant.vip"], "vip: Bool?"),
        (&["participant.groups contains 'a'"], "groups: Set of Text?"),
        (&["order.amount in participant.limits"], "limits: Set of Long?"),
        (&["participant.name like 'a*'"], "name: Text?"),
        (&["participant.a == participant.b", "participant.b == 3"], "a: Long?, b: Long?"),
        (&["participant.a exists"], "a: Text?"),
        (&["context.zone in ['a', 'b']"], "zone: Text?"),
        (&["participant.state == order.status"], "state: Enum(open | paid | sent)?"),
    ] {
        assert_eq!(inferred(rules), kinds, "{rules:?}");
    }
}

#[test]
fn uses_that_cannot_both_be_name_both_places() {
    expect![[r#"
        the program's policies do not hold together (3 findings)

        the program's rules: `participant.level` is used as Long at src/a.rs:1 and as Text at src/a.rs:2; declare it with `participant = Type`

        src/a.rs:1: nothing tells the kind of `participant.level`
          |
        1 | participant.level > 3
          | ^^^^^^^^^^^^^^^^^
        help: declare it with `participant = Type`, or compare it with a literal in a rule of the program

        src/a.rs:2: nothing tells the kind of `participant.level`
          |
        1 | participant.level == 'x'
          | ^^^^^^^^^^^^^^^^^
        help: declare it with `participant = Type`, or compare it with a literal in a rule of the program"#]].assert_eq(&inferred(&["participant.level > 3", "participant.level == 'x'"]));
    expect![[r#"
        the program's policies do not hold together (3 findings)

        the program's rules: `participant.level` is used as Long at src/a.rs:1 and as Bool at src/a.rs:2; declare it with `participant = Type`

        src/a.rs:1: nothing tells the kind of `participant.level`
          |
        1 | participant.level == order.amount
          | ^^^^^^^^^^^^^^^^^
        help: declare it with `participant = Type`, or compare it with a literal in a rule of the program

        src/a.rs:2: nothing tells the kind of `participant.level`
          |
        1 | participant.level
          | ^^^^^^^^^^^^^^^^^
        help: declare it with `participant = Type`, or compare it with a literal in a rule of the program"#]].assert_eq(&inferred(&["participant.level == order.amount", "participant.level"]));
    expect![[r#"
        the program's policies do not hold together (3 findings)

        the program's rules: `context.zone` is used as Long at src/a.rs:1 and as Set of Long at src/a.rs:2

        src/a.rs:1: nothing tells the kind of `context.zone`
          |
        1 | context.zone == 1
          | ^^^^^^^^^^^^
        help: compare it with a literal in a rule of the program

        src/a.rs:2: nothing tells the kind of `context.zone`
          |
        1 | context.zone contains 1
          | ^^^^^^^^^^^^
        help: compare it with a literal in a rule of the program"#]]
    .assert_eq(&inferred(&["context.zone == 1", "context.zone contains 1"]));
}
