//! One caller, one operation: what is asked of the decision point, and how refusals are told.
//!
//! In: a caller and the name of an action. Out: conditions on rows, decisions on single rows, audit records. Absent: SQL that
//! reads or writes.

use policy_core::contract::Stored;
use policy_core::decision::Denial;
use policy_core::filter::sql::Render;
use policy_core::filter::{Predicate, Test};
use policy_core::kind::Kind;
use policy_core::pdp::{At, Moment};
use policy_core::table::{Operation, Table};
use policy_core::value::Millis;
use policy_core::{ActionId, ActionName, Context, Decision, Facts, Request, Resource, Scope};
use sea_query::Condition;

use super::error::EntityError;
use crate::code::Code;
use crate::denied::Denied;
use crate::guard::{self, Opened, resource_scope};
use crate::security::SecurityContext;

/// How far an operation reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The caller's own tenant, where the entity has tenants.
    Own,
    /// All tenants.
    AllTenants,
    /// These tenants.
    Tenants(Vec<String>),
}

impl Reach {
    /// The id of the action of an operation: `Photo.findAll`, `Photo.tenantsFindAll`.
    pub(crate) fn action<T: Stored>(&self, operation: Operation) -> String {
        let id = operation.id();
        match self {
            Self::Own => format!("{}.{id}", T::NAME),
            Self::AllTenants | Self::Tenants(_) => {
                let mut chars = id.chars();
                let first = chars.next().map(|c| c.to_ascii_uppercase());
                format!("{}.tenants{}", T::NAME, first.into_iter().chain(chars).collect::<String>())
            }
        }
    }
}

/// Which rows an action is open for.
#[derive(Debug)]
pub(super) struct Access {
    pub(super) action: ActionId,
    pub(super) predicate: Predicate,
    /// Whether the predicate alone says which rows.
    pub(super) exact: bool,
}

/// A caller in the middle of an operation, all of which is decided at one time by the sets of one moment.
pub(super) struct Caller {
    pub(super) cx: SecurityContext,
    scope: Scope,
    facts: Facts,
    pub(super) time: Millis,
    moment: Moment,
}

impl Caller {
    /// A caller of an entity's operation, which is counted where its action has a rate.
    pub(super) fn of<T: Stored>(cx: &SecurityContext, id: &str) -> Result<Self, EntityError> {
        let time = cx.policy().clock().now();
        let engine = cx.policy().engine();
        let named = ActionName::new(T::NAMESPACE, id).to_string();
        let found = engine.action(&named).and_then(|action| Some((action, engine.registry().action(action)?.tier)));
        let Some((action, tier)) = found else { return Err(Self::undeclared(cx, &named).into()) };
        let Some(scope) = resource_scope(tier, cx) else {
            return Err(guard::refuse(cx, id, Code::AccessDenied, "the caller has no organization").into());
        };
        let facts = guard::counted(cx, action, id)?.into_owned();
        Ok(Self { cx: cx.clone(), scope: scope.into_owned(), facts, time, moment: engine.moment() })
    }

    fn undeclared(cx: &SecurityContext, name: &str) -> Denied {
        guard::refuse(cx, name, Code::AccessDenied, "the operation has no policy, and what has none is denied")
    }

    /// The action of an id in the entity's namespace.
    pub(super) fn action<T: Stored>(&self, id: &str) -> Result<ActionId, Denied> {
        let name = ActionName::new(T::NAMESPACE, id).to_string();
        self.cx.policy().engine().action(&name).ok_or_else(|| Self::undeclared(&self.cx, &name))
    }

