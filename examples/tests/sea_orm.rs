//! Queries with `SeaORM` see and change only what their caller may.

#[tokio::test]
async fn queries_of_sea_orm_obey_the_policies() {
    let seen = examples::sea_orm_queries::tell().await.expect("the example plays");
    let ids = |ids: &[&str]| ids.iter().map(|&id| id.to_owned()).collect::<Vec<_>>();
    // The program's own `or` does not reach past the condition.
    assert_eq!(seen.before, [(2, ids(&["a1", "a2"])), (2, ids(&["a2", "b1"]))]);
    assert_eq!(seen.published, 1, "his own alone");
    assert_eq!(seen.after, (3, ids(&["a1", "a2", "b1"])));
    assert_eq!(seen.deleted, (1, 2), "he sees two photos and may delete his own");
    assert!(seen.sql.contains(r#""photos"."owner_id" = 'bob'"#), "{}", seen.sql);
}
