//! Pages and cursors are of one caller and one question.

use policy_runtime::Code;
use policy_runtime::entity::{Direction, Entities, Page, Paging, Query, Repository};

use crate::photos::{Photo, photo};
use crate::{World, both, code, repository};

both! {
    pages_hold_only_what_the_caller_sees
    cursors_walk_all_rows_once
    a_cursor_is_of_one_caller_and_one_question
    what_is_no_page_is_said
    the_page_of_kinotic_is_read_and_written
}

async fn many(world: &World) -> Repository<Photo> {
    let photos = repository::<Photo>(world).await;
    let (alice, bob) = (world.caller("alice", &["user"]), world.caller("bob", &["user"]));
    let of = |owner: &str, n: i64| {
        let mut one = photo(&format!("{n:02}"), owner, if n % 3 == 0 { "sea" } else { "hills" }, &[]);
        one.size = n % 4;
        one.note = (n % 2 == 0).then(|| format!("note {}", n % 3));
        one
    };
    photos.bulk_save(&alice, (0..20).map(|n| of("alice", n)).collect()).await.unwrap();
    photos.bulk_save(&bob, (20..30).map(|n| of("bob", n)).collect()).await.unwrap();
    photos
}

fn ids(page: &Page<Photo>) -> Vec<&str> {
    page.content.iter().map(|p| p.id.as_str()).collect()
}

async fn pages_hold_only_what_the_caller_sees(world: World) {
    let photos = many(&world).await;
    let alice = world.caller("alice", &["user"]);
    let page = photos.find_all(&alice, &Paging::page(1, 7)).await.unwrap();
    assert_eq!((page.total_elements, page.cursor.as_deref()), (Some(20), None));
    assert_eq!(ids(&page), ["07", "08", "09", "10", "11", "12", "13"]);
    let last = photos.find_all(&alice, &Paging::page(2, 7)).await.unwrap();
    assert_eq!(ids(&last).len(), 6);
    let beyond = photos.find_all(&alice, &Paging::page(1_000_000, 7)).await.unwrap();
    assert_eq!((ids(&beyond).len(), beyond.total_elements), (0, Some(20)));
}

