//! Copies bytes both ways between a stream of the tunnel and a target in the site, without a buffer per idle stream.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

/// How much is read at once. The buffer is one per thread: what a slow writer leaves over is kept by its stream.
const CHUNK: usize = 64 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; CHUNK].into_boxed_slice());
}

/// One direction.
#[derive(Debug, Default)]
struct Half {
    /// Read but not yet written.
    left: Vec<u8>,
    taken: usize,
    read_ended: bool,
    ended: bool,
    bytes: u64,
    unflushed: bool,
}

/// Copies until both sides have said that they write no more, or one breaks. A stream of which one half has ended and
/// on whose other half nothing moves for `half_closed` is reaped: else one silent side would keep it for ever.
///
/// Returns the bytes moved: from `left` to `right`, from `right` to `left`.
///
/// # Errors
/// What broke, or [`io::ErrorKind::TimedOut`] for a stream that was reaped. Both sides are to be dropped then.
pub(crate) async fn relay<L, R>(left: &mut L, right: &mut R, half_closed: Duration) -> io::Result<(u64, u64)>
where
    L: AsyncRead + AsyncWrite + Unpin,
    R: AsyncRead + AsyncWrite + Unpin,
{
    let (mut there, mut back) = (Half::default(), Half::default());
    let mut reaper: Option<(Pin<Box<Sleep>>, u64)> = None;
    std::future::poll_fn(|cx| {
        let one = there.poll_copy(cx, left, right)?;
        let two = back.poll_copy(cx, right, left)?;
        if one.is_ready() && two.is_ready() {
            return Poll::Ready(Ok((there.bytes, back.bytes)));
        }
        if there.ended || back.ended {
            let moved = there.bytes + back.bytes;
            let (timer, seen) = reaper.get_or_insert_with(|| (Box::pin(tokio::time::sleep(half_closed)), moved));
            if *seen != moved {
                *seen = moved;
                timer.as_mut().reset(Instant::now() + half_closed);
            }
            if timer.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "nothing moved after one side ended")));
            }
        }
        Poll::Pending
    })
    .await
}

impl Half {
    fn poll_copy<F, T>(&mut self, cx: &mut Context<'_>, from: &mut F, to: &mut T) -> Poll<io::Result<()>>
    where
        F: AsyncRead + Unpin,
        T: AsyncWrite + Unpin,
    {
        if self.ended {
            return Poll::Ready(Ok(()));
        }
        SCRATCH.with_borrow_mut(|scratch| self.poll_with(cx, from, to, scratch))
    }

    fn poll_with<F, T>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut F,
        to: &mut T,
        scratch: &mut [u8],
    ) -> Poll<io::Result<()>>
    where
        F: AsyncRead + Unpin,
        T: AsyncWrite + Unpin,
    {
        loop {
            while self.taken < self.left.len() {
                match Pin::new(&mut *to).poll_write(cx, &self.left[self.taken..])? {
                    Poll::Ready(count) => self.note(count).map(|()| self.taken += count)?,
                    Poll::Pending => return Poll::Pending,
                }
            }
            self.left = Vec::new();
            self.taken = 0;
            if self.read_ended {
                std::task::ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                self.ended = true;
                return Poll::Ready(Ok(()));
            }
            let mut buffer = ReadBuf::new(scratch);
            if Pin::new(&mut *from).poll_read(cx, &mut buffer)?.is_pending() {
                if self.unflushed && Pin::new(&mut *to).poll_flush(cx)?.is_ready() {
                    self.unflushed = false;
                }
                return Poll::Pending;
            }
            let read = buffer.filled();
            if read.is_empty() {
                self.read_ended = true;
                continue;
            }
            let mut written = 0;
            while written < read.len() {
                match Pin::new(&mut *to).poll_write(cx, &read[written..])? {
                    Poll::Ready(count) => self.note(count).map(|()| written += count)?,
                    Poll::Pending => {
                        self.left = read[written..].to_vec();
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    fn note(&mut self, written: usize) -> io::Result<()> {
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.bytes += written as u64;
        self.unflushed = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    const REAP: Duration = Duration::from_secs(60);

    fn start(size: usize) -> (DuplexStream, DuplexStream, tokio::task::JoinHandle<io::Result<(u64, u64)>>) {
        let ((client, mut left), (mut right, server)) = (duplex(size), duplex(size));
        let task = tokio::spawn(async move { relay(&mut left, &mut right, REAP).await });
        (client, server, task)
    }

    #[tokio::test]
    async fn bytes_and_ends_pass_both_ways() {
        let (mut client, mut server, task) = start(100);
        let sent: Vec<u8> = (0..300_000_u32).map(|n| n as u8).collect();
        let expected = sent.clone();
        let writer = tokio::spawn(async move {
            client.write_all(&sent).await.unwrap();
            client.shutdown().await.unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            answer
        });
        let mut got = Vec::new();
        server.read_to_end(&mut got).await.unwrap();
        assert!(got == expected);
        server.write_all(b"thanks").await.unwrap();
        drop(server);
        assert_eq!(writer.await.unwrap(), "thanks");
        assert_eq!(task.await.unwrap().unwrap(), (300_000, 6));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_half_closed_and_silent_is_reaped_and_one_that_moves_is_not() {
        let (mut client, mut server, task) = start(100);
        client.shutdown().await.unwrap();
        for _ in 0..3 {
            tokio::time::sleep(REAP - Duration::from_secs(1)).await;
            server.write_all(b"x").await.unwrap();
            client.read_u8().await.unwrap();
            assert!(!task.is_finished());
        }
        let before = Instant::now();
        let end = task.await.unwrap();
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(before.elapsed() <= REAP);
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_stream_that_is_open_both_ways_lives_on() {
        let (_client, _server, task) = start(100);
        tokio::time::sleep(REAP * 100).await;
        assert!(!task.is_finished());
    }

    #[tokio::test]
    async fn a_reader_that_stalls_holds_back_the_writer() {
        let (mut client, _server, task) = start(16);
        let written = tokio::time::timeout(Duration::from_millis(200), client.write_all(&vec![0; CHUNK * 4])).await;
        assert!(written.is_err(), "the writer must wait");
        assert!(!task.is_finished());
    }
}
