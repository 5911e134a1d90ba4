//! Which rows: the policies of all tiers as one condition, joined as decisions join them.
//!
//! In: a request whose resource is any row of a table. Out: a [`Filter`] that holds for a row exactly where
//! [`Engine::decide`] allows it, or says which policies need the row itself. Absent: SQL.

use std::collections::HashSet;
use std::sync::Arc;

use super::asked::Asked;
use super::set::Member;
use super::stack::{Sets, Snapshot};
use super::{Engine, explain};
use crate::decision::{Denial, Revision};
use crate::filter::partial::Partial;
use crate::filter::{Predicate, RowCheck, RowField, Test};
use crate::ir::Root;
use crate::ir::eval::Facts as _;
use crate::kind::Kind;
use crate::name::Tier;
use crate::policy::Effect;
use crate::registry::ActionEntry;
use crate::request::Request;
use crate::syntax::ast::CompareOp;
use crate::table::Table;
use crate::value::{Record as _, Slot};

/// What a participant may reach of a table with one operation.
///
/// ```
/// # use std::sync::Arc;
/// # use policy_core::context::{Context, Facts};
/// # use policy_core::contract::{field, record};
/// # use policy_core::decl::{ActionDecl, EntityDecl, ResourceDecl, RuleDecl};
/// # use policy_core::kind::{Described, Kind};
/// # use policy_core::pdp::Engine;
/// # use policy_core::registry::Registry;
/// # use policy_core::source::Place;
/// # use policy_core::table::{ColumnDecl, Table, TableDecl};
/// # use policy_core::value::Millis;
/// # use policy_core::{Participant, Request, Scope, Tier};
/// # fn photo() -> EntityDecl {
/// #     let text = |name: &str| field(name, name, Described::required(Kind::Text), false);
/// #     let fields = [text("id"), text("owner")];
/// #     EntityDecl { namespace: "com.example", name: "Photo", attributes: record("Photo", fields) }
/// # }
/// # const PLACE: Place = Place { file: "src/photos.rs", line: 1 };
/// # static FIND_ALL: ActionDecl = ActionDecl { package: "photos", namespace: "com.example", id: "Photo.findAll",
/// #     function: "photos::Photo::find_all", place: PLACE, was: &[], tier: Tier::Application, callers: &[Tier::Application],
/// #     organization: None, must_audit: false, participant: None, resource: ResourceDecl::Entity { entity: photo }, params: &[],
/// #     rules: &[RuleDecl { text: "entity.owner == participant.id", place: PLACE }], authenticated: false };
/// # static PHOTOS: TableDecl = TableDecl { entity: photo, name: "photos", id: "id", tenant: None, columns: &[
/// #     ColumnDecl { attribute: "id", column: "id" }, ColumnDecl { attribute: "owner", column: "owner" }] };
/// # let engine = Engine::new(Arc::new(Registry::of(&[&FIND_ALL], &[]).unwrap())).unwrap();
/// # let scope = Scope::application("acme", "photos").unwrap();
/// # engine.add_application(&scope).unwrap();
/// # let table = Table::new(&PHOTOS).unwrap();
/// # let alice = Participant::builder(scope.clone(), "alice").build();
/// # let facts = Facts::default();
/// # let request = Request { participant: &alice, action: engine.action("com.example.Photo.findAll").unwrap(),
/// #     scope: &scope, resource: None, context: Context { time: Millis(0), facts: &facts }, args: &[] };
/// let filter = engine.filter(&request, &table).unwrap();
/// assert_eq!(filter.predicate.to_string(), "entity.owner usable and entity.owner == 'alice'");
/// assert!(filter.is_exact());
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Filter {
    /// Holds for the rows that a decision allows, of the participant's own tenant. Where [`Filter::row_checks`] names
    /// policies it may hold for more, and each row must be put to [`Engine::decide`].
    pub predicate: Predicate,
    /// The revisions that were read, from System down.
    pub revisions: [Revision; 3],
}

impl Filter {
    /// Whether the predicate alone says which rows.
    pub fn is_exact(&self) -> bool {
        self.row_checks().is_empty()
    }

    /// The policies that need the row itself.
    pub fn row_checks(&self) -> Vec<&RowCheck> {
        self.predicate.row_checks()
    }
}

