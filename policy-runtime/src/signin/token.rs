//! The token endpoint: a code, a refresh token or the client's own secret in, tokens out (RFC 6749, RFC 7636).

use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use policy_core::Slug;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::authorize::MFA;
use super::clients::Client;
use super::form::{Form, json as answer, set};
use super::grants::{Exchanged, Grant, Shown, has};
use super::{SignIn, SignInError};
use crate::authn::second_factor::Need;
use crate::authn::token::ACCESS_TOKEN_S;
use crate::events::{Actor, Event, EventKind};
use crate::id::random_id;
use crate::identity::User;
use crate::secret::Secret;

/// Why a client does not get what it asks for (RFC 6749, section 5.2); it is told no more than this.
#[derive(Debug)]
pub(super) enum Refusal {
    Request(&'static str),
    /// Unknown, disabled, or the secret is wrong.
    Client,
    /// The code or token is unknown, over, used, or somebody else's.
    Grant,
    Unauthorized,
    GrantType,
    Scope,
    Unavailable(SignInError),
}

impl From<SignInError> for Refusal {
    fn from(error: SignInError) -> Self {
        Self::Unavailable(error)
    }
}

impl Refusal {
    pub(super) fn response(self) -> Response {
        let (status, code, more) = match self {
            Self::Request(more) => (StatusCode::BAD_REQUEST, "invalid_request", Some(more)),
            Self::Client => (StatusCode::UNAUTHORIZED, "invalid_client", None),
            Self::Grant => (StatusCode::BAD_REQUEST, "invalid_grant", None),
            Self::Unauthorized => (StatusCode::BAD_REQUEST, "unauthorized_client", None),
            Self::GrantType => (StatusCode::BAD_REQUEST, "unsupported_grant_type", None),
            Self::Scope => (StatusCode::BAD_REQUEST, "invalid_scope", None),
            Self::Unavailable(error) => {
                tracing::warn!(target: "policy::signin", %error, "a client gets no answer");
                (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", None)
            }
        };
        let mut body = json!({ "error": code });
        if let Some(more) = more {
            set(&mut body, "error_description", more);
        }
        let mut response = answer(status, &body);
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"clients\""));
        }
        response
    }
}

/// Id and secret of a client in the header, both encoded as in a form (RFC 6749, section 2.3.1).
fn of_header(headers: &HeaderMap) -> Result<Option<(String, Secret<String>)>, Refusal> {
    let Some(header) = headers.get(AUTHORIZATION) else { return Ok(None) };
    let read = || {
        let (scheme, encoded) = header.to_str().ok()?.split_once(' ')?;
        let decoded = STANDARD.decode(encoded.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
        let text = String::from_utf8(decoded).ok()?;
        let (id, secret) = text.split_once(':')?;
        let plain = |part: &str| {
            let mut pairs = form_urlencoded::parse(part.as_bytes());
            pairs.next().filter(|(_, value)| value.is_empty()).map(|(name, _)| name.into_owned())
        };
        Some((plain(id)?, Secret::new(plain(secret)?)))
    };
    read().map(Some).ok_or(Refusal::Client)
}

/// Reads a client's request, and checks who it is.
pub(super) async fn authenticated(server: &SignIn, request: Request) -> Result<(Client, Form), Refusal> {
    let (parts, body) = request.into_parts();
    let form = Form::of_body(&parts.headers, body).await;
    let form = form.ok_or(Refusal::Request("the body is a form in which nothing is said twice"))?;
    let shown = match (of_header(&parts.headers)?, form.get("client_secret")) {
        (Some(_), Some(_)) => return Err(Refusal::Request("one way of showing the secret is enough")),
        (Some((id, _)), None) if form.get("client_id").is_some_and(|other| other != id) => {
            return Err(Refusal::Request("two clients are named"));
        }
        (Some((id, secret)), None) => (id, Some(secret)),
        (None, secret) => {
            let id = form.get("client_id").ok_or(Refusal::Client)?;
            (id.to_owned(), secret.map(|secret| Secret::new(secret.to_owned())))
        }
    };
    let client = server.inner.stored.clients.find(&shown.0).await?.filter(|client| client.enabled);
    let client = client.ok_or(Refusal::Client)?;
    let is_known = match &shown.1 {
        Some(secret) => client.is_confidential() && client.knows(secret),
        None => !client.is_confidential(),
    };
    if is_known { Ok((client, form)) } else { Err(Refusal::Client) }
}

pub(super) async fn token(State(server): State<SignIn>, request: Request) -> Response {
    let given = async {
        let (client, form) = authenticated(&server, request).await?;
        match form.get("grant_type") {
            Some("authorization_code") => server.by_code(&client, &form).await,
            Some("refresh_token") => server.by_refresh(&client, &form).await,
            Some("client_credentials") => server.for_itself(&client, &form),
            Some(_) => Err(Refusal::GrantType),
            None => Err(Refusal::Request("there is no `grant_type`")),
        }
    };
    match given.await {
        Ok(body) => answer(StatusCode::OK, &body),
        Err(refusal) => refusal.response(),
    }
}

/// Whether a verifier is the one whose hash came with the request (RFC 7636, section 4.6).
fn proves(verifier: &str, challenge: &str) -> bool {
    let is_one = (43..=128).contains(&verifier.len())
        && verifier.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b));
    is_one && URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())) == challenge
}

