//! What the macros let through: it compiles, its policies validate together, and it decides.

#![expect(unreachable_pub, reason = "only what is `pub` is published")]
#![expect(clippy::needless_pass_by_value, reason = "parameters of every form are guarded")]

mod functions;
mod hygiene;
mod kinotic;
mod remote;
mod renamed_path;
mod services;
mod together;
