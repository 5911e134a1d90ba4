//! Connections over TLS. The certificates were made for these tests and hold for a hundred years.

use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto};

use super::fake::SERVICE;
use super::*;
use crate::client::ConnectError;

const AUTHORITY: &str = include_str!("tls/ca.pem");

async fn secure() -> Fake {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("tls/localhost.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/localhost.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    Fake::start_tls(TlsAcceptor::from(Arc::new(config))).await
}

#[tokio::test]
async fn a_server_that_a_given_authority_vouches_for() {
    let fake = secure().await;
    let at = ConnectOptions::new("localhost").port(fake.address.port()).tls_root(AUTHORITY);
    let client = Client::connect(at.connect_headers(Headers::bearer("ada.never"))).await.unwrap();
    let long = "x".repeat(1_000_000);
    assert_eq!(client.call::<String>(SERVICE, "echo", &[&long]).await.unwrap(), long);
    client.close().await;
}

#[tokio::test]
async fn servers_that_nobody_vouches_for_get_no_credentials() {
    let fake = secure().await;
    let port = fake.address.port();
    let unknown = ConnectOptions::new("localhost").port(port).tls();
    let elsewhere = ConnectOptions::new("127.0.0.1").port(port).tls_root(AUTHORITY);
    for options in [unknown, elsewhere] {
        let error = Client::connect(options.connect_headers(Headers::bearer("ada.never"))).await.unwrap_err();
        assert!(matches!(error, ConnectError::Tls(_)), "{error:?}");
    }
    assert!(fake.seen.upgrades.lock().unwrap().is_empty());
}
