//! Calls services elsewhere, over one connection that comes back by itself.
//!
//! In: where to connect and what to present. Out: values and streams of calls, and events of the connection. Absent: anything of
//! a server, and any policy; what is allowed is decided where the service is.
//!
//! ```no_run
//! use policy_runtime::client::{BoxError, Client, ConnectOptions, Headers};
//! # #[derive(Clone)] struct Session;
//! # impl Session { async fn token(&self) -> Result<String, std::io::Error> { Ok(String::new()) } }
//! # async fn f(session: Session) -> Result<(), BoxError> {
//! let client = Client::connect(ConnectOptions::new("localhost").connect_headers(move || {
//!     let s = session.clone();
//!     async move { Ok(Headers::bearer(s.token().await?)) }
//! }))
//! .await?;
//! let greeting: String = client.call("com.example.Greeter", "greet", &("ada",)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! The closure is called for every connection, the first and those after a loss, and ahead of the end of its credential: a fresh
//! one is then installed on the live connection. A first connection that cannot be opened is an error at once. Later ones are
//! tried again, see [`Event`]; calls that were in flight fail with [`Code::ConnectionLost`](crate::Code::ConnectionLost),
//! as nobody knows whether they were made, and calls made meanwhile wait, up to their timeout.

mod connection;
mod driver;
mod error;
mod event;
mod headers;
mod hosting;
mod live;
mod open;
mod options;
mod request;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, SemaphorePermit, watch};

pub use error::{Cause, ConnectError, Refusal};
pub use event::Event;
pub use headers::{BoxError, ConnectHeaders, HeaderSource, Headers};
pub use hosting::{HostedCall, Hosting};
pub use options::ConnectOptions;
pub use request::Request;

use crate::service::{CallError, Invoke};
use crate::wire::ParticipantInfo;
use driver::{Shared, State};

/// A connection to services elsewhere. Cheap to clone; it is closed when its last clone is dropped.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use futures_util::StreamExt;
/// use policy_runtime::client::{Client, ConnectOptions, Headers};
///
/// let options = ConnectOptions::new("orders.example").tls().connect_headers(Headers::bearer("token"));
/// let client = Client::connect(options).await?;
/// let sum: i64 = client.call("com.example.Calculator", "add", &(2, 3)).await?;
/// let mut prices = client.stream::<f64>("com.example.Prices", "watch", &("EUR",));
/// while let Some(price) = prices.next().await {
///     println!("{}", price?);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    turns: Semaphore,
    stop: watch::Sender<bool>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

impl Client {
    /// Opens a connection.
    ///
    /// # Errors
    /// At once when it cannot be opened, with the reason: what the server said, or what the closure answered.
    pub async fn connect(options: ConnectOptions) -> Result<Self, ConnectError> {
        let opened = open::open(&options).await?;
        let turns = Semaphore::new(options.calls_in_flight.clamp(1, Semaphore::MAX_PERMITS));
        let shared = Arc::new(Shared::new(options));
        let (stop, stopped) = watch::channel(false);
        let mut state = shared.state.subscribe();
        tokio::spawn(driver::drive(Arc::clone(&shared), opened, stopped));
        // The driver says `Live` before it does anything else.
        let _ = state.wait_for(|state| !matches!(state, State::Down(_))).await;
        Ok(Self { inner: Arc::new(Inner { shared, turns, stop }) })
    }

    /// Calls a method and decodes its value; `arguments` are a tuple, an array or a list.
    ///
    /// # Errors
    /// As [`Request::send`].
    pub async fn call<T: DeserializeOwned>(
        &self,
        service: &str,
        method: &str,
        arguments: &(impl Serialize + ?Sized),
    ) -> Result<T, CallError> {
        self.request(service, method).arguments(arguments).send().await
    }

    /// Calls a method that answers with a stream. Dropping the stream ends it on the server.
    pub fn stream<T: DeserializeOwned + Send + 'static>(
        &self,
        service: &str,
        method: &str,
        arguments: &(impl Serialize + ?Sized),
    ) -> BoxStream<'static, Result<T, CallError>> {
        self.request(service, method).arguments(arguments).stream()
    }

    /// Makes a call of which more can be said before it is sent.
    pub fn request(&self, service: &str, method: &str) -> Request {
        Request::new(self, service, method)
    }

    /// What happens to the connection, beginning with what happened last.
    pub fn events(&self) -> BoxStream<'static, Event> {
        self.inner.shared.events.listen()
    }

    /// Who the server says is connected; `None` while there is no connection.
    pub fn participant(&self) -> Option<ParticipantInfo> {
        match &*self.inner.shared.state.borrow() {
            State::Live(live) => Some(live.info.participant.clone()),
            State::Down(_) | State::Closed(_) => None,
        }
    }

    /// Whether there is a connection now.
    pub fn is_connected(&self) -> bool {
        matches!(&*self.inner.shared.state.borrow(), State::Live(_))
    }

    /// Closes the connection for all clones: what was sent is heard out until the server says good-bye, for a few seconds at most;
    /// calls without an answer then fail.
    pub async fn close(&self) {
        self.inner.stop.send_replace(true);
        let mut state = self.inner.shared.state.subscribe();
        let bound = self.inner.shared.options.close_timeout.saturating_add(Duration::from_secs(1));
        let closed = state.wait_for(|state| matches!(state, State::Closed(_)));
        let _ = tokio::time::timeout(bound, closed).await;
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.inner.turns.acquire().await.ok()
    }
}

impl Invoke for Client {
    fn invoke<'a>(
        &'a self,
        service: &'a str,
        method: &'a str,
        arguments: Vec<u8>,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, CallError>> + Send + 'a>> {
        let request = self.request(service, method).json(arguments);
        Box::pin(async move { request.send_json().await.map(Vec::from) })
    }

    fn invoke_stream(
        &self,
        service: &str,
        method: &str,
        arguments: Vec<u8>,
    ) -> BoxStream<'static, Result<Vec<u8>, CallError>> {
        self.request(service, method).json(arguments).stream_json().map(|value| value.map(Vec::from)).boxed()
    }
}

#[cfg(test)]
mod tests;
