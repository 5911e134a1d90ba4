//! The flows on pages: plain HTML, without a script.

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;
use http::header::RETRY_AFTER;

use super::join::Joined;
use super::{Flows, No, Whence};
use crate::identity::link::Purpose;
use crate::secret::Secret;
use crate::signin::SignIn;
use crate::signin::authorize::{LATER, see_other};
use crate::signin::form::Form;
use crate::signin::page::{self, Asking, At, Field};

const SENT: &str = "If the address takes letters, one is on its way. Open the link in it to go on.";

/// One of the pages.
#[derive(Clone, Copy)]
enum Page {
    Register,
    Forgot,
    SignUp,
    CompleteRegistration,
    CompleteSignUp,
    Reset,
    Invitation,
}

impl Page {
    const fn title(self) -> &'static str {
        match self {
            Self::Register | Self::CompleteRegistration => "Register",
            Self::Forgot => "Forgotten your password?",
            Self::SignUp | Self::CompleteSignUp => "Found an organization",
            Self::Reset => "Choose a new password",
            Self::Invitation => "You are invited",
        }
    }

    const fn fields(self) -> &'static [Field] {
        const SIGN_UP: &[Field] =
            &[Field::new("organization", "Name of the organization", "text", "organization"), Field::NEW_PASSWORD];
        match self {
            Self::Register | Self::SignUp => const { &[Field::EMAIL, Field::NAME] },
            Self::Forgot => const { &[Field::EMAIL] },
            Self::CompleteRegistration | Self::Reset => const { &[Field::NEW_PASSWORD] },
            Self::CompleteSignUp => SIGN_UP,
            Self::Invitation => const { &[Field::NEW_PASSWORD, Field::NAME] },
        }
    }

    fn show(self, status: StatusCode, query: &str, problem: Option<&str>) -> Response {
        let asking = Asking {
            title: self.title(),
            intro: String::new(),
            fields: self.fields(),
            hidden: &[],
            button: "Go on",
            after: String::new(),
        };
        asking.page(status, &At { query, back: None }, problem)
    }
}

/// The routes of the pages, which letters and the page of signing in lead to.
pub(in crate::signin) fn router() -> Router<SignIn> {
    let pages = [
        ("/auth/register", Page::Register),
        ("/auth/forgot", Page::Forgot),
        ("/auth/signup", Page::SignUp),
        ("/auth/register/complete", Page::CompleteRegistration),
        ("/auth/signup/complete", Page::CompleteSignUp),
        ("/auth/reset", Page::Reset),
        ("/auth/invite", Page::Invitation),
    ];
    pages.into_iter().fold(Router::new(), |router, (path, page)| {
        let ask = async move |State(server): State<SignIn>, request: Request| server.ask(page, request).await;
        let answer = async move |State(server): State<SignIn>, request: Request| server.answer(page, request).await;
        router.route(path, get(ask).post(answer))
    })
}

