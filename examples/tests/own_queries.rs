//! Queries with plain sqlx see and change only what their caller may.

#[tokio::test]
async fn queries_of_ones_own_obey_the_policies() {
    let seen = examples::own_queries::tell().await.expect("the example plays");
    let counts = |counts: &[(&str, i64)]| counts.iter().map(|(owner, n)| ((*owner).to_owned(), *n)).collect::<Vec<_>>();
    assert_eq!(seen.counted, [("alice", counts(&[("alice", 2)])), ("bob", counts(&[("alice", 1), ("bob", 1)]))]);
    assert!(!seen.bob_adds_for_alice);
    assert_eq!(seen.deleted, [0, 2], "bob sees one of alice's photos and may delete none");
}
