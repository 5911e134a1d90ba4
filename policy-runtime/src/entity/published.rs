//! Entities that clients call by name: the two services of Kinotic's persistence.
//!
//! In: repositories. Out: services for each application, which find the entity that a call names. Absent: transports, and any
//! way to rows but the repositories' operations, so that every policy holds.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use policy_core::Scope;
use policy_core::contract::Stored;
use policy_core::decl::{MethodDecl, ServiceDecl};
use policy_core::source::Place;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::EntityError;
use super::offered::{Call, Offered, Side};
use super::query::Query;
use super::repository::Repository;
use crate::code::Code;
use crate::security::SecurityContext;
use crate::service::{Arguments, CallError, CallFuture, Service};

/// Makes the query of a name from its parameters.
type Named = Arc<dyn Fn(&Parameters) -> Result<Query, EntityError> + Send + Sync>;

/// An entity as clients of `@kinotic-ai/persistence` call it: by the name `<organization>.<application>.<entity>`.
///
/// ```
/// use policy_runtime::entity::{Entities, Pool, Published, Query};
/// use policy_runtime::{Entity, Scope};
/// # #[derive(Entity, serde::Serialize, serde::Deserialize)]
/// # struct Photo { id: String, title: String }
///
/// # async fn example(entities: &Entities) -> Result<(), Box<dyn std::error::Error>> {
/// let photos = Published::new(entities.repository::<Photo>().await?)
///     .name("Picture")
///     .application(Scope::application("acme", "gallery")?)
///     .query("titled", |parameters| Ok(Query::eq("title", parameters.get::<String>("title")?)));
/// # Ok(())
/// # }
/// ```
pub struct Published {
    name: String,
    application: Option<Scope>,
    queries: HashMap<String, Named>,
    offered: Arc<dyn Offered>,
}

impl Published {
    /// Publishes an entity under its type's name, for the application that the gateway's policy serves.
    pub fn new<T: Stored + Serialize + DeserializeOwned + Send + Sync + 'static>(repository: Repository<T>) -> Self {
        let offered = Arc::new(repository);
        Self { name: T::NAME.to_owned(), application: None, queries: HashMap::new(), offered }
    }

    /// Publishes it under another name. Case does not count in names.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Publishes it for another application. Rows of one table are of all applications that it is published for, unless a
    /// tenant or a rule keeps them apart.
    #[must_use]
    pub fn application(mut self, application: Scope) -> Self {
        self.application = Some(application);
        self
    }

    /// Answers `namedQuery` and `namedQueryPage` of this name, decided as `search`. Fields that the caller may not read cannot
    /// be named here either.
    #[must_use]
    pub fn query(
        mut self,
        name: &str,
        query: impl Fn(&Parameters) -> Result<Query, EntityError> + Send + Sync + 'static,
    ) -> Self {
        self.queries.insert(name.to_owned(), Arc::new(query));
        self
    }
}

impl<T: Stored + Serialize + DeserializeOwned + Send + Sync + 'static> From<Repository<T>> for Published {
    fn from(repository: Repository<T>) -> Self {
        Self::new(repository)
    }
}

impl fmt::Debug for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Published")
            .field("name", &self.name)
            .field("application", &self.application)
            .finish_non_exhaustive()
    }
}

/// The parameters of a named query, as the client sent them.
///
/// ```
/// use policy_runtime::entity::{EntityError, Parameters, Query};
///
/// fn cheaper(parameters: &Parameters) -> Result<Query, EntityError> {
///     Ok(Query::lt("price", parameters.get::<i64>("price")?))
/// }
/// let parameters: Parameters = serde_json::from_str(r#"[{"key": "price", "value": 100}]"#)?;
/// assert_eq!(cheaper(&parameters)?, Query::lt("price", 100));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Parameters(Vec<Parameter>);

#[derive(Debug, Clone, Deserialize)]
struct Parameter {
    key: String,
    #[serde(default)]
    value: Value,
}

impl Parameters {
    /// A parameter; one that is not there reads as `null`.
    ///
    /// # Errors
    /// [`EntityError::Query`], when it is not of that type.
    pub fn get<V: DeserializeOwned>(&self, name: &str) -> Result<V, EntityError> {
        let given = self.0.iter().find(|parameter| parameter.key == name).map(|parameter| parameter.value.clone());
        serde_json::from_value(given.unwrap_or_default())
            .map_err(|error| EntityError::Query(format!("the parameter `{name}` does not fit: {error}")))
    }
}

/// Why entities cannot be published together.
///
/// ```
/// use policy_runtime::entity::PublishError;
/// assert_eq!(PublishError::Twice("acme.gallery.photo".into()).to_string(), "`acme.gallery.photo` is published twice");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// Two have one name.
    #[error("`{0}` is published twice")]
    Twice(String),
    /// They are for what is no application.
    #[error("`{0}` is no application")]
    Application(Scope),
}

