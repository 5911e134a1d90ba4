//! Services that this client hosts: others call them through the gateway.
//!
//! In: MESSAGE frames of the subscriptions of services. Out: replies. What hosts are granted, and who may call them, is
//! decided by the gateway; the caller that a call names is the one it has authenticated.

use std::collections::HashMap;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::task::AbortHandle;

use super::Client;
use super::driver::State;
use super::live::Live;
use crate::code::Code;
use crate::service::{Arguments, CallError, Reply};
use crate::wire::{Command, Cri, ErrorBody, Frame, ParticipantInfo, header, message};

/// What the subscriptions of hosted services begin with.
const PREFIX: &str = "host-";
/// How many calls a host works on at once.
const AT_ONCE: usize = 1_024;

/// A call of a service that this client hosts.
///
/// ```
/// use policy_runtime::client::HostedCall;
/// fn line(call: &HostedCall) -> String {
///     format!("{} for {}", call.method, call.request_id.as_deref().unwrap_or("-"))
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct HostedCall {
    /// The method.
    pub method: String,
    /// Its arguments.
    pub arguments: Arguments,
    /// Who calls, as the gateway has authenticated it.
    pub caller: Option<ParticipantInfo>,
    /// The id of the request, for logs.
    pub request_id: Option<String>,
}

type Handler = Arc<dyn Fn(HostedCall) -> BoxFuture<'static, Result<Reply, CallError>> + Send + Sync>;

/// All that a client hosts, over all its connections.
#[derive(Default)]
pub(super) struct Hosted(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    services: HashMap<String, (String, Handler)>,
    running: HashMap<String, AbortHandle>,
    next: u64,
}

impl fmt::Debug for Hosted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.lock().services.values().map(|(address, _)| address)).finish()
    }
}

/// A hosted service; it is taken back when this is dropped.
///
/// ```
/// use policy_runtime::client::Hosting;
///
/// /// Ends what was hosted.
/// fn done(hosting: Hosting) {
///     drop(hosting);
/// }
/// ```
#[must_use = "the service is taken back when this is dropped"]
#[derive(Debug)]
pub struct Hosting {
    client: Client,
    subscription: String,
}

impl Drop for Hosting {
    fn drop(&mut self) {
        let shared = self.client.shared();
        shared.hosted.lock().services.remove(&self.subscription);
        if let State::Live(live) = &*shared.state.borrow() {
            live.send_now(&message::unsubscribe(&self.subscription));
        }
    }
}

impl Client {
    /// Hosts a service: others call it by this name through the gateway, on this connection and those after a loss.
    ///
    /// The organization has to grant it (`permit Platform.service.host when ..`); until then nobody's call arrives. A handler
    /// that panics fails its call.
    ///
    /// ```no_run
    /// use policy_runtime::client::Client;
    /// use policy_runtime::service::{CallError, Reply};
    /// # async fn f(client: Client) -> Result<(), CallError> {
    /// let hosting = client.host("com.example.Greeter", async |call| match call.method.as_str() {
    ///     "greet" => Reply::value(&format!("hi {}", call.arguments.take::<String>(0, "name")?)),
    ///     other => Err(CallError::unknown_method("com.example.Greeter", other)),
    /// })?;
    /// # drop(hosting);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the name is none.
    pub fn host<F, Fut>(&self, service: &str, handler: F) -> Result<Hosting, CallError>
    where
        F: Fn(HostedCall) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Reply, CallError>> + Send + 'static,
    {
        let address = format!("srv://{service}");
        if !Cri::parse(&address).is_ok_and(|cri| cri.base() == address) {
            return Err(CallError::new(Code::BadArguments, format!("`{service}` is no name of a service")));
        }
        let shared = self.shared();
        let mut inner = shared.hosted.lock();
        inner.next += 1;
        let subscription = format!("{PREFIX}{}", inner.next);
        let handler: Handler = Arc::new(move |call| handler(call).boxed());
        inner.services.insert(subscription.clone(), (address.clone(), handler));
        drop(inner);
        if let State::Live(live) = &*shared.state.borrow() {
            live.send_now(&message::subscribe(&subscription, &address));
        }
        Ok(Hosting { client: self.clone(), subscription })
    }
}

