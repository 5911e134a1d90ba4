//! Signing in with a provider: the browser leaves, comes back with an answer, and somebody is signed in, or not.
//!
//! An answer counts once, within ten minutes, in the browser that was sent, at the address of the provider that it was sent to,
//! and in the scope that it was sent for. Whoever fails is told one of the words that Kinotic's pages know, and no more.

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode};
use policy_core::Scope;
use serde_json::json;

use super::authorize::{Instead, LATER, see_other, unavailable, with_cookie};
use super::errands::{Browser, Errand, Made, Purpose};
use super::flows::json::told;
use super::form::{Form, json as answer};
use super::{Pages, SignIn, SignInError, page};
use crate::authn::token::{Answer, DISABLED, Offered};
use crate::authn::{AuthnCode, AuthnError, Outcome};
use crate::credential::{Credentials, RequestedScope};
use crate::edge::{Arrival, Origins};
use crate::events::Actor;
use crate::identity::User;
use crate::json::Json;

/// The longest name that Apple may send for somebody.
const LONGEST_NAME: usize = 200;

/// Where browsers leave and come back. A callback belongs to one provider and one scope.
pub(super) fn routes() -> Router<SignIn> {
    let callback = || get(by_address).post(by_form);
    Router::new()
        .route(page::START, get(of_page))
        .route("/api/auth/org/login/providers", get(of_organization))
        .route("/api/auth/app/{organization}/{application}/login/providers", get(of_application))
        .route("/api/auth/org/login/social/start/{provider}", post(start))
        .route("/api/auth/app/{organization}/{application}/login/oidc/start/{provider}", post(start_in))
        .route("/api/auth/org/signup/social/start/{provider}", post(start_founding))
        .route("/api/auth/org/signup/social/callback/{provider}", callback())
        .route("/api/auth/org/login/sso/callback/{provider}", callback())
        .route("/api/auth/app/{organization}/{application}/login/oidc/callback/{provider}", callback())
}

/// The path of a provider's callback in a scope; where nobody of the scope signs in, another.
fn callback_path(scope: &Scope, provider: &str, purpose: Purpose) -> String {
    if purpose == Purpose::Found {
        return format!("/api/auth/org/signup/social/callback/{provider}");
    }
    match (scope.organization_id(), scope.application_id()) {
        (Some(organization), Some(application)) => {
            format!("/api/auth/app/{organization}/{application}/login/oidc/callback/{provider}")
        }
        _ => format!("/api/auth/org/login/sso/callback/{provider}"),
    }
}

/// What somebody is told whom a provider did not sign in, in the words of Kinotic's pages.
pub(super) fn word(error: &AuthnError) -> &'static str {
    let code = error.code();
    if code == AuthnCode::NotProvisioned {
        "no_account"
    } else if code == AuthnCode::WrongCredentials && error.detail() == DISABLED {
        "account_disabled"
    } else if matches!(code, AuthnCode::Unavailable | AuthnCode::WrongCredentials) {
        "exchange_failed"
    } else {
        "invalid_token"
    }
}

/// A request of a browser, without its body.
pub(super) struct Came {
    pub(super) pages: Pages,
    pub(super) arrival: Arrival,
    pub(super) headers: HeaderMap,
    path: String,
    pub(super) query: String,
}

