//! A manifest as it is written: plain data for serde, in both directions.
//!
//! In: [`Declared`] or JSON. Out: the other. Absent: checks of what it says beyond its form.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::declared::{About, Declared, DeclaredService, Method, Param, Written};
use crate::kind::{Described, Field, Kind, RecordType};
use crate::name::{ActionName, Tier};
use crate::platform;

/// The form of manifests that this version writes, and the only one it reads.
pub(super) const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawManifest {
    pub(super) manifest: u32,
    pub(super) actions: Vec<RawAction>,
    #[serde(default)]
    pub(super) services: Vec<RawService>,
}

/// A name: whole, for people, and what of it is the namespace.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Name {
    action: Arc<str>,
    #[serde(default)]
    namespace: Arc<str>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawAction {
    action: Arc<str>,
    #[serde(default)]
    namespace: Arc<str>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    was: Vec<Name>,
    tier: TierName,
    callers: Vec<TierName>,
    #[serde(default)]
    must_audit: bool,
    participant: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    participant_attributes: Option<Type>,
    resource: Arc<str>,
    about: AboutName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resource_attributes: Option<Type>,
    parameters: Vec<Parameter>,
    rules: Vec<Rule>,
    #[serde(default)]
    authenticated: bool,
    sources: Vec<Arc<str>>,
}

