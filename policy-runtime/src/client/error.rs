//! Why a connection could not be opened.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::code::Code;

/// An error of a layer below, kept so that it can be shown more than once.
///
/// ```
/// use policy_runtime::client::Cause;
/// let cause: Cause = std::sync::Arc::new(std::fmt::Error);
/// ```
pub type Cause = Arc<dyn Error + Send + Sync>;

/// Why a connection could not be opened.
///
/// ```
/// use std::time::Duration;
/// use policy_runtime::Code;
/// use policy_runtime::client::ConnectError;
/// assert_eq!(ConnectError::Timeout(Duration::from_secs(5)).code(), Code::Timeout);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ConnectError {
    /// The closure that makes the headers answered with an error.
    Headers(Cause),
    /// The closure that makes the headers did not end in time.
    HeadersTimeout(Duration),
    /// The closure that makes the headers panicked.
    HeadersPanicked,
    /// A header contains what cannot be sent.
    InvalidHeader(String),
    /// The host, the port or the address is malformed.
    InvalidAddress(String),
    /// The server cannot be reached.
    Unreachable(Cause),
    /// TLS failed.
    Tls(Cause),
    /// The server says no.
    Refused(Refusal),
    /// The server does not speak this protocol.
    Protocol(Cause),
    /// The server did not answer in time.
    Timeout(Duration),
    /// The connection was lost, and is not to be opened again.
    Lost(Arc<str>),
    /// The client was closed.
    Closed,
}

impl ConnectError {
    pub(super) fn protocol(what: impl Into<String>) -> Self {
        Self::Protocol(Arc::from(Box::<dyn Error + Send + Sync>::from(what.into())))
    }

    /// The stable code.
    pub const fn code(&self) -> Code {
        match self {
            Self::Refused(refusal) => refusal.code,
            Self::Timeout(_) | Self::HeadersTimeout(_) => Code::Timeout,
            Self::Headers(_)
            | Self::HeadersPanicked
            | Self::InvalidHeader(_)
            | Self::InvalidAddress(_)
            | Self::Unreachable(_)
            | Self::Tls(_)
            | Self::Protocol(_)
            | Self::Lost(_)
            | Self::Closed => Code::ConnectionLost,
        }
    }

    /// This error and what caused it, in a line.
    pub(super) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut next = self.source();
        while let Some(cause) = next {
            text = format!("{text}: {cause}");
            next = cause.source();
        }
        text
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Headers(_) => f.write_str("the headers could not be made"),
            Self::HeadersTimeout(after) => write!(f, "the headers were not made within {after:?}"),
            Self::HeadersPanicked => f.write_str("the closure that makes the headers panicked"),
            Self::InvalidHeader(name) => write!(f, "the header `{name}` contains a character that cannot be sent"),
            Self::InvalidAddress(address) => write!(f, "`{address}` is no address of a server"),
            Self::Unreachable(_) => f.write_str("the server cannot be reached"),
            Self::Tls(_) => f.write_str("the connection cannot be made secure"),
            Self::Refused(refusal) => write!(f, "the connection was refused: {}", refusal.message),
            Self::Protocol(_) => f.write_str("the server does not speak this protocol"),
            Self::Timeout(after) => write!(f, "the server did not answer within {after:?}"),
            Self::Lost(reason) => write!(f, "the connection was lost: {reason}"),
            Self::Closed => f.write_str("the client was closed"),
        }
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Headers(cause) | Self::Unreachable(cause) | Self::Tls(cause) | Self::Protocol(cause) => {
                Some(cause.as_ref())
            }
            Self::HeadersTimeout(_)
            | Self::HeadersPanicked
            | Self::InvalidHeader(_)
            | Self::InvalidAddress(_)
            | Self::Refused(_)
            | Self::Timeout(_)
            | Self::Lost(_)
            | Self::Closed => None,
        }
    }
}

/// What the server answered instead of opening the connection.
///
/// ```
/// use policy_runtime::client::ConnectError;
///
/// fn wait(error: &ConnectError) -> Option<std::time::Duration> {
///     match error {
///         ConnectError::Refused(refusal) => refusal.retry_after(),
///         _ => None,
///     }
/// }
/// assert_eq!(wait(&ConnectError::Closed), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub(super) code: Code,
    pub(super) status: Option<u16>,
    pub(super) message: String,
    pub(super) retry_after: Option<Duration>,
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> Code {
        self.code
    }

    /// The HTTP status, if the upgrade was refused.
    pub const fn status(&self) -> Option<u16> {
        self.status
    }

    /// What the server said.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// How long the server asks to wait.
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}
