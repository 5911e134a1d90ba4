use super::*;

const KEY: &str = "8f1d6c2ab94e7035d1c8e6f0a2b3947c5e1f8d0a6b7c3e2f9184a5d6c7b8e9f0";

fn check(text: &str, environment: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let environment = Environment::of(environment.iter().copied());
    Config::check(text, &environment, Path::new(".")).map_err(|faults| faults.0)
}

fn good() -> String {
    format!(
        r#"
env = "production"
[server]
base_url = "https://policy.example/"
listen = "0.0.0.0:8080"
trusted_proxies = ["10.0.0.0/8"]
cors_origins = ["https://app.example"]
cors_credentials = true
[database]
url = "postgres://db.example/policy"
user = "policy"
password = "hush hush"
[secrets]
key = "{KEY}"
[application]
organization = "acme"
id = "orders"
[[organization]]
id = "globex"
applications = ["shop"]
[[provider]]
name = "main"
owner = "org:acme"
preset = "keycloak"
issuer = "https://sso.acme.example/realms/main"
audience = ["https://api.acme.example"]
[[provider.use]]
scope = "app:acme/orders"
roles = {{ admins = "admin" }}
attributes = {{ plan = {{ claim = "https://acme.example/plan", literal = true, kind = "text" }} }}
provisioning = {{ mode = "auto", domains = ["acme.example"], roles = ["user"] }}
[[scope]]
scope = "app:acme/orders"
methods = ["token"]
passwords = {{ min_chars = 14 }}
"#
    )
}

#[test]
fn a_whole_file() {
    let config = check(&good(), &[]).unwrap();
    assert_eq!((config.env, config.base_url.as_str()), (Env::Production, "https://policy.example"));
    assert_eq!(
        config.scopes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["org:globex", "app:acme/orders", "app:globex/shop"]
    );
    assert_eq!((config.configurations.len(), config.references.len()), (1, 1));
    assert!(config.configurations[0].declared && config.references[0].declared);
    assert_eq!(config.methods, [(config.application.clone(), BTreeSet::from(["token".to_owned()]))]);
    assert_eq!(config.passwords[0].1.min_chars, 14);
    let DatabaseAddress::Postgres { user, password, .. } = &config.database else { panic!() };
    assert_eq!((user.as_deref(), password.as_ref().unwrap().expose().as_str()), (Some("policy"), "hush hush"));
    let shown = format!("{config:?}");
    assert!(!shown.contains("hush") && !shown.contains(KEY), "{shown}");
}