/// What one tier contributed to a filter.
///
/// ```
/// # use std::sync::Arc;
/// # use policy_core::context::{Context, Facts};
/// # use policy_core::contract::{field, record};
/// # use policy_core::decl::{ActionDecl, EntityDecl, ResourceDecl, RuleDecl};
/// # use policy_core::kind::{Described, Kind};
/// # use policy_core::pdp::Engine;
/// # use policy_core::registry::Registry;
/// # use policy_core::source::Place;
/// # use policy_core::table::{ColumnDecl, Table, TableDecl};
/// # use policy_core::value::Millis;
/// # use policy_core::{Participant, Request, Scope, Tier};
/// # fn photo() -> EntityDecl {
/// #     let text = |name: &str| field(name, name, Described::required(Kind::Text), false);
/// #     let fields = [text("id"), text("owner")];
/// #     EntityDecl { namespace: "com.example", name: "Photo", attributes: record("Photo", fields) }
/// # }
/// # const PLACE: Place = Place { file: "src/photos.rs", line: 1 };
/// # static FIND_ALL: ActionDecl = ActionDecl { package: "photos", namespace: "com.example", id: "Photo.findAll",
/// #     function: "photos::Photo::find_all", place: PLACE, was: &[], tier: Tier::Application, callers: &[Tier::Application],
/// #     organization: None, must_audit: false, participant: None, resource: ResourceDecl::Entity { entity: photo }, params: &[],
/// #     rules: &[RuleDecl { text: "entity.owner == participant.id", place: PLACE }], authenticated: false };
/// # static PHOTOS: TableDecl = TableDecl { entity: photo, name: "photos", id: "id", tenant: None, columns: &[
/// #     ColumnDecl { attribute: "id", column: "id" }, ColumnDecl { attribute: "owner", column: "owner" }] };
/// # let engine = Engine::new(Arc::new(Registry::of(&[&FIND_ALL], &[]).unwrap())).unwrap();
/// # let scope = Scope::application("acme", "photos").unwrap();
/// # engine.add_application(&scope).unwrap();
/// # let table = Table::new(&PHOTOS).unwrap();
/// # let alice = Participant::builder(scope.clone(), "alice").build();
/// # let facts = Facts::default();
/// # let request = Request { participant: &alice, action: engine.action("com.example.Photo.findAll").unwrap(),
/// #     scope: &scope, resource: None, context: Context { time: Millis(0), facts: &facts }, args: &[] };
/// let tiers = engine.explain_filter(&request, &table).unwrap();
/// let said: Vec<String> = tiers.iter().map(|tier| tier.predicate.to_string()).collect();
/// assert_eq!(said, ["entity.owner usable", "always", "always", "entity.owner == 'alice'"]);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TierFilter {
    /// The tier; `None` for what holds beside the policies: the tenant, and values that their kinds cannot hold.
    pub tier: Option<Tier>,
    /// What it asks of a row.
    pub predicate: Predicate,
    /// The policies that it was made of, those that never apply to this participant left out.
    pub policies: Vec<Contribution>,
}

/// What one policy asks of a row.
///
/// ```
/// # use std::sync::Arc;
/// # use policy_core::context::{Context, Facts};
/// # use policy_core::contract::{field, record};
/// # use policy_core::decl::{ActionDecl, EntityDecl, ResourceDecl, RuleDecl};
/// # use policy_core::kind::{Described, Kind};
/// # use policy_core::pdp::Engine;
/// # use policy_core::registry::Registry;
/// # use policy_core::source::Place;
/// # use policy_core::table::{ColumnDecl, Table, TableDecl};
/// # use policy_core::value::Millis;
/// # use policy_core::{Participant, Request, Scope, Tier};
/// # fn photo() -> EntityDecl {
/// #     let text = |name: &str| field(name, name, Described::required(Kind::Text), false);
/// #     let fields = [text("id"), text("owner")];
/// #     EntityDecl { namespace: "com.example", name: "Photo", attributes: record("Photo", fields) }
/// # }
/// # const PLACE: Place = Place { file: "src/photos.rs", line: 1 };
/// # static FIND_ALL: ActionDecl = ActionDecl { package: "photos", namespace: "com.example", id: "Photo.findAll",
/// #     function: "photos::Photo::find_all", place: PLACE, was: &[], tier: Tier::Application, callers: &[Tier::Application],
/// #     organization: None, must_audit: false, participant: None, resource: ResourceDecl::Entity { entity: photo }, params: &[],
/// #     rules: &[RuleDecl { text: "entity.owner == participant.id", place: PLACE }], authenticated: false };
/// # static PHOTOS: TableDecl = TableDecl { entity: photo, name: "photos", id: "id", tenant: None, columns: &[
/// #     ColumnDecl { attribute: "id", column: "id" }, ColumnDecl { attribute: "owner", column: "owner" }] };
/// # let engine = Engine::new(Arc::new(Registry::of(&[&FIND_ALL], &[]).unwrap())).unwrap();
/// # let scope = Scope::application("acme", "photos").unwrap();
/// # engine.add_application(&scope).unwrap();
/// # let table = Table::new(&PHOTOS).unwrap();
/// # let alice = Participant::builder(scope.clone(), "alice").build();
/// # let facts = Facts::default();
/// # let request = Request { participant: &alice, action: engine.action("com.example.Photo.findAll").unwrap(),
/// #     scope: &scope, resource: None, context: Context { time: Millis(0), facts: &facts }, args: &[] };
/// let tiers = engine.explain_filter(&request, &table).unwrap();
/// let own = &tiers.last().unwrap().policies[0];
/// assert_eq!(own.predicate.to_string(), "entity.owner == 'alice'");
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Contribution {
    /// The policy's id.
    pub id: Arc<str>,
    /// What it does.
    pub effect: Effect,
    /// For a permit where it is satisfied, for a forbid where it is not.
    pub predicate: Predicate,
}

