//! The one place that asks other servers for documents.
//!
//! In: a URL. Out: at most so many bytes within so much time, or an error. No redirect is followed, no compressed answer
//! is read, https everywhere but on loopback, and no private address is spoken to unless the configuration says so: the
//! address that was checked is the address that is connected to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::secret::Secret;

/// Which addresses may be spoken to.
///
/// ```
/// use policy_runtime::authn::token::{Fetcher, Reach};
/// assert!(Fetcher::new(Reach::Public, 1024).is_ok());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reach {
    /// Public ones.
    Public,
    /// Public ones and this machine, the latter also by plain http.
    Loopback,
    /// All, private networks too; plain http on loopback alone.
    Private,
}

impl Reach {
    /// How far to reach for a URL that the configuration itself names: if it stands on this machine, so may what it leads to.
    pub(super) fn of(url: &str) -> Self {
        let is_here = Target::parse(url).is_ok_and(|target| is_loopback_name(&target.host));
        if is_here { Self::Loopback } else { Self::Public }
    }
}

/// Why a document was not had. The texts name hosts and never contents.
///
/// ```
/// use policy_runtime::authn::token::FetchError;
/// assert_eq!(FetchError::Status(503).to_string(), "the answer is 503");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The URL is none, or one that must not be asked.
    #[error("the URL may not be asked: {0}")]
    Url(&'static str),
    /// The host has no address that may be spoken to.
    #[error("`{0}` has no address that may be spoken to")]
    Address(String),
    /// The certificate authorities to trust are none, or not in PEM.
    #[error("there is no certificate authority to trust in the PEM text")]
    Roots,
    /// Nobody answers, or not in TLS with a name that fits.
    #[error("`{0}` cannot be reached")]
    Connect(String),
    /// The answer is not 200.
    #[error("the answer is {0}")]
    Status(u16),
    /// The answer is longer than allowed.
    #[error("the answer is longer than allowed")]
    TooLong,
    /// The answer is compressed or broken.
    #[error("the answer cannot be read")]
    Unreadable,
    /// It took too long.
    #[error("no answer in time")]
    TimedOut,
}

/// Asks other servers for documents.
///
/// ```
/// use policy_runtime::authn::token::{Fetcher, Reach};
/// use tokio_rustls::rustls::RootCertStore;
/// // Certificates of a company's own authority.
/// let roots = RootCertStore::empty();
/// assert!(Fetcher::with_roots(Reach::Private, 64 * 1024, roots).is_ok());
/// assert!(Fetcher::trusting(Reach::Private, 64 * 1024, "no PEM").is_err());
/// ```
#[derive(Clone)]
pub struct Fetcher {
    reach: Reach,
    max_bytes: usize,
    tls: Arc<ClientConfig>,
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher")
            .field("reach", &self.reach)
            .field("max_bytes", &self.max_bytes)
            .finish_non_exhaustive()
    }
}

impl Fetcher {
    /// Makes a fetcher that trusts Mozilla's list of certificate authorities.
    ///
    /// # Errors
    /// When the cryptography of TLS cannot be set up.
    pub fn new(reach: Reach, max_bytes: usize) -> Result<Self, FetchError> {
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        Self::with_roots(reach, max_bytes, roots)
    }

