//! What the macros let through: it compiles, its policies validate together, and it decides.

#![expect(unreachable_pub, reason = "only what is `pub` is published")]
#![expect(clippy::unused_self, clippy::unwrap_used, reason = "published methods have a receiver, and a test may panic")]
#![expect(clippy::used_underscore_binding, reason = "what a body leaves unused, its guard still reads")]
#![expect(clippy::needless_pass_by_value, reason = "parameters of every form are guarded")]

mod functions;
mod hygiene;
mod kinotic;
mod remote;
mod renamed_path;
mod rows;
mod services;
mod together;
