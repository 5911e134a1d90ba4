//! The flows over HTTP in JSON, in the shapes of Kinotic's REST endpoints where there are such. One table makes the routes and
//! the `OpenAPI` document.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, SET_COOKIE};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use policy_core::Scope;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::openapi::{Content, ResponseBuilder};
use utoipa::{PartialSchema as _, ToSchema};

use super::join::Joined;
use super::{Flows, No, Whence, no};
use crate::authn::Authenticated;
use crate::edge::Arrival;
use crate::endpoint::{About, Endpoint, at, bearer_or_session, document, routes};
use crate::identity::User;
use crate::secret::Secret;
use crate::signin::form::json as answer;
use crate::signin::{SignIn, SignInError};

/// Where the endpoints are.
const BASE: &str = "/api/auth";
/// The longest body.
const LONGEST: usize = 10 * 1024;

pub(in crate::signin) type Done = Result<Response, No>;
type Named = Option<Path<(String, String)>>;

fn named(path: Named) -> Option<(String, String)> {
    path.map(|Path(named)| named)
}

pub(in crate::signin) fn empty() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// What came of a flow, told in JSON.
pub(in crate::signin) fn told(done: Done) -> Response {
    let error = |status, why: &str| answer(status, &json!({ "error": why }));
    match done {
        Ok(response) => response,
        Err(No::Told(status, why)) => error(status, &why),
        Err(No::Wait(seconds)) => {
            let mut response = error(StatusCode::TOO_MANY_REQUESTS, "too many attempts");
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
            response
        }
        Err(No::SecondFactor(refusal)) => answer(StatusCode::UNAUTHORIZED, &pending(&refusal)),
        Err(No::Unavailable(error)) => {
            tracing::warn!(target: "policy::signin", %error, "a flow cannot go on");
            answer(StatusCode::SERVICE_UNAVAILABLE, &json!({ "error": "not possible at the moment" }))
        }
    }
}

/// What somebody goes on with whose password was right.
fn pending(refusal: &crate::authn::AuthnError) -> Value {
    let pending = refusal.pending();
    json!({
        "error": refusal.answer().message,
        "pending": pending.map(|pending| pending.token().expose().clone()),
        "setUp": pending.is_some_and(crate::authn::Pending::sets_up),
    })
}

/// A request from a page of this site or from no page at all.
pub(in crate::signin) struct Asked<'a, T> {
    pub(in crate::signin) flows: &'a Flows,
    pub(in crate::signin) from: Whence,
    pub(in crate::signin) body: T,
}

impl SignIn {
    pub(in crate::signin) fn asked(&self, parts: &Parts) -> Result<(&Flows, Whence), No> {
        let missing = || No::Told(StatusCode::NOT_FOUND, "nothing of this kind is served here".to_owned());
        let arrival = parts.extensions.get::<Arrival>().copied();
        let (Some(flows), Some(arrival)) = (&self.flows, arrival) else { return Err(missing()) };
        let from = Whence { arrival, headers: parts.headers.clone(), path: parts.uri.path().to_owned() };
        flows.admit(&from)?;
        Ok((flows, from))
    }

