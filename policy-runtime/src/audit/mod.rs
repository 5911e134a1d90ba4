//! Records of decisions, sign-ins and changes: opened before the work, closed after it.
//!
//! In: what was decided. Out: a durable record through an [`AuditLog`]. The `journal` (feature `audit`) keeps records in memory
//! or SQL, chained by hash. Absent: who may read them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use policy_core::{ActionName, Revision};
use serde::{Serialize, Serializer};

#[cfg(feature = "audit")]
pub mod journal;
#[cfg(feature = "engine")]
pub(crate) mod required;

/// The detail that has what was decided about.
#[cfg(feature = "engine")]
pub(crate) const INPUTS: &str = "inputs";
/// What stands there instead, where it would be too long.
#[cfg(feature = "engine")]
pub(crate) const TOO_LARGE: &str = "(too large)";

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
#[derive(Debug, Clone, thiserror::Error)]
#[error("the audit record cannot be written: {0}")]
pub struct AuditError(pub String);

/// What a record is about.
///
/// ```
/// use policy_runtime::audit::RecordKind;
/// assert_eq!(RecordKind::SignIn.as_str(), "sign-in");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RecordKind {
    /// A decision.
    Decision,
    /// A sign-in, or a refused one.
    SignIn,
    /// A change of configuration: policies, members, keys, providers.
    Change,
    /// The end of the work that a decision allowed.
    End,
}

impl RecordKind {
    /// The kind's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Decision => "decision",
            Self::SignIn => "sign-in",
            Self::Change => "change",
            Self::End => "end",
        }
    }
}

/// What is known beside a record's fixed members, typed by how it must be kept.
///
/// ```
/// use policy_runtime::audit::Detail;
/// assert_eq!(format!("{:?}", Detail::Personal("ann@example.com".into())), "Personal(..)");
/// ```
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "every sink must decide about every kind of detail")]
pub enum Detail {
    /// May be read by whoever may read the record.
    Plain(String),
    /// About a person: kept apart, so that it can be erased without breaking the chain.
    Personal(String),
    /// Was there, and is never written.
    Secret,
}

impl fmt::Debug for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(text) => f.debug_tuple("Plain").field(text).finish(),
            Self::Personal(_) => f.write_str("Personal(..)"),
            Self::Secret => f.write_str("Secret"),
        }
    }
}

/// Plain text as it is; of anything else, only that it was there.
impl Serialize for Detail {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Plain(text) => text,
            Self::Personal(_) => "(personal)",
            Self::Secret => "(secret)",
        })
    }
}

/// What is recorded. Of attributes it has only those that a refusing clause read, as personal details; where a sink says so, also
/// what the decision was made about, but for secrets.
///
/// ```
/// use policy_runtime::audit::{Detail, Record, RecordKind};
///
/// let record = Record::new(RecordKind::Change, 1_000, "org:acme/u-1", "policies.activate", "org:acme", "allow")
///     .about("Set", "org:acme")
///     .detail("comment", Detail::Plain("mfa for orders".into()));
/// assert!(record.decision.starts_with("d-"));
/// ```
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Record {
    /// What it is about.
    pub kind: RecordKind,
    /// The id that the caller was told, or that the work runs under.
    pub decision: Arc<str>,
    /// Milliseconds since 1970.
    pub time: i64,
    /// `<scope>/<id>` of the participant.
    pub principal: Arc<str>,
    /// The action's full name.
    pub action: Arc<str>,
    /// The entity that it was about, if it was one: its type and its id.
    pub resource: Option<Arc<str>>,
    /// The scope of the resource.
    pub scope: Arc<str>,
    /// `allow` or `deny`.
    pub outcome: &'static str,
    /// The revisions that decided, from System down, if policies did.
    #[serde(serialize_with = "revisions")]
    pub revisions: Option<[Revision; 3]>,
    /// The id of the request.
    pub request: Option<Arc<str>>,
    /// What else is known.
    pub details: BTreeMap<String, Detail>,
}

impl Record {
    /// Starts a record with a fresh id.
    pub fn new(
        kind: RecordKind,
        time: i64,
        principal: impl Into<Arc<str>>,
        action: impl Into<Arc<str>>,
        scope: impl Into<Arc<str>>,
        outcome: &'static str,
    ) -> Self {
        Self {
            kind,
            decision: crate::decision_id::fresh(),
            time,
            principal: principal.into(),
            action: action.into(),
            resource: None,
            scope: scope.into(),
            outcome,
            revisions: None,
            request: None,
            details: BTreeMap::new(),
        }
    }

    /// Sets the id that it is found by.
    #[must_use]
    pub fn decision(mut self, id: &str) -> Self {
        self.decision = id.into();
        self
    }

