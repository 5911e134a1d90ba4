//! The authorization endpoint: a browser comes from a client, somebody signs in, the browser goes back with a code.
//!
//! Nobody is sent anywhere but to an address that the client has registered, letter by letter. PKCE with S256 is required of
//! every client, and the answer names its issuer (RFC 9207), so that a client of several servers does not mix them up.

use std::fmt::Write as _;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::header::{CACHE_CONTROL, LOCATION, RETRY_AFTER, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};
use policy_core::value::Millis;
use sha2::Sha256;

use super::clients::Client;
use super::form::Form;
use super::grants::{Leave, has};
use super::token::granted;
use super::{Pages, SignIn, SignInError, page};
use crate::authn::{Authenticated, Outcome};
use crate::credential::{Credential, Credentials, LoginForm};
use crate::edge::{Arrival, Origins};
use crate::identity::EmailKey;
use crate::secret::Secret;

mod second;

/// How long a consent page may be answered, in milliseconds.
const CONSENT_MS: i64 = 10 * 60_000;
const WRONG: &str = "The e-mail address or the password is wrong.";
pub(super) const LATER: &str = "This is not possible at the moment. Try again later.";

/// What a client asks for, once it is known where its answer may go.
pub(super) struct Asked {
    pub(super) client: Client,
    back: Back,
    query: String,
    challenge: String,
    nonce: Option<String>,
    words: String,
    /// Nobody may be asked anything.
    silent: bool,
    /// Whoever is signed in must sign in again.
    again: bool,
    /// Two proofs are asked for (RFC 9470).
    mfa: bool,
}

/// What a client asks for by `acr_values` to have somebody sign in with a second factor.
pub(super) const MFA: &str = "mfa";

/// Sends the browser on; what was in a form is not sent on (OAuth 2.1, section 7.5.4).
pub(super) fn see_other(location: &str) -> Result<Response, Instead> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let location = HeaderValue::from_str(location)
        .map_err(|_| Instead::from(page::refusal(StatusCode::INTERNAL_SERVER_ERROR, LATER)))?;
    response.headers_mut().insert(LOCATION, location);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Gives the browser a cookie, which no log shows.
pub(super) fn with_cookie(response: &mut Response, cookie: &str) -> Result<(), Instead> {
    let mut cookie = HeaderValue::from_str(cookie)
        .map_err(|_| Instead::from(page::refusal(StatusCode::INTERNAL_SERVER_ERROR, LATER)))?;
    cookie.set_sensitive(true);
    response.headers_mut().append(SET_COOKIE, cookie);
    Ok(())
}

/// Where the browser goes with the answer.
struct Back {
    redirect_uri: String,
    state: Option<String>,
    issuer: String,
}

impl Back {
    fn with(&self, name: &str, value: &str) -> Response {
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        pairs.append_pair(name, value);
        if let Some(state) = &self.state {
            pairs.append_pair("state", state);
        }
        pairs.append_pair("iss", &self.issuer);
        let mark = if self.redirect_uri.contains('?') { '&' } else { '?' };
        see_other(&format!("{}{mark}{}", self.redirect_uri, pairs.finish())).unwrap_or_else(|instead| *instead)
    }
}

/// An answer in place of what was asked for.
pub(super) type Instead = Box<Response>;

pub(super) fn unavailable(error: &SignInError) -> Response {
    tracing::warn!(target: "policy::signin", %error, "nobody can sign in");
    page::refusal(StatusCode::SERVICE_UNAVAILABLE, LATER)
}

/// A browser comes from a client.
pub(super) async fn ask(State(server): State<SignIn>, request: Request) -> Response {
    let (Some(pages), Some(arrival)) = (&server.pages, request.extensions().get::<Arrival>().copied()) else {
        return page::refusal(StatusCode::INTERNAL_SERVER_ERROR, LATER);
    };
    let query = request.uri().query().unwrap_or_default().to_owned();
    let headers = request.headers().clone();
    drop(request);
    server.asked_by_browser(pages, arrival, &headers, &query).await.unwrap_or_else(|instead| *instead)
}