    pub(in crate::signin) async fn asked_with<T: DeserializeOwned>(
        &self,
        request: Request,
    ) -> Result<Asked<'_, T>, No> {
        let (parts, body) = request.into_parts();
        let (flows, from) = self.asked(&parts)?;
        let kind = from.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        // No form of another site can send this.
        if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
            return no(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body is JSON");
        }
        let bytes = axum::body::to_bytes(body, LONGEST).await.ok();
        match bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
            Some(body) => Ok(Asked { flows, from, body }),
            None => no(StatusCode::BAD_REQUEST, "Invalid request body"),
        }
    }

    /// Starts a session, and ends the one that the browser had before: nobody else goes on with that.
    pub(in crate::signin) async fn with_session(
        &self,
        found: &Authenticated,
        from: &Whence,
        mut response: Response,
    ) -> Done {
        let Some(pages) = &self.pages else { return Ok(response) };
        let value = pages.sessions.start(found).await.map_err(SignInError::from)?;
        if let Some(earlier) = crate::signin::authorize::session_of(&from.headers, from.arrival) {
            self.closed(pages, &earlier).await;
        }
        if let Ok(mut cookie) = HeaderValue::from_str(&pages.sessions.set_cookie(&value)) {
            cookie.set_sensitive(true);
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        Ok(response)
    }

    /// Tells somebody who has just become a user whether they are signed in, too.
    async fn joined(&self, joined: Joined, from: &Whence, response: Response) -> Done {
        match joined.signed_in {
            Ok(found) => self.with_session(&found, from, response).await,
            // They are users now, and go on by signing in.
            Err(No::SecondFactor(refusal)) => Ok(answer(StatusCode::OK, &pending(&refusal))),
            Err(_) => Ok(response),
        }
    }

    /// Tells somebody which organization they have founded.
    async fn founder(&self, joined: Joined, from: &Whence) -> Done {
        let org_id = joined.user.scope.organization_id().map(ToString::to_string).unwrap_or_default();
        let response = gives(StatusCode::OK, &Founded { message: "the organization is founded", org_id })?;
        self.joined(joined, from, response).await
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Address {
    email: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Registration {
    email: String,
    display_name: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Choice {
    token: String,
    password: String,
    display_name: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Founding {
    token: String,
    org_name: String,
    /// Taken for Kinotic's pages, and not kept.
    #[serde(rename = "orgDescription")]
    _description: Option<String>,
    password: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FoundingWith {
    token: String,
    org_name: String,
    /// Taken for Kinotic's pages, and not kept.
    #[serde(rename = "orgDescription")]
    _description: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Reset {
    token: String,
    password: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PasswordChange {
    old_password: String,
    new_password: String,
    code: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ProfileChange {
    display_name: Option<String>,
    #[serde(default)]
    attributes: BTreeMap<String, Option<String>>,
}

#[derive(Serialize, ToSchema)]
struct Message {
    message: &'static str,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Founded {
    message: &'static str,
    org_id: String,
}

#[derive(Serialize, ToSchema)]
struct Way {
    /// `password` or `sso`.
    r#type: &'static str,
    /// Where a provider signs in.
    #[serde(skip_serializing_if = "Option::is_none")]
    redirect: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Invited {
    email: Option<String>,
    display_name: Option<String>,
    organization_id: Option<String>,
    application_id: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Profile {
    id: String,
    scope: String,
    email: Option<String>,
    display_name: Option<String>,
    /// Those that the user may change.
    attributes: BTreeMap<String, String>,
    /// Whether this sign-in had a second factor.
    mfa: bool,
}

/// What a refusal says.
#[derive(ToSchema)]
struct WhyNot {
    #[expect(dead_code, reason = "only its name is told")]
    error: String,
}

/// Where a browser is sent to with a `POST`, to sign in with a provider.
fn start_of(scope: &Scope, provider: &str) -> String {
    match (scope.organization_id(), scope.application_id()) {
        (Some(organization), Some(application)) => {
            format!("{BASE}/app/{organization}/{application}/login/oidc/start/{provider}")
        }
        _ => format!("{BASE}/org/login/social/start/{provider}"),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it ends what may fail before")]
pub(in crate::signin) fn gives(status: StatusCode, body: &impl Serialize) -> Done {
    Ok(answer(status, &serde_json::to_value(body).unwrap_or_default()))
}

const ON_ITS_WAY: Message = Message { message: "if the address takes letters, one is on its way" };

async fn lookup(State(server): State<SignIn>, path: Named, request: Request) -> Response {
    let done = async {
        let asked: Asked<'_, Address> = server.asked_with(request).await?;
        let scope = server.scope(named(path), &asked.from).await?;
        let way = match server.looked_up(asked.flows, &scope, &asked.body.email).await? {
            None => Way { r#type: "password", redirect: None },
            Some(provider) => Way { r#type: "sso", redirect: Some(start_of(&scope, &provider)) },
        };
        gives(StatusCode::OK, &way)
    };
    told(done.await)
}

async fn register(State(server): State<SignIn>, path: Named, request: Request) -> Response {
    let done = async {
        let Asked { flows, from, body } = server.asked_with::<Registration>(request).await?;
        let scope = server.scope(named(path), &from).await?;
        server.register(flows, scope, &body.email, body.display_name.as_deref(), None).await?;
        gives(StatusCode::ACCEPTED, &ON_ITS_WAY)
    };
    told(done.await)
}

async fn complete_registration(State(server): State<SignIn>, request: Request) -> Response {
    let done = async {
        let Asked { flows, from, body } = server.asked_with::<Choice>(request).await?;
        let (password, name) = (Secret::new(body.password), body.display_name.as_deref());
        let joined = server.complete_registration(flows, &from, &body.token, password, name).await?;
        server.joined(joined, &from, empty()).await
    };
    told(done.await)
}

async fn sign_up(State(server): State<SignIn>, request: Request) -> Response {
    let done = async {
        let Asked { flows, body, .. } = server.asked_with::<Registration>(request).await?;
        server.sign_up(flows, &body.email, body.display_name.as_deref()).await?;
        gives(StatusCode::ACCEPTED, &ON_ITS_WAY)
    };
    told(done.await)
}

async fn complete_sign_up(State(server): State<SignIn>, request: Request) -> Response {
    let done = async {
        let Asked { flows, from, body } = server.asked_with::<Founding>(request).await?;
        let password = Secret::new(body.password);
        let joined = server.found(flows, &from, &body.token, &body.org_name, password).await?;
        server.founder(joined, &from).await
    };
    told(done.await)
}

async fn complete_sign_up_with(State(server): State<SignIn>, request: Request) -> Response {
    let done = async {
        let Asked { flows, from, body } = server.asked_with::<FoundingWith>(request).await?;
        let joined = server.found_with(flows, &from, &body.token, &body.org_name).await?;
        server.founder(joined, &from).await
    };
    told(done.await)
}

async fn invitation(State(server): State<SignIn>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let done = async {
        server.asked(&parts)?;
        let query = parts.uri.query().unwrap_or_default();
        let token = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "token");
        let user = server.invited(&token.map(|(_, token)| token.into_owned()).unwrap_or_default()).await?;
        let id = |id: Option<&policy_core::Slug>| id.map(ToString::to_string);
        gives(
            StatusCode::OK,
            &Invited {
                organization_id: id(user.scope.organization_id()),
                application_id: id(user.scope.application_id()),
                email: user.email,
                display_name: user.display_name,
            },
        )
    };
    told(done.await)
}

async fn accept(State(server): State<SignIn>, request: Request) -> Response {
    let done = async {
        let Asked { flows, from, body } = server.asked_with::<Choice>(request).await?;
        let (password, name) = (Secret::new(body.password), body.display_name.as_deref());
        let joined = server.accept(flows, &from, &body.token, password, name).await?;
        server.joined(joined, &from, empty()).await
    };
    told(done.await)
}

async fn forgot(State(server): State<SignIn>, path: Named, request: Request) -> Response {
    let done = async {
        let Asked { flows, from, body } = server.asked_with::<Address>(request).await?;
        let scope = server.scope(named(path), &from).await?;
        server.forgot(flows, scope, &body.email).await?;
        gives(StatusCode::ACCEPTED, &ON_ITS_WAY)
    };
    told(done.await)
}

async fn reset(State(server): State<SignIn>, request: Request) -> Response {
    let done = async {
        let Asked { flows, from, body } = server.asked_with::<Reset>(request).await?;
        server.reset(flows, &from, &body.token, Secret::new(body.password)).await?;
        Ok(empty())
    };
    told(done.await)
}

async fn change_password(State(server): State<SignIn>, request: Request) -> Response {
    let done = async {
        let Asked { flows, from, body } = server.asked_with::<PasswordChange>(request).await?;
        let (old, new) = (Secret::new(body.old_password), Secret::new(body.new_password));
        let found = server.change_password(flows, &from, &old, new, body.code.map(Secret::new).as_ref()).await?;
        server.with_session(&found, &from, empty()).await
    };
    told(done.await)
}

/// People set texts of themselves; what else an administrator has put there is not theirs to see.
fn text_of((name, value): &(String, policy_core::value::Value)) -> Option<(String, String)> {
    let policy_core::value::ValueRef::Text(text) = value.as_ref() else { return None };
    Some((name.clone(), text.to_owned()))
}

fn profile_of(flows: &Flows, user: &User, mfa: bool) -> Done {
    let own = flows.people.rules.get(&user.scope).map(|rules| rules.own_attributes.clone()).unwrap_or_default();
    let own = user.attributes.iter().filter(|(name, _)| own.contains(name));
    gives(
        StatusCode::OK,
        &Profile {
            id: user.id.clone(),
            scope: user.scope.to_string(),
            email: user.email.clone(),
            display_name: user.display_name.clone(),
            attributes: own.filter_map(text_of).collect(),
            mfa,
        },
    )
}

async fn profile(State(server): State<SignIn>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let done = async {
        let (flows, from) = server.asked(&parts)?;
        let (user, found) = server.signed_in_user(&from).await?;
        profile_of(flows, &user, found.participant().mfa())
    };
    told(done.await)
}

async fn change_profile(State(server): State<SignIn>, request: Request) -> Response {
    let done = async {
        let Asked { flows, from, body } = server.asked_with::<ProfileChange>(request).await?;
        let changed = server.change_profile(flows, &from, body.display_name.as_deref(), body.attributes).await?;
        profile_of(flows, &changed, false)
    };
    told(done.await)
}

/// The table of endpoints.
fn endpoints() -> Vec<Endpoint<SignIn>> {
    let mut all = vec![
        at("post", "/login/lookup", "lookup", "How an address signs in; the same whether it is known or not", lookup)
            .takes::<Address>()
            .gives::<Way>(200),
        at("post", "/register", "register", "Sends a letter to whoever wants to be a user", register)
            .takes::<Registration>()
            .gives::<Message>(202),
        at(
            "post",
            "/register/complete",
            "completeRegistration",
            "Makes the user whose address a link proves",
            complete_registration,
        )
        .takes::<Choice>(),
        at("post", "/org/signup", "signUp", "Sends a letter to whoever wants to found an organization", sign_up)
            .takes::<Registration>()
            .gives::<Message>(202),
        at(
            "post",
            "/org/signup/complete",
            "completeSignUp",
            "Makes an organization and its owner, whose address a link proves",
            complete_sign_up,
        )
        .takes::<Founding>()
        .gives::<Founded>(200),
        at(
            "post",
            "/org/signup/social/complete",
            "completeSignUpWithProvider",
            "Makes an organization and its owner, whom a provider vouches for",
            complete_sign_up_with,
        )
        .takes::<FoundingWith>()
        .gives::<Founded>(200),
        at("get", "/invite/details", "invitation", "Whom an invitation is for", invitation).gives::<Invited>(200),
        at("post", "/invite/accept", "acceptInvitation", "Gives an invited user a password", accept).takes::<Choice>(),
        at("post", "/password/forgot", "forgotPassword", "Sends a letter to whoever forgot their password", forgot)
            .takes::<Address>()
            .gives::<Message>(202),
        at("post", "/password/reset", "resetPassword", "Sets the password that is chosen by a link", reset)
            .takes::<Reset>(),
        at("post", "/password/change", "changePassword", "Changes the password of whoever knows it", change_password)
            .takes::<PasswordChange>(),
        at("get", "/profile", "profile", "Who is signed in", profile).gives::<Profile>(200),
        at("post", "/profile", "changeProfile", "Changes what users may change of themselves", change_profile)
            .takes::<ProfileChange>()
            .gives::<Profile>(200),
    ];
    // The same, where Kinotic's own pages ask, and where the path names the application.
    all.push(at("post", "/org/login/lookup", "lookupInOrganization", "As `lookup`", lookup).takes::<Address>());
    for (path, id, handler) in [
        ("/app/{organization}/{application}/login/lookup", "lookupInApplication", axum::routing::post(lookup)),
        ("/app/{organization}/{application}/password/forgot", "forgotInApplication", axum::routing::post(forgot)),
    ] {
        all.push(Endpoint { handler, ..at("post", path, id, "As without the application", lookup).takes::<Address>() });
    }
    all.push(
        at("post", "/app/{organization}/{application}/register", "registerInApplication", "As `register`", register)
            .takes::<Registration>()
            .gives::<Message>(202),
    );
    all.extend(crate::signin::second::endpoints());
    all.extend(crate::signin::linking::endpoints());
    all.extend(crate::signin::connect::endpoints());
    all
}

/// The `OpenAPI` 3.1 document.
pub(in crate::signin) fn openapi() -> Value {
    let problem = ResponseBuilder::new().description("why not");
    let about = About {
        title: "Signing in",
        base: BASE,
        problem: problem.content("application/json", Content::new(Some(WhyNot::schema()))).build(),
        once: false,
        security: bearer_or_session(),
    };
    let mut all = endpoints();
    all.extend(crate::signin::leaving::endpoints());
    document(about, all)
}

pub(in crate::signin) fn router() -> Router<SignIn> {
    let text = openapi().to_string();
    let served = async move || ([(CONTENT_TYPE, "application/json")], text);
    routes(BASE, endpoints()).route("/api/auth/openapi.json", get(served))
}
