//! One operation is decided by the sets of one moment, and its record says how many rows it was.

use std::sync::Arc;

use futures_util::StreamExt as _;
use policy_core::ActionName;
use policy_runtime::audit::{AuditFuture, AuditLog, Detail, MemoryAudit, Record};
use policy_runtime::entity::{Paging, Query};
use policy_runtime::{Policy, SetSource};

use crate::photos::{gallery, photo};
use crate::{World, both};

both! {
    a_set_that_is_replaced_midway_decides_about_the_next_operation
    a_list_records_how_many_rows_it_gave
}

/// A log that closes everything once work begins: after its first decisions, and before the rows.
#[derive(Debug)]
struct Closing {
    policy: Policy,
    kept: MemoryAudit,
}

fn replace(policy: &Policy, rules: &[&str], cedar: &[&str]) {
    let named = |all: &[&str]| all.iter().map(|text| ("set".into(), (*text).into())).collect();
    let source = SetSource { rules: named(rules), cedar: named(cedar), ..Default::default() };
    policy.replace(&policy.organization(), &source).unwrap();
}

impl AuditLog for Closing {
    fn begin<'a>(&'a self, record: &'a Record) -> AuditFuture<'a> {
        replace(&self.policy, &["forbid com.example.Photo.*"], &[]);
        self.kept.begin(record)
    }

    fn complete(&self, record: &Record, rows: Option<u64>) {
        self.kept.complete(record, rows);
    }

    fn wants(&self, _: &ActionName, allowed: bool) -> bool {
        allowed
    }
}

async fn a_set_that_is_replaced_midway_decides_about_the_next_operation(world: World) {
    let (photos, alice, _) = gallery(&world).await;
    let log = Arc::new(Closing { policy: world.policy.clone(), kept: MemoryAudit::default() });
    let cx = alice.clone().with_audit(log.clone());
    let mut revisions = Vec::new();
    let mut open = || {
        // Each row of a list is decided about by itself.
        let odd = "forbid(principal, action in com::example::Action::\"Photo.allRead\", resource) when { resource.size * 2 == 42 };";
        replace(&world.policy, &[], &[odd]);
        revisions.push(world.policy.engine().revisions(world.policy.application())[1]);
    };
    let page = Paging::page(0, 10);
    open();
    assert_eq!(photos.find_all(&cx, &page).await.unwrap().content.len(), 2);
    assert_eq!(photos.count(&alice).await.unwrap(), 0, "the set was replaced meanwhile");
    open();
    assert_eq!(photos.stream(&cx, &Query::all()).await.unwrap().collect::<Vec<_>>().await.len(), 2);
    open();
    let written = photos.save(&cx, photo("a1", "alice", "the sea", &[])).await.unwrap();
    assert_eq!(written.entity().map(|photo| photo.title.as_str()), Some("the sea"), "it is read by the same sets, too");
    open();
    assert!(photos.update(&cx, photo("a1", "alice", "a sea", &[])).await.unwrap().entity().is_some());
    open();
    assert!(photos.delete_by_id(&cx, "a1").await.unwrap());
    open();
    assert_eq!(photos.delete_by_query(&cx, &Query::all()).await.unwrap(), 1);
    open();
    assert_eq!(photos.count(&alice).await.unwrap(), 0);
    let decided: Vec<_> = log.kept.records().iter().map(|(record, _)| record.revisions.unwrap()[1]).collect();
    assert_eq!(decided, revisions[..6]);
}

async fn a_list_records_how_many_rows_it_gave(world: World) {
    let (photos, alice, _) = gallery(&world).await;
    for list in ["findAll", "findById", "findByIds", "count", "search", "deleteByQuery"] {
        world.policy.require_audit(&format!("com.example.Photo.{list}")).unwrap();
    }
    let log = Arc::new(MemoryAudit::default());
    let cx = alice.clone().with_audit(log.clone());
    let ids = ["a1", "b1", "a2"].map(str::to_owned);
    photos.find_all(&cx, &Paging::page(0, 1)).await.unwrap();
    photos.find_all(&cx, &Paging::page(9, 1)).await.unwrap();
    photos.find_by_id(&cx, "a1").await.unwrap();
    photos.find_by_id(&cx, "b1").await.unwrap();
    photos.find_by_ids(&cx, &ids).await.unwrap();
    photos.count(&cx).await.unwrap();
    let _ = photos.stream(&cx, &Query::all()).await.unwrap().collect::<Vec<_>>().await;
    // One that is left early gave what it gave; its record was open until then.
    let mut left = photos.stream(&cx, &Query::all()).await.unwrap();
    left.next().await.unwrap().unwrap();
    assert!(log.records().last().is_some_and(|(_, done)| !done));
    drop(left);
    drop(photos.stream(&cx, &Query::all()).await.unwrap());
    photos.delete_by_query(&cx, &Query::eq("title", "sea")).await.unwrap();
    let rows: Vec<_> = log.records().into_iter().map(|(record, done)| (record.details["rows"].clone(), done)).collect();
    let expected = [1, 0, 1, 0, 2, 2, 2, 1, 0, 1].map(|rows: u64| (Detail::Plain(rows.to_string()), true));
    assert_eq!(rows, expected);
    assert!(log.records().iter().all(|(record, _)| record.details.contains_key("filter")));
}
