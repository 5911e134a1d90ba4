//! Between the check of a row and its change nobody else changes it.

use std::sync::Arc;
use std::time::Duration;

use policy_runtime::Code;
use policy_runtime::entity::{Entities, Paging, Pool, Query, Repository};
use sqlx::Connection as _;

use crate::photos::{Photo, photo};
use crate::{World, both, repository};

both! {
    changes_in_parallel_are_all_checked_on_what_is_stored
    saves_of_one_id_make_one_row
    bulks_in_any_order_wait_for_each_other_and_never_for_ever
    a_page_and_its_total_are_of_one_moment
}

/// Repositories over connections of their own, as several servers have them.
async fn servers(world: &World, count: usize) -> Vec<Repository<Photo>> {
    let mut out = Vec::new();
    for _ in 0..count {
        let entities = Entities::new(Pool::connect(&world.url).await.unwrap()).unwrap();
        out.push(entities.repository::<Photo>().await.unwrap());
    }
    out
}

async fn changes_in_parallel_are_all_checked_on_what_is_stored(world: World) {
    let photos = repository::<Photo>(&world).await;
    let alice = world.caller("alice", &["user"]);
    photos.save(&alice, photo("p", "alice", "open", &[])).await.unwrap();
    // One of many locks the row by hand, past all rules; whoever comes after must be refused.
    let servers = servers(&world, 4).await;
    let barrier = Arc::new(tokio::sync::Barrier::new(servers.len() * 5 + 1));
    let mut tasks = Vec::new();
    for (n, photos) in (0..servers.len() * 5).map(|n| (n, servers[n % servers.len()].clone())) {
        let (alice, barrier) = (alice.clone(), barrier.clone());
        tasks.push(tokio::spawn(async move {
            barrier.wait().await;
            photos.update(&alice, photo("p", "alice", &format!("change {n}"), &[])).await.map(|_| ())
        }));
    }
    barrier.wait().await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    world.run("UPDATE photos SET title = 'locked', size = 99 WHERE id = 'p'").await;
    for task in tasks {
        match task.await.unwrap() {
            Ok(()) => {}
            Err(error) => assert!(matches!(error.code(), Code::AccessDenied | Code::Conflict), "{error}"),
        }
    }
    // No change that was checked on the row before it was locked came after that.
    let stored = photos.find_by_id(&alice, "p").await.unwrap().unwrap();
    assert_eq!((stored.title.as_str(), stored.size), ("locked", 99));
}

async fn saves_of_one_id_make_one_row(world: World) {
    let photos = repository::<Photo>(&world).await;
    let servers = servers(&world, 4).await;
    let mut tasks = Vec::new();
    for n in 0..16 {
        let (photos, owner) = (servers[n % 4].clone(), if n % 2 == 0 { "alice" } else { "bob" });
        let cx = world.caller(owner, &["user"]);
        tasks.push(tokio::spawn(async move {
            photos.save(&cx, photo("p", owner, &format!("{n}"), &[])).await.map(|_| owner)
        }));
    }
    let mut owners = Vec::new();
    for task in tasks {
        match task.await.unwrap() {
            Ok(owner) => owners.push(owner),
            Err(error) => assert!(matches!(error.code(), Code::AccessDenied | Code::Conflict), "{error}"),
        }
    }
    owners.dedup();
    assert_eq!(owners.len(), 1, "the row was given from one to the other");
    let owner = world.caller(owners[0], &["user"]);
    assert_eq!(photos.count(&owner).await.unwrap(), 1);
}

async fn bulks_in_any_order_wait_for_each_other_and_never_for_ever(world: World) {
    let photos = repository::<Photo>(&world).await;
    let alice = world.caller("alice", &["user"]);
    let all = |title: &str| (0..20).map(|n| photo(&format!("{n:02}"), "alice", title, &[])).collect::<Vec<_>>();
    photos.bulk_save(&alice, all("first")).await.unwrap();
    let mut tasks = Vec::new();
    for (n, photos) in servers(&world, 4).await.into_iter().enumerate() {
        let (alice, mut rows) = (alice.clone(), all(&format!("bulk {n}")));
        if n % 2 == 0 {
            rows.reverse();
        }
        tasks.push(tokio::spawn(async move { photos.bulk_update(&alice, rows).await }));
    }
    for task in tasks {
        tokio::time::timeout(Duration::from_secs(30), task).await.unwrap().unwrap().unwrap();
    }
    let title = photos.find_by_id(&alice, "00").await.unwrap().unwrap().title;
    assert_eq!(photos.count_by_query(&alice, &Query::eq("title", title)).await.unwrap(), 20);
}

async fn a_page_and_its_total_are_of_one_moment(world: World) {
    let photos = repository::<Photo>(&world).await;
    let alice = world.caller("alice", &["user"]);
    let some = || (0..5).map(|n| photo(&n.to_string(), "alice", "a", &[])).collect::<Vec<_>>();
    let writer = {
        let (photos, alice) = (servers(&world, 1).await.remove(0), alice.clone());
        tokio::spawn(async move {
            loop {
                photos.bulk_save(&alice, some()).await.unwrap();
                photos.delete_by_query(&alice, &Query::all()).await.unwrap();
            }
        })
    };
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..300 {
        let page = photos.find_all(&alice, &Paging::page(0, 100)).await.unwrap();
        let rows = u64::try_from(page.content.len()).unwrap();
        assert_eq!(page.total_elements, Some(rows));
        seen.insert(rows);
    }
    assert!(!writer.is_finished(), "the writer failed");
    writer.abort();
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [0, 5], "nothing was written meanwhile");
}

/// A change that waits for a row sees what was committed before it, not what it saw first.
#[tokio::test]
async fn a_change_that_waited_is_checked_on_what_is_there_by_then() {
    let world = World::postgres().await;
    let photos = repository::<Photo>(&world).await;
    let alice = world.caller("alice", &["user"]);
    photos.save(&alice, photo("p", "alice", "open", &[])).await.unwrap();
    let mut other = sqlx::PgConnection::connect(&world.url).await.unwrap();
    // Within a transaction, what is going on is told once and stays so.
    let mut looking = sqlx::PgConnection::connect(&world.url).await.unwrap();
    let mut transaction = other.begin().await.unwrap();
    sqlx::query("UPDATE photos SET title = 'locked' WHERE id = 'p'").execute(&mut *transaction).await.unwrap();
    let waiting = {
        let (photos, alice) = (photos.clone(), alice.clone());
        tokio::spawn(async move { photos.update(&alice, photo("p", "alice", "mine", &[])).await })
    };
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    while sqlx::query_scalar::<_, i64>(waits).fetch_one(&mut looking).await.unwrap() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    transaction.commit().await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap_err().code(), Code::AccessDenied);
    assert_eq!(photos.find_by_id(&alice, "p").await.unwrap().unwrap().title, "locked");
    // The same where the row goes away meanwhile.
    let mut transaction = other.begin().await.unwrap();
    sqlx::query("DELETE FROM photos WHERE id = 'p'").execute(&mut *transaction).await.unwrap();
    let waiting = {
        let (photos, alice) = (photos.clone(), alice.clone());
        tokio::spawn(async move { photos.update(&alice, photo("p", "alice", "mine", &[])).await })
    };
    while sqlx::query_scalar::<_, i64>(waits).fetch_one(&mut looking).await.unwrap() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    transaction.commit().await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap_err().code(), Code::NotFound);
}
