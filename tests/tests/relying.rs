//! Signing in with a real provider, from the client's question to its tokens; and sessions that end on every server at once.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use policy_runtime::Scope;
use policy_runtime::authn::password::hash;
use policy_runtime::config::{Config, Environment};
use policy_runtime::gateway::Gateway;
use policy_runtime::identity::{NewUser, User};
use policy_runtime::secret::Secret;
use policy_runtime::server::Prepared;
use policy_runtime::signin::ClientSettings;
use serde_json::{Value, json};
use tests::free_port;
use tests::providers::{Answer, Provider, send};
use tests::raw::{Ended, Raw};

const CALLBACK: &str = "http://127.0.0.1:9/callback";
/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const KEY: &str = "hex:9f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c5b4a39281706f5e4d3c2b1a1";
const PASSWORD: &str = "a quite long pass phrase";

struct Server {
    prepared: Prepared,
    gateway: Gateway,
    base: String,
}

async fn start(file: &str, database: &str, port: u16) -> Server {
    let base = format!("http://127.0.0.1:{port}");
    let listen = format!("127.0.0.1:{port}");
    let variables =
        [("DB_URL", database), ("POLICY_KEY", KEY), ("POLICY_LISTEN", &*listen), ("POLICY_BASE_URL", &*base)];
    let config = Config::check(file, &Environment::of(variables), &std::env::temp_dir()).unwrap();
    let prepared = Prepared::new(&config).await.unwrap();
    let gateway = prepared.gateway(&config).bind(config.listen).await.unwrap();
    Server { prepared, gateway, base }
}

impl Server {
    async fn users(&self) -> Vec<User> {
        self.prepared.store.users(&Scope::application("acme", "shop").unwrap()).await.unwrap()
    }

    async fn client(&self) {
        let shop = Scope::application("acme", "shop").unwrap();
        let settings = ClientSettings::new("The shop").redirect_uri(CALLBACK);
        self.prepared.sign_in.stored().clients.add_public("app", &shop, &settings).await.unwrap();
    }

    fn question(&self) -> String {
        format!(
            "{}/api/auth/oauth/authorize?client_id=app&response_type=code&redirect_uri=http%3A%2F%2F127.0.0.1%3A9%2Fcallback\
             &scope=openid+email+offline_access&code_challenge={CHALLENGE}&code_challenge_method=S256&state=s-1",
            self.base
        )
    }
}

/// Follows redirects and forms, and keeps each server's cookies.
#[derive(Default)]
struct Browser {
    cookies: BTreeMap<String, BTreeMap<String, String>>,
}

fn host(url: &str) -> String {
    url.split('/').nth(2).unwrap().to_owned()
}

fn header(answer: &Answer, name: &str) -> Option<String> {
    let mut lines = answer.head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    text.split(before).nth(1).unwrap_or_else(|| panic!("no `{before}` in {text}")).split(after).next().unwrap()
}

