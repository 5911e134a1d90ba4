//! What handlers of axum extract and return.

use std::ops::Deref;

use axum::body::Body;
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::response::{IntoResponse, Response};
use http::request::Parts;

use super::layer::Answered;
use super::problem::Problem;
use crate::code::Code;
use crate::denied::Denied;
use crate::security::SecurityContext;
use crate::service::CallError;

/// Extracts who calls.
///
/// ```
/// use policy_runtime::tower::Participant;
/// async fn whoami(participant: Participant) -> String {
///     participant.id().to_owned()
/// }
/// # let _: axum::Router = axum::Router::new().route("/me", axum::routing::get(whoami));
/// ```
#[derive(Debug, Clone)]
pub struct Participant(SecurityContext);

impl Deref for Participant {
    type Target = policy_core::Participant;

    fn deref(&self) -> &policy_core::Participant {
        self.0.participant()
    }
}

impl<S: Sync> FromRequestParts<S> for Participant {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let cx = <SecurityContext as FromRequestParts<S>>::from_request_parts(parts, state).await;
        cx.map(Self)
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Participant {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Problem> {
        Ok(parts.extensions.get::<SecurityContext>().cloned().map(Self))
    }
}

impl<S: Sync> FromRequestParts<S> for SecurityContext {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Problem::new(Code::NoContext))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let code = self.code();
        let mut response = Response::<Body>::from(self);
        response.extensions_mut().insert(Answered(code));
        response
    }
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

impl IntoResponse for CallError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