#[test]
fn the_documented_file_is_a_good_one() {
    let page = include_str!("../../../docs/configuration.md");
    let text = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let folder = std::env::temp_dir().join(format!("policy-documented-{}", std::process::id()));
    for (name, content) in [
        ("secrets/database", "hush hush"),
        ("secrets/key", KEY),
        ("tls/chain.pem", include_str!("../client/tests/tls/localhost.pem")),
        ("tls/key.pem", include_str!("../client/tests/tls/localhost.key")),
        ("tls/company.pem", include_str!("../client/tests/tls/ca.pem")),
    ] {
        std::fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
        std::fs::write(folder.join(name), content).unwrap();
    }
    let config = Config::check(text, &Environment::default(), &folder).unwrap();
    assert_eq!((config.env, config.configurations.len(), config.references.len()), (Env::Production, 1, 1));
    assert!(config.tls.is_some() && config.configurations[0].settings.tls_roots.is_some());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn every_careless_setting_has_its_text() {
    let change = |from: &str, to: &str| {
        let text = good();
        assert!(text.contains(from), "{from}");
        check(&text.replace(from, to), &[]).unwrap_err()
    };
    let cases: [(&str, &str, &str); 13] = [
        ("https://policy.example/", "http://policy.example", "the base URL is not https: `http://policy.example`"),
        (KEY, &"00".repeat(32), "the secret `key` is not random"),
        ("key = ", "earlier_keys = []\n#", "there is no `key`; make one with `openssl rand -hex 32`"),
        (
            "[application]",
            &format!("earlier_keys = [\"{}\"]\n[application]", "07".repeat(32)),
            "one of `earlier_keys` is not random",
        ),
        (
            "audience = [\"https://api.acme.example\"]",
            "secret = \"text:my-secret-key-0123456789abcdefgh\"\naudience = [\"https://api.acme.example\"]",
            "the secret of provider `main` is a sample, not a random secret",
        ),
        (
            "audience = [\"https://api.acme.example\"]",
            &format!("secret = \"{KEY}\""),
            "provider `main` takes tokens without an audience",
        ),
        ("postgres://db.example/policy", "sqlite::memory:", "the database is in memory, and ends with the process"),
        ("https://app.example", "*", "CORS lets pages of every origin (`*`) send credentials"),
        (
            "cors_credentials",
            "secure_cookies = false\ncors_credentials",
            "cookies are not secure; they would go over plain http",
        ),
        ("cors_credentials", "rate_limits = false\ncors_credentials", "rate limits are off"),
        (
            "[\"10.0.0.0/8\"]",
            "[]",
            "credentials would come over plain http to 0.0.0.0:8080; name a certificate in `tls_chain_file`, or put a proxy \
             that speaks TLS in front, and name it in `trusted_proxies`",
        ),
        (
            "https://sso.acme",
            "http://sso.acme",
            "the issuer of provider `main` is not https: `http://sso.acme.example/realms/main`",
        ),
        ("env = \"production\"", "env = \"prod\"", ""),
    ];
    for (from, to, expected) in cases {
        let faults = change(from, to);
        let expected = match expected {
            "" => "`env` is `production` or `development`, not `prod`".to_owned(),
            fault => format!("production: {fault}"),
        };
        assert_eq!(faults, [expected], "{from}");
    }
}

#[test]
fn a_certificate_takes_the_place_of_a_proxy() {
    let tls = concat!(env!("CARGO_MANIFEST_DIR"), "/src/client/tests/tls/localhost");
    let with = |files: &str| good().replace("trusted_proxies = [\"10.0.0.0/8\"]", files);
    let both = format!("tls_chain_file = \"{tls}.pem\"\ntls_key_file = \"{tls}.key\"");
    let config = check(&with(&both), &[]).unwrap();
    assert_eq!(config.tls.unwrap().chain, Path::new(&format!("{tls}.pem")));
    let by_itself = check(&with(&both).replace("base_url = \"https://policy.example/\"", ""), &[]).unwrap();
    assert_eq!(by_itself.base_url, "https://0.0.0.0:8080");
    let half = format!("tls_chain_file = \"{tls}.pem\"\ntrusted_proxies = [\"10.0.0.0/8\"]");
    assert_eq!(check(&with(&half), &[]).unwrap_err(), ["`tls_chain_file` and `tls_key_file` go together"]);
    let missing = both.replace(".key", ".none");
    let faults = check(&with(&missing), &[]).unwrap_err();
    assert!(faults[0].starts_with("`tls_key_file`: ") && faults[0].contains("localhost.none"), "{faults:?}");
}

#[test]
fn every_fault_is_named_at_once() {
    let faults = check(
        r#"
env = "production"
[server]
listen = "0.0.0.0:80"
cors_origins = ["*"]
cors_credentials = true
secure_cookies = false
rate_limits = false
trusted_proxies = ["nowhere"]
[policies]
bound_seconds = 0
[secrets]
key = "abc"
[[provider]]
name = "main"
owner = "acme"
secret = "text:short"
[[provider.use]]
scope = "app:acme/orders"
attributes = { roles = { claim = "r", kind = "text" }, level = { claim = "l", kind = "int" } }
"#,
        &[("POLICY_LISTN", "x"), ("POLICY_RATE_LIMITS", "no")],
    )
    .unwrap_err();
    let expected = [
        "there is no setting `POLICY_LISTN`; did you mean `POLICY_LISTEN`?",
        "`POLICY_RATE_LIMITS` is `true` or `false`",
        "provider `main`: `acme` is not a scope: `sys`, `org:<organization>` or `app:<organization>/<application>`",
        "provider `main`: its secret has 5 bytes; 32 is the least",
        "`trusted_proxies`: `nowhere` is no address and no range",
        "`key` has 2 bytes, not 32",
        "`bound_seconds` is between 1 and 3600, not 0: it cannot be turned off",
        "production: the base URL is not https: `http://0.0.0.0:80`",
        "production: the secret of provider `main` has fewer than 32 bytes",
        "production: provider `main` takes tokens without an audience",
        "production: the database is in memory, and ends with the process",
        "production: CORS lets pages of every origin (`*`) send credentials",
        "production: cookies are not secure; they would go over plain http",
        "production: rate limits are off",
    ];
    for fault in expected {
        assert!(faults.iter().any(|found| found == fault), "{fault}\nis not in\n{}", faults.join("\n"));
    }
    assert!(faults.iter().any(|fault| fault.contains("plain http to 0.0.0.0:80")), "{faults:?}");
}

#[test]
fn development_is_content_with_nothing() {
    let config = check("", &[]).unwrap();
    assert_eq!((config.env, config.is_local()), (Env::Development, true));
    assert!(matches!(config.database, DatabaseAddress::Memory) && config.configurations.is_empty());
    assert!(config.rate_limits && config.secure_cookies && !config.system_sign_in);
    assert_eq!(config.policies, Freshness { bound: Duration::from_secs(30), report_stale: true });
}

#[test]
fn the_environment_goes_over_the_file() {
    let variables = [
        ("POLICY_LISTEN", "127.0.0.1:1"),
        ("DB_URL", "postgres://other.example/x"),
        ("DB_USER", "someone"),
        ("DB_PASSWORD", "else"),
        ("AUTH_ISSUER", "https://issuer.example"),
        ("AUTH_AUDIENCE", "api"),
        ("POLICY_ENV", "development"),
    ];
    let config = check(&good(), &variables).unwrap();
    assert_eq!(config.listen.port(), 1);
    let DatabaseAddress::Postgres { url, user, password } = &config.database else { panic!() };
    assert_eq!(url.expose(), "postgres://other.example/x");
    assert_eq!((user.as_deref(), password.as_ref().unwrap().expose().as_str()), (Some("someone"), "else"));
    let added = config.configurations.last().unwrap();
    assert_eq!(
        (added.name.as_str(), added.settings.issuer.as_deref()),
        ("environment", Some("https://issuer.example"))
    );
    assert_eq!(config.references.last().unwrap().scope, config.application);
}

#[test]
fn secrets_come_by_value_or_file() {
    let folder = std::env::temp_dir().join(format!("policy-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("key"), format!("{KEY}\n")).unwrap();
    std::fs::write(folder.join("jwt"), KEY).unwrap();
    let at = |variables: &[(&str, &str)]| {
        Config::check("", &Environment::of(variables.iter().copied()), &folder).map_err(|faults| faults.0)
    };
    let config = at(&[("POLICY_KEY_FILE", "key"), ("JWT_SECRET_FILE", "jwt")]).unwrap();
    assert!(config.key.is_some());
    assert_eq!(config.configurations[0].secret.as_ref().unwrap().expose().len(), 32);
    let faults = at(&[("POLICY_KEY_FILE", "none")]).unwrap_err();
    assert!(faults[0].starts_with("`key_file`: ") && faults[0].contains("none"), "{faults:?}");
    let faults = at(&[("POLICY_KEY", KEY), ("POLICY_KEY_FILE", "key")]).unwrap_err();
    assert_eq!(faults, ["`key` and `key_file` say the same thing; write one of them"]);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_is_misspelt_is_refused() {
    for (text, part) in [
        ("[server]\nlisten_on = \"x\"", "unknown field `listen_on`"),
        ("[[provider]]\nname = \"a\"\nowner = \"sys\"\naudiance = []", "audiance"),
        ("[[provider]]\nname = \"a\"\nowner = \"sys\"\n[[provider.use]]\nscope = \"sys\"\nrolez = {}", "rolez"),
        ("env = 1", "env"),
        (
            "[[provider]]\nname = \"a\"\nowner = \"sys\"\npreset = \"auht0\"\nissuer = \"x\"\naudience = [\"x\"]",
            "no preset `auht0`",
        ),
        ("[[provider]]\nname = \"a\"\nowner = \"sys\"\nissuer = \"https://x\"", "there is no `audience`"),
        ("[[scope]]\nscope = \"sys\"\nmethods = [\"fax\"]", "there is no method `fax`"),
        ("[[scope]]\nscope = \"sys\"\npasswords = { min_chars = 4 }", "`min_chars` is 8 to 64, not 4"),
    ] {
        let faults = check(text, &[]).unwrap_err();
        assert!(faults.join("\n").contains(part), "{part}: {faults:?}");
    }
}

#[test]
fn people_and_their_letters() {
    let text = |mail: &str, more: &str| {
        format!(
            r#"
            [[organization]]
            id = "acme"
            applications = ["shop", "desk"]
            shared_sign_in = ["shop", "desk"]
            [[scope]]
            scope = "app:acme/shop"
            registration = {{ roles = ["customer"] }}
            own_attributes = ["phone"]
            second_factor = "required_for_admins"
            {more}
            [[mail]]
            scope = "sys"
            from = "no-reply@shop.example"
            {mail}
            "#
        )
    };
    let config = check(&text("host = \"mail.example\"", ""), &[("POLICY_FOUNDING", "true")]).unwrap();
    let shop = &config.people[&Scope::application("acme", "shop").unwrap()];
    assert_eq!(shop.second_factor, Some(crate::identity::SecondFactorRule::RequiredForAdmins));
    assert!(shop.registration.is_some() && config.founding && config.mails.len() == 1);
    assert_eq!(config.shared_sign_in[0].len(), 2);
    for (mail, more, fault) in [
        ("host = \"mail.example\"\ntls = \"none\"", "", "in plain text"),
        ("host = \"mail.example\"\nuser = \"shop\"", "", "`user` and `password` belong together"),
        ("host = \"mail.example\"\npassword_file = \"not-there\"", "", "cannot be read"),
        ("host = \"mail.example\"", "[[scope]]\nscope = \"org:acme\"\nregistration = {}", "in applications alone"),
        ("host = \"mail.example\"", "[[scope]]\nscope = \"sys\"\nown_attributes = [\"roles\"]", "it is built in"),
        ("host = \"mail.example\"", "[[scope]]\nscope = \"sys\"\nsecond_factor = \"maybe\"", "unknown variant"),
        (
            "host = \"mail.example\"",
            "[[organization]]\nid = \"globex\"\nshared_sign_in = [\"shop\"]",
            "no application `shop`",
        ),
    ] {
        let faults = check(&text(mail, more), &[]).unwrap_err();
        assert!(faults.iter().any(|found| found.contains(fault)), "{fault}: {faults:?}");
    }
}
