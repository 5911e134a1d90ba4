//! Rules of fields: nobody reads one by asking, and nobody erases one by not seeing it.

use policy_runtime::entity::{Direction, Paging, Query, Repository};
use policy_runtime::{Code, Entity, SecurityContext};
use serde::{Deserialize, Serialize};

use crate::{World, both, code, repository};

#[derive(Entity, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
#[entity(namespace = "com.example", table = "people")]
#[abac_policy(all_read(participant.roles contains "user"), all_create(participant.roles contains "user"))]
#[abac_policy(all_update(participant.roles contains "user"), all_delete(participant.roles contains "user"))]
pub(crate) struct Person {
    id: String,
    name: String,
    #[abac_policy(read(participant.roles contains "hr" or entity.id == participant.id))]
    #[abac_policy(write(participant.roles contains "hr"))]
    salary: Option<i64>,
    #[abac_policy(read(participant.roles contains "hr"))]
    remark: Option<String>,
    #[abac_policy(write(participant.roles contains "hr" and entity.name != "the boss"))]
    grade: i64,
}

both! {
    a_field_is_hidden_row_by_row
    nobody_reads_a_field_by_asking
    nobody_erases_a_field_by_not_seeing_it
    a_change_of_a_field_is_decided_on_both_rows
    what_is_said_of_all_of_an_entity_is_said_of_its_fields
}

fn person(id: &str, salary: Option<i64>) -> Person {
    Person { id: id.into(), name: id.to_uppercase(), salary, remark: None, grade: 0 }
}

async fn people(world: &World) -> (Repository<Person>, SecurityContext, SecurityContext) {
    let people = repository::<Person>(world).await;
    let hr = world.caller("hr", &["user", "hr"]);
    for (id, salary) in [("ann", 10), ("ben", 20)] {
        let mut one = person(id, Some(salary));
        one.remark = Some(format!("of {id}"));
        people.save(&hr, one).await.unwrap();
    }
    (people, hr, world.caller("ann", &["user"]))
}

async fn a_field_is_hidden_row_by_row(world: World) {
    let (people, hr, ann) = people(&world).await;
    let seen = |page: policy_runtime::entity::Page<Person>| -> Vec<(Option<i64>, bool)> {
        page.content.into_iter().map(|p| (p.salary, p.remark.is_some())).collect()
    };
    let all = Paging::page(0, 10);
    assert_eq!(seen(people.find_all(&hr, &all).await.unwrap()), [(Some(10), true), (Some(20), true)]);
    assert_eq!(seen(people.find_all(&ann, &all).await.unwrap()), [(Some(10), false), (None, false)]);
    assert_eq!(people.find_by_id(&ann, "ben").await.unwrap().unwrap().salary, None);
    assert_eq!(people.find_by_id(&ann, "ann").await.unwrap().unwrap().salary, Some(10));
    // What a write answers passes the same rules.
    let written = people.update(&ann, person("ben", None)).await.unwrap();
    assert_eq!(written.entity().map(|p| (p.salary, p.remark.clone())), Some((None, None)));
}

async fn nobody_reads_a_field_by_asking(world: World) {
    let (people, hr, ann) = people(&world).await;
    let page = || Paging::page(0, 10);
    // Ann may read her own salary, and still not ask for salaries.
    for query in [Query::ge("salary", 15), Query::exists("salary"), Query::parse("salary:>15").unwrap()] {
        assert!(people.count_by_query(&hr, &query).await.is_ok());
        let refused = people.count_by_query(&ann, &query).await.unwrap_err();
        assert_eq!(refused.code(), Code::BadQuery);
        // It answers as a field that does not exist.
        let unknown = people.count_by_query(&ann, &Query::ge("celery", 15)).await.unwrap_err();
        assert_eq!(unknown.code(), Code::BadQuery);
        assert!(!unknown.to_string().contains("salary"), "{unknown}");
    }
    let by_salary = || page().by("salary", Direction::Ascending);
    assert_eq!(people.find_all(&hr, &by_salary()).await.unwrap().content.len(), 2);
    assert_eq!(code(people.find_all(&ann, &by_salary()).await), Code::BadQuery);
    assert_eq!(code(people.delete_by_query(&ann, &Query::ge("salary", 15)).await), Code::BadQuery);
    let of_ben = Query::parse("\"of ben\"").unwrap();
    assert_eq!(people.search(&hr, &of_ben, &page()).await.unwrap().content.len(), 1);
    assert_eq!(people.search(&ann, &of_ben, &page()).await.unwrap().content.len(), 0);
}