/// As a sentence on a page.
fn sentence(why: &str) -> String {
    let mut chars = why.chars();
    let first = chars.next().map(|first| first.to_uppercase().collect::<String>()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

/// A page in place of what was asked for; `query` lets somebody try once more.
fn refused(page: Page, query: &str, no: No) -> Response {
    match no {
        No::Told(status @ (StatusCode::UNPROCESSABLE_ENTITY | StatusCode::CONFLICT | StatusCode::BAD_REQUEST), why) => {
            page.show(status, query, Some(&sentence(&why)))
        }
        No::Told(status, why) => page::refusal(status, &sentence(&why)),
        No::Wait(seconds) => {
            let mut response = page::refusal(StatusCode::TOO_MANY_REQUESTS, LATER);
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
            response
        }
        No::SecondFactor(_) => page::notice(page.title(), "You can sign in now.", None),
        No::Unavailable(error) => {
            tracing::warn!(target: "policy::signin", %error, "a flow cannot go on");
            page::refusal(StatusCode::SERVICE_UNAVAILABLE, LATER)
        }
    }
}

impl SignIn {
    /// Somebody opens a page; a link is only looked at, since whoever looks through letters opens links, too.
    async fn ask(&self, page: Page, request: Request) -> Response {
        let (parts, _) = request.into_parts();
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let shown = async {
            self.asked(&parts)?;
            let form = Form::parse(&query).unwrap_or_default();
            let token = form.get("token").unwrap_or_default();
            let is_good = match page {
                Page::Register | Page::Forgot | Page::SignUp => true,
                Page::CompleteRegistration => self.link(Purpose::Register, token).await?.is_some(),
                Page::CompleteSignUp => self.link(Purpose::Found, token).await?.is_some(),
                Page::Reset => self.link(Purpose::Reset, token).await?.is_some(),
                Page::Invitation => self.invited(token).await.is_ok(),
            };
            if is_good {
                return Ok(page.show(StatusCode::OK, &query, None));
            }
            Ok(page::refusal(StatusCode::BAD_REQUEST, &sentence(super::BAD_LINK)))
        };
        shown.await.unwrap_or_else(|no| refused(page, &query, no))
    }

    /// Somebody sends the form of a page.
    async fn answer(&self, page: Page, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let (flows, from) = match self.asked(&parts) {
            Ok(asked) => asked,
            Err(no) => return refused(page, &query, no),
        };
        let Some(form) = Form::of_body(&from.headers, body).await else {
            return page::refusal(StatusCode::BAD_REQUEST, "The form cannot be read.");
        };
        match self.answered(page, flows, &from, &query, &form).await {
            Ok(response) => response,
            Err(no) => refused(page, &query, no),
        }
    }

    async fn answered(
        &self,
        page: Page,
        flows: &Flows,
        from: &Whence,
        query: &str,
        form: &Form,
    ) -> Result<Response, No> {
        let asked = Form::parse(query).unwrap_or_default();
        let field = |name: &str| form.get(name).unwrap_or_default();
        let (email, name) = (field("email"), form.get("name"));
        let (token, password) = (asked.get("token").unwrap_or_default(), Secret::new(field("password").to_owned()));
        let sent = Ok(page::notice(page.title(), SENT, None));
        match page {
            // The client says where; its address to come back to is one of its list, or nothing goes on.
            Page::Register => match self.read(query).await {
                Ok(of) => self.register(flows, of.client.scope, email, name, Some(query.to_owned())).await.and(sent),
                Err(instead) => Ok(*instead),
            },
            Page::Forgot => match self.read(query).await {
                Ok(of) => self.forgot(flows, of.client.scope, email).await.and(sent),
                Err(instead) => Ok(*instead),
            },
            Page::SignUp => self.sign_up(flows, email, name).await.and(sent),
            Page::CompleteRegistration => {
                let joined = self.complete_registration(flows, from, token, password, name).await?;
                self.welcome(page, joined, from).await
            }
            Page::CompleteSignUp => {
                let joined = self.found(flows, from, token, field("organization"), password).await?;
                self.welcome(page, joined, from).await
            }
            Page::Invitation => {
                let joined = self.accept(flows, from, token, password, name).await?;
                self.welcome(page, joined, from).await
            }
            Page::Reset => {
                self.reset(flows, from, token, password).await?;
                Ok(page::notice(page.title(), "Your password is changed. You can sign in with it now.", None))
            }
        }
    }

    /// Goes on with the client that somebody came from, or says that they can sign in now.
    async fn welcome(&self, page: Page, joined: Joined, from: &Whence) -> Result<Response, No> {
        let onward = joined.back.map(|back| format!("/api/auth/oauth/authorize?{back}"));
        let response = match &onward {
            Some(onward) => see_other(onward).unwrap_or_else(|instead| *instead),
            None => page::notice(page.title(), "You are known here now.", None),
        };
        match joined.signed_in {
            Ok(found) => self.with_session(&found, from, response).await,
            Err(_) => Ok(response),
        }
    }
}
