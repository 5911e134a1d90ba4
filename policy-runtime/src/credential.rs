//! What a peer presents, not yet believed.
//!
//! In: the headers of an HTTP request or of a connection's first frame. Out: [`Credentials`], whose secrets nothing prints,
//! and [`Facts`] about the request, from which every credential was taken out. Bounded: what is repeated, oversized or not
//! UTF-8 is refused here. Absent: any check of a secret; `authn` does that.
//!
//! ```
//! use http::{HeaderMap, HeaderValue};
//! use policy_runtime::credential::{Credential, Credentials};
//! let mut headers = HeaderMap::new();
//! headers.insert("authorization", HeaderValue::from_static("Bearer abc.def.ghi"));
//! let credentials = Credentials::from_headers(&headers, None).unwrap();
//! assert!(matches!(credentials.presented(), [Credential::Bearer(_)]));
//! assert!(!format!("{credentials:?}").contains("abc"));
//! ```

use std::fmt;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use policy_core::{Scope, Slug};

use crate::secret::Secret;

/// The longest value of a credential header, in bytes; a bearer token has a smaller bound of its own.
pub const MAX_CREDENTIAL: usize = 20 * 1024;
/// The longest login name, in bytes (an e-mail address has 254 at most).
pub const MAX_LOGIN: usize = 320;
/// The longest passcode, in bytes.
pub const MAX_PASSCODE: usize = 1024;
/// The longest code of a second factor, in bytes.
const MAX_CODE: usize = 100;
/// How many headers a request may have.
pub const MAX_HEADERS: usize = 256;
/// How many bytes all headers of a request may have together.
pub const MAX_HEADER_BYTES: usize = 64 * 1024;

/// The cookie of a session. A browser takes a cookie of this prefix over TLS only, and sends it to this host alone.
pub const SESSION_COOKIE: &str = "__Host-policy-session";

/// Headers that carry a credential (or a session) and therefore never appear among the facts.
const SECRET_HEADERS: &[&str] = &[
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "clientid",
    "clientsecret",
    "login",
    "passcode",
    "second-factor",
    "x-api-key",
    "api-key",
    "session",
    "x-csrf-token",
];
const SCOPE_HEADERS: &[&str] = &["organizationid", "applicationid", "authscopetype", "authscopeid"];

/// Why what a peer presents cannot even be read. The texts never hold what was presented.
///
/// ```
/// use policy_runtime::credential::{CredentialError, Credentials};
/// let twice = [("authorization", &b"Bearer a"[..]), ("authorization", &b"Bearer b"[..])];
/// let error = Credentials::from_pairs(twice, None, &[]).unwrap_err();
/// assert_eq!(error, CredentialError::Repeated("authorization".into()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// A credential or scope header stands there more than once.
    #[error("header `{0}` is repeated")]
    Repeated(String),
    /// A value is longer than its bound, or there are too many.
    #[error("header `{0}` is too long")]
    TooLong(String),
    /// The headers are too many or too long together.
    #[error("the headers are too many or too long")]
    TooMany,
    /// A value is not visible UTF-8 text.
    #[error("header `{0}` is not text")]
    NotText(String),
    /// A value does not have the form that its header asks for.
    #[error("header `{header}` {problem}")]
    Malformed {
        /// The header.
        header: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// How a login name and its passcode were sent.
///
/// ```
/// use policy_runtime::credential::{Credential, LoginForm};
/// let login = Credential::Login { name: "a@b.example".into(), passcode: "x".to_owned().into(), form: LoginForm::Client };
/// assert_eq!(login.kind(), "client-secret");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoginForm {
    /// `Authorization: Basic`.
    Basic,
    /// `login` and `passcode`.
    Passcode,
    /// `clientId` and `clientSecret`.
    Client,
}

