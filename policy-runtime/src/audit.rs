//! Records of decisions: opened before the work, closed after it.
//!
//! In: what was decided. Out: a durable record through an [`AuditLog`]. Absent: storage; sinks bring it.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use serde::Serialize;

/// A boxed future of a sink.
///
/// ```
/// use policy_runtime::audit::AuditFuture;
/// let written: AuditFuture<'_> = Box::pin(async { Ok(()) });
/// ```
pub type AuditFuture<'a> = Pin<Box<dyn Future<Output = Result<(), AuditError>> + Send + 'a>>;

/// Why a record could not be written.
///
/// ```
/// use policy_runtime::audit::AuditError;
/// assert!(AuditError("the disk is full".into()).to_string().contains("the disk is full"));
/// ```
#[derive(Debug, thiserror::Error)]
#[error("the audit record cannot be written: {0}")]
pub struct AuditError(pub String);

/// What is recorded of one decision. No argument and no attribute value is in it.
///
/// ```
/// use policy_runtime::audit::Record;
///
/// fn line(record: &Record) -> String {
///     format!("{} {} {}: {}", record.decision, record.principal, record.action, record.outcome)
/// }
/// ```
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Record {
    /// The id that the caller was told, or that the work runs under.
    pub decision: Arc<str>,
    /// Milliseconds since 1970.
    pub time: i64,
    /// `<scope>/<id>` of the participant.
    pub principal: String,
    /// The action's full name.
    pub action: String,
    /// The scope of the resource.
    pub scope: String,
    /// `allow` or `deny`.
    pub outcome: &'static str,
    /// The revisions that decided, from System down.
    pub revisions: [String; 3],
    /// The id of the request.
    pub request: Option<Arc<str>>,
}

/// Where records go.
///
/// ```
/// use policy_runtime::audit::{AuditFuture, AuditLog, Record};
///
/// #[derive(Debug)]
/// struct Printed;
///
/// impl AuditLog for Printed {
///     fn begin<'a>(&'a self, record: &'a Record) -> AuditFuture<'a> {
///         println!("begins {}: {}", record.decision, record.action);
///         Box::pin(async { Ok(()) })
///     }
///
///     fn complete(&self, decision: &str) {
///         println!("ends {decision}");
///     }
/// }
/// ```
pub trait AuditLog: Send + Sync + fmt::Debug {
    /// Writes a record durably; resolves when it would survive a crash.
    fn begin<'a>(&'a self, record: &'a Record) -> AuditFuture<'a>;

    /// Writes a record durably from code that cannot await; `None` when this sink cannot.
    fn begin_blocking(&self, record: &Record) -> Option<Result<(), AuditError>> {
        let _ = record;
        None
    }

    /// Notes that the work under a record has ended. Must not block.
    fn complete(&self, decision: &str);
}

/// Keeps records in memory, for tests.
///
/// ```
/// use std::sync::Arc;
/// use policy_runtime::Policy;
/// use policy_runtime::audit::MemoryAudit;
///
/// let audit = Arc::new(MemoryAudit::default());
/// let policy = Policy::builder().audit(audit.clone()).build()?;
/// assert!(policy.audit().is_some());
/// assert!(audit.records().is_empty());
/// # Ok::<(), policy_runtime::PolicyError>(())
/// ```
#[derive(Debug, Default)]
pub struct MemoryAudit {
    records: std::sync::Mutex<Vec<(Record, bool)>>,
}

impl MemoryAudit {
    /// The records in order, each with whether its work has ended.
    pub fn records(&self) -> Vec<(Record, bool)> {
        self.records.lock().map(|r| r.clone()).unwrap_or_default()
    }

    fn push(&self, record: &Record) -> Result<(), AuditError> {
        let mut records = self.records.lock().map_err(|_| AuditError("a writer panicked".into()))?;
        records.push((record.clone(), false));
        Ok(())
    }
}

impl AuditLog for MemoryAudit {
    fn begin<'a>(&'a self, record: &'a Record) -> AuditFuture<'a> {
        Box::pin(async move { self.push(record) })
    }

    fn begin_blocking(&self, record: &Record) -> Option<Result<(), AuditError>> {
        Some(self.push(record))
    }

    fn complete(&self, decision: &str) {
        if let Ok(mut records) = self.records.lock() {
            for (_, done) in records.iter_mut().filter(|(r, _)| &*r.decision == decision) {
                *done = true;
            }
        }
    }
}
