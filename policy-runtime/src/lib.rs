#![cfg_attr(feature = "engine", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(feature = "engine"),
    doc = "Calls services whose policies are elsewhere; see the feature `engine` for the guard."
)]

pub mod audit;
#[cfg(feature = "identity")]
pub mod authn;
#[cfg(feature = "client")]
pub mod client;
#[cfg(any(feature = "engine", feature = "identity"))]
pub mod clock;
pub mod code;
#[cfg(feature = "identity")]
pub mod credential;
pub mod denied;
#[cfg(feature = "gateway")]
pub mod gateway;
#[cfg(feature = "engine")]
pub mod guard;
#[cfg(feature = "identity")]
mod id;
#[cfg(feature = "identity")]
pub mod identity;
#[cfg(feature = "engine")]
pub mod policy;
mod proxy;
#[cfg(feature = "engine")]
mod question;
pub mod secret;
#[cfg(feature = "engine")]
pub mod security;
pub mod service;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "tower")]
pub mod tower;
#[cfg(feature = "wire")]
pub mod wire;

#[doc(hidden)]
pub mod __private;

pub use code::Code;
pub use denied::Denied;
pub use policy_core::shape;
pub use policy_core::value;
pub use policy_core::{Participant, Scope, Tier};
#[cfg(feature = "engine")]
pub use {
    policy::{Policy, PolicyError},
    security::SecurityContext,
};

pub use policy_core::decision::{Denial, DenialKind, TierAnswer};
#[cfg(feature = "engine")]
pub use policy_core::pdp::{Baseline, May, SetSource};

pub use policy_macros::{Attributes, Entity, abac_policy, publish};

/// Links packages whose annotations must be in the program, and refuses to start without them.
///
/// A package that nothing names is left out by the linker, annotations and all. Name it here once, in the binary:
///
/// ```ignore
/// policy_runtime::link!(orders, billing);
/// ```
#[cfg(feature = "engine")]
#[macro_export]
macro_rules! link {
    ($($package:ident),+ $(,)?) => {$(
        use $package as _;
        $crate::__private::inventory::submit! {
            $crate::__private::RequiredPackage {
                name: stringify!($package),
                place: $crate::__private::Place { file: file!(), line: line!() },
            }
        }
    )+};
}