    /// Makes a fetcher that trusts these certificate authorities.
    ///
    /// # Errors
    /// As [`Fetcher::new`].
    pub fn with_roots(reach: Reach, max_bytes: usize, roots: RootCertStore) -> Result<Self, FetchError> {
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| FetchError::Url("TLS cannot be set up"))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { reach, max_bytes, tls: Arc::new(tls) })
    }

    /// Makes a fetcher that trusts the certificate authorities of a PEM text, such as a company's own, and no others.
    ///
    /// # Errors
    /// When there is none in the text; otherwise as [`Fetcher::new`].
    pub fn trusting(reach: Reach, max_bytes: usize, pem: &str) -> Result<Self, FetchError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|_| FetchError::Roots)?;
            roots.add(certificate).map_err(|_| FetchError::Roots)?;
        }
        if roots.is_empty() { Err(FetchError::Roots) } else { Self::with_roots(reach, max_bytes, roots) }
    }

    /// Asks for a document, until a deadline that covers everything: names, connection, TLS, headers and body.
    ///
    /// # Errors
    /// When the document cannot be had within the limits.
    pub async fn get(&self, url: &str, deadline: Instant) -> Result<Vec<u8>, FetchError> {
        self.run(&Errand { url, body: None, authorization: None }, deadline).await
    }

    /// Asks for a document by showing a credential, or by sending something; the bounds are those of [`Fetcher::get`].
    pub(crate) async fn run(&self, errand: &Errand<'_>, deadline: Instant) -> Result<Vec<u8>, FetchError> {
        match tokio::time::timeout_at(deadline, self.run_unbounded(errand)).await {
            Ok(answer) => answer,
            Err(_) => Err(FetchError::TimedOut),
        }
    }

    async fn run_unbounded(&self, errand: &Errand<'_>) -> Result<Vec<u8>, FetchError> {
        let target = Target::parse(errand.url)?;
        let stream = self.connect(&target).await?;
        if !target.tls {
            return self.exchange(stream, &target, errand).await;
        }
        let unreachable = || FetchError::Connect(target.host.clone());
        let name = ServerName::try_from(target.host.clone()).map_err(|_| unreachable())?;
        let stream = TlsConnector::from(self.tls.clone()).connect(name, stream).await.map_err(|_| unreachable())?;
        self.exchange(stream, &target, errand).await
    }

    async fn connect(&self, target: &Target) -> Result<TcpStream, FetchError> {
        let found = tokio::net::lookup_host((target.host.as_str(), target.port)).await;
        let found: Vec<SocketAddr> = found.map_err(|_| FetchError::Connect(target.host.clone()))?.collect();
        let allowed: Vec<SocketAddr> =
            found.into_iter().filter(|address| self.may_reach(address.ip(), target.tls)).take(4).collect();
        if allowed.is_empty() {
            return Err(FetchError::Address(target.host.clone()));
        }
        for address in allowed {
            if let Ok(stream) = TcpStream::connect(address).await {
                return Ok(stream);
            }
        }
        Err(FetchError::Connect(target.host.clone()))
    }

    fn may_reach(&self, address: IpAddr, tls: bool) -> bool {
        let address = address.to_canonical();
        if address.is_loopback() {
            return self.reach != Reach::Public;
        }
        tls && (self.reach == Reach::Private || is_public(address))
    }

    async fn exchange<S>(&self, stream: S, target: &Target, errand: &Errand<'_>) -> Result<Vec<u8>, FetchError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|_| FetchError::Unreadable)?;
        // The connection ends with this call, also when it is dropped at the deadline.
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            let _ = connection.await;
        });
        let method = if errand.body.is_some() { http::Method::POST } else { http::Method::GET };
        let mut request = http::Request::builder()
            .method(method)
            .uri(target.path.as_str())
            .header("host", target.authority.as_str())
            .header("accept", "application/json, application/jwk-set+json")
            .header("accept-encoding", "identity")
            // GitHub answers nobody without a name.
            .header("user-agent", "policy")
            .header("connection", "close");
        if let Some(authorization) = &errand.authorization {
            request = request.header("authorization", authorization.expose().as_str());
        }
        let mut body = Bytes::new();
        if let Some((kind, text)) = &errand.body {
            request = request.header("content-type", *kind);
            body = Bytes::from(text.expose().clone());
        }
        let request = request.body(Full::new(body)).map_err(|_| FetchError::Url("it cannot be put into a request"))?;
        let response = sender.send_request(request).await.map_err(|_| FetchError::Unreadable)?;
        if response.status() != http::StatusCode::OK {
            return Err(FetchError::Status(response.status().as_u16()));
        }
        if response.headers().get("content-encoding").is_some_and(|encoding| encoding != "identity") {
            return Err(FetchError::Unreadable);
        }
        let body = Limited::new(response.into_body(), self.max_bytes).collect().await.map_err(|error| {
            if error.is::<http_body_util::LengthLimitError>() { FetchError::TooLong } else { FetchError::Unreadable }
        })?;
        Ok(body.to_bytes().to_vec())
    }
}

/// The media type of forms.
#[cfg(feature = "signin")]
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// What is asked of another server.
#[derive(Debug)]
pub(crate) struct Errand<'a> {
    pub(crate) url: &'a str,
    /// What is sent, with its media type; with it, it is a POST.
    pub(crate) body: Option<(&'static str, Secret<String>)>,
    pub(crate) authorization: Option<Secret<String>>,
}

