//! Cedar's schema, made from the model.
//!
//! In: a [`Model`]. Out: a [`CedarSchema`] and its text. Absent: any schema that a person wrote.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use cedar_policy::{Schema, SchemaFragment, Validator};
use serde_json::{Map, Value as Json, json};

use super::names::split;
use crate::context;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::kind::{Described, Field, Kind};
use crate::model::{ActionModel, EntityModel, Model};
use crate::name::EntityUid;
use crate::participant;
use crate::platform;
use crate::source::Span;

/// A schema that Cedar accepted, with the model that it was made from.
///
/// ```
/// use policy_core::{cedar, model::Model};
/// let schema = cedar::schema(&Model::default()).unwrap();
/// assert!(schema.model().entities.iter().any(|entity| &*entity.name == "Platform::Participant"));
/// ```
#[derive(Clone)]
pub struct CedarSchema {
    pub(super) whole: Arc<Validator>,
    model: Arc<Model>,
    /// Validators of single actions, each made when a policy names its action for the first time: sets are many, actions few.
    slices: Arc<Mutex<BTreeMap<EntityUid, Arc<Validator>>>>,
}

/// How many slices are kept.
const SLICES: usize = 1_000;

impl CedarSchema {
    /// The model, with the platform's own part.
    pub fn model(&self) -> &Model {
        &self.model
    }

    pub(super) fn shared_model(&self) -> Arc<Model> {
        self.model.clone()
    }

    fn new(schema: Schema, model: Model) -> Self {
        Self { whole: Arc::new(Validator::new(schema)), model: Arc::new(model), slices: Arc::default() }
    }

    /// A validator by a smaller schema, which has one action only and the types that it is about; `None` if there is no such
    /// action.
    pub(super) fn of_action(&self, action: &EntityUid) -> Option<Arc<Validator>> {
        let kept = || self.slices.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slice) = kept().get(action) {
            return Some(slice.clone());
        }
        let slice = Arc::new(Validator::new(self.slice(action)?));
        let mut kept = kept();
        if kept.len() < SLICES {
            kept.insert(action.clone(), slice.clone());
        }
        Some(slice)
    }

    fn slice(&self, action: &EntityUid) -> Option<Schema> {
        let found =
            self.model.actions.iter().find(|a| a.name.id() == action.id() && a.name.cedar_type() == action.kind())?;
        let mut wanted: BTreeSet<&str> = found.principals.iter().map(|p| &**p).collect();
        wanted.insert(&found.resource);
        let mut reached: Vec<&str> = wanted.iter().copied().collect();
        while let Some(name) = reached.pop() {
            let entity = self.model.entities.iter().find(|e| &*e.name == name);
            let parents = entity.map_or(&[] as &[_], |e| &e.parents).iter().map(|p| &**p);
            for parent in parents.chain(platform::PRINCIPAL_PARENTS) {
                if wanted.insert(parent) {
                    reached.push(parent);
                }
            }
        }
        let entities = self.model.entities.iter().filter(|e| wanted.contains(&*e.name)).cloned().collect();
        let slice = Model { entities, actions: vec![found.clone()], context: self.model.context.clone() };
        Schema::from_json_value(json_of(&slice)).ok()
    }
}

impl fmt::Debug for CedarSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CedarSchema")
            .field("entities", &self.model.entities.len())
            .field("actions", &self.model.actions.len())
            .finish_non_exhaustive()
    }
}

/// Makes the schema of a model, merged with the platform's own types and actions.
///
/// # Errors
/// When Cedar refuses it: a name that it cannot spell, a type that is missing.
///
/// ```
/// use policy_core::cedar;
/// use policy_core::model::Model;
/// let schema = cedar::schema(&Model::default()).unwrap();
/// assert!(schema.model().actions.iter().any(|a| a.name.id() == "createOrganization"));
/// ```
pub fn schema(model: &Model) -> Result<CedarSchema, Diagnostics> {
    let model = with_platform(model)?;
    let schema = Schema::from_json_value(json_of(&model)).map_err(|e| refused(&e))?;
    Ok(CedarSchema::new(schema, model))
}

/// Writes the schema of a model in Cedar's schema syntax.
///
/// # Errors
/// As [`schema`].
///
/// ```
/// use policy_core::{cedar, model::Model};
/// let text = cedar::schema_text(&Model::default()).unwrap();
/// assert!(text.contains("namespace Platform"), "{text}");
/// ```
pub fn schema_text(model: &Model) -> Result<String, Diagnostics> {
    let model = with_platform(model)?;
    let fragment = SchemaFragment::from_json_value(json_of(&model)).map_err(|e| refused(&e))?;
    fragment.to_cedarschema().map_err(|e| refused(&e))
}

fn refused(error: &dyn std::error::Error) -> Diagnostics {
    let mut message = format!("Cedar refuses the schema: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        message.push_str(": ");
        message.push_str(&cause.to_string());
        source = cause.source();
    }
    Diagnostic::error("schema", Span::default(), message).into()
}

