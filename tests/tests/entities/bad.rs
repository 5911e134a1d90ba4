//! Bad input: a clear error, nothing half-written, nothing disclosed.

use std::time::{Duration, Instant};

use policy_runtime::entity::{Entities, Paging, Pool, Query, SchemaError};
use policy_runtime::{Code, Entity};
use serde::{Deserialize, Serialize};
use sqlx::Connection as _;

use crate::photos::{Photo, photo};
use crate::{World, both, code, repository};

both! {
    no_string_becomes_sql
    an_unknown_field_is_said
    a_table_that_differs_refuses_to_start
    a_stored_value_that_its_kind_cannot_hold_is_no_row
    a_number_that_its_rust_type_cannot_hold_is_an_error
    a_lost_connection_leaves_nothing_behind
    a_statement_takes_no_longer_than_it_may
}

async fn no_string_becomes_sql(world: World) {
    let photos = repository::<Photo>(&world).await;
    let alice = world.caller("alice' OR '1'='1", &["user"]);
    let attacks =
        ["'; DROP TABLE photos; --", "\" OR 1=1 --", "\\", "%", "_", "*", "$1", "?1", ":a", "\u{1F600}", "a\"b'c`d"];
    for (n, text) in attacks.iter().enumerate() {
        let mut one = photo(&format!("id{n}{text}"), "alice' OR '1'='1", text, &[text]);
        one.note = Some((*text).to_owned());
        photos.save(&alice, one).await.unwrap();
    }
    for (n, text) in attacks.iter().enumerate() {
        let found = photos.find_by_id(&alice, &format!("id{n}{text}")).await.unwrap().unwrap();
        assert_eq!(found.title, *text);
        for query in [Query::eq("title", *text), Query::contains("sharedWith", *text), Query::one_of("note", [*text])] {
            assert_eq!(photos.count_by_query(&alice, &query).await.unwrap(), 1, "{text}");
        }
        let pattern = text.replace('\\', "\\\\").replace('*', "\\*");
        assert_eq!(photos.count_by_query(&alice, &Query::like("title", &pattern)).await.unwrap(), 1, "{text}");
        let _ = photos.count_by_query(&alice, &Query::eq(text, "x")).await.unwrap_err();
        let _ = Query::parse(text).map(|_| ());
    }
    let mallory = world.caller("mallory", &["user"]);
    assert_eq!(photos.count(&mallory).await.unwrap(), 0);
    assert_eq!(photos.count(&alice).await.unwrap(), u64::try_from(attacks.len()).unwrap());
    assert_eq!(photos.find_by_id(&alice, "a\0b").await.unwrap(), None);
    let zero = photo("zero", "alice' OR '1'='1", "a\0b", &[]);
    assert_eq!(code(photos.save(&alice, zero).await), Code::UnusableValue);
}

async fn an_unknown_field_is_said(world: World) {
    let photos = repository::<Photo>(&world).await;
    let alice = world.caller("alice", &["user"]);
    for (query, told) in [
        (Query::eq("titel", "x"), "did you mean `title`?"),
        (Query::eq("owner_id", "x"), "`ownerId`"),
        (Query::eq("title.inner", "x"), "has no attribute"),
        (Query::eq("size", "many"), "size"),
        (Query::lt("title", "x"), "title"),
        (Query::contains("title", "x"), "title"),
        (Query::parse("titel:x").unwrap(), "did you mean `title`?"),
        (Query::rule("entity.size == participant.id").unwrap(), "participant"),
    ] {
        let error = photos.count_by_query(&alice, &query).await.unwrap_err();
        assert_eq!(error.code(), Code::BadQuery);
        assert!(error.to_string().contains(told), "{error} does not say {told}");
    }
    let mut deep = Query::eq("title", "x");
    for _ in 0..100 {
        deep = deep.not();
    }
    assert_eq!(code(photos.count_by_query(&alice, &deep).await), Code::BadQuery);
    let wide = (0..300).fold(Query::eq("title", "x"), |query, n| query.or(Query::eq("size", i64::from(n))));
    assert_eq!(code(photos.count_by_query(&alice, &wide).await), Code::BadQuery);
}

#[derive(Entity, Serialize, Deserialize, Debug)]
#[entity(namespace = "com.example", table = "crates")]
#[abac_policy(all_read(entity.label == "x" or participant.roles contains "user"))]
#[abac_policy(find_by_id(not entity.amount == 7))]
pub(crate) struct Crate {
    id: i64,
    label: String,
    amount: i64,
    tags: Vec<String>,
    note: Option<String>,
}

