//! Refusals as HTTP responses: problem details, RFC 9457.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::authn::Answer;
use crate::code::Code;
use crate::denied::Denied;
use crate::security::SecurityContext;
use crate::service::CallError;

/// A refusal or a failure as `application/problem+json`: the code, its text, the id of the decision, and nothing that tells why.
///
/// ```
/// use policy_runtime::Code;
/// use policy_runtime::tower::Problem;
/// let response: http::Response<String> = Problem::new(Code::RateLimited).into();
/// assert_eq!(response.status(), 429);
/// assert_eq!(response.headers()["content-type"], "application/problem+json");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    code: Code,
    status: StatusCode,
    detail: Option<Box<str>>,
    decision: Option<Arc<str>>,
    request_id: Option<Arc<str>>,
    retry_after: Option<Duration>,
    challenge: Option<HeaderValue>,
    findings: Option<Box<serde_json::Value>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    findings: Option<&'a serde_json::Value>,
}

impl Problem {
    /// Describes what a code means. The id of the request is that of the running task's context, if there is one.
    pub fn new(code: Code) -> Self {
        Self {
            code,
            status: StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            detail: None,
            decision: None,
            request_id: SecurityContext::current().and_then(|cx| cx.facts().request_id.clone()),
            retry_after: None,
            challenge: None,
            findings: None,
        }
    }

    /// What a refused sign-in is answered with.
    pub(super) fn of_sign_in(answer: &Answer) -> Self {
        let problem = Self::new(answer.code).detail(&answer.message);
        Self {
            status: StatusCode::from_u16(answer.status).unwrap_or(problem.status),
            retry_after: answer.retry_after_s.map(Duration::from_secs),
            ..problem
        }
    }

    /// Adds a text for people.
    ///
    /// ```
    /// use policy_runtime::Code;
    /// use policy_runtime::tower::Problem;
    /// let problem = Problem::new(Code::Timeout).detail("the store did not answer");
    /// assert_eq!(problem.code(), Code::Timeout);
    /// ```
    #[must_use]
    pub fn detail(mut self, text: &str) -> Self {
        self.detail = Some(text.into());
        self
    }

    /// Answers with a more precise status than that of the code.
    #[cfg(feature = "admin")]
    pub(crate) const fn status_of(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Adds what is wrong, one by one.
    #[cfg(feature = "admin")]
    pub(crate) fn findings(mut self, findings: serde_json::Value) -> Self {
        self.findings = Some(findings.into());
        self
    }

    pub(super) fn request_id(mut self, id: Arc<str>) -> Self {
        self.request_id = Some(id);
        self
    }

    pub(super) fn challenge(mut self, challenge: HeaderValue) -> Self {
        self.challenge = Some(challenge);
        self
    }

    /// The code.
    pub const fn code(&self) -> Code {
        self.code
    }

    /// The HTTP status.
    pub const fn status(&self) -> StatusCode {
        self.status
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        Self { decision: Some(denied.id().into()), retry_after: denied.retry_after(), ..Self::new(denied.code()) }
    }
}

impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        Self {
            detail: Some(error.message().into()),
            decision: error.decision().map(Arc::from),
            retry_after: error.retry_after(),
            ..Self::new(error.code())
        }
    }
}

impl<B: From<String>> From<Problem> for Response<B> {
    fn from(problem: Problem) -> Self {
        let body = Body {
            r#type: format!("urn:problem:policy:{}", problem.code.as_str().to_ascii_lowercase().replace('_', "-")),
            title: problem.code.text(),
            status: problem.status.as_u16(),
            code: problem.code.as_str(),
            detail: problem.detail.as_deref(),
            decision: problem.decision.as_deref(),
            request_id: problem.request_id.as_deref(),
            findings: problem.findings.as_deref(),
        };
        let mut response = Self::new(serde_json::to_string(&body).unwrap_or_default().into());
        *response.status_mut() = problem.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if problem.status == StatusCode::UNAUTHORIZED {
            let usual = HeaderValue::from_static(problem.code.challenge());
            headers.insert(WWW_AUTHENTICATE, problem.challenge.unwrap_or(usual));
        }
        if let Some(wait) = problem.retry_after {
            // Whole seconds, and never too early.
            let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl<B: From<String>> From<Denied> for Response<B> {
    fn from(denied: Denied) -> Self {
        Problem::from(denied).into()
    }
}

impl From<Denied> for StatusCode {
    fn from(denied: Denied) -> Self {
        Self::from_u16(denied.code().status()).unwrap_or(Self::FORBIDDEN)
    }
}
