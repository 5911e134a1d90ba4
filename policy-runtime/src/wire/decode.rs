//! Bytes to frames, in whatever pieces they come.

use bytes::{Buf, Bytes, BytesMut};

use super::escape::unescape;
use super::frame::{Command, Frame, Headers};
use super::header;

/// How much a peer may send in one frame.
///
/// ```
/// use policy_runtime::wire::{Decoder, Limits};
/// let mut decoder = Decoder::new(Limits::CONNECT);
/// decoder.set_limits(Limits::default());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a table of numbers; written with `..Limits::default()`")]
pub struct Limits {
    /// Headers in a frame.
    pub headers: usize,
    /// Octets of one header line, name and value, as sent.
    pub header: usize,
    /// Octets of the command and all headers.
    pub head: usize,
    /// Octets of the body.
    pub body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { headers: 100, header: 10 * 1024, head: 64 * 1024, body: 16 * 1024 * 1024 }
    }
}

impl Limits {
    /// What may be sent before the connection is open: a CONNECT frame of 10 KiB.
    pub const CONNECT: Self = Self { headers: 50, header: 10 * 1024, head: 10 * 1024, body: 0 };
}

/// Bytes that are no frame; the connection cannot go on after it.
///
/// ```
/// use policy_runtime::wire::{Decoder, Limits, WireError};
/// let mut decoder = Decoder::new(Limits::default());
/// decoder.feed("NONSENSE\n\n\0".into());
/// let error: WireError = decoder.next().unwrap_err();
/// assert!(!error.to_string().is_empty());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The first line is no command.
    #[error("unknown command")]
    UnknownCommand,
    /// A header without a name or without a colon.
    #[error("malformed header")]
    MalformedHeader,
    /// An escape other than the four.
    #[error("unknown escape in a header")]
    UnknownEscape,
    /// Headers are UTF-8.
    #[error("a header is not UTF-8")]
    NotUtf8,
    /// The frame ended among its headers.
    #[error("the frame ends within its headers")]
    NulInHead,
    /// `content-length` is no number.
    #[error("malformed content-length")]
    MalformedContentLength,
    /// The octet after the body is not NUL.
    #[error("the body does not end where content-length says")]
    MissingNul,
    /// Over a limit.
    #[error("more than {limit} {what}")]
    TooMuch {
        /// What there is too much of.
        what: &'static str,
        /// How much is allowed.
        limit: usize,
    },
}

/// What the bytes were.
///
/// ```
/// use policy_runtime::wire::{Decoder, Incoming, Limits};
/// let mut decoder = Decoder::new(Limits::default());
/// decoder.feed("\n".into());
/// assert!(matches!(decoder.next(), Ok(Some(Incoming::HeartBeat))));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "frames and heart-beats are all that STOMP has")]
pub enum Incoming {
    /// A frame.
    Frame(Frame),
    /// A lone end of line.
    HeartBeat,
}

/// Reads frames from bytes that come in pieces; the work is linear in the number of bytes, however they are cut.
///
/// ```
/// use policy_runtime::wire::{Command, Decoder, Incoming, Limits};
/// let mut decoder = Decoder::new(Limits::default());
/// decoder.feed("\nSEND\ndestination:srv\\c//a.B/c\n\n".into());
/// assert_eq!(decoder.next(), Ok(Some(Incoming::HeartBeat)));
/// assert_eq!(decoder.next(), Ok(None));
/// decoder.feed("[]\0".into());
/// let Ok(Some(Incoming::Frame(frame))) = decoder.next() else { panic!() };
/// assert_eq!((frame.command, frame.header("destination")), (Command::Send, Some("srv://a.B/c")));
/// ```
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    /// The rest of the message that was fed last, if nothing is pending.
    chunk: Bytes,
    /// The beginning of a frame whose rest has not come.
    pending: BytesMut,
    progress: Progress,
}

/// How far the frame at the front has been read.
#[derive(Debug, Default)]
struct Progress {
    /// No end of the part that is looked for stands before this.
    scanned: usize,
    /// Where the line began that `scanned` is in.
    line: usize,
    head: Option<Head>,
}

#[derive(Debug)]
struct Head {
    command: Command,
    headers: Headers,
    /// Where the body begins.
    end: usize,
    body: BodyEnd,
}

#[derive(Debug, Clone, Copy)]
enum BodyEnd {
    Length(usize),
    Nul,
}

/// A whole frame at the front: where its body ends; one NUL follows.
struct Whole {
    head: Head,
    body_end: usize,
}

impl Decoder {
    /// Starts with nothing.
    pub fn new(limits: Limits) -> Self {
        Self { limits, chunk: Bytes::new(), pending: BytesMut::new(), progress: Progress::default() }
    }

    /// Sets other limits for what is read from now on.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Takes the next message.
    pub fn feed(&mut self, bytes: Bytes) {
        if self.pending.is_empty() && self.chunk.is_empty() {
            self.chunk = bytes;
        } else {
            self.stash();
            self.pending.extend_from_slice(&bytes);
        }
    }

    /// Whether part of a frame has come and its rest has not.
    pub fn is_within_frame(&self) -> bool {
        !self.pending.is_empty() || !self.chunk.is_empty()
    }

