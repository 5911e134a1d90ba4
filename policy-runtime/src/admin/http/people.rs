//! Endpoints about people and their sessions: what a person may ask for, and what ends with them.

use std::collections::BTreeSet;

use axum::extract::{Path, State};
use policy_core::Slug;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::answer::{Body, In, nothing, ok};
use super::bodies::{Removed, UserReply};
use super::handlers::{Answer, Ids, unfit};
use crate::identity::{Registering, Registration, SecondFactorRule, SessionRecord, SignInRules};
use crate::security::SecurityContext;

/// A session; times are milliseconds since 1970.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SessionReply {
    /// Its id, which is no secret.
    id: String,
    /// The method that opened it.
    method: String,
    /// How that was proved.
    amr: Vec<String>,
    /// Since when.
    since: i64,
    /// Until when at the latest.
    ends: i64,
}

impl From<SessionRecord> for SessionReply {
    fn from(one: SessionRecord) -> Self {
        Self { id: one.id, method: one.method, amr: one.amr, since: one.since.0, ends: one.ends.0 }
    }
}

/// All that is stored about a user.
#[derive(Serialize, ToSchema)]
pub(super) struct Exported {
    user: UserReply,
    /// What is stored besides: sessions, grants, identities at providers, letters on their way.
    #[schema(value_type = Object)]
    kept: serde_json::Map<String, serde_json::Value>,
}

/// Applications of an organization in which sessions of one another count.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SharedSessions {
    /// Their ids.
    applications: BTreeSet<String>,
}

/// Which methods of signing in are on: `password`, `token`, `api-key`; `null` for all, none where an application is retired.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Methods {
    /// The methods.
    methods: Option<BTreeSet<String>>,
}

/// What administrators say of registration and second factors.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Rules {
    /// `as_configured` (if nothing is said), `closed` or `open`.
    #[serde(default)]
    registration: Option<String>,
    /// Where it is open, the roles of who registers.
    #[serde(default)]
    roles: BTreeSet<String>,
    /// `optional` (if nothing is said), `required_for_admins` or `required`.
    #[serde(default)]
    second_factor: Option<String>,
}

pub(super) async fn methods(State(api): State<Api>, cx: SecurityContext, In(scope): In) -> Answer {
    ok(&Methods { methods: api.admin.methods(&cx, &scope).await? })
}

pub(super) async fn set_methods(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Body(new): Body<Methods>,
) -> Answer {
    api.admin.set_methods(&cx, &scope, new.methods.as_ref()).await?;
    Ok(nothing())
}

pub(super) async fn sign_in_rules(State(api): State<Api>, cx: SecurityContext, In(scope): In) -> Answer {
    let said = api.admin.sign_in_rules(&cx, &scope).await?;
    let (registration, roles) = match said.registration {
        Registering::AsConfigured => ("as_configured", BTreeSet::new()),
        Registering::Closed => ("closed", BTreeSet::new()),
        Registering::Open(registration) => ("open", registration.roles),
    };
    let second_factor = match said.second_factor {
        SecondFactorRule::Optional => "optional",
        SecondFactorRule::RequiredForAdmins => "required_for_admins",
        SecondFactorRule::Required => "required",
    };
    ok(&Rules { registration: Some(registration.into()), roles, second_factor: Some(second_factor.into()) })
}

pub(super) async fn set_sign_in_rules(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Body(new): Body<Rules>,
) -> Answer {
    let registration = match new.registration.as_deref() {
        Some("open") => Registering::Open(Registration { roles: new.roles }),
        _ if !new.roles.is_empty() => return Err(unfit("`roles` are those of an `open` registration")),
        None | Some("as_configured") => Registering::AsConfigured,
        Some("closed") => Registering::Closed,
        Some(_) => return Err(unfit("`registration` is `as_configured`, `closed` or `open`")),
    };
    let second_factor = match new.second_factor.as_deref() {
        None | Some("optional") => SecondFactorRule::Optional,
        Some("required_for_admins") => SecondFactorRule::RequiredForAdmins,
        Some("required") => SecondFactorRule::Required,
        Some(_) => return Err(unfit("`secondFactor` is `optional`, `required_for_admins` or `required`")),
    };
    api.admin.set_sign_in_rules(&cx, &scope, &SignInRules { registration, second_factor }).await?;
    Ok(nothing())
}

pub(super) async fn export_user(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Path((_, id)): Ids,
) -> Answer {
    let (user, kept) = api.admin.export_user(&cx, &scope, &id).await?;
    ok(&Exported { user: user.into(), kept })
}

pub(super) async fn erase_user(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Path((_, id)): Ids,
) -> Answer {
    ok(&Removed { removed: api.admin.erase_user(&cx, &scope, &id).await? })
}

pub(super) async fn sessions(State(api): State<Api>, cx: SecurityContext, In(scope): In, Path((_, id)): Ids) -> Answer {
    let all = api.admin.sessions(&cx, &scope, &id).await?.into_iter();
    ok(&all.map(SessionReply::from).collect::<Vec<_>>())
}

pub(super) async fn end_all(State(api): State<Api>, cx: SecurityContext, In(scope): In, Path((_, id)): Ids) -> Answer {
    let ended = api.admin.end_sessions(&cx, &scope, &id, None).await?;
    ok(&Removed { removed: u64::try_from(ended).unwrap_or(u64::MAX) })
}

pub(super) async fn end_session(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Path((_, id, session)): Path<(String, String, String)>,
) -> Answer {
    api.admin.end_sessions(&cx, &scope, &id, Some(&session)).await?;
    Ok(nothing())
}

pub(super) async fn shared_sessions(State(api): State<Api>, cx: SecurityContext, In(scope): In) -> Answer {
    let applications = api.admin.shared_sessions(&cx, &scope).await?;
    ok(&SharedSessions { applications: applications.iter().map(ToString::to_string).collect() })
}

pub(super) async fn share_sessions(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Body(new): Body<SharedSessions>,
) -> Answer {
    let named = new.applications.iter().map(|id| Slug::new(id).map_err(|error| unfit(error.to_string())));
    api.admin.share_sessions(&cx, &scope, &named.collect::<Result<_, _>>()?).await?;
    Ok(nothing())
}
