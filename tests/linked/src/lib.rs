//! A package with one guarded function, which no test of it names.

use policy_runtime::{Denied, abac_policy};

/// Ships an order.
///
/// # Errors
/// When the caller may not.
#[abac_policy(participant.roles contains "shipping")]
pub fn ship() -> Result<(), Denied> {
    Ok(())
}
