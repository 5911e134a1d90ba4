//! What 100,000 policies take in memory, and how long they take to load: by this engine and by a Cedar `PolicySet`.
//! `cargo bench -p policy-core --bench memory`. Each is measured in a process of its own, by what the system says that it holds:
//! the growth from the first set to the second, since the first one also leaves room behind that the second one uses.

#![expect(clippy::expect_used, clippy::print_stdout, reason = "a benchmark says what it found, or stops")]
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "nothing here is seen from outside, and not all of it is used"
)]

#[path = "decision/world.rs"]
mod world;

use std::str::FromStr as _;
use std::time::Instant;

use cedar_policy::PolicySet;
use policy_core::pdp::SetSource;
use policy_core::{Scope, Tier};
use world::{Others, World};

const COUNT: usize = 100_000;

fn main() {
    let case = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    match case.as_deref() {
        Some("engine") => {
            let world = World::new(Tier::Application);
            measured("this engine, strict validation included", |n| {
                let organization = Scope::organization(&format!("org-{n}")).expect("a slug");
                let cedar = vec![("bench.cedar".to_owned(), world::policies(Others::Actions, COUNT))];
                let source = SetSource { cedar, ..SetSource::default() };
                world.engine.replace(&organization, &source).expect("the set is valid");
            });
        }
        Some("cedar") => {
            let mut kept = Vec::new();
            measured("Cedar's `PolicySet`, parsed alone", |_| {
                let text = world::policies(Others::Actions, COUNT);
                kept.push(PolicySet::from_str(&text).expect("the policies parse"));
            });
        }
        _ => {
            let own = std::env::current_exe().expect("it runs");
            for case in ["engine", "cedar"] {
                std::process::Command::new(&own).arg(case).status().expect("it starts again");
            }
        }
    }
}

fn measured(name: &str, mut load: impl FnMut(usize)) {
    let mut held = Vec::new();
    let mut seconds = f64::INFINITY;
    for n in 0..2 {
        let started = Instant::now();
        load(n);
        seconds = seconds.min(started.elapsed().as_secs_f64());
        held.push(resident());
    }
    let growth = held.last().copied().unwrap_or_default().saturating_sub(held.first().copied().unwrap_or_default());
    println!("{name:<44}{:>8} bytes a policy, {seconds:>6.1} s to load {COUNT}", growth / COUNT);
}

/// Bytes of this process that are in memory.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("this is measured on Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it is told");
    line.trim().trim_end_matches("kB").trim().parse::<usize>().expect("a number") * 1_024
}
