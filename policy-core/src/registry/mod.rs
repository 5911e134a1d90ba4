//! What a program declares, found at link time, joined by action and checked as a whole.
//!
//! In: the declarations that annotations left behind. Out: a [`Registry`]: numbered actions, their permits, the model, the
//! schema. Absent: policies of upper tiers, and decisions. Once built it does not change.

mod build;
mod declared;
mod finding;
mod join;
mod manifest;
mod moved;
mod raw;
mod roots;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use crate::cedar::CedarSchema;
use crate::check::{RuleEnv, Typed};
use crate::decl::{ActionDecl, ServiceDecl};
use crate::kind::Described;
use crate::model::Model;
use crate::name::{ActionName, EntityUid, Tier};
use crate::policy::Policy;
use crate::request::ActionId;
use crate::source::Place;

use declared::{Declared, DeclaredService};

pub use finding::{Finding, RegistryError};
pub use manifest::ManifestError;
pub use moved::{Change, Moved};

/// A guarded function of this program; submitted by generated code.
///
/// ```
/// use policy_core::registry::RegisteredAction;
/// let all: Vec<&RegisteredAction> = inventory::iter::<RegisteredAction>.into_iter().collect();
/// assert!(all.is_empty(), "this program annotates nothing");
/// ```
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "generated code makes it")]
pub struct RegisteredAction(pub &'static ActionDecl);

/// A published service of this program; submitted by generated code.
///
/// ```
/// use policy_core::registry::RegisteredService;
/// assert_eq!(inventory::iter::<RegisteredService>.into_iter().count(), 0);
/// ```
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "generated code makes it")]
pub struct RegisteredService(pub &'static ServiceDecl);

inventory::collect!(RegisteredAction);
inventory::collect!(RegisteredService);

/// A package whose annotations must be in the program: see `policy_runtime::link!`.
///
/// ```
/// use policy_core::registry::RequiredPackage;
/// use policy_core::source::Place;
/// const ORDERS: RequiredPackage = RequiredPackage { name: "orders", place: Place { file: "src/main.rs", line: 3 } };
/// assert_eq!(ORDERS.place.to_string(), "src/main.rs:3");
/// ```
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "generated code makes it")]
pub struct RequiredPackage {
    /// The package's name.
    pub name: &'static str,
    /// Where it is required.
    pub place: Place,
}

inventory::collect!(RequiredPackage);

/// All actions of a program, each with a dense number.
///
/// ```
/// use policy_core::{ActionName, EntityUid};
/// use policy_core::registry::Registry;
///
/// // What annotations left behind in this program is `Registry::program()`; here nothing is annotated.
/// assert!(Registry::program().is_ok());
/// let registry = Registry::of(&[], &[]).unwrap();
/// let action = registry.find("Platform.createOrganization").unwrap();
/// assert_eq!(registry.number(&ActionName::new("Platform", "createOrganization")), Some(action));
/// assert_eq!(registry.by_uid(&EntityUid::new("Platform::Action", "createOrganization")), Some(action));
/// assert!(registry.members(&EntityUid::new("Platform::Action", "organizations")).contains(&action));
/// assert_eq!(registry.manifest()["actions"], serde_json::json!([]));
/// ```
#[derive(Debug)]
pub struct Registry {
    actions: Vec<ActionEntry>,
    numbers: HashMap<ActionName, ActionId>,
    uids: HashMap<EntityUid, ActionId>,
    groups: HashMap<EntityUid, Vec<ActionId>>,
    services: Vec<&'static ServiceDecl>,
    declared: Vec<Declared>,
    declared_services: Vec<DeclaredService>,
    model: Model,
    schema: CedarSchema,
    platform_schema: CedarSchema,
    warnings: Vec<Finding>,
    program: bool,
}

/// Everything that is known of an action.
///
/// ```
/// use policy_core::registry::Registry;
/// let registry = Registry::of(&[], &[]).unwrap();
/// let entry = registry.action(registry.find("Platform.createOrganization").unwrap()).unwrap();
/// assert_eq!(&*entry.resource, "Platform::System");
/// assert!(entry.permit.is_none(), "the baselines grant it");
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct ActionEntry {
    /// Its name.
    pub name: ActionName,
    /// Its uid.
    pub uid: EntityUid,
    /// The groups it belongs to.
    pub groups: Vec<EntityUid>,
    /// Whose service it is.
    pub tier: Tier,
    /// The tiers whose participants may call.
    pub callers: Vec<Tier>,
    /// Whether it runs only with an audit record that was written before.
    pub must_audit: bool,
    /// The Cedar type of an application's own participants.
    pub participant: Arc<str>,
    /// The Cedar type of its resource.
    pub resource: Arc<str>,
    /// What its parameters are, in order.
    pub params: Vec<(Arc<str>, Option<Described>)>,
    /// The roots that rules about it may use.
    pub env: RuleEnv,
    /// The permit made of its annotations; `None` for the platform's own actions, which the baselines grant.
    pub permit: Option<Arc<Annotated>>,
    /// Where it is declared, as `file:line`; nowhere for the platform's own actions.
    pub places: Vec<Arc<str>>,
    /// The hashes of `participant` and of `resource`.
    pub(crate) hashes: (u64, u64),
    /// Whether `callers` has a tier, by the tier.
    pub(crate) takes: [bool; 3],
    /// Whether its resource is a scope of the platform.
    pub(crate) about_scope: bool,
    /// Whether a call is about an entity, which rules may read.
    pub(crate) about_entity: bool,
}

