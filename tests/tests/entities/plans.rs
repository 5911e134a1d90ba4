//! A condition uses the indexes that the same one uses when it is written by hand.

use tests::pictures::{CASES, Pictures};

use crate::{World, both};

both! { conditions_use_the_indexes_that_handwritten_ones_use }

async fn conditions_use_the_indexes_that_handwritten_ones_use(world: World) {
    let pictures = Pictures::of(world.entities.pool().clone(), 20_000).await.unwrap();
    for case in &CASES {
        let [condition, by_hand] = pictures.both(case, 1).await.unwrap();
        assert_eq!(condition.indexes(), by_hand.indexes(), "{}: {condition:#?} {by_hand:#?}", case.name);
        assert_eq!(condition.count, by_hand.count, "{}", case.name);
        assert!(condition.count > 0 && condition.count < 1_000, "{}: {}", case.name, condition.count);
        // SQLite has no index into JSON, for nobody.
        let unindexed = !world.is_postgres() && case.name.contains("shared");
        assert_eq!(condition.indexes().is_empty(), unindexed, "{}: {condition:#?}", case.name);
    }
}
