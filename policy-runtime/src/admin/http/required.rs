//! Endpoints about what must be recorded.

use std::collections::BTreeSet;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::answer::{Body, In, nothing, ok};
use super::handlers::Answer;
use crate::security::SecurityContext;

/// Actions of which each decision is recorded before anything is done.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RequiredAudit {
    /// Their full names.
    actions: BTreeSet<String>,
}

pub(super) async fn required_audit(State(api): State<Api>, cx: SecurityContext, In(scope): In) -> Answer {
    ok(&RequiredAudit { actions: api.admin.required_audit(&cx, &scope).await? })
}

pub(super) async fn require_audit(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Body(new): Body<RequiredAudit>,
) -> Answer {
    api.admin.require_audit(&cx, &scope, &new.actions).await?;
    Ok(nothing())
}
