//! What it costs to make the condition on rows, alone and beside 10,000 policies that do not matter.
//! `cargo bench -p policy-core --features sql --bench filter`.

#![expect(clippy::expect_used, reason = "a benchmark may stop where its set-up is wrong")]
#![expect(clippy::print_stdout, reason = "a benchmark speaks on the terminal")]
#![allow(missing_docs, reason = "nothing here is seen from outside")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion};
use policy_core::contract::{field, record};
use policy_core::decl::{ActionDecl, EntityDecl, ResourceDecl, RuleDecl};
use policy_core::filter::sql::Render;
use policy_core::kind::{Described, Kind};
use policy_core::pdp::{Engine, SetSource};
use policy_core::registry::Registry;
use policy_core::source::Place;
use policy_core::table::{ColumnDecl, Dialect, Operation, Table, TableDecl};
use policy_core::value::Millis;
use policy_core::{Context, Facts, Participant, Request, Scope, Tier};
use sea_query::{Asterisk, PostgresQueryBuilder, Query};

/// The 20 µs that making a condition may take.
const BOUND: Duration = Duration::from_micros(20);
const UNRELATED: usize = 10_000;
const PLACE: Place = Place { file: "benches/filter.rs", line: 1 };
const RULE: &str = "entity.ownerId == participant.id or entity.sharedWith contains participant.id";

fn photo() -> EntityDecl {
    let text = |name: &str| field(name, name, Described::required(Kind::Text), false);
    let shared = field("sharedWith", "shared_with", Described::required(Kind::Set(Kind::Text.into())), false);
    let fields = [text("id"), text("ownerId"), shared];
    EntityDecl { namespace: "bench", name: "Photo", attributes: record("Photo", fields) }
}

static PHOTOS: TableDecl = TableDecl {
    entity: photo,
    name: "photos",
    id: "id",
    tenant: None,
    columns: &[
        ColumnDecl { attribute: "id", column: "id" },
        ColumnDecl { attribute: "ownerId", column: "owner_id" },
        ColumnDecl { attribute: "sharedWith", column: "shared_with" },
    ],
};

fn declaration(operation: Operation) -> &'static ActionDecl {
    let name: &'static str = Box::leak(format!("Photo.{operation}").into_boxed_str());
    Box::leak(Box::new(ActionDecl {
        package: "bench",
        namespace: "bench",
        id: name,
        function: name,
        place: PLACE,
        was: &[],
        tier: Tier::Application,
        callers: &[Tier::Application],
        organization: None,
        must_audit: false,
        participant: None,
        resource: ResourceDecl::Entity { entity: photo },
        params: &[],
        rules: &[RuleDecl { text: RULE, place: PLACE }],
        authenticated: false,
    }))
}

/// Forbids of the organization that never matter: of others, of other applications' rows, of other operations.
fn unrelated(count: usize) -> String {
    let mut out = String::new();
    for n in 0..count {
        let (principal, action, resource) = match n % 3 {
            0 => {
                (format!("principal in Platform::Role::\"app:acme/photos/role-{n}\""), "findAll", "resource".to_owned())
            }
            1 => ("principal".to_owned(), "findAll", format!("resource in Platform::Application::\"app-{n}\"")),
            _ => ("principal".to_owned(), "deleteById", "resource".to_owned()),
        };
        let condition = format!("resource.ownerId == \"u-{n}\"");
        let _ = writeln!(
            out,
            "@id(\"p{n}\") forbid ({principal}, action == bench::Action::\"Photo.{action}\", {resource}) when {{ {condition} }};"
        );
    }
    out
}

fn main() {
    let mut c = Criterion::default().without_plots().sample_size(50).configure_from_args();
    let declarations: Vec<_> = Operation::ALL.into_iter().map(declaration).collect();
    let registry = Registry::of(&declarations, &[]).expect("the declarations hold together");
    let engine = Engine::new(Arc::new(registry)).expect("the baseline is valid");
    let scope = Scope::application("acme", "photos").expect("slugs");
    engine.add_application(&scope).expect("its organization is known");
    let organization = Scope::organization("acme").expect("a slug");
    let table = Table::new(&PHOTOS).expect("the table holds together");
    let alice = Participant::builder(scope.clone(), "alice").role("user").build();
    let facts = Facts::default();
    let request = Request {
        participant: &alice,
        action: engine.action("bench.Photo.findAll").expect("it is declared"),
        scope: &scope,
        resource: None,
        context: Context { time: Millis(1_800_000_000_000), facts: &facts },
        args: &[],
    };
    let mut group = c.benchmark_group("filter");
    let mut slowest = Duration::ZERO;
    for count in [0, UNRELATED] {
        let source = SetSource { cedar: vec![("bench.cedar".to_owned(), unrelated(count))], ..SetSource::default() };
        engine.replace(&organization, &source).expect("the set is valid");
        let make = || engine.filter(black_box(&request), &table).expect("nothing stands in the way");
        let condition = || Render::new(&table, Dialect::Postgres).condition(&make().predicate);
        group.bench_function(BenchmarkId::new("predicate", count), |b| b.iter(make));
        group.bench_function(BenchmarkId::new("condition", count), |b| b.iter(condition));
        group.bench_function(BenchmarkId::new("statement", count), |b| {
            b.iter(|| {
                Query::select().column(Asterisk).from("photos").cond_where(condition()).build(PostgresQueryBuilder)
            });
        });
        let started = std::time::Instant::now();
        for _ in 0..1_000 {
            black_box(condition());
        }
        slowest = slowest.max(started.elapsed() / 1_000);
    }
    group.finish();
    println!("making the condition takes {slowest:?} beside {UNRELATED} policies that do not matter, of {BOUND:?}");
    assert!(slowest < BOUND, "making the condition takes {slowest:?}");
}