/// One credential, as presented.
///
/// ```
/// use policy_runtime::credential::Credential;
/// assert_eq!(format!("{:?}", Credential::Bearer("token".to_owned().into())), "Credential(bearer)");
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub enum Credential {
    /// A name and a passcode.
    Login {
        /// The name: an e-mail address, or the id of a client.
        name: String,
        /// The passcode.
        passcode: Secret<String>,
        /// How they were sent.
        form: LoginForm,
    },
    /// A bearer token of whatever form.
    Bearer(Secret<String>),
    /// An API key in a header of its own.
    ApiKey(Secret<String>),
    /// The value of the cookie [`SESSION_COOKIE`].
    Session(Secret<String>),
    /// The value of a header that the application declared to be a credential.
    Custom {
        /// The header, in lower case.
        header: String,
        /// Its value.
        value: Secret<String>,
    },
}

impl Credential {
    /// The kind of the credential, for logs.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Login { form: LoginForm::Basic, .. } => "basic",
            Self::Login { form: LoginForm::Passcode, .. } => "passcode",
            Self::Login { form: LoginForm::Client, .. } => "client-secret",
            Self::Bearer(_) => "bearer",
            Self::ApiKey(_) => "api-key",
            Self::Session(_) => "session",
            Self::Custom { .. } => "custom",
        }
    }
}

/// Shows the kind alone; even a login name may be a secret that was typed into the wrong field.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({})", self.kind())
    }
}

/// The scope that a request asks for by its headers.
///
/// ```
/// use policy_runtime::Scope;
/// use policy_runtime::credential::RequestedScope;
/// assert!(RequestedScope::Unnamed.admits(&Scope::System));
/// assert!(!RequestedScope::Exactly(Scope::System).admits(&Scope::organization("acme").unwrap()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_enums, reason = "there are three tiers and the absence of one")]
pub enum RequestedScope {
    /// No header names a scope.
    #[default]
    Unnamed,
    /// A whole scope.
    Exactly(Scope),
    /// An application by its id alone; ids are unique in the deployment.
    Application(Slug),
}

impl RequestedScope {
    /// Whether a credential of `scope` may be used where this was asked for.
    pub fn admits(&self, scope: &Scope) -> bool {
        match self {
            Self::Unnamed => true,
            Self::Exactly(asked) => asked == scope,
            Self::Application(id) => scope.application_id() == Some(id),
        }
    }
}

/// What the listener that took the request says about sign-in.
///
/// ```
/// use policy_runtime::Scope;
/// use policy_runtime::credential::Listener;
/// assert_eq!(Listener::serving(Scope::System).default_scope, None, "never by omission");
/// assert!(Listener::default().with_system().system);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Listener {
    /// The scope of a request that names none; never [`Scope::System`].
    pub default_scope: Option<Scope>,
    /// Whether participants of the System scope may sign in here.
    pub system: bool,
}

impl Listener {
    /// Makes a listener for one application (or organization); System sign-in stays off.
    pub fn serving(scope: Scope) -> Self {
        Self { default_scope: (scope != Scope::System).then_some(scope), system: false }
    }

    /// Lets participants of the System scope sign in.
    #[must_use]
    pub const fn with_system(mut self) -> Self {
        self.system = true;
        self
    }
}

/// What is known of a request beside its credentials.
///
/// ```
/// use policy_runtime::credential::Credentials;
/// use policy_runtime::credential::Listener;
/// let credentials = Credentials::default().at("GET", "/reports").from_peer([127, 0, 0, 1].into()).on(Listener::default());
/// let credentials = credentials.in_request("r-1");
/// assert_eq!((credentials.facts().path.as_str(), credentials.facts().header("x")), ("/reports", None));
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Facts {
    /// The address it comes from.
    pub peer: Option<IpAddr>,
    /// The HTTP method.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The headers without credentials, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The listener that took it.
    pub listener: Listener,
    /// The id that ties it to the logs.
    pub request_id: Option<String>,
}

impl Facts {
    /// What is known of a request that cannot be read.
    #[cfg(any(feature = "gateway", feature = "tower"))]
    pub(crate) fn of_unreadable(peer: Option<IpAddr>, request_id: &str) -> Self {
        Self { peer, request_id: Some(request_id.to_owned()), ..Self::default() }
    }

