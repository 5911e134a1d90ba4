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
use crate::identity::SessionRecord;
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
