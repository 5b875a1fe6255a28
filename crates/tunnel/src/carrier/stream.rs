//! One multiplexed stream.

use super::activity::Activity;
use futures::{AsyncRead as _, AsyncWrite as _};
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream of a carrier. Dropping it unfinished resets it at the other end.
#[derive(Debug)]
pub(crate) struct MuxStream {
    inner: yamux::Stream,
    activity: Arc<Activity>,
    /// Whether we said that we write no more.
    write_ended: bool,
    /// Whether the other side said that it writes no more, in order.
    read_ended: bool,
    /// The control channel is not counted among the streams.
    counted: bool,
}

impl MuxStream {
    /// A stream that carries somebody's bytes.
    pub(crate) fn new(inner: yamux::Stream, activity: Arc<Activity>) -> Self {
        activity.stream_opened();
        Self { inner, activity, write_ended: false, read_ended: false, counted: true }
    }

    /// Takes the stream out of the figures: it is the control channel.
    pub(crate) fn uncounted(mut self) -> Self {
        if std::mem::replace(&mut self.counted, false) {
            self.activity.stream_closed();
        }
        self
    }

    /// Whether the other side has said that it writes no more.
    pub(crate) const fn read_has_ended(&self) -> bool {
        self.read_ended
    }

    /// Whether the end that a read reported is one that nobody announced: a reset, or a carrier that died.
    ///
    /// yamux reports both as an end like any other. While we still write, a stream that is wholly closed was reset;
    /// after we ended our half, only the carrier's death can be told from an orderly end.
    fn is_abrupt(&self) -> bool {
        if self.write_ended { self.activity.is_dead() } else { self.inner.is_closed() }
    }
}

impl Drop for MuxStream {
    fn drop(&mut self) {
        if self.counted {
            self.activity.stream_closed();
        }
    }
}

impl AsyncRead for MuxStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.read_ended || buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let count = ready!(Pin::new(&mut self.inner).poll_read(cx, buffer.initialize_unfilled()))?;
        if count == 0 {
            if self.is_abrupt() {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            self.read_ended = true;
        }
        buffer.advance(count);
        if self.counted {
            self.activity.note_read(count);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for MuxStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.inner).poll_write(cx, buffer))?;
        if self.counted {
            self.activity.note_written(count);
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.write_ended {
            return Poll::Ready(Ok(()));
        }
        ready!(Pin::new(&mut self.inner).poll_close(cx))?;
        self.write_ended = true;
        Poll::Ready(Ok(()))
    }
}
