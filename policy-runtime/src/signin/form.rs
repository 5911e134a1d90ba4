//! Forms and query strings, in which nothing is said twice; and answers that nobody keeps.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::Value;

use crate::secret::Secret;

/// The longest form.
const LONGEST: usize = 16 * 1024;
/// The most fields of a form.
const MOST: usize = 40;

/// The fields of a form or a query string; one that is empty is not there (RFC 6749, section 3.1).
#[derive(Default)]
pub(super) struct Form(BTreeMap<String, Secret<String>>);

impl Form {
    /// Reads a text; `None` when it is too long, says something twice, or holds what no database takes.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let mut fields = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            let is_spoilt = value.contains('\0') || fields.len() >= MOST;
            if is_spoilt || fields.insert(name.into_owned(), Secret::new(value.into_owned())).is_some() {
                return None;
            }
        }
        fields.retain(|_, value| !value.expose().is_empty());
        Some(Self(fields))
    }

    /// Reads the body of a request; `None` when it is no form.
    pub(super) async fn of_body(headers: &HeaderMap, body: Body) -> Option<Self> {
        let kind = headers.get(CONTENT_TYPE)?.to_str().ok()?.split(';').next()?.trim();
        if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return None;
        }
        let bytes = axum::body::to_bytes(body, LONGEST).await.ok()?;
        Self::parse(std::str::from_utf8(&bytes).ok()?)
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.expose().as_str())
    }
}

/// Sets a member of an object; of anything else there is none.
pub(super) fn set(object: &mut Value, name: &str, value: impl Into<Value>) {
    if let Value::Object(members) = object {
        members.insert(name.to_owned(), value.into());
    }
}

/// An answer in JSON that holds what nobody may keep (RFC 6749, section 5.1).
pub(super) fn json(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_said_twice() {
        let form = Form::parse("a=1+2&b=%C3%A4&c=").unwrap();
        assert_eq!((form.get("a"), form.get("b"), form.get("c")), (Some("1 2"), Some("ä"), None));
        for bad in ["a=1&a=1", "a=1&%61=2", "a=%00", &"x".repeat(LONGEST + 1)] {
            assert!(Form::parse(bad).is_none(), "{bad:.20}");
        }
        let many = (0..=MOST).fold(String::new(), |text, n| format!("{text}f{n}=1&"));
        assert!(Form::parse(&many).is_none());
    }
}
