//! Pages of other sites and forged bodies, tried at every endpoint and page that there is.

use policy_runtime::signin::SignIn;

use super::*;

const JSON: (&str, &str) = ("content-type", "application/json");

/// Nobody counts how often it is asked.
async fn unlimited() -> Stand {
    Stand::of("sqlite::memory:", "[server]\nfounding = true\nrate_limits = false\n").await
}

/// The least body that an endpoint takes, and the names of all members.
type Body = (Value, Vec<String>);

/// Each endpoint of the document: its method, its path, and its body.
fn endpoints() -> Vec<(String, String, Option<Body>)> {
    let document = SignIn::openapi();
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let parts = [("{organization}", "acme"), ("{application}", "shop"), ("{id}", "s_1"), ("{provider}", "x")];
            let path = parts.iter().fold(path.clone(), |path, (part, with)| path.replace(part, with));
            let schema = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str();
            let body = schema.map(|name| {
                let schema = &document["components"]["schemas"][name.rsplit('/').next().unwrap()];
                let least = schema["required"].as_array().into_iter().flatten();
                let least = least.map(|name| (name.as_str().unwrap().to_owned(), json!("x"))).collect();
                (Value::Object(least), schema["properties"].as_object().unwrap().keys().cloned().collect())
            });
            all.push((method.to_uppercase(), path, body));
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_of_another_site_does_anything() {
    let stand = unlimited().await;
    stand.user("shop", "ann@example.com").await;
    let cookie = stand.login("shop", "ann@example.com", PASSWORD).await.cookies();
    let changing = endpoints().into_iter().filter(|(method, ..)| method != "GET");
    let mut ways: Vec<_> = changing.map(|(m, path, body)| (m, path, body.map(|(body, _)| body.to_string()))).collect();
    assert!(ways.len() > 20, "{ways:?}");
    let login = json!({ "email": "ann@example.com", "password": PASSWORD }).to_string();
    for (path, body) in [
        ("login", Some(&login)),
        ("org/login", Some(&login)),
        ("app/acme/shop/login", Some(&login)),
        ("logout", None),
        ("org/login/social/start/x", None),
        ("app/acme/shop/login/oidc/start/x", None),
        ("org/signup/social/start/x", None),
    ] {
        ways.push(("POST".to_owned(), format!("/api/auth/{path}"), body.cloned()));
    }
    let elsewhere = [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ];
    for from in elsewhere {
        for (method, path, body) in &ways {
            let headers = [JSON, ("cookie", &*cookie), from];
            let told = stand.send(method, path, &headers, body.as_deref().unwrap_or_default()).await;
            assert_eq!((told.status, told.cookies()), (403, String::new()), "{method} {path} {from:?}: {}", told.body);
        }
        let question = authorize("app", "").split_once('?').unwrap().1.to_owned();
        for page in ["register", "forgot", "signup", "register/complete", "signup/complete", "reset", "invite"] {
            let (path, form) = (format!("/auth/{page}?{question}"), "application/x-www-form-urlencoded");
            let headers = [("content-type", form), ("cookie", &*cookie), from];
            let told = stand.send("POST", &path, &headers, "email=ann%40example.com").await;
            assert_eq!((told.status, told.cookies()), (403, String::new()), "{path} {from:?}: {}", told.body);
        }
        let told = stand.send("POST", "/api/auth/oauth/end_session", &[("cookie", &cookie), from], "").await;
        assert!(told.status == 200 && told.cookies().is_empty(), "the user is asked: {} {}", told.head, told.body);
    }
    assert!(stand.is_signed_in(&cookie).await && stand.sink.letters().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_says_in_a_body_who_they_are() {
    let stand = unlimited().await;
    let ann = stand.user("shop", "ann@example.com").await;
    let bob = stand.user("shop", "bob@example.com").await;
    stand.user("vault", "ann@example.com").await;
    let cookie = stand.login("shop", "ann@example.com", PASSWORD).await.cookies();
    let headers = [JSON, ("cookie", &*cookie)];
    let mut tried = 0;
    for (method, path, body) in endpoints() {
        let Some((body, members)) = body else { continue };
        let told = stand.send(&method, &path, &headers, &body.to_string()).await;
        assert!(!told.body.contains("Invalid request body"), "{path} {body}: {}", told.body);
        for name in ["id", "user", "userId", "sub", "subject", "scope", "organizationId", "roles", "attributes", "mfa"]
        {
            if members.iter().any(|own| own == name) {
                continue;
            }
            let mut forged = body.clone();
            forged[name] = json!(bob.id);
            let told = stand.send(&method, &path, &headers, &forged.to_string()).await;
            assert!(told.status == 400 && told.body.contains("Invalid request body"), "{path} {forged}: {}", told.body);
            tried += 1;
        }
    }
    assert!(tried > 150, "{tried}");
    // Where one signs in, what is said besides is passed over.
    let body = json!({
        "email": "ann@example.com", "password": PASSWORD, "id": bob.id, "scope": "app:acme/vault", "roles": ["admin"],
        "organizationId": "globex", "applicationId": "vault", "mfa": true,
    });
    let cookie = stand.post("/app/acme/shop/login", body).await.cookies();
    let told = stand.get(&cookie, "/api/auth/profile").await.json().unwrap();
    assert_eq!((told["id"].as_str(), told["scope"].as_str()), (Some(&*ann.id), Some("app:acme/shop")));
    assert_eq!(told["mfa"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_listed_origins_may_ask_and_read_the_answer() {
    const PAGE: &str = "https://app.example";
    let more = format!("[server]\nfounding = true\ncors_origins = [\"{PAGE}\"]\ncors_credentials = true\n");
    let stand = Stand::of("sqlite::memory:", &more).await;
    stand.user("shop", "ann@example.com").await;
    let cookie = stand.login("shop", "ann@example.com", PASSWORD).await.cookies();
    let from = async |origin: &str, method: &str, path: &str| {
        let headers = [JSON, ("cookie", &*cookie), ("origin", origin), ("sec-fetch-site", "cross-site")];
        let told = stand.send(method, path, &headers, "").await;
        (told.status, told.head.to_lowercase().contains(&format!("access-control-allow-origin: {origin}")), told)
    };
    let sessions = "/api/auth/sessions";
    let (status, may_read, told) = from(PAGE, "GET", sessions).await;
    assert_eq!((status, may_read), (200, true), "{}", told.body);
    let own = format!("{sessions}/{}", told.json().unwrap()[0]["id"].as_str().unwrap());
    let (_, _, asked) = from(PAGE, "OPTIONS", &own).await;
    let allowed = asked.head.to_lowercase();
    assert!(allowed.contains("access-control-allow-methods: get, post, put, patch, delete"), "{allowed}");
    for evil in ["https://evil.example", "null", "https://app.example.evil.example", "https://app.example:444"] {
        for (method, path) in [("GET", sessions), ("DELETE", &*own), ("OPTIONS", &*own)] {
            let (status, may_read, told) = from(evil, method, path).await;
            assert!(status >= 400 && !may_read, "{evil} {method}: {status} {}", told.head);
        }
    }
    assert!(stand.is_signed_in(&cookie).await);
    assert_eq!(from(PAGE, "DELETE", &own).await.0, 204);
    assert!(!stand.is_signed_in(&cookie).await);
}
