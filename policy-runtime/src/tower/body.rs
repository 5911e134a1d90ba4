//! Bodies of responses: a problem, or the service's own, which is polled as its caller.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;

use crate::security::SecurityContext;

/// The body of a response that passed the layer. What streams is polled in the context of its request.
///
/// ```
/// use http_body::Body;
/// use policy_runtime::tower::ResponseBody;
/// let refusal = ResponseBody::<http_body_util::Empty<bytes::Bytes>>::from("no".to_owned());
/// assert_eq!(refusal.size_hint().exact(), Some(2));
/// ```
pub struct ResponseBody<B> {
    inner: Inner<B>,
}

enum Inner<B> {
    Problem(Full<Bytes>),
    Service(Pin<Box<B>>, Option<SecurityContext>),
}

impl<B> ResponseBody<B> {
    pub(super) fn of_service(body: B, cx: Option<SecurityContext>) -> Self {
        Self { inner: Inner::Service(Box::pin(body), cx) }
    }
}

impl<B> From<String> for ResponseBody<B> {
    fn from(text: String) -> Self {
        Self { inner: Inner::Problem(Full::new(text.into())) }
    }
}

impl<B> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.inner {
            Inner::Problem(_) => "ResponseBody::Problem(..)",
            Inner::Service(..) => "ResponseBody::Service(..)",
        })
    }
}

impl<B: Body<Data = Bytes>> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match &mut self.get_mut().inner {
            Inner::Problem(body) => Pin::new(body).poll_frame(task).map_err(|never| match never {}),
            Inner::Service(body, Some(cx)) => cx.run(|| body.as_mut().poll_frame(task)),
            Inner::Service(body, None) => body.as_mut().poll_frame(task),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Problem(body) => body.is_end_stream(),
            Inner::Service(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Problem(body) => body.size_hint(),
            Inner::Service(body, _) => body.size_hint(),
        }
    }
}
