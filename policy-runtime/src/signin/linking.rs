//! Providers beside the first: one more for somebody who is signed in, one for somebody who registers or is invited.
//!
//! ```text
//! JSON of this site ─► an errand with its purpose ─► provider ─► callback ─► linked, registered or accepted ─► signed in
//! ```
//!
//! An identity becomes a user's by two fresh sign-ins, here and at the provider, and never by an address. Who registers, or accepts
//! an invitation, brings an address that the provider proves. Absent: how an errand is kept and how an answer is checked.

use axum::extract::{Path, Request, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use policy_core::Scope;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::authorize::{Instead, see_other, unavailable, with_cookie};
use super::clients::fresh_secret;
use super::errands::{Browser, Errand, Purpose};
use super::flows::json::{Asked, Done, empty, gives, told};
use super::flows::{Flows, No, Whence, hash_of, name, no, refused};
use super::relying::{failed, word};
use super::{Pages, SignIn};
use crate::authn::second_factor::Need;
use crate::authn::token::{Answer, Offered, VerifiedToken, name_in_addresses};
use crate::authn::{AuthnCode, AuthnError};
use crate::endpoint::{Endpoint, at};
use crate::events::Actor;
use crate::identity::link::{self, Founder, Link, NewLink};
use crate::identity::{
    Directory as _, EmailKey, ExternalIdentity, IdentityStore as _, Linked, StoreError, Unlinked, User,
};

/// How long ago somebody must have signed in to change how they sign in, in milliseconds.
const FRESH_MS: i64 = 5 * 60_000;

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Identity {
    /// The configuration of the provider.
    provider: String,
    /// What the provider calls the user.
    subject: String,
}

#[derive(Serialize, ToSchema)]
struct Ways {
    password: bool,
    identities: Vec<Identity>,
    /// Providers that people sign in with here.
    providers: Vec<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct At {
    provider: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Invitation {
    token: String,
}

#[derive(Serialize, ToSchema)]
struct Leads {
    /// Where the browser goes on.
    redirect: String,
}

fn nobody(detail: &'static str) -> AuthnError {
    AuthnError::new(AuthnCode::NotProvisioned, detail)
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
fn unreachable(error: StoreError) -> AuthnError {
    AuthnError::new(AuthnCode::Unavailable, error.to_string())
}

impl SignIn {
    fn with_pages(&self) -> Result<&Pages, No> {
        self.pages.as_ref().ok_or_else(|| No::Told(StatusCode::NOT_FOUND, "nobody signs in here".to_owned()))
    }

    /// Whoever has signed in a moment ago, with all that is asked of them, and in which session.
    async fn fresh(&self, from: &Whence) -> Result<(User, String), No> {
        let (user, found) = self.signed_in_user(from).await?;
        let again = || No::Told(StatusCode::FORBIDDEN, "sign in again first".to_owned());
        if !found.participant().mfa() && self.need(&user).await.map_err(refused)? != Need::None {
            return Err(again());
        }
        let id = found.session().ok_or_else(again)?.to_string();
        let since = self.inner.stored.clock.now().0 - FRESH_MS;
        let all = self.with_pages()?.sessions.of_user(&user.id).await.map_err(refused)?;
        let is_fresh = all.iter().any(|session| session.id == id && session.since.0 >= since);
        if is_fresh { Ok((user, id)) } else { Err(again()) }
    }

    /// Begins an errand; gives the provider's address, and the cookie without which nobody comes back from it.
    pub(super) async fn departs(&self, from: &Whence, errand: &Errand) -> Result<(String, String), No> {
        match self.begins(self.with_pages()?, &from.headers, errand).await? {
            Some(begun) => Ok(begun),
            None => no(StatusCode::BAD_REQUEST, "Unknown provider"),
        }
    }

    async fn departs_as_json(&self, from: &Whence, errand: &Errand) -> Done {
        let (redirect, cookie) = self.departs(from, errand).await?;
        let mut response = gives(StatusCode::OK, &Leads { redirect })?;
        let kept = with_cookie(&mut response, &cookie);
        kept.or_else(|_| no(StatusCode::INTERNAL_SERVER_ERROR, "not possible at the moment"))?;
        Ok(response)
    }

    /// What somebody is sent for who registers.
    pub(super) fn registering(
        &self,
        flows: &Flows,
        scope: Scope,
        provider: &str,
        question: &str,
    ) -> Result<Errand, No> {
        if self.registers_with(flows, &scope, provider).is_none() {
            return no(StatusCode::FORBIDDEN, "nobody registers here by themselves");
        }
        Ok(Errand { purpose: Purpose::Register, ..Errand::of(provider, scope, question) })
    }

    /// What somebody is sent for who accepts an invitation.
    pub(super) async fn accepting(&self, token: &str, provider: &str) -> Result<Errand, No> {
        let user = self.invited(token).await?;
        Ok(Errand {
            purpose: Purpose::Accept,
            ..Errand::of(provider, user.scope, &URL_SAFE_NO_PAD.encode(hash_of(token)))
        })
    }

    /// What somebody is sent for who founds an organization.
    pub(super) fn founding(&self, flows: &Flows, provider: &str) -> Result<Errand, No> {
        if !flows.people.founding {
            return no(StatusCode::FORBIDDEN, "nobody founds an organization here by themselves");
        }
        if !self.providers_to_found_with(flows).iter().any(|own| own == provider) {
            return no(StatusCode::BAD_REQUEST, "Unknown provider");
        }
        Ok(Errand { purpose: Purpose::Found, ..Errand::of(provider, Scope::System, "") })
    }

    /// Those with whom people found organizations.
    pub(super) fn providers_to_found_with(&self, flows: &Flows) -> Vec<String> {
        let all = self.pages.iter().flat_map(|pages| pages.offered_in(&Scope::System));
        let all = all.filter(|offered| flows.people.founding && offered.founds());
        all.map(|offered| offered.provider.name().to_owned()).collect()
    }

    /// Keeps whom a provider vouches for who founds an organization, and leads to where they name it. Nothing is made before.
    pub(super) async fn founds(
        &self,
        browser: &Browser,
        offered: &Offered,
        brought: &Answer<'_>,
    ) -> Result<Response, Instead> {
        if !offered.founds() || !self.inner.chain.is_on(&Scope::System, Offered::METHOD) {
            return failed("config_not_found");
        }
        let known = async {
            let token = offered.provider.identify(brought).await?;
            if token.is_machine() {
                return Err(AuthnError::new(AuthnCode::TokenSubject, "no machine founds an organization"));
            }
            Ok((offered.identity(&token), offered.proved(&token)?))
        };
        let (identity, proved) = match known.await {
            Ok(known) => known,
            Err(error) => {
                tracing::info!(target: "policy::signin", provider = offered.provider.name(), code = %error.code(), detail = error.detail(), "founding refused");
                return failed(word(&error));
            }
        };
        let email = proved.email().and_then(|email| Some((email.to_owned(), EmailKey::new(email).ok()?)));
        let Some((email, key)) = email else { return failed("email_not_verified") };
        let founder = serde_json::to_string(&Founder { identity, mfa: proved.mfa(), browser: browser.hash() });
        let Ok(back) = founder else { return failed("signup_failed") };
        let display_name = name(proved.display_name()).ok().flatten();
        let (scope, purpose) = (Scope::System, link::Purpose::FoundWith);
        let link = Link { purpose, scope, email, user: None, display_name, back: Some(back) };
        let (token, hash) = fresh_secret("").map_err(|error| unavailable(&error))?;
        let new = NewLink { link: &link, email: &key, hash: &hash, now: self.inner.stored.clock.now() };
        let made = self.inner.stored.sql.offer_link(new).await.map_err(|error| unavailable(&error.into()))?;
        if !made {
            return failed("signup_failed");
        }
        see_other(&format!("/auth/signup/provider?token={}", token.expose()))
    }

    /// The roles of those who register with a provider; `None` where nobody does.
    fn registers_with(&self, flows: &Flows, scope: &Scope, provider: &str) -> Option<Vec<String>> {
        let offered = self.pages.as_ref()?.offered(scope, provider)?;
        let registration = flows.registration(scope)?;
        offered.registers().then(|| registration.roles.into_iter().collect())
    }

    /// The providers of a scope, by name.
    pub(super) fn providers_of(&self, scope: &Scope) -> Vec<String> {
        let all = self.pages.iter().flat_map(|pages| pages.offered_in(scope));
        all.map(|offered| offered.provider.name().to_owned()).collect()
    }

    /// Those with whom people register there.
    pub(super) fn providers_to_register_with(&self, flows: &Flows, scope: &Scope) -> Vec<String> {
        let mut all = self.providers_of(scope);
        all.retain(|provider| self.registers_with(flows, scope, provider).is_some());
        all
    }

    /// Makes a user of whom a provider vouches for, where the errand is for that. An identity that is somebody's signs in.
    pub(super) async fn joins(
        &self,
        errand: &Errand,
        offered: &Offered,
        token: &VerifiedToken,
        actor: impl Fn(&User) -> Actor,
    ) -> Result<(), AuthnError> {
        if !matches!(errand.purpose, Purpose::Register | Purpose::Accept) || token.is_machine() {
            return Ok(());
        }
        let (store, identity) = (&self.inner.stored.sql, offered.identity(token));
        if store.user_of(&errand.scope, &identity).await.map_err(unreachable)?.is_some() {
            return Ok(());
        }
        let proved = offered.proved(token)?;
        let email = proved.email().ok_or_else(|| nobody("the provider proves no address"))?;
        let key = EmailKey::new(email).map_err(|_| nobody("the provider's address is none"))?;
        let (what, user) = if errand.purpose == Purpose::Register {
            let roles =
                self.flows.as_ref().and_then(|flows| self.registers_with(flows, &errand.scope, &errand.configuration));
            let roles = roles.ok_or_else(|| nobody("nobody registers here by themselves"))?;
            match store.create(&errand.scope, email, proved.display_name(), &roles, &identity).await {
                // Whoever has the address links the provider once they are signed in.
                Err(StoreError::Exists { .. }) => return Err(nobody("the address belongs to another user")),
                made => ("user.create", made.map_err(unreachable)?),
            }
        } else {
            let hash = URL_SAFE_NO_PAD.decode(&errand.question).ok().and_then(|hash| hash.try_into().ok());
            let hash = hash.ok_or_else(|| nobody("the invitation is damaged"))?;
            let now = self.inner.stored.clock.now();
            let invited = store.invited(&hash, now).await.map_err(unreachable)?;
            let invited = invited.ok_or_else(|| nobody("the invitation is used or over"))?;
            if invited.email.as_deref().and_then(|own| EmailKey::new(own).ok()) != Some(key) {
                return Err(nobody("the invitation is for another address"));
            }
            let user = store.accept(&errand.scope, &hash, &identity, now).await;
            ("user.accept", user.map_err(unreachable)?.ok_or_else(|| nobody("the invitation is used or over"))?)
        };
        self.tell(what, &user, actor(&user)).await;
        Ok(())
    }

    /// Gives the user who began it the identity with which the browser is back.
    pub(super) async fn links(
        &self,
        pages: &Pages,
        errand: &Errand,
        offered: &Offered,
        brought: &Answer<'_>,
        actor: impl Fn(&User) -> Actor,
    ) -> Result<Response, Instead> {
        let unlinked = |word: &str| see_other(&format!("/?link_error={word}"));
        let user = self.inner.users.user(errand.user.as_deref().unwrap_or_default()).await;
        let user = user.map_err(|error| unavailable(&error.into()))?;
        let Some(user) = user.filter(|user| user.enabled && user.scope == errand.scope) else {
            return unlinked("no_account");
        };
        // Whoever has signed out meanwhile, or as somebody else, has nothing linked. A form of another site brings no session along,
        // so that it is asked for by its id.
        let sessions = pages.sessions.of_user(&user.id).await.map_err(|error| unavailable(&error.into()))?;
        if !sessions.iter().any(|session| session.id == errand.question) {
            return unlinked("session_ended");
        }
        let token = match offered.provider.identify(brought).await {
            Ok(token) if !token.is_machine() && self.inner.chain.is_on(&errand.scope, Offered::METHOD) => token,
            Ok(_) => return unlinked("invalid_token"),
            Err(error) => {
                tracing::info!(target: "policy::signin", provider = errand.configuration, code = %error.code(), detail = error.detail(), "linking refused");
                return unlinked("invalid_token");
            }
        };
        let linked = self.inner.stored.sql.link_identity(&user, &errand.question, &offered.identity(&token)).await;
        match linked.map_err(|error| unavailable(&error.into()))? {
            Linked::Done => {}
            Linked::Taken => return unlinked("taken"),
            Linked::Ended => return unlinked("session_ended"),
        }
        self.tell("identity.link", &user, actor(&user)).await;
        see_other(&format!("/?linked={}", errand.configuration))
    }
}

async fn ways(State(server): State<SignIn>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let done = async {
        let (_, from) = server.asked(&parts)?;
        let (user, _) = server.signed_in_user(&from).await?;
        let all = server.inner.stored.sql.identities_of(&user.id).await?;
        let ways = Ways {
            password: server.inner.users.password_hash(&user.id).await?.is_some(),
            identities: all
                .into_iter()
                .map(|own| Identity { provider: own.configuration, subject: own.subject })
                .collect(),
            providers: server.providers_of(&user.scope),
        };
        gives(StatusCode::OK, &ways)
    };
    told(done.await)
}

async fn link(State(server): State<SignIn>, request: Request) -> Response {
    let done = async {
        let Asked { from, body, .. } = server.asked_with::<At>(request).await?;
        let (user, session) = server.fresh(&from).await?;
        let errand = Errand::of(&body.provider, user.scope, &session);
        server.departs_as_json(&from, &Errand { purpose: Purpose::Link, user: Some(user.id), ..errand }).await
    };
    told(done.await)
}

async fn unlink(State(server): State<SignIn>, request: Request) -> Response {
    let done = async {
        let Asked { from, body, .. } = server.asked_with::<Identity>(request).await?;
        let (user, _) = server.fresh(&from).await?;
        let (pages, is_on) = (server.with_pages()?, |method: &str| server.inner.chain.is_on(&user.scope, method));
        let by_provider = is_on(Offered::METHOD);
        let offered = |own: &ExternalIdentity| pages.offered(&user.scope, &name_in_addresses(&own.configuration));
        let counts = |own: &ExternalIdentity| by_provider && offered(own).is_some();
        let meant = (body.provider.as_str(), body.subject.as_str());
        match server.inner.stored.sql.unlink_identity(&user.id, meant, is_on("password"), counts).await? {
            Unlinked::Done => {}
            Unlinked::Unknown => return no(StatusCode::NOT_FOUND, "no such identity is linked"),
            Unlinked::Last => return no(StatusCode::CONFLICT, "it is the last way to sign in"),
        }
        server.tell("identity.unlink", &user, from.actor(&user)).await;
        if let Some(now) = server.inner.users.user(&user.id).await? {
            pages.sessions.end_before(&now.id, now.epoch);
        }
        Ok(empty())
    };
    told(done.await)
}

async fn register(
    State(server): State<SignIn>,
    Path((organization, application)): Path<(String, String)>,
    request: Request,
) -> Response {
    let done = async {
        let Asked { flows, from, body } = server.asked_with::<At>(request).await?;
        let scope = server.scope(Some((organization, application)), &from).await?;
        server.departs_as_json(&from, &server.registering(flows, scope, &body.provider, "")?).await
    };
    told(done.await)
}

async fn accept(State(server): State<SignIn>, Path(provider): Path<String>, request: Request) -> Response {
    let done = async {
        let Asked { from, body, .. } = server.asked_with::<Invitation>(request).await?;
        server.departs_as_json(&from, &server.accepting(&body.token, &provider).await?).await
    };
    told(done.await)
}

pub(super) fn endpoints() -> Vec<Endpoint<SignIn>> {
    vec![
        at("get", "/identities", "identities", "By what one signs in", ways).gives::<Ways>(200),
        at("post", "/identities/link", "link", "Leaves for one more provider, after a fresh sign-in", link)
            .takes::<At>()
            .gives::<Leads>(200),
        at("post", "/identities/unlink", "unlink", "Takes one away, never the last way in; all sessions end", unlink)
            .takes::<Identity>(),
        at(
            "post",
            "/app/{organization}/{application}/register/provider",
            "registerWithProvider",
            "Leaves for a provider, to register by what it proves",
            register,
        )
        .takes::<At>()
        .gives::<Leads>(200),
        at(
            "post",
            "/invite/oidc/start/{provider}",
            "acceptWithProvider",
            "Leaves for a provider that proves the invited address",
            accept,
        )
        .takes::<Invitation>()
        .gives::<Leads>(200),
    ]
}
