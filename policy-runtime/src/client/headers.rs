//! What a client presents: headers that are fixed, or made afresh by a closure for every connection.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::error::ConnectError;
use crate::secret::Secret;
use crate::wire::header;

/// An error of any kind, as a closure may give it.
///
/// ```
/// use policy_runtime::client::BoxError;
/// let error: BoxError = "the vault is locked".into();
/// ```
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

type Made = Pin<Box<dyn Future<Output = Result<Headers, BoxError>> + Send>>;

/// The headers that a connection is opened with. No value of them is ever printed.
///
/// ```
/// use policy_runtime::client::Headers;
/// let headers = Headers::bearer("abc.def.ghi").with("x-region", "eu");
/// assert!(!format!("{headers:?}").contains("abc"));
/// ```
#[derive(Clone, Default)]
pub struct Headers {
    credential: Credential,
    others: Vec<(String, Secret<String>)>,
}

#[derive(Clone, Default)]
enum Credential {
    #[default]
    None,
    Bearer(Secret<String>),
    Login(String, Secret<String>),
}

impl Headers {
    /// Starts without any.
    pub fn new() -> Self {
        Self::default()
    }

    /// Presents a token.
    pub fn bearer(token: impl Into<String>) -> Self {
        Self { credential: Credential::Bearer(Secret::new(token.into())), others: Vec::new() }
    }

    /// Presents a login and its passcode.
    pub fn basic(login: impl Into<String>, passcode: impl Into<String>) -> Self {
        Self { credential: Credential::Login(login.into(), Secret::new(passcode.into())), others: Vec::new() }
    }

    /// Presents an API key.
    pub fn api_key(key: impl Into<String>) -> Self {
        Self::new().with("x-api-key", key)
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.others.push((name.into(), Secret::new(value.into())));
        self
    }

    /// Asks for an organization's scope.
    #[must_use]
    pub fn for_organization(self, organization: &str) -> Self {
        self.with("organizationId", organization)
    }

    /// Asks for an application's scope.
    #[must_use]
    pub fn for_application(self, organization: &str, application: &str) -> Self {
        self.with("organizationId", organization).with("applicationId", application)
    }

    /// As the headers of an HTTP request.
    pub(super) fn write_http(&self, into: &mut http::HeaderMap) -> Result<(), ConnectError> {
        let mut add = |name: &str, value: &str| {
            let invalid = || ConnectError::InvalidHeader(name.chars().take(100).collect());
            let key = http::HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
            let mut value = http::HeaderValue::from_bytes(value.as_bytes()).map_err(|_| invalid())?;
            value.set_sensitive(true);
            into.append(key, value);
            Ok(())
        };
        match &self.credential {
            Credential::None => {}
            Credential::Bearer(token) => add(header::AUTHORIZATION, &format!("Bearer {}", token.expose()))?,
            // `Basic` splits at the first colon; such a login needs headers of its own.
            Credential::Login(login, passcode) if login.contains(':') => {
                add("clientId", login)?;
                add("clientSecret", passcode.expose())?;
            }
            Credential::Login(login, passcode) => {
                let pair = STANDARD.encode(format!("{login}:{}", passcode.expose()));
                add(header::AUTHORIZATION, &format!("Basic {pair}"))?;
            }
        }
        self.others.iter().try_for_each(|(name, value)| add(name, value.expose()))
    }

    /// As the headers of a renewal on a live connection.
    pub(super) fn write_renewal(&self) -> Vec<(String, String)> {
        let mut out = match &self.credential {
            Credential::None => Vec::new(),
            Credential::Bearer(token) => vec![(header::AUTHORIZATION.to_owned(), format!("Bearer {}", token.expose()))],
            Credential::Login(login, passcode) => vec![
                (header::LOGIN.to_owned(), login.clone()),
                (header::PASSCODE.to_owned(), passcode.expose().clone()),
            ],
        };
        out.extend(self.others.iter().map(|(name, value)| (name.clone(), value.expose().clone())));
        out
    }

    const fn can_be_repeated(&self) -> bool {
        matches!(self.credential, Credential::Login(..))
    }
}

/// Shows which kinds and names there are.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.credential {
            Credential::None => "none",
            Credential::Bearer(_) => "bearer",
            Credential::Login(..) => "basic",
        };
        let names: Vec<_> = self.others.iter().map(|(name, _)| name).collect();
        f.debug_struct("Headers").field("credential", &kind).field("others", &names).finish()
    }
}

