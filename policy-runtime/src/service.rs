//! Services that are callable by name: what `#[publish]` generates and what the gateway calls.
//!
//! In: a method's name and JSON arguments. Out: a JSON value, a stream of them, or a [`CallError`]. Absent: transports.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{BoxStream, Stream, StreamExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::code::Code;
use crate::denied::Denied;
#[cfg(feature = "engine")]
use crate::rate::TooOften;

/// The future of a call.
///
/// ```
/// use policy_runtime::service::{CallFuture, Reply};
/// let nothing: CallFuture = Box::pin(async { Ok(Reply::Nothing) });
/// ```
pub type CallFuture = Pin<Box<dyn Future<Output = Result<Reply, CallError>> + Send>>;

/// A service that is callable by name; implemented by `#[publish]`.
///
/// ```
/// use policy_runtime::service::Service;
/// use policy_runtime::{Denied, abac_policy, publish};
///
/// struct Clocks;
///
/// #[publish("com.example")]
/// impl Clocks {
///     #[abac_policy(authenticated)]
///     pub fn read(&self) -> Result<u32, Denied> {
///         Ok(12)
///     }
/// }
/// assert_eq!(Clocks.declaration().methods[0].name, "read");
/// ```
#[cfg(feature = "engine")]
pub trait Service: Send + Sync + 'static {
    /// Its name and methods.
    fn declaration(&self) -> &'static policy_core::decl::ServiceDecl;

    /// Calls a method. The guard runs in it, before anything of the method.
    fn call(
        self: Arc<Self>,
        method: &str,
        arguments: Arguments,
        context: crate::security::SecurityContext,
    ) -> CallFuture;
}

/// What calls a service that is elsewhere; implemented by the client, used by typed proxies.
///
/// ```
/// use policy_runtime::service::{CallError, Invoke};
///
/// async fn add(server: &dyn Invoke) -> Result<Vec<u8>, CallError> {
///     server.invoke("com.example.Calculator", "add", b"[2,3]".to_vec()).await
/// }
/// ```
pub trait Invoke: Send + Sync {
    /// Calls a method with a JSON array of arguments and gives the JSON of its value (`null` for none).
    fn invoke<'a>(
        &'a self,
        service: &'a str,
        method: &'a str,
        arguments: Vec<u8>,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, CallError>> + Send + 'a>>;

    /// Calls a method that answers with a stream.
    fn invoke_stream(
        &self,
        service: &str,
        method: &str,
        arguments: Vec<u8>,
    ) -> BoxStream<'static, Result<Vec<u8>, CallError>>;
}

/// What a call gives.
///
/// ```
/// use futures_util::stream;
/// use policy_runtime::service::{CallError, Reply};
///
/// assert!(matches!(Reply::value(&5), Ok(Reply::Value(json)) if json == b"5"));
/// assert!(matches!(Reply::values(stream::iter([1, 2])), Reply::Stream(_)));
/// assert!(matches!(Reply::stream(stream::iter([Ok::<_, CallError>(1)])), Reply::Stream(_)));
/// ```
#[expect(clippy::exhaustive_enums, reason = "every transport must decide about every form")]
pub enum Reply {
    /// One value, as JSON.
    Value(Vec<u8>),
    /// Nothing.
    Nothing,
    /// Values in order, as JSON.
    Stream(BoxStream<'static, Result<Vec<u8>, CallError>>),
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Value(_) => "Reply::Value(..)",
            Self::Nothing => "Reply::Nothing",
            Self::Stream(_) => "Reply::Stream(..)",
        })
    }
}

impl Reply {
    /// Encodes one value.
    ///
    /// # Errors
    /// When the value cannot be JSON.
    pub fn value<T: Serialize + ?Sized>(value: &T) -> Result<Self, CallError> {
        encode(value).map(Self::Value)
    }

    /// Encodes a stream that can fail.
    pub fn stream<T, E, S>(stream: S) -> Self
    where
        T: Serialize,
        E: fmt::Display,
        S: Stream<Item = Result<T, E>> + Send + 'static,
    {
        Self::Stream(stream.map(|item| item.map_err(|e| CallError::failed(&e)).and_then(|v| encode(&v))).boxed())
    }

