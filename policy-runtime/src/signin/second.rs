//! The second factor over HTTP: setting it up, going on with it where a password was right, and taking it away again.

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::SignIn;
use super::flows::json::{Asked, Done, empty, gives, told};
use super::flows::{No, Whence, refused};
use crate::authn::second_factor::{Need, SecondFactors, Seed};
use crate::authn::{Authenticated, AuthnError, Outcome};
use crate::credential::{Credential, Credentials};
use crate::edge::Arrival;
use crate::endpoint::{Endpoint, at};
use crate::events::Actor;
use crate::identity::User;
use crate::secret::Secret;

/// Whoever comes from the password, and whoever is signed in and shows the password again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SetUp {
    /// What the sign-in was refused with.
    pending: Option<String>,
    /// Of whoever is signed in.
    password: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Code {
    pending: Option<String>,
    /// Six digits of the app, or a recovery code.
    code: String,
}

#[derive(Serialize, ToSchema)]
struct Shown {
    /// To be typed into the app.
    secret: String,
    /// To be shown as a picture.
    uri: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Recovery {
    /// Each good once; they are not shown again.
    recovery_codes: Vec<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Standing {
    set_up: bool,
    required: bool,
    recovery_codes_left: u64,
}

fn recovery(codes: &[Secret<String>]) -> Recovery {
    Recovery { recovery_codes: codes.iter().map(|code| code.expose().clone()).collect() }
}

impl SignIn {
    pub(super) fn factors(&self) -> Result<&SecondFactors, No> {
        let none = || No::Told(StatusCode::NOT_FOUND, "there are no second factors here".to_owned());
        self.second_factors.as_ref().ok_or_else(none)
    }

    /// Whether a user must sign in with a second factor; `None` where none is asked for.
    pub(super) async fn need(&self, user: &User) -> Result<Need, AuthnError> {
        match &self.second_factors {
            Some(factors) => factors.need(user).await,
            None => Ok(Need::None),
        }
    }

    /// Makes a seed for whoever comes from the password.
    pub(super) async fn set_up(&self, pending: &Secret<String>) -> Result<Seed, No> {
        let factors = self.factors()?;
        let user = factors.waiting(pending).await.map_err(refused)?;
        factors.propose(&user).await.map_err(refused)
    }

    /// Confirms the seed of whoever comes from the password, and signs them in.
    pub(super) async fn confirm(
        &self,
        from: &Whence,
        pending: &Secret<String>,
        code: &Secret<String>,
    ) -> Result<(Vec<Secret<String>>, Box<Authenticated>), No> {
        let factors = self.factors()?;
        let user = factors.waiting(pending).await.map_err(refused)?;
        let codes = factors.confirm(&user, code).await.map_err(refused)?;
        self.tell("second_factor.set", &user, actor(&user, from.arrival)).await;
        let credential = factors.finishing_confirmed(&user).await.map_err(refused)?;
        Ok((codes, self.by(credential, &user, from).await?))
    }

    /// Signs in whoever comes from the password with a code.
    pub(super) async fn finish(
        &self,
        from: &Whence,
        pending: &Secret<String>,
        code: &Secret<String>,
    ) -> Result<Box<Authenticated>, No> {
        let user = self.factors()?.waiting(pending).await.map_err(refused)?;
        self.by(SecondFactors::finishing(pending, code), &user, from).await
    }

    /// By the chain, with its hook and its events.
    async fn by(&self, credential: Credential, user: &User, from: &Whence) -> Result<Box<Authenticated>, No> {
        let wrong = || No::Told(StatusCode::UNAUTHORIZED, "Invalid credentials".to_owned());
        let pages = self.pages.as_ref().ok_or_else(wrong)?;
        let credentials = Credentials::of(credential)
            .in_scope(user.scope.clone())
            .from_peer(from.arrival.address)
            .at("POST", &from.path)
            .on(pages.listener.clone());
        match self.inner.chain.authenticate(&credentials).await {
            Outcome::Authenticated(found) => Ok(found),
            Outcome::Rejected(error) => Err(refused(error)),
            Outcome::NotPresented => Err(wrong()),
        }
    }

    async fn shown_code(&self, flows: &Asked<'_, Code>) -> Result<(User, Secret<String>), No> {
        let (user, _) = self.signed_in_user(&flows.from).await?;
        Ok((user, Secret::new(flows.body.code.clone())))
    }
}

fn actor(user: &User, arrival: Arrival) -> Actor {
    Actor::new(Some(&user.id), Some(&user.scope)).from_address(Some(arrival.address))
}

async fn standing(State(server): State<SignIn>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let done = async {
        let (_, from) = server.asked(&parts)?;
        let (user, _) = server.signed_in_user(&from).await?;
        let factors = server.factors()?;
        let left = factors.left(&user).await.map_err(refused)?;
        let standing = Standing {
            set_up: left.is_some(),
            required: factors.is_required(&user),
            recovery_codes_left: left.unwrap_or(0),
        };
        gives(StatusCode::OK, &standing)
    };
    told(done.await)
}

async fn set_up(State(server): State<SignIn>, request: Request) -> Response {
    let done = async {
        let Asked { from, body, .. } = server.asked_with::<SetUp>(request).await?;
        let seed = match (body.pending.map(Secret::new), body.password.map(Secret::new)) {
            (Some(pending), None) => server.set_up(&pending).await?,
            // A session alone is not enough: whoever has stolen one must not lock its user out.
            (None, Some(password)) => {
                let (user, _) = server.signed_in_user(&from).await?;
                server.by_password(&user, &password, None, &from).await?;
                server.factors()?.propose(&user).await.map_err(refused)?
            }
            _ => {
                let why = "`pending`, or `password` of whoever is signed in".to_owned();
                return Err(No::Told(StatusCode::BAD_REQUEST, why));
            }
        };
        let shown = Shown { secret: seed.secret.expose().clone(), uri: seed.uri.expose().clone() };
        gives(StatusCode::OK, &shown)
    };
    told(done.await)
}

async fn confirm(State(server): State<SignIn>, request: Request) -> Response {
    let done = async {
        let asked = server.asked_with::<Code>(request).await?;
        if let Some(pending) = asked.body.pending.clone().map(Secret::new) {
            let code = Secret::new(asked.body.code);
            let (codes, found) = server.confirm(&asked.from, &pending, &code).await?;
            return server.with_session(&found, &asked.from, gives(StatusCode::OK, &recovery(&codes))?).await;
        }
        let (user, code) = server.shown_code(&asked).await?;
        let codes = server.factors()?.confirm(&user, &code).await.map_err(refused)?;
        server.tell("second_factor.set", &user, actor(&user, asked.from.arrival)).await;
        gives(StatusCode::OK, &recovery(&codes))
    };
    told(done.await)
}

async fn finish(State(server): State<SignIn>, request: Request) -> Response {
    let done: Done = async {
        let Asked { from, body, .. } = server.asked_with::<Code>(request).await?;
        let pending = Secret::new(body.pending.unwrap_or_default());
        let found = server.finish(&from, &pending, &Secret::new(body.code)).await?;
        server.with_session(&found, &from, empty()).await
    }
    .await;
    told(done)
}

async fn renew(State(server): State<SignIn>, request: Request) -> Response {
    let done = async {
        let asked = server.asked_with::<Code>(request).await?;
        let (user, code) = server.shown_code(&asked).await?;
        let codes = server.factors()?.renew_recovery(&user, &code).await.map_err(refused)?;
        server.tell("second_factor.recovery", &user, actor(&user, asked.from.arrival)).await;
        gives(StatusCode::OK, &recovery(&codes))
    };
    told(done.await)
}

async fn remove(State(server): State<SignIn>, request: Request) -> Response {
    let done = async {
        let asked = server.asked_with::<Code>(request).await?;
        let (user, code) = server.shown_code(&asked).await?;
        server.factors()?.remove(&user, &code).await.map_err(refused)?;
        server.tell("second_factor.remove", &user, actor(&user, asked.from.arrival)).await;
        Ok(empty())
    };
    told(done.await)
}

pub(super) fn endpoints() -> Vec<Endpoint<SignIn>> {
    vec![
        at("post", "/login/second-factor", "finish", "Signs in whose password was right, with a code", finish)
            .takes::<Code>(),
        at("get", "/second-factor", "secondFactor", "Whether there is one, and whether it is required", standing)
            .gives::<Standing>(200),
        at("post", "/second-factor/set-up", "setUp", "Makes a seed, shown once", set_up)
            .takes::<SetUp>()
            .gives::<Shown>(200),
        at("post", "/second-factor/confirm", "confirm", "Makes it count, by a first code", confirm)
            .takes::<Code>()
            .gives::<Recovery>(200),
        at("post", "/second-factor/recovery-codes", "renewRecovery", "Replaces the recovery codes", renew)
            .takes::<Code>()
            .gives::<Recovery>(200),
        at("post", "/second-factor/remove", "removeSecondFactor", "Takes the second factor away", remove)
            .takes::<Code>(),
    ]
}