/// Where the headers of a connection come from: [`Headers`], or a closure that is called for every connection.
///
/// ```
/// use policy_runtime::client::{BoxError, ConnectHeaders, Headers};
///
/// let fixed = Headers::bearer("token").for_organization("acme").into_source();
/// let fresh = (|| async { Ok::<_, BoxError>(Headers::bearer("a new token each time")) }).into_source();
/// ```
#[diagnostic::on_unimplemented(
    message = "`connect_headers` takes `Headers` or a closure that returns a future of `Result<Headers, BoxError>`",
    label = "neither headers nor such a closure",
    note = "a closure clones what it captures: `move || {{ let s = session.clone(); async move {{ Ok(Headers::bearer(s.token().await?)) }} }}`"
)]
pub trait ConnectHeaders {
    /// The source that is asked for every connection.
    fn into_source(self) -> HeaderSource;
}

impl ConnectHeaders for Headers {
    fn into_source(self) -> HeaderSource {
        HeaderSource(Source::Fixed(self))
    }
}

impl<F, Fut> ConnectHeaders for F
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Headers, BoxError>> + Send + 'static,
{
    fn into_source(self) -> HeaderSource {
        HeaderSource(Source::Made(Arc::new(move || Box::pin(self()))))
    }
}

/// A source of headers; made by [`ConnectHeaders`].
///
/// ```
/// use policy_runtime::client::{ConnectHeaders, HeaderSource, Headers};
/// let source: HeaderSource = Headers::api_key("pk_1").into_source();
/// assert!(!format!("{source:?}").contains("pk_1"));
/// ```
#[derive(Clone)]
pub struct HeaderSource(Source);

#[derive(Clone)]
enum Source {
    Fixed(Headers),
    Made(Arc<dyn Fn() -> Made + Send + Sync>),
}

impl Default for HeaderSource {
    fn default() -> Self {
        Self(Source::Fixed(Headers::new()))
    }
}

impl fmt::Debug for HeaderSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Fixed(headers) => headers.fmt(f),
            Source::Made(_) => f.write_str("HeaderSource(closure)"),
        }
    }
}

impl HeaderSource {
    /// Gives the headers of one connection. A closure runs in a task of its own, so that what it does costs only this one.
    pub(super) async fn headers(&self, timeout: Duration) -> Result<Headers, ConnectError> {
        let make = match &self.0 {
            Source::Fixed(headers) => return Ok(headers.clone()),
            Source::Made(make) => Arc::clone(make),
        };
        let mut task = Abort(tokio::spawn(async move { make().await }));
        match tokio::time::timeout(timeout, &mut task.0).await {
            Ok(Ok(Ok(headers))) => Ok(headers),
            Ok(Ok(Err(error))) => Err(ConnectError::Headers(error.into())),
            Ok(Err(_)) => Err(ConnectError::HeadersPanicked),
            Err(_) => Err(ConnectError::HeadersTimeout(timeout)),
        }
    }

    /// Whether another attempt can present something else than the last.
    pub(super) const fn can_change(&self) -> bool {
        matches!(self.0, Source::Made(_))
    }

    /// Whether a renewal on a live connection makes sense: a fixed token would only be the same again.
    pub(super) const fn can_renew(&self) -> bool {
        match &self.0 {
            Source::Fixed(headers) => headers.can_be_repeated(),
            Source::Made(_) => true,
        }
    }
}

/// Ends a task when nobody waits for it any more.
struct Abort<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for Abort<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_printed() {
        for headers in [
            Headers::bearer("s3cret"),
            Headers::basic("ada", "s3cret"),
            Headers::api_key("s3cret"),
            Headers::new().with("cookie", "s3cret"),
        ] {
            let options = super::super::ConnectOptions::new("localhost").connect_headers(headers.clone());
            for text in [format!("{headers:?}"), format!("{options:?}")] {
                assert!(!text.contains("s3cret"), "{text}");
            }
        }
    }

    #[test]
    fn a_login_with_a_colon_is_not_ambiguous() {
        let mut map = http::HeaderMap::new();
        Headers::basic("a:b", "c").write_http(&mut map).unwrap();
        assert_eq!((map["clientid"].as_bytes(), map["clientsecret"].as_bytes()), (&b"a:b"[..], &b"c"[..]));
        let mut map = http::HeaderMap::new();
        Headers::basic("alice@example.com", "alice:pw").write_http(&mut map).unwrap();
        assert_eq!(map["authorization"], "Basic YWxpY2VAZXhhbXBsZS5jb206YWxpY2U6cHc=");
    }

    #[test]
    fn a_header_cannot_smuggle_another() {
        let error = Headers::bearer("x\r\nevil: 1").write_http(&mut http::HeaderMap::new()).unwrap_err();
        assert!(matches!(&error, ConnectError::InvalidHeader(name) if name == "Authorization"), "{error}");
    }
}
