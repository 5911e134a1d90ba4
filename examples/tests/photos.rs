//! The photo example shows each caller what they may see, and is stopped where it says.

#[tokio::test]
async fn each_caller_sees_what_is_theirs_or_shared() {
    let seen = examples::photos::tell().await.expect("the example plays");
    let ids = |ids: &[&str]| ids.iter().map(|&id| id.to_owned()).collect::<Vec<_>>();
    assert_eq!(
        seen.lists,
        [
            ("alice", ids(&["a1", "a2"]), ids(&["a1", "a2"])),
            ("bob", ids(&["b1"]), ids(&["a2", "b1"])),
            ("dan", ids(&[]), ids(&[])),
        ]
    );
    assert_eq!(seen.by_the_service, "ACCESS_DENIED by the service's policy");
    assert_eq!(seen.by_the_entity, "ACCESS_DENIED by the entity's policy");
    assert!(seen.sql.starts_with(r#"SELECT * FROM "photos" WHERE"#), "{}", seen.sql);
    assert!(seen.sql.contains(r#""photos"."owner_id" = ?"#) && !seen.sql.contains("bob"), "{}", seen.sql);
    let bound = seen.values.iter().filter(|value| value.contains("bob")).count();
    assert_eq!(bound, 3, "as the owner, anywhere in the text of a set, and as an item of it: {:?}", seen.values);
}