    /// Reads what comes next; `None` until more is fed. After an error the decoder is of no more use.
    #[expect(clippy::should_implement_trait, reason = "an iterator would end at `None`; this one goes on after `feed`")]
    pub fn next(&mut self) -> Result<Option<Incoming>, WireError> {
        let on_pending = !self.pending.is_empty();
        let bytes: &[u8] = if on_pending { &self.pending } else { &self.chunk };
        if self.progress.scanned == 0 {
            match leading_eol(bytes)? {
                LeadingEol::None => {}
                LeadingEol::Of(length) => {
                    self.take(on_pending, length);
                    return Ok(Some(Incoming::HeartBeat));
                }
                LeadingEol::Unfinished => {
                    self.stash();
                    return Ok(None);
                }
            }
        }
        let Some(Whole { head, body_end }) = self.progress.advance(bytes, &self.limits)? else {
            self.stash();
            return Ok(None);
        };
        self.progress = Progress::default();
        let mut frame = self.take(on_pending, body_end.saturating_add(1));
        frame.truncate(body_end);
        let mut body = frame;
        body.advance(head.end.min(body.len()));
        Ok(Some(Incoming::Frame(Frame { command: head.command, headers: head.headers, body })))
    }

    fn take(&mut self, on_pending: bool, n: usize) -> Bytes {
        if !on_pending {
            return self.chunk.split_to(n.min(self.chunk.len()));
        }
        let taken = self.pending.split_to(n.min(self.pending.len())).freeze();
        if self.pending.is_empty() {
            // Lets go of the memory that a large frame needed.
            self.pending = BytesMut::new();
        }
        taken
    }

    fn stash(&mut self) {
        if !self.chunk.is_empty() {
            self.pending.extend_from_slice(&self.chunk);
            self.chunk = Bytes::new();
        }
    }
}

enum LeadingEol {
    None,
    Of(usize),
    Unfinished,
}

/// Looks for an end of line at the front.
fn leading_eol(bytes: &[u8]) -> Result<LeadingEol, WireError> {
    match bytes {
        [b'\n', ..] => Ok(LeadingEol::Of(1)),
        [b'\r', b'\n', ..] => Ok(LeadingEol::Of(2)),
        [b'\r'] => Ok(LeadingEol::Unfinished),
        [b'\r', ..] => Err(WireError::UnknownCommand),
        _ => Ok(LeadingEol::None),
    }
}

impl Progress {
    fn advance(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<Whole>, WireError> {
        let head = match self.head.take() {
            Some(head) => head,
            None => match self.head(bytes, limits)? {
                Some(head) => head,
                None => return Ok(None),
            },
        };
        let over = WireError::TooMuch { what: "octets of body", limit: limits.body };
        let body_end = match head.body {
            BodyEnd::Length(length) if length > limits.body => return Err(over),
            BodyEnd::Length(length) => head.end.checked_add(length).ok_or(over)?,
            BodyEnd::Nul => {
                let rest = bytes.get(self.scanned..).unwrap_or_default();
                let found = rest.iter().position(|b| *b == 0).map(|at| self.scanned.saturating_add(at));
                let end = found.unwrap_or(bytes.len());
                if end.saturating_sub(head.end) > limits.body {
                    return Err(over);
                }
                self.scanned = bytes.len();
                end
            }
        };
        match bytes.get(body_end) {
            Some(0) => Ok(Some(Whole { head, body_end })),
            Some(_) => Err(WireError::MissingNul),
            None => {
                self.head = Some(head);
                Ok(None)
            }
        }
    }

    /// Looks for the empty line after the headers.
    fn head(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<Head>, WireError> {
        let over = WireError::TooMuch { what: "octets of headers", limit: limits.head };
        while let Some(byte) = bytes.get(self.scanned) {
            match byte {
                0 => return Err(WireError::NulInHead),
                b'\n' => {
                    let line = bytes.get(self.line..self.scanned).unwrap_or_default();
                    let is_empty = matches!(line, [] | [b'\r']);
                    let line_start = self.line;
                    self.scanned = self.scanned.saturating_add(1);
                    self.line = self.scanned;
                    if is_empty {
                        let head = bytes.get(..line_start).unwrap_or_default();
                        return parse_head(head, self.scanned, limits).map(Some);
                    }
                }
                _ => self.scanned = self.scanned.saturating_add(1),
            }
            if self.scanned > limits.head {
                return Err(over);
            }
        }
        Ok(None)
    }
}

fn parse_head(head: &[u8], end: usize, limits: &Limits) -> Result<Head, WireError> {
    let text = std::str::from_utf8(head).map_err(|_| WireError::NotUtf8)?;
    let mut lines = text.lines();
    let command = lines.next().and_then(Command::parse).ok_or(WireError::UnknownCommand)?;
    let mut headers = Headers::default();
    for (count, line) in lines.enumerate() {
        if count >= limits.headers {
            return Err(WireError::TooMuch { what: "headers", limit: limits.headers });
        }
        if line.len() > limits.header {
            return Err(WireError::TooMuch { what: "octets in a header", limit: limits.header });
        }
        let (name, value) = line.split_once(':').ok_or(WireError::MalformedHeader)?;
        if name.is_empty() || line.contains('\r') {
            return Err(WireError::MalformedHeader);
        }
        if command.is_escaped() {
            let name = unescape(name).ok_or(WireError::UnknownEscape)?;
            let value = unescape(value).ok_or(WireError::UnknownEscape)?;
            headers.add(Headers::from_wire(&name), value);
        } else {
            headers.add(Headers::from_wire(name), value);
        }
    }
    let body = match headers.get(header::CONTENT_LENGTH) {
        None => BodyEnd::Nul,
        Some(length) => {
            let digits = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
            let length = length.parse().ok().filter(|_| digits);
            BodyEnd::Length(length.ok_or(WireError::MalformedContentLength)?)
        }
    };
    headers.remove(header::CONTENT_LENGTH);
    Ok(Head { command, headers, end, body })
}
