//! What a token is worth now (RFC 7662), its end before its time (RFC 7009), and what it says of its user.

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use serde_json::{Value, json};

use super::SignIn;
use super::clients::Client;
use super::form::{json as answer, set};
use super::grants::has;
use super::token::{Refusal, about, authenticated};
use crate::authn::token::{Json, VerifiedToken};
use crate::identity::User;

/// An access token that is good now.
struct Live {
    token: VerifiedToken,
    client: Client,
    /// Whom it is for, and by which grant; nobody where a client acts for itself.
    user: Option<(User, super::Grant)>,
}

fn claim<'a>(token: &'a VerifiedToken, name: &str) -> Option<&'a str> {
    token.claims().get(name).and_then(Json::as_text)
}

impl SignIn {
    /// Reads an access token, and asks whether everything that it hangs on is still there; `None` for every other text.
    async fn live(&self, token: &str) -> Result<Option<Live>, Refusal> {
        let stored = &self.inner.stored;
        let Ok(token) = self.inner.issuer.inspect(token) else { return Ok(None) };
        let client = match claim(&token, "client_id") {
            Some(id) => stored.clients.find(id).await?.filter(|client| client.enabled),
            None => None,
        };
        let Some(client) = client else { return Ok(None) };
        if token.is_machine() {
            let live = client.settings.for_itself && client.is_confidential();
            return Ok(live.then_some(Live { token, client, user: None }));
        }
        let grant = match claim(&token, "sid") {
            Some(id) => stored.grants.find(id).await?.filter(|grant| grant.client == client.id),
            None => None,
        };
        let Some(grant) = grant else { return Ok(None) };
        match self.holder(&client, &grant).await {
            Ok(user) => Ok(Some(Live { token, client, user: Some((user, grant)) })),
            Err(Refusal::Grant) => Ok(None),
            Err(other) => Err(other),
        }
    }

    async fn introspected(&self, asker: &Client, token: &str) -> Result<Value, Refusal> {
        let issuer = self.inner.issuer.url();
        // Others learn of it only where a resource server of the same scope asks.
        let may = |of: &Client| of.id == asker.id || (of.scope == asker.scope && !asker.settings.third_party);
        if let Some(Live { token, client, .. }) = self.live(token).await?.filter(|live| may(&live.client)) {
            let mut body = json!({
                "active": true, "iss": issuer, "client_id": client.id, "token_type": "Bearer",
                "sub": token.subject().as_text(), "exp": token.expires_at().0.div_euclid(1_000),
            });
            for name in ["scope", "scp", "jti", "sid", "organizationId", "applicationId"] {
                if let Some(text) = claim(&token, name) {
                    set(&mut body, name, text);
                }
            }
            if let Some(at) = token.claims().get("iat").and_then(Json::as_long) {
                set(&mut body, "iat", at);
            }
            if let Some(audience) = token.claims().get("aud") {
                let list = audience.as_list().map(|all| all.iter().filter_map(Json::as_text).collect::<Vec<_>>());
                set(&mut body, "aud", list.map_or_else(|| json!(audience.as_text()), |list| json!(list)));
            }
            return Ok(body);
        }
        if let Some((grant, until)) = self.inner.stored.grants.of_refresh(token).await?
            && grant.client == asker.id
        {
            return Ok(json!({
                "active": true, "iss": issuer, "client_id": grant.client, "sub": grant.user, "scope": grant.words,
                "exp": until.0.div_euclid(1_000), "sid": grant.id,
            }));
        }
        Ok(json!({ "active": false }))
    }
}

/// Tells a client that can keep a secret what a token is worth.
pub(super) async fn introspect(State(server): State<SignIn>, request: Request) -> Response {
    let told = async {
        let (client, form) = authenticated(&server, request).await?;
        if !client.is_confidential() {
            return Err(Refusal::Client);
        }
        let token = form.get("token").ok_or(Refusal::Request("there is no `token`"))?;
        server.introspected(&client, token).await
    };
    match told.await {
        Ok(body) => answer(StatusCode::OK, &body),
        Err(refusal) => refusal.response(),
    }
}

/// Ends the grant that a token of the client's own came of; a token that is unknown is as good as ended.
pub(super) async fn revoke(State(server): State<SignIn>, request: Request) -> Response {
    let ended = async {
        let (client, form) = authenticated(&server, request).await?;
        let token = form.get("token").ok_or(Refusal::Request("there is no `token`"))?;
        let grants = &server.inner.stored.grants;
        if grants.end_by_refresh(&client.id, token).await? {
            return Ok(());
        }
        if let Some(live) = server.live(token).await?.filter(|live| live.client.id == client.id)
            && let Some((_, grant)) = live.user
        {
            grants.end(&grant.id).await?;
        }
        Ok(())
    };
    match ended.await {
        Ok(()) => answer(StatusCode::OK, &json!({})),
        Err(Refusal::Unavailable(error)) => Refusal::Unavailable(error).response(),
        Err(refusal) => refusal.response(),
    }
}

/// What the user lets the client read (OpenID Connect Core, section 5.3).
pub(super) async fn user_info(State(server): State<SignIn>, request: Request) -> Response {
    let header = request.headers().get(AUTHORIZATION).and_then(|header| header.to_str().ok());
    let token = header.and_then(|header| header.split_once(' '));
    let token =
        token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim().to_owned());
    drop(request);
    let live = match token {
        Some(token) => server.live(&token).await,
        None => Ok(None),
    };
    match live {
        Ok(Some(Live { user: Some((user, _)), token, .. })) if has(words_of(&token), "openid") => {
            let mut claims = json!({ "sub": user.id });
            about(&user, words_of(&token), &mut claims);
            answer(StatusCode::OK, &claims)
        }
        Ok(_) => {
            let mut response = answer(StatusCode::UNAUTHORIZED, &json!({ "error": "invalid_token" }));
            let header = http::HeaderValue::from_static("Bearer error=\"invalid_token\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, header);
            response
        }
        Err(refusal) => refusal.response(),
    }
}

/// The token's own `scope`, which may be less than its grant's.
fn words_of(token: &VerifiedToken) -> &str {
    claim(token, "scope").unwrap_or_default()
}