#[derive(Serialize, Deserialize, Clone, Copy)]
#[serde(rename_all = "camelCase")]
enum TierName {
    System,
    Organization,
    Application,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum AboutName {
    Scope,
    Service,
    Parameter(Arc<str>),
    Row,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Parameter {
    name: Arc<str>,
    rust_name: Arc<str>,
    #[serde(rename = "type")]
    ty: Option<Type>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    rule: Arc<str>,
    source: Arc<str>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Type {
    kind: KindName,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    optional: bool,
    /// Whether a value may be one that the kind cannot hold.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    fallible: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    variants: Vec<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    of: Option<Box<Self>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    fields: Vec<Attribute>,
}

#[derive(Serialize, Deserialize, Clone, Copy)]
enum KindName {
    Bool,
    Long,
    Decimal,
    Text,
    Uuid,
    Enum,
    Datetime,
    Ip,
    Set,
    Record,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Attribute {
    name: Arc<str>,
    rust_name: Arc<str>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    secret: bool,
    #[serde(rename = "type")]
    ty: Type,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawService {
    service: Arc<str>,
    #[serde(default)]
    namespace: Arc<str>,
    version: Option<Arc<str>>,
    source: Arc<str>,
    methods: Vec<MethodOf>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MethodOf {
    name: Arc<str>,
    arguments: Vec<Arc<str>>,
    streaming: bool,
}

impl RawManifest {
    pub(super) fn of(actions: &[Declared], services: &[DeclaredService]) -> Self {
        Self {
            manifest: VERSION,
            actions: actions.iter().map(RawAction::of).collect(),
            services: services.iter().map(RawService::of).collect(),
        }
    }
}

/// A dotted name in its namespace, or why it is none.
fn name(whole: &str, namespace: &str) -> Result<ActionName, String> {
    let id = if namespace.is_empty() {
        Some(whole)
    } else {
        whole.strip_prefix(namespace).and_then(|rest| rest.strip_prefix('.'))
    };
    match id {
        Some(id) if !id.is_empty() => Ok(ActionName::new(namespace, id)),
        _ => Err(format!("`{whole}` is no name in the namespace `{namespace}`")),
    }
}

impl RawAction {
    fn of(from: &Declared) -> Self {
        Self {
            action: from.name.to_string().into(),
            namespace: from.name.namespace().into(),
            was: from
                .was
                .iter()
                .map(|was| Name { action: was.to_string().into(), namespace: was.namespace().into() })
                .collect(),
            tier: from.tier.into(),
            callers: from.callers.iter().map(|tier| (*tier).into()).collect(),
            must_audit: from.must_audit,
            participant: from.participant.as_ref().map_or_else(|| platform::PARTICIPANT.into(), |(own, _)| own.clone()),
            participant_attributes: from.participant.as_ref().map(|(_, attributes)| Type::of(attributes)),
            resource: from.resource(),
            about: match &from.about {
                About::Scope => AboutName::Scope,
                About::Service(_) => AboutName::Service,
                About::Parameter { name, .. } => AboutName::Parameter(name.clone()),
                About::Entity { .. } => AboutName::Row,
            },
            resource_attributes: from.attributes().map(Type::of),
            parameters: from
                .params
                .iter()
                .map(|p| Parameter {
                    name: p.name.clone(),
                    rust_name: p.rust_name.clone(),
                    ty: p.ty.as_ref().map(Type::of),
                })
                .collect(),
            rules: from.rules.iter().map(|r| Rule { rule: r.text.clone(), source: r.place.clone() }).collect(),
            authenticated: from.authenticated,
            sources: from.places.clone(),
        }
    }

    /// What it is called, for messages about it.
    pub(super) fn shown(&self) -> &str {
        &self.action
    }

    pub(super) fn declared(self) -> Result<Declared, String> {
        let attributes = |ty: Option<Type>| {
            let described = ty.ok_or("`resourceAttributes` is missing")?.described()?;
            if matches!(described.kind, Kind::Record(_)) { Ok(described) } else { Err("a resource is no record") }
        };
        let about = match self.about {
            AboutName::Scope => About::Scope,
            AboutName::Service => About::Service(self.resource),
            AboutName::Parameter(name) if self.parameters.iter().any(|p| p.name == name) => {
                About::Parameter { name, entity: self.resource, attributes: attributes(self.resource_attributes)? }
            }
            AboutName::Parameter(name) => return Err(format!("there is no parameter `{name}`")),
            AboutName::Row => {
                About::Entity { entity: self.resource, attributes: attributes(self.resource_attributes)? }
            }
        };
        if self.callers.is_empty() || self.sources.is_empty() {
            return Err("`callers` and `sources` say at least one each".to_owned());
        }
        let participant = match self.participant_attributes {
            Some(ty) => Some((self.participant, ty.described()?)),
            None if *self.participant == *platform::PARTICIPANT => None,
            None => return Err("`participantAttributes` is missing".to_owned()),
        };
        let mut callers: Vec<Tier> = self.callers.into_iter().map(Tier::from).collect();
        callers.sort_unstable();
        callers.dedup();
        let mut params = Vec::with_capacity(self.parameters.len());
        for Parameter { name, rust_name, ty } in self.parameters {
            params.push(Param { name, rust_name, ty: ty.map(Type::described).transpose()? });
        }
        Ok(Declared {
            name: name(&self.action, &self.namespace)?,
            was: self.was.iter().map(|was| name(&was.action, &was.namespace)).collect::<Result<_, _>>()?,
            tier: self.tier.into(),
            callers,
            must_audit: self.must_audit,
            participant,
            about,
            params,
            rules: self.rules.into_iter().map(|r| Written { text: r.rule, place: r.source }).collect(),
            authenticated: self.authenticated,
            places: self.sources,
        })
    }
}

impl RawService {
    fn of(from: &DeclaredService) -> Self {
        let methods = from.methods.iter().map(|m| MethodOf {
            name: m.name.clone(),
            arguments: m.arguments.clone(),
            streaming: m.streaming,
        });
        Self {
            service: from.name.to_string().into(),
            namespace: from.name.namespace().into(),
            version: from.version.clone(),
            source: from.place.clone(),
            methods: methods.collect(),
        }
    }

    pub(super) fn declared(self) -> Result<DeclaredService, String> {
        let methods =
            self.methods.into_iter().map(|m| Method { name: m.name, arguments: m.arguments, streaming: m.streaming });
        Ok(DeclaredService {
            name: name(&self.service, &self.namespace)?,
            version: self.version,
            place: self.source,
            methods: methods.collect(),
        })
    }
}

impl Type {
    fn of(from: &Described) -> Self {
        let (mut variants, mut of, mut name, mut fields) = (Vec::new(), None, None, Vec::new());
        let kind = match &from.kind {
            Kind::Bool => KindName::Bool,
            Kind::Long => KindName::Long,
            Kind::Decimal => KindName::Decimal,
            Kind::Text => KindName::Text,
            Kind::Uuid => KindName::Uuid,
            Kind::Datetime => KindName::Datetime,
            Kind::Ip => KindName::Ip,
            Kind::Enum(all) => {
                variants = all.to_vec();
                KindName::Enum
            }
            Kind::Set(item) => {
                of = Some(Box::new(Self::of(&Described::required((**item).clone()))));
                KindName::Set
            }
            Kind::Record(record) => {
                name = Some(record.name.clone());
                fields = record
                    .fields
                    .iter()
                    .map(|f| Attribute {
                        name: f.name.clone(),
                        rust_name: f.rust_name.clone(),
                        secret: f.secret,
                        ty: Self::of(&f.ty),
                    })
                    .collect();
                KindName::Record
            }
        };
        Self { kind, optional: from.optional, fallible: from.fallible, variants, of, name, fields }
    }

    fn described(self) -> Result<Described, &'static str> {
        let kind = match self.kind {
            KindName::Bool => Kind::Bool,
            KindName::Long => Kind::Long,
            KindName::Decimal => Kind::Decimal,
            KindName::Text => Kind::Text,
            KindName::Uuid => Kind::Uuid,
            KindName::Datetime => Kind::Datetime,
            KindName::Ip => Kind::Ip,
            KindName::Enum => Kind::Enum(self.variants.into()),
            KindName::Set => Kind::Set(Arc::new(self.of.ok_or("a Set says what it is `of`")?.described()?.kind)),
            KindName::Record => {
                let mut fields: Vec<Field> = Vec::with_capacity(self.fields.len());
                for Attribute { name, rust_name, secret, ty } in self.fields {
                    if fields.iter().any(|known| known.name == name) {
                        return Err("a record has two attributes of one name");
                    }
                    fields.push(Field { name, rust_name, ty: ty.described()?, secret });
                }
                Kind::Record(Arc::new(RecordType { name: self.name.ok_or("a Record has a `name`")?, fields }))
            }
        };
        Ok(Described { kind, optional: self.optional, fallible: self.fallible })
    }
}

impl From<Tier> for TierName {
    fn from(tier: Tier) -> Self {
        match tier {
            Tier::System => Self::System,
            Tier::Organization => Self::Organization,
            Tier::Application => Self::Application,
        }
    }
}

impl From<TierName> for Tier {
    fn from(name: TierName) -> Self {
        match name {
            TierName::System => Self::System,
            TierName::Organization => Self::Organization,
            TierName::Application => Self::Application,
        }
    }
}
