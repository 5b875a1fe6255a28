//! A body that ends with what opened it.

use super::open_streams::OpenStream;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// When the plane shuts down, a body may go on as long as it does not pause for so long.
const PAUSE_AT_SHUTDOWN: Duration = Duration::from_secs(1);

/// Why a body was cut off. It ends with an error, because what was cut off must not look whole.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CutOff {
    /// What opened it has ended.
    #[error("the credentials that opened it have ended")]
    Revoked,
    /// The plane shuts down.
    #[error("the plane shuts down")]
    ShutDown,
}

/// A body that ends with what opened it, and when the plane shuts down.
pub(crate) struct EndingBody<B> {
    body: B,
    _stream: Arc<OpenStream>,
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
    closing: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Set once the plane shuts down.
    pause: Option<Pin<Box<Sleep>>>,
}

impl<B> EndingBody<B> {
    /// This body, opened by this.
    pub(crate) fn new(body: B, stream: Arc<OpenStream>, closing: &CancellationToken) -> Self {
        Self {
            body,
            ended: Box::pin(stream.ended()),
            _stream: stream,
            closing: Box::pin(closing.clone().cancelled_owned()),
            pause: None,
        }
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin> Body for EndingBody<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        // First, so that not a word passes after the end.
        if this.ended.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(CutOff::Revoked.into())));
        }
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            if this.pause.is_some() {
                this.pause = Some(Box::pin(tokio::time::sleep(PAUSE_AT_SHUTDOWN)));
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        if this.pause.is_none() {
            ready!(this.closing.as_mut().poll(context));
        }
        let pause = this.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(PAUSE_AT_SHUTDOWN)));
        ready!(pause.as_mut().poll(context));
        Poll::Ready(Some(Err(CutOff::ShutDown.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
