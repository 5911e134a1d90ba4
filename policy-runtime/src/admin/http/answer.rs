//! What requests have in common: scopes and pages in, JSON and problems out.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use policy_core::Scope;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::AdminError;
use crate::code::Code;
use crate::tower::Problem;

/// How many items a page has if the caller does not say, and at most.
const USUAL: usize = 100;
const MOST: usize = 1_000;

impl From<AdminError> for Problem {
    fn from(error: AdminError) -> Self {
        let code = error.code();
        match error {
            AdminError::Denied(denied) => denied.into(),
            AdminError::Unavailable(text) => {
                tracing::error!(target: "policy::admin", error = text, "an operation failed");
                Self::new(code)
            }
            AdminError::Audit(error) => {
                tracing::error!(target: "policy::admin", %error, "an operation failed");
                Self::new(code)
            }
            AdminError::Refused(refused) => {
                let findings = refused.findings().iter().map(|f| json!({ "place": &*f.place, "message": f.message }));
                let findings = findings.collect();
                Self::new(code)
                    .status_of(StatusCode::UNPROCESSABLE_ENTITY)
                    .detail(&refused.to_string())
                    .findings(findings)
            }
            AdminError::Invalid(_) => {
                Self::new(code).status_of(StatusCode::UNPROCESSABLE_ENTITY).detail(&error.to_string())
            }
            AdminError::Conflict(_) => {
                Self::new(code).status_of(StatusCode::PRECONDITION_FAILED).detail(&error.to_string())
            }
            AdminError::Missing { .. }
            | AdminError::Exists { .. }
            | AdminError::Beyond(_)
            | AdminError::LockedOut(_)
            | AdminError::Broken(_) => Self::new(code).detail(&error.to_string()),
        }
    }
}

pub(super) fn bad(text: &str) -> Problem {
    Problem::new(Code::BadArguments).detail(text)
}

/// A body of JSON, every member of which is known.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        // What a form of another site can send is no JSON.
        if kind.split(';').next().unwrap_or_default().trim() != "application/json" {
            return Err(bad("the body is not `application/json`").status_of(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| bad("the body cannot be read").status_of(rejection.into_response().status()))?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| bad(&format!("the body does not fit: {error}")))
    }
}

/// The scope that a path names: `sys`, `org:acme`, `app:acme%2Forders`.
#[derive(Deserialize)]
struct Named {
    scope: String,
}

pub(super) struct In(pub(super) Scope);

impl<S: Send + Sync> FromRequestParts<S> for In {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(Named { scope }) =
            Path::from_request_parts(parts, state).await.map_err(|_| bad("the path names no scope"))?;
        scope.parse().map(Self).map_err(|error: policy_core::name::NameError| bad(&error.to_string()))
    }
}

/// What a query says, every member of which is known.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::from_request_parts(parts, state).await;
        query.map(|Query(asked)| Self(asked)).map_err(|error| bad(&format!("the query does not fit: {error}")))
    }
}

/// Which part of a list is wanted.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    /// The `next` of the page before.
    pub(super) after: Option<String>,
    /// How many items, at most 1000.
    pub(super) limit: Option<usize>,
}

impl Page {
    /// The page of a list that is in the order of its ids.
    pub(super) fn of<T: Serialize>(&self, all: Vec<T>, id: impl Fn(&T) -> String) -> Value {
        let limit = self.limit.unwrap_or(USUAL).clamp(1, MOST);
        let start = match &self.after {
            None => 0,
            Some(after) => match all.iter().position(|item| id(item) == *after) {
                Some(at) => at + 1,
                // What the page before ended with is gone.
                None => all.partition_point(|item| id(item) < *after),
            },
        };
        let more = all.len().saturating_sub(start) > limit;
        let items: Vec<T> = all.into_iter().skip(start).take(limit).collect();
        let next = items.last().filter(|_| more).map(&id);
        json!({ "items": items, "next": next })
    }
}

pub(super) fn json_text(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], text).into_response()
}

pub(super) fn ok(value: &impl Serialize) -> Result<Response, Problem> {
    said(StatusCode::OK, value)
}

pub(super) fn said(status: StatusCode, value: &impl Serialize) -> Result<Response, Problem> {
    let text = serde_json::to_string(value).map_err(|_| Problem::new(Code::Internal))?;
    let mut response = json_text(text);
    *response.status_mut() = status;
    Ok(response)
}

pub(super) fn nothing() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// Tells an entity tag.
pub(super) fn tagged(response: Result<Response, Problem>, tag: &str) -> Result<Response, Problem> {
    let mut response = response?;
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{tag}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

/// Tells which version of a set was active.
pub(super) fn with_active(response: Result<Response, Problem>, active: i64) -> Result<Response, Problem> {
    tagged(response, &active.to_string())
}

/// The entity tag that the caller has seen.
pub(super) fn seen_tag(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(tag) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let tag = tag.to_str().ok().and_then(|tag| tag.trim().strip_prefix('"')?.strip_suffix('"'));
    tag.map(|tag| Some(tag.to_owned())).ok_or_else(|| bad("`If-Match` is an `ETag`, such as `\"3\"`"))
}

/// The version that the caller has seen as the active one.
pub(super) fn seen(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    let Some(tag) = seen_tag(headers)? else { return Ok(None) };
    let number = tag.parse().ok();
    number.map(Some).ok_or_else(|| bad("`If-Match` is the `ETag` of the list of versions, such as `\"3\"`"))
}