impl Came {
    pub(super) fn of(server: &SignIn, request: &Request) -> Result<Self, Instead> {
        let arrival = request.extensions().get::<Arrival>().copied();
        let known = server.pages.clone().zip(arrival);
        let (pages, arrival) = known.ok_or_else(|| page::refusal(StatusCode::INTERNAL_SERVER_ERROR, LATER))?;
        Ok(Self {
            pages,
            arrival,
            headers: request.headers().clone(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
        })
    }

    /// Whether it comes from a page of this site, or from none.
    pub(super) fn is_of_this_site(&self) -> bool {
        Origins::default().admit_upgrade(&self.headers, self.arrival.secure)
    }

    /// The scope that it names, as it would name it for a password.
    fn scope(&self) -> Option<Scope> {
        let credentials = Credentials::from_headers(&self.headers, Some(self.arrival.address)).ok()?;
        match credentials.on(self.pages.listener.clone()).effective_scope() {
            RequestedScope::Exactly(scope) => Some(scope),
            RequestedScope::Application(_) | RequestedScope::Unnamed => None,
        }
    }
}

async fn of_organization(State(server): State<SignIn>, request: Request) -> Response {
    let came = match Came::of(&server, &request) {
        Ok(came) => came,
        Err(instead) => return *instead,
    };
    let scope = came.scope();
    let own = scope.map(|scope| came.pages.offered_in(&scope)).unwrap_or_default();
    answer(StatusCode::OK, &own.iter().map(|offered| json!(offered.provider.name())).collect())
}

async fn of_application(
    State(server): State<SignIn>,
    Path((organization, application)): Path<(String, String)>,
    request: Request,
) -> Response {
    let came = match Came::of(&server, &request) {
        Ok(came) => came,
        Err(instead) => return *instead,
    };
    let scope = Scope::application(&organization, &application).ok();
    let own = scope.map(|scope| came.pages.offered_in(&scope)).unwrap_or_default();
    let told = own.iter().map(|offered| {
        let (name, preset) = (offered.provider.name(), offered.provider.preset());
        json!({ "id": name, "name": name, "provider": preset })
    });
    answer(StatusCode::OK, &told.collect())
}

/// A browser leaves from the page on which it signs in to a client.
async fn of_page(State(server): State<SignIn>, request: Request) -> Response {
    let came = Came::of(&server, &request);
    drop(request);
    let left = async {
        let came = came?;
        let form = Form::parse(&came.query);
        let refusal = || Instead::from(page::refusal(StatusCode::BAD_REQUEST, "The address cannot be read."));
        let form = form.ok_or_else(refusal)?;
        let (Some(provider), Some(question)) = (form.get("provider"), form.get("question")) else {
            return Err(refusal());
        };
        // Read now, so that nobody is sent for what cannot be given; and again when the answer comes.
        let asked = server.read(question).await?;
        let errand = Errand::of(provider, asked.client.scope.clone(), question);
        server.leaves(&came.pages, &came.headers, &errand).await
    };
    left.await.unwrap_or_else(|instead| *instead)
}

/// A browser leaves from a page of somebody else's, to be signed in here.
async fn start(State(server): State<SignIn>, Path(provider): Path<String>, request: Request) -> Response {
    let came = Came::of(&server, &request);
    drop(request);
    let scope = came.as_ref().ok().and_then(Came::scope);
    server.starts(scope, provider, came).await.unwrap_or_else(|instead| *instead)
}

async fn start_in(
    State(server): State<SignIn>,
    Path((organization, application, provider)): Path<(String, String, String)>,
    request: Request,
) -> Response {
    let came = Came::of(&server, &request);
    drop(request);
    let scope = Scope::application(&organization, &application).ok();
    server.starts(scope, provider, came).await.unwrap_or_else(|instead| *instead)
}

/// A browser leaves from a page of somebody else's, to found an organization.
async fn start_founding(State(server): State<SignIn>, Path(provider): Path<String>, request: Request) -> Response {
    let came = Came::of(&server, &request);
    let (parts, _) = request.into_parts();
    let left = async {
        let came = came?;
        let errand = server.asked(&parts).and_then(|(flows, _)| server.founding(flows, &provider));
        let errand = errand.map_err(|no| Instead::from(told(Err(no))))?;
        server.leaves(&came.pages, &came.headers, &errand).await
    };
    left.await.unwrap_or_else(|instead| *instead)
}

/// A browser comes back with an address.
async fn by_address(State(server): State<SignIn>, request: Request) -> Response {
    let came = Came::of(&server, &request);
    drop(request);
    Box::pin(server.comes_back(came, None)).await.unwrap_or_else(|instead| *instead)
}

/// A browser comes back with a form, which another site made it send: the cookie of the errand says whose it is.
async fn by_form(State(server): State<SignIn>, request: Request) -> Response {
    let came = Came::of(&server, &request);
    let (parts, body) = request.into_parts();
    let form = Form::of_body(&parts.headers, body).await.unwrap_or_default();
    Box::pin(server.comes_back(came, Some(form))).await.unwrap_or_else(|instead| *instead)
}

impl Pages {
    /// The providers of a scope.
    pub(super) fn offered_in(&self, scope: &Scope) -> Vec<Offered> {
        self.providers.borrow().iter().filter(|offered| offered.scope == *scope).cloned().collect()
    }

