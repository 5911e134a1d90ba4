//! Every row of docs/kinotic.md, decided both ways.

use policy_runtime::testing::TestContext;
use policy_runtime::value::Value;
use policy_runtime::{Attributes, Denied, Entity, SecurityContext, abac_policy};

#[derive(Attributes)]
struct Order {
    amount: i64,
    status: String,
    department: String,
}

/// Makes a function with a rule over an order, for each row.
macro_rules! rows {
    ($($name:ident: $(#[$policy:meta])+;)*) => {$(
        $(#[$policy])+
        fn $name(order: &Order) -> Result<(), Denied> {
            let _ = (order.amount, &order.status, &order.department);
            Ok(())
        }
    )*};
}

rows! {
    role: #[abac_policy("participant.roles contains 'finance'")];
    department: #[abac_policy("participant.department == order.department")];
    amount: #[abac_policy("order.amount < 50000")];
    status: #[abac_policy("order.status in ['open', 'review']")];
    combined: #[abac_policy("participant.roles contains 'manager' and (order.amount < 50000 or order.status == 'open')")];

    any_role_of_one: #[abac_policy(participant.roles contains "finance")];
    any_role_of_two: #[abac_policy(participant.roles contains "finance" or participant.roles contains "manager")];

    one_policy: #[abac_policy(participant.permissions contains "read")];
    inner_and: #[abac_policy(participant.permissions contains "read" and participant.permissions contains "export")];
    outer_or: #[abac_policy(participant.permissions contains "read" or participant.permissions contains "audit")];
    both: #[abac_policy(participant.permissions contains "read" and participant.permissions contains "export" or participant.permissions contains "audit")];
    policy_and_role:
        #[abac_policy(participant.permissions contains "read")]
        #[abac_policy(participant.roles contains "finance")];

    operators_equal: #[abac_policy("order.status == 'open'")];
    operators_unequal: #[abac_policy("order.status != 'closed'")];
    operators_at_most: #[abac_policy("order.amount <= 10 or order.amount >= 20 or order.amount > 15")];
    operators_not: #[abac_policy("not order.status == 'closed'")];
    operators_exists: #[abac_policy("participant.department exists")];
    operators_like: #[abac_policy("participant.email like '*@example.com'")];
    keywords_in_any_case: #[abac_policy("participant.roles CONTAINS 'finance' AND NOT order.status IN ['closed'] OR order.amount < 5")];
}

#[derive(Entity, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[abac_policy(all_create = "participant.roles contains 'user' and entity.ownerId == participant.id")]
#[abac_policy(all_read = "entity.ownerId == participant.id or entity.sharedWith contains participant.id")]
#[abac_policy(all_update = "entity.ownerId == participant.id", all_delete = "entity.ownerId == participant.id")]
#[abac_policy(find_by_id = "entity.width > 0")]
struct Photo {
    id: String,
    owner_id: String,
    shared_with: Vec<String>,
    width: u32,
}

/// A caller with these roles and permissions, of the department `ops`.
fn caller(roles: &[&str], permissions: &[&str]) -> TestContext {
    let permissions = permissions.iter().map(|name| Value::text(name)).collect();
    let caller = SecurityContext::test().id("alice").email("alice@example.com");
    let caller = caller.attribute("permissions", Value::Set(permissions)).attribute("department", Value::text("ops"));
    roles.iter().fold(caller, |caller, role| caller.role(role))
}

fn order(amount: i64, status: &str, department: &str) -> Order {
    Order { amount, status: status.into(), department: department.into() }
}

type Row = fn(&Order) -> Result<(), Denied>;

#[track_caller]
fn check(row: Row, yes: (&TestContext, &Order), no: (&TestContext, &Order)) {
    assert!(yes.0.run(|| row(yes.1)).is_ok());
    assert!(no.0.run(|| row(no.1)).is_err());
}

#[test]
fn rows_decide_both_ways() {
    let finance = &caller(&["finance"], &["read"]);
    let manager = &caller(&["manager"], &["read", "export"]);
    let auditor = &caller(&[], &["audit"]);
    let nobody = &SecurityContext::test().id("nobody");
    let small = &order(10, "open", "ops");
    let large = &order(72_000, "closed", "sales");

    check(role, (finance, small), (manager, small));
    check(department, (finance, small), (finance, large));
    check(department, (finance, small), (nobody, small));
    check(amount, (nobody, small), (finance, large));
    check(status, (nobody, small), (nobody, large));
    check(combined, (manager, small), (manager, large));
    check(combined, (manager, small), (finance, small));

    check(any_role_of_one, (finance, small), (manager, small));
    check(any_role_of_two, (manager, small), (auditor, small));
    check(one_policy, (finance, small), (auditor, small));
    check(inner_and, (manager, small), (finance, small));
    check(outer_or, (auditor, small), (nobody, small));
    check(both, (manager, small), (finance, small));
    check(both, (auditor, small), (finance, small));
    check(policy_and_role, (finance, small), (manager, small));

    check(operators_equal, (nobody, small), (nobody, large));
    check(operators_unequal, (nobody, small), (nobody, large));
    check(operators_at_most, (nobody, small), (nobody, &order(12, "open", "ops")));
    check(operators_not, (nobody, small), (nobody, large));
    check(operators_exists, (finance, small), (nobody, small));
    check(operators_like, (finance, small), (nobody, small));
    check(keywords_in_any_case, (finance, small), (finance, large));
}

#[test]
fn entity_rules_are_declared_for_each_operation() {
    let photo = Photo { id: "1".into(), owner_id: "a".into(), shared_with: vec![], width: 1 };
    assert_eq!(policy_runtime::__private::contract::Entity::entity_id(&photo), "1");
    assert_eq!((photo.owner_id.as_str(), photo.shared_with.len(), photo.width), ("a", 0, 1));
    let rules = |id: &str| {
        policy_runtime::__private::inventory::iter::<policy_runtime::__private::RegisteredAction>
            .into_iter()
            .find(|action| action.0.id == id && action.0.namespace.ends_with("kinotic"))
            .map_or(0, |action| action.0.rules.len())
    };
    assert_eq!((rules("Photo.findAll"), rules("Photo.findById"), rules("Photo.bulkSave")), (1, 2, 1));
}
