//! Endpoints as a table, from which both the routes and the `OpenAPI` document are made, so that neither lacks one.
//!
//! In: rows. Out: a router and a document. Absent: what the endpoints do.

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodRouter, delete, get, patch, post, put};
use schemars::{JsonSchema, Schema, SchemaGenerator};

mod openapi;

pub(crate) use openapi::{About, document};

pub(crate) type Described = fn(&mut SchemaGenerator) -> Schema;

/// What an endpoint answers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reply {
    Nothing,
    Of(u16, Described),
    #[cfg(feature = "admin")]
    List(Described),
    #[cfg(feature = "admin")]
    Lines,
}

/// One endpoint.
#[derive(Debug)]
pub(crate) struct Endpoint<S> {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) id: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) query: Option<Described>,
    pub(crate) body: Option<Described>,
    pub(crate) reply: Reply,
    /// Whether it takes `If-Match`, and whether it must be there.
    pub(crate) seen: Option<bool>,
    pub(crate) handler: MethodRouter<S>,
}

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

pub(crate) fn at<H: Handler<T, S>, T: 'static, S: Clone + Send + Sync + 'static>(
    method: &'static str,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    handler: H,
) -> Endpoint<S> {
    let handler = match method {
        "get" => get(handler),
        "put" => put(handler),
        "patch" => patch(handler),
        "delete" => delete(handler),
        _ => post(handler),
    };
    Endpoint { method, path, id, summary, query: None, body: None, reply: Reply::Nothing, seen: None, handler }
}

impl<S> Endpoint<S> {
    pub(crate) fn takes<T: JsonSchema>(self) -> Self {
        Self { body: Some(schema::<T>), ..self }
    }

    pub(crate) fn asks<T: JsonSchema>(self) -> Self {
        Self { query: Some(schema::<T>), ..self }
    }

    pub(crate) fn gives<T: JsonSchema>(self, status: u16) -> Self {
        Self { reply: Reply::Of(status, schema::<T>), ..self }
    }

    #[cfg(feature = "admin")]
    pub(crate) fn lists<T: JsonSchema>(self) -> Self {
        Self { reply: Reply::List(schema::<T>), ..self }
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
