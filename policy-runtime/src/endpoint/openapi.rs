//! The table of endpoints as an `OpenAPI` 3.1 document.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::{Described, Endpoint, Reply};

/// What a document says of all its endpoints.
#[derive(Debug)]
pub(crate) struct About {
    pub(crate) title: &'static str,
    /// The path that they are below.
    pub(crate) base: &'static str,
    /// What a failure is answered with.
    pub(crate) problem: Value,
    /// Whether a `post` takes `Idempotency-Key`.
    pub(crate) once: bool,
    /// The ways of saying who calls, by name.
    pub(crate) security: Value,
}

pub(crate) fn document<S>(about: &About, endpoints: &[Endpoint<S>]) -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut generator = settings.into_generator();
    let mut paths: Map<String, Value> = Map::new();
    for endpoint in endpoints {
        let mut parameters: Vec<Value> = names(endpoint.path)
            .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
            .collect();
        if let Some(query) = endpoint.query {
            let schema = query(&mut generator);
            let name = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
            let members =
                name.and_then(|name| generator.definitions().get(name)?.get("properties")?.as_object().cloned());
            for (name, schema) in members.unwrap_or_default() {
                parameters.push(json!({ "name": name, "in": "query", "schema": schema }));
            }
        }
        let header = |name: &str, must: bool| json!({ "name": name, "in": "header", "required": must, "schema": { "type": "string" } });
        parameters.extend(endpoint.seen.map(|must| header("If-Match", must)));
        parameters.extend((about.once && endpoint.method == "post").then(|| header("Idempotency-Key", false)));
        let mut of = |schema: Described| json!(schema(&mut generator));
        let content = |schema: Value| json!({ "application/json": { "schema": schema } });
        let (status, reply) = match endpoint.reply {
            Reply::Nothing => (204, json!({ "description": "done" })),
            Reply::Of(status, schema) => (status, json!({ "description": "done", "content": content(of(schema)) })),
            #[cfg(feature = "admin")]
            Reply::List(schema) => {
                let items = json!({ "type": "array", "items": of(schema) });
                let page = json!({ "type": "object", "properties": { "items": items, "next": {} } });
                (200, json!({ "description": "a page", "content": content(page) }))
            }
            #[cfg(feature = "admin")]
            Reply::Lines => (200, json!({ "description": "JSON lines", "content": { "application/x-ndjson": {} } })),
        };
        let mut operation = json!({
            "operationId": endpoint.id,
            "summary": endpoint.summary,
            "parameters": parameters,
            "responses": { status.to_string(): reply, "default": about.problem },
        });
        if let (Some(body), Some(operation)) = (endpoint.body, operation.as_object_mut()) {
            operation.insert("requestBody".into(), json!({ "required": true, "content": content(of(body)) }));
        }
        let path = paths.entry(format!("{}{}", about.base, endpoint.path)).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(endpoint.method.into(), operation);
        }
    }
    let schemas = generator.take_definitions(true);
    let ways = about.security.as_object().into_iter().flat_map(Map::keys);
    let ways: Vec<Value> = ways.map(|name| json!({ name: [] })).collect();
    json!({
        "openapi": "3.1.0",
        "info": { "title": about.title, "version": "1" },
        "paths": paths,
        "components": { "schemas": schemas, "securitySchemes": about.security },
        "security": ways,
    })
}

/// The names in a path.
fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}
