//! A provider on this machine that answers as real ones do, and as attackers would like them to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::authn::token::{Algorithm, Issuer, KeyRing, SigningKey};
use crate::clock::FixedClock;
use crate::identity::MemoryStore;

pub(super) const CLIENT: &str = "our-client";
pub(super) const SECRET: &str = "our secret: with/signs";

/// What a browser brought, and what is to come of its code.
pub(super) struct Given {
    asked: BTreeMap<String, String>,
    claims: Value,
}

pub(super) struct Inner {
    /// Signs the ID tokens.
    keys: Issuer,
    pub(super) url: String,
    pub(super) codes: BTreeMap<String, Given>,
    used: BTreeSet<String>,
    /// Members that replace or join the metadata.
    pub(super) metadata: Value,
    /// Claims that replace or join those of the next ID tokens; `null` takes one away.
    pub(super) spoils: Value,
    pub(super) user_info: Value,
    /// GitHub's interface.
    pub(super) github: (Value, Value),
    /// How long it takes to answer.
    pub(super) slow: Duration,
    /// Whether it never ends.
    pub(super) endless: bool,
    /// The last secret that was shown in a form.
    pub(super) shown: Option<String>,
    pub(super) asked: BTreeMap<String, usize>,
}

#[derive(Clone)]
pub(super) struct Provider(pub(super) Arc<Mutex<Inner>>);

fn fields(text: &str) -> BTreeMap<String, String> {
    form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

fn join(into: &mut Value, more: &Value) {
    for (name, value) in more.as_object().unwrap() {
        if value.is_null() {
            into.as_object_mut().unwrap().remove(name);
        } else {
            into[name] = value.clone();
        }
    }
}

fn issuer(url: &str, clock: &FixedClock) -> Issuer {
    let ring = KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap(), &[]).unwrap();
    Issuer::with_keys(url, ring, Arc::new(clock.clone()), Arc::new(MemoryStore::default()))
}

impl Provider {
    pub(super) async fn start(clock: &FixedClock) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let inner = Inner {
            keys: issuer(&url, clock),
            url,
            codes: BTreeMap::new(),
            used: BTreeSet::new(),
            metadata: json!({}),
            spoils: json!({}),
            user_info: json!({}),
            github: (json!({}), json!([])),
            slow: Duration::ZERO,
            endless: false,
            shown: None,
            asked: BTreeMap::new(),
        };
        let provider = Self(Arc::new(Mutex::new(inner)));
        let own = provider.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let own = own.clone();
                tokio::spawn(async move { own.serve(stream).await });
            }
        });
        provider
    }

    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.0.lock().unwrap())
    }

    pub(super) fn url(&self) -> String {
        self.with(|inner| inner.url.clone())
    }

    /// Signs with other keys from now on, and publishes no others.
    pub(super) fn rotate(&self, clock: &FixedClock) {
        self.with(|inner| inner.keys = issuer(&inner.url, clock));
    }

    /// Somebody signs in on the provider's page; gives what the browser brings back.
    pub(super) fn sign_in(&self, address: &str, claims: Value) -> Vec<(&'static str, String)> {
        let asked = fields(address.split_once('?').unwrap().1);
        let code = format!("code-{}", self.with(|inner| inner.codes.len() + inner.used.len()));
        let state = asked["state"].clone();
        self.with(|inner| inner.codes.insert(code.clone(), Given { asked, claims }));
        vec![("code", code), ("state", state)]
    }

    async fn serve(&self, mut stream: TcpStream) {
        let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
        let (head, body) = loop {
            let n = stream.read(&mut buffer).await.unwrap_or(0);
            if n == 0 {
                return;
            }
            read.extend_from_slice(&buffer[..n]);
            let text = String::from_utf8_lossy(&read).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                break (head.to_owned(), body.to_owned());
            }
        };
        let (slow, endless) = self.with(|inner| (inner.slow, inner.endless));
        tokio::time::sleep(slow).await;
        if endless {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"a\":\"").await;
            while stream.write_all(&[b'a'; 8_192]).await.is_ok() {}
            return;
        }
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let header = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(": "));
            lines.find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
        };
        let answer = self.answer(&path, header("authorization").as_deref(), &fields(&body));
        let (status, body) =
            answer.map_or(("400 Bad Request", json!({ "error": "invalid_grant" })), |body| ("200 OK", body));
        let body = body.to_string();
        let text = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let _ = stream.write_all(text.as_bytes()).await;
    }

    fn answer(&self, path: &str, authorization: Option<&str>, form: &BTreeMap<String, String>) -> Option<Value> {
        self.with(|inner| {
            *inner.asked.entry(path.to_owned()).or_default() += 1;
            let is_bearer = authorization == Some("Bearer an-access-token");
            match path {
                "/.well-known/openid-configuration" => {
                    let url = &inner.url;
                    let mut metadata = json!({
                        "issuer": url, "authorization_endpoint": format!("{url}/authorize"),
                        "token_endpoint": format!("{url}/token"), "jwks_uri": format!("{url}/jwks"),
                        "userinfo_endpoint": format!("{url}/userinfo"),
                        "authorization_response_iss_parameter_supported": true,
                    });
                    join(&mut metadata, &inner.metadata);
                    Some(metadata)
                }
                "/jwks" => serde_json::from_str(&inner.keys.key_set()).ok(),
                "/token" => {
                    let given = inner.exchanged(authorization, form)?;
                    let id_token = inner.id_token(&given);
                    Some(json!({ "access_token": "an-access-token", "token_type": "Bearer", "id_token": id_token }))
                }
                "/userinfo" if is_bearer => Some(inner.user_info.clone()),
                "/login/oauth/access_token" => {
                    inner.exchanged(authorization, form)?;
                    Some(json!({ "access_token": "an-access-token", "scope": "read:user,user:email", "token_type": "bearer" }))
                }
                "/api/v3/user" if is_bearer => Some(inner.github.0.clone()),
                "/api/v3/user/emails" if is_bearer => Some(inner.github.1.clone()),
                _ => None,
            }
        })
    }
}

impl Inner {
    /// Uses a code, if everything is as it was asked.
    fn exchanged(&mut self, authorization: Option<&str>, form: &BTreeMap<String, String>) -> Option<Given> {
        let code = form.get("code")?;
        let given = self.codes.remove(code)?;
        self.used.insert(code.clone());
        self.shown = form.get("client_secret").cloned();
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("Basic {}", STANDARD.encode(format!("{}:{}", encoded(CLIENT), encoded(SECRET))));
        let knows_us = authorization == Some(&pair) || (form.get("client_id")? == CLIENT && self.shown.is_some());
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(form.get("code_verifier")?.as_bytes()));
        let is_ours = given.asked["code_challenge"] == challenge
            && given.asked["code_challenge_method"] == "S256"
            && given.asked["redirect_uri"] == *form.get("redirect_uri")?
            && form.get("grant_type")? == "authorization_code";
        (knows_us && is_ours).then_some(given)
    }

    fn id_token(&self, given: &Given) -> String {
        let token = self.keys.sign_id(|algorithm| {
            let now = super::NOW / 1_000;
            let mut claims = json!({
                "iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 600,
                "nonce": given.asked.get("nonce"), "at_hash": algorithm.half_hash("an-access-token"),
            });
            join(&mut claims, &given.claims);
            join(&mut claims, &self.spoils);
            claims
        });
        token.expose().clone()
    }
}
