//! Connecting from where no cookie goes along: a page that is signed in gets a ticket, which opens one connection.

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::SignIn;
use super::flows::json::{gives, told};
use super::flows::{no, refused};
use crate::authn::token::TICKET_S;
use crate::endpoint::{Endpoint, at};

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Ticket {
    /// To be shown as `Authorization: Bearer`, once.
    ticket: String,
    /// In seconds.
    expires_in: u32,
}

async fn ticket(State(server): State<SignIn>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let done = async {
        let (_, from) = server.asked(&parts)?;
        let (_, found) = server.signed_in_user(&from).await?;
        if found.session().is_none() {
            return no(StatusCode::FORBIDDEN, "a ticket is for the session of a browser; a token connects by itself");
        }
        if let Some(refusal) = server.lacks(false, &found).await.map_err(refused)? {
            return Err(refused(refusal));
        }
        let ticket = server.inner.issuer.ticket(&found)?.expose().clone();
        gives(StatusCode::OK, &Ticket { ticket, expires_in: TICKET_S })
    };
    told(done.await)
}

pub(super) fn endpoints() -> Vec<Endpoint<SignIn>> {
    vec![
        at("post", "/ticket", "ticket", "What opens one connection for the session that asks, within a minute", ticket)
            .gives::<Ticket>(200),
    ]
}