async fn a_table_that_differs_refuses_to_start(world: World) {
    let differs = |error: SchemaError| {
        let SchemaError::Differs { findings, .. } = error else { panic!("{error}") };
        findings.join("\n")
    };
    let error = world.entities.repository::<Crate>().await.map(|_| ()).unwrap_err();
    assert_eq!(differs(error), "there is no such table");
    let array = if world.is_postgres() { "TEXT[]" } else { "TEXT" };
    world.run(&format!("CREATE TABLE crates (id BIGINT, label VARCHAR(10), amount TEXT NOT NULL, tags {array} NOT NULL, extra TEXT NOT NULL, note TEXT NOT NULL)")).await;
    let found = differs(world.entities.repository::<Crate>().await.map(|_| ()).unwrap_err());
    for told in [
        "`id` is the id and is not unique",
        "`id` may be NULL",
        "`label` may be NULL",
        "`amount` is ",
        "`note` is NOT NULL",
        "`extra` must have a value",
    ] {
        assert!(found.contains(told), "{found}\n does not say {told}");
    }
    world.run("DROP TABLE crates").await;
    let folding = if world.is_postgres() {
        world.run("CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false)").await;
        "TEXT COLLATE folded"
    } else {
        "TEXT COLLATE NOCASE"
    };
    world.run(&format!("CREATE TABLE crates (id BIGINT PRIMARY KEY NOT NULL, label {folding} NOT NULL, amount BIGINT NOT NULL, tags {array} NOT NULL)")).await;
    let found = differs(world.entities.repository::<Crate>().await.map(|_| ()).unwrap_err());
    assert!(found.contains("different texts are the same"), "{found}");
    assert!(found.contains("there is no column `note`"), "{found}");
}

async fn a_stored_value_that_its_kind_cannot_hold_is_no_row(world: World) {
    if !world.is_postgres() {
        // Not STRICT, so it takes anything.
        world.run("CREATE TABLE crates (id BIGINT PRIMARY KEY NOT NULL, label TEXT NOT NULL, amount BIGINT NOT NULL, tags TEXT NOT NULL, note TEXT)").await;
    }
    let crates = repository::<Crate>(&world).await;
    let (user, other) = (world.caller("u", &["user"]), world.caller("o", &[]));
    if world.is_postgres() {
        // The types of columns keep such values out there, all but arrays of more dimensions.
        world
            .run("INSERT INTO crates (id, label, amount, tags) VALUES (1, 'x', 1, '{{a},{b}}'), (2, 'x', 1, '{a}')")
            .await;
    } else {
        world
            .run("INSERT INTO crates (id, label, amount, tags) VALUES (1, 'x', 1, 'no json'), (2, 'x', 1, '[\"a\"]')")
            .await;
        world
            .run("INSERT INTO crates (id, label, amount, tags) VALUES (3, 'x', 'many', '[]'), (4, x'00', 1, '[]')")
            .await;
        // A column that the rule reads: the row is hidden.
        assert!(crates.find_by_id(&user, "3").await.unwrap().is_none());
        assert_eq!(crates.count(&other).await.unwrap(), 3);
    }
    assert_eq!(crates.find_by_id(&user, "2").await.unwrap().unwrap().tags, ["a"]);
    // One that no rule reads is an error, which tells nothing of the value.
    let error = crates.find_by_id(&user, "1").await.unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), (Code::StoredValue, "a stored `Crate` cannot be read"));
    assert_eq!(code(crates.find_all(&user, &Paging::page(0, 10)).await), Code::StoredValue);
}

#[derive(Entity, Serialize, Deserialize, Debug)]
#[entity(namespace = "com.example", table = "meters")]
#[abac_policy(all_read = "entity.reading >= 0 or participant.roles contains 'auditor'")]
struct Meter {
    id: String,
    reading: u64,
}

