//! From declarations to a registry: names, roots, kinds that nothing declares, rules, permits, schema, validation.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::declared::{About, Declared, DeclaredService};
use super::finding::{Finding, RegistryError};
use super::join::{join, one_spelling};
use super::roots::{names_can_be_written, record_of, roots};
use super::{ActionEntry, Annotated, Registry, RequiredPackage};
use crate::cedar;
use crate::check::{self, RootType, RuleEnv, Typed};
use crate::decl::{ActionDecl, ServiceDecl};
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
    let declared = join(declarations, &mut found).into_iter().filter_map(Declared::of).collect();
    missing_packages(declarations, services, required, &mut found);
    let registry = assemble(declared, services.iter().map(|s| DeclaredService::of(s)).collect(), found)?;
    Ok(Registry { services: services.to_vec(), ..registry })
}

/// Checks what is declared as a whole, whether this program declares it or a manifest says so.
pub(super) fn assemble(
    declared: Vec<Declared>,
    services: Vec<DeclaredService>,
    mut found: Vec<Finding>,
) -> Result<Registry, RegistryError> {
    one_spelling(&declared, &mut found);
    let mut drafts: Vec<Draft<'_>> = declared.iter().map(|d| Draft::new(d, &mut found)).collect();
    let inferred = infer(&drafts, &mut found);
    for draft in &mut drafts {
        draft.env.inferred.clone_from(&inferred);
    }
    let permits: Vec<Option<Annotated>> = drafts.iter().map(|d| d.permit(&mut found)).collect();
    let model = model(&drafts, &services, &inferred, &mut found);
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
        services: Vec::new(),
        declared: Vec::new(),
        declared_services: services,
        model,
        schema,
        platform_schema,
        warnings,
        program: false,
    };
    number(&mut registry, &declared)?;
    registry.declared = declared;
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
struct Draft<'d> {
    declared: &'d Declared,
    participant: Arc<str>,
    resource: Arc<str>,
    env: RuleEnv,
}

impl<'d> Draft<'d> {
    fn new(declared: &'d Declared, found: &mut Vec<Finding>) -> Self {
        let participant =
            declared.participant.as_ref().map_or_else(|| platform::PARTICIPANT.into(), |(name, _)| name.clone());
        let resource = declared.resource();
        names_can_be_written(declared, &participant, &resource, found);
        let env = roots(declared, found);
        Self { declared, participant, resource, env }
    }

    fn permit(&self, found: &mut Vec<Finding>) -> Option<Annotated> {
        let Declared { name, rules, .. } = self.declared;
        if rules.is_empty() && !self.declared.authenticated {
            found.push(Finding::new(self.declared.place(), format!("`{name}` has no rule")));
            return None;
        }
        let before = found.len();
        let mut typed: Vec<Typed> = Vec::new();
        for rule in rules {
            let checked = crate::syntax::parse(&rule.text).and_then(|tree| check::check(&tree, &self.env));
            match checked {
                Ok(rule) => typed.push(rule),
                Err(all) => found.extend(all.0.iter().map(|d| Finding::in_rule(&rule.place, &rule.text, d))),
            }
        }
        if found.len() > before {
            return None;
        }
        let clauses = typed.iter().map(|rule| Ir::And(vec![lower(rule, Unknown::Fails)])).collect();
        let places: BTreeSet<Arc<str>> = match rules.as_slice() {
            [] => [self.declared.place()].into(),
            rules => rules.iter().map(|r| r.place.clone()).collect(),
        };
        let mut annotations = vec![(Arc::from("source"), Arc::from(places.into_iter().collect::<Vec<_>>().join(", ")))];
        let text: Vec<&str> = rules.iter().map(|r| &*r.text).collect();
        let text = match text.as_slice() {
            [] => "authenticated".to_owned(),
            [one] => (*one).to_owned(),
            many => many.iter().map(|rule| format!("({rule})")).collect::<Vec<_>>().join(" and "),
        };
        annotations.insert(0, (Arc::from("rule"), Arc::from(text)));
        let policy = Policy {
            id: name.to_string().into(),
            effect: Effect::Permit,
            principal: Constraint::Any,
            action: ActionConstraint::Eq(uid(name)),
            resource: Constraint::Any,
            condition: Some(Ir::And(clauses)),
            annotations,
        };
        Some(Annotated { policy, rules: typed })
    }

    /// Its groups, and those of its former names: what is written for a former service goes on matching.
    fn groups(&self) -> Vec<EntityUid> {
        let mut out: Vec<EntityUid> = Vec::new();
        for name in [&self.declared.name].into_iter().chain(&self.declared.was) {
            let kind = name.cedar_type();
            for group in groups(name, &self.declared.about).iter().map(|id| EntityUid::new(&kind, id)) {
                if !out.contains(&group) {
                    out.push(group);
                }
            }
        }
        out
    }

