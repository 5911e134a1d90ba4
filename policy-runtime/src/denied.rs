//! What a refused caller gets: a code and an id.
//!
//! In: a denial. Out: [`Denied`]. Absent: why; that goes to the log, to the audit and to `explain`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::ser::SerializeStruct as _;

use crate::code::Code;

/// A refusal, as a value. It displays and serializes only its code and the id of the decision.
///
/// ```
/// use policy_runtime::Denied;
/// #[derive(Debug)]
/// enum OrderError { Denied(Denied), OutOfStock }
/// impl From<Denied> for OrderError {
///     fn from(denied: Denied) -> Self { Self::Denied(denied) }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    code: Code,
    id: Arc<str>,
    retry_after: Option<Duration>,
}

impl Denied {
    #[cfg(feature = "engine")]
    pub(crate) fn new(code: Code) -> Self {
        Self { code, id: crate::decision_id::fresh(), retry_after: None }
    }

    /// A call that came too early for the rate of its action.
    #[cfg(feature = "engine")]
    pub(crate) fn too_early(wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..Self::new(Code::RateLimited) }
    }

    /// The stable code.
    pub const fn code(&self) -> Code {
        self.code
    }

    /// The id of the decision, to ask an administrator with.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// How long to wait before the same call may succeed, where a rate refused it.
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.code, self.id)
    }
}

impl std::error::Error for Denied {}

impl Serialize for Denied {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Denied", 2)?;
        out.serialize_field("code", self.code.as_str())?;
        out.serialize_field("id", &*self.id)?;
        out.end()
    }
}
