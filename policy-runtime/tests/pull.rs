//! A sign-in server and a server without the database, each in a process of its own: rules that arrive, keep and end.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::{Value, json};

const PASSWORD: &str = "a quite long pass phrase";
/// For how long the server without the database decides by what it last confirmed.
const BOUND_S: u32 = 12;

const SYSTEM: &str = "authscopetype: SYSTEM\r\n";
const ACME: &str = "organizationid: acme\r\n";
const SHOP: &str = "organizationid: acme\r\napplicationid: shop\r\n";

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a program and answers what it says of itself, up to the line that has `wanted`.
fn start(mut command: Command, wanted: &str) -> (Process, String) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (sender, lines) = std::sync::mpsc::channel();
    let outputs: [Box<dyn std::io::Read + Send>; 2] =
        [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
    for output in outputs {
        let sender = sender.clone();
        std::thread::spawn(move || {
            BufReader::new(output).lines().map_while(Result::ok).for_each(|l| drop(sender.send(l)));
        });
    }
    let (process, mut said) = (Process(child), String::new());
    while !said.contains(wanted) {
        let line = lines.recv_timeout(Duration::from_secs(40)).unwrap_or_else(|_| panic!("it said only: {said}"));
        said.extend([line.as_str(), "\n"]);
    }
    (process, said)
}

fn exchange(address: &str, method: &str, path: &str, headers: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n");
    let kind = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
    stream.write_all(format!("{head}{kind}{headers}\r\n{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let text = || Value::from(body.to_owned());
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap_or_else(|_| text()))
}

/// The sign-in server, with an organization, its application, a user of that, and a key for a server without the database.
struct SignIn {
    folder: PathBuf,
    address: String,
    process: Option<Process>,
    owner: String,
    user: String,
    key: String,
}

impl Drop for SignIn {
    fn drop(&mut self) {
        self.process = None;
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl SignIn {
    fn begin(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("policy-pull-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        // Its own address is in what it signs, so it is chosen before.
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let empty = String::new;
        let mut server = Self { folder, address, process: None, owner: empty(), user: empty(), key: empty() };
        let said = server.serve("bootstrap_");
        let token = said.split('"').find(|part| part.starts_with("bootstrap_")).unwrap();
        let root = json!({"token": token, "email": "root@example.com", "password": PASSWORD}).to_string();
        assert!(exchange(&server.address, "POST", "/api/auth/bootstrap", "", &root).0 < 300);
        let root = server.token("root@example.com", SYSTEM);
        let member = |email: &str| json!({"email": email, "password": PASSWORD});
        server.ask("POST", "/organizations", &root, &json!({"id": "acme", "owner": member("ann@acme.example")}));
        server.owner = server.token("ann@acme.example", ACME);
        server.ask("POST", "/organizations/acme/applications", &server.owner, &json!({"id": "shop"}));
        server.ask("POST", "/scopes/app:acme%2Fshop/users", &server.owner, &member("carol@acme.example"));
        server.user = server.token("carol@acme.example", SHOP);
        let key = json!({"name": "shop server", "roles": ["resource-server"]});
        let key = server.ask("POST", "/scopes/app:acme%2Fshop/keys", &server.owner, &key);
        key["key"].as_str().unwrap().clone_into(&mut server.key);
        server
    }

    fn serve(&mut self, wanted: &str) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_policy"));
        command
            .args(["serve", "--auth-only"])
            .env_clear()
            .env("POLICY_LISTEN", &self.address)
            .current_dir(&self.folder);
        let (process, said) = start(command, wanted);
        self.process = Some(process);
        said
    }

    fn token(&self, email: &str, scope: &str) -> String {
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("{email}:{PASSWORD}"));
        let headers = format!("authorization: Basic {basic}\r\n{scope}");
        let (status, body) = exchange(&self.address, "POST", "/api/v1/token", &headers, "");
        assert_eq!(status, 200, "{email}: {body}");
        format!("authorization: Bearer {}\r\n", body["token"].as_str().unwrap())
    }

    fn ask(&self, method: &str, path: &str, headers: &str, body: &Value) -> Value {
        let (status, answer) = exchange(&self.address, method, &format!("/api/v1{path}"), headers, &body.to_string());
        assert!(status < 300, "{method} {path}: {status} {answer}");
        answer
    }

    /// Activates a rule of the organization in place of what was active.
    fn activate(&self, rule: Option<&str>, before: i64) -> i64 {
        let rules = rule.map(|text| json!({"id": "r", "text": text})).into_iter().collect::<Vec<_>>();
        let path = "/scopes/org:acme/policies";
        let draft = self.ask("POST", path, &self.owner, &json!({"rules": rules}));
        let number = draft["number"].as_i64().unwrap();
        self.ask("POST", &format!("{path}/{number}/validate"), &self.owner, &json!({}));
        let headers = format!("{}if-match: \"{before}\"\r\n", self.owner);
        self.ask("POST", &format!("{path}/{number}/activate"), &headers, &json!({}));
        number
    }

    /// The server without the database, as it is built alone.
    fn resource_server(&self, bound_s: u32) -> (Process, String) {
        let mut command = Command::new(resource_server());
        command.env_clear().current_dir(&self.folder).env("LISTEN", "127.0.0.1:0").env("POLICY_EVERY_MS", "200");
        command.env("POLICY_URL", format!("http://{}", self.address)).env("POLICY_API_KEY", &self.key);
        command.env("POLICY_BOUND_S", bound_s.to_string()).env("POLICY_KEPT", "kept.json");
        let (process, said) = start(command, "listening on http://");
        let address = said.split("http://").nth(1).unwrap().lines().next().unwrap().to_owned();
        (process, address)
    }

    fn order(&self, at: &str, amount: u32) -> u16 {
        exchange(at, "POST", &format!("/orders/{amount}"), &self.user, "").0
    }
}

/// The example, built once and with its own features, beside this test's build.
fn resource_server() -> &'static Path {
    static BUILT: LazyLock<PathBuf> = LazyLock::new(build);
    &BUILT
}

fn build() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "-p", "resource-server", "--message-format=json"])
        .current_dir(root)
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let messages = String::from_utf8(built.stdout).unwrap();
    let program = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let program = program.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).next_back();
    program.unwrap_or_else(|| panic!("nothing was built: {messages}"))
}

