//! Who sees and changes which rows.

use policy_runtime::entity::{Paging, Query, Repository};
use policy_runtime::{Code, Entity, SecurityContext};
use serde::{Deserialize, Serialize};

use crate::{World, both, code, repository};

#[derive(Entity, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
#[entity(namespace = "com.example", table = "photos")]
#[abac_policy(all_read(entity.ownerId == participant.id or entity.sharedWith contains participant.id))]
#[abac_policy(all_create(participant.roles contains "user" and entity.ownerId == participant.id))]
#[abac_policy(all_update = "entity.ownerId == participant.id and not entity.title like 'locked*'")]
#[abac_policy(all_delete(entity.ownerId == participant.id))]
pub(crate) struct Photo {
    pub(crate) id: String,
    pub(crate) owner_id: String,
    pub(crate) title: String,
    pub(crate) shared_with: Vec<String>,
    pub(crate) note: Option<String>,
    pub(crate) size: i64,
}

pub(crate) fn photo(id: &str, owner: &str, title: &str, shared: &[&str]) -> Photo {
    Photo {
        id: id.into(),
        owner_id: owner.into(),
        title: title.into(),
        shared_with: shared.iter().map(|&s| s.into()).collect(),
        note: None,
        size: 0,
    }
}

both! {
    a_caller_sees_their_rows_and_no_others
    what_is_not_seen_does_not_exist_and_what_is_seen_is_denied
    both_rows_of_an_update_are_checked
    save_on_an_id_that_exists_is_creation_and_update
    a_bulk_is_all_or_nothing
    deletion_by_query_takes_the_visible_or_none
    an_operation_without_a_policy_is_denied
    a_rule_that_only_sees_rows_is_applied_to_each
    a_rule_of_an_upper_tier_narrows_lists_too
    a_stream_gives_what_a_search_would
    an_audited_list_needs_its_record
}

/// Two of alice's, one of them shared with bob, and one of bob's.
pub(crate) async fn gallery(world: &World) -> (Repository<Photo>, SecurityContext, SecurityContext) {
    let photos = repository::<Photo>(world).await;
    let (alice, bob) = (world.caller("alice", &["user"]), world.caller("bob", &["user"]));
    photos.save(&alice, photo("a1", "alice", "sea", &[])).await.unwrap();
    photos.save(&alice, photo("a2", "alice", "hills", &["bob"])).await.unwrap();
    photos.save(&bob, photo("b1", "bob", "100%_\\' OR 1=1", &[])).await.unwrap();
    (photos, alice, bob)
}

async fn ids(photos: &Repository<Photo>, cx: &SecurityContext) -> Vec<String> {
    photos.find_all(cx, &Paging::page(0, 100)).await.unwrap().content.into_iter().map(|p| p.id).collect()
}

async fn a_caller_sees_their_rows_and_no_others(world: World) {
    let (photos, alice, bob) = gallery(&world).await;
    let carol = world.caller("carol", &[]);
    assert_eq!(ids(&photos, &alice).await, ["a1", "a2"]);
    assert_eq!(ids(&photos, &bob).await, ["a2", "b1"]);
    assert_eq!(ids(&photos, &carol).await, [""; 0]);
    assert_eq!((photos.count(&alice).await.unwrap(), photos.count(&carol).await.unwrap()), (2, 0));
    assert_eq!(photos.find_by_id(&bob, "a2").await.unwrap().unwrap(), photo("a2", "alice", "hills", &["bob"]));
    assert_eq!(photos.find_by_id(&bob, "a1").await.unwrap(), None);
    let asked = ["b1", "a1", "none", "a2"].map(str::to_owned);
    let found = photos.find_by_ids(&bob, &asked).await.unwrap();
    assert_eq!(found.iter().map(|p| p.id.as_str()).collect::<Vec<_>>(), ["b1", "a2"]);
    let all = Query::exists("id");
    assert_eq!(photos.count_by_query(&bob, &all).await.unwrap(), 2);
    assert_eq!(photos.count_by_query(&bob, &Query::eq("title", "sea")).await.unwrap(), 0);
    assert_eq!(photos.count_by_query(&bob, &Query::eq("title", "sea").not()).await.unwrap(), 2);
    let odd = Query::eq("title", "100%_\\' OR 1=1");
    assert_eq!(photos.count_by_query(&bob, &odd).await.unwrap(), 1);
    assert_eq!(photos.count_by_query(&bob, &Query::like("title", "100%*")).await.unwrap(), 1);
    assert_eq!(photos.count_by_query(&bob, &Query::like("title", "1000*")).await.unwrap(), 0);
    let found = photos.search(&bob, &Query::parse("hil").unwrap(), &Paging::page(0, 10)).await.unwrap();
    assert_eq!((found.content.len(), found.total_elements), (1, Some(1)));
    // Sharing shows, and ending it hides.
    let mut shared = photo("a1", "alice", "sea", &["carol"]);
    photos.update(&alice, shared.clone()).await.unwrap();
    assert_eq!(ids(&photos, &carol).await, ["a1"]);
    shared.shared_with.clear();
    photos.update(&alice, shared).await.unwrap();
    assert_eq!(ids(&photos, &carol).await, [""; 0]);
}

