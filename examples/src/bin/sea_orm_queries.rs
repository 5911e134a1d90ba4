//! `SeaORM` 2 under the policies: `cargo run -p examples --features sea-orm --bin sea_orm_queries`.
#![expect(clippy::print_stdout, reason = "it is a program that prints")]

#[tokio::main]
async fn main() -> Result<(), examples::sea_orm_queries::Error> {
    let seen = examples::sea_orm_queries::tell().await?;
    let [alice, bob] = &seen.before;
    println!("alice counts and finds {alice:?}, bob {bob:?}");
    println!("bob publishes {}, and alice counts and finds {:?}", seen.published, seen.after);
    println!("bob deletes {}, and {} are left", seen.deleted.0, seen.deleted.1);
    println!("bob's list: {}", seen.sql);
    Ok(())
}
