//! Links in letters: each for one purpose, good once, and for a while.

use policy_core::Scope;
use policy_core::value::Millis;

use super::EmailKey;

/// What a link is for; it is good for nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Proves the address of somebody who wants to be a user.
    Register,
    /// Proves the address of somebody who wants to found an organization.
    Found,
    /// Lets a user choose a new password.
    Reset,
}

impl Purpose {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Found => "found",
            Self::Reset => "reset",
        }
    }

    /// How long a link of it is good, in milliseconds.
    pub(crate) const fn life_ms(self) -> i64 {
        match self {
            Self::Register | Self::Found => 24 * 3_600_000,
            Self::Reset => 30 * 60_000,
        }
    }
}

/// How long nobody is sent another letter for one purpose, in milliseconds.
pub(super) const PAUSE_MS: i64 = 60_000;

/// What is kept with a link.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) purpose: Purpose,
    /// Where it lets somebody do something.
    pub(crate) scope: Scope,
    /// The address as it was typed.
    pub(crate) email: String,
    /// Whom it is about; nobody where no letter goes out.
    pub(crate) user: Option<String>,
    pub(crate) display_name: Option<String>,
    /// The question of a client that is gone on with afterwards.
    pub(crate) back: Option<String>,
}

/// A link that is about to be made.
#[derive(Debug)]
pub(crate) struct NewLink<'a> {
    pub(crate) link: &'a Link,
    pub(crate) email: &'a EmailKey,
    pub(crate) hash: &'a str,
    pub(crate) now: Millis,
}
