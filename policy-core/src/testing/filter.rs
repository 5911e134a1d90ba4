//! One filtered query against as many single decisions as there are rows.
//!
//! In: databases ([`Rows`]), a number of cases and a seed. Out: a [`FilterReport`]: a case is one participant, one operation and
//! the policies of all tiers; the rows that the query finds must be those that a decision about each row allows. Absent: any
//! database, and any way to let a disagreement pass.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use super::random::Random;
use super::rows::{self, Cell, Row};
use super::sets::{Asking, Sets, Written, application, own, rule, staff};
use super::shrink;
use super::world::World;
use crate::cedar;
use crate::check;
use crate::context::Context;
use crate::decl::{ActionDecl, ResourceDecl, RuleDecl};
use crate::filter::Predicate;
use crate::kind::{Described, Field, Kind};
use crate::name::{Scope, Tier};
use crate::pdp::{Engine, Filter};
use crate::registry::Registry;
use crate::request::{ActionId, Request, Resource};
use crate::source::Place;
use crate::table::{Operation, Table};
use crate::value::Slot;

/// A database that rows are put into and found in.
pub trait Rows {
    /// What it is called in a report.
    fn name(&self) -> &'static str;

    /// Makes the table anew and puts the rows into it.
    ///
    /// # Errors
    /// What the database says.
    fn load(&mut self, table: &Table, rows: &[Row]) -> Result<(), String>;

    /// The ids of the rows for which the condition of the predicate holds, or for which `not` of it does.
    ///
    /// # Errors
    /// What the database says.
    fn ids(&mut self, table: &Table, predicate: &Predicate, negated: bool) -> Result<BTreeSet<String>, String>;
}

/// What a run found.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct FilterReport {
    /// Combinations of policies, participant, operation and data.
    pub cases: u64,
    /// Rows that were decided one by one, and compared with each database.
    pub rows: u64,
    /// Of these rows, those that a decision allows.
    pub allowed: u64,
    /// Cases whose filter lets some rows through and not others.
    pub mixed: u64,
    /// Cases whose filter leaves a check of each row.
    pub row_checks: u64,
    /// Cases that no row could change.
    pub denials: u64,
    /// What differed, made small.
    pub disagreements: Vec<String>,
}

impl fmt::Display for FilterReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cases, rows, allowed, mixed, row_checks, denials, disagreements } = self;
        writeln!(f, "cases {cases}, rows compared {rows}, of them allowed {allowed}")?;
        writeln!(
            f,
            "cases with some rows {mixed}, with a check of each row {row_checks}, denied as a whole {denials}"
        )?;
        write!(f, "disagreements {}", disagreements.len())?;
        disagreements.iter().try_for_each(|d| write!(f, "\n\n{d}"))
    }
}

/// Rows of a table that is reused.
const ROWS: usize = 24;
/// Sets of policies that are put to one table.
const SETS: usize = 24;
/// Participants that ask under one set of policies.
const ASKING: usize = 3;

/// Compares filters with decisions.
pub fn filters(cases: u64, seed: u64, databases: &mut [Box<dyn Rows>]) -> FilterReport {
    let mut report = FilterReport::default();
    let mut seeds = Random::new(seed);
    while report.cases < cases && report.disagreements.len() < 5 {
        let chance = seeds.next();
        if let Err(why) = batch(cases, chance, databases, &mut report) {
            report.disagreements.push(format!("seed {chance}: {why}"));
        }
    }
    report
}

fn batch(cases: u64, chance: u64, databases: &mut [Box<dyn Rows>], report: &mut FilterReport) -> Result<(), String> {
    let r = &mut Random::new(chance);
    let bench = Bench::random(r)?;
    for database in &mut *databases {
        database.load(&bench.table, &bench.rows).map_err(|e| format!("{}: {e}", database.name()))?;
    }
    for _ in 0..SETS {
        let sets = Sets::random(r, &bench.world, bench.engine.registry());
        bench.put(&sets)?;
        for _ in 0..ASKING {
            let asking = Asking::random(r);
            for operation in Operation::ALL {
                if report.cases == cases {
                    return Ok(());
                }
                let Some(disagreement) = bench.case(&asking, operation, databases, report) else { continue };
                let small = bench.smaller(sets.clone(), &asking, operation, databases);
                report.disagreements.push(format!("seed {chance}, {operation}: {disagreement}\n{small}"));
                if report.disagreements.len() >= 5 {
                    return Ok(());
                }
                bench.put(&sets)?;
            }
        }
    }
    Ok(())
}

