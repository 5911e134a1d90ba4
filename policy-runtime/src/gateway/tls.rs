//! TLS of the listener, by rustls.
//!
//! In: a certificate chain and its key as PEM. Out: an acceptor whose certificate can be renewed while it listens.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{Error, ServerConfig};

/// A certificate that cannot be used.
///
/// ```
/// use policy_runtime::gateway::{Tls, TlsError};
/// assert!(matches!(Tls::from_pem(b"", b"").unwrap_err(), TlsError::Empty));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The text is not PEM, or not of the kind that is needed.
    #[error("the {0} cannot be read as PEM")]
    Pem(&'static str, #[source] pem::Error),
    /// There is no certificate in the text.
    #[error("there is no certificate")]
    Empty,
    /// The key is none, or not the certificate's.
    #[error("the key does not fit the certificate")]
    Key(#[source] Error),
}

/// The certificate of a listener; TLS 1.2 and 1.3. Cheap to clone.
///
/// ```no_run
/// use policy_runtime::gateway::Tls;
/// let tls = Tls::from_pem(&std::fs::read("chain.pem")?, &std::fs::read("key.pem")?)?;
/// let renewal = tls.clone();
/// // A month later:
/// renewal.replace(&std::fs::read("chain.pem")?, &std::fs::read("key.pem")?)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Tls {
    current: Arc<Current>,
    config: Arc<ServerConfig>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls(..)")
    }
}

/// What is shown to whoever connects next.
struct Current(RwLock<Arc<CertifiedKey>>);

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Current(..)")
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

fn read(chain: &[u8], key: &[u8]) -> Result<Arc<CertifiedKey>, TlsError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
    let chain = chain.map_err(|error| TlsError::Pem("certificate", error))?;
    if chain.is_empty() {
        return Err(TlsError::Empty);
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| TlsError::Pem("key", error))?;
    let key = ring::sign::any_supported_type(&key).map_err(TlsError::Key)?;
    let certified = CertifiedKey::new(chain, key);
    certified.keys_match().map_err(TlsError::Key)?;
    Ok(Arc::new(certified))
}

impl Tls {
    /// Reads a chain of certificates, the server's own first, and its key.
    ///
    /// # Errors
    /// When either is not PEM, or they do not belong together.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let current = Arc::new(Current(RwLock::new(read(chain, key)?)));
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(TlsError::Key)?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(current.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { current, config: Arc::new(config) })
    }

    /// Shows another certificate to whoever connects from now on. A bad one changes nothing.
    ///
    /// # Errors
    /// As [`Tls::from_pem`].
    pub fn replace(&self, chain: &[u8], key: &[u8]) -> Result<(), TlsError> {
        let next = read(chain, key)?;
        *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.config.clone().into()
    }
}
