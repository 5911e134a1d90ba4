//! A call that is allowed allocates nothing, whatever its arguments hold: they are borrowed, and read only where a rule asks.

use policy_runtime::{Attributes, Denied, SecurityContext, abac_policy};

#[derive(Attributes)]
struct Order {
    amount: i64,
    owner: String,
    lines: Vec<Line>,
    note: Option<String>,
}

#[derive(Attributes)]
struct Line {
    article: String,
}

/// Nothing that a rule could read.
struct Opaque(Vec<String>);

#[abac_policy(
    participant.roles contains "finance" and order.amount < 50_000 and (order.owner == participant.id or participant.mfa)
)]
fn approve(order: &Order, unread: &Opaque, text: &str) -> Result<usize, Denied> {
    Ok(order.lines.len() + unread.0.len() + text.len())
}

fn order(amount: i64) -> Order {
    let lines = (0..1_000).map(|n| Line { article: format!("article {n}") }).collect();
    Order { amount, owner: "alice".to_owned(), lines, note: Some("x".repeat(10_000)) }
}

#[test]
fn an_allowed_call_allocates_nothing() {
    let alice = SecurityContext::test().id("alice").role("finance");
    let (order, unread) = (order(4_200), Opaque(vec!["x".repeat(1_000); 100]));
    assert!(order.note.is_some() && order.lines.iter().all(|line| !line.article.is_empty()));
    alice.run(|| {
        assert!(approve(&order, &unread, "text").is_ok(), "the first call looks the action up");
        let counted = allocation_counter::measure(|| {
            for _ in 0..100 {
                assert!(approve(&order, &unread, "text").is_ok());
            }
        });
        assert_eq!(counted.count_total, 0, "{} bytes in {} allocations", counted.bytes_total, counted.count_total);
    });
}

#[test]
fn a_refused_call_may_allocate() {
    let alice = SecurityContext::test().id("alice").role("finance");
    let (order, unread) = (order(72_000), Opaque(Vec::new()));
    alice.run(|| {
        let counted = allocation_counter::measure(|| assert!(approve(&order, &unread, "text").is_err()));
        assert!(counted.count_total > 0, "the counter counts");
    });
}