/// The rows that each database found.
pub(super) type Found = Vec<(&'static str, BTreeSet<String>)>;

/// A program, its table and rows.
pub(super) struct Bench {
    engine: Engine,
    pub(super) table: Table,
    pub(super) rows: Vec<Row>,
    world: World,
    scope: Scope,
}

const STAFF: &str = "com::example::Staff";

/// Declarations stay as long as the program; a test may make many.
fn kept<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn declaration(operation: Operation, rules: Vec<String>) -> &'static ActionDecl {
    let place = Place { file: "random.rs", line: 1 };
    let rules = rules.into_iter().map(|text| RuleDecl { text: kept(text), place }).collect::<Vec<_>>();
    kept(ActionDecl {
        package: "photos",
        namespace: "com.example",
        id: kept(format!("Photo.{operation}")),
        function: kept(format!("photos::Photo::{operation}")),
        place,
        was: &[],
        tier: Tier::Application,
        callers: &[Tier::System, Tier::Organization, Tier::Application],
        organization: None,
        must_audit: false,
        participant: Some(("Staff", staff)),
        resource: ResourceDecl::Entity { entity: rows::entity },
        params: &[],
        authenticated: rules.is_empty(),
        rules: kept(rules),
    })
}

fn fields(ty: &Described) -> Vec<Field> {
    if let Kind::Record(record) = &ty.kind { record.fields.clone() } else { Vec::new() }
}

impl Bench {
    fn random(r: &mut Random) -> Result<Self, String> {
        rows::shape(r.next());
        let table = rows::table(r.percent(50))?;
        let rows = rows::rows(r, &table, ROWS);
        let open: Vec<_> = Operation::ALL.into_iter().map(|o| declaration(o, Vec::new())).collect();
        let registry = Registry::of(&open, &[]).map_err(|e| e.to_string())?;
        let resource = fields(&rows::entity().attributes);
        let world = World::of_row(r, registry.model().clone(), STAFF, own(), resource);
        // One rule of the program for each operation, which all must hold together with those of the tiers.
        let ruled: Vec<_> = Operation::ALL
            .into_iter()
            .map(|operation| {
                let count = if operation == Operation::FindAll { 0 } else { 1 + usize::from(r.percent(25)) };
                declaration(
                    operation,
                    (0..count).filter_map(|_| rule(r, &world, &registry).map(|(text, _)| text)).collect(),
                )
            })
            .collect();
        let registry = Registry::of(&ruled, &[]).map_err(|e| e.to_string())?;
        let engine = Engine::new(Arc::new(registry)).map_err(|e| e.to_string())?;
        let scope = application();
        engine.add_application(&scope).map_err(|e| e.to_string())?;
        Ok(Self { engine, table, rows, world, scope })
    }

    /// A program without rules of its own, and given rows.
    pub(super) fn of(rows: Vec<Row>) -> Result<Self, String> {
        rows::shape(0);
        let open: Vec<_> = Operation::ALL.into_iter().map(|o| declaration(o, Vec::new())).collect();
        let registry = Registry::of(&open, &[]).map_err(|e| e.to_string())?;
        let resource = fields(&rows::entity().attributes);
        let world = World::of_row(&mut Random::new(0), registry.model().clone(), STAFF, own(), resource);
        let engine = Engine::new(Arc::new(registry)).map_err(|e| e.to_string())?;
        let scope = application();
        engine.add_application(&scope).map_err(|e| e.to_string())?;
        Ok(Self { engine, table: rows::table(false)?, rows, world, scope })
    }

    /// What rules of an operation may read.
    pub(super) fn env(&self, operation: Operation) -> Option<&check::RuleEnv> {
        self.action(operation).and_then(|id| self.engine.registry().action(id)).map(|entry| &entry.env)
    }

    /// The schema of the program.
    pub(super) fn schema(&self) -> &cedar::CedarSchema {
        self.engine.registry().schema()
    }