/// The services of published entities, each with the application that it is for. The gateway mounts them by itself.
///
/// ```
/// use policy_runtime::Scope;
/// use policy_runtime::entity::{Published, services};
///
/// let gallery = Scope::application("acme", "gallery").unwrap();
/// assert_eq!(services(Vec::<Published>::new(), &gallery).unwrap().count(), 0);
/// ```
///
/// # Errors
/// When two have one name, or one is for no application.
pub fn services(
    published: impl IntoIterator<Item = Published>,
    default: &Scope,
) -> Result<impl Iterator<Item = (Scope, Arc<dyn Service>)>, PublishError> {
    let mut by_application: HashMap<Scope, HashMap<String, Entry>> = HashMap::new();
    for Published { name, application, queries, offered } in published {
        let application = application.unwrap_or_else(|| default.clone());
        let Scope::Application { organization, application: id } = &application else {
            return Err(PublishError::Application(application));
        };
        let id = format!("{organization}.{id}.{name}").to_lowercase();
        let entries = by_application.entry(application).or_default();
        if entries.insert(id.clone(), Entry { queries, offered }).is_some() {
            return Err(PublishError::Twice(id));
        }
    }
    Ok(by_application.into_iter().flat_map(|(application, entries)| {
        let entries = Arc::new(entries);
        [(Side::Own, &OWN), (Side::Across, &ACROSS)].map(|(side, declaration)| {
            let service = Persistence { side, declaration, entries: entries.clone() };
            (application.clone(), Arc::new(service) as Arc<dyn Service>)
        })
    }))
}

struct Entry {
    queries: HashMap<String, Named>,
    offered: Arc<dyn Offered>,
}

/// One of the two services, over an application's entities by name.
struct Persistence {
    side: Side,
    declaration: &'static ServiceDecl,
    entries: Arc<HashMap<String, Entry>>,
}

const fn method(name: &'static str, rust_name: &'static str, arguments: &'static [&'static str]) -> MethodDecl {
    // The action is the entity's, once the call names one.
    MethodDecl { name, rust_name, action: name, arguments, streaming: false }
}

const fn service(name: &'static str, methods: &'static [MethodDecl]) -> ServiceDecl {
    ServiceDecl {
        package: env!("CARGO_PKG_NAME"),
        namespace: "org.kinotic.persistence.api.services",
        name,
        version: None,
        place: Place { file: file!(), line: line!() },
        methods,
    }
}

static OWN: ServiceDecl = service(
    "JsonEntitiesRepository",
    &[
        method("save", "save", &["entityId", "entity"]),
        method("bulkSave", "bulk_save", &["entityId", "entities"]),
        method("update", "update", &["entityId", "entity"]),
        method("bulkUpdate", "bulk_update", &["entityId", "entities"]),
        method("findById", "find_by_id", &["entityId", "id"]),
        method("findByIds", "find_by_ids", &["entityId", "ids"]),
        method("findAll", "find_all", &["entityId", "pageable"]),
        method("search", "search", &["entityId", "query", "pageable"]),
        method("count", "count", &["entityId"]),
        method("countByQuery", "count_by_query", &["entityId", "query"]),
        method("deleteById", "delete_by_id", &["entityId", "id"]),
        method("deleteByQuery", "delete_by_query", &["entityId", "query"]),
        method("syncIndex", "sync_index", &["entityId"]),
        method("namedQuery", "named_query", &["entityId", "name", "parameters"]),
        method("namedQueryPage", "named_query_page", &["entityId", "name", "parameters", "pageable"]),
    ],
);

static ACROSS: ServiceDecl = service(
    "AdminJsonEntitiesRepository",
    &[
        method("findById", "find_by_id", &["entityId", "id"]),
        method("findByIds", "find_by_ids", &["entityId", "ids"]),
        method("findAll", "find_all", &["entityId", "tenants", "pageable"]),
        method("search", "search", &["entityId", "query", "tenants", "pageable"]),
        method("count", "count", &["entityId", "tenants"]),
        method("countByQuery", "count_by_query", &["entityId", "query", "tenants"]),
        method("deleteById", "delete_by_id", &["entityId", "id"]),
        method("deleteByQuery", "delete_by_query", &["entityId", "query", "tenants"]),
        method("namedQuery", "named_query", &["entityId", "name", "parameters"]),
        method("namedQueryPage", "named_query_page", &["entityId", "name", "parameters", "pageable"]),
    ],
);

impl Service for Persistence {
    fn declaration(&self) -> &'static ServiceDecl {
        self.declaration
    }

    fn call(self: Arc<Self>, method: &str, arguments: Arguments, context: SecurityContext) -> CallFuture {
        let called = self.called(method, arguments);
        Box::pin(async move {
            let (offered, call) = called?;
            offered.call(call, context).await
        })
    }
}

impl Persistence {
    fn called(&self, method: &str, arguments: Arguments) -> Result<(Arc<dyn Offered>, Call), CallError> {
        let Some(declared) = self.declaration.methods.iter().find(|declared| declared.name == method) else {
            return Err(CallError::unknown_method(self.declaration.name, method));
        };
        arguments.expect(declared.arguments.len())?;
        let id: String = arguments.take(0, "entityId")?;
        // An entity of another application looks like one that is not there.
        let entry = self.entries.get(&id.to_lowercase()).ok_or_else(|| missing("entity", &id))?;
        let query = if declared.name.starts_with("named") {
            let name: String = arguments.take(1, "name")?;
            let named = entry.queries.get(&name).ok_or_else(|| missing("query", &name))?;
            Some(named(&arguments.take(2, "parameters")?)?)
        } else {
            None
        };
        let call = Call { side: self.side, method: method.to_owned(), arguments, query };
        Ok((entry.offered.clone(), call))
    }
}

fn missing(what: &str, name: &str) -> CallError {
    let name: String = name.chars().take(100).collect();
    CallError::new(Code::NotFound, format!("there is no {what} `{name}`"))
}