    pub(super) fn offered(&self, scope: &Scope, provider: &str) -> Option<Offered> {
        let named = |offered: &&Offered| offered.scope == *scope && offered.provider.name() == provider;
        self.providers.borrow().iter().find(named).cloned()
    }
}

impl SignIn {
    async fn starts(
        &self,
        scope: Option<Scope>,
        provider: String,
        came: Result<Came, Instead>,
    ) -> Result<Response, Instead> {
        let came = came?;
        let error = |status, why: &str| Instead::from(answer(status, &json!({ "error": why })));
        if !came.is_of_this_site() {
            return Err(error(StatusCode::FORBIDDEN, "the request must come from this site"));
        }
        let unknown = || error(StatusCode::BAD_REQUEST, "Unknown provider");
        let scope = scope.ok_or_else(unknown)?;
        let errand = Errand::of(&provider, scope, "");
        came.pages.offered(&errand.scope, &errand.configuration).ok_or_else(unknown)?;
        self.leaves(&came.pages, &came.headers, &errand).await
    }

    fn callback(&self, offered: &Offered, purpose: Purpose) -> String {
        format!("{}{}", self.inner.issuer.url(), callback_path(&offered.scope, offered.provider.name(), purpose))
    }

    /// Sends a browser to a provider.
    pub(super) async fn leaves(
        &self,
        pages: &Pages,
        headers: &HeaderMap,
        errand: &Errand,
    ) -> Result<Response, Instead> {
        let begun = self.begins(pages, headers, errand).await.map_err(|error| unavailable(&error))?;
        let unknown = || page::refusal(StatusCode::BAD_REQUEST, "Nobody signs in with that provider here.");
        let (address, cookie) = begun.ok_or_else(unknown)?;
        let mut response = see_other(&address)?;
        with_cookie(&mut response, &cookie)?;
        Ok(response)
    }

    /// Notes an errand; gives where it leads, and the cookie that the browser comes back with. `None` when the scope has no such
    /// provider.
    pub(super) async fn begins(
        &self,
        pages: &Pages,
        headers: &HeaderMap,
        errand: &Errand,
    ) -> Result<Option<(String, String)>, SignInError> {
        let Some(offered) = pages.offered(&errand.scope, &errand.configuration) else { return Ok(None) };
        let browser = match Browser::of(headers) {
            Some(browser) => browser,
            None => Browser::new()?,
        };
        let made = self.inner.stored.errands.begin(&browser, errand).await?;
        let callback = self.callback(&offered, errand.purpose);
        let address = offered.provider.address(&made.question(&callback, errand.purpose == Purpose::Link)).await?;
        Ok(Some((address, browser.set_cookie(offered.provider.answers_by_form()))))
    }

