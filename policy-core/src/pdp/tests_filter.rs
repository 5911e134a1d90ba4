//! What the policies of all tiers ask of a row.

use expect_test::{Expect, expect};

use super::*;
use crate::context::{Context, Facts};
use crate::decl::{ActionDecl, ResourceDecl};
use crate::filter::Predicate;
use crate::participant::Participant;
use crate::table::{ColumnDecl, Table, TableDecl, TenantDecl};
use crate::testdata::*;
use crate::value::Millis;

const NAMES: [&str; 14] = [
    "amount", "price", "status", "note", "tags", "codes", "key", "at", "from", "rush", "gift", "customer", "ownerId",
    "pin",
];

const COLUMNS: [ColumnDecl; 14] = {
    let mut out = [ColumnDecl { attribute: "", column: "" }; 14];
    let mut n = 0;
    while n < out.len() {
        out[n] = ColumnDecl { attribute: NAMES[n], column: NAMES[n] };
        n += 1;
    }
    out
};

fn photos(tenant: Option<TenantDecl>) -> Table {
    Table::new(&TableDecl { entity: photo, name: "photos", id: "amount", tenant, columns: &COLUMNS }).unwrap()
}

fn find_all(rules: &[&'static str]) -> ActionDecl {
    ActionDecl {
        id: "Photo.findAll",
        function: "shop::Photo::find_all",
        resource: ResourceDecl::Entity { entity: photo },
        params: &[],
        ..place_order(rules)
    }
}

fn filter(engine: &Engine, participant: &Participant, tenant: Option<TenantDecl>) -> Filter {
    let facts = Facts { mfa: participant.mfa(), ..Facts::default() };
    let request = Request {
        participant,
        action: engine.action("com.example.Photo.findAll").unwrap(),
        scope: &orders(),
        resource: None,
        context: Context { time: Millis(1_800_000_000_000), facts: &facts },
        args: &[],
    };
    engine.filter(&request, &photos(tenant)).unwrap()
}

/// Without what stands beside the policies.
fn asks(engine: &Engine) -> String {
    let alice = alice().build();
    let facts = Facts::default();
    let request = Request {
        participant: &alice,
        action: engine.action("com.example.Photo.findAll").unwrap(),
        scope: &orders(),
        resource: None,
        context: Context { time: Millis(1_800_000_000_000), facts: &facts },
        args: &[],
    };
    let tiers = engine.explain_filter(&request, &photos(None)).unwrap();
    Predicate::all(tiers.into_iter().filter(|t| t.tier.is_some()).map(|t| t.predicate)).to_string()
}

fn check(rule: &'static str, expect: &Expect) {
    expect.assert_eq(&asks(&engine(vec![find_all(&[rule])])));
}

#[test]
fn what_is_known_is_evaluated_and_the_rest_is_asked_of_the_row() {
    check("participant.roles contains 'finance'", &expect!["always"]);
    check("participant.roles contains 'admin' and entity.amount > 1", &expect!["never"]);
    check(
        "participant.roles contains 'admin' or entity.ownerId == participant.id",
        &expect!["entity.ownerId exists and entity.ownerId == 'alice'"],
    );
    check(
        "not (entity.note == 'x' or entity.amount >= 5)",
        &expect!["entity.note exists and entity.note != 'x' and entity.amount < 5"],
    );
    check(
        "not entity.gift exists or entity.gift == false",
        &expect!["not entity.gift exists or (entity.gift exists and not entity.gift)"],
    );
    check("not entity.amount in [] and 5 < entity.amount", &expect!["entity.amount > 5"]);
    check(
        "entity.tags contains 'new' and entity.customer.limit < 3 and entity.from in '10.0.0.0/8'",
        &expect![
            "entity.tags contains 'new' and entity.customer.limit < 3 and entity.from exists and entity.from in '10.0.0.0/8'"
        ],
    );
    check(
        "entity.pin == 4711 and entity.rush",
        &expect!["entity.pin exists and entity.pin == (secret) and entity.rush"],
    );
}

#[test]
fn a_forbid_spares_only_rows_for_which_it_is_false() {
    let engine = engine(vec![find_all(&["entity.rush"])]);
    engine.replace(&acme(), &rules(&[("no", "forbid com.example.Photo.findAll when entity.note == 'x'")])).unwrap();
    expect!["entity.note exists and entity.note != 'x' and entity.rush"].assert_eq(&asks(&engine));
    let overflow = "@id(\"f\") forbid (principal, action == com::example::Action::\"Photo.findAll\", resource) \
                    when { resource.amount + 1 > 5 };";
    engine.replace(&acme(), &cedar(overflow)).unwrap();
    expect!["check each row (`f`: arithmetic on what the row has is not done in the database) and entity.rush"]
        .assert_eq(&asks(&engine));
    let one = "@id(\"f\") forbid (principal, action, resource == com::example::Photo::\"7\");";
    engine.replace(&acme(), &cedar(one)).unwrap();
    expect!["entity.amount != 7 and entity.rush"].assert_eq(&asks(&engine));
    let all = "@id(\"f\") forbid (principal, action, resource in Platform::Application::\"orders\");";
    engine.replace(&acme(), &cedar(all)).unwrap();
    expect!["never"].assert_eq(&asks(&engine));
}

#[test]
fn the_tenant_stands_beside_the_policies() {
    let engine = engine(vec![find_all(&["entity.rush"])]);
    let tenant = Some(TenantDecl { attribute: "ownerId", participant: "tenant" });
    let own = filter(&engine, &alice().tenant("t1").build(), tenant);
    expect!["entity.ownerId exists and entity.ownerId == 't1' and entity.rush usable and entity.rush"]
        .assert_eq(&own.predicate.to_string());
    assert!(own.is_exact());
    assert!(filter(&engine, &alice().build(), tenant).predicate.is_never(), "no tenant, no rows");
}

#[test]
fn what_no_row_can_change_is_a_denial() {
    let engine = engine(vec![find_all(&["entity.rush"])]);
    let bob = Participant::builder(Scope::application("globex", "parts").unwrap(), "bob").build();
    let facts = Facts::default();
    let context = Context { time: Millis(0), facts: &facts };
    let action = engine.action("com.example.Photo.findAll").unwrap();
    let request = Request { participant: &bob, action, scope: &orders(), resource: None, context, args: &[] };
    let denial = engine.filter(&request, &photos(None)).unwrap_err();
    assert_eq!(denial.kind, crate::decision::DenialKind::Isolation);
}