impl Engine {
    /// The rows of a table for which a request is allowed; the request's own resource is not looked at.
    ///
    /// # Errors
    /// What no row can change: the participant's scope never reaches the resource's, the action or the scope is unknown, a
    /// value of the participant or the context is unusable.
    pub fn filter(&self, request: &Request<'_>, table: &Table) -> Result<Filter, Box<Denial>> {
        self.filter_in(&self.current.load(), request, table)
    }

    pub(super) fn filter_in(
        &self,
        snapshot: &Snapshot,
        request: &Request<'_>,
        table: &Table,
    ) -> Result<Filter, Box<Denial>> {
        let mut all = Vec::new();
        let revisions = self.rows(snapshot, request, table, &mut |part: TierFilter| all.push(part.predicate), false)?;
        Ok(Filter { predicate: Predicate::all(all), revisions })
    }

    /// What each tier contributes to [`Engine::filter`], from System down.
    ///
    /// # Errors
    /// As [`Engine::filter`].
    pub fn explain_filter(&self, request: &Request<'_>, table: &Table) -> Result<Vec<TierFilter>, Box<Denial>> {
        self.explain_filter_in(&self.current.load(), request, table)
    }

    pub(super) fn explain_filter_in(
        &self,
        snapshot: &Snapshot,
        request: &Request<'_>,
        table: &Table,
    ) -> Result<Vec<TierFilter>, Box<Denial>> {
        let mut out = Vec::new();
        self.rows(snapshot, request, table, &mut |part| out.push(part), true)?;
        Ok(out)
    }

    fn rows(
        &self,
        snapshot: &Snapshot,
        request: &Request<'_>,
        table: &Table,
        visit: &mut dyn FnMut(TierFilter),
        told: bool,
    ) -> Result<[Revision; 3], Box<Denial>> {
        let entry = self.registry.action(request.action).ok_or_else(|| Box::new(Denial::unknown_action()))?;
        rows_by(&snapshot.sets(entry, request)?, entry, request, table, visit, told)
    }
}

/// What these sets ask of a row, tier by tier.
pub(super) fn rows_by(
    sets: &Sets<'_>,
    entry: &ActionEntry,
    request: &Request<'_>,
    table: &Table,
    visit: &mut dyn FnMut(TierFilter),
    told: bool,
) -> Result<[Revision; 3], Box<Denial>> {
    let request = Request { resource: None, ..*request };
    let asked = Asked::new(entry, &request, sets.stack);
    let mut beside = vec![tenant(table, &request)];
    let mut usable = HashSet::new();
    for check in sets.tiers().flat_map(|tier| sets.parts(tier)).flat_map(|set| set.checks(request.action)) {
        if check.path().root != Root::Resource {
            if check.look(&asked).is_err() {
                return Err(Box::new(explain::denial(sets, &asked)));
            }
        } else if usable.insert(check.path()) {
            beside.push(self::usable(table, &check.path().slots));
        }
    }
    visit(TierFilter { tier: None, predicate: Predicate::all(beside), policies: Vec::new() });
    for tier in sets.tiers() {
        let mut policies = Vec::new();
        let predicate = of_tier(sets, tier, &asked, table, &mut |member, predicate| {
            let passes = match member.policy.effect {
                Effect::Permit => predicate.is_never(),
                Effect::Forbid => predicate.is_always(),
            };
            if told && !passes {
                policies.push(Contribution {
                    id: member.policy.id.clone(),
                    effect: member.policy.effect,
                    predicate: predicate.clone(),
                });
            }
        });
        visit(TierFilter { tier: Some(tier), predicate, policies });
    }
    Ok(sets.stack.revisions)
}