#[track_caller]
fn within(time: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + time;
    while !holds() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn currency(at: &str) -> Value {
    exchange(at, "GET", "/currency", "", "").1
}

#[test]
fn rules_arrive_are_kept_and_end() {
    let mut server = SignIn::begin("whole");
    // It signs people in and administers, and takes no connections.
    assert_eq!(exchange(&server.address, "GET", "/v1", "", "").0, 404);
    let (first, at) = server.resource_server(BOUND_S);
    assert_eq!((currency(&at), server.order(&at, 200)), ("Current".into(), 200));
    assert_eq!(exchange(&at, "POST", "/orders/200", "", "").0, 401);
    assert_eq!(server.order(&at, 60_000), 403, "what the code closes");

    // The sign-in server knows what the other one declares, though it has none of its code.
    let manifest = server.ask("GET", "/scopes/org:acme/manifest", &server.owner, &json!({}));
    assert!(manifest.to_string().contains("resource_server.place_order"), "{manifest}");
    let path = "/api/v1/scopes/org:acme/policies";
    let slip = json!({"rules": [{"id": "r", "text": "forbid resource_server.place_order when amuont > 100"}]});
    let slip = server.ask("POST", "/scopes/org:acme/policies", &server.owner, &slip)["number"].as_i64().unwrap();
    let (status, told) = exchange(&server.address, "POST", &format!("{path}/{slip}/validate"), &server.owner, "");
    assert!(status == 422 && told.to_string().contains("did you mean `amount`?"), "{status} {told}");
    let one = server.activate(Some("forbid resource_server.place_order when amount > 100"), 0);
    within(Duration::from_secs(3), "the rule arrives", || server.order(&at, 200) == 403);
    assert_eq!(server.order(&at, 50), 200);

    // The sign-in server is away: the last good sets go on, over a restart too, and end at the bound.
    let kept = std::fs::read(server.folder.join("kept.json")).unwrap();
    server.process = None;
    within(Duration::from_secs(3), "it is noticed", || currency(&at) == "Stale");
    drop(first);
    let (again, at) = server.resource_server(BOUND_S);
    assert_eq!((server.order(&at, 50), server.order(&at, 200)), (200, 403), "from disk");
    within(Duration::from_secs(u64::from(BOUND_S) + 5), "the bound passes", || currency(&at) == "Denying");
    assert!(server.order(&at, 50) >= 400, "beyond the bound everything is denied");

    // It comes back, and so do decisions; what was kept before it is not taken for new.
    server.serve("listening on");
    within(Duration::from_secs(5), "it is confirmed again", || server.order(&at, 50) == 200);
    server.activate(None, one);
    within(Duration::from_secs(3), "the rule goes", || server.order(&at, 200) == 200);
    // What the organization wants recorded is not done where nothing records.
    let must = |actions: Value| {
        let actions = json!({ "actions": actions });
        server.ask("PUT", "/scopes/org:acme/required-audit", &server.owner, &actions);
    };
    must(json!(["resource_server.place_order"]));
    within(Duration::from_secs(3), "it is heard", || server.order(&at, 200) == 503);
    must(json!([]));
    within(Duration::from_secs(3), "it is taken back", || server.order(&at, 200) == 200);
    drop(again);
    server.process = None;
    for (what, bytes) in [
        ("older than the bound", kept.clone()),
        ("changed", String::from_utf8(kept).unwrap().replace("100", "900").into_bytes()),
        ("nonsense", b"{".to_vec()),
    ] {
        std::fs::write(server.folder.join("kept.json"), bytes).unwrap();
        let (_process, at) = server.resource_server(BOUND_S);
        assert_eq!(currency(&at), "Denying", "{what}");
        assert!(server.order(&at, 50) >= 400, "{what}");
    }
}

/// As an attacker would, with a key of another use.
#[test]
fn only_a_key_for_it_takes_sets_or_registers() {
    let server = SignIn::begin("keys");
    let plain = server.ask("POST", "/scopes/app:acme%2Fshop/keys", &server.owner, &json!({"name": "caller"}));
    let plain = format!("authorization: Bearer {}\r\n", plain["key"].as_str().unwrap());
    let manifest = json!({"manifest": {"manifest": 1, "actions": []}});
    let bundle = |scope: &str| format!("/api/v1/scopes/{scope}/bundle?nonce=n&manifest=00");
    for (who, expected) in [(plain.as_str(), 403), (server.user.as_str(), 403), (server.owner.as_str(), 404), ("", 401)]
    {
        let shop = exchange(&server.address, "GET", &bundle("app:acme%2Fshop"), who, "").0;
        let path = "/api/v1/scopes/app:acme%2Fshop/manifests";
        let registered = exchange(&server.address, "POST", path, who, &manifest.to_string()).0;
        assert_eq!((shop, registered), (expected, expected), "{who}");
    }
    let key = format!("authorization: Bearer {}\r\n", server.key);
    for scope in ["app:acme%2Fother", "app:globex%2Fshop", "org:acme", "sys"] {
        assert_eq!(exchange(&server.address, "GET", &bundle(scope), &key, "").0, 404, "{scope}");
    }
    assert_eq!(exchange(&server.address, "GET", &bundle("app:acme%2Fshop"), &key, "").0, 404, "nothing is registered");
    let (status, answer) = exchange(&server.address, "GET", "/api/v1/whoami", &key, "");
    assert_eq!(status, 200, "{answer}");
}

/// The parts of a server that stores users and gives out tokens, by the names that a program has for them.
const PARTS: [&str; 5] = ["5authn5token6issuer", "5authn8password", "8identity6memory", "argon2", "sqlite3_"];

#[test]
fn its_build_has_no_credentials_no_issuing_and_no_database() {
    let has = |program: &Path, part: &str| {
        let bytes = std::fs::read(program).unwrap();
        bytes.windows(part.len()).any(|window| window == part.as_bytes())
    };
    let (whole, alone) = (Path::new(env!("CARGO_BIN_EXE_policy")), resource_server());
    for part in PARTS {
        assert!(has(whole, part), "`{part}` is not even in the whole server: the test looks for the wrong name");
        assert!(!has(alone, part), "`{part}`");
    }
    assert!(has(alone, "14policy_runtime4pull"), "programs have these names");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let tree = |format: &str| {
        let arguments = ["tree", "-p", "resource-server", "--edges", "normal", "--prefix", "none", "--format", format];
        let listed = Command::new(env!("CARGO")).args(arguments).current_dir(&root).output().unwrap();
        String::from_utf8(listed.stdout).unwrap()
    };
    let crates = tree("{p}");
    let crates: std::collections::BTreeSet<&str> =
        crates.lines().map(|line| line.split(" (").next().unwrap()).collect();
    for name in ["argon2", "bcrypt", "lettre", "libsqlite3-sys", "scrypt", "sea-query", "sqlx", "sqlx-core"] {
        assert!(!crates.iter().any(|one| one.split(' ').next() == Some(name)), "{name}");
    }
    let features = tree("{p} {f}");
    let features = features.lines().find(|line| line.starts_with("policy-runtime ")).unwrap();
    let features: Vec<&str> = features.rsplit(' ').next().unwrap().split(',').collect();
    assert!(features.contains(&"pull"), "{features:?}");
    for feature in ["admin", "api-key", "issue", "password", "postgres", "server", "signin", "sqlite", "users"] {
        assert!(!features.contains(&feature), "{feature}");
    }
    // What the README says of it, within a few crates.
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let said = readme.split(" crates without").next().unwrap().rsplit([' ', '\n']).next().unwrap();
    assert!(said.parse::<usize>().unwrap().abs_diff(crates.len()) < 10, "{said}, and there are {}", crates.len());
}
