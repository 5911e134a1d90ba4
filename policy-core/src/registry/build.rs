//! From declarations to a registry: names, roots, kinds that nothing declares, rules, permits, schema, validation.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::finding::{Finding, RegistryError};
use super::join::{Joined, former_name, join};
use super::roots::{names_can_be_written, record_of, roots, strangers};
use super::{ActionEntry, Annotated, Registry, RequiredPackage};
use crate::cedar;
use crate::check::{self, RootType, RuleEnv, Typed};
use crate::decl::{ActionDecl, EntityDecl, ResourceDecl, RuleDecl, ServiceDecl};
use crate::ir::{Ir, Root};
use crate::kind::{Described, Field, Kind, RecordType};
use crate::lower::{Unknown, constant, lower};
use crate::model::{ActionModel, EntityModel, Model};
use crate::name::{ActionName, EntityUid, Tier, cedar_type, hash_of};
use crate::policy::{ActionConstraint, Constraint, Effect, Policy};
use crate::request::ActionId;
use crate::{context, participant, platform};

pub(super) fn build(
    declarations: &[&'static ActionDecl],
    services: &[&'static ServiceDecl],
    required: &[RequiredPackage],
) -> Result<Registry, RegistryError> {
    let mut found = Vec::new();
    let joined = join(declarations, &mut found);
    missing_packages(declarations, services, required, &mut found);
    let mut drafts: Vec<Draft> = joined.into_iter().map(|j| Draft::new(j, &mut found)).collect();
    let inferred = infer(&drafts, &mut found);
    for draft in &mut drafts {
        draft.env.inferred.clone_from(&inferred);
    }
    let permits: Vec<Option<Annotated>> = drafts.iter().map(|d| d.permit(&mut found)).collect();
    let model = model(&drafts, services, &inferred, &mut found);
    if !found.is_empty() {
        return Err(RegistryError(found.into()));
    }
    let schema = cedar::schema(&model).map_err(|e| one("the schema", &e.to_string()))?;
    let platform_schema = cedar::schema(&model.platform_only()).map_err(|e| one("the schema", &e.to_string()))?;
    let mut actions: Vec<ActionEntry> =
        drafts.into_iter().zip(permits).map(|(draft, permit)| draft.entry(permit.map(Arc::new))).collect();
    actions.extend(platform::actions().into_iter().map(of_platform));
    actions.sort_by(|a, b| a.name.cmp(&b.name));
    let warnings = validate(&actions, &schema)?;
    let mut registry = Registry {
        numbers: HashMap::new(),
        uids: HashMap::new(),
        groups: HashMap::new(),
        actions,
        services: services.to_vec(),
        model,
        schema,
        platform_schema,
        warnings,
        program: false,
    };
    number(&mut registry, declarations)?;
    Ok(registry)
}

fn one(place: &str, message: &str) -> RegistryError {
    RegistryError(vec![Finding::new(place, message)].into())
}

fn missing_packages(
    declarations: &[&'static ActionDecl],
    services: &[&'static ServiceDecl],
    required: &[RequiredPackage],
    found: &mut Vec<Finding>,
) {
    let linked: BTreeSet<String> = declarations
        .iter()
        .map(|d| d.package)
        .chain(services.iter().map(|s| s.package))
        .map(|p| p.replace('-', "_"))
        .collect();
    for package in required.iter().filter(|p| !linked.contains(&p.name.replace('-', "_"))) {
        found.push(Finding::new(
            package.place,
            format!(
                "the annotations of `{}` are not in this program\nhelp: the linker left it out, or it has none; name something of it, or drop it from `link!`",
                package.name
            ),
        ));
    }
}

/// An action on its way into the registry.
struct Draft {
    joined: Joined,
    first: &'static ActionDecl,
    participant: Arc<str>,
    own: Option<Described>,
    resource: Arc<str>,
    entity: Option<EntityDecl>,
    params: Vec<(Arc<str>, Option<Described>)>,
    env: RuleEnv,
}

impl Draft {
    fn new(joined: Joined, found: &mut Vec<Finding>) -> Self {
        // `join` never makes an empty one; a static stands in so that nothing has to panic.
        static NONE: ActionDecl = ActionDecl {
            package: "",
            namespace: "",
            id: "",
            function: "",
            place: crate::source::Place { file: "", line: 0 },
            was: &[],
            tier: Tier::System,
            callers: &[],
            organization: None,
            must_audit: true,
            participant: None,
            resource: ResourceDecl::Scope,
            params: &[],
            rules: &[],
            authenticated: false,
        };
        let first = joined.declarations.first().copied().unwrap_or(&NONE);
        let declared = joined.declarations.iter().find_map(|d| d.participant);
        let own = declared.map(|(_, describe)| describe());
        let participant: Arc<str> = match declared {
            Some((name, _)) => cedar_type(joined.name.namespace(), name).into(),
            None => platform::PARTICIPANT.into(),
        };
        let params: Vec<_> = first.params.iter().map(|p| (Arc::from(p.name), (p.describe)())).collect();
        let declared_resource =
            joined.declarations.iter().map(|d| d.resource).find(|r| !matches!(r, ResourceDecl::Scope));
        let resource_decl = declared_resource.unwrap_or(first.resource);
        let (resource, entity): (Arc<str>, _) = match resource_decl {
            ResourceDecl::Scope => (scope_type(first.tier).into(), None),
            ResourceDecl::Service { name } => (cedar_type(joined.name.namespace(), name).into(), None),
            ResourceDecl::Parameter { entity, .. } | ResourceDecl::Entity { entity } => {
                let entity = entity();
                (cedar_type(&dotted(entity.namespace), entity.name).into(), Some(entity))
            }
        };
        names_can_be_written(&joined, &participant, &resource, found);
        let env = roots(&joined, own.as_ref(), entity.as_ref(), resource_decl, &params, found);
        Self { joined, first, participant, own, resource, entity, params, env }
    }

    fn rules(&self) -> impl Iterator<Item = &'static RuleDecl> {
        self.joined.declarations.iter().flat_map(|d| d.rules)
    }

    fn permit(&self, found: &mut Vec<Finding>) -> Option<Annotated> {
        if self.rules().next().is_none() && !self.joined.declarations.iter().any(|d| d.authenticated) {
            found.push(Finding::new(self.first.place, format!("`{}` has no rule", self.joined.name)));
            return None;
        }
        let before = found.len();
        let mut typed: Vec<Typed> = Vec::new();
        for rule in self.rules() {
            let checked = crate::syntax::parse(rule.text).and_then(|tree| check::check(&tree, &self.env));
            match checked {
                Ok(rule) => typed.push(rule),
                Err(all) => found.extend(all.0.iter().map(|d| Finding::in_rule(rule.place, rule.text, d))),
            }
        }
        if found.len() > before {
            return None;
        }
        let clauses = typed.iter().map(|rule| Ir::And(vec![lower(rule, Unknown::Fails)])).collect();
        let places: BTreeSet<String> = match self.rules().next() {
            Some(_) => self.rules().map(|r| r.place.to_string()).collect(),
            None => [self.first.place.to_string()].into(),
        };
        let mut annotations = vec![(Arc::from("source"), Arc::from(places.into_iter().collect::<Vec<_>>().join(", ")))];
        let text: Vec<&str> = self.rules().map(|r| r.text).collect();
        let text = match text.as_slice() {
            [] => "authenticated".to_owned(),
            [one] => (*one).to_owned(),
            many => many.iter().map(|rule| format!("({rule})")).collect::<Vec<_>>().join(" and "),
        };
        annotations.insert(0, (Arc::from("rule"), Arc::from(text)));
        let policy = Policy {
            id: self.joined.name.to_string().into(),
            effect: Effect::Permit,
            principal: Constraint::Any,
            action: ActionConstraint::Eq(uid(&self.joined.name)),
            resource: Constraint::Any,
            condition: Some(Ir::And(clauses)),
            annotations,
        };
        Some(Annotated { policy, rules: typed })
    }

    /// Its groups, and those of its former names: what is written for a former service goes on matching.
    fn groups(&self) -> Vec<EntityUid> {
        let formers = self.joined.declarations.iter().flat_map(|d| d.was.iter().map(|was| former_name(d, was)));
        let mut out: Vec<EntityUid> = Vec::new();
        for name in [self.joined.name.clone()].into_iter().chain(formers) {
            let kind = name.cedar_type();
            for group in groups(&name, self.first).iter().map(|id| EntityUid::new(&kind, id)) {
                if !out.contains(&group) {
                    out.push(group);
                }
            }
        }
        out
    }

    fn entry(self, permit: Option<Arc<Annotated>>) -> ActionEntry {
        let mut callers: Vec<Tier> = self.joined.declarations.iter().flat_map(|d| d.callers).copied().collect();
        callers.sort_unstable();
        callers.dedup();
        if callers.is_empty() {
            callers.push(self.first.tier);
        }
        ActionEntry {
            hashes: (hash_of(&self.participant), hash_of(&self.resource)),
            takes: Tier::ALL.map(|tier| callers.contains(&tier)),
            about_scope: self.resource.starts_with("Platform::"),
            about_entity: self.env.roots.iter().any(|root| root.root == Root::Resource),
            uid: uid(&self.joined.name),
            groups: self.groups(),
            tier: self.first.tier,
            callers,
            must_audit: self.joined.declarations.iter().any(|d| d.must_audit),
            participant: self.participant,
            resource: self.resource,
            params: self.params,
            env: self.env,
            permit,
            places: self.joined.declarations.iter().map(|d| d.place).collect(),
            name: self.joined.name,
        }
    }
}

fn dotted(namespace: &str) -> String {
    namespace.replace("::", ".")
}

const fn scope_type(tier: Tier) -> &'static str {
    match tier {
        Tier::System => platform::SYSTEM,
        Tier::Organization => platform::ORGANIZATION,
        Tier::Application => platform::APPLICATION,
    }
}

fn uid(name: &ActionName) -> EntityUid {
    EntityUid::new(&name.cedar_type(), name.id())
}

/// A service's methods are in a group of its name; an entity's operations in their own groups too.
fn groups(name: &ActionName, declaration: &ActionDecl) -> Vec<String> {
    let Some(group) = name.group() else { return Vec::new() };
    let mut out = vec![group.to_owned()];
    if matches!(declaration.resource, ResourceDecl::Entity { .. }) {
        let operation = name.id().rsplit('.').next().unwrap_or_default();
        let all = match operation {
            "save" | "bulkSave" => Some("allCreate"),
            "findById" | "findByIds" | "findAll" | "search" | "count" | "countByQuery" => Some("allRead"),
            "update" | "bulkUpdate" => Some("allUpdate"),
            "deleteById" | "deleteByQuery" => Some("allDelete"),
            "tenantsFindById"
            | "tenantsFindByIds"
            | "tenantsFindAll"
            | "tenantsSearch"
            | "tenantsCount"
            | "tenantsCountByQuery" => Some("allTenantsRead"),
            "tenantsDeleteById" | "tenantsDeleteByQuery" => Some("allTenantsDelete"),
            _ => None,
        };
        out.extend(all.map(|all| format!("{group}.{all}")));
    }
    out
}

fn infer(drafts: &[Draft], found: &mut Vec<Finding>) -> BTreeMap<(Arc<str>, Arc<str>), Kind> {
    let mut evidence = Vec::new();
    for draft in drafts {
        for rule in draft.rules() {
            if let Ok(tree) = crate::syntax::parse(rule.text) {
                check::collect(&tree, &draft.env, &rule.place.to_string().into(), &mut evidence);
            }
        }
    }
    check::solve(&evidence).unwrap_or_else(|conflicts| {
        found.extend(conflicts.into_iter().map(|c| Finding::new("the program's rules", c.to_string())));
        BTreeMap::new()
    })
}

fn model(
    drafts: &[Draft],
    services: &[&'static ServiceDecl],
    inferred: &BTreeMap<(Arc<str>, Arc<str>), Kind>,
    found: &mut Vec<Finding>,
) -> Model {
    let open = |wanted: &str| -> Vec<Field> {
        let of_root = inferred.iter().filter(|((root, _), _)| &**root == wanted);
        of_root
            .map(|((_, name), kind)| Field {
                name: name.clone(),
                rust_name: name.clone(),
                ty: Described::optional(kind.clone()),
                secret: false,
            })
            .collect()
    };
    let mut entities: BTreeMap<Arc<str>, (EntityModel, String)> = BTreeMap::new();
    let mut add = |entity: EntityModel, place: String, found: &mut Vec<Finding>| match entities.get(&entity.name) {
        Some((known, first)) if *known != entity => found.push(Finding::new(
            &place,
            format!(
                "`{}` is declared otherwise at {first}\nhelp: publish one of them under another namespace",
                entity.name
            ),
        )),
        Some(_) => {}
        None => {
            entities.insert(entity.name.clone(), (entity, place));
        }
    };
    let under_application =
        || vec![Arc::from(platform::APPLICATION), platform::ORGANIZATION.into(), platform::SYSTEM.into()];
    let principals = || platform::PRINCIPAL_PARENTS.iter().copied().map(Arc::from).collect::<Vec<_>>();
    add(
        EntityModel { name: platform::PARTICIPANT.into(), parents: principals(), attributes: open("participant") },
        "the platform".into(),
        found,
    );
    for draft in drafts {
        let place = draft.first.place.to_string();
        if let Some(own) = draft.own.as_ref() {
            let attributes = record_of(own).map(|r| r.fields.clone()).unwrap_or_default();
            add(
                EntityModel { name: draft.participant.clone(), parents: principals(), attributes },
                place.clone(),
                found,
            );
        }
        if let Some(entity) = &draft.entity {
            let attributes = record_of(&entity.attributes).map(|r| r.fields.clone()).unwrap_or_default();
            add(EntityModel { name: draft.resource.clone(), parents: under_application(), attributes }, place, found);
        } else if !draft.resource.starts_with("Platform::") {
            let name = draft.resource.clone();
            add(EntityModel { name, parents: under_application(), attributes: Vec::new() }, place, found);
        }
    }
    for service in services {
        let name = cedar_type(&dotted(service.namespace), service.name).into();
        add(
            EntityModel { name, parents: under_application(), attributes: Vec::new() },
            service.place.to_string(),
            found,
        );
    }
    let taken: BTreeSet<&ActionName> = drafts.iter().map(|d| &d.joined.name).collect();
    let actions = drafts
        .iter()
        .flat_map(|draft| {
            let mut principals = vec![draft.participant.clone()];
            if strangers(&draft.joined) && &*draft.participant != platform::PARTICIPANT {
                principals.push(platform::PARTICIPANT.into());
            }
            // A former name stays known, so that what was written for it goes on validating.
            let formers = draft.joined.declarations.iter().flat_map(|d| d.was.iter().map(|was| former_name(d, was)));
            let formers: BTreeSet<ActionName> = formers.filter(|former| !taken.contains(former)).collect();
            let model = move |name: ActionName| ActionModel {
                groups: groups(&name, draft.first).into_iter().map(Arc::from).collect(),
                name,
                principals: principals.clone(),
                resource: draft.resource.clone(),
                params: draft.params.clone(),
            };
            [draft.joined.name.clone()].into_iter().chain(formers).map(model)
        })
        .collect();
    Model { entities: entities.into_values().map(|(entity, _)| entity).collect(), actions, context: open("context") }
}

/// The platform's actions: decided by the baselines, called by the tier they belong to.
fn of_platform(action: ActionModel) -> ActionEntry {
    let tier = match &*action.resource {
        platform::SYSTEM => Tier::System,
        platform::ORGANIZATION => Tier::Organization,
        _ => Tier::Application,
    };
    // Our own administration names System explicitly: operators reach organizations, never into applications.
    let mut callers = match tier {
        Tier::System | Tier::Organization => vec![Tier::System, tier],
        Tier::Application => vec![tier],
    };
    let mut env = RuleEnv::default();
    let record = |record: &RecordType| Some(Described::required(Kind::Record(Arc::new(record.clone()))));
    let built_in =
        [("participant", Root::Participant, &*participant::BUILT_IN), ("context", Root::Context, &context::BUILT_IN)];
    for (name, root, ty) in built_in.map(|(name, root, ty)| (name, root, record(ty))) {
        env.roots.push(RootType { name: name.into(), rust_name: name.into(), root, ty, open: false });
    }
    for (n, (name, ty)) in action.params.iter().enumerate() {
        let root = Root::Arg(u16::try_from(n).unwrap_or(u16::MAX), name.clone());
        env.roots.push(RootType { name: name.clone(), rust_name: name.clone(), root, ty: ty.clone(), open: false });
    }
    callers.dedup();
    ActionEntry {
        hashes: (hash_of(platform::PARTICIPANT), hash_of(&action.resource)),
        takes: Tier::ALL.map(|tier| callers.contains(&tier)),
        about_scope: action.resource.starts_with("Platform::"),
        about_entity: false,
        uid: uid(&action.name),
        groups: action.groups.iter().map(|g| EntityUid::new(&action.name.cedar_type(), g)).collect(),
        tier,
        callers,
        must_audit: false,
        participant: platform::PARTICIPANT.into(),
        resource: action.resource,
        params: action.params,
        env,
        permit: (tier == Tier::Application).then(|| Arc::new(shipped(&action.name))),
        places: Vec::new(),
        name: action.name,
    }
}

/// The permit of what clients ask an application for by name: upper tiers decide, since no annotation could permit it.
fn shipped(name: &ActionName) -> Annotated {
    let policy = Policy {
        id: name.to_string().into(),
        effect: Effect::Permit,
        principal: Constraint::Any,
        action: ActionConstraint::Eq(uid(name)),
        resource: Constraint::Any,
        condition: Some(Ir::And(Vec::new())),
        annotations: Vec::new(),
    };
    Annotated { policy, rules: Vec::new() }
}

fn validate(actions: &[ActionEntry], schema: &cedar::CedarSchema) -> Result<Vec<Finding>, RegistryError> {
    let (mut found, mut warnings) = (Vec::new(), Vec::new());
    for permit in actions.iter().filter_map(|a| a.permit.as_ref()) {
        let place = permit.policy.annotation("source").unwrap_or_default();
        // What never holds Cedar's validator finds.
        for rule in permit.rules.iter().filter(|rule| constant(&lower(rule, Unknown::Fails)) == Some(true)) {
            warnings.push(Finding::new(place, format!("`{rule}` always holds, whatever the data")));
        }
        let policy = match cedar::to_pst(&permit.policy) {
            Ok(policy) => policy,
            Err(d) => {
                found.push(Finding::new(place, d.to_string()));
                continue;
            }
        };
        for d in cedar::validate(std::slice::from_ref(&policy), schema).0 {
            let finding = Finding::new(place, d.to_string());
            match d.severity {
                crate::diagnostic::Severity::Error => found.push(finding),
                crate::diagnostic::Severity::Warning => warnings.push(finding),
            }
        }
    }
    if found.is_empty() { Ok(warnings) } else { Err(RegistryError(found.into())) }
}

fn number(registry: &mut Registry, declarations: &[&'static ActionDecl]) -> Result<(), RegistryError> {
    for (n, entry) in (0..).zip(&registry.actions) {
        let id = ActionId(n);
        registry.numbers.insert(entry.name.clone(), id);
        registry.uids.insert(entry.uid.clone(), id);
        for group in &entry.groups {
            registry.groups.entry(group.clone()).or_default().push(id);
        }
    }
    let mut found = Vec::new();
    for declaration in declarations {
        let Some(id) = registry.id_of(declaration) else { continue };
        for former in declaration.was {
            let name = former_name(declaration, former);
            match registry.numbers.insert(name.clone(), id) {
                Some(other) if other != id => {
                    found.push(Finding::new(
                        declaration.place,
                        format!("`was` names `{name}`, which is another action\nhelp: drop it"),
                    ));
                }
                _ => {
                    registry.uids.insert(uid(&name), id);
                }
            }
        }
    }
    if found.is_empty() { Ok(()) } else { Err(RegistryError(found.into())) }
}
