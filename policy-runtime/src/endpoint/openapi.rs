//! The table of endpoints as an `OpenAPI` 3.1 document.

use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathsBuilder};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ArrayBuilder, Components, Object, Schema, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Content, Info, OpenApiBuilder, PathItem, Ref, RefOr, Required, Response};

use super::{Endpoint, Reply};
use crate::credential::SESSION_COOKIE;

/// What a document says of all its endpoints.
pub(crate) struct About {
    pub(crate) title: &'static str,
    /// The path that they are below.
    pub(crate) base: &'static str,
    /// What a failure is answered with.
    pub(crate) problem: Response,
    /// Whether a `post` takes `Idempotency-Key`.
    pub(crate) once: bool,
    /// The ways of saying who calls, by name.
    pub(crate) security: Vec<(&'static str, SecurityScheme)>,
}

/// How a body is described; what it names goes into the components.
pub(super) type Described = fn(&mut Components) -> RefOr<Schema>;

/// What has members is referred to by its name, all else stands where it is.
pub(super) fn named<T: ToSchema>(components: &mut Components) -> RefOr<Schema> {
    let schema = T::schema();
    let RefOr::T(Schema::Object(Object { properties, .. })) = &schema else { return schema };
    if properties.is_empty() {
        return schema;
    }
    let mut schemas = vec![(T::name().into_owned(), schema)];
    T::schemas(&mut schemas);
    for (name, schema) in schemas {
        let other = components.schemas.insert(name.clone(), schema);
        debug_assert!(
            other.is_none_or(|other| components.schemas.get(&name) == Some(&other)),
            "two are called `{name}`"
        );
    }
    Ref::from_schema_name(T::name()).into()
}

pub(super) fn array<T: ToSchema>(components: &mut Components) -> RefOr<Schema> {
    ArrayBuilder::new().items(named::<T>(components)).into()
}

#[cfg(feature = "admin")]
pub(super) fn page<T: ToSchema>(components: &mut Components) -> RefOr<Schema> {
    use utoipa::openapi::schema::{ObjectBuilder, SchemaType};

    let next = SchemaType::from_iter([Type::String, Type::Null]);
    ObjectBuilder::new()
        .property("items", array::<T>(components))
        .required("items")
        .property("next", ObjectBuilder::new().schema_type(next))
        .required("next")
        .into()
}

/// The ways of saying who calls that each document names.
pub(crate) fn bearer_or_session() -> Vec<(&'static str, SecurityScheme)> {
    vec![
        ("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer))),
        ("session", SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(SESSION_COOKIE)))),
    ]
}

pub(crate) fn document<S>(about: About, endpoints: Vec<Endpoint<S>>) -> Value {
    let mut components = Components::new();
    let mut paths = PathsBuilder::new();
    for endpoint in endpoints {
        let mut operation = OperationBuilder::new().operation_id(Some(endpoint.id)).summary(Some(endpoint.summary));
        for name in names(endpoint.path) {
            operation = operation.parameter(parameter(name, ParameterIn::Path, true));
        }
        for asked in endpoint.query {
            operation = operation.parameter(asked);
        }
        if let Some(must) = endpoint.seen {
            operation = operation.parameter(parameter("If-Match", ParameterIn::Header, must));
        }
        if about.once && endpoint.method == HttpMethod::Post {
            operation = operation.parameter(parameter("Idempotency-Key", ParameterIn::Header, false));
        }
        if let Some(body) = endpoint.body {
            let body =
                RequestBodyBuilder::new().required(Some(Required::True)).content(JSON, content(body(&mut components)));
            operation = operation.request_body(Some(body.build()));
        }
        let mut response = Response::new("done");
        let status = match endpoint.reply {
            Reply::Nothing => 204,
            Reply::Of(status, schema) => {
                response.content.insert(JSON.to_owned(), content(schema(&mut components)).into());
                status
            }
            #[cfg(feature = "admin")]
            Reply::Lines => {
                response.content.insert("application/x-ndjson".to_owned(), Content::default().into());
                200
            }
        };
        operation = operation.response(status.to_string(), response).response("default", about.problem.clone());
        paths = paths.path(format!("{}{}", about.base, endpoint.path), PathItem::new(endpoint.method, operation));
    }
    let ways = about.security.iter().map(|(name, _)| SecurityRequirement::new(*name, [""; 0])).collect::<Vec<_>>();
    components.add_security_schemes_from_iter(about.security);
    let document = OpenApiBuilder::new()
        .info(Info::new(about.title, "1"))
        .paths(paths)
        .components(Some(components))
        .security(Some(ways))
        .build();
    serde_json::to_value(document).unwrap_or_default()
}

const JSON: &str = "application/json";

fn content(schema: RefOr<Schema>) -> Content {
    Content::new(Some(schema))
}

fn parameter(name: &str, place: ParameterIn, must: bool) -> Parameter {
    let required = if must { Required::True } else { Required::False };
    let text = Object::with_type(Type::String);
    ParameterBuilder::new().name(name).parameter_in(place).required(required).schema(Some(text)).build()
}

/// The names in a path.
fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}
