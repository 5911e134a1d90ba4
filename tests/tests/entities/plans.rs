//! A condition uses the indexes that the same one uses when it is written by hand.

use policy_runtime::Entity;
use policy_runtime::entity::{Page, Paging, Query};
use policy_runtime::filter::{Dialect, Operation};
use serde::{Deserialize, Serialize};
use tests::pictures::{CASES, Pictures};

use crate::{World, both, repository};

both! {
    conditions_use_the_indexes_that_handwritten_ones_use
    a_negated_rule_looks_at_a_set_once
}

async fn conditions_use_the_indexes_that_handwritten_ones_use(world: World) {
    let pictures = Pictures::of(world.entities.pool().clone(), 20_000).await.unwrap();
    for case in &CASES {
        let [condition, by_hand] = pictures.both(case, 1).await.unwrap();
        assert_eq!(condition.indexes(), by_hand.indexes(), "{}: {condition:#?} {by_hand:#?}", case.name);
        assert_eq!(condition.count, by_hand.count, "{}", case.name);
        assert!(condition.count > 0 && condition.count < 1_000, "{}: {}", case.name, condition.count);
        // SQLite has no index into JSON, for nobody.
        let unindexed = !world.is_postgres() && case.name.contains("shared");
        assert_eq!(condition.indexes().is_empty(), unindexed, "{}: {condition:#?}", case.name);
    }
}

#[derive(Entity, Serialize, Deserialize, Debug)]
#[entity(namespace = "com.example.looks", table = "looks")]
#[abac_policy(find_all(not entity.blocked contains participant.id))]
#[abac_policy(search(not entity.blocked contains participant.id and not entity.blocked contains "everybody"))]
#[abac_policy(count(entity.blocked contains participant.id))]
#[abac_policy(find_by_id(not entity.hidden contains participant.id))]
struct Looked {
    id: String,
    blocked: Vec<String>,
    hidden: Option<Vec<String>>,
}

async fn a_negated_rule_looks_at_a_set_once(world: World) {
    let looked = repository::<Looked>(&world).await;
    let some = [("a", "[]", None), ("b", "[\"bob\"]", Some("[]")), ("c", "[\"everybody\", \"x\"]", Some("[\"bob\"]"))];
    for (id, blocked, hidden) in some {
        let stored = |json: &str| {
            let array = world.is_postgres().then(|| json.replace('[', "{").replace(']', "}"));
            format!("'{}'", array.unwrap_or_else(|| json.to_owned()))
        };
        let hidden = hidden.map_or("NULL".to_owned(), stored);
        world.run(&format!("INSERT INTO looks VALUES ('{id}', {}, {hidden})", stored(blocked))).await;
    }
    let bob = world.caller("bob", &[]);
    let page = Paging::page(0, 10);
    let ids = |page: Page<Looked>| page.content.into_iter().map(|one| one.id).collect::<Vec<_>>();
    assert_eq!(ids(looked.find_all(&bob, &page).await.unwrap()), ["a", "c"]);
    assert_eq!(ids(looked.search(&bob, &Query::all(), &page).await.unwrap()), ["a"]);
    assert_eq!(looked.count(&bob).await.unwrap(), 1);
    let mut found = Vec::new();
    for (id, ..) in some {
        found.push(looked.find_by_id(&bob, id).await.unwrap().is_some());
    }
    assert_eq!(found, [false, true, false], "what is not there is not outside");
    if world.is_postgres() {
        return;
    }
    for operation in [Operation::FindAll, Operation::Search, Operation::FindById] {
        let condition = looked.authorized(&bob, operation).unwrap().condition(Dialect::Sqlite);
        let sql = sea_query::Query::select().cond_where(condition).to_string(sea_query::SqliteQueryBuilder);
        let looks = |function: &str| sql.matches(function).count();
        assert_eq!((looks("json_each"), looks("json_valid"), looks("json_type")), (1, 0, 0), "{sql}");
    }
    // The database says so, and not only the text of its table.
    let broken =
        sqlx::query("INSERT INTO looks VALUES ('d', '{}', NULL)").execute(world.entities.pool().sqlite().unwrap());
    assert!(broken.await.unwrap_err().to_string().contains("CHECK constraint failed"));
}
