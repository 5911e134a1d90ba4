//! Passwords that were forgotten, and those that are changed; profiles.

use super::second::App;
use super::*;

async fn forgets(database: &str) {
    let stand = Stand::of(database, "").await;
    stand.user("shop", "ann@example.com").await;
    let session = stand.login("shop", "ann@example.com", PASSWORD).await.cookies();
    assert!(stand.is_signed_in(&session).await);
    let refresh = refresh_token(&stand, &session).await;

    let forgot = stand.post("/app/acme/shop/password/forgot", json!({ "email": "ANN@example.com" })).await;
    assert_eq!(forgot.status, 202);
    let letter = stand.sink.letter(0).await.unwrap();
    assert!(letter.to[0].contains("<ann@example.com>"), "to the address that is stored");
    let token = letter.token().unwrap();
    let again = stand.post("/app/acme/shop/password/forgot", json!({ "email": "ann@example.com" })).await;
    assert_eq!((again.status, again.body), (forgot.status, forgot.body), "no second letter so soon, and no word of it");

    let reset = |password: &str| json!({ "token": token, "password": password });
    assert_eq!(stand.post("/password/reset", reset("ann@example.com")).await.status, 422, "a weak one uses nothing up");
    assert_eq!(stand.post("/register/complete", reset(OTHER)).await.status, 400, "it is for nothing else");
    assert_eq!(stand.post("/invite/accept", reset(OTHER)).await.status, 400);
    let click = || stand.post("/password/reset", reset(OTHER));
    let clicks = futures_util::future::join_all([click(), click(), click()]).await;
    assert_eq!(clicks.iter().filter(|told| told.status == 204).count(), 1, "{clicks:?}");
    assert!(clicks.iter().all(|told| told.cookies().is_empty()), "it signs nobody in");

    assert!(!stand.is_signed_in(&session).await, "whoever was in is out");
    let told = stand.form("", "/api/auth/oauth/token", &refresh_fields(&refresh)).await;
    assert!(told.body.contains("invalid_grant"), "{}", told.body);
    assert_eq!(stand.login("shop", "ann@example.com", PASSWORD).await.status, 401);
    assert_eq!(stand.login("shop", "ann@example.com", OTHER).await.status, 204);
    assert_eq!(stand.sink.letters().len(), 1);
}

fn refresh_fields(token: &str) -> [(&str, &str); 3] {
    [("grant_type", "refresh_token"), ("client_id", "app"), ("refresh_token", token)]
}