    /// Encodes a stream that cannot fail.
    pub fn values<T, S>(stream: S) -> Self
    where
        T: Serialize,
        S: Stream<Item = T> + Send + 'static,
    {
        Self::Stream(stream.map(|item| encode(&item)).boxed())
    }
}

fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CallError> {
    serde_json::to_vec(value).map_err(|e| CallError::new(Code::Internal, format!("the result cannot be encoded: {e}")))
}

/// The arguments of a call: a JSON array.
///
/// ```
/// use policy_runtime::service::Arguments;
/// let arguments = Arguments::parse(br#"[5, "EUR"]"#).unwrap();
/// arguments.expect(2).unwrap();
/// assert_eq!(arguments.take::<u32>(0, "amount").unwrap(), 5);
/// assert!(arguments.take::<u32>(1, "currency").is_err());
/// ```
#[derive(Debug, Default)]
pub struct Arguments(Vec<Box<RawValue>>);

impl Arguments {
    /// Reads a JSON array; nothing at all is no arguments.
    ///
    /// # Errors
    /// When the body is no JSON array, or is nested deeper than 128.
    pub fn parse(body: &[u8]) -> Result<Self, CallError> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        let bad = |e: serde_json::Error| {
            CallError::new(Code::BadArguments, format!("the arguments are not a JSON array: {e}"))
        };
        serde_json::from_slice(body).map(Self).map_err(bad)
    }

    /// Checks how many there are.
    ///
    /// # Errors
    /// When there are more or fewer.
    pub fn expect(&self, count: usize) -> Result<(), CallError> {
        if self.0.len() == count {
            return Ok(());
        }
        Err(CallError::new(Code::BadArguments, format!("{count} arguments are needed, {} were sent", self.0.len())))
    }

    /// Decodes one argument.
    ///
    /// # Errors
    /// When it is not there or does not decode; the error names it.
    pub fn take<T: DeserializeOwned>(&self, index: usize, name: &str) -> Result<T, CallError> {
        let raw = self.0.get(index).map_or("null", |raw| raw.get());
        serde_json::from_str(raw)
            .map_err(|e| CallError::new(Code::BadArguments, format!("argument `{name}` does not fit: {e}")))
    }
}

/// Why a call gave nothing.
///
/// ```
/// use std::time::Duration;
/// use policy_runtime::Code;
/// use policy_runtime::service::CallError;
///
/// let busy = CallError::new(Code::Timeout, "try later").with_retry_after(Duration::from_secs(1)).with_decision("d-1");
/// assert_eq!((busy.decision(), busy.retry_after()), (Some("d-1"), Some(Duration::from_secs(1))));
/// assert_ne!(CallError::unknown_method("Orders", "plac").code(), CallError::failed(&"disk full").code());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CallError {
    code: Code,
    message: String,
    decision: Option<Arc<str>>,
    retry_after: Option<Duration>,
}

impl CallError {
    /// Makes an error.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), decision: None, retry_after: None }
    }

    /// An error of the method itself: its own text is the message.
    pub fn failed(error: &dyn fmt::Display) -> Self {
        Self::new(Code::Failed, error.to_string())
    }

    /// No method of this name.
    pub fn unknown_method(service: &str, method: &str) -> Self {
        let short = |t: &str| t.chars().take(100).collect::<String>();
        Self::new(Code::UnknownMethod, format!("no method `{}` in `{}`", short(method), short(service)))
    }

    /// The stable code.
    pub const fn code(&self) -> Code {
        self.code
    }

    /// What the caller is told.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The id of the decision, if a policy refused.
    pub fn decision(&self) -> Option<&str> {
        self.decision.as_deref()
    }

    /// Adds the id of a decision, for a client that reads it from the wire.
    #[must_use]
    pub fn with_decision(mut self, id: &str) -> Self {
        self.decision = Some(id.into());
        self
    }

    /// How long to wait before the same call may succeed, if that is known.
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Says how long to wait.
    #[must_use]
    pub const fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

#[cfg(feature = "engine")]
impl From<TooOften> for CallError {
    fn from(refused: TooOften) -> Self {
        Self::new(Code::RateLimited, refused.to_string()).with_retry_after(refused.wait())
    }
}

impl From<Denied> for CallError {
    fn from(denied: Denied) -> Self {
        let error = Self::new(denied.code(), denied.to_string()).with_decision(denied.id());
        Self { retry_after: denied.retry_after(), ..error }
    }
}
