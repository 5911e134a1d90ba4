//! The second step of signing in on a page: a code, or the set-up of what makes codes.

use axum::response::Response;
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};

use super::{Asked, Instead, LATER, unavailable};
use crate::authn::{Authenticated, AuthnError, Pending};
use crate::edge::Arrival;
use crate::secret::Secret;
use crate::signin::flows::{No, Whence};
use crate::signin::form::Form;
use crate::signin::{Pages, SignIn, page};

const WRONG: &str = "The code is wrong, or was used before.";
const OVER: &str = "That took too long. Sign in again.";

impl SignIn {
    /// The page for whoever has proved the password alone.
    pub(super) async fn second_page(&self, asked: &Asked, pending: &Pending) -> Response {
        let at = page::At { query: &asked.query, back: Some(&asked.back.redirect_uri) };
        if !pending.sets_up() {
            return page::second_factor(StatusCode::OK, &asked.client, &at, &pending.token(), None);
        }
        match self.set_up(&pending.token()).await {
            Ok(seed) => page::set_up(StatusCode::OK, &at, &pending.token(), &seed, None),
            Err(refused) => self.once_more(asked, refused),
        }
    }

    /// Goes on with the answer to such a page.
    pub(super) async fn second_answer(
        &self,
        pages: &Pages,
        arrival: Arrival,
        headers: &HeaderMap,
        asked: &Asked,
        form: &Form,
    ) -> Result<Response, Instead> {
        let secret = |name: &str| Secret::new(form.get(name).unwrap_or_default().to_owned());
        let (pending, code) = (secret("pending"), secret("code"));
        let from = Whence { arrival, headers: headers.clone(), path: "/api/auth/oauth/authorize".to_owned() };
        let Some(factors) = &self.second_factors else { return Ok(page::refusal(StatusCode::BAD_REQUEST, OVER)) };
        // Whoever waited too long, or has changed meanwhile, begins anew.
        let Ok(user) = factors.waiting(&pending).await else {
            return Ok(self.login_page(pages, StatusCode::UNAUTHORIZED, asked, Some(OVER)));
        };
        let again = |refused: &No| matches!(refused, No::Told(StatusCode::UNAUTHORIZED, _));
        let Some(secret) = form.get("set_up") else {
            return match self.finish(&from, &pending, &code).await {
                Ok(found) => self.opened(pages, arrival, headers, &found, Some(asked)).await,
                Err(refused) if again(&refused) => {
                    let at = page::At { query: &asked.query, back: Some(&asked.back.redirect_uri) };
                    Ok(page::second_factor(StatusCode::UNAUTHORIZED, &asked.client, &at, &pending, Some(WRONG)))
                }
                Err(refused) => Ok(self.once_more(asked, refused)),
            };
        };
        match self.confirm(&from, &pending, &code).await {
            Ok((codes, found)) => {
                let onward = format!("/api/auth/oauth/authorize?{}", asked.query);
                let shown = page::recovery_codes(&codes, &onward);
                self.with_session(&found, &from, shown).await.map_err(|refused| self.once_more(asked, refused).into())
            }
            Err(refused) if again(&refused) => {
                // What is in the app stays: the page shows again what the browser was shown.
                let at = page::At { query: &asked.query, back: Some(&asked.back.redirect_uri) };
                let seed = factors.seed(&user, secret);
                Ok(page::set_up(StatusCode::UNAUTHORIZED, &at, &pending, &seed, Some(WRONG)))
            }
            Err(refused) => Ok(self.once_more(asked, refused)),
        }
    }

    fn once_more(&self, asked: &Asked, refused: No) -> Response {
        let (status, why, wait) = match refused {
            No::Wait(seconds) => (StatusCode::TOO_MANY_REQUESTS, LATER, Some(seconds)),
            No::Unavailable(error) => return unavailable(&error),
            No::Told(status, _) => (status, OVER, None),
            No::SecondFactor(_) => (StatusCode::UNAUTHORIZED, OVER, None),
        };
        let Some(pages) = &self.pages else { return page::refusal(status, why) };
        let mut response = self.login_page(pages, status, asked, Some(why));
        if let Some(seconds) = wait {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }

    /// What somebody is asked for who has signed in with less than the client (`mfa`) or their scope asks for.
    pub(in crate::signin) async fn lacks(
        &self,
        mfa: bool,
        found: &Authenticated,
    ) -> Result<Option<AuthnError>, AuthnError> {
        use crate::authn::second_factor::Need;
        if found.participant().mfa() {
            return Ok(None);
        }
        let unreachable = |error: crate::identity::StoreError| {
            AuthnError::new(crate::authn::AuthnCode::Unavailable, error.to_string())
        };
        let user = self.inner.users.user(found.participant().id()).await.map_err(unreachable)?;
        let (Some(user), Some(factors)) = (user, &self.second_factors) else { return Ok(None) };
        match factors.need(&user).await? {
            Need::None if !mfa => Ok(None),
            need @ (Need::None | Need::Code | Need::SetUp) => factors.refusal(&user, need != Need::Code).map(Some),
        }
    }
}
