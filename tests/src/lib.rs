//! What the tests across crates share.

pub mod desk;
pub mod fuzzing;
pub mod mail;
pub mod oracle;
pub mod orders;
pub mod pictures;
pub mod postgres;
pub mod providers;
pub mod proxy;
pub mod raw;
pub mod things;
pub mod todo;
pub mod tokens;
pub mod users;