/// A browser comes from a page of ours.
pub(super) async fn answer(State(server): State<SignIn>, request: Request) -> Response {
    let (Some(pages), Some(arrival)) = (&server.pages, request.extensions().get::<Arrival>().copied()) else {
        return page::refusal(StatusCode::INTERNAL_SERVER_ERROR, LATER);
    };
    let (parts, body) = request.into_parts();
    // A page of another site must not sign anybody in, be it to an account of its own.
    if !Origins::default().admit_upgrade(&parts.headers, arrival.secure) {
        return page::refusal(StatusCode::FORBIDDEN, "The form must come from this site.");
    }
    let query = parts.uri.query().unwrap_or_default();
    let Some(form) = Form::of_body(&parts.headers, body).await else {
        return page::refusal(StatusCode::BAD_REQUEST, "The form cannot be read.");
    };
    let answered = match form.get("decision") {
        None => server.signed_in(pages, arrival, &parts.headers, query, &form).await,
        Some(decision) => server.decided(pages, arrival, &parts.headers, query, &form, decision == "allow").await,
    };
    answered.unwrap_or_else(|instead| *instead)
}

impl SignIn {
    /// Reads what a client asks for. Until its address is known, the browser is told and sent nowhere.
    pub(super) async fn read(&self, query: &str) -> Result<Asked, Instead> {
        let here = |why| Instead::from(page::refusal(StatusCode::BAD_REQUEST, why));
        let asked = Form::parse(query).ok_or_else(|| here("The address is too long, or says something twice."))?;
        let client = match asked.get("client_id") {
            Some(id) => self.inner.stored.clients.find(id).await.map_err(|error| unavailable(&error))?,
            None => None,
        };
        let client =
            client.filter(|client| client.enabled).ok_or_else(|| here("No such application is known here."))?;
        let registered = &client.settings.redirect_uris;
        let redirect_uri = asked.get("redirect_uri").filter(|uri| registered.iter().any(|own| own == uri));
        let redirect_uri = redirect_uri.ok_or_else(|| here("The application may not be sent back to that address."))?;
        let back = Back {
            redirect_uri: redirect_uri.to_owned(),
            state: asked.get("state").map(str::to_owned),
            issuer: self.inner.issuer.url().to_owned(),
        };
        let no = |code: &str| Err(back.with("error", code).into());
        for (name, code) in [("request", "request_not_supported"), ("request_uri", "request_uri_not_supported")] {
            if asked.get(name).is_some() {
                return no(code);
            }
        }
        if asked.get("response_type").is_none_or(|kind| kind != "code") {
            return no("unsupported_response_type");
        }
        let challenge = asked.get("code_challenge").filter(|_| asked.get("code_challenge_method") == Some("S256"));
        let is_hash = |text: &&str| URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == 32);
        let (Some(challenge), None | Some("query")) = (challenge.filter(is_hash), asked.get("response_mode")) else {
            return no("invalid_request");
        };
        let prompt = asked.get("prompt").unwrap_or_default();
        if has(prompt, "none") && prompt != "none" {
            return no("invalid_request");
        }
        let words = granted(&client, asked.get("scope").unwrap_or_default());
        if words.is_empty() {
            return no("invalid_scope");
        }
        Ok(Asked {
            challenge: challenge.to_owned(),
            nonce: asked.get("nonce").map(str::to_owned),
            words,
            silent: prompt == "none",
            // When somebody signed in is not kept, so that any limit to that asks again.
            mfa: has(asked.get("acr_values").unwrap_or_default(), MFA),
            again: has(prompt, "login") || has(prompt, "select_account") || asked.get("max_age").is_some(),
            query: query.to_owned(),
            client,
            back,
        })
    }

    async fn asked_by_browser(
        &self,
        pages: &Pages,
        arrival: Arrival,
        headers: &HeaderMap,
        query: &str,
    ) -> Result<Response, Instead> {
        let asked = self.read(query).await?;
        let found = self.signed_in_to(pages, arrival, headers, &asked).await?;
        match found {
            Some(found) if !asked.again => self.goes_on(&asked, &found, None).await,
            _ if asked.silent => Ok(asked.back.with("error", "login_required")),
            _ => Ok(self.login_page(pages, StatusCode::OK, &asked, None)),
        }
    }

    async fn signed_in(
        &self,
        pages: &Pages,
        arrival: Arrival,
        headers: &HeaderMap,
        query: &str,
        form: &Form,
    ) -> Result<Response, Instead> {
        let asked = self.read(query).await?;
        if form.get("pending").is_some() {
            return self.second_answer(pages, arrival, headers, &asked, form).await;
        }
        let once_more = |status, why: &str| self.login_page(pages, status, &asked, Some(why));
        let (Some(email), Some(password)) = (form.get("email"), form.get("password")) else {
            return Ok(once_more(StatusCode::BAD_REQUEST, WRONG));
        };
        let passcode = Secret::new(password.to_owned());
        let credential = Credential::Login { name: email.to_owned(), passcode, form: LoginForm::Passcode };
        let credentials = Credentials::of(credential)
            .in_scope(asked.client.scope.clone())
            .from_peer(arrival.address)
            .at("POST", "/api/auth/oauth/authorize")
            .on(pages.listener.clone());
        let found = match self.inner.chain.authenticate(&credentials).await {
            Outcome::Authenticated(found) if asked.is_of(&found) => found,
            Outcome::Authenticated(_) | Outcome::NotPresented => return Ok(once_more(StatusCode::UNAUTHORIZED, WRONG)),
            Outcome::Rejected(error) => {
                if let Some(pending) = error.pending() {
                    return Ok(self.second_page(&asked, pending).await);
                }
                let told = error.answer();
                let status = StatusCode::from_u16(told.status).unwrap_or(StatusCode::UNAUTHORIZED);
                let why = if status == StatusCode::UNAUTHORIZED { WRONG } else { LATER };
                let mut response = once_more(status, why);
                if let Some(seconds) = told.retry_after_s {
                    response.headers_mut().insert(RETRY_AFTER, seconds.into());
                }
                return Ok(response);
            }
        };
        self.opened(pages, arrival, headers, &found, Some(&asked)).await
    }

    /// The page on which somebody signs in to a client.
    pub(super) fn login_page(&self, pages: &Pages, status: StatusCode, asked: &Asked, why: Option<&str>) -> Response {
        let offered = pages.offered_in(&asked.client.scope);
        let others: Vec<&str> = offered.iter().map(|offered| offered.provider.name()).collect();
        let (registers, mails) = match &self.flows {
            Some(flows) => {
                let (registers, mails) = flows.offers(&asked.client.scope);
                (registers || !self.providers_to_register_with(flows, &asked.client.scope).is_empty(), mails)
            }
            None => (false, false),
        };
        let links = page::Links { registers, mails, providers: &others };
        page::login(status, &asked.client, &asked.query, &asked.back.redirect_uri, why, &links)
    }

    /// Opens a session for whoever has just signed in, and goes on with what a client asked for.
    pub(super) async fn opened(
        &self,
        pages: &Pages,
        arrival: Arrival,
        headers: &HeaderMap,
        found: &Authenticated,
        asked: Option<&Asked>,
    ) -> Result<Response, Instead> {
        let mfa = asked.is_some_and(|asked| asked.mfa);
        if let Some(refusal) = self.lacks(mfa, found).await.map_err(|error| unavailable(&error.into()))? {
            return match (asked, refusal.pending()) {
                (Some(asked), Some(pending)) if found.method() == "password" => {
                    Ok(self.second_page(asked, pending).await)
                }
                // A provider's word stands for its own proofs alone.
                _ => {
                    let why = "Your provider must ask you for a second factor.";
                    Err(page::refusal(StatusCode::FORBIDDEN, why).into())
                }
            };
        }
        let value = pages.sessions.start(found).await.map_err(|error| unavailable(&error.into()))?;
        // The session that was there before ends: nobody else goes on with it.
        if let Some(earlier) = session_of(headers, arrival) {
            self.closed(pages, &earlier).await;
        }
        let credentials = Credentials::of(Credential::Session(value.clone())).on(pages.listener.clone());
        let Outcome::Authenticated(found) = self.inner.chain.authenticate(&credentials).await else {
            return Err(page::refusal(StatusCode::SERVICE_UNAVAILABLE, LATER).into());
        };
        let gone_on = match asked {
            Some(asked) => self.goes_on(asked, &found, Some(self.inner.stored.clock.now())).await,
            None => see_other("/"),
        };
        if gone_on.is_err() {
            self.closed(pages, &value).await;
        }
        let mut response = gone_on?;
        with_cookie(&mut response, &pages.sessions.set_cookie(&value))?;
        Ok(response)
    }

    /// Ends a session that nobody goes on with; one that cannot be ended now ends by itself.
    pub(super) async fn closed(&self, pages: &Pages, value: &Secret<String>) {
        if let Err(error) = pages.sessions.end(value).await {
            tracing::warn!(target: "policy::signin", %error, "a session was not ended");
        }
    }

    async fn decided(
        &self,
        pages: &Pages,
        arrival: Arrival,
        headers: &HeaderMap,
        query: &str,
        form: &Form,
        allowed: bool,
    ) -> Result<Response, Instead> {
        let asked = self.read(query).await?;
        let found = self.signed_in_to(pages, arrival, headers, &asked).await?;
        let field = |name: &str| form.get(name).unwrap_or_default();
        let until = field("until").parse().unwrap_or(0);
        let is_ours = found.as_ref().is_some_and(|found| {
            let proof = URL_SAFE_NO_PAD.decode(field("proof")).unwrap_or_default();
            let seal = self.seal(found, query, field("auth_time"), field("until"));
            seal.is_some_and(|seal| seal.verify_slice(&proof).is_ok()) && until > self.inner.stored.clock.now().0
        });
        let Some(found) = found.filter(|_| is_ours) else {
            return Ok(page::refusal(StatusCode::FORBIDDEN, "The page is no longer good. Go back to the application."));
        };
        if !allowed {
            return Ok(asked.back.with("error", "access_denied"));
        }
        self.code(&asked, &found, field("auth_time").parse().ok().map(Millis)).await
    }

    /// Goes on with whoever is signed in: asks them for leave, or sends the browser back.
    async fn goes_on(&self, asked: &Asked, found: &Authenticated, at: Option<Millis>) -> Result<Response, Instead> {
        if !asked.client.settings.third_party {
            return self.code(asked, found, at).await;
        }
        if asked.silent {
            return Ok(asked.back.with("error", "consent_required"));
        }
        let auth_time = at.map(|at| at.0.to_string()).unwrap_or_default();
        let until = (self.inner.stored.clock.now().0 + CONSENT_MS).to_string();
        let seal = self.seal(found, &asked.query, &auth_time, &until);
        let seal = seal.ok_or_else(|| Instead::from(page::refusal(StatusCode::INTERNAL_SERVER_ERROR, LATER)))?;
        let code = URL_SAFE_NO_PAD.encode(seal.finalize().into_bytes());
        let who = found.participant().email().unwrap_or_else(|| found.participant().id());
        let proof = page::Proof { auth_time: &auth_time, until: &until, code: &code };
        Ok(page::consent(&asked.client, &asked.query, &asked.back.redirect_uri, who, &asked.words, &proof))
    }

    /// Whether a session is one that all servers know; others end with nothing.
    fn keeps(&self, session: &str) -> bool {
        self.pages.as_ref().is_some_and(|pages| pages.sessions.is_stored(session))
    }

    /// Sends the browser back with a code.
    async fn code(&self, asked: &Asked, found: &Authenticated, at: Option<Millis>) -> Result<Response, Instead> {
        let who = found.participant().id();
        let user = self.inner.users.user(who).await.map_err(|error| unavailable(&error.into()))?;
        // Only users of the store are given tokens, and as they are now.
        let is_current = |user: &crate::identity::User| user.enabled && user.scope == asked.client.scope;
        if !user.as_ref().is_some_and(is_current) {
            return Ok(asked.back.with("error", "access_denied"));
        }
        if self.lacks(asked.mfa, found).await.map_err(|error| unavailable(&error.into()))?.is_some() {
            return Ok(asked.back.with("error", "login_required"));
        }
        let leave = Leave {
            client: &asked.client.id,
            user: who,
            redirect_uri: &asked.back.redirect_uri,
            challenge: &asked.challenge,
            nonce: asked.nonce.as_deref(),
            words: &asked.words,
            amr: &found.proofs().join(" "),
            auth_time: at,
            session: found.session().map(|id| &**id).filter(|id| self.keeps(id)),
            // Of whom a session of another application speaks, nothing but the method is asked here.
            ways: &found.ways().clone().and(found.method()),
        };
        let code = self.inner.stored.grants.offer(&leave).await.map_err(|error| unavailable(&error))?;
        let Some(code) = code else { return Ok(asked.back.with("error", "login_required")) };
        tracing::info!(target: "policy::signin", participant = who, client = asked.client.id, "a code was given");
        Ok(asked.back.with("code", code.expose()))
    }

    /// Who the cookie of a browser says is signed in.
    pub(super) async fn of_cookie(
        &self,
        pages: &Pages,
        arrival: Arrival,
        headers: &HeaderMap,
    ) -> Option<Box<Authenticated>> {
        let value = session_of(headers, arrival)?;
        let credentials = Credentials::of(Credential::Session(value)).on(pages.listener.clone());
        match self.inner.chain.authenticate(&credentials).await {
            Outcome::Authenticated(found) => Some(found),
            Outcome::NotPresented | Outcome::Rejected(_) => None,
        }
    }

    /// Who is signed in where the client's users are, with all that is asked for: by a session there, or by one that counts
    /// there because their organization lists both applications.
    async fn signed_in_to(
        &self,
        pages: &Pages,
        arrival: Arrival,
        headers: &HeaderMap,
        asked: &Asked,
    ) -> Result<Option<Box<Authenticated>>, Instead> {
        let Some(mut found) = self.of_cookie(pages, arrival, headers).await else { return Ok(None) };
        if !asked.is_of(&found) {
            match self.counts_in(pages, &found, &asked.client.scope).await.map_err(|error| unavailable(&error))? {
                Some(there) => found = there,
                None => return Ok(None),
            }
        }
        let lacks = self.lacks(asked.mfa, &found).await.map_err(|error| unavailable(&error.into()))?;
        Ok(Some(found).filter(|_| lacks.is_none()))
    }

    /// The user of the same address in another application of the same organization, if a session here counts there.
    async fn counts_in(
        &self,
        pages: &Pages,
        found: &Authenticated,
        there: &policy_core::Scope,
    ) -> Result<Option<Box<Authenticated>>, SignInError> {
        let here = found.participant().scope();
        let lists = self.flows.as_ref().map(|flows| flows.people.shared_sign_in.as_slice()).unwrap_or_default();
        let is_listed = lists.iter().any(|listed| listed.contains(here) && listed.contains(there))
            || pages.sessions.counts_in(here, there).await?;
        if !is_listed || !self.inner.chain.is_on(there, found.method()) {
            return Ok(None);
        }
        let own = self.inner.users.user(found.participant().id()).await?.filter(|user| user.enabled);
        let Some(key) = own.and_then(|user| EmailKey::new(&user.email?).ok()) else { return Ok(None) };
        let Some(user) = self.inner.users.user_by_email(there, &key).await?.filter(|user| user.enabled) else {
            return Ok(None);
        };
        let as_here = user.participant().auth_type(found.participant().auth_type()).mfa(found.participant().mfa());
        let proofs = found.proofs().iter().map(String::as_str);
        let mut known = Authenticated::new(as_here.build(), found.method()).amr(proofs).epoch(user.epoch);
        if let Some(session) = found.session() {
            known = known.of_session(session.clone());
        }
        Ok(Some(Box::new(known)))
    }

    /// What only this server can make of a consent page: for this session, this question and this time alone.
    fn seal(&self, found: &Authenticated, query: &str, auth_time: &str, until: &str) -> Option<Hmac<Sha256>> {
        let mut of = String::new();
        for part in [&**found.session()?, query, auth_time, until] {
            // With its length in front, no part can pass for the end of another. Writing to a `String` cannot fail.
            let _ = write!(of, "{}:{part}", part.len());
        }
        let mut mac = Hmac::<Sha256>::new_from_slice(self.inner.consent.expose()).ok()?;
        mac.update(of.as_bytes());
        Some(mac)
    }
}

impl Asked {
    /// Whether somebody is signed in where the client's users are: nobody is somebody in two scopes.
    fn is_of(&self, found: &Authenticated) -> bool {
        *found.participant().scope() == self.client.scope
    }
}

pub(super) fn session_of(headers: &HeaderMap, arrival: Arrival) -> Option<Secret<String>> {
    let credentials = Credentials::from_headers(headers, Some(arrival.address)).ok()?;
    credentials.presented().iter().find_map(|credential| match credential {
        Credential::Session(value) => Some(value.clone()),
        Credential::Login { .. } | Credential::Bearer(_) | Credential::ApiKey(_) | Credential::Custom { .. } => None,
    })
}
