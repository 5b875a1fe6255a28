//! One HTTP/1.1 connection.

use super::{
    BodyStream, HttpError,
    body::Source,
    pool::{Key, Pool},
};
use crate::connect::BoxIo;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::AbortHandle,
};

/// Whether a request has been handed to a connection, readable after its future was dropped.
#[derive(Debug, Default)]
pub(super) struct Sent(AtomicBool);

impl Sent {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn clear(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// A request without an answer.
pub(super) struct Failed {
    /// The request itself, if nothing of it was sent.
    pub(super) unsent: Option<Request<Bytes>>,
    /// Whether a byte of an answer had arrived.
    pub(super) answered: bool,
    pub(super) error: HttpError,
}

/// An open connection and the task that drives it; dropping it ends both.
#[derive(Debug)]
pub(super) struct Connection {
    key: Key,
    sender: SendRequest<Full<Bytes>>,
    received: Arc<AtomicU64>,
    _driver: Driver,
}

#[derive(Debug)]
struct Driver(AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Connection {
    pub(super) async fn open(io: BoxIo, key: &Key) -> Result<Self, HttpError> {
        let received = Arc::new(AtomicU64::new(0));
        let io = TokioIo::new(Counted { io, received: Arc::clone(&received) });
        let handshake = http1::Builder::new().handshake(io).await;
        let (sender, connection) = handshake.map_err(|error| HttpError::from_hyper(&key.target, &error, false))?;
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::trace!(%error, "an HTTP connection ended");
            }
        });
        Ok(Self { key: key.clone(), sender, received, _driver: Driver(task.abort_handle()) })
    }

    pub(super) const fn key(&self) -> &Key {
        &self.key
    }

    pub(super) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    pub(super) async fn exchange(
        mut self,
        request: Request<Bytes>,
        sent: &Sent,
        pool: &Arc<Pool>,
    ) -> Result<Response<BodyStream>, Failed> {
        if let Err(error) = self.sender.ready().await {
            let error = HttpError::from_hyper(&self.key.target, &error, false);
            return Err(Failed { unsent: Some(request), answered: false, error });
        }
        let before = self.received.load(Ordering::Relaxed);
        sent.0.store(true, Ordering::Relaxed);
        let (parts, body) = request.into_parts();
        let copy = body.clone();
        match self.sender.try_send_request(Request::from_parts(parts, Full::new(body))).await {
            Ok(response) => {
                let (parts, incoming) = response.into_parts();
                let source = Source { incoming, connection: self, pool: Arc::clone(pool) };
                Ok(Response::from_parts(parts, BodyStream::new(source)))
            }
            Err(mut failed) => {
                let unsent = failed.take_message().map(|request| {
                    let (parts, _) = request.into_parts();
                    Request::from_parts(parts, copy)
                });
                let error = HttpError::from_hyper(&self.key.target, failed.error(), unsent.is_none());
                Err(Failed { unsent, answered: self.received.load(Ordering::Relaxed) != before, error })
            }
        }
    }
}

/// Counts what arrives, so that "nothing came back" is known and not guessed.
struct Counted {
    io: BoxIo,
    received: Arc<AtomicU64>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.io).poll_read(cx, buffer);
        let count = buffer.filled().len() - before;
        self.received.fetch_add(count.try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
        result
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