    /// The rows that decisions allow, and those that each database finds by the condition alone.
    pub(super) fn found(
        &self,
        asking: &Asking,
        operation: Operation,
        databases: &mut [Box<dyn Rows>],
    ) -> Result<(BTreeSet<String>, Found), String> {
        let action = self.action(operation).ok_or("there is no such action")?;
        let filter = self.engine.filter(&self.request(asking, action, None), &self.table).map_err(|d| d.message)?;
        if let Some(check) = filter.row_checks().first() {
            return Err(check.to_string());
        }
        let found = databases
            .iter_mut()
            .map(|database| database.ids(&self.table, &filter.predicate, false).map(|found| (database.name(), found)));
        Ok((self.decided(asking, action), found.collect::<Result<_, _>>()?))
    }

    pub(super) fn put(&self, sets: &Sets) -> Result<(), String> {
        let scopes = [Scope::System, Scope::organization("acme").map_err(|e| e.to_string())?, self.scope.clone()];
        for (scope, written) in scopes.iter().zip(&sets.0) {
            let mut members = Vec::new();
            for one in written {
                members.push(one.unchecked(self.engine.registry())?);
            }
            if !self.engine.put(scope, members) {
                return Err(format!("{scope} cannot have a set"));
            }
        }
        Ok(())
    }

    fn request<'a>(&'a self, asking: &'a Asking, action: ActionId, row: Option<&'a Row>) -> Request<'a> {
        Request {
            participant: &asking.participant,
            action,
            scope: &self.scope,
            resource: row.map(|row| Resource { id: row.id(), attributes: row }),
            context: Context { time: asking.time, facts: &asking.facts },
            args: &[],
        }
    }

    /// The rows that single decisions allow.
    fn decided(&self, asking: &Asking, action: ActionId) -> BTreeSet<String> {
        let own = self.table.tenant.as_ref().map(|tenant| {
            let slot = Slot::named(&tenant.participant);
            crate::value::Record::field(&asking.participant, &slot).to_value()
        });
        let allowed = self.rows.iter().filter(|row| {
            let own = match &own {
                None => true,
                Some(None) => false,
                Some(Some(own)) => *row.cell("tenantId") == Cell::Value(own.clone()),
            };
            own && self.engine.decide(&self.request(asking, action, Some(row))).is_allowed()
        });
        allowed.map(|row| row.id().to_owned()).collect()
    }

    fn action(&self, operation: Operation) -> Option<ActionId> {
        self.engine.action(&format!("com.example.Photo.{operation}"))
    }

    /// What is wrong with a case, if anything is.
    fn case(
        &self,
        asking: &Asking,
        operation: Operation,
        databases: &mut [Box<dyn Rows>],
        report: &mut FilterReport,
    ) -> Option<String> {
        let Some(action) = self.action(operation) else { return Some("there is no such action".to_owned()) };
        let decided = self.decided(asking, action);
        report.cases += 1;
        report.rows += self.rows.len() as u64;
        report.allowed += decided.len() as u64;
        report.mixed += u64::from(!decided.is_empty() && decided.len() < self.rows.len());
        match self.engine.filter(&self.request(asking, action, None), &self.table) {
            Err(denial) => {
                report.denials += 1;
                (!decided.is_empty()).then(|| format!("denied as a whole: {}\ndecided: {decided:?}", denial.message))
            }
            Ok(filter) => {
                report.row_checks += u64::from(!filter.is_exact());
                // Every so often the opposite is asked too: what is neither true nor false would be in neither.
                let both = report.cases.is_multiple_of(4);
                databases.iter_mut().find_map(|database| self.differs(&decided, &filter, both, &mut **database))
            }
        }
    }

    fn differs(
        &self,
        decided: &BTreeSet<String>,
        filter: &Filter,
        both: bool,
        database: &mut dyn Rows,
    ) -> Option<String> {
        let name = database.name();
        let tell = |what: String| format!("{name}: {what}\nfilter: {}", filter.predicate);
        let found = match database.ids(&self.table, &filter.predicate, false) {
            Ok(found) => found,
            Err(why) => return Some(tell(why)),
        };
        if both {
            let opposite = match database.ids(&self.table, &filter.predicate, true) {
                Ok(opposite) => opposite,
                Err(why) => return Some(tell(why)),
            };
            if !found.is_disjoint(&opposite) || found.len() + opposite.len() != self.rows.len() {
                return Some(tell(format!("found {found:?}, and by the opposite {opposite:?}")));
            }
        }
        let fits = if filter.is_exact() { found == *decided } else { decided.is_subset(&found) };
        if fits {
            return None;
        }
        let odd: Vec<&String> = found.symmetric_difference(decided).collect();
        let first = odd.first().and_then(|id| self.rows.iter().find(|row| row.id() == **id));
        Some(tell(format!(
            "found {found:?}\ndecided {decided:?}\na row that differs: {}",
            first.map(shown).unwrap_or_default()
        )))
    }

    /// Leaves out policies, and parts of their conditions, as long as something differs.
    fn smaller(
        &self,
        mut sets: Sets,
        asking: &Asking,
        operation: Operation,
        databases: &mut [Box<dyn Rows>],
    ) -> String {
        let databases = std::cell::RefCell::new(databases);
        let fails = |sets: &Sets| {
            self.put(sets).is_ok()
                && self
                    .case(
                        asking,
                        operation,
                        &mut databases.borrow_mut(),
                        &mut FilterReport { cases: 3, ..FilterReport::default() },
                    )
                    .is_some()
        };
        for tier in 0..sets.0.len() {
            let mut at = 0;
            while let Some(count) = sets.0.get(tier).map(Vec::len)
                && at < count
            {
                let mut fewer = sets.clone();
                if let Some(policies) = fewer.0.get_mut(tier) {
                    policies.remove(at);
                }
                if fails(&fewer) {
                    sets = fewer;
                    continue;
                }
                sets = shrunk(sets, tier, at, &fails);
                at += 1;
            }
        }
        // Writing to a `String` cannot fail.
        let mut out = String::from("smallest that differs:");
        for (tier, policies) in Tier::ALL.into_iter().zip(&sets.0) {
            for one in policies {
                let text = cedar::render(&one.policy).unwrap_or_else(|_| format!("{:?}", one.policy.condition));
                let _ = write!(out, "\n[{tier}] {}\n{:?}", one.text.as_ref().unwrap_or(&text), one.policy.condition);
            }
        }
        if let Some(entry) = self.action(operation).and_then(|id| self.engine.registry().action(id))
            && let Some(permit) = &entry.permit
        {
            let _ = write!(out, "\n[code] {:?}", permit.rules.iter().map(ToString::to_string).collect::<Vec<_>>());
        }
        let _ = self.put(&sets);
        let again = self.case(
            asking,
            operation,
            &mut databases.borrow_mut(),
            &mut FilterReport { cases: 3, ..FilterReport::default() },
        );
        format!("{out}\n{:?}\n{}", asking.participant, again.unwrap_or_default())
    }
}

