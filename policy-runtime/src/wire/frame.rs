//! A frame, and how it is written.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

use super::escape::escape_into;
use super::header;

/// What a frame does.
///
/// ```
/// use policy_runtime::wire::Command;
/// assert_eq!(Command::parse("SEND"), Some(Command::Send));
/// assert_eq!(Command::Message.as_str(), "MESSAGE");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the commands of STOMP 1.2 are all there are")]
pub enum Command {
    /// Opens a connection; `STOMP` is read as the same.
    Connect,
    /// Answers it.
    Connected,
    /// Carries a request, a cancellation, or a host's reply.
    Send,
    /// Asks for what arrives at an address.
    Subscribe,
    /// Takes that back.
    Unsubscribe,
    /// Acknowledges; read and passed over.
    Ack,
    /// Refuses; read and passed over.
    Nack,
    /// Transactions are not spoken here.
    Begin,
    /// Transactions are not spoken here.
    Commit,
    /// Transactions are not spoken here.
    Abort,
    /// Says good-bye.
    Disconnect,
    /// Carries something to a subscription.
    Message,
    /// Confirms what was asked to be confirmed.
    Receipt,
    /// Ends the connection for good.
    Error,
}

impl Command {
    /// Every command with its spelling.
    pub const ALL: [(Self, &'static str); 14] = [
        (Self::Send, "SEND"),
        (Self::Message, "MESSAGE"),
        (Self::Subscribe, "SUBSCRIBE"),
        (Self::Unsubscribe, "UNSUBSCRIBE"),
        (Self::Connect, "CONNECT"),
        (Self::Connected, "CONNECTED"),
        (Self::Disconnect, "DISCONNECT"),
        (Self::Receipt, "RECEIPT"),
        (Self::Error, "ERROR"),
        (Self::Ack, "ACK"),
        (Self::Nack, "NACK"),
        (Self::Begin, "BEGIN"),
        (Self::Commit, "COMMIT"),
        (Self::Abort, "ABORT"),
    ];

    /// Reads the first line of a frame.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "STOMP" {
            return Some(Self::Connect);
        }
        Self::ALL.iter().find(|(_, spelling)| *spelling == text).map(|(command, _)| *command)
    }

    /// How it is spelled.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(command, _)| *command == self).map_or("", |(_, spelling)| spelling)
    }

    /// Whether its headers are escaped: all but the handshake's.
    pub(super) const fn is_escaped(self) -> bool {
        !matches!(self, Self::Connect | Self::Connected)
    }
}

/// The headers of a frame, in their order; of repeated ones the first counts.
///
/// ```
/// use policy_runtime::wire::Headers;
/// let mut headers = Headers::default();
/// headers.add("id", "1");
/// headers.set("id", "2");
/// assert_eq!((headers.get("id"), headers.get_ignore_case("ID")), (Some("2"), Some("2")));
/// headers.remove("id");
/// headers.remove_where(|name| name.starts_with("x-"));
/// headers.extend(&headers.only(|name| name == "id"));
/// assert!(headers.is_empty());
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(Cow<'static, str>, String)>);

impl Headers {
    /// The value of a header, compared exactly.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The value of a header whose name may be spelled in any case.
    pub fn get_ignore_case(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Adds a header, unless there is one of this name.
    pub fn add(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) {
        let name = name.into();
        if self.get(&name).is_none() {
            self.0.push((name, value.into()));
        }
    }

    /// Sets a header, whatever it was before.
    pub fn set(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) {
        let name = name.into();
        self.remove(&name);
        self.0.push((name, value.into()));
    }

    /// The headers whose names satisfy `test`.
    #[must_use]
    pub fn only(&self, test: impl Fn(&str) -> bool) -> Self {
        Self(self.0.iter().filter(|(n, _)| test(n)).cloned().collect())
    }

    /// Adds all of some headers, but those of names that are there.
    pub fn extend(&mut self, others: &Self) {
        for (name, value) in &others.0 {
            self.add(name.clone(), value.as_str());
        }
    }

    /// Takes a header away.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(n, _)| n != name);
    }

    /// Takes away every header whose name satisfies `test`.
    pub fn remove_where(&mut self, test: impl Fn(&str) -> bool) {
        self.0.retain(|(n, _)| !test(n));
    }

    /// The headers in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value.as_str()))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn from_wire(name: &str) -> Cow<'static, str> {
        header::KNOWN
            .iter()
            .find(|known| **known == name)
            .map_or_else(|| Cow::Owned(name.to_owned()), |known| Cow::Borrowed(*known))
    }
}