impl Hosted {
    /// Every change is complete before the lock is left, so what a panicking holder left behind is sound.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Offers on a new connection what was offered before.
    pub(super) fn subscribe(&self, live: &Live) {
        for (subscription, (address, _)) in &self.lock().services {
            live.send_now(&message::subscribe(subscription, address));
        }
    }

    /// The connection ended: nobody waits for what is worked on.
    pub(super) fn end(&self) {
        for (_, running) in self.lock().running.drain() {
            running.abort();
        }
    }

    /// Takes a call, if a MESSAGE is one.
    pub(super) fn take(self: &Arc<Self>, live: &Arc<Live>, frame: &Frame) -> bool {
        let Some(subscription) = frame.header(header::SUBSCRIPTION).filter(|id| id.starts_with(PREFIX)) else {
            return false;
        };
        let Some(correlation) = frame.header(header::CORRELATION_ID).map(str::to_owned) else { return true };
        let mut inner = self.lock();
        if frame.header(header::CONTROL) == Some("cancel") {
            if let Some(running) = inner.running.remove(&correlation) {
                running.abort();
            }
            return true;
        }
        let (Some((_, handler)), Some(reply_to)) = (inner.services.get(subscription), frame.header(header::REPLY_TO))
        else {
            return true;
        };
        let handler = handler.clone();
        let reply = Replying { live: live.clone(), reply_to: reply_to.to_owned(), correlation: correlation.clone() };
        inner.running.retain(|_, running| !running.is_finished());
        if inner.running.len() >= AT_ONCE {
            let busy = CallError::new(Code::RateLimited, "the host of the service is busy");
            reply.live.send_now(&reply.failed(&busy));
            return true;
        }
        let Some(call) = call_of(frame) else {
            reply.live.send_now(&reply.failed(&CallError::new(Code::BadArguments, Code::BadArguments.text())));
            return true;
        };
        let work = tokio::spawn(async move { reply.work(handler, call).await });
        inner.running.insert(correlation, work.abort_handle());
        true
    }
}

fn call_of(frame: &Frame) -> Option<HostedCall> {
    let target = Cri::parse(frame.header(header::DESTINATION)?).ok()?;
    Some(HostedCall {
        method: target.path()?.to_owned(),
        arguments: Arguments::parse(&frame.body).ok()?,
        caller: frame.header(header::SENDER).and_then(|sender| serde_json::from_str(sender).ok()),
        request_id: frame.header(header::REQUEST_ID).map(str::to_owned),
    })
}

/// Where the answers to one call go.
struct Replying {
    live: Arc<Live>,
    reply_to: String,
    correlation: String,
}

impl Replying {
    async fn work(self, handler: Handler, call: HostedCall) {
        let made = AssertUnwindSafe(async { handler(call).await }).catch_unwind().await;
        let panicked = || CallError::new(Code::Internal, Code::Internal.text());
        let last = match made.unwrap_or_else(|_| Err(panicked())) {
            Ok(Reply::Value(json)) => message::value(self.frame(), json),
            Ok(Reply::Nothing) => message::value(self.frame(), &b"null"[..]),
            Ok(Reply::Stream(mut values)) => loop {
                match AssertUnwindSafe(values.next()).catch_unwind().await {
                    Ok(Some(Ok(json))) => {
                        // Waits for room, so that a stream goes no faster than the connection.
                        let item = message::value(self.frame().with(header::STREAM, "true"), json);
                        if self.live.send(&item).await.is_err() {
                            return;
                        }
                    }
                    Ok(Some(Err(error))) => break self.failed(&error),
                    Ok(None) => break message::complete(self.frame()),
                    Err(_) => break self.failed(&panicked()),
                }
            },
            Err(error) => self.failed(&error),
        };
        let _ = self.live.send(&last).await;
    }

    fn frame(&self) -> Frame {
        Frame::new(Command::Send)
            .with(header::DESTINATION, self.reply_to.as_str())
            .with(header::CORRELATION_ID, self.correlation.as_str())
    }

    fn failed(&self, error: &CallError) -> Frame {
        let mut body = ErrorBody::new(error.code().exception_class(), error.message());
        body.code = Some(error.code().as_str().to_owned());
        message::failure(self.frame(), &body)
    }
}