async fn what_is_not_seen_does_not_exist_and_what_is_seen_is_denied(world: World) {
    let (photos, _, bob) = gallery(&world).await;
    let stolen = |id: &str| photo(id, "bob", "mine", &[]);
    assert_eq!(code(photos.update(&bob, stolen("a1")).await), Code::NotFound);
    assert_eq!(code(photos.update(&bob, stolen("none")).await), Code::NotFound);
    assert_eq!(code(photos.update(&bob, stolen("a2")).await), Code::AccessDenied);
    assert!(!photos.delete_by_id(&bob, "a1").await.unwrap());
    assert!(!photos.delete_by_id(&bob, "none").await.unwrap());
    assert_eq!(code(photos.delete_by_id(&bob, "a2").await), Code::AccessDenied);
    let alice = world.caller("alice", &["user"]);
    assert_eq!(ids(&photos, &alice).await, ["a1", "a2"]);
    assert_eq!(photos.find_by_id(&alice, "a2").await.unwrap().unwrap().title, "hills");
    assert!(photos.delete_by_id(&alice, "a2").await.unwrap());
    assert_eq!(ids(&photos, &bob).await, ["b1"]);
}

async fn both_rows_of_an_update_are_checked(world: World) {
    let (photos, alice, bob) = gallery(&world).await;
    // The new row would be bob's, which alice may not write.
    assert_eq!(code(photos.update(&alice, photo("a1", "bob", "sea", &[])).await), Code::AccessDenied);
    // The stored row may not be changed any more once it is locked.
    photos.update(&alice, photo("a1", "alice", "open", &[])).await.unwrap();
    assert_eq!(code(photos.update(&alice, photo("a1", "alice", "locked 1", &[])).await), Code::AccessDenied);
    world.run("UPDATE photos SET title = 'locked by hand' WHERE id = 'a1'").await;
    assert_eq!(code(photos.update(&alice, photo("a1", "alice", "open", &[])).await), Code::AccessDenied);
    assert_eq!(photos.find_by_id(&alice, "a1").await.unwrap().unwrap().title, "locked by hand");
    assert_eq!(ids(&photos, &bob).await, ["a2", "b1"]);
}

async fn save_on_an_id_that_exists_is_creation_and_update(world: World) {
    let (photos, alice, bob) = gallery(&world).await;
    let written = photos.save(&alice, photo("a1", "alice", "sea at night", &[])).await.unwrap();
    assert_eq!(written.entity().unwrap().title, "sea at night");
    // Of a row that bob does not see he learns what any refused save tells.
    let taken = photos.save(&bob, photo("a1", "bob", "mine", &[])).await.unwrap_err();
    let refused = photos.save(&bob, photo("new", "alice", "not mine", &[])).await.unwrap_err();
    assert_eq!((taken.code(), refused.code()), (Code::AccessDenied, Code::AccessDenied));
    let told = |e: policy_runtime::entity::EntityError| e.to_string().split(" (").next().map(str::to_owned);
    assert_eq!(told(taken), told(refused));
    assert_eq!(code(photos.save(&bob, photo("a2", "bob", "mine", &[])).await), Code::AccessDenied);
    let visitor = world.caller("dan", &[]);
    assert_eq!(code(photos.save(&visitor, photo("d1", "dan", "x", &[])).await), Code::AccessDenied);
    // An empty id is made.
    let made = photos.save(&alice, photo("", "alice", "new", &[])).await.unwrap();
    assert!(!made.id().is_empty());
    assert_eq!(photos.find_by_id(&alice, made.id()).await.unwrap().as_ref(), made.entity());
    assert_eq!(photos.count(&alice).await.unwrap(), 3);
}

