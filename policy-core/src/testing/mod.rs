//! Random models, data and rules, and tests that hold our decisions against Cedar's.
//!
//! In: a seed and a number of cases. Out: a [`Report`]; the same seed gives the same cases. Absent: the command and the
//! tests that run them, and any way to let a disagreement pass.
//!
//! ```
//! let report = policy_core::testing::differential(50, 7);
//! assert_eq!(report.cases, 50);
//! assert!(report.disagreements.is_empty(), "{report}");
//! ```

mod admin;
mod compare;
mod filter;
mod fitting;
mod language;
mod random;
mod rows;
mod rules;
mod sets;
mod shrink;
mod traps;
mod world;

pub use compare::{Report, differential, replay};
pub use filter::{FilterReport, Rows, filters};
pub use fitting::fitting;
pub use language::language;
pub use rows::{Cell, Row, address, columns, json, micros};
pub use traps::traps;
