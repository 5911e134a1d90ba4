//! Why an operation was not done.

use policy_core::pdp::SetError;

use crate::audit::AuditError;
use crate::audit::journal::Broken;
use crate::authn::AuthnError;
use crate::code::Code;
use crate::denied::Denied;
use crate::identity::StoreError;
use crate::sets::SetsError;

/// Why an operation was not done; nothing has changed.
///
/// ```
/// use policy_runtime::Code;
/// use policy_runtime::admin::AdminError;
/// let error = AdminError::Missing { what: "organization", name: "globex".into() };
/// assert_eq!((error.code(), error.to_string().as_str()), (Code::NotFound, "there is no organization `globex`"));
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// The policies say no.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// It is not there, or the caller may not know whether it is.
    #[error("there is no {what} `{name}`")]
    Missing {
        /// What it would be.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// Something of that name is there already.
    #[error("{what} `{name}` exists already")]
    Exists {
        /// What it is.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// It cannot be made so.
    #[error("{0}")]
    Invalid(String),
    /// Somebody would get more than the caller has.
    #[error("{0}: nobody gives more than they have")]
    Beyond(String),
    /// Nobody could undo it.
    #[error("{0}")]
    LockedOut(String),
    /// A policy set does not check.
    #[error(transparent)]
    Refused(SetError),
    /// Something else is stored than the caller has seen.
    #[error("{0}")]
    Conflict(String),
    /// A chain of records is not as it was written.
    #[error(transparent)]
    Broken(Broken),
    /// The record of it cannot be written.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The store cannot be asked; the text is for the log.
    #[error("the store is not available: {0}")]
    Unavailable(String),
}

impl AdminError {
    /// What it is called on every transport.
    pub const fn code(&self) -> Code {
        match self {
            Self::Denied(denied) => denied.code(),
            Self::Beyond(_) => Code::AccessDenied,
            Self::Missing { .. } => Code::NotFound,
            Self::Invalid(_) | Self::Refused(_) => Code::BadArguments,
            Self::Exists { .. } | Self::LockedOut(_) | Self::Conflict(_) | Self::Broken(_) => Code::Conflict,
            Self::Audit(_) => Code::AuditUnavailable,
            Self::Unavailable(_) => Code::StoreUnavailable,
        }
    }
}

impl From<StoreError> for AdminError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(text) => Self::Unavailable(text),
            StoreError::Exists { what, name } => Self::Exists { what, name },
            StoreError::Missing { what, name } => Self::Missing { what, name },
            StoreError::Invalid(text) => Self::Invalid(text),
        }
    }
}

impl From<SetsError> for AdminError {
    fn from(error: SetsError) -> Self {
        match error {
            SetsError::Refused(refused) => Self::Refused(refused),
            SetsError::Missing(number) => Self::Missing { what: "version", name: number.to_string() },
            SetsError::Conflict { .. } | SetsError::Draft(_) | SetsError::Moving => Self::Conflict(error.to_string()),
            SetsError::Manifest(error) => Self::Invalid(error.to_string()),
            SetsError::NoManifest => Self::Missing { what: "manifest", name: "of that hash".into() },
            SetsError::Changed(_) | SetsError::Earlier(_) | SetsError::ManifestChanged(_) | SetsError::Database(_) => {
                Self::Unavailable(error.to_string())
            }
        }
    }
}

impl From<SetError> for AdminError {
    fn from(error: SetError) -> Self {
        Self::Refused(error)
    }
}

impl From<Broken> for AdminError {
    fn from(error: Broken) -> Self {
        match error {
            Broken::Unreadable(error) => Self::Audit(error),
            Broken::Record { .. } | Broken::Anchor { .. } => Self::Broken(error),
        }
    }
}

impl From<AuthnError> for AdminError {
    fn from(error: AuthnError) -> Self {
        Self::Unavailable(error.detail().to_owned())
    }
}