    /// The first value of a header; the name is compared without case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Everything that a peer presents with one request.
///
/// ```
/// use policy_runtime::credential::{Credential, Credentials};
/// let mut headers = http::HeaderMap::new();
/// headers.insert("x-badge", "4711".parse().unwrap());
/// let credentials = Credentials::from_headers_with(&headers, None, &["x-badge"]).unwrap();
/// assert!(matches!(credentials.presented(), [Credential::Custom { header, .. }] if header == "x-badge"));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    presented: Vec<Credential>,
    /// A code that goes with a password.
    second_factor: Option<Secret<String>>,
    scope: RequestedScope,
    facts: Facts,
}

impl Credentials {
    /// Reads the headers of an HTTP request.
    ///
    /// # Errors
    /// When a credential or scope header is repeated, oversized, not text or malformed.
    pub fn from_headers(headers: &http::HeaderMap, peer: Option<IpAddr>) -> Result<Self, CredentialError> {
        Self::from_headers_with(headers, peer, &[])
    }

    /// Reads the headers of an HTTP request, of which `custom` (in lower case) hold credentials of the application's own.
    ///
    /// # Errors
    /// As [`Credentials::from_headers`].
    pub fn from_headers_with(
        headers: &http::HeaderMap,
        peer: Option<IpAddr>,
        custom: &[&str],
    ) -> Result<Self, CredentialError> {
        let pairs = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        Self::from_pairs(pairs, peer, custom)
    }

