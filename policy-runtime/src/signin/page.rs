//! The pages on which people sign in and give leave: plain HTML, without a script, that reads well aloud.

use axum::body::Body;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderValue, StatusCode};
use sha2::{Digest as _, Sha256};

use super::clients::{Client, origin_of};
use crate::authn::second_factor::Seed;
use crate::secret::Secret;

const STYLE: &str = "body{font:1rem/1.5 sans-serif;margin:2rem auto;max-width:24rem;padding:0 1rem}\
label,input,button{display:block;font:inherit;width:100%;box-sizing:border-box}\
input,button{margin:.25rem 0 1rem;padding:.5rem}[role=alert]{border-left:.25rem solid #b00020;padding-left:.75rem}";

/// Where a browser begins to sign in with a provider.
pub(super) const START: &str = "/api/auth/provider";

fn encoded(raw: &str) -> String {
    form_urlencoded::byte_serialize(raw.as_bytes()).collect()
}

/// What a hidden part of a consent page holds, so that only this page of this browser is answered.
pub(super) struct Proof<'a> {
    pub(super) auth_time: &'a str,
    pub(super) until: &'a str,
    pub(super) code: &'a str,
}

/// Makes text harmless in HTML, in attributes too.
fn text(raw: &str) -> String {
    let mut safe = String::with_capacity(raw.len());
    for c in raw.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

/// A page; a form on it may lead to `back`, and nowhere else but here.
fn page(status: StatusCode, title: &str, body: &str, back: Option<&str>) -> Response {
    let title = text(title);
    let html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head>\
         <body><main><h1>{title}</h1>\n{body}\n</main></body></html>\n"
    );
    let style = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    let back = back.and_then(origin_of).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; form-action 'self' {back}; frame-ancestors 'none'; base-uri 'none'"
    );
    let mut response = Response::new(Body::from(html));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    // Not `no-referrer`, which would make a browser hide the page's origin from its own form's target.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    match HeaderValue::from_str(&policy) {
        Ok(policy) => {
            headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
        // The origin is plain, so this does not come about; without a policy there is no page.
        Err(_) => *response.body_mut() = Body::empty(),
    }
    response
}

/// Where a form of a page leads: to the same address, with this query.
pub(super) struct At<'a> {
    pub(super) query: &'a str,
    /// The address of a client that the answer may send the browser to.
    pub(super) back: Option<&'a str>,
}

/// A field of a form.
#[derive(Clone, Copy)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) kind: &'static str,
    /// What the browser may fill in.
    pub(super) fill: &'static str,
    pub(super) required: bool,
}

impl Field {
    pub(super) const EMAIL: Self = Self::new("email", "E-mail address", "email", "username");
    pub(super) const NAME: Self = Self { required: false, ..Self::new("name", "Name (if you like)", "text", "name") };
    pub(super) const NEW_PASSWORD: Self = Self::new("password", "New password", "password", "new-password");
    const CODE: Self = Self::new("code", "Code", "text", "one-time-code");

    pub(super) const fn new(name: &'static str, label: &'static str, kind: &'static str, fill: &'static str) -> Self {
        Self { name, label, kind, fill, required: true }
    }

    fn html(&self, focus: bool) -> String {
        let Self { name, label, kind, fill, .. } = self;
        let required = if self.required { " required" } else { "" };
        let focus = if focus { " autofocus" } else { "" };
        format!(
            "<label for=\"{name}\">{label}</label>\
             <input id=\"{name}\" name=\"{name}\" type=\"{kind}\" autocomplete=\"{fill}\"{required}{focus}>\n"
        )
    }
}

/// A page with one form; `intro` and `after` are HTML, `hidden` are names and values.
pub(super) struct Asking<'a> {
    pub(super) title: &'a str,
    pub(super) intro: String,
    pub(super) fields: &'a [Field],
    pub(super) hidden: &'a [(&'static str, &'a str)],
    pub(super) button: &'static str,
    pub(super) after: String,
}

