//! Where to connect, with what, and how patiently.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::error::ConnectError;
use super::headers::{ConnectHeaders, HeaderSource};
use crate::wire::{DEFAULT_PORT, HeartBeat, Limits};

/// How a connection is opened and kept.
///
/// ```
/// use policy_runtime::client::{ConnectOptions, Headers};
/// let fixed = ConnectOptions::new("localhost").connect_headers(Headers::basic("ada", "correct horse"));
/// # #[derive(Clone)] struct Session;
/// # impl Session { async fn token(&self) -> Result<String, std::io::Error> { Ok(String::new()) } }
/// # let session = Session;
/// let fresh = ConnectOptions::new("api.example.com").port(443).tls().connect_headers(move || {
///     let s = session.clone();
///     async move { Ok(Headers::bearer(s.token().await?)) }
/// });
/// ```
///
/// The future of a closure owns what it needs, as it outlives the call; a closure that lends is told so by the compiler:
///
/// ```compile_fail
/// use policy_runtime::client::{ConnectOptions, Headers};
/// # struct Session;
/// # impl Session { async fn token(&self) -> Result<String, std::io::Error> { Ok(String::new()) } }
/// # let session = Session;
/// ConnectOptions::new("localhost").connect_headers(move || async { Ok(Headers::bearer(session.token().await?)) });
/// ```
#[derive(Clone)]
pub struct ConnectOptions {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: Tls,
    pub(super) source: HeaderSource,
    pub(super) headers_timeout: Duration,
    pub(super) connect_timeout: Duration,
    pub(super) call_timeout: Duration,
    pub(super) close_timeout: Duration,
    pub(super) retry: Retry,
    pub(super) heart_beat: HeartBeat,
    pub(super) limits: Limits,
    pub(super) calls_in_flight: usize,
    pub(super) stream_buffer: usize,
}

#[derive(Clone)]
pub(super) enum Tls {
    Off,
    /// The usual roots, and these in PEM.
    On(Vec<Vec<u8>>),
    Custom(Arc<ClientConfig>),
}

/// When a lost connection is tried again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retry {
    pub(super) first: Duration,
    pub(super) max: Duration,
    pub(super) attempts: Option<u32>,
}

