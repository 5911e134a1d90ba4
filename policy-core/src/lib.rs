//! The policy language, its checks and the decision engine.
#![doc = ""]

pub mod context;
pub mod contract;
pub mod decl;
pub mod diagnostic;
pub mod ir;
pub mod kind;
pub mod model;
pub mod name;
pub mod participant;
pub mod policy;
pub mod shape;
pub mod source;
pub mod syntax;
pub mod value;

pub use diagnostic::{Diagnostic, Diagnostics};
pub use name::{ActionName, EntityUid, Scope, Slug, Tier};
pub use participant::Participant;
