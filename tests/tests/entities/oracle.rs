//! The oracle that programs hold their own entities to: it agrees where lists and decisions do, and finds what deceives one of them.

use jiff::Timestamp;
use policy_runtime::entity::Pool;
use policy_runtime::testing::{Oracle, assert_lists_agree};
use policy_runtime::{Attributes, Entity, Participant, SecurityContext, SetSource};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{World, both, repository};

#[derive(Attributes, Serialize, Deserialize, Debug, Clone)]
struct Author {
    town: Option<String>,
    born: Option<i64>,
}

#[derive(Entity, Serialize, Deserialize, Debug, Clone)]
#[serde(rename_all = "camelCase")]
#[entity(namespace = "com.example", table = "papers", tenant = company)]
#[abac_policy(
    all_read = "entity.ownerId == participant.id or entity.readers contains participant.email or (not entity.grade > 3 and entity.title like 'Re: 100%*')"
)]
#[abac_policy(all_create(participant.roles contains "writer"), all_update(entity.ownerId == participant.id and not entity.closed))]
#[abac_policy(all_delete = "entity.expires <= '2027-01-01T00:00:00Z' or entity.author.town in ['Ghent', 'Gent']")]
#[abac_policy(all_tenants_read = "participant.roles contains 'auditor' and not entity.author.born == 1970")]
struct Paper {
    id: Uuid,
    company: String,
    owner_id: String,
    title: Option<String>,
    readers: Vec<String>,
    grade: Option<i64>,
    closed: bool,
    expires: Option<Timestamp>,
    author: Author,
    #[abac_policy(read = "entity.ownerId == participant.id")]
    price: Option<Decimal>,
}

both! {
    lists_over_random_rows_agree
    lists_over_stored_rows_agree
    a_table_that_deceives_is_found
}

fn callers(world: &World) -> [SecurityContext; 4] {
    let caller = |id: &str, tenant: Option<&str>, role: &str| {
        let mut builder = Participant::builder(world.policy.application().clone(), id).role(role);
        builder = builder.email(&format!("{id}@example.com"));
        if let Some(tenant) = tenant {
            builder = builder.tenant(tenant);
        }
        SecurityContext::new(&world.policy, builder.build().into())
    };
    [
        caller("alice", Some("acme"), "writer"),
        caller("bob", Some("acme"), "reader"),
        caller("eve", Some("globex"), "auditor"),
        caller("nobody", None, "writer"),
    ]
}

async fn lists_over_random_rows_agree(world: World) {
    assert_lists_agree::<Paper>(world.entities.pool(), callers(&world)).await;
    // Upper tiers narrow; one of these rules must see each row.
    let source = SetSource {
        rules: vec![("graded".into(), "forbid com.example.Paper.allRead when entity.grade in [4, 5]".into())],
        cedar: vec![(
            "odd".into(),
            "forbid(principal, action == com::example::Action::\"Paper.count\", resource) when { resource has grade && resource.grade * 2 == 6 };".into(),
        )],
        ..Default::default()
    };
    world.policy.replace(&world.policy.organization(), &source).unwrap();
    for seed in 1..=3 {
        let oracle = Oracle::new(callers(&world)).rows(300).seed(seed);
        let report = oracle.random::<Paper>(world.entities.pool()).await.unwrap();
        assert!(report.disagreements.is_empty(), "{report}");
        // The rows are such that the rules tell them apart.
        assert!(
            report.mixed * 3 > report.cases && report.row_checks > 0 && report.rows == report.cases * 300,
            "{report}"
        );
    }
}

async fn lists_over_stored_rows_agree(world: World) {
    let papers = repository::<Paper>(&world).await;
    let callers = callers(&world);
    let paper = |n: u8| {
        let every = |of: u8| n.is_multiple_of(of);
        Paper {
            id: Uuid::from_u128(u128::from(n) + 1),
            company: String::new(),
            owner_id: ["alice", "bob", "Alice"][usize::from(n % 3)].into(),
            title: every(2).then(|| format!("Re: 100{} of {n}", if every(4) { "%" } else { "x" })),
            readers: if every(5) { vec!["bob@example.com".into()] } else { Vec::new() },
            grade: (!every(7)).then_some(i64::from(n % 7)),
            closed: every(2),
            expires: Timestamp::from_second(1_798_761_600 + i64::from(n) - 20).ok(),
            author: Author { town: every(3).then(|| "Gent".to_owned()), born: every(4).then_some(1970) },
            price: None,
        }
    };
    papers.bulk_save(&callers[0], (0..40).map(paper).collect()).await.unwrap();
    world.run("UPDATE papers SET company = 'globex' WHERE owner_id = 'Alice'").await;
    let report = Oracle::new(callers).stored::<Paper>(world.entities.pool()).await.unwrap();
    assert!(report.disagreements.is_empty(), "{report}");
    assert!(report.mixed > 8 && report.rows == report.cases * 40, "{report}");
}

#[derive(Entity, Serialize, Deserialize, Debug)]
#[entity(namespace = "com.example", table = "badges")]
#[abac_policy(all_read(entity.owner == participant.id))]
struct Badge {
    id: String,
    owner: String,
}

async fn a_table_that_deceives_is_found(world: World) {
    let oracle = Oracle::new(callers(&world));
    let owner = if world.is_postgres() { "CHAR(6)" } else { "TEXT COLLATE NOCASE" };
    world.run(&format!("CREATE TABLE badges (id TEXT NOT NULL PRIMARY KEY, owner {owner} NOT NULL)")).await;
    world.run("INSERT INTO badges VALUES ('1', 'alice'), ('2', 'ALICE'), ('3', 'bob')").await;
    let report = oracle.stored::<Badge>(world.entities.pool()).await.unwrap();
    assert!(!report.disagreements.is_empty(), "{report}");
    assert!(report.disagreements[0].contains("only the list has: "), "{report}");
    // Random rows are in a table of the oracle's own, which does not deceive.
    assert_lists_agree::<Badge>(world.entities.pool(), callers(&world)).await;
    if world.is_postgres() {
        // Here it is the operator that does.
        world
            .run(
                "CREATE SCHEMA deceit; \
                 CREATE FUNCTION deceit.same(text, text) RETURNS bool LANGUAGE sql IMMUTABLE \
                   AS 'SELECT lower($1) OPERATOR(pg_catalog.=) lower($2)'; \
                 CREATE OPERATOR deceit.= (LEFTARG = text, RIGHTARG = text, FUNCTION = deceit.same); \
                 DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = deceit, pg_catalog, public', current_database()); END $$",
            )
            .await;
        let pool = Pool::connect(&world.url).await.unwrap();
        let report = oracle.random::<Badge>(&pool).await.unwrap();
        assert!(report.disagreements.iter().any(|told| told.contains("owner 'ALICE'")), "{report}");
    }
}
