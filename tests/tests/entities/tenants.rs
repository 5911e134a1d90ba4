//! Tenants are filled and filtered by themselves; crossing them is another action.

use std::sync::Arc;

use policy_core::value::Value;
use policy_runtime::entity::{Paging, Query, Repository, Tenants};
use policy_runtime::{Code, Entity, Participant, SecurityContext};
use serde::{Deserialize, Serialize};

use crate::{World, both, code, repository};

#[derive(Entity, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[entity(namespace = "com.example", table = "contracts", tenant = company)]
#[abac_policy(all_read(participant.roles contains "user"), all_create(participant.roles contains "user"))]
#[abac_policy(all_update(participant.roles contains "user"), all_delete(participant.roles contains "user"))]
#[abac_policy(all_tenants_read(participant.roles contains "auditor"))]
#[abac_policy(tenants_delete_by_id(participant.roles contains "auditor" and entity.text == "old"))]
pub(crate) struct Contract {
    id: String,
    #[serde(default)]
    company: String,
    text: String,
}

both! {
    the_tenant_is_filled_and_filtered
    without_a_tenant_nothing_is_read_or_written
    a_tenant_set_by_hand_is_refused
    crossing_is_denied_by_default_and_a_list_only_narrows
    the_tenant_is_the_organization_or_what_else_is_named
}

fn contract(id: &str, text: &str) -> Contract {
    Contract { id: id.into(), company: String::new(), text: text.into() }
}

async fn contracts(world: &World) -> Repository<Contract> {
    let contracts = repository::<Contract>(world).await;
    for (tenant, id) in [("acme", "a1"), ("acme", "a2"), ("globex", "g1")] {
        let user = world.of_tenant("u", tenant, &["user"]);
        let written = contracts.save(&user, contract(id, "new")).await.unwrap();
        assert_eq!(written.entity().unwrap().company, tenant);
    }
    contracts
}

async fn the_tenant_is_filled_and_filtered(world: World) {
    let contracts = contracts(&world).await;
    let acme = world.of_tenant("u", "acme", &["user"]);
    let page = contracts.find_all(&acme, &Paging::page(0, 10)).await.unwrap();
    assert_eq!((page.content.len(), page.total_elements), (2, Some(2)));
    assert_eq!(contracts.find_by_id(&acme, "g1").await.unwrap(), None);
    assert_eq!(contracts.count_by_query(&acme, &Query::eq("company", "globex")).await.unwrap(), 0);
    assert_eq!(code(contracts.update(&acme, contract("g1", "mine")).await), Code::NotFound);
    assert!(!contracts.delete_by_id(&acme, "g1").await.unwrap());
    assert_eq!(code(contracts.save(&acme, contract("g1", "mine")).await), Code::AccessDenied);
    assert_eq!(contracts.delete_by_query(&acme, &Query::all()).await.unwrap(), 2);
    let globex = world.of_tenant("u", "globex", &["user"]);
    assert_eq!(contracts.find_by_id(&globex, "g1").await.unwrap().unwrap().text, "new");
}

async fn without_a_tenant_nothing_is_read_or_written(world: World) {
    let contracts = contracts(&world).await;
    let nobody = world.caller("u", &["user"]);
    assert_eq!(contracts.count(&nobody).await.unwrap(), 0);
    assert_eq!(contracts.find_by_id(&nobody, "a1").await.unwrap(), None);
    assert_eq!(code(contracts.save(&nobody, contract("n1", "x")).await), Code::AccessDenied);
    let mut of_acme = contract("n1", "x");
    of_acme.company = "acme".into();
    assert_eq!(code(contracts.save(&nobody, of_acme.clone()).await), Code::AccessDenied);
    assert_eq!(code(contracts.update(&nobody, of_acme).await), Code::AccessDenied);
    assert_eq!(code(contracts.delete_by_id(&nobody, "a1").await), Code::AccessDenied);
    assert_eq!(code(contracts.delete_by_query(&nobody, &Query::all()).await), Code::AccessDenied);
}

async fn a_tenant_set_by_hand_is_refused(world: World) {
    let contracts = contracts(&world).await;
    let acme = world.of_tenant("u", "acme", &["user"]);
    let mut moved = contracts.find_by_id(&acme, "a1").await.unwrap().unwrap();
    moved.text = "changed".into();
    contracts.update(&acme, moved.clone()).await.unwrap();
    moved.company = "globex".into();
    assert_eq!(code(contracts.update(&acme, moved.clone()).await), Code::UnusableValue);
    assert_eq!(code(contracts.save(&acme, moved).await), Code::UnusableValue);
    // A new row has none, not even the caller's own; one that was read has it, and no more is told of one that cannot be.
    for company in ["globex", "acme"] {
        for id in ["", "n1", "g1"] {
            let made = Contract { company: company.into(), ..contract(id, "x") };
            assert_eq!(code(contracts.save(&acme, made.clone()).await), Code::UnusableValue, "{company} {id}");
            assert_eq!(code(contracts.bulk_save(&acme, vec![contract("n2", "y"), made]).await), Code::UnusableValue);
        }
    }
    let read = contracts.find_by_id(&acme, "a1").await.unwrap().unwrap();
    contracts.save(&acme, Contract { text: "saved".into(), ..read }).await.unwrap();
    assert_eq!(contracts.count(&acme).await.unwrap(), 2);
}