/// The kind of every whole number is one, so rules see what is stored, as decisions do; a row that the struct cannot hold is not
/// taken for one that is not there.
async fn a_number_that_its_rust_type_cannot_hold_is_an_error(world: World) {
    let meters = repository::<Meter>(&world).await;
    world.run("INSERT INTO meters (id, reading) VALUES ('a', 7), ('b', -1)").await;
    let (user, auditor) = (world.caller("u", &[]), world.caller("v", &["auditor"]));
    let page = Paging::page(0, 10);
    let seen = meters.find_all(&user, &page).await.unwrap();
    assert_eq!((seen.content.len(), seen.total_elements), (1, Some(1)));
    assert!(meters.find_by_id(&user, "b").await.unwrap().is_none());
    assert_eq!(meters.count(&auditor).await.unwrap(), 2);
    for error in
        [meters.find_all(&auditor, &page).await.map(|_| ()), meters.find_by_id(&auditor, "b").await.map(|_| ())]
    {
        let error = error.unwrap_err();
        assert_eq!((error.code(), error.to_string().as_str()), (Code::StoredValue, "a stored `Meter` cannot be read"));
    }
    assert_eq!(meters.find_by_id(&auditor, "a").await.unwrap().unwrap().reading, 7);
}

async fn a_lost_connection_leaves_nothing_behind(world: World) {
    let photos = repository::<Photo>(&world).await;
    let alice = world.caller("alice", &["user"]);
    if world.is_postgres() {
        // The server ends the connection while the second row is written.
        world.run("CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.title = 'cut' THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN NEW; END $$").await;
        world.run("CREATE TRIGGER cut BEFORE INSERT ON photos FOR EACH ROW EXECUTE FUNCTION cut()").await;
    } else {
        world.run("CREATE TRIGGER cut BEFORE INSERT ON photos WHEN NEW.title = 'cut' BEGIN SELECT RAISE(ROLLBACK, 'the disk is gone'); END").await;
    }
    let some = vec![photo("1", "alice", "a", &[]), photo("2", "alice", "cut", &[]), photo("3", "alice", "c", &[])];
    // Often enough for every connection of the pool: each can be used again, or is replaced.
    for _ in 0..20 {
        let error = photos.bulk_save(&alice, some.clone()).await.unwrap_err();
        assert_eq!(
            (error.code(), error.to_string().as_str()),
            (Code::StoreUnavailable, "the database cannot be asked")
        );
        assert!(error.code().retry());
    }
    assert_eq!(photos.count(&alice).await.unwrap(), 0);
    photos.save(&alice, photo("1", "alice", "a", &[])).await.unwrap();
    let nowhere = if world.is_postgres() { "postgres://policy@127.0.0.1:1/none" } else { "sqlite:/none/rows.db" };
    assert_eq!(code(Pool::connect(nowhere).await), Code::StoreUnavailable);
    let _ = Entities::new(world.entities.pool().clone()).unwrap();
}

async fn a_statement_takes_no_longer_than_it_may(world: World) {
    let photos = repository::<Photo>(&world).await;
    let alice = world.caller("alice", &["user"]);
    photos.save(&alice, photo("p", "alice", "a", &[])).await.unwrap();
    let brief = Entities::new(Pool::connect(&world.url).await.unwrap()).unwrap();
    let brief = brief.statement_timeout(Duration::from_millis(200)).repository::<Photo>().await.unwrap();
    // Another transaction holds the row, or in SQLite the one place for writers.
    let mut other = Holding::of(&world).await;
    let began = Instant::now();
    let code = code(brief.update(&alice, photo("p", "alice", "b", &[])).await);
    assert!(matches!(code, Code::Timeout), "{code}");
    assert!(code.retry() && began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    other.end().await;
    assert_eq!(photos.find_by_id(&alice, "p").await.unwrap().unwrap().title, "a");
    brief.update(&alice, photo("p", "alice", "b", &[])).await.unwrap();
}

/// A transaction that has written to the photos and goes on.
enum Holding {
    Sqlite(sqlx::SqliteConnection),
    Postgres(sqlx::PgConnection),
}

impl Holding {
    async fn of(world: &World) -> Self {
        let write = "UPDATE photos SET title = title";
        if world.is_postgres() {
            let mut other = sqlx::PgConnection::connect(&world.url).await.unwrap();
            sqlx::raw_sql("BEGIN").execute(&mut other).await.unwrap();
            sqlx::raw_sql(write).execute(&mut other).await.unwrap();
            return Self::Postgres(other);
        }
        let mut other = sqlx::SqliteConnection::connect(&world.url).await.unwrap();
        sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
        sqlx::raw_sql(write).execute(&mut other).await.unwrap();
        Self::Sqlite(other)
    }

    async fn end(&mut self) {
        match self {
            Self::Sqlite(other) => sqlx::raw_sql("ROLLBACK").execute(other).await.map(|_| ()).unwrap(),
            Self::Postgres(other) => sqlx::raw_sql("ROLLBACK").execute(other).await.map(|_| ()).unwrap(),
        }
    }
}
