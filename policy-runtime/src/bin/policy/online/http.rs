//! Requests to a server, with what it is to know of the caller.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, Request, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::Trouble;

const TIME: Duration = Duration::from_secs(30);
const LARGEST: usize = 64 << 20;

/// A server, and as whom it is asked.
pub(super) struct Server {
    url: Uri,
    headers: Vec<(&'static str, String)>,
}

/// What a server answered.
pub(super) struct Answer {
    pub(super) body: Value,
    pub(super) text: String,
    pub(super) etag: Option<String>,
}

impl Server {
    /// Secrets go over https, or nowhere but to this machine.
    pub(super) fn new(url: &str, headers: Vec<(&'static str, String)>) -> Result<Self, Trouble> {
        let bad =
            || Trouble::Cannot(format!("`{url}` is no address of a server, such as `https://policy.example.com`"));
        let url: Uri = url.trim_end_matches('/').parse().map_err(|_| bad())?;
        let host = url.host().ok_or_else(bad)?;
        let local = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
        match url.scheme_str() {
            Some("https") => {}
            Some("http") if local => {}
            _ => {
                return Err(Trouble::Cannot(format!(
                    "`{url}` is neither https nor on this machine: nothing secret is sent there"
                )));
            }
        }
        Ok(Self { url, headers })
    }

    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        more: &[(&'static str, String)],
        body: Option<&Value>,
    ) -> Result<Answer, Trouble> {
        let authority = self.url.authority().map_or("", http::uri::Authority::as_str);
        let base = self.url.path().trim_end_matches('/');
        let mut request = Request::builder().method(method.clone()).uri(format!("{base}{path}"));
        request = request.header(header::HOST, authority).header(header::ACCEPT, "application/json");
        if method == Method::POST {
            request = request.header("idempotency-key", uuid::Uuid::new_v4().simple().to_string());
        }
        for (name, value) in self.headers.iter().chain(more) {
            request = request.header(*name, value);
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let bytes = Bytes::from(body.map(Value::to_string).unwrap_or_default());
        let request = request.body(Full::new(bytes)).map_err(|error| Trouble::Cannot(error.to_string()))?;
        let unreachable = |error: String| Trouble::Cannot(format!("`{}` does not answer: {error}", self.url));
        match tokio::time::timeout(TIME, self.exchange(request)).await {
            Err(_) => Err(unreachable("it takes too long".into())),
            Ok(Err(error)) => Err(unreachable(error.to_string())),
            Ok(Ok((status, headers, bytes))) => answer(status, &headers, &bytes),
        }
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(http::StatusCode, HeaderMap, Bytes), Box<dyn std::error::Error>> {
        let secure = self.url.scheme_str() == Some("https");
        let host = self.url.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = self.url.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let stream = TcpStream::connect((host.as_str(), port)).await?;
        if !secure {
            return talk(stream, request).await;
        }
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from(host)?;
        talk(TlsConnector::from(Arc::new(config)).connect(name, stream).await?, request).await
    }
}

async fn talk<S>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> Result<(http::StatusCode, HeaderMap, Bytes), Box<dyn std::error::Error>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let (parts, body) = sender.send_request(request).await?.into_parts();
    let bytes = Limited::new(body, LARGEST).collect().await.map_err(|error| error.to_string())?.to_bytes();
    Ok((parts.status, parts.headers, bytes))
}

fn answer(status: http::StatusCode, headers: &HeaderMap, bytes: &[u8]) -> Result<Answer, Trouble> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let body: Value = serde_json::from_slice(bytes).unwrap_or(Value::Null);
    if status.is_success() {
        let etag = headers.get(header::ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        return Ok(Answer { body, text, etag });
    }
    let member = |name: &str| body.get(name).and_then(Value::as_str);
    let told = member("detail").or(member("title")).map_or_else(|| text.trim().to_owned(), str::to_owned);
    let decision = member("decision").map(|id| format!(" ({id})")).unwrap_or_default();
    Err(Trouble::Refused { status: status.as_u16(), told: format!("{told}{decision}"), body })
}