impl Asking<'_> {
    pub(super) fn page(&self, status: StatusCode, at: &At<'_>, problem: Option<&str>) -> Response {
        let problem = problem.map(|why| format!("<p role=\"alert\">{}</p>\n", text(why))).unwrap_or_default();
        let fields: String = self.fields.iter().enumerate().map(|(n, field)| field.html(n == 0)).collect();
        let hidden = self.hidden.iter().fold(String::new(), |html, (name, value)| {
            html + &format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">\n", text(value))
        });
        let body = format!(
            "{problem}{}<form method=\"post\" action=\"?{}\">\n{fields}{hidden}<button type=\"submit\">{}</button>\n\
             </form>{}",
            self.intro,
            text(at.query),
            self.button,
            self.after,
        );
        page(status, self.title, &body, at.back)
    }
}

/// Forms that go on with a provider, in place of a page's own.
pub(super) fn by_providers(query: &str, names: &[&str]) -> String {
    names.iter().fold(String::new(), |html, name| {
        let name = text(name);
        html + &format!(
            "\n<form method=\"post\" action=\"?{}\"><button name=\"provider\" value=\"{name}\">Go on with {name}</button></form>",
            text(query)
        )
    })
}

/// A page that says something, and perhaps where to go on.
pub(super) fn notice(title: &str, what: &str, onward: Option<&str>) -> Response {
    let onward = onward.map(|to| format!("\n<p><a href=\"{}\">Go on</a></p>", text(to))).unwrap_or_default();
    page(StatusCode::OK, title, &format!("<p role=\"status\">{}</p>{onward}", text(what)), None)
}

/// The page on which somebody shows a code of the second factor.
pub(super) fn second_factor(
    status: StatusCode,
    client: &Client,
    at: &At<'_>,
    pending: &Secret<String>,
    problem: Option<&str>,
) -> Response {
    let asking = Asking {
        title: &format!("Sign in to {}", client.settings.name),
        intro: "<p>Type the six digits that your app shows now, or one of your recovery codes.</p>\n".to_owned(),
        fields: &[Field::CODE],
        hidden: &[("pending", pending.expose())],
        button: "Go on",
        after: String::new(),
    };
    asking.page(status, at, problem)
}

/// The page on which somebody puts a seed into an app.
pub(super) fn set_up(
    status: StatusCode,
    at: &At<'_>,
    pending: &Secret<String>,
    seed: &Seed,
    problem: Option<&str>,
) -> Response {
    let asking = Asking {
        title: "Set up a second factor",
        intro: format!(
            "<p>Signing in here takes a code from an app on your telephone, too. \
             <a href=\"{}\">Add this account to your app</a>, or type this key into it:</p>\n<p><code>{}</code></p>\n\
             <p>Then type the six digits that it shows.</p>\n",
            text(seed.uri.expose()),
            text(seed.secret.expose()),
        ),
        fields: &[Field::CODE],
        hidden: &[("pending", pending.expose()), ("set_up", seed.secret.expose())],
        button: "Go on",
        after: String::new(),
    };
    asking.page(status, at, problem)
}

/// The page that shows recovery codes, once.
pub(super) fn recovery_codes(codes: &[Secret<String>], onward: &str) -> Response {
    let listed =
        codes.iter().fold(String::new(), |html, code| html + &format!("<li><code>{}</code></li>", text(code.expose())));
    let body = format!(
        "<p>Keep these codes where nobody else finds them. Each signs you in once without your app; they are not shown again.</p>\n\
         <ul>{listed}</ul>\n<p><a href=\"{}\">Go on</a></p>",
        text(onward)
    );
    page(StatusCode::OK, "Your recovery codes", &body, None)
}

/// A page that says why nothing goes on.
pub(super) fn refusal(status: StatusCode, why: &str) -> Response {
    page(status, "This cannot go on", &format!("<p role=\"alert\">{}</p>", text(why)), None)
}