/// Adds the platform's part; what the model says of the platform's types is joined with it.
fn with_platform(model: &Model) -> Result<Model, Diagnostics> {
    let mut out =
        Model { entities: platform::entities(), actions: platform::actions(), context: model.context.clone() };
    for entity in &model.entities {
        let Some(known) = out.entities.iter_mut().find(|e| e.name == entity.name) else {
            out.entities.push(entity.clone());
            continue;
        };
        known.parents.extend(entity.parents.iter().filter(|p| !known.parents.contains(p)).cloned().collect::<Vec<_>>());
        for field in &entity.attributes {
            match known.attributes.iter().find(|f| f.name == field.name) {
                None => known.attributes.push(field.clone()),
                Some(other) if other.ty == field.ty => {}
                Some(other) => {
                    let message = format!(
                        "`{}` of `{}` is {} in one place and {} in another",
                        field.name, entity.name, other.ty.kind, field.ty.kind
                    );
                    return Err(Diagnostic::error("schema-clash", Span::default(), message).into());
                }
            }
        }
    }
    for action in &model.actions {
        match out.actions.iter().find(|a| a.name == action.name) {
            None => out.actions.push(action.clone()),
            Some(other) if other == action => {}
            Some(_) => {
                let message = format!("the action `{}` is declared twice, and differently", action.name);
                return Err(Diagnostic::error("schema-clash", Span::default(), message).into());
            }
        }
    }
    Ok(out)
}

#[derive(Default)]
struct Namespace {
    common: Map<String, Json>,
    entities: Map<String, Json>,
    actions: Map<String, Json>,
}

fn json_of(model: &Model) -> Json {
    let mut namespaces: BTreeMap<&str, Namespace> = BTreeMap::new();
    let principals: BTreeSet<&str> =
        model.actions.iter().flat_map(|a| a.principals.iter().map(|p| &**p)).chain([platform::PARTICIPANT]).collect();
    for entity in &model.entities {
        let (namespace, name) = split(&entity.name);
        let shape = entity_json(entity, principals.contains(&*entity.name));
        namespaces.entry(namespace).or_default().entities.insert(name.to_owned(), shape);
    }
    let shared = record(context::BUILT_IN.fields.iter().chain(&model.context));
    namespaces.entry(platform::NAMESPACE).or_default().common.insert("Context".to_owned(), shared);
    let owned: Vec<(String, &ActionModel)> = model.actions.iter().map(|a| (a.name.cedar_type(), a)).collect();
    for (kind, action) in &owned {
        let namespace = namespaces.entry(split(kind).0).or_default();
        namespace.actions.insert(action.name.id().to_owned(), action_json(action, &model.context));
    }
    // A group is an action that applies to nothing, unless there is an action of that name.
    for (kind, action) in &owned {
        let namespace = namespaces.entry(split(kind).0).or_default();
        for group in &action.groups {
            namespace.actions.entry(group.to_string()).or_insert_with(|| json!({}));
        }
    }
    let mut out = Map::new();
    for (name, Namespace { common, entities, actions }) in namespaces {
        let mut body = Map::new();
        if !common.is_empty() {
            body.insert("commonTypes".to_owned(), Json::Object(common));
        }
        body.insert("entityTypes".to_owned(), Json::Object(entities));
        body.insert("actions".to_owned(), Json::Object(actions));
        out.insert(name.to_owned(), Json::Object(body));
    }
    Json::Object(out)
}

fn entity_json(entity: &EntityModel, is_principal: bool) -> Json {
    let mut parents: Vec<&str> = entity.parents.iter().map(|p| &**p).collect();
    let mut fields: Vec<&Field> = Vec::new();
    if is_principal {
        parents.extend(platform::PRINCIPAL_PARENTS.iter().filter(|p| !entity.parents.iter().any(|q| **q == ***p)));
        fields.extend(&participant::BUILT_IN.fields);
    }
    fields.extend(entity.attributes.iter().filter(|f| !is_principal || participant::BUILT_IN.field(&f.name).is_none()));
    json!({ "memberOfTypes": parents, "shape": record(fields) })
}

fn action_json(action: &ActionModel, own: &[Field]) -> Json {
    let readable: Vec<Field> = action
        .params
        .iter()
        .filter_map(|(name, ty)| {
            let ty = ty.clone()?;
            Some(Field { name: name.clone(), rust_name: name.clone(), ty, secret: false })
        })
        .collect();
    let context = if readable.is_empty() {
        json!({ "type": "Platform::Context" })
    } else {
        let mut context = record(context::BUILT_IN.fields.iter().chain(own));
        if let Some(attributes) = context.get_mut("attributes").and_then(Json::as_object_mut) {
            attributes.insert("args".to_owned(), record(&readable));
        }
        context
    };
    json!({
        "memberOf": action.groups.iter().map(|group| json!({ "id": &**group })).collect::<Vec<_>>(),
        "appliesTo": {
            "principalTypes": action.principals.iter().map(|p| &**p).collect::<Vec<_>>(),
            "resourceTypes": [&*action.resource],
            "context": context,
        },
    })
}

fn record<'a>(fields: impl IntoIterator<Item = &'a Field>) -> Json {
    let attributes: Map<String, Json> =
        fields.into_iter().map(|field| (field.name.to_string(), attribute(&field.ty))).collect();
    json!({ "type": "Record", "attributes": attributes })
}

fn attribute(described: &Described) -> Json {
    let mut ty = kind(&described.kind);
    if let Some(ty) = ty.as_object_mut() {
        ty.insert("required".to_owned(), Json::Bool(!described.optional));
    }
    ty
}

fn kind(kind_of: &Kind) -> Json {
    match kind_of {
        Kind::Bool => json!({ "type": "Boolean" }),
        Kind::Long => json!({ "type": "Long" }),
        Kind::Decimal => json!({ "type": "Extension", "name": "decimal" }),
        Kind::Text | Kind::Uuid | Kind::Enum(_) => json!({ "type": "String" }),
        Kind::Datetime => json!({ "type": "Extension", "name": "datetime" }),
        Kind::Ip => json!({ "type": "Extension", "name": "ipaddr" }),
        Kind::Set(item) => json!({ "type": "Set", "element": kind(item) }),
        Kind::Record(ty) => record(&ty.fields),
    }
}
