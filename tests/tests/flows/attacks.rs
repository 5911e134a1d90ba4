//! Bad input: pages of others, forged bodies, links of another kind, a mail server that is down.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use policy_runtime::identity::Change;

use super::*;

const REGISTER: &str = "/api/auth/app/acme/shop/register";

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_others_and_forms_change_nothing() {
    let stand = Stand::new().await;
    let body = json!({ "email": "ann@example.com" }).to_string();
    let json = ("content-type", "application/json");
    for (headers, status) in [
        (vec![json, ("origin", "https://evil.example")], 403),
        (vec![json, ("sec-fetch-site", "cross-site")], 403),
        (vec![json, ("origin", "null")], 403),
        (vec![("content-type", "text/plain")], 415),
        (vec![("content-type", "application/x-www-form-urlencoded")], 415),
        (vec![], 415),
    ] {
        let told = stand.send("POST", REGISTER, &headers, &body).await;
        assert_eq!(told.status, status, "{headers:?}: {}", told.body);
    }
    let form = [("content-type", "application/x-www-form-urlencoded"), ("origin", "https://evil.example")];
    let path = format!("/auth/forgot?{}", authorize("app", "").split_once('?').unwrap().1);
    assert_eq!(stand.send("POST", &path, &form, "email=ann%40example.com").await.status, 403);
    assert!(stand.sink.letters().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_say_no_more_than_they_may() {
    let stand = Stand::new().await;
    let long = "x".repeat(20_000);
    for body in [
        json!({ "email": "ann@example.com", "roles": ["admin"] }),
        json!({ "email": "ann@example.com", "scope": "sys" }),
        json!({ "email": "ann@example.com\r\nBcc: all@example.com" }),
        json!({ "email": "no address" }),
        json!({ "email": "ann@example.com", "displayName": "a\r\nBcc: all@example.com" }),
        json!({ "email": long }),
        json!({ "email": { "$ne": null } }),
        json!([]),
    ] {
        let told = stand.send("POST", REGISTER, &[("content-type", "application/json")], &body.to_string()).await;
        assert_eq!(told.status, 400, "{body:.60}: {}", told.body);
    }
    // A password longer than any: refused before it is hashed.
    stand.post("/app/acme/shop/register", json!({ "email": "ann@example.com" })).await;
    let token = stand.token(0).await;
    let told = stand.post("/register/complete", json!({ "token": token, "password": "ab7 ".repeat(400) })).await;
    assert_eq!(told.status, 422, "{}", told.body);
    assert_eq!(stand.post("/register/complete", json!({ "token": token, "password": PASSWORD })).await.status, 204);
    for (body, why) in [("{\"email\"", "Invalid request body"), ("{}", "email and password are required")] {
        let told = stand.send("POST", "/api/auth/login", &[("content-type", "application/json")], body).await;
        assert_eq!((told.status, told.json().unwrap()["error"].as_str()), (400, Some(why)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_scopes_that_say_so_take_strangers() {
    let stand = Stand::new().await;
    let body = json!({ "email": "ann@example.com" });
    for (path, status) in [
        ("/app/acme/desk/register", 403),
        ("/app/acme/nowhere/register", 403),
        ("/app/globex/shop/register", 403),
        ("/app/Acme/shop/register", 400),
    ] {
        assert_eq!(stand.post(path, body.clone()).await.status, status, "{path}");
    }
    // The header names no other scope than the path.
    let system = [("content-type", "application/json"), ("authscopetype", "SYSTEM")];
    let told = stand.send("POST", "/api/auth/register", &system, &body.to_string()).await;
    assert_eq!(told.status, 400, "{}", told.body);
    assert!(stand.sink.letters().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_is_down_is_nobodys_business() {
    let mut stand = Stand::new().await;
    stand.user("shop", "ann@example.com").await;
    let port = stand.sink.port;
    // Nothing listens at the port from here on.
    let sink = std::mem::replace(&mut stand.sink, Sink::start().await.unwrap());
    drop(sink);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let forgot = async |email: &str| stand.post("/app/acme/shop/password/forgot", json!({ "email": email })).await;
    let (known, stranger) = (forgot("ann@example.com").await, forgot("eve@example.com").await);
    assert_eq!((known.status, &known.body), (202, &stranger.body));
    // The link is forgotten with its letter: another is sent as soon as there is somebody to send it.
    let sink = Sink::start_at(port).await.unwrap();
    for _ in 0..40 {
        assert_eq!(forgot("ann@example.com").await.status, 202);
        if !sink.letters().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let token = sink.letter(0).await.unwrap().token().unwrap();
    assert_eq!(stand.post("/password/reset", json!({ "token": token, "password": OTHER })).await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_mail_production_refuses_and_says_so_where_it_is_asked() {
    use policy_runtime::server::{Finding, examine_mail};
    let sink = Sink::start().await.unwrap();
    let production = r#"
        env = "production"
        [server]
        base_url = "https://id.example"
        trusted_proxies = ["127.0.0.1"]
    "#;
    let text = file(sink.port, production).replace("scope = \"sys\"", "scope = \"app:acme/desk\"");
    let database = Sqlite::new("production");
    let url = database.url();
    let environment = Environment::of([("DB_URL", &*url), ("POLICY_KEY", KEY), ("POLICY_LISTEN", "127.0.0.1:0")]);
    let config = Config::check(&text, &environment, &std::env::temp_dir()).unwrap();
    let prepared = Prepared::new(&config).await.unwrap();
    assert!(prepared.letters.is_none() && prepared.lacks_mail.contains(&scope("shop")));
    assert!(!prepared.lacks_mail.contains(&scope("desk")));
    let gateway = prepared.gateway(&config).bind(config.listen).await.unwrap();
    let url = format!("http://{}/api/auth/app/acme/shop/register", gateway.local_addr());
    let body = json!({ "email": "ann@example.com" }).to_string();
    let told = send("POST", &url, &[("content-type", "application/json")], &body).await.unwrap();
    assert_eq!(told.status, 503, "{}", told.body);
    let ready = send("GET", &format!("http://{}/ready", gateway.local_addr()), &[], "").await.unwrap();
    assert!(
        ready.status == 200 && ready.body.contains("scope `app:acme/shop` needs mail and lacks it"),
        "{}",
        ready.body
    );
    let forwarded = [("x-forwarded-for", "192.0.2.7")];
    let ready = send("GET", &format!("http://{}/ready", gateway.local_addr()), &forwarded, "").await.unwrap();
    assert_eq!(ready.body, "ready\n", "that is nobody's business elsewhere");

    // Whatever was made at run time is named at once, too, and by a doctor that has the file alone.
    prepared.store.add_organization("late").await.unwrap();
    prepared.store.add_application("late", "kiosk").await.unwrap();
    prepared.store.add_application("late", "keys").await.unwrap();
    let keys = Scope::application("late", "keys").unwrap();
    prepared.store.set_methods(&keys, Some(&["api-key".to_owned()].into())).await.unwrap();
    let ready = send("GET", &format!("http://{}/ready", gateway.local_addr()), &[], "").await.unwrap();
    let doctor = examine_mail(&config, None).await.to_string();
    for scope in ["org:late", "app:late/kiosk"] {
        let lacks = format!("scope `{scope}` needs mail and lacks it");
        assert!(ready.body.contains(&lacks) && doctor.contains(&lacks), "{lacks}: {} {doctor}", ready.body);
    }
    assert!(!ready.body.contains("app:late/keys") && !doctor.contains("app:late/keys"), "nobody has a password there");
    let found = examine_mail(&config, Some("admin@example.com")).await;
    assert!(found.0.contains(&Finding::Good("mail of `app:acme/desk`: a letter was handed over".into())), "{found}");
    assert!(!found.is_good() && found.to_string().contains("scope `app:acme/shop` needs mail"), "{found}");
    assert!(sink.letter(0).await.unwrap().to[0].contains("admin@example.com"));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_too_often_waits() {
    let stand = Stand::new().await;
    let mut told = Vec::new();
    for n in 0..60 {
        told.push(stand.post("/app/acme/shop/login/lookup", json!({ "email": format!("a{n}@example.com") })).await);
    }
    let refused = told.iter().find(|told| told.status == 429).unwrap_or_else(|| panic!("{told:?}"));
    assert!(refused.head.to_lowercase().contains("retry-after"), "{}", refused.head);
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Neither by the answer nor by the time, though the server of mail never answers: it is asked by one letter alone.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_known_shows_neither_in_the_answer_nor_by_the_time() {
    const ROUNDS: usize = 9;
    let mut stand = Stand::of("sqlite::memory:", "[server]\nrate_limits = false\n").await;
    let port = stand.sink.port;
    drop(std::mem::replace(&mut stand.sink, Sink::start().await.unwrap()));
    tokio::time::sleep(Duration::from_millis(50)).await;
    let _silent = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let hashed = hash(&Secret::new(PASSWORD.to_owned())).unwrap();
    for n in 0..ROUNDS {
        for kind in ["known", "disabled", "invited"] {
            let user = NewUser::new(scope("shop"), &format!("{kind}{n}@example.com"));
            let user = if kind == "invited" { user } else { user.password_hash(hashed.clone()) };
            let user = stand.prepared.store.add_user(user).await.unwrap();
            let change = Change::default().enabled(kind != "disabled");
            stand.prepared.store.change_user(&user.id, &change).await.unwrap();
        }
    }
    for path in ["register", "password/forgot", "login/lookup", "login"] {
        let mut told = BTreeMap::<_, (Vec<_>, BTreeSet<_>)>::new();
        for n in 0..ROUNDS {
            for kind in ["known", "disabled", "invited", "stranger"] {
                let mut body = json!({ "email": format!("{kind}{n}@example.com") });
                if path == "login" {
                    body["password"] = json!("not the right one");
                }
                let began = Instant::now();
                let answer = stand.post(&format!("/app/acme/shop/{path}"), body).await;
                let (times, answers) = told.entry(kind).or_default();
                times.push(began.elapsed());
                answers.insert((answer.status, answer.body));
            }
        }
        let (times, answers) = told.remove("stranger").unwrap();
        let usual = median(times);
        for (kind, (times, own)) in told {
            assert_eq!((own.len(), &own), (1, &answers), "{path} {kind}");
            let own = median(times);
            let is_alike = |a: Duration, b: Duration| a < b * 2 + Duration::from_millis(15);
            assert!(is_alike(own, usual) && is_alike(usual, own), "{path} {kind}: {own:?}, and {usual:?} of strangers");
        }
    }
}