impl Browser {
    async fn ask(&mut self, method: &str, url: &str, body: &str) -> Answer {
        let own = self.cookies.entry(host(url)).or_default();
        let cookies: Vec<String> = own.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let (cookies, origin) = (cookies.join("; "), format!("http://{}", host(url)));
        let mut headers = vec![("cookie", cookies.as_str())];
        if method == "POST" {
            headers.extend([("content-type", "application/x-www-form-urlencoded"), ("origin", &*origin)]);
        }
        let answer = send(method, url, &headers, body).await.unwrap();
        for line in answer.head.lines().filter_map(|line| line.split_once(": ")) {
            if line.0.eq_ignore_ascii_case("set-cookie") {
                let (name, value) = line.1.split(';').next().unwrap().split_once('=').unwrap();
                own.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    /// Signs in with the provider on the page of a client; gives the last answer, and where that was.
    async fn signs_in(&mut self, server: &Server, login: &str) -> (Answer, String) {
        let page = self.ask("GET", &server.question(), "").await;
        let link = between(&page.body, "<a href=\"", "\"").replace("&amp;", "&");
        self.follows("GET", format!("{}{link}", server.base), login, CALLBACK).await
    }

    /// Goes where it is led, signs in with the provider on the way, and stops before it asks for what begins with `until`.
    async fn follows(&mut self, method: &str, mut url: String, login: &str, until: &str) -> (Answer, String) {
        let mut answer = self.ask(method, &url, "").await;
        for _ in 0..20 {
            if let Some(next) = header(&answer, "location") {
                url = if next.starts_with('/') { format!("http://{}{next}", host(&url)) } else { next };
                if url.starts_with(until) {
                    break;
                }
                answer = self.ask("GET", &url, "").await;
            } else if answer.body.contains("name=\"prompt\"") {
                let action = between(&answer.body, "action=\"", "\"").to_owned();
                let prompt = between(&answer.body, "name=\"prompt\" value=\"", "\"").to_owned();
                url = if action.starts_with('/') { format!("http://{}{action}", host(&url)) } else { action };
                answer = self.ask("POST", &url, &format!("prompt={prompt}&login={login}&password=x")).await;
            } else {
                break;
            }
        }
        (answer, url)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn oidc_provider_signs_people_in() {
    let port = free_port();
    let callback = format!("http://127.0.0.1:{port}/api/auth/app/acme/shop/login/oidc/callback/certified");
    let settings = [("PORT", "0"), ("REDIRECT_URIS", &*callback)];
    let provider = Provider::start("start-oidc-provider.mjs", &settings).await.unwrap();
    let secret = provider.facts["clients"]["web-app"].as_str().unwrap();
    let file = format!(
        "[application]\norganization = \"acme\"\nid = \"shop\"\n\
         [[provider]]\nname = \"certified\"\nowner = \"org:acme\"\npreset = \"oidc\"\nissuer = \"{}\"\n\
         client_id = \"web-app\"\nclient_secret = \"{secret}\"\n\
         [[provider.use]]\nscope = \"app:acme/shop\"\n\
         provisioning = {{ mode = \"auto\", domains = [\"example.test\"], roles = [\"user\"] }}\n",
        provider.fact("issuer")
    );
    let server = start(&file, &tests::postgres::fresh_database().unwrap(), port).await;
    server.client().await;
    // Whose address is not verified, and who has none, is nobody here.
    for login in ["bob", "carol"] {
        let (answer, url) = Browser::default().signs_in(&server, login).await;
        assert_eq!(answer.status, 401, "{login} at {url}: {}", answer.body);
        assert!(answer.body.contains("You have no account here"), "{}", answer.body);
    }
    assert!(server.users().await.is_empty());
    let mut browser = Browser::default();
    for round in 0..2 {
        if round == 1 {
            let url = format!("{}/__control/rotate", provider.fact("issuer"));
            send("POST", &url, &[], "").await.unwrap();
        }
        let (answer, url) = browser.signs_in(&server, "alice").await;
        assert!(url.starts_with(CALLBACK) && url.contains("state=s-1"), "{url}: {} {}", answer.status, answer.body);
        let code = between(&url, "code=", "&");
        let body = format!(
            "grant_type=authorization_code&client_id=app&code={code}&code_verifier={VERIFIER}&redirect_uri={CALLBACK}"
        );
        let token = format!("{}/api/auth/oauth/token", server.base);
        let tokens = browser.ask("POST", &token, &body).await.json().unwrap();
        let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
        let me = send("GET", &format!("{}/api/auth/me", server.base), &[("authorization", &bearer)], "").await.unwrap();
        assert_eq!(me.status, 204);
        // Signed out here, the page asks again.
        browser.ask("POST", &format!("{}/api/auth/logout", server.base), "").await;
        let page = browser.ask("GET", &server.question(), "").await;
        assert!(page.body.contains("Sign in to The shop"), "{}", page.body);
        let refused =
            send("GET", &format!("{}/api/auth/me", server.base), &[("authorization", &bearer)], "").await.unwrap();
        assert_eq!(refused.status, 401, "what was given in the session has ended with it");
    }
    let users = server.users().await;
    assert_eq!(users.len(), 1);
    assert_eq!(users[0].email.as_deref(), Some("alice@example.test"));
    // A session is as good as the provider that vouched for it.
    browser.signs_in(&server, "alice").await;
    let me = format!("{}/api/auth/me", server.base);
    assert_eq!(browser.ask("GET", &me, "").await.status, 204);
    let shop = Scope::application("acme", "shop").unwrap();
    server.prepared.store.drop_reference("certified", &shop).await.unwrap();
    let began = Instant::now();
    while browser.ask("GET", &me, "").await.status != 401 {
        assert!(began.elapsed() < Duration::from_secs(5), "the session of a provider that is used no more goes on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_registers_with_oidc_provider_once() {
    let port = free_port();
    let callback = format!("http://127.0.0.1:{port}/api/auth/app/acme/shop/login/oidc/callback/certified");
    let settings = [("PORT", "0"), ("REDIRECT_URIS", &*callback)];
    let provider = Provider::start("start-oidc-provider.mjs", &settings).await.unwrap();
    let secret = provider.facts["clients"]["web-app"].as_str().unwrap();
    let file = format!(
        "[application]\norganization = \"acme\"\nid = \"shop\"\n\
         [[scope]]\nscope = \"app:acme/shop\"\nregistration = {{ roles = [\"customer\"] }}\n\
         [[provider]]\nname = \"certified\"\nowner = \"org:acme\"\npreset = \"oidc\"\nissuer = \"{}\"\n\
         client_id = \"web-app\"\nclient_secret = \"{secret}\"\n\
         [[provider.use]]\nscope = \"app:acme/shop\"\nprovisioning = {{ mode = \"registration\" }}\n",
        provider.fact("issuer")
    );
    let server = start(&file, &tests::postgres::fresh_database().unwrap(), port).await;
    let registers = async |login: &str| {
        let begin = format!("{}/api/auth/app/acme/shop/register/provider", server.base);
        let json = [("content-type", "application/json")];
        let left = send("POST", &begin, &json, r#"{"provider":"certified"}"#).await.unwrap();
        let mut browser = Browser::default();
        let cookies = left.cookies();
        let (name, value) = cookies.split_once('=').unwrap();
        browser.cookies.entry(host(&server.base)).or_default().insert(name.to_owned(), value.to_owned());
        let leads = left.json().unwrap()["redirect"].as_str().unwrap().to_owned();
        let (_, url) = browser.follows("GET", leads, login, &format!("{}/login?", server.base)).await;
        let profile = browser.ask("GET", &format!("{}/api/auth/profile", server.base), "").await;
        (profile, url)
    };
    // Whose address is not verified.
    let (profile, url) = registers("bob").await;
    assert!(profile.status == 401 && url.contains("/login?error="), "{url}");
    assert!(server.users().await.is_empty());
    for round in ["is made", "is known"] {
        let (profile, url) = registers("alice").await;
        let users = server.users().await;
        assert!(users.len() == 1 && users[0].roles.iter().eq(["customer"]), "{round} {url}: {users:?}");
        assert_eq!(profile.json().unwrap()["id"].as_str(), Some(&*users[0].id), "{round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_is_founded_with_oidc_provider_which_signs_its_owner_in_again() {
    let port = free_port();
    let base = format!("http://127.0.0.1:{port}/api/auth/org");
    let callbacks = format!("{base}/signup/social/callback/main,{base}/login/sso/callback/main");
    let provider =
        Provider::start("start-oidc-provider.mjs", &[("PORT", "0"), ("REDIRECT_URIS", &*callbacks)]).await.unwrap();
    let secret = provider.facts["clients"]["web-app"].as_str().unwrap();
    let file = format!(
        "[server]\nfounding = true\n[application]\norganization = \"acme\"\nid = \"shop\"\n\
         [[provider]]\nname = \"main\"\nowner = \"sys\"\npreset = \"oidc\"\nissuer = \"{}\"\n\
         client_id = \"web-app\"\nclient_secret = \"{secret}\"\n\
         [[provider.use]]\nscope = \"sys\"\nprovisioning = {{ mode = \"registration\" }}\n",
        provider.fact("issuer")
    );
    let server = start(&file, &tests::postgres::fresh_database().unwrap(), port).await;
    let (begin, page) = (format!("{base}/signup/social/start/main"), format!("{}/auth/signup/provider", server.base));
    let (_, url) = Browser::default().follows("POST", begin.clone(), "bob", &page).await;
    assert!(url.ends_with("/login?error=email_not_verified"), "{url}");

    let mut alice = Browser::default();
    let (answer, url) = alice.follows("POST", begin, "alice", &page).await;
    assert!(url.starts_with(&page), "{url}: {} {}", answer.status, answer.body);
    assert!(alice.ask("GET", &url, "").await.body.contains("name=\"organization\""));
    let told = alice.ask("POST", &url, "organization=Rockets+%26+more").await;
    assert!(told.status == 200 && told.body.contains("You are known here now"), "{}", told.body);
    let rockets = Scope::organization("rockets-more").unwrap();
    let owner = server.prepared.store.users(&rockets).await.unwrap().remove(0);
    assert!(owner.roles.contains("owner") && owner.email.as_deref() == Some("alice@example.test"), "{owner:?}");
    let profile = format!("{}/api/auth/profile", server.base);
    assert_eq!(alice.ask("GET", &profile, "").await.json().unwrap()["id"].as_str(), Some(&*owner.id));

    // Within seconds every server lets the owner in so, and nobody else.
    let again = async |login: &str| {
        let mut browser = Browser::default();
        let leave = async || {
            let headers = [("organizationid", "rockets-more"), ("origin", &*server.base)];
            send("POST", &format!("{base}/login/social/start/main"), &headers, "").await.unwrap()
        };
        let until = Instant::now() + Duration::from_secs(10);
        let mut left = leave().await;
        while left.status == 400 && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(100)).await;
            left = leave().await;
        }
        let cookie = left.cookies();
        let (name, value) = cookie.split_once('=').unwrap();
        browser.cookies.entry(host(&server.base)).or_default().insert(name.to_owned(), value.to_owned());
        let leads = header(&left, "location").unwrap();
        let (_, url) = browser.follows("GET", leads, login, &format!("{}/login?", server.base)).await;
        (browser.ask("GET", &profile, "").await, url)
    };
    let (told, url) = again("alice").await;
    assert_eq!(told.json().unwrap()["id"].as_str(), Some(&*owner.id), "{url} {}", told.body);
    let (told, url) = again("bob").await;
    assert!(told.status == 401 && url.ends_with("/login?error=no_account"), "{url} {}", told.body);
}

/// Signs out on one server of who is connected to another one.
async fn ends_everywhere(database: &str) {
    let file = "[application]\norganization = \"acme\"\nid = \"shop\"\n";
    let (first, second) = (start(file, database, free_port()).await, start(file, database, free_port()).await);
    let shop = Scope::application("acme", "shop").unwrap();
    let hashed = hash(&Secret::new(PASSWORD.to_owned())).unwrap();
    first.prepared.store.add_user(NewUser::new(shop, "alice@example.com").password_hash(hashed)).await.unwrap();
    let login = format!(r#"{{"email":"alice@example.com","password":"{PASSWORD}"}}"#);
    let json = [("content-type", "application/json")];
    let mut cookies = Vec::new();
    for _ in 0..2 {
        let url = format!("{}/api/auth/app/acme/shop/login", first.base);
        let told = send("POST", &url, &json, &login).await.unwrap();
        assert_eq!(told.status, 204, "{}", told.body);
        cookies.push(told.cookies());
    }
    let mut raws = Vec::new();
    for cookie in &cookies {
        let mut raw = Raw::dial(&second.gateway, &[("cookie", cookie)]).await.unwrap();
        raw.hello("CONNECT\naccept-version:1.2\n\n\0").await;
        raws.push(raw);
    }
    let url = format!("{}/api/auth/logout", first.base);
    assert_eq!(send("POST", &url, &[("cookie", &cookies[0])], "").await.unwrap().status, 204);
    let began = Instant::now();
    let end = raws[0].end(Duration::from_secs(5)).await;
    assert!(!matches!(end, Ended::Silent) && began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    let me = async |server: &Server, cookie: &str| {
        send("GET", &format!("{}/api/auth/me", server.base), &[("cookie", cookie)], "").await.unwrap().status
    };
    assert_eq!((me(&second, &cookies[0]).await, me(&second, &cookies[1]).await), (401, 204));
    assert!(matches!(raws[1].end(Duration::from_millis(300)).await, Ended::Silent), "the other session goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_on_every_server_in_sqlite() {
    let path = std::env::temp_dir().join(format!("policy-relying-{}.db", std::process::id()));
    Box::pin(ends_everywhere(&format!("sqlite:{}", path.display()))).await;
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", path.display()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_on_every_server_in_postgres() {
    Box::pin(ends_everywhere(&tests::postgres::fresh_database().unwrap())).await;
}

/// Asks better-auth as a page of its own does.
async fn better_auth(base: &str, path: &str, cookie: &str, body: &Value) -> Answer {
    let headers = [("content-type", "application/json"), ("origin", base), ("cookie", cookie)];
    send("POST", &format!("{base}/api/auth{path}"), &headers, &body.to_string()).await.unwrap()
}

/// Follows better-auth through its pages for signing in and consent, and gives the address that it sends the browser back to.
async fn through_better_auth(base: &str, address: &str, ann: &Value) -> String {
    let mut cookie = String::new();
    let mut url = header(&send("GET", address, &[], "").await.unwrap(), "location").unwrap();
    for _ in 0..3 {
        let query = url.split_once('?').unwrap().1.to_owned();
        let told = if url.contains("/login?") {
            let mut form = ann.clone();
            form["oauth_query"] = query.into();
            better_auth(base, "/sign-in/email", &cookie, &form).await
        } else if url.contains("/consent?") {
            better_auth(base, "/oauth2/consent", &cookie, &json!({ "accept": true, "oauth_query": query })).await
        } else {
            break;
        };
        if !told.cookies().is_empty() {
            cookie = told.cookies();
        }
        let told = told.json().unwrap();
        told["url"].as_str().unwrap_or_else(|| panic!("{told}")).clone_into(&mut url);
    }
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn better_auth_is_linked_and_signs_in_and_its_tokens_prove_one_factor() {
    let settings = [("PORT", "0"), ("OAUTH", "1")];
    let provider = Provider::start("start-better-auth.mjs", &settings).await.unwrap();
    let base = provider.fact("base").to_owned();
    let ann = json!({ "email": "ann@elsewhere.example", "password": PASSWORD, "name": "Ann" });
    let theirs = better_auth(&base, "/sign-up/email", "", &ann).await.cookies();
    let port = free_port();
    let callback = format!("http://127.0.0.1:{port}/api/auth/app/acme/shop/login/oidc/callback/better");
    let client = json!({
        "redirect_uris": [callback], "token_endpoint_auth_method": "none", "application_type": "native",
        "scope": "openid profile email",
    });
    let client = better_auth(&base, "/oauth2/create-client", &theirs, &client).await;
    let client = client.json().unwrap()["client_id"].as_str().unwrap().to_owned();
    let file = format!(
        "[application]\norganization = \"acme\"\nid = \"shop\"\n\
         [[organization]]\nid = \"acme\"\napplications = [\"shop\", \"vault\"]\n\
         [[scope]]\nscope = \"app:acme/vault\"\nsecond_factor = \"required\"\n\
         [[provider]]\nname = \"better\"\nowner = \"org:acme\"\npreset = \"oidc\"\nissuer = \"{base}\"\nclient_id = \"{client}\"\n\
         [[provider.use]]\nscope = \"app:acme/shop\"\nprovisioning = {{ mode = \"pre-created\" }}\n\
         [[provider]]\nname = \"tokens\"\nowner = \"org:acme\"\npreset = \"better-auth\"\nissuer = \"{base}\"\naudience = [\"{base}\"]\n\
         [[provider.use]]\nscope = \"app:acme/vault\"\n"
    );
    let server = start(&file, &tests::postgres::fresh_database().unwrap(), port).await;
    let hashed = hash(&Secret::new(PASSWORD.to_owned())).unwrap();
    let shop = Scope::application("acme", "shop").unwrap();
    let alice = NewUser::new(shop, "alice@example.com").password_hash(hashed);
    let alice = server.prepared.store.add_user(alice).await.unwrap();

    let api = format!("{}/api/auth", server.base);
    let sends = async |path: &str, cookie: &str, body: Value| {
        let headers = [("content-type", "application/json"), ("cookie", cookie)];
        send("POST", &format!("{api}{path}"), &headers, &body.to_string()).await.unwrap()
    };
    let start = async || send("POST", &format!("{api}/app/acme/shop/login/oidc/start/better"), &[], "").await.unwrap();
    let left = start().await;
    let back = through_better_auth(&base, &header(&left, "location").unwrap(), &ann).await;
    let told = send("GET", &back, &[("cookie", &left.cookies())], "").await.unwrap();
    assert_eq!(header(&told, "location").as_deref(), Some("/login?error=no_account"), "{}", told.body);

    let login = json!({ "email": "alice@example.com", "password": PASSWORD });
    let session = sends("/app/acme/shop/login", "", login).await.cookies();
    let leads = sends("/identities/link", &session, json!({ "provider": "better" })).await;
    assert_eq!(leads.status, 200, "{}", leads.body);
    let address = leads.json().unwrap()["redirect"].as_str().unwrap().to_owned();
    let back = through_better_auth(&base, &address, &ann).await;
    assert!(back.starts_with(&callback), "{back}");
    let told = send("GET", &back, &[("cookie", &format!("{}; {session}", leads.cookies()))], "").await.unwrap();
    assert_eq!(header(&told, "location").as_deref(), Some("/?linked=better"), "{}", told.body);

    let left = start().await;
    let back = through_better_auth(&base, &header(&left, "location").unwrap(), &ann).await;
    let told = send("GET", &back, &[("cookie", &left.cookies())], "").await.unwrap();
    let me = send("GET", &format!("{api}/profile"), &[("cookie", &told.cookies())], "").await.unwrap();
    assert_eq!(me.json().unwrap()["id"].as_str(), Some(&*alice.id), "{}", me.body);

    // Where two factors are required, what it vouches for is one.
    let token = send("GET", &format!("{base}/api/auth/token"), &[("cookie", &theirs)], "").await.unwrap();
    let bearer = format!("Bearer {}", token.json().unwrap()["token"].as_str().unwrap());
    let vault = [("authorization", &*bearer), ("organizationid", "acme"), ("applicationid", "vault")];
    let me = send("GET", &format!("{api}/me"), &vault, "").await.unwrap();
    assert!(me.status == 401 && me.head.contains("insufficient_user_authentication"), "{}", me.head);
}
