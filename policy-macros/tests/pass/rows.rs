//! What `#[derive(Entity)]` says of an entity's rows.

use policy_runtime::__private::contract::{Entity as _, Stored};
use policy_runtime::{Attributes, Entity};

#[derive(Attributes, serde::Serialize, serde::Deserialize)]
struct Address {
    town: Option<String>,
}

#[derive(Entity, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
#[entity(namespace = "com.example", table = "hr.people", tenant = company, tenant_from = "organization")]
#[abac_policy(all_read(entity.managerId == participant.id))]
#[abac_policy(all_tenants_read = "participant.roles contains 'auditor'")]
struct Person {
    #[entity(id, column = "person_no")]
    number: u32,
    company: String,
    manager_id: Option<String>,
    address: Address,
    #[abac_policy(read(entity.managerId == participant.id), write = "participant.roles contains 'hr'")]
    #[abac_policy(read = "participant.mfa")]
    base_salary: Option<i64>,
    #[attributes(skip)]
    #[serde(rename = "kg")]
    weight: f64,
    #[serde(skip)]
    #[expect(dead_code, reason = "it is not stored")]
    cached: Option<String>,
}

#[derive(Entity)]
struct PhotoAlbum {
    id: String,
}

#[derive(Entity)]
#[entity(name = "PhotoFrame")]
struct Model {
    id: String,
}

#[test]
fn rows_are_declared_once() {
    let table = Person::TABLE;
    assert_eq!((table.name, table.id), ("hr.people", "number"));
    let tenant = table.tenant.as_ref().unwrap();
    assert_eq!((tenant.attribute, tenant.participant), ("company", "organization"));
    let columns: Vec<_> = table.columns.iter().map(|c| (c.attribute, c.column)).collect();
    assert_eq!(
        columns,
        [
            ("number", "person_no"),
            ("company", "company"),
            ("managerId", "manager_id"),
            ("address", "address"),
            ("baseSalary", "base_salary"),
        ]
    );
    let unread: Vec<_> = Person::UNREAD.iter().map(|c| (c.attribute, c.column)).collect();
    assert_eq!(unread, [("kg", "weight")]);
    let fields: Vec<_> = Person::FIELDS.iter().map(|f| (f.attribute, f.read, f.write)).collect();
    assert_eq!(fields, [("baseSalary", Some("Person.baseSalary.read"), Some("Person.baseSalary.write"))]);
    assert_eq!(PhotoAlbum::TABLE.name, "photo_album");
    assert_eq!((Model::NAME, Model::TABLE.name), ("PhotoFrame", "photo_frame"));
    assert!(policy_runtime::__private::table::Table::new(table).is_ok());
    let _ = PhotoAlbum { id: String::new() };
}

#[test]
fn rules_of_fields_and_of_crossing_are_actions() {
    let policy = policy_runtime::Policy::for_application("rows").unwrap();
    let registry = policy.engine().registry();
    let rule = |name: &str| {
        let id = policy.engine().action(name).unwrap_or_else(|| panic!("no action {name}"));
        let entry = registry.action(id).unwrap();
        entry.permit.as_ref().and_then(|p| p.policy.annotation("rule")).unwrap().to_owned()
    };
    assert_eq!(
        rule("com.example.Person.baseSalary.read"),
        "(entity.managerId == participant.id) and (participant.mfa)"
    );
    assert_eq!(rule("com.example.Person.baseSalary.write"), "participant.roles contains 'hr'");
    assert_eq!(rule("com.example.Person.tenantsFindAll"), "participant.roles contains 'auditor'");
    assert!(policy.engine().action("com.example.Person.tenantsDeleteById").is_none());
}
