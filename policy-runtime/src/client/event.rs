//! What happens to a connection, as a stream.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::broadcast;

use super::error::ConnectError;
use crate::wire::ConnectedInfo;

/// What happened to a connection.
///
/// ```
/// use policy_runtime::client::Event;
///
/// fn shown(event: &Event) -> String {
///     match event {
///         Event::Connected(_) => "online".to_owned(),
///         Event::Retrying { attempt, after, .. } => format!("attempt {attempt} in {after:?}"),
///         _ => "offline".to_owned(),
///     }
/// }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// It is open.
    Connected(Arc<ConnectedInfo>),
    /// A fresh credential was installed on the live connection.
    Renewed {
        /// How long it lasts; `None` for no end.
        expires_in: Option<Duration>,
    },
    /// A fresh credential could not be installed; the connection goes on as long as the old one lasts.
    RenewalFailed {
        /// Why.
        reason: Arc<str>,
    },
    /// It ended.
    Lost {
        /// Why.
        reason: Arc<str>,
    },
    /// Another attempt is made after a while.
    Retrying {
        /// Counts from 1 for each loss.
        attempt: u32,
        /// The time until then.
        after: Duration,
        /// Why the attempt before failed, if there was one.
        last: Option<ConnectError>,
    },
    /// It ended and no attempt is made again.
    Closed {
        /// What ended the attempts; [`ConnectError::Closed`] if the program closed it.
        reason: ConnectError,
    },
}

#[derive(Debug)]
pub(super) struct Events {
    /// The last event, so that whoever begins to listen knows what is.
    last: Mutex<Option<Event>>,
    sender: broadcast::Sender<Event>,
}

impl Events {
    pub(super) fn new() -> Self {
        Self { last: Mutex::new(None), sender: broadcast::channel(64).0 }
    }

    pub(super) fn publish(&self, event: Event) {
        if let Ok(mut last) = self.last.lock() {
            // Nobody has to listen.
            let _ = self.sender.send(event.clone());
            *last = Some(event);
        }
    }

    pub(super) fn listen(&self) -> BoxStream<'static, Event> {
        let Ok(last) = self.last.lock() else { return stream::empty().boxed() };
        let receiver = self.sender.subscribe();
        let first = last.clone();
        drop(last);
        let later = stream::unfold(receiver, |mut receiver| async move {
            loop {
                match receiver.recv().await {
                    Ok(event) => return Some((event, receiver)),
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        });
        stream::iter(first).chain(later).boxed()
    }
}
