//! What is declared of actions and services, in values of its own: what a manifest holds, whoever wrote it.
//!
//! In: joined declarations of a program, or a manifest that was read. Out: [`Declared`]. Absent: checks, and Cedar.

use std::sync::Arc;

use super::join::{Joined, former_name};
use crate::decl::{ActionDecl, ResourceDecl, ServiceDecl};
use crate::kind::Described;
use crate::name::{ActionName, Tier, cedar_type};
use crate::platform;

/// An action and all that was declared of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Declared {
    pub(super) name: ActionName,
    /// Its former names.
    pub(super) was: Vec<ActionName>,
    pub(super) tier: Tier,
    /// Sorted, each once, and never none.
    pub(super) callers: Vec<Tier>,
    pub(super) must_audit: bool,
    /// The Cedar type of an application's own participants, and their attributes.
    pub(super) participant: Option<(Arc<str>, Described)>,
    pub(super) about: About,
    pub(super) params: Vec<Param>,
    pub(super) rules: Vec<Written>,
    /// Whether everybody may who is authenticated, as far as the annotations go.
    pub(super) authenticated: bool,
    /// `file:line` of each annotation.
    pub(super) places: Vec<Arc<str>>,
}

/// What requests are about.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum About {
    /// The scope.
    Scope,
    /// A service, by its Cedar type.
    Service(Arc<str>),
    /// The entity in a parameter.
    Parameter { name: Arc<str>, entity: Arc<str>, attributes: Described },
    /// A row.
    Entity { entity: Arc<str>, attributes: Described },
}

/// A parameter.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Param {
    pub(super) name: Arc<str>,
    pub(super) rust_name: Arc<str>,
    pub(super) ty: Option<Described>,
}

/// A rule and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Written {
    pub(super) text: Arc<str>,
    pub(super) place: Arc<str>,
}

/// A published service.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DeclaredService {
    /// Dotted, with its namespace.
    pub(super) name: ActionName,
    pub(super) version: Option<Arc<str>>,
    pub(super) place: Arc<str>,
    pub(super) methods: Vec<Method>,
}

/// A method that is callable by name.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Method {
    pub(super) name: Arc<str>,
    pub(super) arguments: Vec<Arc<str>>,
    pub(super) streaming: bool,
}

impl Declared {
    /// Puts together what annotations left; `None` for no annotation at all.
    pub(super) fn of(joined: Joined) -> Option<Self> {
        let Joined { name, declarations } = joined;
        let first = *declarations.first()?;
        let declared_resource = declarations.iter().map(|d| d.resource).find(|r| !matches!(r, ResourceDecl::Scope));
        let mut callers: Vec<Tier> = declarations.iter().flat_map(|d| d.callers).copied().collect();
        callers.sort_unstable();
        callers.dedup();
        if callers.is_empty() {
            callers.push(first.tier);
        }
        let participant = declarations
            .iter()
            .find_map(|d| d.participant)
            .map(|(own, describe)| (cedar_type(name.namespace(), own).into(), describe()));
        let params = first.params.iter().map(|p| Param {
            name: p.name.into(),
            rust_name: p.rust_name.into(),
            ty: (p.describe)(),
        });
        let rules = declarations.iter().flat_map(|d| d.rules);
        Some(Self {
            was: declarations.iter().flat_map(|d| d.was.iter().map(|was| former_name(d, was))).collect(),
            tier: first.tier,
            callers,
            must_audit: declarations.iter().any(|d| d.must_audit),
            participant,
            about: About::of(declared_resource.unwrap_or(first.resource), &name),
            params: params.collect(),
            rules: rules.map(|r| Written { text: r.text.into(), place: r.place.to_string().into() }).collect(),
            authenticated: declarations.iter().any(|d| d.authenticated),
            places: declarations.iter().map(|d: &&ActionDecl| d.place.to_string().into()).collect(),
            name,
        })
    }

    /// The first place, for what is told of the whole action.
    pub(super) fn place(&self) -> Arc<str> {
        self.places.first().cloned().unwrap_or_default()
    }

    /// Whether participants of another tier than the action's may call.
    pub(super) fn strangers(&self) -> bool {
        self.callers.iter().any(|tier| *tier != self.tier)
    }

    /// The Cedar type of its resource.
    pub(super) fn resource(&self) -> Arc<str> {
        match &self.about {
            About::Scope => match self.tier {
                Tier::System => platform::SYSTEM.into(),
                Tier::Organization => platform::ORGANIZATION.into(),
                Tier::Application => platform::APPLICATION.into(),
            },
            About::Service(entity) | About::Parameter { entity, .. } | About::Entity { entity, .. } => entity.clone(),
        }
    }

    /// The attributes of the entity that a request is about.
    pub(super) const fn attributes(&self) -> Option<&Described> {
        match &self.about {
            About::Scope | About::Service(_) => None,
            About::Parameter { attributes, .. } | About::Entity { attributes, .. } => Some(attributes),
        }
    }
}

impl About {
    fn of(resource: ResourceDecl, name: &ActionName) -> Self {
        match resource {
            ResourceDecl::Scope => Self::Scope,
            ResourceDecl::Service { name: service } => Self::Service(cedar_type(name.namespace(), service).into()),
            ResourceDecl::Parameter { name, entity } => {
                let entity = entity();
                let kind = cedar_type(&dotted(entity.namespace), entity.name).into();
                Self::Parameter { name: name.into(), entity: kind, attributes: entity.attributes }
            }
            ResourceDecl::Entity { entity } => {
                let entity = entity();
                let kind = cedar_type(&dotted(entity.namespace), entity.name).into();
                Self::Entity { entity: kind, attributes: entity.attributes }
            }
        }
    }
}

impl DeclaredService {
    pub(super) fn of(service: &ServiceDecl) -> Self {
        let methods = service.methods.iter().map(|m| Method {
            name: m.name.into(),
            arguments: m.arguments.iter().map(|a| Arc::from(*a)).collect(),
            streaming: m.streaming,
        });
        Self {
            name: ActionName::new(&dotted(service.namespace), service.name),
            version: service.version.map(Arc::from),
            place: service.place.to_string().into(),
            methods: methods.collect(),
        }
    }
}

fn dotted(namespace: &str) -> String {
    namespace.replace("::", ".")
}