async fn a_bulk_is_all_or_nothing(world: World) {
    let (photos, alice, _) = gallery(&world).await;
    let some = |owner: &str| {
        vec![photo("x1", "alice", "1", &[]), photo("x2", owner, "2", &[]), photo("x3", "alice", "3", &[])]
    };
    assert_eq!(code(photos.bulk_save(&alice, some("bob")).await), Code::AccessDenied);
    assert_eq!(photos.count(&alice).await.unwrap(), 2);
    // The database stops the third one, after two were written.
    world.run("CREATE UNIQUE INDEX one_title ON photos (title)").await;
    let mut clash = some("alice");
    clash[2].title = "sea".into();
    assert_eq!(code(photos.bulk_save(&alice, clash).await), Code::Conflict);
    assert_eq!(photos.count(&alice).await.unwrap(), 2);
    photos.bulk_save(&alice, some("alice")).await.unwrap();
    assert_eq!(photos.count(&alice).await.unwrap(), 5);
    let mut changed = some("alice");
    for one in &mut changed {
        one.note = Some("seen".into());
    }
    changed[1].id = "b1".into();
    assert_eq!(code(photos.bulk_update(&alice, changed.clone()).await), Code::NotFound);
    assert_eq!(photos.count_by_query(&alice, &Query::eq("note", "seen")).await.unwrap(), 0);
    changed[1].id = "x2".into();
    photos.bulk_update(&alice, changed).await.unwrap();
    assert_eq!(photos.count_by_query(&alice, &Query::eq("note", "seen")).await.unwrap(), 3);
}

async fn deletion_by_query_takes_the_visible_or_none(world: World) {
    let (photos, alice, bob) = gallery(&world).await;
    // Bob sees alice's a2 and may not delete it, so nothing goes.
    assert_eq!(code(photos.delete_by_query(&bob, &Query::all()).await), Code::AccessDenied);
    assert_eq!(ids(&photos, &bob).await, ["a2", "b1"]);
    assert_eq!(photos.delete_by_query(&bob, &Query::eq("ownerId", "bob")).await.unwrap(), 1);
    // What he does not see is neither deleted nor in the way.
    assert_eq!(photos.delete_by_query(&bob, &Query::eq("title", "sea")).await.unwrap(), 0);
    assert_eq!(photos.delete_by_query(&alice, &Query::parse("title:sea OR title:hills").unwrap()).await.unwrap(), 2);
    assert_eq!(photos.count(&alice).await.unwrap(), 0);
}

#[derive(Entity, Serialize, Deserialize, Debug)]
#[entity(namespace = "com.example", table = "diaries")]
#[abac_policy(find_by_id(entity.id == participant.id))]
pub(crate) struct Diary {
    pub(crate) id: String,
}

async fn an_operation_without_a_policy_is_denied(world: World) {
    let diaries = repository::<Diary>(&world).await;
    let alice = world.caller("alice", &["user"]);
    world.run("INSERT INTO diaries (id) VALUES ('alice')").await;
    assert!(diaries.find_by_id(&alice, "alice").await.unwrap().is_some());
    assert_eq!(code(diaries.find_all(&alice, &Paging::page(0, 10)).await), Code::AccessDenied);
    assert_eq!(code(diaries.count(&alice).await), Code::AccessDenied);
    assert_eq!(code(diaries.save(&alice, Diary { id: "x".into() }).await), Code::AccessDenied);
    assert_eq!(code(diaries.update(&alice, Diary { id: "alice".into() }).await), Code::AccessDenied);
    assert_eq!(code(diaries.delete_by_id(&alice, "alice").await), Code::AccessDenied);
    assert_eq!(code(diaries.delete_by_query(&alice, &Query::all()).await), Code::AccessDenied);
}

async fn a_rule_that_only_sees_rows_is_applied_to_each(world: World) {
    let (photos, alice, bob) = gallery(&world).await;
    // Arithmetic on columns never becomes SQL; this forbids an odd one.
    let mut even = photo("a3", "alice", "even", &["bob"]);
    even.size = 21;
    photos.save(&alice, even).await.unwrap();
    let organization = world.policy.organization();
    let cedar = "forbid(principal, action in com::example::Action::\"Photo.allRead\", resource) when { resource.size * 2 == 42 };";
    let source = policy_runtime::SetSource { cedar: vec![("sizes".into(), cedar.into())], ..Default::default() };
    world.policy.replace(&organization, &source).unwrap();
    assert_eq!(ids(&photos, &bob).await, ["a2", "b1"]);
    assert_eq!(photos.count(&bob).await.unwrap(), 2);
    assert_eq!(photos.find_by_id(&bob, "a3").await.unwrap(), None);
    let page = photos.find_all(&bob, &Paging::page(1, 1)).await.unwrap();
    assert_eq!((page.total_elements, page.content[0].id.as_str()), (Some(2), "b1"));
    let first = photos.find_all(&bob, &Paging::cursor(None, 1)).await.unwrap();
    let second = photos.find_all(&bob, &Paging::cursor(first.cursor.as_deref(), 1)).await.unwrap();
    assert_eq!((first.content[0].id.as_str(), second.content[0].id.as_str()), ("a2", "b1"));
    // More rows than the bound is an error, never a wrong count.
    let few = policy_runtime::entity::Entities::new(world.entities.pool().clone()).unwrap().scan_limit(1);
    let few = few.repository::<Photo>().await.unwrap();
    assert_eq!(code(few.count(&bob).await), Code::TooManyRows);
    assert_eq!(code(few.find_all(&bob, &Paging::page(0, 10)).await), Code::TooManyRows);
}

