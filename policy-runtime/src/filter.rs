//! The condition alone: for queries of the program's own, with an ORM or plain sqlx.
//!
//! In: a caller, an entity's type, an operation. Out: [`Authorized`], which renders the condition that the policies of all tiers
//! leave, tenant included, as one unit. Absent: the query around it, and rows: a rule that needs the row itself is refused here.

#[cfg(feature = "sea-orm")]
mod orm;
mod query;
mod row;

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use policy_core::contract::Stored;
use policy_core::decision::{Denial, Revision};
use policy_core::filter::Predicate;
use policy_core::filter::sql::{Assured, Render};
use policy_core::pdp::TierFilter;
use policy_core::table::{Table, TableError};
use policy_core::{ActionName, Context, Request, Scope};
use sea_query::Condition;

#[cfg(feature = "sea-orm")]
pub use self::orm::FilterAuthorized;
pub use self::query::Spoken;
#[cfg(feature = "testing")]
pub(crate) use self::query::push;
pub use self::row::decide;
#[cfg(feature = "testing")]
pub(crate) use self::row::own;
pub use policy_core::table::{Dialect, Operation};

use crate::code::Code;
use crate::denied::Denied;
use crate::guard::resource_scope;
use crate::security::SecurityContext;

/// Why there is no condition.
///
/// ```
/// use policy_runtime::filter::{FilterError, Operation, authorized};
/// use policy_runtime::{Code, Entity, Participant, Policy, SecurityContext, abac_policy};
///
/// #[derive(Entity)]
/// #[entity(namespace = "com.example.drafts")]
/// #[abac_policy(all_create(entity.owner == participant.id))]
/// struct Draft {
///     id: String,
///     owner: String,
/// }
///
/// let policy = Policy::for_application("drafts")?;
/// let bob = Participant::builder(policy.application().clone(), "bob").build();
/// let cx = SecurityContext::new(&policy, bob.into());
/// let creating = authorized::<Draft>(&cx, Operation::Save).unwrap_err();
/// assert_eq!(creating.code(), Code::NotFilterable, "what is created is not stored yet");
/// let reading = authorized::<Draft>(&cx, Operation::FindAll).unwrap_err();
/// assert!(matches!(reading, FilterError::Denied(_)), "no policy says who may");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// No row could change it: the caller never reaches these rows, or the operation has no policy.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// A rule needs the row itself. A repository asks it row by row; a condition without it would open rows.
    #[error("`{action}` cannot become a condition")]
    NotFilterable {
        /// The operation's action.
        action: String,
        /// The policies, each with what of it cannot; for the log, not for the caller.
        why: Vec<String>,
    },
    /// What the entity declares of its table does not hold together.
    #[error(transparent)]
    Table(#[from] TableError),
}

impl FilterError {
    /// The stable code.
    pub const fn code(&self) -> Code {
        match self {
            Self::Denied(denied) => denied.code(),
            Self::NotFilterable { .. } => Code::NotFilterable,
            Self::Table(_) => Code::Internal,
        }
    }
}

/// The rows of an entity that a caller may reach with an operation. It holds only rows of the caller's own tenant.
///
/// ```standalone_crate
/// use policy_runtime::filter::{Dialect, Operation, authorized};
/// use policy_runtime::{Entity, Participant, Policy, SecurityContext, abac_policy};
/// use sea_query::{Asterisk, Query, SqliteQueryBuilder};
///
/// #[derive(Entity)]
/// #[entity(namespace = "com.example")]
/// #[abac_policy(all_read(entity.owner_id == participant.id or entity.shared_with contains participant.id))]
/// struct Photo {
///     id: String,
///     owner_id: String,
///     shared_with: Vec<String>,
/// }
///
/// let policy = Policy::for_application("photos")?;
/// let alice = Participant::builder(policy.application().clone(), "alice").build();
/// let cx = SecurityContext::new(&policy, alice.into());
/// let mine = authorized::<Photo>(&cx, Operation::FindAll)?;
/// let (sql, values) = Query::select()
///     .column(Asterisk)
///     .from("photo")
///     .cond_where(mine.condition(Dialect::Sqlite))
///     .build(SqliteQueryBuilder);
/// assert!(sql.contains(r#""photo"."owner_id" = ?"#), "{sql}");
/// assert!(values.iter().any(|value| *value == "alice".into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Authorized {
    table: Arc<Table>,
    predicate: Predicate,
    revisions: [Revision; 3],
    /// What a database vouches for, of each column; where none was asked, nothing.
    vouched: Option<(Dialect, Arc<[Assured]>)>,
}

impl Authorized {
    /// Leaves out what one database vouches for.
    pub(crate) fn vouched(self, dialect: Dialect, assured: Arc<[Assured]>) -> Self {
        Self { vouched: Some((dialect, assured)), ..self }
    }

    fn render(&self, dialect: Dialect) -> Render<'_> {
        let render = Render::new(&self.table, dialect);
        match &self.vouched {
            Some((of, assured)) if *of == dialect => render.vouched(assured.clone()),
            _ => render,
        }
    }

    /// The condition, for columns that are written with the name of their table. It is true or false, never NULL, and every
    /// value in it is bound; `and` it to the query's own.
    pub fn condition(&self, dialect: Dialect) -> Condition {
        self.render(dialect).condition(&self.predicate)
    }

    /// The condition, where the query calls the table `alias`.
    pub fn condition_on(&self, alias: &str, dialect: Dialect) -> Condition {
        self.render(dialect).named(alias).condition(&self.predicate)
    }

    /// The condition as a rule would say it, what secret attributes are compared with left out.
    pub const fn predicate(&self) -> &Predicate {
        &self.predicate
    }

    /// The revisions of the policies, from System down.
    pub const fn revisions(&self) -> [Revision; 3] {
        self.revisions
    }
}