impl ActionEntry {
    /// Whether callers of a tier may ask.
    #[inline]
    pub(crate) fn takes(&self, tier: Tier) -> bool {
        self.takes.get(tier as usize).copied().unwrap_or(false)
    }

    #[inline]
    pub(crate) const fn is_about_scope(&self) -> bool {
        self.about_scope
    }
}

/// A permit and the typed rules it was made from, one for each annotation.
///
/// ```
/// use policy_core::registry::Registry;
/// let registry = Registry::program().unwrap();
/// for (_, entry) in registry.actions() {
///     if let Some(annotated) = &entry.permit {
///         println!("{}: {} rules", annotated.policy.id, annotated.rules.len());
///     }
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Annotated {
    /// The permit.
    pub policy: Policy,
    /// The rules.
    pub rules: Vec<Typed>,
}

static PROGRAM: LazyLock<Result<Arc<Registry>, RegistryError>> = LazyLock::new(|| {
    let actions: Vec<_> = inventory::iter::<RegisteredAction>.into_iter().map(|r| r.0).collect();
    let services: Vec<_> = inventory::iter::<RegisteredService>.into_iter().map(|r| r.0).collect();
    let required: Vec<_> = inventory::iter::<RequiredPackage>.into_iter().copied().collect();
    let registry = build::build(&actions, &services, &required)?;
    Ok(Arc::new(Registry { program: true, ..registry }))
});

impl Registry {
    /// Everything that is linked into this program.
    ///
    /// # Errors
    /// Every finding: two functions with one action, a rule that does not check, a schema that Cedar refuses, a package whose
    /// annotations are missing.
    pub fn program() -> Result<Arc<Self>, RegistryError> {
        PROGRAM.clone()
    }

    /// The given declarations.
    ///
    /// # Errors
    /// As [`Registry::program`].
    pub fn of(actions: &[&'static ActionDecl], services: &[&'static ServiceDecl]) -> Result<Self, RegistryError> {
        build::build(actions, services, &[])
    }

    /// Whether this is [`Registry::program`], so that numbers can be kept beside a guard.
    pub const fn is_program(&self) -> bool {
        self.program
    }

    /// The number of the action that a declaration belongs to.
    ///
    /// ```
    /// use policy_core::registry::Registry;
    /// use policy_core::decl::{ActionDecl, ResourceDecl};
    /// use policy_core::{Tier, source::Place};
    /// static STOP: ActionDecl = ActionDecl { package: "shop", namespace: "shop", id: "stop", function: "shop::stop",
    ///     place: Place { file: "src/lib.rs", line: 3 }, was: &["halt"], tier: Tier::Application, callers: &[Tier::Application],
    ///     organization: None, must_audit: false, participant: None, resource: ResourceDecl::Scope, params: &[], rules: &[], authenticated: true };
    /// let registry = Registry::of(&[&STOP], &[]).unwrap();
    /// assert_eq!(registry.id_of(&STOP), registry.find("shop.halt"));
    /// ```
    pub fn id_of(&self, declaration: &ActionDecl) -> Option<ActionId> {
        self.number(&ActionName::new(declaration.namespace, declaration.id))
    }

    /// The number of an action, by its name or a former one.
    pub fn number(&self, name: &ActionName) -> Option<ActionId> {
        self.numbers.get(name).copied()
    }

    /// Finds an action by its full dotted name, or a former one.
    pub fn find(&self, full: &str) -> Option<ActionId> {
        self.numbers.iter().find(|(name, _)| name.to_string() == full).map(|(_, id)| *id)
    }

    /// The number of an action, by its uid or a former one.
    pub fn by_uid(&self, uid: &EntityUid) -> Option<ActionId> {
        self.uids.get(uid).copied()
    }

    /// The uids of all actions, former ones too, and of all groups.
    pub(crate) fn uids(&self) -> impl Iterator<Item = &EntityUid> {
        self.uids.keys().chain(self.groups.keys())
    }

    /// The actions of a group.
    pub fn members(&self, group: &EntityUid) -> &[ActionId] {
        self.groups.get(group).map_or(&[], |ids| ids)
    }

    /// An action.
    pub fn action(&self, id: ActionId) -> Option<&ActionEntry> {
        self.actions.get(id.0 as usize)
    }

    /// All actions, in the order of their names.
    pub fn actions(&self) -> impl Iterator<Item = (ActionId, &ActionEntry)> {
        self.actions.iter().zip(0..).map(|(entry, n)| (ActionId(n), entry))
    }

    /// How many actions there are.
    pub(crate) const fn len(&self) -> usize {
        self.actions.len()
    }

    /// The published services.
    pub fn services(&self) -> &[&'static ServiceDecl] {
        &self.services
    }

    /// Which types and actions there are.
    pub const fn model(&self) -> &Model {
        &self.model
    }

    /// Cedar's schema of it.
    pub const fn schema(&self) -> &CedarSchema {
        &self.schema
    }

    /// The schema that System's policies are validated against: it has every action, and of attributes only the platform's.
    pub const fn platform_schema(&self) -> &CedarSchema {
        &self.platform_schema
    }

    /// What is worth a look, though nothing is refused.
    pub fn warnings(&self) -> &[Finding] {
        &self.warnings
    }
}