async fn a_rule_of_an_upper_tier_narrows_lists_too(world: World) {
    let (photos, _, bob) = gallery(&world).await;
    let organization = world.policy.organization();
    let rule = ("sea".into(), "forbid com.example.Photo.allRead when entity.title like 'hill*'".into());
    let source = policy_runtime::SetSource { rules: vec![rule], ..Default::default() };
    world.policy.replace(&organization, &source).unwrap();
    assert_eq!(ids(&photos, &bob).await, ["b1"]);
    assert_eq!(photos.find_by_id(&bob, "a2").await.unwrap(), None);
    assert_eq!(code(photos.update(&bob, photo("a2", "bob", "x", &[])).await), Code::NotFound);
}

async fn a_stream_gives_what_a_search_would(world: World) {
    use futures_util::StreamExt as _;
    let (photos, alice, bob) = gallery(&world).await;
    let many = (0..500).map(|n| photo(&format!("m{n:03}"), "alice", "many", &[])).collect();
    photos.bulk_save(&alice, many).await.unwrap();
    let streamed: Vec<_> = photos.stream(&alice, &Query::eq("title", "many")).await.unwrap().collect().await;
    assert_eq!(streamed.len(), 500);
    assert_eq!(streamed[7].as_ref().unwrap().id, "m007");
    let of_bob: Vec<_> = photos.stream(&bob, &Query::all()).await.unwrap().collect().await;
    assert_eq!(of_bob.len(), 2);
    // One that is left early lets go of its connection.
    let mut left = photos.stream(&alice, &Query::all()).await.unwrap();
    assert!(left.next().await.is_some());
    drop(left);
    assert_eq!(photos.count(&alice).await.unwrap(), 502);
}

async fn an_audited_list_needs_its_record(world: World) {
    use policy_runtime::audit::MemoryAudit;
    use policy_runtime::audit::journal::{Filter, Journal, Recording};
    let (photos, alice, bob) = gallery(&world).await;
    world.policy.require_audit("com.example.Photo.findAll").unwrap();
    assert_eq!(code(photos.find_all(&alice, &Paging::page(0, 10)).await), Code::AuditUnavailable);
    let log = std::sync::Arc::new(MemoryAudit::default());
    let audited = alice.with_audit(log.clone());
    assert_eq!(ids(&photos, &audited).await, ["a1", "a2"]);
    let records = log.records();
    assert_eq!(records.len(), 1);
    assert_eq!((&*records[0].0.action, records[0].1), ("com.example.Photo.findAll", true));
    // Which filter it was: the same list has the same hash, another caller's another.
    assert_eq!(ids(&photos, &audited).await, ["a1", "a2"]);
    let bob = bob.with_audit(log.clone());
    assert_eq!(ids(&photos, &bob).await, ["a2", "b1"]);
    let hashes: Vec<_> = log.records().into_iter().map(|(record, _)| record.details["filter"].clone()).collect();
    assert!(hashes[0] == hashes[1] && hashes[1] != hashes[2], "{hashes:?}");

    // Where records have what was decided about, also what each tier contributed to the filter.
    let journal = Journal::in_memory().recording(Recording::required().with_inputs()).start().unwrap();
    let journal = std::sync::Arc::new(journal);
    assert_eq!(ids(&photos, &bob.with_audit(journal.clone())).await, ["a2", "b1"]);
    journal.flush().await.unwrap();
    let scope = world.policy.application().to_string();
    let found = journal.query(&Filter::scope(&scope).action("com.example.Photo.findAll")).await.unwrap();
    let told = found[0].personal("filter.application").unwrap();
    assert!(told.contains("entity.ownerId == 'bob'"), "{told}");
}
