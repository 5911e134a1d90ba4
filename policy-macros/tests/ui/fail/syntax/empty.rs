use policy_runtime::{Denied, abac_policy};

#[abac_policy]
fn one() -> Result<(), Denied> {
    Ok(())
}

#[abac_policy()]
fn two() -> Result<(), Denied> {
    Ok(())
}

#[abac_policy("")]
fn three() -> Result<(), Denied> {
    Ok(())
}

fn main() {}
