//! Whoever is erased or shut out is gone: nothing says who they were, and nothing that they held lets anybody in.

use std::time::Duration;

use policy_runtime::authn::Authenticated;
use policy_runtime::identity::{Change, EmailKey, ExternalIdentity};
use sqlx::{AssertSqlSafe, Row as _, SqlitePool};
use tests::raw::{Ended, Raw};

use super::second::{App, base64_of, connects, member, pending};
use super::*;

const PLACE: [(&str, &str); 2] = [("organizationid", "acme"), ("applicationid", "shop")];

/// All that a database in SQLite says, a line for each row.
async fn dump(database: &Sqlite) -> Vec<String> {
    let pool = SqlitePool::connect(&database.url()).await.unwrap();
    let texts = async |sql: String| -> Vec<String> {
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&pool).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    };
    let mut all = Vec::new();
    for table in texts("SELECT name FROM sqlite_master WHERE type = 'table'".to_owned()).await {
        let columns = texts(format!("SELECT name FROM pragma_table_info('{table}')")).await;
        let columns: Vec<_> = columns.iter().map(|one| format!("coalesce(CAST(\"{one}\" AS TEXT), '')")).collect();
        let rows = texts(format!("SELECT '{table}: ' || {} FROM \"{table}\"", columns.join(" || ' | ' || "))).await;
        all.extend(rows);
    }
    pool.close().await;
    all
}