/// What the page of signing in leads to beside that.
pub(super) struct Links<'a> {
    /// Providers to sign in with, by name.
    pub(super) providers: &'a [&'a str],
    pub(super) registers: bool,
    /// Whether letters are sent, so that a forgotten password can be replaced.
    pub(super) mails: bool,
}

/// The page on which somebody signs in.
pub(super) fn login(
    status: StatusCode,
    client: &Client,
    query: &str,
    back: &str,
    problem: Option<&str>,
    links: &Links<'_>,
) -> Response {
    let others = links.providers.iter().fold(String::new(), |others, name| {
        // A link, not a form: where it leads need not be told to the browser beforehand.
        let at = format!("{START}?provider={}&question={}", encoded(name), encoded(query));
        format!("{others}\n<p><a href=\"{}\">Sign in with {}</a></p>", text(&at), text(name))
    });
    let link = |page: &str, what: &str| format!("\n<p><a href=\"/auth/{page}?{}\">{what}</a></p>", text(query));
    let forgot = if links.mails { link("forgot", "Forgotten your password?") } else { String::new() };
    let register = if links.registers { link("register", "Register") } else { String::new() };
    let problem = problem.map(|why| format!("<p role=\"alert\">{}</p>\n", text(why))).unwrap_or_default();
    let body = format!(
        "{problem}<form method=\"post\" action=\"?{}\">\n\
         <label for=\"email\">E-mail address</label>\
         <input id=\"email\" name=\"email\" type=\"email\" autocomplete=\"username\" required autofocus>\n\
         <label for=\"password\">Password</label>\
         <input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"current-password\" required>\n\
         <button type=\"submit\">Sign in</button>\n</form>{others}{forgot}{register}",
        text(query)
    );
    page(status, &format!("Sign in to {}", client.settings.name), &body, Some(back))
}

/// The page on which somebody confirms that they sign out.
pub(super) fn leave(query: &str, who: &str) -> Response {
    let body = format!(
        "<p>You are signed in as {}.</p>\n<form method=\"post\" action=\"?{}\">\n\
         <button type=\"submit\">Sign out</button>\n</form>",
        text(who),
        text(query),
    );
    page(StatusCode::OK, "Sign out?", &body, None)
}

/// The page after that.
pub(super) fn left() -> Response {
    page(StatusCode::OK, "Signed out", "<p>You are signed out.</p>", None)
}

/// The page on which somebody gives a client of somebody else leave.
pub(super) fn consent(client: &Client, query: &str, back: &str, who: &str, words: &str, proof: &Proof<'_>) -> Response {
    let listed: String = words
        .split(' ')
        .filter(|word| !word.is_empty())
        .map(|word| match word {
            "openid" => "<li>know who you are</li>".to_owned(),
            "email" => "<li>read your e-mail address</li>".to_owned(),
            "profile" => "<li>read your name</li>".to_owned(),
            "offline_access" => "<li>go on while you are away</li>".to_owned(),
            other => format!("<li>{}</li>", text(other)),
        })
        .collect();
    let body = format!(
        "<p>You are signed in as {}. {} wants to:</p>\n<ul>{listed}</ul>\n\
         <form method=\"post\" action=\"?{}\">\n\
         <input type=\"hidden\" name=\"auth_time\" value=\"{}\"><input type=\"hidden\" name=\"until\" value=\"{}\">\
         <input type=\"hidden\" name=\"proof\" value=\"{}\">\n\
         <button type=\"submit\" name=\"decision\" value=\"allow\">Allow</button>\n\
         <button type=\"submit\" name=\"decision\" value=\"deny\">Do not allow</button>\n</form>",
        text(who),
        text(&client.settings.name),
        text(query),
        text(proof.auth_time),
        text(proof.until),
        text(proof.code),
    );
    page(StatusCode::OK, &format!("Let {} in?", client.settings.name), &body, Some(back))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_stays_text() {
        assert_eq!(text(r#"<b a='1' c="2">&"#), "&lt;b a=&#39;1&#39; c=&quot;2&quot;&gt;&amp;");
        let response = refusal(StatusCode::BAD_REQUEST, "<script>");
        let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    }
}
