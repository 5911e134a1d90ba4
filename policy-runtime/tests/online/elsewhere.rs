//! A program that the server does not contain: what it declares was registered, and the command tries, explains and searches it.

use serde_json::json;

use crate::stand::{post, signed_in};

#[test]
fn a_program_that_the_server_does_not_contain_is_explained_and_searched() {
    let stand = signed_in("elsewhere");
    let (said, _) = stand.run("policy key create server --role resource-server --app acme/orders --json");
    let key = serde_json::from_str::<serde_json::Value>(&said).unwrap()["key"].as_str().unwrap().to_owned();
    let amount = json!({ "name": "amount", "rustName": "amount", "type": { "kind": "Long" } });
    let order = json!({ "kind": "Record", "name": "Order", "fields": [amount] });
    let action = |name: &str, rule: &str| {
        json!({
            "action": format!("com.acme.Orders.{name}"), "namespace": "com.acme", "tier": "application",
            "callers": ["application", "organization"], "participant": "Platform::Participant",
            "resource": "com::acme::Orders", "about": "service", "authenticated": false, "sources": ["src/lib.rs:7"],
            "parameters": [{ "name": "order", "rustName": "order", "type": order }],
            "rules": [{ "rule": rule, "source": "src/lib.rs:7" }],
        })
    };
    let place = action("place", "order.amount < 100");
    let cancel = action("cancel", "participant.roles contains 'clerk'");
    let manifest = json!({ "version": "1", "manifest": { "manifest": 1, "actions": [cancel, place] } });
    let path = "/api/v1/scopes/app:acme%2Forders/manifests";
    let answer = post(&stand.url, path, &format!("x-api-key: {key}"), &manifest.to_string());
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    // Who and may: of the users of the application, and what is open whatever the arguments are.
    for (name, role) in [("cleo", "--role clerk "), ("vic", "")] {
        let line = format!("policy user add {name}@acme.example {role}--app acme/orders --password-file - --json");
        let (said, code) = stand.run(&line);
        assert_eq!(code, 0, "{said}");
    }
    let (said, code) = stand.run("policy policies who com.acme.Orders.cancel --app acme/orders");
    assert!(code == 0 && said.contains("cleo@acme.example") && !said.contains("vic@acme.example"), "{said}");
    let (said, code) = stand.run("policy policies who com.acme.Orders.plac --app acme/orders");
    assert!(code == 1 && said.contains("com.acme.Orders.plac"), "{said}");

    // A request that nobody made, by its own rule and then by one of the organization.
    let request = |amount: i64| {
        let request = json!({
            "participant": { "id": "cleo", "roles": ["clerk"] }, "action": "com.acme.Orders.place",
            "arguments": { "order": { "amount": amount } },
        });
        std::fs::write(stand.folder.join("request.json"), request.to_string()).unwrap();
        stand.run("policy policies explain --request request.json --hypothetical --app acme/orders").0
    };
    assert!(request(60).starts_with("ALLOW com.acme.Orders.place"), "{}", request(60));
    let denied = request(500);
    assert!(denied.starts_with("DENY com.acme.Orders.place") && denied.contains("order.amount < 100"), "{denied}");
    let new = "policy policies new small --org acme --rule 'forbid com.acme.Orders.place when order.amount > 50'";
    assert_eq!(stand.run(new).1, 0);
    assert_eq!(stand.run("policy policies activate 1 --org acme").1, 0);
    let denied = request(60);
    assert!(denied.starts_with("DENY com.acme.Orders.place") && denied.contains("order.amount > 50"), "{denied}");
    assert!(request(50).starts_with("ALLOW"), "{}", request(50));
    let (said, code) = stand.run("policy policies explain --request request.json --hypothetical --org acme");
    assert_ne!(code, 0, "it is about the application, not the organization: {said}");

    // Over HTTP, as a program asks; the attributes are checked as the program declares them.
    let body = json!({ "request": {
        "participant": { "id": "cleo" }, "action": "com.acme.Orders.place", "arguments": { "order": { "amuont": 1 } },
    }, "hypothetical": true });
    let (said, _) = stand.run("policy key create dev --role developer --org acme --json");
    let key = serde_json::from_str::<serde_json::Value>(&said).unwrap()["key"].as_str().unwrap().to_owned();
    let path = "/api/v1/scopes/app:acme%2Forders/explain";
    let answer = post(&stand.url, path, &format!("x-api-key: {key}"), &body.to_string());
    assert!(answer.starts_with("HTTP/1.1 422") && answer.contains("did you mean `amount`?"), "{answer}");
}