/// The condition that the policies of all tiers leave of an operation, for a query of the program's own.
///
/// # Errors
/// [`FilterError::Denied`] where no row could change it, [`FilterError::NotFilterable`] where a rule needs the row itself; and
/// for `save` and `bulkSave`, whose rows are not stored yet.
///
/// ```
/// use policy_runtime::filter::{Dialect, Operation, authorized};
/// use policy_runtime::{Entity, Participant, Policy, SecurityContext, abac_policy};
///
/// #[derive(Entity)]
/// #[entity(namespace = "com.example.pages")]
/// #[abac_policy(all_read(entity.public or entity.owner == participant.id))]
/// struct Page {
///     id: String,
///     owner: String,
///     public: bool,
/// }
///
/// let policy = Policy::for_application("pages")?;
/// let bob = Participant::builder(policy.application().clone(), "bob").build();
/// let cx = SecurityContext::new(&policy, bob.into());
/// let mine = authorized::<Page>(&cx, Operation::Count)?;
/// // In a query that calls the table `p`:
/// let condition = mine.condition_on("p", Dialect::Postgres);
/// # drop(condition);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn authorized<E: Stored + 'static>(cx: &SecurityContext, operation: Operation) -> Result<Authorized, FilterError> {
    let action = ActionName::new(E::NAMESPACE, &format!("{}.{operation}", E::NAME));
    let unfit = |why: Vec<String>| {
        tracing::error!(target: "policy", action = %action, why = why.join("; "), "no condition: a rule needs the row itself");
        Err(FilterError::NotFilterable { action: action.to_string(), why })
    };
    if matches!(operation, Operation::Save | Operation::BulkSave) {
        return unfit(vec!["what is created is not stored yet".to_owned()]);
    }
    let table = table_of::<E>()?;
    let filter = ask(cx, &action, |request| cx.policy().engine().filter(request, &table))?;
    let why: Vec<String> = filter.row_checks().iter().map(ToString::to_string).collect();
    if !why.is_empty() {
        return unfit(why);
    }
    Ok(Authorized { table, predicate: filter.predicate, revisions: filter.revisions, vouched: None })
}

/// What each tier contributes to the condition of an operation, and which policies it was made of; for administrators.
///
/// # Errors
/// As [`authorized`], except that rules which need the row itself are told and not refused.
///
/// ```standalone_crate
/// use policy_runtime::filter::{Operation, explain};
/// use policy_runtime::{Entity, Participant, Policy, SecurityContext, abac_policy};
///
/// #[derive(Entity)]
/// #[entity(namespace = "com.example.notes")]
/// #[abac_policy(all_read(entity.owner == participant.id))]
/// struct Note {
///     id: String,
///     owner: String,
/// }
///
/// let policy = Policy::for_application("notes")?;
/// let bob = Participant::builder(policy.application().clone(), "bob").build();
/// let tiers = explain::<Note>(&SecurityContext::new(&policy, bob.into()), Operation::FindAll)?;
/// assert_eq!(tiers.last().unwrap().predicate.to_string(), "entity.owner == 'bob'");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn explain<E: Stored + 'static>(
    cx: &SecurityContext,
    operation: Operation,
) -> Result<Vec<TierFilter>, FilterError> {
    let action = ActionName::new(E::NAMESPACE, &format!("{}.{operation}", E::NAME));
    let table = table_of::<E>()?;
    ask(cx, &action, |request| cx.policy().engine().explain_filter(request, &table))
}

pub(crate) fn ask<T>(
    cx: &SecurityContext,
    action: &ActionName,
    ask: impl FnOnce(&Request<'_>) -> Result<T, Box<Denial>>,
) -> Result<T, FilterError> {
    let engine = cx.policy().engine();
    let id = engine.registry().number(action);
    let entry = id.and_then(|id| engine.registry().action(id));
    let scope = entry.and_then(|entry| resource_scope(entry.tier, cx));
    let (Some(id), Some(scope)) = (id, scope) else {
        return Err(refused(cx, action, "the operation has no policy, or the caller no organization", None).into());
    };
    let scope: &Scope = &scope;
    let context = Context { time: cx.policy().clock().now(), facts: cx.facts() };
    let request = Request { participant: cx.participant(), action: id, scope, resource: None, context, args: &[] };
    ask(&request).map_err(|denial| {
        let why = denial.message.clone();
        refused(cx, action, &why, Some(*denial)).into()
    })
}

fn refused(cx: &SecurityContext, action: &ActionName, why: &str, denial: Option<Denial>) -> Denied {
    let denied = Denied::new(Code::AccessDenied);
    tracing::warn!(
        target: "policy",
        decision = denied.id(),
        code = denied.code().as_str(),
        action = %action,
        participant = cx.participant().id(),
        "denied: {why}"
    );
    cx.note_refusal(&denied);
    if let Some(denial) = denial {
        cx.policy().remember(&denied, denial);
    }
    denied
}

/// The table of an entity, checked once.
pub(crate) fn table_of<E: Stored + 'static>() -> Result<Arc<Table>, TableError> {
    static TABLES: LazyLock<RwLock<HashMap<TypeId, Arc<Table>>>> = LazyLock::new(RwLock::default);
    let key = TypeId::of::<E>();
    if let Some(table) = TABLES.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return Ok(table.clone());
    }
    let table = Arc::new(Table::new(E::TABLE)?);
    TABLES.write().unwrap_or_else(PoisonError::into_inner).insert(key, table.clone());
    Ok(table)
}
