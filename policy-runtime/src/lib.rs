//! Write who may do what next to the code it protects.

pub mod audit;
#[cfg(feature = "identity")]
pub mod authn;
#[cfg(any(feature = "engine", feature = "identity"))]
pub mod clock;
pub mod code;
#[cfg(feature = "identity")]
pub mod credential;
pub mod denied;
#[cfg(feature = "engine")]
pub mod guard;
#[cfg(feature = "identity")]
pub mod identity;
#[cfg(feature = "engine")]
pub mod policy;
pub mod secret;
#[cfg(feature = "engine")]
pub mod security;
pub mod service;
#[cfg(feature = "wire")]
pub mod wire;

#[doc(hidden)]
pub mod __private;

pub use code::Code;
pub use denied::Denied;
pub use policy_core::value;
pub use policy_core::{Participant, Scope, Tier};
#[cfg(feature = "engine")]
pub use {policy::Policy, security::SecurityContext};
