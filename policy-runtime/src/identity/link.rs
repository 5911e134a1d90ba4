//! Links in letters: each for one purpose, good once, and for a while.

use policy_core::Scope;
use policy_core::value::Millis;

use serde::{Deserialize, Serialize};

use super::{EmailKey, ExternalIdentity};

/// What a link is for; it is good for nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Proves the address of somebody who wants to be a user.
    Register,
    /// Proves the address of somebody who wants to found an organization.
    Found,
    /// Says whom a provider vouches for who wants to found an organization.
    FoundWith,
    /// Lets a user choose a new password.
    Reset,
}

impl Purpose {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Found => "found",
            Self::FoundWith => "found-with",
            Self::Reset => "reset",
        }
    }

    /// How long a link of it is good, in milliseconds.
    pub(crate) const fn life_ms(self) -> i64 {
        match self {
            Self::Register | Self::Found => 24 * 3_600_000,
            Self::FoundWith => 10 * 60_000,
            Self::Reset => 30 * 60_000,
        }
    }

    /// How long nobody is sent another letter for it, in milliseconds.
    pub(super) const fn pause_ms(self) -> i64 {
        match self {
            Self::Register | Self::Found | Self::Reset => 60_000,
            // No letter is sent: whoever comes back from a provider goes on with the link of that time.
            Self::FoundWith => 0,
        }
    }
}

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
    /// The question of a client that is gone on with afterwards; of [`Purpose::FoundWith`], the [`Founder`].
    pub(crate) back: Option<String>,
}

/// Whom a provider vouches for who founds an organization.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Founder {
    pub(crate) identity: ExternalIdentity,
    /// Whether the provider has proved a second factor.
    pub(crate) mfa: bool,
    /// The hash of the browser that was sent there: nobody else's goes on.
    pub(crate) browser: String,
}

/// A link that is about to be made.
#[derive(Debug)]
pub(crate) struct NewLink<'a> {
    pub(crate) link: &'a Link,
    pub(crate) email: &'a EmailKey,
    pub(crate) hash: &'a str,
    pub(crate) now: Millis,
}
