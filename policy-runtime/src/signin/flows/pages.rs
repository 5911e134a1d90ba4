//! The flows on pages: plain HTML, without a script.

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;
use http::header::RETRY_AFTER;

use super::join::Joined;
use super::{Flows, No, Whence, no};
use crate::identity::link::Purpose;
use crate::secret::Secret;
use crate::signin::SignIn;
use crate::signin::authorize::{LATER, see_other, with_cookie};
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
    CompleteSignUpWith,
    Reset,
    Invitation,
}

impl Page {
    const fn title(self) -> &'static str {
        match self {
            Self::Register | Self::CompleteRegistration => "Register",
            Self::Forgot => "Forgotten your password?",
            Self::SignUp | Self::CompleteSignUp | Self::CompleteSignUpWith => "Found an organization",
            Self::Reset => "Choose a new password",
            Self::Invitation => "You are invited",
        }
    }

    const fn fields(self) -> &'static [Field] {
        const NAME: Field = Field::new("organization", "Name of the organization", "text", "organization");
        match self {
            Self::Register | Self::SignUp => const { &[Field::EMAIL, Field::NAME] },
            Self::Forgot => const { &[Field::EMAIL] },
            Self::CompleteRegistration | Self::Reset => const { &[Field::NEW_PASSWORD] },
            Self::CompleteSignUp => const { &[NAME, Field::NEW_PASSWORD] },
            Self::CompleteSignUpWith => const { &[NAME] },
            Self::Invitation => const { &[Field::NEW_PASSWORD, Field::NAME] },
        }
    }

    /// `providers` go on with this page in place of its form.
    fn show(self, status: StatusCode, query: &str, problem: Option<&str>, providers: &[&str]) -> Response {
        let asking = Asking {
            title: self.title(),
            intro: String::new(),
            fields: self.fields(),
            hidden: &[],
            button: "Go on",
            after: page::by_providers(query, providers),
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
        ("/auth/signup/provider", Page::CompleteSignUpWith),
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
            page.show(status, query, Some(&sentence(&why)), &[])
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
            let (flows, _) = self.asked(&parts)?;
            let form = Form::parse(&query).unwrap_or_default();
            let token = form.get("token").unwrap_or_default();
            let mut providers = Vec::new();
            let is_good = match page {
                Page::Register => {
                    // Whoever's client is not known learns so when the form is sent.
                    if let Ok(of) = self.read(&query).await {
                        providers = self.providers_to_register_with(flows, &of.client.scope);
                    }
                    true
                }
                Page::Invitation => {
                    let user = self.invited(token).await.ok();
                    providers = user.iter().flat_map(|user| self.providers_of(&user.scope)).collect();
                    user.is_some()
                }
                Page::SignUp => {
                    providers = self.providers_to_found_with(flows);
                    true
                }
                Page::Forgot => true,
                Page::CompleteRegistration => self.link(Purpose::Register, token).await?.is_some(),
                Page::CompleteSignUp => self.link(Purpose::Found, token).await?.is_some(),
                Page::CompleteSignUpWith => self.link(Purpose::FoundWith, token).await?.is_some(),
                Page::Reset => self.link(Purpose::Reset, token).await?.is_some(),
            };
            if is_good {
                let names: Vec<&str> = providers.iter().map(String::as_str).collect();
                return Ok(page.show(StatusCode::OK, &query, None, &names));
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
        if let Some(provider) = form.get("provider") {
            return self.goes_with(page, flows, from, query, provider).await;
        }
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
            Page::CompleteSignUpWith => {
                let joined = self.found_with(flows, from, token, field("organization")).await?;
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

    /// Leads to a provider in place of the page's own form. By a link: a form's answer must not lead to others' pages.
    async fn goes_with(
        &self,
        page: Page,
        flows: &Flows,
        from: &Whence,
        query: &str,
        provider: &str,
    ) -> Result<Response, No> {
        let errand = match page {
            Page::Register => match self.read(query).await {
                Ok(of) => self.registering(flows, of.client.scope, provider, query)?,
                Err(instead) => return Ok(*instead),
            },
            Page::Invitation => {
                let asked = Form::parse(query).unwrap_or_default();
                self.accepting(asked.get("token").unwrap_or_default(), provider).await?
            }
            Page::SignUp => self.founding(flows, provider)?,
            Page::Forgot
            | Page::CompleteRegistration
            | Page::CompleteSignUp
            | Page::CompleteSignUpWith
            | Page::Reset => {
                return no(StatusCode::BAD_REQUEST, "no provider is asked here");
            }
        };
        let (address, cookie) = self.departs(from, &errand).await?;
        let what = format!("You go on with {provider}, and come back when you have signed in there.");
        let mut response = page::notice(page.title(), &what, Some(&address));
        with_cookie(&mut response, &cookie).map_or_else(|instead| Ok(*instead), |()| Ok(response))
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
