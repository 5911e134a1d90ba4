//! One call, with all that can be said about it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

use super::Client;
use super::driver::State;
use super::live::{Live, NotSent, Outbound, Subscription};
use crate::code::Code;
use crate::service::CallError;
use crate::wire::Cri;

/// How often an idempotent call is sent at most.
const TRIES: u32 = 5;

/// A call that has not been sent; made by [`Client::request`].
///
/// ```no_run
/// # async fn f(client: policy_runtime::client::Client) -> Result<(), policy_runtime::service::CallError> {
/// use std::time::Duration;
/// let count: u64 = client
///     .request("com.example.OrderService", "count")
///     .arguments(&("open",))
///     .timeout(Duration::from_secs(5))
///     .idempotent()
///     .send()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    client: Client,
    destination: String,
    arguments: Result<Bytes, CallError>,
    headers: Vec<(String, String)>,
    timeout: Duration,
    idempotent: bool,
}

impl Request {
    pub(super) fn new(client: &Client, service: &str, method: &str) -> Self {
        Self {
            destination: format!("srv://{service}/{method}"),
            arguments: Ok(Bytes::from_static(b"[]")),
            headers: Vec::new(),
            timeout: client.shared().options.call_timeout,
            idempotent: false,
            client: client.clone(),
        }
    }

    /// Sets the arguments: a tuple, an array or a list. `&()` is no argument, `&(x,)` is one.
    pub fn arguments<A: Serialize + ?Sized>(mut self, arguments: &A) -> Self {
        self.arguments = encode(arguments);
        self
    }

    /// Sets the arguments as a JSON array.
    pub fn json(mut self, arguments: impl Into<Bytes>) -> Self {
        let arguments = arguments.into();
        let nothing = arguments.iter().all(u8::is_ascii_whitespace);
        self.arguments = Ok(if nothing { Bytes::from_static(b"[]") } else { arguments });
        self
    }

    /// Adds a header, such as `traceparent` or `x-request-id`.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets how long the call may take, waiting for a connection included. For a stream: until it was asked for.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Says that the call may be made more than once: it is sent again when the connection is lost before the answer came.
    pub const fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// Sends the call and decodes its value.
    ///
    /// # Errors
    /// What the server answers; [`Code::ConnectionLost`] when the connection ended before the answer, or when there is none in
    /// time; [`Code::Timeout`] when no answer comes in time.
    pub async fn send<T: DeserializeOwned>(self) -> Result<T, CallError> {
        decode(&self.send_json().await?)
    }

    /// Sends the call and gives the JSON of its value.
    ///
    /// # Errors
    /// As [`Request::send`].
    pub async fn send_json(self) -> Result<Bytes, CallError> {
        let arguments = self.check()?;
        let deadline = deadline(self.timeout);
        let Ok(_turn) = timeout_at(deadline, self.client.turn()).await else {
            return Err(CallError::new(Code::Timeout, "too many calls wait for their answers"));
        };
        let mut tries = 1;
        loop {
            let outcome = self.send_once(&arguments, deadline).await;
            match outcome {
                Err(error) if self.idempotent && error.code() == Code::ConnectionLost && tries < TRIES => tries += 1,
                outcome => return outcome,
            }
            if Instant::now() >= deadline {
                return Err(no_answer(self.timeout));
            }
        }
    }

    async fn send_once(&self, arguments: &Bytes, deadline: Instant) -> Result<Bytes, CallError> {
        let call = Outbound { arguments: arguments.clone(), headers: &self.headers };
        loop {
            let live = self.client.live(deadline).await?;
            let answered = timeout_at(deadline, async {
                match live.call(&self.destination, &call).await {
                    Ok(sent) => Ok(sent.answer().await),
                    Err(not_sent) => Err(not_sent),
                }
            });
            match answered.await {
                Ok(Ok(answer)) => return answer,
                Ok(Err(NotSent::Ended)) => {}
                Ok(Err(NotSent::Invalid(error))) => return Err(error),
                Err(_) => return Err(no_answer(self.timeout)),
            }
        }
    }