/// Where no forbid of a tier is satisfied or errs, and of each set that must permit one permit is satisfied.
fn of_tier(
    sets: &Sets<'_>,
    tier: Tier,
    asked: &Asked<'_>,
    table: &Table,
    tell: &mut dyn FnMut(&Member, &Predicate),
) -> Predicate {
    let mut all = Vec::new();
    if let Some(own) = sets.stack.set(tier) {
        own.rows(asked, &mut |member| {
            if member.policy.effect == Effect::Forbid {
                let spared = spared(member, asked, table);
                tell(member, &spared);
                all.push(spared);
            }
        });
    }
    if all.iter().any(Predicate::is_never) {
        return Predicate::Const(false);
    }
    let mut permitting = 0;
    for set in sets.permitting(tier) {
        permitting += 1;
        let mut any = Vec::new();
        set.rows(asked, &mut |member| {
            if member.policy.effect == Effect::Permit {
                let satisfied = satisfied(member, asked, table);
                tell(member, &satisfied);
                any.push(satisfied);
            }
        });
        all.push(Predicate::any(any));
    }
    // An application's own set only forbids: without the program's there is no permit.
    if permitting == 0 { Predicate::Const(false) } else { Predicate::all(all) }
}

const CEDAR: &str = "only Cedar itself decides it";

/// Where a policy is satisfied.
fn satisfied(member: &Member, asked: &Asked<'_>, table: &Table) -> Predicate {
    let (policy, env) = (&member.policy, asked.env());
    let mut partial = Partial::new(env, table, &policy.id);
    if !policy.principal.admits(env.principal, env.principal_parents) {
        return Predicate::Const(false);
    }
    let scope = partial.scope(&policy.resource);
    if scope.is_never() {
        return scope;
    }
    let condition = match &policy.condition {
        Some(condition) => partial.when(condition, true),
        None => partial.row(CEDAR),
    };
    Predicate::all([scope, condition])
}

/// Where a policy neither is satisfied nor errs.
fn spared(member: &Member, asked: &Asked<'_>, table: &Table) -> Predicate {
    let (policy, env) = (&member.policy, asked.env());
    let mut partial = Partial::new(env, table, &policy.id);
    if !policy.principal.admits(env.principal, env.principal_parents) {
        return Predicate::Const(true);
    }
    // Which row it is, is always known.
    let elsewhere = partial.scope(&policy.resource).opposite();
    if elsewhere.is_always() {
        return elsewhere;
    }
    let condition = match &policy.condition {
        Some(condition) => partial.when(condition, false),
        None => partial.row(CEDAR),
    };
    Predicate::any([elsewhere, condition])
}

/// The rows of the participant's own tenant; none, when it has no tenant and the table keeps tenants apart.
fn tenant(table: &Table, request: &Request<'_>) -> Predicate {
    let Some(tenant) = &table.tenant else { return Predicate::Const(true) };
    // What the caller says of itself is the participant's, whatever the service declares.
    let own = request.participant.field(&Slot::named(&tenant.participant));
    match (own.to_value(), table.columns.get(tenant.column)) {
        (Some(value @ crate::value::Value::Text(_)), Some(column)) => {
            let left = RowField::of(tenant.column, column);
            let right = crate::filter::Operand::Value(value);
            let own = Test::Compare { op: CompareOp::Eq, left: left.clone(), right }.into();
            let there = left.nullable.then_some(Predicate::Test(Test::Present { field: left, wanted: true }));
            Predicate::all(there.into_iter().chain([own]))
        }
        _ => Predicate::Const(false),
    }
}

/// Where an attribute that some policy reads is what it was declared to be.
fn usable(table: &Table, slots: &[Slot]) -> Predicate {
    let Some((first, rest)) = slots.split_first() else { return Predicate::Const(true) };
    let Some((at, column)) = table.columns.iter().enumerate().find(|(_, c)| *c.attribute == *first.name) else {
        return Predicate::Const(true);
    };
    let mut field = RowField::of(at, column);
    for slot in rest {
        let Kind::Record(record) = &field.kind else { return Predicate::Const(true) };
        let Some((_, inner)) = record.field(&slot.name).map(|(at, inner)| (at, inner.clone())) else {
            return Predicate::Const(true);
        };
        field.inner.push(slot.name.clone());
        field.nullable |= inner.ty.optional;
        field.secret |= inner.secret;
        field.kind = inner.ty.kind;
    }
    Test::Usable { field }.into()
}
