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

/// A port that is free now, for whom must be told it before it listens.
///
/// # Panics
/// When there is none.
#[must_use]
#[expect(clippy::unwrap_used, reason = "a test without a port fails")]
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
