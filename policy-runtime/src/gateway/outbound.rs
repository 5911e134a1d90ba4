//! What waits to be sent, and how it gets out.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::{Sink as _, Stream as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message};

/// Messages in order, with their octets counted.
#[derive(Debug, Default)]
pub(super) struct Outbound {
    queue: VecDeque<Message>,
    octets: usize,
    unflushed: bool,
    /// Since when the peer has taken nothing of what waits.
    stalled: Option<Instant>,
}

/// What the socket did.
#[derive(Debug)]
pub(super) enum Step {
    /// The peer sent something.
    Message(Message),
    /// There is room for more to send.
    Room,
    /// The peer closed.
    Ended,
    /// The peer, or the network, broke the rules of WebSocket.
    Broken(Error),
}

impl Outbound {
    pub(super) fn push(&mut self, message: Message) {
        self.octets = self.octets.saturating_add(message.len());
        self.queue.push_back(message);
    }

    /// Octets that wait here.
    pub(super) const fn octets(&self) -> usize {
        self.octets
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && !self.unflushed
    }

    pub(super) const fn stalled(&self) -> Option<Instant> {
        self.stalled
    }

    /// Forgets everything that has not gone out.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
        self.octets = 0;
    }

    /// Sends what can be sent, and takes what has come. Flushes only when nothing more is to be read, so that answers that
    /// are ready together leave together.
    pub(super) fn poll<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        socket: &mut WebSocketStream<S>,
        cx: &mut Context<'_>,
        limit: usize,
        may_read: bool,
    ) -> Poll<Step> {
        let was_full = self.octets >= limit;
        while !self.queue.is_empty() {
            match Pin::new(&mut *socket).poll_ready(cx) {
                Poll::Pending => break,
                Poll::Ready(Err(error)) => return Poll::Ready(failed(error)),
                Poll::Ready(Ok(())) => {}
            }
            let Some(message) = self.queue.pop_front() else { break };
            self.octets = self.octets.saturating_sub(message.len());
            self.unflushed = true;
            self.stalled = None;
            if let Err(error) = Pin::new(&mut *socket).start_send(message) {
                return Poll::Ready(failed(error));
            }
        }
        if was_full && self.octets < limit {
            return Poll::Ready(Step::Room);
        }
        if may_read && !was_full {
            match Pin::new(&mut *socket).poll_next(cx) {
                Poll::Pending => {}
                Poll::Ready(None) => return Poll::Ready(Step::Ended),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(failed(error)),
                Poll::Ready(Some(Ok(message))) => {
                    // A ping has left its answer in the socket.
                    self.unflushed = true;
                    return Poll::Ready(Step::Message(message));
                }
            }
        }
        if self.unflushed {
            match Pin::new(&mut *socket).poll_flush(cx) {
                Poll::Ready(Ok(())) => {
                    self.unflushed = false;
                    self.stalled = None;
                    if !may_read && self.queue.is_empty() {
                        return Poll::Ready(Step::Room);
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(failed(error)),
                Poll::Pending => {
                    self.stalled.get_or_insert_with(Instant::now);
                }
            }
        }
        Poll::Pending
    }
}

fn failed(error: Error) -> Step {
    if matches!(error, Error::ConnectionClosed | Error::AlreadyClosed) { Step::Ended } else { Step::Broken(error) }
}
