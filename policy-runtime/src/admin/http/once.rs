//! Requests with an `Idempotency-Key` are done once: by whichever server, and however often they are sent.
//!
//! That one was begun is noted in the store, which servers share; its answer is kept here for a day, but for secrets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use policy_core::value::Millis;
use sha2::{Digest as _, Sha256};

use super::answer::bad;
use super::{Api, BODY};
use crate::code::Code;
use crate::security::SecurityContext;
use crate::tower::Problem;

const HEADER: &str = "idempotency-key";
/// How long a key is known.
const LIFE_MS: i64 = 24 * 3_600_000;
/// How many answers are kept, and how large each may be.
const KEPT: usize = 10_000;
const LARGEST: usize = 64 * 1024;

/// Marks an answer with something that is shown once.
#[derive(Debug, Clone, Copy)]
pub(super) struct ShownOnce;

#[derive(Debug, Clone, Default)]
pub(super) struct Once(Arc<Mutex<HashMap<String, Kept>>>);

#[derive(Debug, Clone)]
struct Kept {
    request: [u8; 32],
    until: i64,
    /// How often it failed for a reason of ours, after which it may be tried again.
    failed: u32,
    answer: Option<(StatusCode, Bytes)>,
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
    let digest: [u8; 32] =
        Sha256::new().chain_update(parts.uri.to_string()).chain_update([0]).chain_update(&body).finalize().into();
    let id = format!("request {caller} {key}");
    let now = api.admin.now();
    let failed = match api.once.known(&id, &digest, now) {
        Ok(failed) => failed,
        Err(answer) => return *answer,
    };
    match api.admin.begin_once(&format!("{id} {failed}"), Millis(now.0.saturating_add(LIFE_MS))).await {
        Ok(true) => {}
        Ok(false) => return conflict("a request with this key was begun elsewhere; see whether it was done"),
        Err(error) => return Problem::from(error).into_response(),
    }
    api.once.keep(&id, Kept { request: digest, until: now.0.saturating_add(LIFE_MS), failed, answer: None });
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    api.once.finish(&id, response).await
}

impl Once {
    /// How often the request has failed, or what is answered instead of doing it.
    fn known(&self, id: &str, request: &[u8; 32], now: Millis) -> Result<u32, Box<Response>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(kept) = kept.get(id).filter(|kept| kept.until > now.0) else { return Ok(0) };
        if kept.request != *request {
            return Err(Box::new(bad("this `Idempotency-Key` was used for another request").into_response()));
        }
        match &kept.answer {
            Some((status, body)) => {
                let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
                Err(Box::new((*status, headers, body.clone()).into_response()))
            }
            None if kept.failed > 0 => Ok(kept.failed),
            None => {
                Err(Box::new(conflict("the request was begun already, and what it showed once is not shown again")))
            }
        }
    }

    fn keep(&self, id: &str, kept: Kept) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= KEPT
            && let Some(oldest) = all.iter().min_by_key(|(_, kept)| kept.until).map(|(id, _)| id.clone())
        {
            all.remove(&oldest);
        }
        all.insert(id.to_owned(), kept);
    }

    async fn finish(&self, id: &str, response: Response) -> Response {
        let (parts, body) = response.into_parts();
        let Ok(body) = to_bytes(body, usize::MAX).await else {
            return Problem::new(Code::Internal).into_response();
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = all.get_mut(id) {
            if parts.status.is_server_error() {
                kept.failed += 1;
            } else if parts.extensions.get::<ShownOnce>().is_none() && body.len() <= LARGEST {
                // What was done, or cannot be done, stays so.
                (kept.answer, kept.failed) = (Some((parts.status, body.clone())), 0);
            } else {
                kept.failed = 0;
            }
        }
        drop(all);
        Response::from_parts(parts, Body::from(body))
    }
}
