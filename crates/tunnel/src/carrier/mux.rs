//! The multiplexer of one carrier: one task drives the yamux connection, everything else talks to that task.

use super::{activity::Activity, batch::Batched, stream::MuxStream};
use ferrogate_net::BoxIo;
use futures::AsyncWrite as _;
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

/// The receive window every yamux stream begins with (the protocol's constant): what a reader that stalls can hold.
pub(crate) const STREAM_WINDOW: usize = 256 * 1024;
/// What all streams of a carrier together may have beyond their first window; windows grow with what the path can hold.
const WINDOW_GROWTH: usize = 64 * 1024 * 1024;
/// Streams yamux itself knows of at most, above every budget of ours: it ends the connection where this is passed, so
/// it must only ever stop somebody who ignores the budgets.
const MAX_MUX_STREAMS: usize = 4096;
/// Payload of a data frame at most: small enough that no stream holds the others up for long.
const FRAME_BYTES: usize = 16 * 1024;
/// Opens that wait for the driver; more are refused.
const OPENS_QUEUED: usize = 1024;
/// How long an orderly end of the connection may take.
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);

/// A stream that could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OpenError {
    /// The carrier has ended.
    #[error("the carrier has ended")]
    Closed,
    /// Too many opens wait already.
    #[error("too many streams wait to be opened")]
    Busy,
}

/// Which end of the carrier this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The gateway: it dialled.
    Gateway,
    /// The plane: it accepted.
    Plane,
}

struct Open {
    /// Written as the stream's first bytes: yamux opens lazily, and a target that speaks first would never be reached.
    first: Vec<u8>,
    reply: oneshot::Sender<MuxStream>,
}

/// Opens streams on a carrier.
#[derive(Clone, Debug)]
pub(crate) struct Opener {
    opens: mpsc::Sender<Open>,
    activity: Arc<Activity>,
}

impl Opener {
    /// Opens a stream whose first bytes are `first` (at most a frame).
    pub(crate) async fn open(&self, first: Vec<u8>) -> Result<MuxStream, OpenError> {
        let (reply, answer) = oneshot::channel();
        self.opens.try_send(Open { first, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => OpenError::Busy,
            mpsc::error::TrySendError::Closed(_) => OpenError::Closed,
        })?;
        answer.await.map_err(|_| OpenError::Closed)
    }

    /// The carrier's figures.
    pub(crate) const fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }
}

/// A running multiplexer.
#[derive(Debug)]
pub(crate) struct Mux {
    /// Opens streams.
    pub(crate) opener: Opener,
    /// Streams the other side opened.
    pub(crate) inbound: mpsc::Receiver<MuxStream>,
    close: mpsc::Sender<()>,
    pub(crate) driver: JoinHandle<Result<(), String>>,
}

impl Mux {
    /// Starts the multiplexer on a carrier. `inbound` streams are kept waiting in a queue of that size; what does not
    /// fit is reset, because the driver never waits for anybody.
    pub(crate) fn start(io: BoxIo, end: End, inbound: usize) -> Self {
        let activity = Arc::new(Activity::new(tokio::time::Instant::now().into_std()));
        let mode = match end {
            End::Gateway => yamux::Mode::Client,
            End::Plane => yamux::Mode::Server,
        };
        let connection = yamux::Connection::new(Batched::new(io, activity.clone()), configuration(), mode);
        let (opens, opens_queue) = mpsc::channel(OPENS_QUEUED);
        let (arrived, inbound) = mpsc::channel(inbound);
        let (close, close_asked) = mpsc::channel(1);
        let driver = Driver { connection, opens: opens_queue, waiting: None, arrived, activity: activity.clone() };
        let driver = tokio::spawn(driver.run(close_asked));
        Self { opener: Opener { opens, activity }, inbound, close, driver }
    }

    /// Waits until the carrier has ended, and says why. A panic in the driver is such an end. Dropping the future loses
    /// nothing; it must not be called again once it has answered.
    pub(crate) async fn wait(driver: &mut JoinHandle<Result<(), String>>) -> String {
        match driver.await {
            Ok(Ok(())) => "the other side closed the connection".into(),
            Ok(Err(error)) => error,
            Err(error) if error.is_panic() => "the connection's task panicked".into(),
            Err(_) => "the connection's task was stopped".into(),
        }
    }

    /// Ends the carrier in order, within [`CLOSE_DEADLINE`].
    pub(crate) async fn close(mut self) {
        if self.driver.is_finished() {
            return;
        }
        // Full means that it was asked already. What the driver says at the end concerns nobody any more.
        let _ = self.close.try_send(());
        let _ = tokio::time::timeout(CLOSE_DEADLINE, &mut self.driver).await;
    }
}

impl Drop for Mux {
    fn drop(&mut self) {
        self.opener.activity.set_dead();
        self.driver.abort();
    }
}

/// yamux's setters check each other: the window must be raised before the number of streams.
fn configuration() -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_connection_receive_window(Some(MAX_MUX_STREAMS * STREAM_WINDOW + WINDOW_GROWTH));
    config.set_max_num_streams(MAX_MUX_STREAMS);
    config.set_split_send_size(FRAME_BYTES);
    config.set_read_after_close(true);
    config
}

struct Driver {
    connection: yamux::Connection<Batched<BoxIo>>,
    opens: mpsc::Receiver<Open>,
    /// An open that yamux holds back because too many streams are not acknowledged yet.
    waiting: Option<Open>,
    arrived: mpsc::Sender<MuxStream>,
    activity: Arc<Activity>,
}

impl Driver {
    async fn run(mut self, mut close: mpsc::Receiver<()>) -> Result<(), String> {
        let end = {
            let drive = std::future::poll_fn(|cx| self.poll(cx));
            tokio::select! {
                end = drive => Some(end),
                _ = close.recv() => None,
            }
        };
        let end = match end {
            Some(end) => end,
            None => std::future::poll_fn(|cx| self.connection.poll_close(cx)).await.map_err(|e| e.to_string()),
        };
        self.activity.set_dead();
        end
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), String>> {
        loop {
            match self.connection.poll_next_inbound(cx) {
                Poll::Ready(Some(Ok(stream))) => {
                    // Dropped where the queue is full: the other side sees a reset.
                    let _ = self.arrived.try_send(MuxStream::new(stream, self.activity.clone()));
                    continue;
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error.to_string())),
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Pending => {}
            }
            let open = match self.waiting.take() {
                Some(open) => open,
                None => match self.opens.poll_recv(cx) {
                    Poll::Ready(Some(open)) => open,
                    Poll::Ready(None) | Poll::Pending => return Poll::Pending,
                },
            };
            if open.reply.is_closed() {
                continue;
            }
            match self.connection.poll_new_outbound(cx) {
                Poll::Ready(Ok(stream)) => self.hand_out(stream, open, cx),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.to_string())),
                Poll::Pending => {
                    self.waiting = Some(open);
                    return Poll::Pending;
                }
            }
        }
    }

    fn hand_out(&self, mut stream: yamux::Stream, open: Open, cx: &mut Context<'_>) {
        // A new stream has room for a frame and its whole window, so the first bytes are taken at once and whole.
        if let Poll::Ready(Ok(taken)) = Pin::new(&mut stream).poll_write(cx, &open.first)
            && taken == open.first.len()
        {
            let _ = open.reply.send(MuxStream::new(stream, self.activity.clone()));
        }
    }
}

#[cfg(test)]
mod tests;