/// Shows the names; values may be credentials.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// One frame.
///
/// ```
/// use policy_runtime::wire::{Command, Frame, header};
/// let frame = Frame::new(Command::Receipt).with(header::RECEIPT_ID, "close-1");
/// assert_eq!(frame.encode().unwrap(), b"RECEIPT\nreceipt-id:close-1\n\n\0");
/// ```
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a frame is a command, headers and a body, and nothing else")]
pub struct Frame {
    /// What it does.
    pub command: Command,
    /// Its headers, unescaped; `content-length` is written by itself.
    pub headers: Headers,
    /// Its body, as sent.
    pub body: Bytes,
}

/// Shows the command, the names of the headers and the length of the body.
impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("command", &self.command)
            .field("headers", &self.headers)
            .field("body", &self.body.len())
            .finish()
    }
}

/// A header that cannot be written: it would end the frame or become another header.
///
/// ```
/// use policy_runtime::wire::{Command, EncodeError, Frame};
/// let frame = Frame::new(Command::Connect).with("bad", "line\nbreak").with_body("text/plain", "x");
/// let encoded: Result<Vec<u8>, EncodeError> = frame.encode();
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the header `{name}` contains a character that cannot be sent")]
pub struct EncodeError {
    name: String,
}

impl Frame {
    /// Makes a frame without headers and body.
    pub const fn new(command: Command) -> Self {
        Self { command, headers: Headers(Vec::new()), body: Bytes::new() }
    }

    /// Adds a header, unless there is one of this name.
    #[must_use]
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.headers.add(name, value);
        self
    }

    /// Sets the body and what it is.
    #[must_use]
    pub fn with_body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.headers.set(header::CONTENT_TYPE, content_type);
        self.body = body.into();
        self
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// Whether it goes into a text message: a frame with a body is binary.
    pub fn is_text(&self) -> bool {
        self.body.is_empty()
    }

    /// Writes the frame; a body always comes with its length.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut out = Vec::with_capacity(96 + self.headers.len() * 48 + self.body.len());
        out.extend_from_slice(self.command.as_str().as_bytes());
        out.push(b'\n');
        let escaped = self.command.is_escaped();
        for (name, value) in self.headers.iter().filter(|(name, _)| *name != header::CONTENT_LENGTH) {
            let breaks = |b: u8| b == 0 || (!escaped && matches!(b, b'\n' | b'\r'));
            let is_bad = name.is_empty() || (!escaped && name.contains(':'));
            if is_bad || name.bytes().any(breaks) || value.bytes().any(breaks) {
                return Err(EncodeError { name: name.escape_debug().to_string() });
            }
            if escaped {
                escape_into(name, &mut out);
                out.push(b':');
                escape_into(value, &mut out);
            } else {
                out.extend_from_slice(name.as_bytes());
                out.push(b':');
                out.extend_from_slice(value.as_bytes());
            }
            out.push(b'\n');
        }
        if !self.body.is_empty() {
            out.extend_from_slice(header::CONTENT_LENGTH.as_bytes());
            out.push(b':');
            out.extend_from_slice(self.body.len().to_string().as_bytes());
            out.push(b'\n');
        }
        out.push(b'\n');
        out.extend_from_slice(&self.body);
        out.push(0);
        Ok(out)
    }
}
