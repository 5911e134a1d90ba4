//! Lists held against decisions, for the entities of a program: whatever a caller may reach by a list, and nothing else, is what a
//! decision about each row allows.
//!
//! In: callers, a database. Out: a [`FilterReport`]. Absent: any way to let a disagreement pass.

use std::collections::BTreeSet;

use policy_core::contract::{Stored, id_text};
use policy_core::filter::Predicate;
use policy_core::pdp::Filter;
use policy_core::table::{Operation, Table};
use policy_core::testing::{FilterReport, fitting};
use policy_core::value::{Record, Slot};
use policy_core::{ActionName, Decision, Request, Resource};
use serde::de::DeserializeOwned;

use super::scratch::Scratch;
use crate::entity::{Pool, Reach, every};
use crate::filter::{ask, own, table_of};
use crate::security::SecurityContext;

/// Fails a test when a list of an entity disagrees with a decision about one of 200 random rows, for any of these callers and any
/// operation. The rows are made of what the policies compare with, in a temporary table of the database.
///
/// ```
/// use policy_runtime::entity::Pool;
/// use policy_runtime::testing::assert_lists_agree;
/// use policy_runtime::{Entity, SecurityContext};
///
/// #[derive(Entity)]
/// #[entity(namespace = "com.example.posters")]
/// #[abac_policy(all_read(entity.owner == participant.id or not entity.draft))]
/// struct Poster {
///     id: String,
///     owner: String,
///     draft: bool,
/// }
///
/// # #[cfg(feature = "sqlite")]
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let pool = Pool::connect("sqlite::memory:").await.unwrap(); // and `postgres://..`
/// let alice = SecurityContext::test().id("alice");
/// assert_lists_agree::<Poster>(&pool, [(*alice).clone()]).await;
/// # });
/// ```
///
/// # Panics
/// Where they disagree, where no row was allowed to anybody, or where the database fails.
pub async fn assert_lists_agree<E: Stored + 'static>(
    pool: &Pool,
    callers: impl IntoIterator<Item = SecurityContext> + Send,
) {
    let report = Oracle::new(callers).random::<E>(pool).await;
    #[expect(clippy::panic, reason = "this is an assertion")]
    match report {
        Ok(report) if report.disagreements.is_empty() && report.allowed > 0 => {}
        Ok(report) => panic!("{report}"),
        Err(why) => panic!("{why}"),
    }
}

/// Holds the lists of callers against decisions, over random rows or over those that a table has.
///
/// ```
/// use policy_core::contract::Stored;
/// use policy_runtime::SecurityContext;
/// use policy_runtime::entity::Pool;
/// use policy_runtime::testing::Oracle;
///
/// async fn hold<E>(pool: &Pool, alice: SecurityContext, bob: SecurityContext) -> Result<(), String>
/// where
///     E: Stored + serde::de::DeserializeOwned + Sync + 'static,
/// {
///     let oracle = Oracle::new([alice, bob]).rows(1_000).seed(7);
///     for report in [oracle.random::<E>(pool).await?, oracle.stored::<E>(pool).await?] {
///         assert!(report.disagreements.is_empty(), "{report}");
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Oracle {
    callers: Vec<SecurityContext>,
    rows: usize,
    seed: u64,
}

impl Oracle {
    /// The oracle of some callers, with 200 rows.
    pub fn new(callers: impl IntoIterator<Item = SecurityContext>) -> Self {
        Self { callers: callers.into_iter().collect(), rows: 200, seed: 1 }
    }

    /// How many random rows are made.
    #[must_use]
    pub const fn rows(mut self, rows: usize) -> Self {
        self.rows = rows;
        self
    }

    /// Other rows: the same seed makes the same.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Over random rows, in a temporary table: nothing that is stored is touched, and no table need be there.
    ///
    /// # Errors
    /// When the table's declaration does not hold together, or the database fails.
    pub async fn random<E: Stored + 'static>(&self, pool: &Pool) -> Result<FilterReport, String> {
        let mut asking = Asking::of::<E>()?;
        // A temporary table is in no schema of the program's.
        (asking.table.schema, asking.bare.schema) = (None, None);
        let conditions: Vec<Predicate> = self.questions(&asking).map(|question| question.condition()).collect();
        let made = fitting(&asking.table, &conditions, self.rows, self.seed);
        let rows: Vec<(String, &(dyn Record + Sync))> =
            made.iter().map(|row| (asking.id(row), row as &(dyn Record + Sync))).collect();
        let mut scratch = Scratch::on(pool).await?;
        scratch.load(&asking.table, &made).await?;
        let report = self.held(&asking, &rows, &mut scratch).await;
        scratch.clear(&asking.table).await?;
        report
    }

    /// Over the rows that the entity's table has, as they are. Nobody else may write meanwhile.
    ///
    /// # Errors
    /// When a row cannot be read as its type, or the database fails.
    pub async fn stored<E>(&self, pool: &Pool) -> Result<FilterReport, String>
    where
        E: Stored + DeserializeOwned + Sync + 'static,
    {
        let asking = Asking::of::<E>()?;
        let rows: Vec<E> = every(pool).await.map_err(|e| e.to_string())?;
        let rows: Vec<(String, &(dyn Record + Sync))> =
            rows.iter().map(|row| (row.entity_id().into_owned(), row as &(dyn Record + Sync))).collect();
        self.held(&asking, &rows, &mut Scratch::on(pool).await?).await
    }

    fn questions<'o>(&'o self, asking: &'o Asking) -> impl Iterator<Item = Question<'o>> {
        self.callers.iter().flat_map(move |cx| {
            let declared =
                asking.actions.iter().filter(|(action, _)| cx.policy().engine().registry().number(action).is_some());
            declared.map(move |(action, own)| Question {
                cx,
                action,
                table: if *own { &asking.table } else { &asking.bare },
            })
        })
    }

    async fn held(
        &self,
        asking: &Asking,
        rows: &[(String, &(dyn Record + Sync))],
        scratch: &mut Scratch,
    ) -> Result<FilterReport, String> {
        let mut report = FilterReport::default();
        for question in self.questions(asking) {
            let (filter, decided) = question.put(rows)?;
            report.cases += 1;
            report.rows += rows.len() as u64;
            report.allowed += decided.len() as u64;
            report.mixed += u64::from(!decided.is_empty() && decided.len() < rows.len());
            let (found, rest, exact) = match &filter {
                None => {
                    report.denials += 1;
                    (BTreeSet::new(), None, true)
                }
                Some(filter) => {
                    report.row_checks += u64::from(!filter.is_exact());
                    let found = scratch.ids(question.table, &filter.predicate, false).await?;
                    let rest = scratch.ids(question.table, &filter.predicate, true).await?;
                    (found, Some(rest), filter.is_exact())
                }
            };
            let agrees = if exact { found == decided } else { decided.is_subset(&found) };
            // What is neither true nor false would be in neither.
            let whole = rest.is_none_or(|rest| found.is_disjoint(&rest) && found.len() + rest.len() == rows.len());
            if !agrees || !whole {
                report.disagreements.push(question.told(filter.as_ref(), &found, &decided, rows));
            }
        }
        Ok(report)
    }
}

