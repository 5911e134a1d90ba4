//! The documents that describe both interfaces over HTTP.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;

use policy_runtime::admin::Api;
use policy_runtime::signin::SignIn;
use serde_json::{Value, json};

/// The names of a document's operations, each there once; what it refers to is there, too.
fn operations(document: &Value) -> BTreeSet<String> {
    assert_eq!(document["openapi"], "3.1.0");
    for reference in document.to_string().split("\"$ref\":\"").skip(1) {
        let name = reference.split('"').next().unwrap().strip_prefix("#/components/schemas/").unwrap();
        assert!(document["components"]["schemas"][name]["properties"].is_object(), "{name}");
    }
    for way in document["security"].as_array().unwrap() {
        let name = way.as_object().unwrap().keys().next().unwrap();
        assert!(document["components"]["securitySchemes"][name]["type"].is_string(), "{name}");
    }
    let mut ids = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for operation in methods.as_object().unwrap().values() {
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{operation}");
            let has = |place: &str, name: &str| {
                let all = operation["parameters"].as_array().into_iter().flatten();
                all.filter(|one| one["in"] == place && one["name"] == name).count()
            };
            for name in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
                assert_eq!(has("path", name), 1, "{operation}");
            }
        }
    }
    ids
}

/// What callers read in the document before they write a client.
#[test]
fn the_documents_name_bodies_queries_and_headers() {
    let admin = Api::openapi();
    assert!(operations(&admin).len() > 25);
    let at = |path: &str, method: &str| &admin["paths"][format!("/api/v1{path}")][method];
    let parameter = |operation: &Value, name: &str| {
        let all = operation["parameters"].as_array().unwrap();
        all.iter().find(|one| one["name"] == name).map(|one| (one["in"].clone(), one["required"].clone()))
    };
    let activate = at("/scopes/{scope}/policies/{number}/activate", "post");
    assert_eq!(parameter(activate, "If-Match"), Some((json!("header"), json!(true))));
    assert_eq!(parameter(activate, "Idempotency-Key"), Some((json!("header"), json!(false))));
    let change = at("/scopes/{scope}/users/{user}", "patch");
    assert_eq!(parameter(change, "If-Match"), Some((json!("header"), json!(false))));
    assert_eq!(parameter(change, "Idempotency-Key"), None);
    let who = at("/scopes/{scope}/who", "get");
    assert_eq!(parameter(who, "action"), Some((json!("query"), json!(true))));
    assert_eq!(parameter(who, "limit"), Some((json!("query"), json!(false))));
    let page = &who["responses"]["200"]["content"]["application/json"]["schema"]["properties"];
    assert_eq!(page["items"]["items"]["$ref"], "#/components/schemas/WhoReply");
    assert_eq!(
        change["requestBody"]["content"]["application/json"]["schema"]["$ref"],
        "#/components/schemas/UserChange"
    );
    let schemas = &admin["components"]["schemas"];
    assert_eq!(schemas["UserChange"]["additionalProperties"], json!(false));
    assert_eq!(schemas["UserChange"]["properties"]["displayName"]["type"], json!(["string", "null"]));
    assert_eq!(schemas["UserChange"]["required"], Value::Null);
    assert_eq!(schemas["NewUser"]["required"], json!(["email"]));
    assert_eq!(schemas["NewUser"]["properties"]["email"]["description"], "The address, unique in the scope.");

    let sign_in = SignIn::openapi();
    let ids = operations(&sign_in);
    for id in ["register", "acceptInvitation", "resetPassword", "changeProfile", "sessions", "link"] {
        assert!(ids.contains(id), "{id} {ids:?}");
    }
    let founding = &sign_in["components"]["schemas"]["Founding"];
    assert_eq!(founding["required"], json!(["token", "orgName", "password"]));
    assert!(founding["properties"]["orgDescription"].is_object());
}
