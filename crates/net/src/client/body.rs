//! The body of an answer, piece by piece.

use super::{HttpError, HttpFailure, pool::Pool, wire::Connection};
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _};
use hyper::body::{Body as _, Incoming};
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

/// Where the pieces come from, and what happens to the connection afterwards.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) incoming: Incoming,
    pub(super) connection: Connection,
    pub(super) pool: Arc<Pool>,
}

/// The body of an answer as it arrives. Dropping it before its end closes the connection.
#[derive(Debug)]
pub struct BodyStream(Option<Source>);

impl BodyStream {
    pub(super) fn new(source: Source) -> Self {
        let mut stream = Self(Some(source));
        // A body that is known to be empty leaves its connection to the next request at once.
        if stream.0.as_ref().is_some_and(|source| source.incoming.is_end_stream()) {
            stream.finish();
        }
        stream
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// The connection ended before the body did.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        self.next().await.transpose()
    }

    /// The whole body, if it has at most `max` bytes.
    ///
    /// # Errors
    /// It is longer, or the connection ended before the body did.
    pub async fn collect(mut self, max: usize) -> Result<Bytes, HttpError> {
        let mut first = Bytes::new();
        let mut all = BytesMut::new();
        let target = self.0.as_ref().map(|source| source.connection.key().target.clone());
        while let Some(piece) = self.chunk().await? {
            if first.len() + all.len() + piece.len() > max {
                let target = target.unwrap_or_else(|| crate::Target::new("", 0));
                return Err(HttpError::new(HttpFailure::TooLong { target, limit: max }, true));
            }
            if first.is_empty() && all.is_empty() {
                first = piece;
            } else {
                all.extend_from_slice(&std::mem::take(&mut first));
                all.extend_from_slice(&piece);
            }
        }
        Ok(if all.is_empty() { first } else { all.freeze() })
    }

    fn finish(&mut self) {
        if let Some(Source { connection, pool, .. }) = self.0.take() {
            pool.put(connection);
        }
    }
}

impl Stream for BodyStream {
    type Item = Result<Bytes, HttpError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let Some(source) = self.0.as_mut() else { return Poll::Ready(None) };
            match ready!(Pin::new(&mut source.incoming).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    // Trailers carry nothing we use.
                    if let Ok(piece) = frame.into_data() {
                        return Poll::Ready(Some(Ok(piece)));
                    }
                }
                Some(Err(error)) => {
                    let error = HttpError::from_hyper(&source.connection.key().target, &error, true);
                    self.0 = None;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    self.finish();
                    return Poll::Ready(None);
                }
            }
        }
    }
}
