//! The AuthZEN Authorization API 1.0: decisions for those who enforce elsewhere, about one application.
//!
//! ```text
//! caller ─► AuthenticateLayer ─► may it ask? ─► subject, resource looked up ─► every tier ─► {"decision": ..}
//! ```
//!
//! In: JSON about a subject, an action and a resource, of a caller that was authenticated. Out: decisions and lists of those
//! whom, of that what and of those actions that a decision allows. A member of the application's organization asks under
//! `Platform.policies.evaluate` and `Platform.policies.search`, a participant of the application (a proxy with an API key, say)
//! under `Platform.decisions.evaluate` and `Platform.decisions.search`, which the shipped baseline grants to the role `enforcer`.
//!
//! What a request says of a subject is never believed: its roles and attributes are [`Subjects`]' to know. What it says of a
//! resource, of the action's arguments and of the context is not believed either, unless the application's setting says so, and
//! never against what [`Resources`] knows.
//!
//! ```
//! use policy_runtime::authn::Chain;
//! use policy_runtime::authzen::{AuthZen, Catalog};
//! use policy_runtime::Policy;
//!
//! let policy = Policy::for_application("shop")?;
//! let chain = Chain::builder().build(); // who is believed: see `authn`
//! let router = AuthZen::builder(&policy, "https://pdp.example.com")
//!     .subjects(Catalog::default())
//!     .build()?
//!     .router(chain);
//! # let _: axum::Router = router;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Absent: enforcement, who the caller is, and signed answers.

mod ask;
mod build;
mod catalog;
mod decide;
mod http;
mod mapping;
mod page;
mod search;

pub use build::{AuthZen, AuthZenBuilder, SetupError};
pub use catalog::{Catalog, Fields, LookupError, Resources, Subjects};
