//! What exists in every deployment: the platform's own entity types and actions.
//!
//! In: nothing. Out: data for a [`Model`]. Absent: who may do it; the baselines say that.

use std::sync::Arc;

use crate::kind::{Described, Kind};
use crate::model::{ActionModel, EntityModel, Model};
use crate::name::ActionName;

/// The namespace of everything here.
pub const NAMESPACE: &str = "Platform";
/// The type of the entity that stands for the platform.
pub const SYSTEM: &str = "Platform::System";
/// The type of the entities that stand for organizations.
pub const ORGANIZATION: &str = "Platform::Organization";
/// The type of the entities that stand for applications.
pub const APPLICATION: &str = "Platform::Application";
/// The type of roles.
pub const ROLE: &str = "Platform::Role";
/// The type of participants where a service declares none of its own.
pub const PARTICIPANT: &str = "Platform::Participant";
/// The types that every principal can be a member of.
pub const PRINCIPAL_PARENTS: [&str; 4] = [ROLE, APPLICATION, ORGANIZATION, SYSTEM];

/// Actions on the platform itself, by group.
pub const SYSTEM_ACTIONS: [(&str, &[&str]); 4] = [
    ("organizations", &["createOrganization", "suspendOrganization", "resumeOrganization", "listOrganizations"]),
    ("infrastructure", &["manageInfrastructure", "viewInfrastructure"]),
    (
        "system",
        &[
            "changePlatformSettings",
            "manageOperators",
            "removeOperatorSecondFactor",
            "manageSystemProviders",
            "manageSystemKeys",
            "viewSystemPolicies",
            "tryPolicies",
            "changeSystemPolicies",
            "ownSystemPolicies",
        ],
    ),
    ("systemAudit", &["viewSystemAudit", "exportSystemAudit", "viewSystemObservability"]),
];

/// Actions on an organization, by group. `policies.own` replaces the shipped baseline.
pub const ORGANIZATION_ACTIONS: [(&str, &[&str]); 8] = [
    ("organization", &["organization.view", "organization.update"]),
    ("applications", &["applications.list", "applications.create", "applications.update", "applications.accept"]),
    ("providers", &["providers.list", "providers.configure", "providers.share", "providers.delete"]),
    (
        "members",
        &[
            "members.list",
            "members.invite",
            "members.update",
            "members.remove",
            "members.assignRoles",
            "members.removeSecondFactor",
        ],
    ),
    (
        "policies",
        &[
            "policies.list",
            "policies.draft",
            "policies.evaluate",
            "policies.explain",
            "policies.search",
            "policies.activate",
            "policies.own",
        ],
    ),
    ("keys", &["keys.list", "keys.create", "keys.revoke"]),
    ("audit", &["audit.view", "audit.export", "audit.verify"]),
    ("observability", &["observability.view", "connections.list", "connections.close"]),
];

/// Actions on an application that clients ask for by a service's name: denied until a policy grants them. Who may share hosts
/// beside others who may.
pub const CLIENT_ACTIONS: [&str; 3] = ["service.host", "service.call", "service.share"];

/// What those ask for that enforce decisions elsewhere, of the group `decisions` on an application.
pub const DECISION_ACTIONS: [&str; 2] = ["decisions.evaluate", "decisions.search"];

/// What programs without the database ask for, of the group `serving` on their application.
pub const SERVING_ACTIONS: [&str; 2] = ["manifests.register", "sets.take"];

/// The platform's entity types.
///
/// ```
/// let names: Vec<_> = policy_core::platform::entities().into_iter().map(|entity| entity.name).collect();
/// assert!(names.iter().any(|name| &**name == policy_core::platform::ROLE));
/// ```
pub fn entities() -> Vec<EntityModel> {
    let entity = |name: &str, parents: &[&str]| EntityModel {
        name: name.into(),
        parents: parents.iter().copied().map(Arc::from).collect(),
        attributes: Vec::new(),
    };
    vec![
        entity(SYSTEM, &[]),
        entity(ORGANIZATION, &[SYSTEM]),
        entity(APPLICATION, &[ORGANIZATION, SYSTEM]),
        entity(ROLE, &[]),
        entity(PARTICIPANT, &PRINCIPAL_PARENTS),
    ]
}

/// The platform's actions.
///
/// ```
/// use policy_core::platform;
/// assert!(platform::actions().iter().any(|action| action.name.to_string() == "Platform.policies.own"));
/// ```
pub fn actions() -> Vec<ActionModel> {
    let action = |id: &str, group: Option<&str>, resource: &str, params: &[&str]| ActionModel {
        name: ActionName::new(NAMESPACE, id),
        groups: group.into_iter().map(Arc::from).collect(),
        principals: vec![PARTICIPANT.into()],
        resource: resource.into(),
        params: params.iter().map(|name| (Arc::from(*name), Some(Described::required(Kind::Text)))).collect(),
    };
    let of = |groups: &'static [(&str, &[&str])], resource: &'static str| {
        groups.iter().flat_map(move |(group, ids)| ids.iter().map(move |id| action(id, Some(*group), resource, &[])))
    };
    let mut all: Vec<ActionModel> =
        of(&SYSTEM_ACTIONS, SYSTEM).chain(of(&ORGANIZATION_ACTIONS, ORGANIZATION)).collect();
    all.extend(CLIENT_ACTIONS.map(|id| action(id, None, APPLICATION, &["service"])));
    all.extend(DECISION_ACTIONS.map(|id| action(id, Some("decisions"), APPLICATION, &[])));
    all.extend(SERVING_ACTIONS.map(|id| action(id, Some("serving"), APPLICATION, &[])));
    all
}

/// The model of a deployment without any application.
///
/// ```
/// use policy_core::platform;
/// assert_eq!(platform::model().actions.len(), platform::actions().len());
/// ```
pub fn model() -> Model {
    Model { entities: entities(), actions: actions(), context: Vec::new() }
}