    fn entry(self, permit: Option<Arc<Annotated>>) -> ActionEntry {
        let groups = self.groups();
        let Declared { name, tier, callers, must_audit, params, places, .. } = self.declared;
        ActionEntry {
            hashes: (hash_of(&self.participant), hash_of(&self.resource)),
            takes: Tier::ALL.map(|tier| callers.contains(&tier)),
            about_scope: self.resource.starts_with("Platform::"),
            about_entity: self.env.roots.iter().any(|root| root.root == Root::Resource),
            uid: uid(name),
            groups,
            tier: *tier,
            callers: callers.clone(),
            must_audit: *must_audit,
            participant: self.participant,
            resource: self.resource,
            params: params.iter().map(|p| (p.name.clone(), p.ty.clone())).collect(),
            env: self.env,
            permit,
            places: places.clone(),
            name: name.clone(),
        }
    }
}

fn uid(name: &ActionName) -> EntityUid {
    EntityUid::new(&name.cedar_type(), name.id())
}

/// A service's methods are in a group of its name; an entity's operations in their own groups too, and so are its fields' rules.
fn groups(name: &ActionName, about: &About) -> Vec<String> {
    let Some(group) = name.group() else { return Vec::new() };
    let mut out = vec![group.to_owned()];
    if matches!(about, About::Entity { .. }) {
        // `Photo.salary.read` is of `Photo.salary`, and like every operation of `Photo`.
        out.extend(group.split_once('.').map(|(entity, _)| entity.to_owned()));
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

fn infer(drafts: &[Draft<'_>], found: &mut Vec<Finding>) -> BTreeMap<(Arc<str>, Arc<str>), Kind> {
    let mut evidence = Vec::new();
    for draft in drafts {
        for rule in &draft.declared.rules {
            if let Ok(tree) = crate::syntax::parse(&rule.text) {
                check::collect(&tree, &draft.env, &rule.place, &mut evidence);
            }
        }
    }
    check::solve(&evidence).unwrap_or_else(|conflicts| {
        found.extend(conflicts.into_iter().map(|c| Finding::new("the program's rules", c.to_string())));
        BTreeMap::new()
    })
}

fn model(
    drafts: &[Draft<'_>],
    services: &[DeclaredService],
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
    let mut entities: BTreeMap<Arc<str>, (EntityModel, Arc<str>)> = BTreeMap::new();
    let mut add = |entity: EntityModel, place: Arc<str>, found: &mut Vec<Finding>| match entities.get(&entity.name) {
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
        let place = draft.declared.place();
        if let Some((_, own)) = &draft.declared.participant {
            let attributes = record_of(own).map(|r| r.fields.clone()).unwrap_or_default();
            add(
                EntityModel { name: draft.participant.clone(), parents: principals(), attributes },
                place.clone(),
                found,
            );
        }
        if let Some(attributes) = draft.declared.attributes() {
            let attributes = record_of(attributes).map(|r| r.fields.clone()).unwrap_or_default();
            add(EntityModel { name: draft.resource.clone(), parents: under_application(), attributes }, place, found);
        } else if !draft.resource.starts_with("Platform::") {
            let name = draft.resource.clone();
            add(EntityModel { name, parents: under_application(), attributes: Vec::new() }, place, found);
        }
    }
    for service in services {
        let name = cedar_type(service.name.namespace(), service.name.id()).into();
        let entity = EntityModel { name, parents: under_application(), attributes: Vec::new() };
        add(entity, service.place.clone(), found);
    }
    let taken: BTreeSet<&ActionName> = drafts.iter().map(|d| &d.declared.name).collect();
    let actions = drafts
        .iter()
        .flat_map(|draft| {
            let mut principals = vec![draft.participant.clone()];
            if draft.declared.strangers() && &*draft.participant != platform::PARTICIPANT {
                principals.push(platform::PARTICIPANT.into());
            }
            // A former name stays known, so that what was written for it goes on validating.
            let formers = draft.declared.was.iter().filter(|former| !taken.contains(former)).cloned();
            let formers: BTreeSet<ActionName> = formers.collect();
            let params: Vec<_> = draft.declared.params.iter().map(|p| (p.name.clone(), p.ty.clone())).collect();
            let model = move |name: ActionName| ActionModel {
                groups: groups(&name, &draft.declared.about).into_iter().map(Arc::from).collect(),
                name,
                principals: principals.clone(),
                resource: draft.resource.clone(),
                params: params.clone(),
            };
            [draft.declared.name.clone()].into_iter().chain(formers).map(model)
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

fn number(registry: &mut Registry, declared: &[Declared]) -> Result<(), RegistryError> {
    for (n, entry) in (0..).zip(&registry.actions) {
        let id = ActionId(n);
        registry.numbers.insert(entry.name.clone(), id);
        registry.uids.insert(entry.uid.clone(), id);
        for group in &entry.groups {
            registry.groups.entry(group.clone()).or_default().push(id);
        }
    }
    let mut found = Vec::new();
    for one in declared {
        let Some(id) = registry.number(&one.name) else { continue };
        for name in &one.was {
            match registry.numbers.insert(name.clone(), id) {
                Some(other) if other != id => {
                    found.push(Finding::new(
                        one.place(),
                        format!("`was` names `{name}`, which is another action\nhelp: drop it"),
                    ));
                }
                _ => {
                    registry.uids.insert(uid(name), id);
                }
            }
        }
    }
    if found.is_empty() { Ok(()) } else { Err(RegistryError(found.into())) }
}
