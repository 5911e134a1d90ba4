//! One decision by a handwritten `if`, by this engine and by Cedar, side by side in one run; then the same beside many
//! policies that do not matter, by two threads, and in batches. `cargo bench`, or `cargo bench -p policy-core`.

#![expect(clippy::expect_used, reason = "a benchmark may stop where its set-up is wrong")]
#![allow(missing_docs, unreachable_pub, reason = "nothing here is seen from outside")]

mod cedar;
mod table;
mod world;

use std::hint::black_box;
use std::path::Path;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion};
use policy_core::contract::AttributeValue;
use policy_core::{Context, Request, Tier};

use cedar::Peer;
use world::{Others, World};

fn main() {
    // The folder of tests is in the target folder, and so is criterion's.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("criterion");
    // What an earlier run left behind is not of this run.
    for group in ["one", "policies", "threads", "many"] {
        let _ = std::fs::remove_dir_all(folder.join(group));
    }
    let mut c = Criterion::default()
        .without_plots()
        .output_directory(&folder)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(60)
        .configure_from_args();
    one(&mut c);
    many(&mut c);
    threads(&mut c);
    policies(&mut c);
    c.final_summary();
    table::print(&table::Medians::at(&folder));
}

/// One decision.
fn one(c: &mut Criterion) {
    let (system, orders) = (World::new(Tier::System), World::new(Tier::Application));
    let alone = Peer::one_tier(&orders.user, &orders.order);
    let three = Peer::three_tiers(&orders.user, &orders.order);
    // What is compared must agree before it is measured.
    assert!(world::by_hand(&orders.user, &orders.order) && system.decide() && orders.decide());
    assert!(alone.prebuilt() && three.prebuilt() && three.per_call(&orders.user, &orders.order));
    let mut group = c.benchmark_group("one");
    group.bench_function("if", |b| b.iter(|| world::by_hand(black_box(&orders.user), black_box(&orders.order))));
    group.bench_function("engine", |b| b.iter(|| black_box(&system).decide()));
    group.bench_function("engine-three-tiers", |b| b.iter(|| black_box(&orders).decide()));
    group.bench_function("cedar-prebuilt", |b| b.iter(|| black_box(&alone).prebuilt()));
    group.bench_function("cedar-prebuilt-three-tiers", |b| b.iter(|| black_box(&three).prebuilt()));
    group.bench_function("cedar-per-call", |b| {
        b.iter(|| black_box(&alone).per_call(black_box(&orders.user), black_box(&orders.order)));
    });
    group.bench_function("cedar-per-call-three-tiers", |b| {
        b.iter(|| black_box(&three).per_call(black_box(&orders.user), black_box(&orders.order)));
    });
    group.finish();
}

/// The same decision, with policies in the organization's set of which one applies.
fn policies(c: &mut Criterion) {
    let orders = World::new(Tier::Application);
    let mut group = c.benchmark_group("policies");
    for (name, others) in
        [("actions", Others::Actions), ("principals", Others::Principals), ("resources", Others::Resources)]
    {
        for count in [1, 100, 10_000, 100_000] {
            let mut ready = false;
            group.bench_function(BenchmarkId::new(name, count), |b| {
                // Not before it is known that it is asked for: a large set takes its time.
                if !ready {
                    orders.replace_organization(others, count);
                    assert!(orders.decide());
                    ready = true;
                }
                b.iter(|| black_box(&orders).decide());
            });
        }
    }
    group.sample_size(10);
    for count in [1, 100, 10_000] {
        let mut peer = None;
        group.bench_function(BenchmarkId::new("cedar", count), |b| {
            let peer = peer.get_or_insert_with(|| {
                Peer::with(&world::policies(Others::Actions, count), &orders.user, &orders.order)
            });
            assert!(peer.prebuilt());
            b.iter(|| black_box(&*peer).prebuilt());
        });
    }
    group.finish();
}

/// The same engine, asked by one thread and by two at once: time for each thread's decision.
fn threads(c: &mut Criterion) {
    let orders = World::new(Tier::Application);
    let mut group = c.benchmark_group("threads");
    for (name, count) in [("one", 1), ("two", 2)] {
        group.bench_function(name, |b| b.iter_custom(|iterations| together(&orders, count, iterations)));
    }
    group.finish();
}

fn together(orders: &World, count: usize, iterations: u64) -> Duration {
    let start = Barrier::new(count);
    std::thread::scope(|scope| {
        let work = || {
            start.wait();
            let started = Instant::now();
            for _ in 0..iterations {
                black_box(black_box(orders).decide());
            }
            started.elapsed()
        };
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|t| t.join().expect("it does not panic")).max().unwrap_or_default()
    })
}

/// Many resources at once, and all actions at once.
fn many(c: &mut Criterion) {
    let orders = World::new(Tier::Application);
    let args = [orders.order.read()];
    let requests: Vec<Request<'_>> = (0..1_000).map(|_| orders.request(&args)).collect();
    let mut group = c.benchmark_group("many");
    group.bench_function("decide-all", |b| b.iter(|| black_box(&orders.engine).decide_all(black_box(&requests))));
    let context: Context<'_> = orders.request(&args).context;
    let actions = orders.engine.possible(&orders.participant, &orders.scope, context).len();
    group.bench_function("possible-each", |b| {
        b.iter_custom(|iterations| {
            let started = Instant::now();
            for _ in 0..iterations {
                black_box(black_box(&orders.engine).possible(&orders.participant, &orders.scope, context));
            }
            started.elapsed() / u32::try_from(actions).unwrap_or(1)
        });
    });
    group.finish();
}
