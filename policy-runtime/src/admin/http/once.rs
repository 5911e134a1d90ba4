//! Requests with an `Idempotency-Key` are done once: by whichever server, and however often they are sent.
//!
//! The first answer is kept for a day in the database, which servers share, under the key of the request: without it nobody reads
//! it. Not kept is what is shown once, and what was refused before anything was done.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::response::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::super::requests::{Known, Noted};
use super::answer::bad;
use super::{Api, BODY};
use crate::code::Code;
use crate::seal::SealingKeys;
use crate::secret::Secret;
use crate::security::SecurityContext;
use crate::tower::Problem;

const HEADER: &str = "idempotency-key";
/// The largest answer that is kept.
const LARGEST: usize = 16 * 1024;
/// What is answered again beside the body.
const HEADERS: [HeaderName; 4] = [header::CONTENT_TYPE, header::CACHE_CONTROL, header::ETAG, header::LOCATION];

/// Marks an answer with something that is shown once.
#[derive(Debug, Clone, Copy)]
pub(super) struct ShownOnce;

/// An answer as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

fn conflict(text: &str) -> Response {
    Problem::new(Code::Conflict).detail(text).into_response()
}

pub(super) async fn once(State(api): State<Api>, request: Request, next: Next) -> Response {
    let key = request.headers().get(HEADER).map(|key| key.to_str().map(str::to_owned));
    let caller = request.extensions().get::<SecurityContext>().map(|cx| cx.participant().uid_id().to_owned());
    let (key, caller) = match (key, caller) {
        (Some(Ok(key)), Some(caller)) if request.method() == Method::POST && !key.is_empty() && key.len() <= 128 => {
            (key, caller)
        }
        (Some(_), Some(_)) if request.method() == Method::POST => {
            return bad("`Idempotency-Key` is a text of at most 128 characters").into_response();
        }
        _ => return next.run(request).await,
    };
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY).await else {
        return bad("the body is too large").status_of(StatusCode::PAYLOAD_TOO_LARGE).into_response();
    };
    let seen = parts.headers.get(header::IF_MATCH).map(HeaderValue::as_bytes).unwrap_or_default();
    let noted = Noted {
        id: hex(&["request", &caller, &key].map(str::as_bytes)),
        caller: hex(&[caller.as_bytes()]),
        request: hex(&[parts.uri.to_string().as_bytes(), seen, &body]),
    };
    let sealing = SealingKeys::new(&Secret::new(hash(&["answer", &caller, &key].map(str::as_bytes))));
    match api.admin.begin_request(&noted).await {
        Ok(Known::New) => {}
        Ok(Known::Another) => return bad("this `Idempotency-Key` was used for another request").into_response(),
        Ok(Known::Begun) => return conflict("the request was begun already; see whether it was done"),
        Ok(Known::Done) => {
            return conflict("the request was done already, and what it showed once is not shown again");
        }
        Ok(Known::Answered(sealed)) => {
            let answer = sealing.open(&noted.id, &sealed).ok().and_then(|text| again(text.expose()));
            return answer.unwrap_or_else(|| Problem::new(Code::Internal).into_response());
        }
        Err(error) => return Problem::from(error).into_response(),
    }
    let (parts, body) = next.run(Request::from_parts(parts, Body::from(body))).await.into_parts();
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        return Problem::new(Code::Internal).into_response();
    };
    let ended = if was_not_done(parts.status) {
        api.admin.drop_request(&noted).await
    } else {
        let kept = kept(&parts, &body).and_then(|kept| sealing.seal(&noted.id, &kept).ok());
        api.admin.end_request(&noted, kept).await
    };
    if let Err(error) = ended {
        // Sent again, it is answered as one that was begun.
        tracing::warn!(target: "policy", %error, "the answer of a request is not kept");
    }
    Response::from_parts(parts, Body::from(body))
}

/// Whether a request may be sent again under its key: it failed for a reason of ours, or whoever asks may be let in the next time.
fn was_not_done(status: StatusCode) -> bool {
    let refused = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::TOO_MANY_REQUESTS];
    status.is_server_error() || refused.contains(&status)
}

/// The text that is kept of an answer, if it may be.
fn kept(parts: &Parts, body: &Bytes) -> Option<Vec<u8>> {
    if parts.extensions.get::<ShownOnce>().is_some() || body.len() > LARGEST {
        return None;
    }
    let header = |name: HeaderName| Some((name.to_string(), parts.headers.get(&name)?.to_str().ok()?.to_owned()));
    let headers = HEADERS.into_iter().filter_map(header).collect();
    let body = String::from_utf8(body.to_vec()).ok()?;
    serde_json::to_vec(&Kept { status: parts.status.as_u16(), headers, body }).ok()
}

fn again(text: &[u8]) -> Option<Response> {
    let kept: Kept = serde_json::from_slice(text).ok()?;
    let mut response = (StatusCode::from_u16(kept.status).ok()?, kept.body).into_response();
    response.headers_mut().clear();
    for (name, value) in kept.headers {
        response.headers_mut().insert(name.parse::<HeaderName>().ok()?, value.parse().ok()?);
    }
    Some(response)
}

/// A hash of several texts, which no others have.
fn hash(parts: &[&[u8]]) -> [u8; 32] {
    parts.iter().map(Sha256::digest).fold(Sha256::new(), Sha256::chain_update).finalize().into()
}

fn hex(parts: &[&[u8]]) -> String {
    HEXLOWER.encode(&hash(parts))
}
