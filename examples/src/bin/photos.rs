//! Who sees which photos, before and after one is shared: `cargo run -p examples --bin photos`.
#![expect(clippy::print_stdout, reason = "it is a program that prints")]

use examples::photos::tell;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let seen = tell().await?;
    println!("              before          after alice shares a2 with bob");
    for (name, before, after) in &seen.lists {
        println!("  {name:<10}  {:<14}  {}", shown(before), shown(after));
    }
    println!("\n  dan, a visitor, asks to share a2: {}", seen.by_the_service);
    println!("  bob shares on what he only sees:  {}", seen.by_the_entity);
    println!("\nbob's list:\n  {}\nbound:", seen.sql);
    for value in &seen.values {
        println!("  {value}");
    }
    Ok(())
}

fn shown(ids: &[String]) -> String {
    if ids.is_empty() { "none".to_owned() } else { ids.join(", ") }
}