async fn crossing_is_denied_by_default_and_a_list_only_narrows(world: World) {
    let contracts = contracts(&world).await;
    let user = world.of_tenant("u", "acme", &["user"]);
    let auditor = world.caller("v", &["auditor"]);
    let all = contracts.across(Tenants::All);
    assert_eq!(all.count(&user).await.unwrap(), 0);
    assert_eq!(code(all.delete_by_query(&auditor, &Query::all()).await), Code::AccessDenied);
    assert_eq!(all.count(&auditor).await.unwrap(), 3);
    assert_eq!(all.find_by_id(&auditor, "g1").await.unwrap().unwrap().company, "globex");
    assert_eq!(contracts.count(&auditor).await.unwrap(), 0);
    let one = contracts.across(Tenants::list(["globex", "none' OR 1=1"]));
    assert_eq!(one.count(&auditor).await.unwrap(), 1);
    assert_eq!(one.find_by_id(&auditor, "a1").await.unwrap(), None);
    assert_eq!(one.count(&user).await.unwrap(), 0);
    assert_eq!(contracts.across(Tenants::List(vec![])).count(&auditor).await.unwrap(), 0);
    let found = all.search(&auditor, &Query::eq("company", "acme"), &Paging::page(0, 10)).await.unwrap();
    assert_eq!(found.content.len(), 2);
    // What may be read and not deleted is a denial, what is outside of the list does not exist.
    assert_eq!(code(all.delete_by_id(&auditor, "a1").await), Code::AccessDenied);
    assert!(!one.delete_by_id(&auditor, "a1").await.unwrap());
    world.run("UPDATE contracts SET text = 'old' WHERE id = 'a1'").await;
    assert!(all.delete_by_id(&auditor, "a1").await.unwrap());
}

#[derive(Entity, Serialize, Deserialize, Debug)]
#[entity(namespace = "com.example", table = "offices", tenant = organization, tenant_from = "organization")]
#[abac_policy(all_read(participant.roles contains "user"), all_create(participant.roles contains "user"))]
struct Office {
    id: String,
    #[serde(default)]
    organization: String,
}

#[derive(Entity, Serialize, Deserialize, Debug)]
#[entity(namespace = "com.example", table = "lockers", tenant = floor, tenant_from = "floor")]
#[abac_policy(all_read(participant.roles contains "user"), all_create(participant.roles contains "user"))]
struct Locker {
    id: String,
    #[serde(default)]
    floor: String,
}

async fn the_tenant_is_the_organization_or_what_else_is_named(world: World) {
    let (offices, lockers) = (repository::<Office>(&world).await, repository::<Locker>(&world).await);
    let user = world.caller("u", &["user"]);
    let organization = user.participant().scope().organization_id().unwrap().to_string();
    let office = offices.save(&user, Office { id: "o".into(), organization: String::new() }).await.unwrap();
    assert_eq!(office.entity().unwrap().organization, organization);
    world.run("INSERT INTO offices (id, organization) VALUES ('x', 'globex')").await;
    assert_eq!(offices.count(&user).await.unwrap(), 1);
    // An attribute of the participant that is not there is no tenant; one of another kind is none either.
    let locker = || Locker { id: "d".into(), floor: String::new() };
    assert_eq!(code(lockers.save(&user, locker()).await), Code::AccessDenied);
    let on = |floor: Value| {
        let builder = Participant::builder(world.policy.application().clone(), "u").role("user");
        SecurityContext::new(&world.policy, Arc::new(builder.attribute("floor", floor).build()))
    };
    let third = on(Value::text("third"));
    assert_eq!(lockers.save(&third, locker()).await.unwrap().entity().unwrap().floor, "third");
    assert_eq!(lockers.count(&third).await.unwrap(), 1);
    for other in [user, on(Value::text("fourth")), on(Value::Long(3))] {
        assert_eq!(lockers.count(&other).await.unwrap_or_default(), 0);
        assert!(lockers.find_by_id(&other, "d").await.unwrap_or_default().is_none());
    }
}
