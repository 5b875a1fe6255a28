//! Fewer, larger writes under the multiplexer.
//!
//! yamux writes a 12-byte header and then a body, and flushes after nearly every frame. On TLS each write would become
//! a record of its own and each flush a system call. Here writes are gathered, and what was gathered goes out when the
//! multiplexer has nothing left to do: it always tries to read last, so a read that must wait is that moment. A
//! carrier that never stops receiving is flushed every [`FLUSHES_HELD`] frames all the same.

use super::activity::Activity;
use futures::ready;
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How much is gathered before it must go out: also the size of a WebSocket message under load.
pub(crate) const BATCH_BYTES: usize = 64 * 1024;
/// Flushes that may be held back while reads keep the multiplexer busy.
const FLUSHES_HELD: usize = 32;
/// What an idle carrier keeps allocated.
const IDLE_CAPACITY: usize = 4 * 1024;

/// A byte stream that gathers writes, for exactly one owner that reads after it has written.
#[derive(Debug)]
pub(crate) struct Batched<T> {
    io: T,
    activity: Arc<Activity>,
    gathered: Vec<u8>,
    /// How much of `gathered` the stream below has taken.
    taken: usize,
    flushes_held: usize,
    /// Whether the stream below still has to be flushed.
    unflushed: bool,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Batched<T> {
    /// Gathers writes to `io` and notes in `activity` when bytes come.
    pub(crate) fn new(io: T, activity: Arc<Activity>) -> Self {
        Self { io, activity, gathered: Vec::new(), taken: 0, flushes_held: 0, unflushed: false }
    }

    /// Hands what was gathered to the stream below.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.taken < self.gathered.len() {
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, &self.gathered[self.taken..]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.taken += written;
            self.unflushed = true;
        }
        self.gathered.clear();
        self.taken = 0;
        Poll::Ready(Ok(()))
    }

    fn poll_flush_now(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flushes_held = 0;
        ready!(self.poll_drain(cx))?;
        if self.unflushed {
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            self.unflushed = false;
        }
        if self.gathered.capacity() > IDLE_CAPACITY {
            self.gathered.shrink_to(IDLE_CAPACITY);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> futures::AsyncRead for Batched<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut read = ReadBuf::new(buffer);
        if Pin::new(&mut self.io).poll_read(cx, &mut read)?.is_ready() {
            let count = read.filled().len();
            if count > 0 {
                self.activity.note_alive(tokio::time::Instant::now().into_std());
            }
            return Poll::Ready(Ok(count));
        }
        // Nothing to read: the multiplexer is about to wait. A flush that must wait too has left its waker below.
        match self.poll_flush_now(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> futures::AsyncWrite for Batched<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        if self.gathered.len() >= BATCH_BYTES {
            ready!(self.poll_drain(cx))?;
        }
        self.gathered.extend_from_slice(buffer);
        Poll::Ready(Ok(buffer.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flushes_held += 1;
        if self.flushes_held > FLUSHES_HELD {
            return self.poll_flush_now(cx);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush_now(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::io::AsyncReadExt as _;

    fn pair(size: usize) -> (Batched<tokio::io::DuplexStream>, tokio::io::DuplexStream) {
        let (near, far) = tokio::io::duplex(size);
        (Batched::new(near, Arc::new(Activity::new(std::time::Instant::now()))), far)
    }

    #[tokio::test]
    async fn small_writes_go_out_together_when_the_owner_waits_for_bytes() {
        let (mut near, mut far) = pair(1024);
        near.write_all(b"header").await.unwrap();
        near.flush().await.unwrap();
        near.write_all(b"body").await.unwrap();
        let mut buffer = [0; 32];
        assert!(futures::poll!(std::pin::pin!(far.read(&mut buffer))).is_pending(), "nothing goes out too early");
        let mut answer = [0; 1];
        assert!(futures::poll!(near.read(&mut answer)).is_pending());
        assert_eq!(far.read(&mut buffer).await.unwrap(), 10, "one write for both");
    }

    #[tokio::test]
    async fn an_owner_that_never_waits_is_flushed_all_the_same() {
        let (mut near, mut far) = pair(1024);
        for _ in 0..=FLUSHES_HELD {
            near.write_all(b"x").await.unwrap();
            near.flush().await.unwrap();
        }
        let mut buffer = [0; 64];
        assert_eq!(far.read(&mut buffer).await.unwrap(), FLUSHES_HELD + 1);
    }

    #[tokio::test]
    async fn a_full_batch_holds_the_writer_back() {
        let (mut near, _far) = pair(16);
        near.write_all(&vec![0; BATCH_BYTES]).await.unwrap();
        assert!(futures::poll!(near.write(b"more")).is_pending());
    }
}
