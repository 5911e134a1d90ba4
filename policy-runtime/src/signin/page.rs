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

/// A page that says why nothing goes on.
pub(super) fn refusal(status: StatusCode, why: &str) -> Response {
    page(status, "This cannot go on", &format!("<p role=\"alert\">{}</p>", text(why)), None)
}

/// The page on which somebody signs in.
pub(super) fn login(
    status: StatusCode,
    client: &Client,
    query: &str,
    back: &str,
    problem: Option<&str>,
    providers: &[&str],
) -> Response {
    let others: String = providers
        .iter()
        .map(|name| {
            // A link, not a form: where it leads need not be told to the browser beforehand.
            let at = format!("{START}?provider={}&question={}", encoded(name), encoded(query));
            format!("\n<p><a href=\"{}\">Sign in with {}</a></p>", text(&at), text(name))
        })
        .collect();
    let problem = problem.map(|why| format!("<p role=\"alert\">{}</p>\n", text(why))).unwrap_or_default();
    let body = format!(
        "{problem}<form method=\"post\" action=\"?{}\">\n\
         <label for=\"email\">E-mail address</label>\
         <input id=\"email\" name=\"email\" type=\"email\" autocomplete=\"username\" required autofocus>\n\
         <label for=\"password\">Password</label>\
         <input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"current-password\" required>\n\
         <button type=\"submit\">Sign in</button>\n</form>{others}",
        text(query)
    );
    page(status, &format!("Sign in to {}", client.settings.name), &body, Some(back))
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