async fn nobody_erases_a_field_by_not_seeing_it(world: World) {
    let (people, hr, ann) = people(&world).await;
    let mut ben = people.find_by_id(&ann, "ben").await.unwrap().unwrap();
    ben.name = "BEN II".into();
    people.update(&ann, ben.clone()).await.unwrap();
    people.save(&ann, ben.clone()).await.unwrap();
    let stored = people.find_by_id(&hr, "ben").await.unwrap().unwrap();
    assert_eq!((stored.name.as_str(), stored.salary, stored.remark.as_deref()), ("BEN II", Some(20), Some("of ben")));
    // Naming what one may not read is refused, also with what is stored.
    ben.salary = Some(20);
    assert_eq!(code(people.update(&ann, ben.clone()).await), Code::AccessDenied);
    ben.salary = None;
    ben.remark = Some("of ben".into());
    assert_eq!(code(people.update(&ann, ben).await), Code::AccessDenied);
    assert_eq!(
        code(people.save(&ann, Person { remark: Some("x".into()), ..person("new", None) }).await),
        Code::AccessDenied
    );
    // Who sees it erases it.
    let mut seen = people.find_by_id(&hr, "ben").await.unwrap().unwrap();
    seen.remark = None;
    assert_eq!(people.update(&hr, seen).await.unwrap().entity().unwrap().remark, None);
}

async fn a_change_of_a_field_is_decided_on_both_rows(world: World) {
    let (people, hr, ann) = people(&world).await;
    let mut own = people.find_by_id(&ann, "ann").await.unwrap().unwrap();
    own.salary = Some(1_000);
    assert_eq!(code(people.update(&ann, own.clone()).await), Code::AccessDenied);
    own.salary = Some(10);
    own.grade = 1;
    assert_eq!(code(people.update(&ann, own).await), Code::AccessDenied);
    assert_eq!(code(people.save(&ann, person("new", Some(5))).await), Code::AccessDenied);
    let mut boss = people.find_by_id(&hr, "ben").await.unwrap().unwrap();
    boss.grade = 3;
    boss.name = "the boss".into();
    assert_eq!(code(people.update(&hr, boss.clone()).await), Code::AccessDenied);
    boss.grade = 0;
    people.update(&hr, boss.clone()).await.unwrap();
    boss.name = "ben again".into();
    boss.grade = 3;
    assert_eq!(code(people.update(&hr, boss).await), Code::AccessDenied);
    assert_eq!(people.find_by_id(&hr, "ben").await.unwrap().unwrap().grade, 0);
}

async fn what_is_said_of_all_of_an_entity_is_said_of_its_fields(world: World) {
    let (people, hr, _) = people(&world).await;
    let salaries = |found: policy_runtime::entity::Page<Person>| -> Vec<Option<i64>> {
        found.content.into_iter().map(|person| person.salary).collect()
    };
    let set = |target: &str| {
        let rule = format!("forbid {target} when participant.id == 'hr'");
        policy_runtime::SetSource { rules: vec![("fields".into(), rule)], ..Default::default() }
    };
    let acme = world.policy.organization();
    world.policy.replace(&acme, &set("com.example.Person.salary.*")).unwrap();
    assert_eq!(salaries(people.find_all(&hr, &Paging::page(0, 10)).await.unwrap()), [None, None]);
    world.policy.replace(&acme, &set("com.example.Person.*")).unwrap();
    assert_eq!(people.count(&hr).await.unwrap(), 0);
    let all = policy_core::EntityUid::new("com::example::Action", "Person");
    let registry = world.policy.engine().registry();
    let names: Vec<String> = registry
        .members(&all)
        .iter()
        .filter_map(|id| registry.action(*id))
        .map(|entry| entry.name.to_string())
        .collect();
    for name in ["com.example.Person.findAll", "com.example.Person.salary.read", "com.example.Person.salary.write"] {
        assert!(names.iter().any(|known| known == name), "{name} is not of {names:?}");
    }
}