async fn cursors_walk_all_rows_once(world: World) {
    let photos = many(&world).await;
    let alice = world.caller("alice", &["user"]);
    for size in [1, 3, 19, 20, 21] {
        let mut cursor = None;
        let mut found: Vec<(i64, Option<String>, String)> = Vec::new();
        loop {
            let paging = Paging::cursor(cursor.as_deref(), size)
                .by("size", Direction::Descending)
                .by("note", Direction::Ascending);
            let page = photos.find_all(&alice, &paging).await.unwrap();
            // The npm client drops the content of a page without a cursor: only an empty one has none.
            assert_eq!(page.cursor.is_none(), page.content.is_empty());
            found.extend(page.content.into_iter().map(|p| (-p.size, p.note, p.id)));
            cursor = page.cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(found.len(), 20, "pages of {size}");
        let mut sorted = found.clone();
        sorted.sort_by_key(|(size, note, id)| (*size, note.is_none(), note.clone(), id.clone()));
        assert_eq!(found, sorted, "pages of {size}");
    }
}

async fn a_cursor_is_of_one_caller_and_one_question(world: World) {
    let photos = many(&world).await;
    let (alice, bob) = (world.caller("alice", &["user"]), world.caller("bob", &["user"]));
    let sea = Query::eq("title", "sea");
    let first = photos.search(&alice, &sea, &Paging::cursor(None, 2)).await.unwrap();
    let cursor = first.cursor.as_deref();
    assert_eq!(ids(&photos.search(&alice, &sea, &Paging::cursor(cursor, 2)).await.unwrap()), ["06", "09"]);
    let other = Paging::cursor(cursor, 2);
    assert_eq!(code(photos.search(&bob, &sea, &other).await), Code::BadCursor);
    assert_eq!(code(photos.search(&alice, &Query::eq("title", "hills"), &other).await), Code::BadCursor);
    assert_eq!(code(photos.find_all(&alice, &other).await), Code::BadCursor);
    let sorted = other.clone().by("size", Direction::Ascending);
    assert_eq!(code(photos.search(&alice, &sea, &sorted).await), Code::BadCursor);
    for wrong in ["", "x", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "' OR 1=1"] {
        assert_eq!(code(photos.search(&alice, &sea, &Paging::cursor(Some(wrong), 2)).await), Code::BadCursor);
    }
    // A server with another key does not take it; with the same key it does.
    let pool = world.entities.pool();
    let shared = || Entities::new(pool.clone()).unwrap().cursor_key([3; 32]);
    let (one, two) = (shared().repository::<Photo>().await.unwrap(), shared().repository::<Photo>().await.unwrap());
    assert_eq!(code(one.search(&alice, &sea, &other).await), Code::BadCursor);
    let first = one.search(&alice, &sea, &Paging::cursor(None, 2)).await.unwrap();
    assert!(two.search(&alice, &sea, &Paging::cursor(first.cursor.as_deref(), 2)).await.is_ok());
    let brief = shared().cursor_lifetime(std::time::Duration::ZERO).repository::<Photo>().await.unwrap();
    let first = brief.search(&alice, &sea, &Paging::cursor(None, 2)).await.unwrap();
    assert_eq!(code(brief.search(&alice, &sea, &Paging::cursor(first.cursor.as_deref(), 2)).await), Code::BadCursor);
    // What the rules say by then is what counts.
    let rule = ("none".into(), "forbid com.example.Photo.allRead when entity.id == '06'".into());
    let source = policy_runtime::SetSource { rules: vec![rule], ..Default::default() };
    world.policy.replace(&world.policy.organization(), &source).unwrap();
    assert_eq!(ids(&photos.search(&alice, &sea, &other).await.unwrap()), ["09", "12"]);
}

async fn what_is_no_page_is_said(world: World) {
    let photos = many(&world).await;
    let alice = world.caller("alice", &["user"]);
    for paging in [
        Paging::page(0, 0),
        Paging::page(0, 1_001),
        Paging::page(0, u64::MAX),
        Paging::page(u64::MAX, 1_000),
        Paging::cursor(None, 0),
        Paging::page(0, 10).by("titel", Direction::Ascending),
        Paging::page(0, 10).by("title; DROP TABLE photos", Direction::Ascending),
        Paging::page(0, 10).by("sharedWith", Direction::Ascending),
        Paging::page(0, 10).by("owner_id", Direction::Ascending),
    ] {
        assert_eq!(code(photos.find_all(&alice, &paging).await), Code::BadQuery, "{paging:?}");
    }
    let near = photos.find_all(&alice, &Paging::page(0, 10).by("titel", Direction::Ascending)).await.unwrap_err();
    assert!(near.to_string().contains("did you mean `title`?"), "{near}");
}

async fn the_page_of_kinotic_is_read_and_written(world: World) {
    let photos = many(&world).await;
    let alice = world.caller("alice", &["user"]);
    let read = |json: &str| serde_json::from_str::<Paging>(json).unwrap();
    assert_eq!(read(r#"{"pageSize":2,"pageNumber":0}"#), Paging::page(0, 2));
    assert_eq!(read(r#"{"pageSize":2,"cursor":null,"sort":null}"#), Paging::cursor(None, 2));
    let sorted = r#"{"pageSize":2,"pageNumber":0,"sort":{"orders":[{"property":"size","direction":"DESC","nullHandling":"NATIVE"}]}}"#;
    let page = photos.find_all(&alice, &read(sorted)).await.unwrap();
    let json = serde_json::to_value(&page).unwrap();
    assert_eq!(json["totalElements"], 20);
    assert_eq!(json["content"][0]["ownerId"], "alice");
    assert_eq!(ids(&page), ["03", "07"]);
}