impl ConnectOptions {
    /// Connects to a host on the usual port, without TLS and without credentials.
    pub fn new(host: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            port: DEFAULT_PORT,
            tls: Tls::Off,
            source: HeaderSource::default(),
            headers_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            call_timeout: Duration::from_secs(30),
            close_timeout: Duration::from_secs(5),
            retry: Retry { first: Duration::from_millis(500), max: Duration::from_mins(2), attempts: None },
            heart_beat: HeartBeat { sends: Duration::from_secs(30), wants: Duration::from_secs(30) },
            limits: Limits::default(),
            calls_in_flight: 1024,
            stream_buffer: 16 * 1024 * 1024,
        }
    }

    /// Sets the port.
    #[must_use]
    pub const fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Encrypts, and believes servers that the usual authorities vouch for.
    #[must_use]
    pub fn tls(mut self) -> Self {
        if matches!(self.tls, Tls::Off) {
            self.tls = Tls::On(Vec::new());
        }
        self
    }

    /// Encrypts, and also believes servers that these authorities vouch for (certificates in PEM).
    ///
    /// ```no_run
    /// use policy_runtime::client::ConnectOptions;
    /// # fn example() -> std::io::Result<()> {
    /// let options = ConnectOptions::new("orders.internal").tls_root(std::fs::read("company-ca.pem")?);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn tls_root(mut self, pem: impl Into<Vec<u8>>) -> Self {
        match &mut self.tls {
            Tls::On(roots) => roots.push(pem.into()),
            Tls::Off | Tls::Custom(_) => self.tls = Tls::On(vec![pem.into()]),
        }
        self
    }

    /// Encrypts as this configuration says.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use policy_runtime::client::ConnectOptions;
    /// use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};
    ///
    /// let provider = Arc::new(ring::default_provider());
    /// let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    /// let config = config.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    /// let options = ConnectOptions::new("orders.example").tls_config(Arc::new(config));
    /// ```
    #[must_use]
    pub fn tls_config(mut self, config: Arc<ClientConfig>) -> Self {
        self.tls = Tls::Custom(config);
        self
    }

    /// Sets what is presented: fixed [`Headers`](super::Headers), or a closure that is called at every connect and reconnect and ahead of
    /// the credential's end.
    #[must_use]
    pub fn connect_headers(mut self, headers: impl ConnectHeaders) -> Self {
        self.source = headers.into_source();
        self
    }

    /// Sets how long the closure may take (10 s).
    ///
    /// ```
    /// use std::time::Duration;
    /// use policy_runtime::client::ConnectOptions;
    ///
    /// let seconds = Duration::from_secs;
    /// let options = ConnectOptions::new("orders.example")
    ///     .headers_timeout(seconds(5))
    ///     .connect_timeout(seconds(5))
    ///     .call_timeout(seconds(30))
    ///     .retry(seconds(1), seconds(60))
    ///     .retry_attempts(10)
    ///     .heart_beat(seconds(10), seconds(10))
    ///     .max_reply(1024 * 1024)
    ///     .calls_in_flight(64)
    ///     .stream_buffer(64 * 1024);
    /// ```
    #[must_use]
    pub const fn headers_timeout(mut self, timeout: Duration) -> Self {
        self.headers_timeout = timeout;
        self
    }

    /// Sets how long the server may take to open a connection (10 s).
    #[must_use]
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets how long a call may take, waiting for a connection included (30 s).
    #[must_use]
    pub const fn call_timeout(mut self, timeout: Duration) -> Self {
        self.call_timeout = timeout;
        self
    }

    /// Sets the time before the first attempt after a loss (0.5 s) and its bound (120 s). It doubles with each attempt;
    /// up to as much again is added by chance, so that many clients do not come back at once.
    #[must_use]
    pub const fn retry(mut self, first: Duration, max: Duration) -> Self {
        self.retry.first = first;
        self.retry.max = max;
        self
    }

    /// Sets how many attempts are made after a loss (no bound); 0 for none.
    #[must_use]
    pub const fn retry_attempts(mut self, attempts: u32) -> Self {
        self.retry.attempts = Some(attempts);
        self
    }

    /// Sets how often a sign of life is sent and wanted (30 s each); zero for never.
    #[must_use]
    pub const fn heart_beat(mut self, sends: Duration, wants: Duration) -> Self {
        self.heart_beat = HeartBeat { sends, wants };
        self
    }

    /// Sets how large a reply may be, in octets (16 MiB).
    #[must_use]
    pub const fn max_reply(mut self, octets: usize) -> Self {
        self.limits.body = octets;
        self
    }

    /// Sets how many calls may wait for their answers (1024); more wait for their turn.
    #[must_use]
    pub const fn calls_in_flight(mut self, calls: usize) -> Self {
        self.calls_in_flight = calls;
        self
    }

    /// Sets how many octets of a stream are kept for a slow reader (16 MiB); beyond that the stream ends with an error.
    #[must_use]
    pub const fn stream_buffer(mut self, octets: usize) -> Self {
        self.stream_buffer = octets;
        self
    }

    pub(super) fn client_config(&self) -> Result<Option<Arc<ClientConfig>>, ConnectError> {
        let extra = match &self.tls {
            Tls::Off => return Ok(None),
            Tls::Custom(config) => return Ok(Some(Arc::clone(config))),
            Tls::On(extra) => extra,
        };
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        for pem in extra {
            let before = roots.len();
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|e| ConnectError::Tls(Arc::new(e)))?;
                roots.add(certificate).map_err(|e| ConnectError::Tls(Arc::new(e)))?;
            }
            if roots.len() == before {
                let none = std::io::Error::other("a root was given that holds no certificate in PEM");
                return Err(ConnectError::Tls(Arc::new(none)));
            }
        }
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| ConnectError::Tls(Arc::new(e)))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Some(Arc::new(config)))
    }

    pub(super) const fn is_plain(&self) -> bool {
        matches!(self.tls, Tls::Off)
    }
}

impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("tls", &!self.is_plain())
            .field("headers", &self.source)
            .finish_non_exhaustive()
    }
}