    /// Sets the entity that it was about.
    #[must_use]
    pub fn about(mut self, kind: &str, id: &str) -> Self {
        self.resource = Some(format!("{kind}::{id}").into());
        self
    }

    /// Sets the id of the request.
    #[must_use]
    pub fn request(mut self, id: Option<Arc<str>>) -> Self {
        self.request = id;
        self
    }

    /// Adds a detail.
    #[must_use]
    pub fn detail(mut self, name: &str, detail: Detail) -> Self {
        self.details.insert(name.to_owned(), detail);
        self
    }

    /// Keeps what was decided about, so that it can be decided again, as a detail of the person.
    #[cfg(feature = "engine")]
    pub(crate) fn inputs(self, request: &policy_core::Request<'_>, entry: &policy_core::registry::ActionEntry) -> Self {
        let detail =
            crate::inputs::of(request, entry).map_or_else(|| Detail::Plain(TOO_LARGE.into()), Detail::Personal);
        self.detail(INPUTS, detail)
    }

    /// Says which sets decided.
    #[cfg(feature = "engine")]
    #[must_use]
    pub(crate) const fn revisions(mut self, revisions: &[Revision; 3]) -> Self {
        self.revisions = Some(*revisions);
        self
    }

    /// Says why it was denied: tier, policy, clause, and what the clause read.
    #[cfg(feature = "engine")]
    #[must_use]
    pub(crate) fn denial(mut self, denial: &policy_core::decision::Denial) -> Self {
        self = self.revisions(&denial.revisions);
        let mut plain = |name: &str, text: Option<String>| {
            self.details.extend(text.map(|text| (name.to_owned(), Detail::Plain(text))));
        };
        plain("kind", Some(format!("{:?}", denial.kind)));
        plain("tier", denial.tier.map(|tier| tier.to_string()));
        plain("policy", denial.policy.as_deref().map(str::to_owned));
        plain("clause", denial.clause.clone());
        for value in &denial.values {
            // The engine has redacted what is secret.
            let secret = value.value == "(secret)";
            let detail = if secret { Detail::Secret } else { Detail::Personal(value.value.clone()) };
            self.details.insert(format!("value.{}", value.path), detail);
        }
        self
    }
}

/// Three texts; empty where no policies decided.
#[expect(clippy::ref_option, reason = "serde gives it so")]
pub(crate) fn revisions<S: Serializer>(revisions: &Option<[Revision; 3]>, serializer: S) -> Result<S::Ok, S::Error> {
    let Some(revisions) = revisions else { return ["", "", ""].serialize(serializer) };
    TOLD.with_borrow_mut(|(last, texts)| {
        if last != revisions {
            *last = *revisions;
            *texts = revisions.map(|revision| revision.to_string());
        }
        texts.serialize(serializer)
    })
}

thread_local! {
    /// The last revisions that this thread put into words: they seldom change, and the words cost as much as the rest of a record.
    static TOLD: RefCell<([Revision; 3], [String; 3])> = {
        let none = [Revision::default(); 3];
        RefCell::new((none, none.map(|revision| revision.to_string())))
    };
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
///     fn complete(&self, record: &Record, rows: Option<u64>) {
///         println!("ends {}: {rows:?}", record.decision);
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

    /// Notes that the work under a record has ended, and how many rows it gave or changed if it was about rows. Must not block.
    fn complete(&self, record: &Record, rows: Option<u64>);

    /// Whether a decision is wanted that need not be recorded. None is, unless the sink says so.
    fn wants(&self, action: &ActionName, allowed: bool) -> bool {
        let _ = (action, allowed);
        false
    }

    /// Whether records of decisions have what was decided about: attributes and arguments that rules may read, but for secrets.
    /// None has, unless the sink says so.
    fn wants_inputs(&self) -> bool {
        false
    }

    /// Takes a record that is wanted; waits for its turn while the sink is behind, and not until it is durable.
    fn note<'a>(&'a self, record: &'a Record) -> AuditFuture<'a> {
        self.begin(record)
    }

    /// Takes a record that is wanted, from code that cannot await.
    ///
    /// # Errors
    /// When the sink is behind for too long, or can only be awaited.
    fn note_blocking(&self, record: &Record) -> Result<(), AuditError> {
        self.begin_blocking(record).unwrap_or_else(|| Err(AuditError("this audit log can only be awaited".into())))
    }
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
    /// The records in order, each with whether its work has ended; `rows` is among the details of one that was about rows.
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

    fn complete(&self, record: &Record, rows: Option<u64>) {
        if let Ok(mut records) = self.records.lock() {
            for (open, done) in records.iter_mut().filter(|(r, _)| r.decision == record.decision) {
                *done = true;
                open.details.extend(rows.map(|rows| ("rows".to_owned(), Detail::Plain(rows.to_string()))));
            }
        }
    }
}
