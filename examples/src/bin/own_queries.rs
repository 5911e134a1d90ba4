//! Queries of one's own with plain sqlx, under the policies: `cargo run -p examples --bin own_queries`.
#![expect(clippy::print_stdout, reason = "it is a program that prints")]

#[tokio::main]
async fn main() -> Result<(), examples::own_queries::Error> {
    let seen = examples::own_queries::tell().await?;
    for (name, counted) in &seen.counted {
        println!("{name:<6} counts {counted:?}");
    }
    println!("bob may add a photo of alice's: {}", seen.bob_adds_for_alice);
    let [bob, alice] = seen.deleted;
    println!("of alice's photos bob deletes {bob}, alice {alice}");
    Ok(())
}