/// With the condition of one policy made smaller.
fn shrunk(sets: Sets, tier: usize, at: usize, fails: &dyn Fn(&Sets) -> bool) -> Sets {
    let with = |change: &dyn Fn(&mut Written)| {
        let mut other = sets.clone();
        if let Some(one) = other.0.get_mut(tier).and_then(|policies| policies.get_mut(at)) {
            change(one);
        }
        other
    };
    let condition = sets.0.get(tier).and_then(|policies| policies.get(at)).and_then(|one| one.policy.condition.clone());
    let Some(condition) = condition else { return sets };
    let put = |ir: &crate::ir::Ir| {
        with(&|one| {
            one.policy.condition = Some(ir.clone());
            (one.rule, one.text) = (None, None);
        })
    };
    if !fails(&put(&condition)) {
        return sets;
    }
    put(&shrink::shrink(condition, &|ir| fails(&put(ir))))
}

fn shown(row: &Row) -> String {
    let cells = row.cells.iter().map(|(name, cell)| match cell {
        Cell::Absent => format!("{name}: absent"),
        Cell::Value(value) => format!("{name}: {}", value.as_ref()),
        Cell::Odd => format!("{name}: odd"),
    });
    format!("{} (fine {}, holes {})", cells.collect::<Vec<_>>().join(", "), row.fine, row.holes)
}