fn saying<'a>(dump: &'a [String], word: &str) -> Vec<&'a String> {
    dump.iter().filter(|row| row.to_lowercase().contains(&word.to_lowercase())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_says_who_an_erased_user_was() {
    const EMAIL: &str = "Zaphira.Quill@Example.com";
    const OWN: &str = "203.0.113.7";
    const OTHERS: &str = "198.51.100.9";
    let database = Sqlite::new("gone");
    let server = "[server]\ntrusted_proxies = [\"127.0.0.1\"]\n[audit]\ndecisions = \"all\"\ninputs = true\n";
    let stand = Stand::of(&database.url(), server).await;
    let (_, owner) = member(&stand, "owner").await;
    let owner = [("authorization", &*owner), ("organizationid", "acme")];
    let from = async |address: &str, cookie: &str, path: &str, body: Value| {
        let headers = [("content-type", "application/json"), ("x-forwarded-for", address), ("cookie", cookie)];
        let headers = if cookie.is_empty() { &headers[..2] } else { &headers };
        stand.send("POST", &format!("/api/auth{path}"), headers, &body.to_string()).await
    };
    let login = |password: &str| json!({ "email": EMAIL, "password": password });
    let (at_login, at_forgot) = ("/app/acme/shop/login", "/app/acme/shop/password/forgot");

    // Before she is anybody, an attempt says nothing of the name.
    assert_eq!(from("192.0.2.55", "", at_login, login(PASSWORD)).await.status, 401);
    assert_eq!(saying(&dump(&database).await, "quill"), Vec::<&String>::new());

    // She registers, forgets her password twice, and changes what is hers.
    let registration = json!({ "email": EMAIL, "displayName": "Zaphira Quill" });
    from(OWN, "", "/app/acme/shop/register", registration).await;
    let choice = json!({ "token": stand.token(0).await, "password": OTHER });
    assert_eq!(from(OWN, "", "/register/complete", choice).await.status, 204);
    let user = stand.prepared.store.users(&scope("shop")).await.unwrap().remove(0);
    from(OWN, "", at_forgot, json!({ "email": EMAIL })).await;
    let reset = json!({ "token": stand.token(1).await, "password": PASSWORD });
    assert_eq!(from(OWN, "", "/password/reset", reset).await.status, 204);
    from(OWN, "", at_forgot, json!({ "email": EMAIL })).await;
    stand.token(2).await;
    let told = from(OWN, "", at_login, login(PASSWORD)).await;
    assert_eq!(told.status, 204, "{}", told.body);
    let cookie = told.cookies();
    let changed = json!({ "displayName": "Z. Quill", "attributes": { "phone": "555-0199" } });
    let told = from(OWN, &cookie, "/profile", changed).await;
    assert_eq!(told.status, 200, "{}", told.body);
    stand.get(&cookie, &authorize("app", "&login_hint=Zaphira.Quill%40Example.com")).await;
    let told = stand.get(&cookie, &authorize("app", "")).await;
    assert!(stand.tokens("app", &told).await["refresh_token"].is_string());

    // An administrator invites and changes her, a provider is linked, a key is made, and she is refused what is not hers.
    let place = "/api/v1/scopes/app%3Aacme%2Fshop";
    let of_her = format!("{place}/users/{}", user.id);
    let by_owner = async |method: &str, path: &str, body: &str| {
        let headers = [owner[0], owner[1], ("content-type", "application/json")];
        let told = stand.send(method, path, &headers, body).await;
        assert!(told.status < 300, "{path}: {}", told.body);
        told
    };
    by_owner("POST", &format!("{of_her}/invitation"), "").await;
    let identity = ExternalIdentity {
        configuration: "certified".to_owned(),
        issuer: "https://quill-sign-in.example".to_owned(),
        machine: false,
        number: false,
        subject: "zaphira-42".to_owned(),
    };
    let key = EmailKey::new(EMAIL).unwrap();
    assert!(stand.prepared.store.bind(&scope("shop"), &key, &identity).await.unwrap().is_some());
    by_owner("PATCH", &of_her, r#"{"addRoles":["finance"],"displayName":"Ms Quill"}"#).await;
    by_owner("POST", &format!("{place}/keys"), r#"{"name":"packer"}"#).await;
    by_owner("GET", &format!("{of_her}/export"), "").await;
    let as_her = [PLACE[0], PLACE[1], ("cookie", &*cookie), ("x-forwarded-for", OWN)];
    assert_eq!(stand.send("GET", &of_her, &as_her, "").await.status, 404);
    assert!([403, 404].contains(&stand.send("GET", &format!("{place}/users"), &as_her, "").await.status));
    let mut live = Raw::dial(&stand.gateway, &as_her[2..]).await.unwrap();
    live.hello("CONNECT\naccept-version:1.2\n\n\0").await;

    // She sets up a second factor, and others try to be her, in every way, until they have to wait.
    let shown = from(OWN, &cookie, "/second-factor/set-up", json!({ "password": PASSWORD })).await.json().unwrap();
    let mut app = App::new(shown["secret"].as_str().unwrap());
    let code = json!({ "code": app.code().await });
    assert_eq!(from(OWN, &cookie, "/second-factor/confirm", code).await.status, 200);
    let waits = pending(&from(OTHERS, "", at_login, login(PASSWORD)).await);
    let guess = json!({ "pending": waits, "code": "123456" });
    assert_eq!(from(OTHERS, "", "/login/second-factor", guess).await.status, 401);
    let basic = format!("Basic {}", base64_of(&format!("{EMAIL}:a wrong pass phrase")));
    let by_basic = [PLACE[0], PLACE[1], ("authorization", &*basic), ("x-forwarded-for", OTHERS)];
    assert_eq!(stand.send("GET", "/api/auth/me", &by_basic, "").await.status, 401);
    let plain = [PLACE[0], PLACE[1], ("login", EMAIL), ("passcode", "wrong")];
    assert!(connects(&stand, &[("x-forwarded-for", OTHERS)], &plain).await.contains("UNAUTHENTICATED"));
    assert_eq!(from(OTHERS, "", at_login, login(&"x".repeat(2_000))).await.status, 401);
    let mut last = 0;
    for _ in 0..20 {
        last = from(OTHERS, "", at_login, login("wrong")).await.status;
    }
    assert_eq!(last, 429);
    stand.prepared.journal.flush().await.unwrap();
    let before = dump(&database).await;
    for word in ["zaphira.quill@example.com", "ms quill", "555-0199", "zaphira-42", OWN, OTHERS, &user.id] {
        assert!(!saying(&before, word).is_empty(), "{word} is there before");
    }
    let lockouts = before.iter().filter(|row| row.contains("lockout")).count();
    assert!(lockouts > 0, "they are recorded");

    by_owner("POST", &format!("{of_her}/erase"), "").await;
    assert!(!matches!(live.end(Duration::from_secs(5)).await, Ended::Silent));
    // What was recorded on the way.
    by_owner("POST", &format!("{of_her}/erase"), "").await;
    stand.prepared.journal.flush().await.unwrap();
    let after = dump(&database).await;
    for word in ["zaphira", "quill", "example.com", "555-0199", OWN, OTHERS] {
        assert_eq!(saying(&after, word), Vec::<&String>::new(), "{word}");
    }
    assert!(!saying(&after, &user.id).is_empty(), "the pseudonym stays");
    for chain in stand.prepared.journal.scopes().await.unwrap() {
        stand.prepared.journal.verify(&chain, None).await.unwrap();
    }
}

/// What somebody holds who has signed in every way there is.
struct Held {
    id: String,
    cookie: String,
    bearers: Vec<String>,
    refresh: String,
    code: String,
    ticket: String,
    basic: String,
    live: Vec<Raw>,
}

impl Stand {
    async fn held_by(&self, user: &User) -> Held {
        let cookie = self.login("shop", user.email.as_deref().unwrap(), PASSWORD).await.cookies();
        let tokens = self.tokens("app", &self.get(&cookie, &authorize("app", "")).await).await;
        let text = |name: &str| tokens[name].as_str().unwrap().to_owned();
        let basic = format!("Basic {}", base64_of(&format!("{}:{PASSWORD}", user.email.as_deref().unwrap())));
        let headers = [PLACE[0], PLACE[1], ("authorization", &*basic)];
        let own = self.send("POST", "/api/v1/token", &headers, "").await.json().unwrap();
        let bearers = vec![text("access_token"), own["token"].as_str().unwrap().to_owned()];
        let mut live = Vec::new();
        let bearer = format!("Bearer {}", bearers[0]);
        for way in [&headers[..], &[("cookie", &*cookie)], &[("authorization", &*bearer)]] {
            let mut raw = Raw::dial(&self.gateway, way).await.unwrap();
            raw.hello("CONNECT\naccept-version:1.2\n\n\0").await;
            live.push(raw);
        }
        let (refresh, code, ticket) = (text("refresh_token"), self.code(&cookie).await.unwrap(), self.ticket(user));
        Held { id: user.id.clone(), cookie, bearers, refresh, code, ticket, basic, live }
    }

    fn ticket(&self, user: &User) -> String {
        let found = Authenticated::new(user.participant().build(), "password");
        self.prepared.issuer.ticket(&found).unwrap().expose().clone()
    }

    /// The code that a browser is sent back with, if it is.
    async fn code(&self, cookie: &str) -> Option<String> {
        let told = self.get(cookie, &authorize("app", "&prompt=none")).await;
        assert!(told.status < 500, "{}", told.head);
        let code = told.head.split("code=").nth(1)?;
        Some(code.split(['&', '\r']).next().unwrap().to_owned())
    }

    async fn exchanges(&self, code: &str) -> Answer {
        let fields = [
            ("grant_type", "authorization_code"),
            ("client_id", "app"),
            ("code", code),
            ("code_verifier", VERIFIER),
            ("redirect_uri", CALLBACK),
        ];
        self.form("", "/api/auth/oauth/token", &fields).await
    }

    async fn refreshes(&self, token: &str) -> Answer {
        let fields = [("grant_type", "refresh_token"), ("client_id", "app"), ("refresh_token", token)];
        self.form("", "/api/auth/oauth/token", &fields).await
    }

    async fn lets_in(&self, headers: &[(&str, &str)]) -> bool {
        let told = self.send("GET", "/api/auth/me", headers, "").await;
        assert!([204, 401].contains(&told.status), "{} {}", told.status, told.body);
        told.status == 204
    }

    /// In which ways somebody still gets in with what they hold. Codes, tickets and refresh tokens are used up by this.
    async fn ways_in(&self, held: &Held) -> Vec<&'static str> {
        let mut ways = Vec::new();
        let mut way = |name, is_open: bool| ways.extend(is_open.then_some(name));
        way("session", self.is_signed_in(&held.cookie).await);
        for bearer in &held.bearers {
            way("token", self.lets_in(&[("authorization", &format!("Bearer {bearer}"))]).await);
        }
        way("password", self.lets_in(&[PLACE[0], PLACE[1], ("authorization", &held.basic)]).await);
        way("code", self.exchanges(&held.code).await.status == 200);
        way("refresh token", self.refreshes(&held.refresh).await.status == 200);
        let ticket = format!("Bearer {}", held.ticket);
        for (name, header) in [("ticket", ("authorization", &*ticket)), ("connection", ("cookie", &*held.cookie))] {
            way(name, connects(self, &[header], &[]).await == held.id);
        }
        ways
    }
}

/// Erased, disabled, of a suspended organization: none of what was held is good for anything.
async fn shut_out(database: &str) {
    let stand = Stand::of(database, "[server]\nrate_limits = false\n").await;
    let (_, owner) = member(&stand, "owner").await;
    let owner = [("authorization", &*owner), ("organizationid", "acme"), ("content-type", "application/json")];
    let place = "/api/v1/scopes/app%3Aacme%2Fshop";
    let key = stand.send("POST", &format!("{place}/keys"), &owner, "{}").await.json().unwrap();
    let key = [("x-api-key", key["key"].as_str().unwrap())];
    let all = ["session", "token", "token", "password", "code", "refresh token", "ticket", "connection"];
    let witness = stand.user("shop", "witness@example.com").await;
    for how in ["erased", "disabled", "suspended"] {
        let user = stand.user("shop", &format!("{how}@example.com")).await;
        assert_eq!(stand.ways_in(&stand.held_by(&user).await).await, all, "{how}: all of it was good");
        let mut held = stand.held_by(&user).await;
        let mut by_key = Raw::dial(&stand.gateway, &key).await.unwrap();
        by_key.hello("CONNECT\naccept-version:1.2\n\n\0").await;
        let others = stand.held_by(&witness).await;
        match how {
            "erased" => {
                let path = format!("{place}/users/{}/erase", user.id);
                assert_eq!(stand.send("POST", &path, &owner, "").await.status, 200);
            }
            "disabled" => {
                let change = Change::default().enabled(false);
                stand.prepared.store.change_user(&user.id, &change).await.unwrap();
            }
            _ => stand.prepared.store.set_suspended("acme", true).await.unwrap(),
        }
        for raw in &mut held.live {
            assert!(!matches!(raw.end(Duration::from_secs(5)).await, Ended::Silent), "{how}");
        }
        assert_eq!(stand.ways_in(&held).await, Vec::<&str>::new(), "{how}");
        // A key is nobody's but its scope's, and ends with that.
        let is_over = how == "suspended";
        assert_eq!(stand.lets_in(&key).await, !is_over, "{how}");
        let end = by_key.end(Duration::from_millis(if is_over { 5_000 } else { 300 })).await;
        assert_eq!(matches!(end, Ended::Silent), !is_over, "{how}: {end:?}");
        assert_eq!(stand.ways_in(&others).await, if is_over { &[][..] } else { &all[..] }, "{how}: nobody else is");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_shut_out_gets_in_by_nothing_in_sqlite() {
    let database = Sqlite::new("shut-out");
    Box::pin(shut_out(&database.url())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_shut_out_gets_in_by_nothing_in_postgres() {
    Box::pin(shut_out(&tests::postgres::fresh_database().unwrap())).await;
}

/// Codes and refresh tokens that are used just as their session ends: it is one or the other, and nothing outlives the session.
async fn all_at_once(database: &str) {
    let stand = Stand::of(database, "[server]\nrate_limits = false\n").await;
    stand.user("shop", "ann@example.com").await;
    for round in 0..16 {
        let cookie = stand.login("shop", "ann@example.com", PASSWORD).await.cookies();
        let family = stand.exchanges(&stand.code(&cookie).await.unwrap()).await.json().unwrap();
        let (refresh, code) = (family["refresh_token"].as_str().unwrap(), stand.code(&cookie).await.unwrap());
        let late = async {
            // A moment later in each round.
            tokio::time::sleep(Duration::from_millis(round)).await;
            match stand.code(&cookie).await {
                Some(code) => Some(stand.exchanges(&code).await),
                None => None,
            }
        };
        let ends = async {
            tokio::time::sleep(Duration::from_millis(round / 2)).await;
            stand.post_with(&cookie, "/logout", json!({})).await
        };
        let (early, refreshed, late, ended) =
            tokio::join!(stand.exchanges(&code), stand.refreshes(refresh), late, ends);
        assert_eq!(ended.status, 204, "{}", ended.body);
        let mut given = vec![family];
        for answer in [Some(early), Some(refreshed), late].into_iter().flatten() {
            assert!([200, 400].contains(&answer.status), "{} {}", answer.status, answer.body);
            given.extend((answer.status == 200).then(|| answer.json().unwrap()));
        }
        for tokens in given {
            let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
            assert!(!stand.lets_in(&[("authorization", &*bearer)]).await, "round {round}: {tokens}");
            let again = stand.refreshes(tokens["refresh_token"].as_str().unwrap()).await;
            assert_eq!(again.status, 400, "round {round}: {}", again.body);
        }
        assert_eq!(stand.exchanges(&code).await.status, 400);
        assert_eq!(stand.code(&cookie).await, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_and_the_end_of_its_session_agree_in_sqlite() {
    let database = Sqlite::new("at-once");
    Box::pin(all_at_once(&database.url())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_and_the_end_of_its_session_agree_in_postgres() {
    Box::pin(all_at_once(&tests::postgres::fresh_database().unwrap())).await;
}
