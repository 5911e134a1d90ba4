//! The story as plain text, at most 100 columns wide.

use std::fmt::Write as _;

use crate::story::{Call, ORGANIZATION_RULE, SYSTEM_RULE, Step, Told};

const WIDTH: usize = 100;

pub(crate) fn render(told: &Told) -> String {
    let mut out = String::new();
    // Writing to a `String` cannot fail.
    let _ = write_all(&mut out, told);
    out
}

fn write_all(out: &mut String, told: &Told) -> std::fmt::Result {
    writeln!(out, "One guarded method, at {}:\n", told.source)?;
    writeln!(out, "    #[abac_policy({})]", told.rule)?;
    writeln!(out, "    async fn place_order(&self, order: Order) -> Result<Receipt, OrderError>\n")?;
    let mut steps = told.steps.iter();
    if let Some(first) = steps.next() {
        header(out)?;
        step(out, first)?;
    }
    if let Some(second) = steps.next() {
        writeln!(out, "\n{}", second.title)?;
        writeln!(out, "  {}: {}", ORGANIZATION_RULE.0, ORGANIZATION_RULE.1)?;
        step(out, second)?;
        writeln!(out, "  which is this Cedar:")?;
        block(out, &told.cedar_of_rule)?;
    }
    if let Some(third) = steps.next() {
        writeln!(out, "\n{}", third.title)?;
        writeln!(out, "  {}: {}", SYSTEM_RULE.0, SYSTEM_RULE.1)?;
        step(out, third)?;
    }
    for more in steps {
        writeln!(out, "\n{}", more.title)?;
        step(out, more)?;
    }
    writeln!(out, "\nthe same method behind axum, by one layer (POST /orders, amount 4200)")?;
    for answer in &told.http {
        writeln!(out, "  {:<20} {}   {}", answer.caller, answer.status, shown(&answer.body))?;
    }
    let of = |ids: &[String]| if ids.is_empty() { "none".to_owned() } else { ids.join(", ") };
    let lists = told.photos.lists.iter();
    let lists: Vec<String> =
        lists.map(|(name, before, after)| format!("{name} {} -> {}", of(before), of(after))).collect();
    writeln!(out, "\nlists obey as well: alice shares photo a2 with bob (examples/src/photos.rs, SQLite)")?;
    writeln!(out, "  {}", lists.join("   "))?;
    writeln!(out, "  dan shares a2: {}   bob: {}", told.photos.by_the_service, told.photos.by_the_entity)?;
    let refused = told.steps.iter().flat_map(|s| &s.calls).find(|c| !c.allowed);
    if let Some(call) = refused {
        writeln!(out, "\nWhat {} was told of the refusal: `{}`.", call.caller, call.told)?;
        writeln!(out, "The clause and its value go to the log, the audit and `explain`, never to the caller.")?;
    }
    writeln!(out, "\nThe Cedar made from the line:")?;
    block(out, &told.cedar_of_line)?;
    writeln!(out, "\nTry next:")?;
    writeln!(out, "  change 50_000 in examples/src/orders.rs, or misspell `amount`, and run again")?;
    writeln!(out, "  cargo run -- --json          the same for programs")?;
    writeln!(out, "  cargo run -- serve           keeps the gateway up for the npm client and for yours")?;
    writeln!(out, "  ./test.sh quick              the tests of the inner loop")
}

/// The title of a problem (RFC 9457), or the body itself.
fn shown(body: &str) -> String {
    let problem: Option<serde_json::Value> = serde_json::from_str(body).ok();
    match problem.as_ref().and_then(|p| p["title"].as_str()) {
        Some(title) => format!("problem: {title}"),
        None => body.to_owned(),
    }
}

fn header(out: &mut String) -> std::fmt::Result {
    writeln!(out, "{:37}{:<8}{:<6}orders", "", "system", "acme")
}

fn step(out: &mut String, step: &Step) -> std::fmt::Result {
    step.calls.iter().try_for_each(|call| row(out, call))
}

fn row(out: &mut String, call: &Call) -> std::fmt::Result {
    let Call { caller, what, amount, tiers: [system, organization, application], .. } = call;
    let verdict = if call.allowed { "ALLOW" } else { "DENY" };
    let left = format!("  {caller:<8} {what:<17} {amount:>6}");
    let line = format!("{left:<37}{system:<8}{organization:<6}{application:<8}{verdict:<6} {}", call.detail);
    if line.chars().count() <= WIDTH {
        return writeln!(out, "{line}");
    }
    writeln!(out, "{left:<37}{system:<8}{organization:<6}{application:<8}{verdict}")?;
    writeln!(out, "           {}", call.detail)
}

fn block(out: &mut String, text: &str) -> std::fmt::Result {
    text.lines().try_for_each(|line| writeln!(out, "    {line}"))
}
