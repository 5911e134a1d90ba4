//! Ratios of the medians of this run, against the figures that were promised.

use std::path::{Path, PathBuf};

/// Where criterion leaves its estimates.
pub struct Medians(PathBuf);

impl Medians {
    pub fn at(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// Nanoseconds per decision; `None` when this run did not measure it.
    fn of(&self, name: &str) -> Option<f64> {
        let file = self.0.join(name).join("new").join("estimates.json");
        let estimates: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(file).ok()?).ok()?;
        estimates.get("median")?.get("point_estimate")?.as_f64()
    }
}

enum Target {
    AtMost(f64),
    AtLeast(f64),
    None,
}

struct Row {
    what: String,
    /// The figure is `over / under * times`.
    over: &'static str,
    under: &'static str,
    times: f64,
    target: Target,
}

fn row(what: &str, over: &'static str, under: &'static str, target: Target) -> Row {
    Row { what: what.to_owned(), over, under, times: 1.0, target }
}

/// Prints the table; what was not measured (a filter, `--test`) has no line.
#[expect(clippy::print_stdout, reason = "this is what a benchmark is for")]
pub fn print(medians: &Medians) {
    use Target::{AtLeast, AtMost, None as Any};
    let rows = [
        row("one tier, to the `if`", "one/engine", "one/if", AtMost(15.0)),
        row("three tiers, to the `if`", "one/engine-three-tiers", "one/if", AtMost(20.0)),
        row("Cedar prebuilt, to one tier", "one/cedar-prebuilt", "one/engine", AtLeast(40.0)),
        row("Cedar per call, to one tier", "one/cedar-per-call", "one/engine", AtLeast(100.0)),
        row(
            "Cedar per call, three tiers to three",
            "one/cedar-per-call-three-tiers",
            "one/engine-three-tiers",
            AtLeast(150.0),
        ),
        row("10,000 on other actions, to 1", "policies/actions/10000", "policies/actions/1", AtMost(1.5)),
        row("100,000 on other actions, to 1", "policies/actions/100000", "policies/actions/1", AtMost(1.2)),
        row("10,000 by other roles, to 1", "policies/principals/10000", "policies/principals/1", AtMost(1.5)),
        row("100,000 by other roles, to 1", "policies/principals/100000", "policies/principals/1", AtMost(1.2)),
        row("10,000 on other resources, to 1", "policies/resources/10000", "policies/resources/1", AtMost(1.5)),
        row("100,000 on other resources, to 1", "policies/resources/100000", "policies/resources/1", AtMost(1.2)),
        row("Cedar prebuilt, 10,000 to 1", "policies/cedar/10000", "policies/cedar/1", Any),
        Row { times: 2.0, ..row("throughput of two threads, to one", "threads/one", "threads/two", AtLeast(1.9)) },
        Row {
            times: 1_000.0,
            ..row("a decision alone, to one of 1,000", "one/engine-three-tiers", "many/decide-all", AtLeast(1.0))
        },
        row(
            "one action of `possible`, to a decision alone",
            "many/possible-each",
            "one/engine-three-tiers",
            AtMost(1.0),
        ),
    ];
    println!("\n{:<48}{:>14}{:>14}{:>10}  target", "ratio of medians", "ns", "to ns", "ratio");
    for row in rows {
        let (Some(over), Some(under)) = (medians.of(row.over), medians.of(row.under)) else { continue };
        let ratio = over / under * row.times;
        let target = match row.target {
            AtMost(limit) => format!("at most {limit}: {}", told(ratio <= limit)),
            AtLeast(limit) => format!("at least {limit}: {}", told(ratio >= limit)),
            Any => "-".to_owned(),
        };
        println!("{:<48}{over:>14.1}{under:>14.1}{ratio:>10.2}  {target}", row.what);
    }
}

const fn told(reached: bool) -> &'static str {
    if reached { "reached" } else { "MISSED" }
}
