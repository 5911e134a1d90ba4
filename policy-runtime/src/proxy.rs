//! What typed proxies and dispatchers are made of.
//!
//! In: arguments and replies as JSON. Out: values. Absent: transports, which implement [`crate::service::Invoke`].

#[cfg(feature = "engine")]
use futures_util::stream::Stream;
use futures_util::stream::{BoxStream, StreamExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::code::Code;
use crate::service::CallError;

/// What a client sends. The lifetime lets generated code ask for the bound at the call, not where it stands, since a server
/// need not encode what it decodes; for the same reason there is no supertrait.
pub trait Sent<'wire> {
    /// Encodes one argument.
    ///
    /// # Errors
    /// When the value cannot be JSON.
    fn encode(&self) -> Result<Vec<u8>, CallError>;
}

impl<T: Serialize + ?Sized> Sent<'_> for T {
    fn encode(&self) -> Result<Vec<u8>, CallError> {
        serde_json::to_vec(self)
            .map_err(|e| CallError::new(Code::BadArguments, format!("an argument cannot be encoded: {e}")))
    }
}

/// What a client gets.
pub trait Received<'wire>: Sized {
    /// Decodes one reply.
    ///
    /// # Errors
    /// When the JSON does not fit.
    fn decode(reply: &[u8]) -> Result<Self, CallError>;
}

impl<T: DeserializeOwned> Received<'_> for T {
    fn decode(reply: &[u8]) -> Result<Self, CallError> {
        serde_json::from_slice(reply)
            .map_err(|e| CallError::new(Code::Internal, format!("the reply does not fit: {e}")))
    }
}

/// A stream of values from elsewhere.
pub type Values<T> = BoxStream<'static, Result<T, CallError>>;

/// Joins encoded arguments to a JSON array.
pub fn encode_all(arguments: &[Vec<u8>]) -> Vec<u8> {
    let mut out = vec![b'['];
    for (n, argument) in arguments.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        out.extend_from_slice(argument);
    }
    out.push(b']');
    out
}

/// Takes the reply of a method that answers with nothing.
///
/// # Errors
/// Never; the form is that of [`Received::decode`].
pub const fn decode_nothing(_: &[u8]) -> Result<(), CallError> {
    Ok(())
}

/// Decodes a stream of replies with `decode`.
pub fn values<T: 'static>(
    replies: BoxStream<'static, Result<Vec<u8>, CallError>>,
    decode: fn(&[u8]) -> Result<T, CallError>,
) -> Values<T> {
    replies.map(move |reply| decode(&reply?)).boxed()
}

/// Polls a stream in the context of the call that returned it.
#[cfg(feature = "engine")]
pub fn in_context<S>(context: &crate::SecurityContext, stream: S) -> impl Stream<Item = S::Item> + Send + use<S>
where
    S: Stream + Send + 'static,
{
    let (context, mut stream) = (context.clone(), Box::pin(stream));
    futures_util::stream::poll_fn(move |task| context.run(|| stream.as_mut().poll_next(task)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_a_json_array() {
        assert_eq!(encode_all(&[]), b"[]");
        let arguments = ["a".encode().unwrap(), 1.encode().unwrap()];
        assert_eq!(encode_all(&arguments), br#"["a",1]"#);
    }

    #[test]
    fn a_reply_that_does_not_fit_is_an_error() {
        assert_eq!(<u8 as Received<'_>>::decode(b"7").unwrap(), 7);
        assert!(<u8 as Received<'_>>::decode(b"\"x\"").unwrap_err().message().starts_with("the reply does not fit"));
    }
}