    /// Reads named values, such as the headers of a connection's first frame; names are compared without case.
    ///
    /// # Errors
    /// As [`Credentials::from_headers`].
    pub fn from_pairs<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a [u8])>,
        peer: Option<IpAddr>,
        custom: &[&str],
    ) -> Result<Self, CredentialError> {
        let mut found = Self { facts: Facts { peer, ..Facts::default() }, ..Self::default() };
        let mut secret: Vec<(String, String)> = Vec::new();
        let (mut count, mut bytes) = (0_usize, 0_usize);
        for (name, value) in pairs {
            count += 1;
            bytes = bytes.saturating_add(name.len()).saturating_add(value.len());
            if count > MAX_HEADERS || bytes > MAX_HEADER_BYTES {
                return Err(CredentialError::TooMany);
            }
            let name = name.to_ascii_lowercase();
            let listed = |list: &[&str]| list.contains(&name.as_str());
            if listed(SECRET_HEADERS) || listed(SCOPE_HEADERS) || listed(custom) {
                if secret.iter().any(|(n, _)| *n == name) && name != "cookie" {
                    return Err(CredentialError::Repeated(name));
                }
                let value = text(&name, value)?;
                secret.push((name, value));
            } else if let Ok(value) = std::str::from_utf8(value) {
                // A header that nobody decides by is left out when it is not text.
                found.facts.headers.push((name, value.to_owned()));
            }
        }
        let mut take = |name: &str| {
            let at = secret.iter().position(|(n, _)| n == name)?;
            Some(secret.swap_remove(at).1)
        };
        if let Some(value) = take("authorization") {
            found.presented.push(authorization(&value)?);
        }
        for (name, passcode, form) in
            [("clientid", "clientsecret", LoginForm::Client), ("login", "passcode", LoginForm::Passcode)]
        {
            match (take(name), take(passcode)) {
                (Some(login), Some(code)) => found.presented.push(login_of(name, login, code, form)?),
                (None, None) => {}
                (Some(_), None) => return Err(malformed(name, "stands without its secret")),
                (None, Some(_)) => return Err(malformed(passcode, "stands without a name")),
            }
        }
        found.second_factor = take("second-factor").filter(|code| code.len() <= MAX_CODE).map(Secret::new);
        match (take("x-api-key"), take("api-key")) {
            (Some(_), Some(_)) => return Err(CredentialError::Repeated("x-api-key".into())),
            (Some(key), None) | (None, Some(key)) => {
                if key.len() > MAX_PASSCODE {
                    return Err(CredentialError::TooLong("x-api-key".into()));
                }
                found.presented.push(Credential::ApiKey(Secret::new(key)));
            }
            (None, None) => {}
        }
        if !custom.contains(&"cookie") {
            let cookies: Vec<String> = std::iter::from_fn(|| take("cookie")).collect();
            found.presented.extend(session(&cookies)?);
        }
        for header in custom {
            if let Some(value) = take(header) {
                found.presented.push(Credential::Custom { header: (*header).to_owned(), value: Secret::new(value) });
            }
        }
        found.scope = requested(&mut take)?;
        Ok(found)
    }

    /// Makes credentials of one that was not sent in a header, such as the fields of a login form.
    pub fn of(credential: Credential) -> Self {
        Self { presented: vec![credential], ..Self::default() }
    }

    /// Adds a credential.
    #[must_use]
    pub fn with(mut self, credential: Credential) -> Self {
        self.presented.push(credential);
        self
    }

    /// Adds the code of a second factor, as the header `second-factor` does.
    ///
    /// ```
    /// use policy_runtime::credential::Credentials;
    /// let credentials = Credentials::default().with_second_factor("123456".to_owned().into());
    /// assert!(credentials.second_factor().is_some() && !format!("{credentials:?}").contains("123456"));
    /// ```
    #[must_use]
    pub fn with_second_factor(mut self, code: Secret<String>) -> Self {
        self.second_factor = Some(code);
        self
    }

    /// The code of a second factor that goes with a password.
    pub const fn second_factor(&self) -> Option<&Secret<String>> {
        self.second_factor.as_ref()
    }

    /// Sets the scope that is asked for.
    #[must_use]
    pub fn in_scope(mut self, scope: Scope) -> Self {
        self.scope = RequestedScope::Exactly(scope);
        self
    }

    /// Sets what the headers of the request ask for.
    #[cfg(feature = "gateway")]
    pub(crate) fn asking_for(mut self, scope: RequestedScope) -> Self {
        self.scope = scope;
        self
    }

    /// Sets the address that the request comes from.
    #[must_use]
    pub const fn from_peer(mut self, peer: IpAddr) -> Self {
        self.facts.peer = Some(peer);
        self
    }

    /// Sets the method and the path of the request; a query is cut off, since tokens have been seen in it.
    #[must_use]
    pub fn at(mut self, method: &str, path: &str) -> Self {
        method.clone_into(&mut self.facts.method);
        path.split(['?', '#']).next().unwrap_or_default().clone_into(&mut self.facts.path);
        self
    }

    /// Sets the id of the request.
    #[must_use]
    pub fn in_request(mut self, id: &str) -> Self {
        self.facts.request_id = Some(id.to_owned());
        self
    }

    /// Sets all that is known of the request.
    pub(crate) fn knowing(mut self, facts: Facts) -> Self {
        self.facts = facts;
        self
    }

    /// Sets the listener that took the request.
    #[must_use]
    pub fn on(mut self, listener: Listener) -> Self {
        self.facts.listener = listener;
        self
    }

    /// What was presented.
    pub fn presented(&self) -> &[Credential] {
        &self.presented
    }

    /// The scope that the headers name.
    pub const fn requested_scope(&self) -> &RequestedScope {
        &self.scope
    }

    /// What the headers ask for, else the listener's default: the scope of a credential that names none itself.
    pub fn effective_scope(&self) -> RequestedScope {
        match (&self.scope, &self.facts.listener.default_scope) {
            (RequestedScope::Unnamed, Some(scope)) if *scope != Scope::System => RequestedScope::Exactly(scope.clone()),
            (asked, _) => asked.clone(),
        }
    }

    /// What is known beside the credentials.
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }
}

fn malformed(header: &str, problem: &'static str) -> CredentialError {
    CredentialError::Malformed { header: header.to_owned(), problem }
}

fn text(name: &str, value: &[u8]) -> Result<String, CredentialError> {
    if value.len() > MAX_CREDENTIAL {
        return Err(CredentialError::TooLong(name.to_owned()));
    }
    let text = std::str::from_utf8(value).map_err(|_| CredentialError::NotText(name.to_owned()))?;
    if text.chars().any(char::is_control) {
        return Err(CredentialError::NotText(name.to_owned()));
    }
    Ok(text.to_owned())
}