    /// Sends the call and gives the values of the stream that it answers with. Dropping the stream ends it on the server.
    pub fn stream<T: DeserializeOwned + Send + 'static>(self) -> BoxStream<'static, Result<T, CallError>> {
        self.stream_json().map(|value| decode(&value?)).boxed()
    }

    /// Sends the call and gives the JSON of the values of the stream that it answers with.
    pub fn stream_json(self) -> BoxStream<'static, Result<Bytes, CallError>> {
        stream::once(self.open_stream()).try_flatten().boxed()
    }

    async fn open_stream(self) -> Result<BoxStream<'static, Result<Bytes, CallError>>, CallError> {
        let arguments = self.check()?;
        let deadline = deadline(self.timeout);
        let buffer = self.client.shared().options.stream_buffer;
        let call = Outbound { arguments, headers: &self.headers };
        let subscription = loop {
            let live = self.client.live(deadline).await?;
            match timeout_at(deadline, live.stream(&self.destination, &call, buffer)).await {
                Ok(Ok(subscription)) => break subscription,
                Ok(Err(NotSent::Ended)) => {}
                Ok(Err(NotSent::Invalid(error))) => return Err(error),
                Err(_) => return Err(no_answer(self.timeout)),
            }
        };
        // The client stays connected as long as somebody reads.
        let reading = (subscription, self.client);
        let next = |(mut subscription, client): (Subscription, Client)| async move {
            let value = subscription.next().await?;
            Some((value, (subscription, client)))
        };
        Ok(stream::unfold(reading, next).boxed())
    }

    fn check(&self) -> Result<Bytes, CallError> {
        let bad = |e: &dyn std::fmt::Display| CallError::new(Code::BadArguments, e.to_string());
        let cri = Cri::parse(&self.destination).map_err(|e| bad(&e))?;
        if cri.path().is_none_or(str::is_empty) {
            return Err(bad(&"the call names no method"));
        }
        self.arguments.clone()
    }
}

impl Client {
    /// Waits for a connection.
    pub(super) async fn live(&self, deadline: Instant) -> Result<Arc<Live>, CallError> {
        let mut state = self.shared().state.subscribe();
        let waited = timeout_at(deadline, state.wait_for(|state| !matches!(state, State::Down(_)))).await;
        drop(waited);
        let why = match &*state.borrow() {
            State::Live(live) => return Ok(Arc::clone(live)),
            State::Closed(reason) => return Err(CallError::new(code_of(reason), reason.chain())),
            State::Down(Some(error)) => format!("there is no connection: {}", error.chain()),
            State::Down(None) => "there is no connection".to_owned(),
        };
        Err(CallError::new(Code::ConnectionLost, why))
    }
}

/// The code of a call on a client that is closed for good.
const fn code_of(reason: &super::ConnectError) -> Code {
    let code = reason.code();
    if matches!(code, Code::Timeout) { Code::ConnectionLost } else { code }
}

fn deadline(timeout: Duration) -> Instant {
    let now = Instant::now();
    // A year is as good as no end.
    now.checked_add(timeout).unwrap_or_else(|| now + Duration::from_hours(8_760))
}

fn no_answer(timeout: Duration) -> CallError {
    CallError::new(Code::Timeout, format!("no answer within {timeout:?}"))
}

fn encode<A: Serialize + ?Sized>(arguments: &A) -> Result<Bytes, CallError> {
    let bad = |e: &dyn std::fmt::Display| {
        CallError::new(Code::BadArguments, format!("the arguments are not a JSON array: {e}"))
    };
    let json = serde_json::to_vec(arguments).map_err(|e| bad(&e))?;
    match json.first() {
        Some(b'[') => Ok(json.into()),
        _ if json == b"null" => Ok(Bytes::from_static(b"[]")),
        _ => Err(bad(&"one argument is `&(argument,)`")),
    }
}

fn decode<T: DeserializeOwned>(json: &[u8]) -> Result<T, CallError> {
    serde_json::from_slice(json)
        .map_err(|e| CallError::new(Code::Failed, format!("the answer is not what was expected: {e}")))
}