    /// A browser is back, with a form or with an address alone.
    async fn comes_back(&self, came: Result<Came, Instead>, form: Option<Form>) -> Result<Response, Instead> {
        let Came { pages, arrival, headers, path, query } = came?;
        let (headers, by_form) = (&headers, form.is_some());
        let form = form.or_else(|| Form::parse(&query));
        let browser_and_state = form.as_ref().zip(Browser::of(headers)).and_then(|(form, browser)| {
            Some((form, browser, form.get("state").filter(|state| state.len() == 44)?.to_owned()))
        });
        let Some((form, browser, state)) = browser_and_state else { return failed("state_mismatch") };
        let ended = self.inner.stored.errands.end(&browser, &state).await.map_err(|error| unavailable(&error))?;
        let Some(errand) = ended else { return failed("state_mismatch") };
        let Some(offered) = pages.offered(&errand.scope, &errand.configuration) else {
            return failed("config_not_found");
        };
        // What one provider answers must not be taken to another, nor to another scope.
        let is_here = path == callback_path(&offered.scope, offered.provider.name(), errand.purpose);
        if !is_here || by_form != offered.provider.answers_by_form() {
            return failed("state_mismatch");
        }
        // A question of a client, as it would be asked now.
        let asked = match errand.of_client() {
            None => None,
            Some(question) => Some(self.read(question).await?),
        };
        let Some(code) = form.get("code").filter(|_| form.get("error").is_none()) else {
            let told = if form.get("error") == Some("access_denied") { "access_denied" } else { "invalid_callback" };
            return self.not_signed_in(&pages, asked.as_ref(), told);
        };
        let callback = self.callback(&offered, errand.purpose);
        let made = Made::of(&browser, state.into());
        let name = form.get("user").and_then(name_of).filter(|_| by_form);
        let question = made.question(&callback, errand.purpose == Purpose::Link);
        let brought = Answer { question, code, issuer: form.get("iss"), name: name.as_deref() };
        let actor = |user: &User| Actor::new(Some(&user.id), Some(&user.scope)).from_address(Some(arrival.address));
        if errand.purpose == Purpose::Link {
            return self.links(&pages, &errand, &offered, &brought, actor).await;
        }
        if errand.purpose == Purpose::Found {
            return self.founds(&browser, &offered, &brought).await;
        }
        let credentials = Credentials::default()
            .in_scope(offered.scope.clone())
            .from_peer(arrival.address)
            .at("GET", &path)
            .on(pages.listener.clone());
        let proved = async {
            let token = offered.provider.identify(&brought).await?;
            self.joins(&errand, &offered, &token, actor).await?;
            offered.authenticated(&token).await
        };
        match Box::pin(self.inner.chain.vouched((&offered.scope, Offered::METHOD), proved, &credentials)).await {
            Outcome::Authenticated(found) => self.opened(&pages, arrival, headers, &found, asked.as_ref()).await,
            Outcome::NotPresented => self.not_signed_in(&pages, asked.as_ref(), "invalid_token"),
            Outcome::Rejected(error) => {
                tracing::info!(target: "policy::signin", provider = offered.provider.name(), code = %error.code(), detail = error.detail(), "sign-in refused");
                self.not_signed_in(&pages, asked.as_ref(), word(&error))
            }
        }
    }

    /// Tells somebody that it came to nothing: on the page of the client, or at Kinotic's own.
    fn not_signed_in(
        &self,
        pages: &Pages,
        asked: Option<&super::authorize::Asked>,
        word: &str,
    ) -> Result<Response, Instead> {
        let Some(asked) = asked else { return failed(word) };
        let why = match word {
            "no_account" => "You have no account here.",
            "account_disabled" => "Your account is disabled.",
            "access_denied" => "You did not sign in there.",
            _ => "Signing in with the provider failed. Try again.",
        };
        Ok(self.login_page(pages, StatusCode::UNAUTHORIZED, asked, Some(why)))
    }
}

/// Where Kinotic's pages tell it.
pub(super) fn failed(word: &str) -> Result<Response, Instead> {
    see_other(&format!("/login?error={word}"))
}

/// The name in what Apple sends beside the code, the first time: `{"name": {"firstName", "lastName"}}`.
fn name_of(user: &str) -> Option<String> {
    let user = Json::parse(user.as_bytes()).ok()?;
    let part = |name: &str| user.get("name")?.get(name)?.as_text().map(str::trim).filter(|text| !text.is_empty());
    let name = [part("firstName"), part("lastName")].into_iter().flatten().collect::<Vec<_>>().join(" ");
    (!name.is_empty() && name.len() <= LONGEST_NAME && !name.chars().any(char::is_control)).then_some(name)
}
