//! Signing out: of one's own sessions, listed and ended; and on behalf of a client (OpenID Connect RP-Initiated Logout 1.0).
//!
//! A client's ID token says whom it wants signed out, and then nobody is asked; without one, the user is. The browser goes back to
//! an address that the client has registered, letter by letter, and nowhere else.

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::StatusCode;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::authorize::{Instead, see_other, session_of, unavailable, with_cookie};
use super::form::{Form, json as answer};
use super::relying::Came;
use super::{SignIn, page};
use crate::authn::Authenticated;
use crate::authn::session::Sessions;
use crate::authn::token::Json;
use crate::endpoint::{Endpoint, at};

/// The longest question that comes as a form.
const LONGEST: usize = 16 * 1024;

pub(super) fn routes() -> Router<SignIn> {
    crate::endpoint::routes("/api/auth", endpoints()).route("/api/auth/oauth/end_session", get(asked).post(confirmed))
}

/// One's own sessions.
pub(super) fn endpoints() -> Vec<Endpoint<SignIn>> {
    vec![
        at("get", "/sessions", "sessions", "One's own sessions, the latest first", listed).gives_all::<Own>(),
        at("delete", "/sessions/{id}", "endSession", "Ends one of one's own sessions", ended),
    ]
}

/// A session; times are milliseconds since 1970.
#[derive(Serialize, ToSchema)]
struct Own {
    id: String,
    /// The method that opened it.
    method: String,
    /// How that was proved.
    amr: Vec<String>,
    since: i64,
    /// Until when at the latest.
    ends: i64,
    /// Whether it is the one that asks.
    current: bool,
}

/// Where it goes after that, and whom the client means.
struct Wanted {
    back: Option<String>,
    whom: Option<String>,
}

async fn asked(State(server): State<SignIn>, request: Request) -> Response {
    let came = Came::of(&server, &request);
    drop(request);
    server.leaves_by_client(came, false).await.unwrap_or_else(|instead| *instead)
}

async fn confirmed(State(server): State<SignIn>, request: Request) -> Response {
    let came = Came::of(&server, &request);
    let form = axum::body::to_bytes(request.into_body(), LONGEST).await.unwrap_or_default();
    let left = async {
        let mut came = came?;
        // A page of ours has the question in its address; a client may send it as a form.
        let is_ours = came.is_of_this_site() && form.is_empty();
        if !is_ours {
            came.query = String::from_utf8_lossy(&form).into_owned();
        }
        server.leaves_by_client(Ok(came), is_ours).await
    };
    left.await.unwrap_or_else(|instead: Instead| *instead)
}

impl SignIn {
    /// Reads what a client wants. Until its address is known to be its own, the browser is sent nowhere.
    async fn wanted(&self, query: &str) -> Result<Wanted, Instead> {
        let here = |why| Instead::from(page::refusal(StatusCode::BAD_REQUEST, why));
        let form = Form::parse(query).ok_or_else(|| here("The address is too long, or says something twice."))?;
        let hint = form.get("id_token_hint").and_then(|token| self.inner.issuer.hinted(token).ok());
        let of_hint = hint.as_ref().and_then(|token| token.claims().get("aud")).and_then(Json::as_text);
        if let (Some(named), Some(of_hint)) = (form.get("client_id"), of_hint)
            && named != of_hint
        {
            return Err(here("The application is not the one that the token was made for."));
        }
        let whom = hint.as_ref().map(|token| token.subject().as_text().to_owned());
        let Some(uri) = form.get("post_logout_redirect_uri") else { return Ok(Wanted { back: None, whom }) };
        let client = match form.get("client_id").or(of_hint) {
            Some(id) => self.inner.stored.clients.find(id).await.map_err(|error| unavailable(&error))?,
            None => None,
        };
        let is_own =
            client.is_some_and(|client| client.enabled && client.settings.logout_uris.iter().any(|own| own == uri));
        if !is_own {
            return Err(here("The application may not be sent back to that address."));
        }
        let state = form.get("state").map(|state| {
            let mark = if uri.contains('?') { '&' } else { '?' };
            format!("{mark}{}", form_urlencoded::Serializer::new(String::new()).append_pair("state", state).finish())
        });
        Ok(Wanted { back: Some(format!("{uri}{}", state.unwrap_or_default())), whom })
    }

    async fn leaves_by_client(&self, came: Result<Came, Instead>, is_sure: bool) -> Result<Response, Instead> {
        let came = came?;
        let wanted = self.wanted(&came.query).await?;
        let found = self.of_cookie(&came.pages, came.arrival, &came.headers).await;
        if let Some(found) = &found
            && !is_sure
            && wanted.whom.as_deref() != Some(found.participant().id())
        {
            // Somebody else's page must not sign anybody out.
            let who = found.participant().email().unwrap_or_else(|| found.participant().id());
            return Ok(page::leave(&came.query, who));
        }
        let mut response = match &wanted.back {
            Some(back) => see_other(back)?,
            None => page::left(),
        };
        if let Some(value) = session_of(&came.headers, came.arrival) {
            came.pages.sessions.end(&value).await.map_err(|error| unavailable(&error.into()))?;
            with_cookie(&mut response, &Sessions::clear_cookie())?;
        }
        Ok(response)
    }

    /// Who asks about sessions: from a page of this site or a listed one, by the cookie of one.
    async fn own(&self, came: &Came) -> Result<Box<Authenticated>, Instead> {
        let refused = |status, why: &str| Instead::from(answer(status, &json!({ "error": why })));
        let listed = self.flows.as_ref().map(|flows| &flows.people.origins);
        let is_listed = listed.is_some_and(|origins| origins.admit_upgrade(&came.headers, came.arrival.secure));
        if !is_listed && !came.is_of_this_site() {
            return Err(refused(StatusCode::FORBIDDEN, "the request must come from this site"));
        }
        let found = self.of_cookie(&came.pages, came.arrival, &came.headers).await;
        found.ok_or_else(|| refused(StatusCode::UNAUTHORIZED, "Invalid credentials"))
    }
}

/// One's own sessions, the latest first.
async fn listed(State(server): State<SignIn>, request: Request) -> Response {
    let came = Came::of(&server, &request);
    drop(request);
    let told = async {
        let came = came?;
        let found = server.own(&came).await?;
        let all = came.pages.sessions.of_user(found.participant().id()).await;
        let all = all.map_err(|error| unavailable(&error.into()))?;
        let told = all.into_iter().map(|one| Own {
            current: found.session().is_some_and(|own| **own == *one.id),
            id: one.id,
            method: one.method,
            amr: one.amr,
            since: one.since.0,
            ends: one.ends.0,
        });
        Ok(answer(StatusCode::OK, &json!(told.collect::<Vec<_>>())))
    };
    told.await.unwrap_or_else(|instead: Instead| *instead)
}

/// Ends one of one's own sessions; of others there is nothing to learn.
async fn ended(State(server): State<SignIn>, Path(id): Path<String>, request: Request) -> Response {
    let came = Came::of(&server, &request);
    drop(request);
    let told = async {
        let came = came?;
        let found = server.own(&came).await?;
        let done = came.pages.sessions.end_own(found.participant().id(), &id).await;
        let done = done.map_err(|error| unavailable(&error.into()))?;
        let missing = || answer(StatusCode::NOT_FOUND, &json!({ "error": "there is no such session" }));
        Ok(if done { StatusCode::NO_CONTENT.into_response() } else { missing() })
    };
    told.await.unwrap_or_else(|instead: Instead| *instead)
}
