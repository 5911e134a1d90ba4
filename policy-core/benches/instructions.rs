//! Work whose instructions `bench/callgrind.sh` counts: one case, a thousand times. Counts repeat where times do not.

#![expect(clippy::expect_used, reason = "a benchmark may stop where its set-up is wrong")]
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "nothing here is seen from outside, and not all of it is used"
)]

#[path = "decision/world.rs"]
mod world;

use std::hint::black_box;

use policy_core::contract::AttributeValue;
use policy_core::{Request, Tier};
use world::{Others, World};

/// How often each case is done.
const TIMES: usize = 1_000;

/// Counting goes on only in here: the script names this function.
#[inline(never)]
fn counted(work: &dyn Fn()) {
    for _ in 0..TIMES {
        work();
    }
}

fn main() {
    let case = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let world = World::new(if case == "one-tier" { Tier::System } else { Tier::Application });
    match &*case {
        "if" => counted(&|| {
            black_box(world::by_hand(black_box(&world.user), black_box(&world.order)));
        }),
        "one-tier" | "three-tiers" => counted(&|| {
            black_box(black_box(&world).decide());
        }),
        "other-actions" | "other-principals" | "other-resources" => {
            let others = match &*case {
                "other-actions" => Others::Actions,
                "other-principals" => Others::Principals,
                _ => Others::Resources,
            };
            world.replace_organization(others, 1_000);
            counted(&|| {
                black_box(black_box(&world).decide());
            });
        }
        "batch" => {
            let args = [world.order.read()];
            let requests: Vec<Request<'_>> = (0..100).map(|_| world.request(&args)).collect();
            counted(&|| {
                black_box(world.engine.decide_all(black_box(&requests)));
            });
        }
        "possible" => {
            let args = [world.order.read()];
            let context = world.request(&args).context;
            counted(&|| {
                black_box(world.engine.possible(black_box(&world.participant), &world.scope, context));
            });
        }
        "denied" => {
            let mut world = world;
            world.order.amount = 72_000;
            counted(&|| {
                black_box(black_box(&world).decide());
            });
        }
        other => {
            #[expect(clippy::print_stderr, reason = "a person called it without a case")]
            {
                eprintln!("no case `{other}`: bench/callgrind.sh knows them");
            }
        }
    }
}
