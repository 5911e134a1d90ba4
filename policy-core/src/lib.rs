//! The policy language, its checks and the decision engine.
#![doc = ""]

pub mod contract;
pub mod decl;
pub mod diagnostic;
pub mod kind;
pub mod name;
pub mod shape;
pub mod source;
pub mod syntax;
pub mod value;

pub use diagnostic::{Diagnostic, Diagnostics};
pub use name::{ActionName, EntityUid, Scope, Slug, Tier};
