#![doc = include_str!("../README.md")]

#[cfg(feature = "engine")]
pub mod cedar;
pub mod check;
pub mod context;
pub mod contract;
pub mod decision;
pub mod decl;
pub mod diagnostic;
pub mod eval;
#[cfg(feature = "engine")]
pub mod filter;
pub mod ir;
pub mod kind;
#[doc = include_str!("../LANGUAGE.md")]
pub mod language {}
pub mod lower;
pub mod model;
pub mod name;
pub mod participant;
#[cfg(feature = "engine")]
pub mod pdp;
pub mod platform;
pub mod policy;
#[cfg(feature = "engine")]
pub mod registry;
pub mod request;
pub mod shape;
pub mod source;
pub mod syntax;
pub mod table;
#[cfg(test)]
#[cfg(feature = "engine")]
mod testdata;
#[cfg(all(feature = "engine", any(test, feature = "testing")))]
pub mod testing;
pub mod value;

pub use context::{Context, Facts};
pub use decision::{Decision, Denial, Revision, TierAnswer};
pub use diagnostic::{Diagnostic, Diagnostics};
pub use name::{ActionName, EntityUid, Scope, Slug, Tier};
pub use participant::Participant;
pub use request::{ActionId, Request, Resource};