async fn refresh_token(stand: &Stand, cookie: &str) -> String {
    let told = stand.get(cookie, &authorize("app", "")).await;
    stand.tokens("app", &told).await["refresh_token"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_forgets_a_password_in_sqlite() {
    let database = Sqlite::new("forgets");
    forgets(&database.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_forgets_a_password_in_postgres() {
    forgets(&tests::postgres::fresh_database().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_ends_sessions_on_other_servers_in_sqlite() {
    let database = Sqlite::new("elsewhere");
    ends_elsewhere(&database.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_ends_sessions_on_other_servers_in_postgres() {
    ends_elsewhere(&tests::postgres::fresh_database().unwrap()).await;
}

async fn ends_elsewhere(database: &str) {
    let (first, second) = (Stand::of(database, "").await, second_server(database).await);
    first.user("shop", "ann@example.com").await;
    let login = json!({ "email": "ann@example.com", "password": PASSWORD }).to_string();
    let headers = [("content-type", "application/json")];
    let path = format!("http://{}/api/auth/app/acme/shop/login", second.local_addr());
    let elsewhere = send("POST", &path, &headers, &login).await.unwrap().cookies();
    let here = first.login("shop", "ann@example.com", PASSWORD).await.cookies();
    let body = json!({ "oldPassword": PASSWORD, "newPassword": OTHER });
    let changed = first.post_with(&here, "/password/change", body).await;
    assert_eq!(changed.status, 204, "{}", changed.body);
    assert!(!first.is_signed_in(&here).await, "the session has another cookie now");
    let me = format!("http://{}/api/auth/me", second.local_addr());
    for _ in 0..80 {
        if send("GET", &me, &[("cookie", &elsewhere)], "").await.unwrap().status == 401 {
            assert!(first.is_signed_in(&changed.cookies()).await, "whoever changed it goes on");
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the session on the other server goes on");
}

async fn second_server(database: &str) -> Gateway {
    let environment = Environment::of([("DB_URL", database), ("POLICY_KEY", KEY), ("POLICY_LISTEN", "127.0.0.1:0")]);
    let config = Config::check(&file(1, ""), &environment, &std::env::temp_dir()).unwrap();
    let prepared = Prepared::new(&config).await.unwrap();
    prepared.gateway(&config).bind(config.listen).await.unwrap()
}

/// The own password and profile are changed.
async fn changes(database: &str) {
    let stand = Stand::of(database, "").await;
    stand.user("shop", "ann@example.com").await;
    let cookie = stand.login("shop", "ann@example.com", PASSWORD).await.cookies();
    let body = json!({ "oldPassword": "not the old one", "newPassword": OTHER });
    assert_eq!(stand.post_with(&cookie, "/password/change", body).await.status, 401);
    let body = json!({ "oldPassword": PASSWORD, "newPassword": OTHER });
    assert_eq!(stand.post("/password/change", body.clone()).await.status, 401, "nobody is signed in");

    let change = json!({ "displayName": "Ann", "attributes": { "phone": "123" } });
    let told = stand.post_with(&cookie, "/profile", change).await;
    assert_eq!(told.status, 200, "{}", told.body);
    let seen = stand.get(&cookie, "/api/auth/profile").await.json().unwrap();
    assert_eq!((seen["displayName"].as_str(), seen["attributes"]["phone"].as_str()), (Some("Ann"), Some("123")));
    assert!(seen.get("roles").is_none());
    for (body, status) in [
        (json!({ "attributes": { "department": "board" } }), 403),
        (json!({ "attributes": { "roles": "admin" } }), 403),
        (json!({ "roles": ["admin"] }), 400),
        (json!({ "id": "u_other", "displayName": "x" }), 400),
        (json!({ "displayName": "a\nb" }), 400),
    ] {
        let told = stand.post_with(&cookie, "/profile", body.clone()).await;
        assert_eq!(told.status, status, "{body}: {}", told.body);
    }
    let user = stand.prepared.store.users(&scope("shop")).await.unwrap().remove(0);
    assert_eq!((user.roles.len(), user.attributes.len()), (1, 1));

    // What was half done ends with the password: a letter on its way, and a second factor that somebody else has seen the seed of.
    stand.post("/app/acme/shop/password/forgot", json!({ "email": "ann@example.com" })).await;
    let letter = stand.token(0).await;
    let set_up = stand.post_with(&cookie, "/second-factor/set-up", json!({ "password": PASSWORD })).await;
    assert_eq!(set_up.status, 200, "{}", set_up.body);
    let mut app = App::new(set_up.json().unwrap()["secret"].as_str().unwrap());
    let changed = stand.post_with(&cookie, "/password/change", body).await;
    assert_eq!(changed.status, 204, "{}", changed.body);
    let reset = stand.post("/password/reset", json!({ "token": letter, "password": PASSWORD })).await;
    assert_eq!(reset.status, 400, "{}", reset.body);
    let confirmed = json!({ "code": app.code().await });
    let confirmed = stand.post_with(&changed.cookies(), "/second-factor/confirm", confirmed).await;
    assert!(confirmed.status >= 400, "{}", confirmed.body);
    assert_eq!(stand.login("shop", "ann@example.com", PASSWORD).await.status, 401);
    assert_eq!(stand.login("shop", "ann@example.com", OTHER).await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_takes_the_old_password_and_a_profile_only_what_is_listed_in_sqlite() {
    changes("sqlite::memory:").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_takes_the_old_password_and_a_profile_only_what_is_listed_in_postgres() {
    changes(&tests::postgres::fresh_database().unwrap()).await;
}