    /// What decides about this operation.
    fn engine(&self) -> At<'_> {
        self.moment.of(self.cx.policy().engine())
    }

    fn request<'r>(&'r self, action: ActionId, resource: Option<Resource<'r>>) -> Request<'r> {
        Request {
            participant: self.cx.participant(),
            action,
            scope: &self.scope,
            resource,
            context: Context { time: self.time, facts: &self.facts },
            args: &[],
        }
    }

    /// The rows for which an action is open.
    pub(super) fn access<T: Stored>(&self, id: &str, table: &Table) -> Result<Access, EntityError> {
        let action = self.action::<T>(id)?;
        let filter = self.engine().filter(&self.request(action, None), table);
        let filter = filter.map_err(|denial| self.refused(action, id, *denial))?;
        let exact = filter.is_exact();
        Ok(Access { action, predicate: filter.predicate, exact })
    }

    /// Lets drafts in shadow count a list.
    pub(super) fn cast_shadow<T: Stored>(&self, id: &str) {
        if let Ok(action) = self.action::<T>(id) {
            self.cx.policy().cast_shadow_on_rows(&self.request(action, None));
        }
    }

    /// Decides about one row.
    pub(super) fn decide<T: Stored + Sync>(&self, action: ActionId, entity: &T) -> Result<(), Box<Denial>> {
        let id = entity.entity_id();
        let resource = Resource { id: &id, attributes: entity };
        match self.engine().decide(&self.request(action, Some(resource))) {
            Decision::Allow(_) => Ok(()),
            Decision::Deny(denial) => Err(denial),
        }
    }

    /// Decides about one row, by the action's id; a denial is logged and kept for whoever can explain it.
    pub(super) fn require<T: Stored + Sync>(&self, id: &str, entity: &T) -> Result<(), EntityError> {
        let action = self.action::<T>(id)?;
        let row = entity.entity_id();
        let request = self.request(action, Some(Resource { id: &row, attributes: entity }));
        let decision = self.engine().decide(&request);
        self.cx.policy().cast_shadow(&request, &decision);
        match decision {
            Decision::Allow(_) => Ok(()),
            Decision::Deny(denial) => Err(guard::denied(&self.cx, &request, id, *denial).into()),
        }
    }

    fn refused(&self, action: ActionId, id: &str, denial: Denial) -> EntityError {
        guard::denied(&self.cx, &self.request(action, None), id, denial).into()
    }

    /// A refusal that no policy made by itself.
    pub(super) fn refuse(&self, id: &str, why: &str) -> EntityError {
        guard::refuse(&self.cx, id, Code::AccessDenied, why).into()
    }

    /// Writes the opening record of an operation that needs one; of a list, with its filter.
    pub(super) async fn begin<T: Stored>(&self, id: &str, filter: Option<&Predicate>) -> Result<Opened, EntityError> {
        let action = self.action::<T>(id)?;
        let name = ActionName::new(T::NAMESPACE, id).to_string();
        let (request, revisions) = (self.request(action, None), self.engine().revisions(&self.scope));
        let tiers = || {
            let table = Table::new(T::TABLE).ok();
            table.and_then(|table| self.engine().explain_filter(&request, &table).ok()).unwrap_or_default()
        };
        let permit = guard::permit(&self.cx, &request, &revisions, &name, filter, tiers);
        Ok(permit.begin().await?)
    }

    /// Which of an entity's fields the caller may read in every row, in none, or in some.
    pub(super) fn fields<T: Stored>(&self, table: &Table) -> Result<Vec<FieldAccess>, EntityError> {
        let mut out = Vec::new();
        for declared in T::FIELDS {
            let read = match declared.read {
                None => Reading::Always,
                Some(id) => {
                    let action = self.action::<T>(id)?;
                    let tiers = self.engine().explain_filter(&self.request(action, None), table);
                    let tiers = tiers.map_err(|denial| self.refused(action, id, *denial))?;
                    // What holds beside the policies is of rows, and asked where rows are.
                    let mut said = tiers.iter().filter(|part| part.tier.is_some()).map(|part| &part.predicate);
                    if said.clone().all(Predicate::is_always) {
                        Reading::Always
                    } else if said.any(Predicate::is_never) {
                        Reading::Never
                    } else {
                        Reading::OfRow(action)
                    }
                }
            };
            out.push(FieldAccess { attribute: declared.attribute, read, write: declared.write });
        }
        Ok(out)
    }
}

/// What a caller may do with a field that has rules.
#[derive(Debug)]
pub(super) struct FieldAccess {
    pub(super) attribute: &'static str,
    pub(super) read: Reading,
    /// The id of the action of changing it.
    pub(super) write: Option<&'static str>,
}

/// In which rows a field may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    Always,
    Never,
    /// Where this action is allowed.
    OfRow(ActionId),
}

/// The rows of some tenants.
pub(super) fn tenants(table: &Table, reach: &Reach) -> Predicate {
    let Reach::Tenants(list) = reach else { return Predicate::Const(true) };
    // Rows that have no tenant are of none of them.
    let Some(tenant) = &table.tenant else { return Predicate::Const(false) };
    let Some(column) = table.columns.get(tenant.column) else { return Predicate::Const(false) };
    if list.is_empty() {
        return Predicate::Const(false);
    }
    let field = policy_core::filter::RowField::of(tenant.column, column);
    let there = field.nullable.then(|| Predicate::from(Test::Present { field: field.clone(), wanted: true }));
    let values = list.iter().map(|text| policy_core::value::Value::text(text)).collect();
    Predicate::all(there.into_iter().chain([Predicate::from(Test::OneOf { field, values, wanted: true })]))
}

/// Whether rows can be ordered by a kind.
pub(super) const fn sortable(kind: &Kind) -> bool {
    kind.is_scalar()
}

/// Renders all of some predicates.
pub(super) fn rendered(render: &Render<'_>, all: impl IntoIterator<Item = Predicate>) -> Condition {
    render.condition(&Predicate::all(all))
}