/// What is asked about an entity: its tables and actions.
struct Asking {
    table: Table,
    /// The table as if it had no tenants.
    bare: Table,
    /// Each with whether it is of the caller's own tenant alone.
    actions: Vec<(ActionName, bool)>,
}

impl Asking {
    fn of<E: Stored + 'static>() -> Result<Self, String> {
        let table = Table::clone(&*table_of::<E>().map_err(|e| e.to_string())?);
        let mut bare = table.clone();
        bare.tenant = None;
        let name = |id: &str| ActionName::new(E::NAMESPACE, id);
        let mut actions = Vec::new();
        for operation in Operation::ALL {
            actions.push((name(&Reach::Own.action::<E>(operation)), true));
            actions.push((name(&Reach::AllTenants.action::<E>(operation)), false));
        }
        let fields = E::FIELDS.iter().flat_map(|field| field.read.into_iter().chain(field.write));
        actions.extend(fields.map(|id| (name(id), false)));
        Ok(Self { table, bare, actions })
    }

    fn id(&self, row: &(dyn Record + Sync)) -> String {
        let id = self.table.id_column().map(|column| Slot::named(&column.attribute));
        id.map_or_else(String::new, |id| id_text(row.field(&id)).into_owned())
    }
}

/// One caller and one action.
struct Question<'o> {
    cx: &'o SecurityContext,
    action: &'o ActionName,
    table: &'o Table,
}

impl Question<'_> {
    fn condition(&self) -> Predicate {
        let engine = self.cx.policy().engine();
        let asked = ask(self.cx, self.action, |request| engine.filter(request, self.table));
        asked.map_or(Predicate::Const(false), |filter| filter.predicate)
    }

    /// The filter, if the action is not denied as a whole, and the rows that decisions allow: both at the same time of day.
    fn put(&self, rows: &[(String, &(dyn Record + Sync))]) -> Result<(Option<Filter>, BTreeSet<String>), String> {
        let engine = self.cx.policy().engine();
        let asked = ask(self.cx, self.action, |request| {
            let allowed = rows.iter().filter(|(id, row)| {
                let request = Request { resource: Some(Resource { id, attributes: *row }), ..*request };
                own(self.cx, self.table, *row) && matches!(engine.decide(&request), Decision::Allow(_))
            });
            Ok((engine.filter(request, self.table).ok(), allowed.map(|(id, _)| id.clone()).collect()))
        });
        asked.map_err(|error| error.to_string())
    }

    fn told(
        &self,
        filter: Option<&Filter>,
        found: &BTreeSet<String>,
        decided: &BTreeSet<String>,
        rows: &[(String, &(dyn Record + Sync))],
    ) -> String {
        let filter = filter.map_or_else(|| "denied as a whole".to_owned(), |filter| filter.predicate.to_string());
        let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).cloned().collect::<Vec<_>>().join(", ");
        let odd = found.symmetric_difference(decided).next();
        let odd = odd.and_then(|id| rows.iter().find(|(other, _)| other == id)).map(|(_, row)| self.shown(*row));
        format!(
            "`{}` as `{}`: {filter}\nonly the list has: {}\nonly decisions allow: {}\na row that differs: {}",
            self.action,
            self.cx.participant().id(),
            only(found, decided),
            only(decided, found),
            odd.unwrap_or_default(),
        )
    }

    /// A row as rules read it, without what nobody may be shown.
    fn shown(&self, row: &(dyn Record + Sync)) -> String {
        let columns = self.table.columns.iter().filter(|column| !column.secret);
        let shown =
            columns.map(|column| format!("{} {}", column.attribute, row.field(&Slot::named(&column.attribute))));
        shown.collect::<Vec<_>>().join(", ")
    }
}
