use policy_runtime::{Denied, publish};

#[publish("com.example")]
fn place() -> Result<(), Denied> {
    Ok(())
}

fn main() {}
