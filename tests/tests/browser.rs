//! The pages in a real browser: log in, second factor, log out.

use std::process::Stdio;

use policy_runtime::Scope;
use policy_runtime::authn::password::hash;
use policy_runtime::config::{Config, Environment};
use policy_runtime::identity::NewUser;
use policy_runtime::secret::Secret;
use policy_runtime::server::Prepared;
use policy_runtime::signin::ClientSettings;
use serde_json::Value;

const PASSWORD: &str = "a quite long pass phrase";
const FILE: &str = r#"
    [application]
    organization = "acme"
    id = "vault"
    [[scope]]
    scope = "app:acme/vault"
    second_factor = "required"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn somebody_logs_in_with_a_second_factor_and_logs_out() {
    let environment = Environment::of([("DB_URL", "sqlite::memory:"), ("POLICY_LISTEN", "127.0.0.1:0")]);
    let config = Config::check(FILE, &environment, &std::env::temp_dir()).unwrap();
    let prepared = Prepared::new(&config).await.unwrap();
    let gateway = prepared.gateway(&config).bind(config.listen).await.unwrap();
    let vault = Scope::application("acme", "vault").unwrap();
    let port = tests::free_port();
    let callback = format!("http://127.0.0.1:{port}/callback");
    let settings = ClientSettings::new("The vault").redirect_uri(&callback);
    prepared.sign_in.stored().clients.add_public("vault", &vault, &settings).await.unwrap();
    let hashed = hash(&Secret::new(PASSWORD.to_owned())).unwrap();
    prepared.store.add_user(NewUser::new(vault, "ann@example.com").password_hash(hashed)).await.unwrap();

    let folder = tokio::task::spawn_blocking(tests::providers::browser).await.unwrap().unwrap();
    // RFC 7636, appendix B.
    let question = format!(
        "/api/auth/oauth/authorize?client_id=vault&response_type=code&scope=openid\
         &redirect_uri=http%3A%2F%2F127.0.0.1%3A{port}%2Fcallback&code_challenge_method=S256\
         &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    );
    let origin = format!("http://{}", gateway.local_addr());
    let ended = tokio::process::Command::new("node")
        .args(["login.mjs", &origin, &question, &callback, "ann@example.com", PASSWORD])
        .current_dir(folder)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let ended = tokio::time::timeout(std::time::Duration::from_mins(2), ended).await.unwrap().unwrap();
    let said = String::from_utf8(ended.stdout).unwrap();
    assert!(ended.status.success(), "{said}{}", String::from_utf8_lossy(&ended.stderr));
    let said: Value = serde_json::from_str(&said).unwrap();
    for way in ["first", "second"] {
        let back = said[way].as_str().unwrap();
        assert!(back.starts_with(&callback) && back.contains("code="), "{way}: {back}");
    }
    assert_eq!((said["recovery"].as_u64(), said["asksAgain"].as_bool()), (Some(10), Some(true)));
    assert_eq!(said["scripts"], Value::from(Vec::<Value>::new()));
}
