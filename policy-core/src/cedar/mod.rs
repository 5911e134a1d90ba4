//! Cedar: the record of every policy, its strict validator, and the judge of decisions.
//!
//! In: models, policies and requests of this crate, and text that administrators wrote. Out: Cedar's schema, policies and
//! text, findings, and Cedar's own decisions. These are the only files that name `cedar_policy`.

mod judge;
mod load;
mod lower;
mod names;
mod policy;
mod request;
mod scan;
mod schema;
mod validate;

#[cfg(test)]
mod tests;

pub(crate) use judge::{Written, judge_of};
pub(crate) use load::on_large_stack;
pub use load::{Loaded, load};
pub use policy::{format, render, to_pst};
pub use request::{Fallback, Judge, Judgement, judge};
pub use schema::{CedarSchema, schema, schema_text};
pub use validate::{IMPOSSIBLE, LETS_ABSENCE_THROUGH, UNSCOPED, lets_absence_through, unscoped_permit, validate};

/// The policies that System and Organization sets begin with.
pub mod baseline {
    /// For the platform's operators.
    pub const SYSTEM: &str = include_str!("../baselines/system.cedar");
    /// For an organization's members.
    pub const ORGANIZATION: &str = include_str!("../baselines/organization.cedar");
}
