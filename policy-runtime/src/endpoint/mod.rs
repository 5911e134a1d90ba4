//! Endpoints as a table, from which both the routes and the `OpenAPI` document are made, so that neither lacks one.
//!
//! In: rows. Out: a router and a document. Absent: what the endpoints do.

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodRouter, delete, get, patch, post, put};
use utoipa::ToSchema;
use utoipa::openapi::path::{HttpMethod, Parameter};
#[cfg(feature = "admin")]
use utoipa::{IntoParams, openapi::path::ParameterIn};

mod openapi;

#[cfg(feature = "admin")]
use openapi::page;
pub(crate) use openapi::{About, bearer_or_session, document};
use openapi::{Described, array, named};

/// What an endpoint answers.
pub(crate) enum Reply {
    Nothing,
    Of(u16, Described),
    #[cfg(feature = "admin")]
    Lines,
}

/// One endpoint.
pub(crate) struct Endpoint<S> {
    pub(crate) method: HttpMethod,
    pub(crate) path: &'static str,
    pub(crate) id: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) query: Vec<Parameter>,
    pub(crate) body: Option<Described>,
    pub(crate) reply: Reply,
    /// Whether it takes `If-Match`, and whether it must be there.
    pub(crate) seen: Option<bool>,
    pub(crate) handler: MethodRouter<S>,
}

pub(crate) fn at<H: Handler<T, S>, T: 'static, S: Clone + Send + Sync + 'static>(
    method: &'static str,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    handler: H,
) -> Endpoint<S> {
    let (method, handler) = match method {
        "get" => (HttpMethod::Get, get(handler)),
        "put" => (HttpMethod::Put, put(handler)),
        "patch" => (HttpMethod::Patch, patch(handler)),
        "delete" => (HttpMethod::Delete, delete(handler)),
        _ => (HttpMethod::Post, post(handler)),
    };
    Endpoint { method, path, id, summary, query: Vec::new(), body: None, reply: Reply::Nothing, seen: None, handler }
}

impl<S> Endpoint<S> {
    pub(crate) fn takes<T: ToSchema>(self) -> Self {
        Self { body: Some(named::<T>), ..self }
    }

    #[cfg(feature = "admin")]
    pub(crate) fn asks<T: IntoParams>(self) -> Self {
        Self { query: T::into_params(|| Some(ParameterIn::Query)), ..self }
    }

    pub(crate) fn gives<T: ToSchema>(self, status: u16) -> Self {
        Self { reply: Reply::Of(status, named::<T>), ..self }
    }

    /// All of them at once.
    pub(crate) fn gives_all<T: ToSchema>(self) -> Self {
        Self { reply: Reply::Of(200, array::<T>), ..self }
    }

    /// A page of them.
    #[cfg(feature = "admin")]
    pub(crate) fn lists<T: ToSchema>(self) -> Self {
        Self { reply: Reply::Of(200, page::<T>), ..self }
    }

    #[cfg(feature = "admin")]
    pub(crate) fn lines(self) -> Self {
        Self { reply: Reply::Lines, ..self }
    }

    #[cfg(feature = "admin")]
    pub(crate) fn seen(self, must: bool) -> Self {
        Self { seen: Some(must), ..self }
    }
}

/// The routes of a table, below a path.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>(base: &str, endpoints: Vec<Endpoint<S>>) -> Router<S> {
    endpoints
        .into_iter()
        .fold(Router::new(), |router, endpoint| router.route(&format!("{base}{}", endpoint.path), endpoint.handler))
}