/// A URL taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    tls: bool,
    host: String,
    port: u16,
    authority: String,
    path: String,
}

impl Target {
    fn parse(url: &str) -> Result<Self, FetchError> {
        let uri: http::Uri = url.parse().map_err(|_| FetchError::Url("it is no URL"))?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(FetchError::Url("its scheme is neither https nor http")),
        };
        let authority = uri.authority().ok_or(FetchError::Url("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(FetchError::Url("it names a user"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        if host.is_empty() {
            return Err(FetchError::Url("it has no host"));
        }
        if !tls && !is_loopback_name(&host) {
            return Err(FetchError::Url("plain http is for loopback alone"));
        }
        let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Self { tls, host, port, authority: authority.as_str().to_owned(), path })
    }
}

fn is_loopback_name(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Whether a URL may be given to a browser: https, or http on this machine.
#[cfg(feature = "signin")]
pub(super) fn is_fit_for_browsers(url: &str) -> bool {
    url.bytes().all(|b| b.is_ascii_graphic()) && !url.contains('#') && Target::parse(url).is_ok()
}

/// Whether a URL can be asked at all: https, or http on this machine.
#[cfg(feature = "pull")]
pub(crate) fn may_be_asked(url: &str) -> bool {
    Target::parse(url).is_ok()
}

/// Whether an address is reached over the public internet (IANA's special-purpose registries).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || address.is_broadcast()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19));
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    // Global unicast alone (2000::/3), without what embeds or stands for something else: Teredo, benchmarking and
    // documentation (2001::/23, 2001:db8::/32, 3fff::/20) and 6to4 (2002::/16).
    (0x2000..0x4000).contains(&first)
        && !(first == 0x2001 && (second < 0x0200 || second == 0x0db8))
        && first != 0x2002
        && !(first == 0x3fff && second < 0x1000)
}

/// The deadline of one errand.
pub(super) fn deadline(within: Duration) -> Instant {
    Instant::now() + within
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let target = Target::parse("https://Issuer.example:8443/a/b?c=d").unwrap();
        assert_eq!((target.host.as_str(), target.port, target.path.as_str()), ("issuer.example", 8443, "/a/b?c=d"));
        assert_eq!(Target::parse("http://[::1]:80/").unwrap().host, "::1");
        for bad in [
            "",
            "issuer.example",
            "/path",
            "ftp://a.example/",
            "file:///etc/passwd",
            "http://issuer.example/",
            "https://user:pw@issuer.example/",
            "https://",
            "http://127.0.0.1.evil.example/",
            "http://10.0.0.1/",
            "http://localhost.evil.example/",
            "https://a.example\r\nX: y/",
        ] {
            assert!(matches!(Target::parse(bad), Err(FetchError::Url(_))), "{bad}");
        }
        assert_eq!(Reach::of("http://localhost:1/x"), Reach::Loopback);
        assert_eq!(Reach::of("https://issuer.example"), Reach::Public);
    }

    #[test]
    fn addresses() {
        let private = [
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "127.0.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "198.18.0.1",
            "::",
            "::1",
            "fc00::1",
            "fe80::1",
            "ff02::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "64:ff9b::7f00:1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
        ];
        let fetcher = |reach| Fetcher::new(reach, 1).unwrap();
        for text in private {
            let address: IpAddr = text.parse().unwrap();
            assert!(!fetcher(Reach::Public).may_reach(address, true), "{text}");
            let loopback = address.to_canonical().is_loopback();
            assert_eq!(fetcher(Reach::Loopback).may_reach(address, true), loopback, "{text}");
            assert!(fetcher(Reach::Private).may_reach(address, true), "{text}");
            assert_eq!(fetcher(Reach::Private).may_reach(address, false), loopback, "plain http to {text}");
        }
        for text in ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "2a00:1450::1"] {
            assert!(fetcher(Reach::Public).may_reach(text.parse().unwrap(), true), "{text}");
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_home_is_not_followed() {
        let fetcher = Fetcher::new(Reach::Public, 1_000).unwrap();
        let error = fetcher.get("https://localhost:1/", deadline(Duration::from_secs(2))).await.unwrap_err();
        assert_eq!(error, FetchError::Address("localhost".into()));
        let error = fetcher.get("http://127.0.0.1:1/", deadline(Duration::from_secs(2))).await.unwrap_err();
        assert_eq!(error, FetchError::Address("127.0.0.1".into()));
    }
}