/// What a client may have of what it asks for; whatever it may not is left out, and it is told what it got.
pub(super) fn granted(client: &Client, asked: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    for word in asked.split(' ').filter(|word| client.settings.words.iter().any(|own| own == word)) {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words.join(" ")
}

impl SignIn {
    async fn by_code(&self, client: &Client, form: &Form) -> Result<Value, Refusal> {
        let code = form.get("code").ok_or(Refusal::Request("there is no `code`"))?;
        let uri = form.get("redirect_uri").ok_or(Refusal::Request("there is no `redirect_uri`"))?;
        let verifier = form.get("code_verifier").ok_or(Refusal::Request("there is no `code_verifier`"))?;
        let is_same = |found: &Exchanged| found.redirect_uri == uri && proves(verifier, &found.challenge);
        let found = self.inner.stored.grants.exchange(&client.id, code, is_same).await?;
        let found = self.good(client, found).await?;
        let user = self.holder(client, &found.grant).await?;
        let mut body = self.access(client, &user, &found.grant, &found.grant.words)?;
        if let Some(refresh) = &found.refresh {
            set(&mut body, "refresh_token", refresh.expose().as_str());
        }
        if has(&found.grant.words, "openid") {
            let access = body.get("access_token").and_then(Value::as_str).unwrap_or_default().to_owned();
            set(&mut body, "id_token", self.id_token(client, &user, &found, &access).expose().as_str());
        }
        Ok(body)
    }

    async fn by_refresh(&self, client: &Client, form: &Form) -> Result<Value, Refusal> {
        let token = form.get("refresh_token").ok_or(Refusal::Request("there is no `refresh_token`"))?;
        // Less may be asked for, never more.
        let (asked, mut too_much) = (form.get("scope"), false);
        let is_within = |grant: &Grant| {
            too_much = asked.is_some_and(|words| !words.split(' ').all(|word| has(&grant.words, word)));
            !too_much
        };
        let found = self.inner.stored.grants.refresh(&client.id, token, is_within).await?;
        if too_much {
            return Err(Refusal::Scope);
        }
        let (grant, next) = self.good(client, found).await?;
        let user = self.holder(client, &grant).await?;
        let mut body = self.access(client, &user, &grant, asked.unwrap_or(&grant.words))?;
        set(&mut body, "refresh_token", next.expose().as_str());
        Ok(body)
    }

    fn for_itself(&self, client: &Client, form: &Form) -> Result<Value, Refusal> {
        if !client.settings.for_itself || !client.is_confidential() {
            return Err(Refusal::Unauthorized);
        }
        let words = granted(client, form.get("scope").unwrap_or_default());
        // Nobody signs in here, so that there is nobody to name and nothing to go on with.
        let not_for_itself = ["openid", "email", "profile", "offline_access"];
        let words: Vec<&str> = words.split(' ').filter(|word| !not_for_itself.contains(word)).collect();
        let mut claims = self.common(client, &words.join(" "))?;
        set(&mut claims, "sub", client.id.as_str());
        set(&mut claims, "roles", json!(client.settings.roles));
        Ok(self.signed(&claims))
    }

    /// Lets go on with what was shown, and tells of a replay.
    async fn good<T>(&self, client: &Client, shown: Shown<T>) -> Result<T, Refusal> {
        match shown {
            Shown::Good(found) => Ok(found),
            Shown::Unknown => Err(Refusal::Grant),
            Shown::Replayed => {
                let actor = Actor::new(None, Some(&client.scope));
                let event = Event::new(EventKind::SignInFailed, self.inner.stored.clock.now(), actor, "oauth");
                let event = event.target(&client.id).within(&client.scope).failed("token_replayed");
                // The grant has ended, whether that is recorded or not.
                if let Err(error) = self.inner.events.note(&event).await {
                    tracing::warn!(target: "policy::signin", %error, "a replay was not recorded");
                }
                Err(Refusal::Grant)
            }
        }
    }

    /// The user on whose behalf a grant is, if they may still sign in; the grant ends if not.
    pub(super) async fn holder(&self, client: &Client, grant: &Grant) -> Result<User, Refusal> {
        let user = self.inner.users.user(&grant.user).await.map_err(SignInError::from)?;
        if let Some(user) = user.filter(|user| user.enabled && user.scope == client.scope) {
            // Nothing goes on that was given to somebody who could not come in by that any more; and whoever needs a second factor
            // by now is given nothing on what one proof has opened.
            let is_open = self.inner.chain.still_takes(&user.scope, &grant.ways);
            if is_open && (has(&grant.amr, MFA) || self.need(&user).await.map_err(SignInError::from)? == Need::None) {
                return Ok(user);
            }
        }
        self.inner.stored.grants.end(&grant.id).await?;
        Err(Refusal::Grant)
    }

    fn access(&self, client: &Client, user: &User, grant: &Grant, words: &str) -> Result<Value, Refusal> {
        let mut claims = self.common(client, words)?;
        set(&mut claims, "sub", user.id.as_str());
        set(&mut claims, "sid", grant.id.as_str());
        set(&mut claims, "amr", grant.amr.split_whitespace().collect::<Value>());
        if has(&grant.amr, MFA) {
            set(&mut claims, "acr", MFA);
        }
        if let Some(at) = grant.auth_time {
            set(&mut claims, "auth_time", at.0.div_euclid(1_000));
        }
        if !client.settings.third_party {
            set(&mut claims, "roles", json!(user.roles));
        }
        Ok(self.signed(&claims))
    }

    /// The claims of every access token (RFC 9068).
    fn common(&self, client: &Client, words: &str) -> Result<Value, Refusal> {
        let url = self.inner.issuer.url();
        let now = self.now_s();
        let audience = match client.settings.audience.as_slice() {
            // What a stranger holds opens nothing here but what the user let it read.
            [] if client.settings.third_party => json!(format!("{url}#userinfo")),
            [] => json!(url),
            [one] => json!(one),
            several => json!(several),
        };
        let mut claims = json!({
            "iss": url, "aud": audience, "client_id": client.id, "scope": words, "iat": now,
            "exp": now + i64::from(ACCESS_TOKEN_S), "jti": random_id().map_err(SignInError::from)?,
            "scp": client.scope.to_string(),
        });
        if let Some(organization) = client.scope.organization_id() {
            set(&mut claims, "organizationId", organization.as_str());
        }
        if let Some(application) = client.scope.application_id().map(Slug::as_str) {
            set(&mut claims, "applicationId", application);
        }
        Ok(claims)
    }

    fn signed(&self, claims: &Value) -> Value {
        let token = self.inner.issuer.sign_access(claims);
        json!({
            "access_token": token.expose(), "token_type": "Bearer", "expires_in": ACCESS_TOKEN_S, "scope": claims.get("scope"),
        })
    }

    fn id_token(&self, client: &Client, user: &User, found: &Exchanged, access: &str) -> Secret<String> {
        let now = self.now_s();
        self.inner.issuer.sign_id(|algorithm| {
            let mut claims = json!({
                "iss": self.inner.issuer.url(), "sub": user.id, "aud": client.id, "iat": now,
                "exp": now + i64::from(ACCESS_TOKEN_S), "amr": found.grant.amr.split_whitespace().collect::<Vec<_>>(),
                "at_hash": algorithm.half_hash(access), "sid": found.grant.id,
            });
            if let Some(nonce) = &found.nonce {
                set(&mut claims, "nonce", nonce.as_str());
            }
            if let Some(at) = found.grant.auth_time {
                set(&mut claims, "auth_time", at.0.div_euclid(1_000));
            }
            if has(&found.grant.amr, MFA) {
                set(&mut claims, "acr", MFA);
            }
            about(user, &found.grant.words, &mut claims);
            claims
        })
    }

    pub(super) fn now_s(&self) -> i64 {
        self.inner.stored.clock.now().0.div_euclid(1_000)
    }
}

/// What the user lets the client read (OpenID Connect Core, section 5.4). That an address was verified is not known here,
/// so it is not said.
pub(super) fn about(user: &User, words: &str, claims: &mut Value) {
    if let Some(email) = user.email.as_ref().filter(|_| has(words, "email")) {
        set(claims, "email", email.as_str());
    }
    if let Some(name) = user.display_name.as_ref().filter(|_| has(words, "profile")) {
        set(claims, "name", name.as_str());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_proves_its_challenge() {
        // RFC 7636, appendix B.
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        assert!(proves("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", challenge));
        assert!(!proves("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXl", challenge));
        assert!(!proves(challenge, challenge), "a challenge is no verifier");
        let short = "a".repeat(42);
        assert!(!proves(&short, &URL_SAFE_NO_PAD.encode(Sha256::digest(&short))));
    }
}