fn login_of(header: &str, name: String, passcode: String, form: LoginForm) -> Result<Credential, CredentialError> {
    if name.len() > MAX_LOGIN || passcode.len() > MAX_PASSCODE {
        return Err(CredentialError::TooLong(header.to_owned()));
    }
    if name.is_empty() {
        return Err(malformed(header, "has an empty name"));
    }
    Ok(Credential::Login { name, passcode: Secret::new(passcode), form })
}

/// Reads `Authorization`; the scheme is compared without case (RFC 9110, section 11.1).
fn authorization(value: &str) -> Result<Credential, CredentialError> {
    let name = "authorization";
    let (scheme, rest) = value.split_once(' ').ok_or_else(|| malformed(name, "has no scheme and value"))?;
    if scheme.eq_ignore_ascii_case("bearer") {
        // RFC 6750 has token68 here, but opaque tokens of other issuers contain more, such as `@`.
        if rest.is_empty() || !rest.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(malformed(name, "is not a bearer token"));
        }
        return Ok(Credential::Bearer(Secret::new(rest.to_owned())));
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let bytes = STANDARD.decode(rest).map_err(|_| malformed(name, "is not base64"))?;
        let pair = String::from_utf8(bytes).map_err(|_| CredentialError::NotText(name.to_owned()))?;
        let (login, passcode) = pair.split_once(':').ok_or_else(|| malformed(name, "has no `:`"))?;
        if pair.chars().any(char::is_control) {
            return Err(CredentialError::NotText(name.to_owned()));
        }
        return login_of(name, login.to_owned(), passcode.to_owned(), LoginForm::Basic);
    }
    Err(malformed(name, "has a scheme that nobody here knows"))
}

/// Finds the session among the cookies; what other cookies hold is nobody's business.
fn session(cookies: &[String]) -> Result<Option<Credential>, CredentialError> {
    let pairs = cookies.iter().flat_map(|header| header.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(name, _)| *name == SESSION_COOKIE).map(|(_, value)| value.to_owned());
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) if value.len() <= MAX_PASSCODE => Ok(Some(Credential::Session(Secret::new(value)))),
        (Some(_), None) => Err(CredentialError::TooLong("cookie".to_owned())),
        (Some(_), Some(_)) => Err(CredentialError::Repeated("cookie".to_owned())),
    }
}

fn requested(take: &mut impl FnMut(&str) -> Option<String>) -> Result<RequestedScope, CredentialError> {
    let slug = |header: &str, value: String| Slug::new(&value).map_err(|_| malformed(header, "is not an id"));
    let plain = match (take("organizationid"), take("applicationid")) {
        (None, None) => RequestedScope::Unnamed,
        (Some(org), None) => RequestedScope::Exactly(Scope::Organization(slug("organizationid", org)?)),
        (Some(org), Some(app)) => RequestedScope::Exactly(Scope::Application {
            organization: slug("organizationid", org)?,
            application: slug("applicationid", app)?,
        }),
        (None, Some(_)) => return Err(malformed("applicationid", "stands without `organizationid`")),
    };
    let legacy = match (take("authscopetype").as_deref(), take("authscopeid")) {
        (None, None) => return Ok(plain),
        (Some("SYSTEM"), _) => RequestedScope::Exactly(Scope::System),
        (Some("ORGANIZATION"), Some(id)) => RequestedScope::Exactly(Scope::Organization(slug("authscopeid", id)?)),
        (Some("APPLICATION"), Some(id)) => RequestedScope::Application(slug("authscopeid", id)?),
        (Some("ORGANIZATION" | "APPLICATION"), None) => return Err(malformed("authscopeid", "is missing")),
        (Some(_), _) => return Err(malformed("authscopetype", "is no kind of scope")),
        (None, Some(_)) => return Err(malformed("authscopetype", "is missing")),
    };
    match (plain, legacy) {
        (RequestedScope::Unnamed, legacy) => Ok(legacy),
        (plain, legacy) if plain == legacy => Ok(plain),
        (RequestedScope::Exactly(scope), RequestedScope::Application(id)) if scope.application_id() == Some(&id) => {
            Ok(RequestedScope::Exactly(scope))
        }
        _ => Err(malformed("authscopeid", "disagrees with the other scope headers")),
    }
}

#[cfg(test)]
mod tests;
