//! The table of endpoints as an `OpenAPI` 3.1 document.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::BASE;
use super::table::{Endpoint, Reply};

pub(super) fn document(endpoints: &[Endpoint]) -> Value {
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
        parameters.extend((endpoint.method == "post").then(|| header("Idempotency-Key", false)));
        let mut of = |schema: super::table::Described| json!(schema(&mut generator));
        let content = |schema: Value| json!({ "application/json": { "schema": schema } });
        let (status, reply) = match endpoint.reply {
            Reply::Nothing => (204, json!({ "description": "done" })),
            Reply::Of(status, schema) => (status, json!({ "description": "done", "content": content(of(schema)) })),
            Reply::List(schema) => {
                let items = json!({ "type": "array", "items": of(schema) });
                let page = json!({ "type": "object", "properties": { "items": items, "next": {} } });
                (200, json!({ "description": "a page", "content": content(page) }))
            }
            Reply::Lines => (200, json!({ "description": "JSON lines", "content": { "application/x-ndjson": {} } })),
        };
        let problem = json!({ "description": "a problem, RFC 9457", "content": { "application/problem+json": {} } });
        let mut operation = json!({
            "operationId": endpoint.id,
            "summary": endpoint.summary,
            "parameters": parameters,
            "responses": { status.to_string(): reply, "default": problem },
        });
        if let (Some(body), Some(operation)) = (endpoint.body, operation.as_object_mut()) {
            operation.insert("requestBody".into(), json!({ "required": true, "content": content(of(body)) }));
        }
        let path = paths.entry(format!("{BASE}{}", endpoint.path)).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(endpoint.method.into(), operation);
        }
    }
    let schemas = generator.take_definitions(true);
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Administration of policies", "version": "1" },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer" },
                "basic": { "type": "http", "scheme": "basic" },
                "key": { "type": "apiKey", "in": "header", "name": "X-Api-Key" },
                "session": { "type": "apiKey", "in": "cookie", "name": "__Host-session" },
            },
        },
        "security": [{ "bearer": [] }, { "basic": [] }, { "key": [] }, { "session": [] }],
    })
}

/// The names in a path.
fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}
