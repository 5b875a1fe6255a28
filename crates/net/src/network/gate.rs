//! Cutting and resetting connections by address.

use crate::connect::BoxIo;
use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Whether bytes pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Open,
    Cut,
}

struct Inner {
    state: State,
    /// Counts resets: a connection opened before the last one is broken.
    resets: u64,
    /// Who is woken by a change, by connection, so that a closed one leaves nothing behind.
    waiting: HashMap<u64, Vec<Waker>>,
    next_id: u64,
    /// Connections that were dropped while cut: the other side must not learn of it before the way is healed.
    held: Vec<BoxIo>,
}

/// The way to one address.
pub(super) struct Gate(Mutex<Inner>);

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("state", &self.lock().state).finish_non_exhaustive()
    }
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nothing is cut.
    pub(super) async fn opened(&self) {
        std::future::poll_fn(|context| {
            let mut inner = self.lock();
            if inner.state == State::Open {
                return Poll::Ready(());
            }
            inner.remember(OPENING, context.waker());
            Poll::Pending
        })
        .await;
    }

    fn change(&self, change: impl FnOnce(&mut Inner)) {
        let (wake, release) = {
            let mut inner = self.lock();
            change(&mut inner);
            let release = if inner.state == State::Open { std::mem::take(&mut inner.held) } else { Vec::new() };
            (std::mem::take(&mut inner.waiting), release)
        };
        drop(release);
        for waker in wake.into_values().flatten() {
            waker.wake();
        }
    }
}

/// The id under which those wait that have no connection yet.
const OPENING: u64 = 0;

impl Inner {
    fn remember(&mut self, id: u64, waker: &Waker) {
        let wakers = self.waiting.entry(id).or_default();
        if !wakers.iter().any(|known| known.will_wake(waker)) {
            wakers.push(waker.clone());
        }
    }
}

/// Every address that was ever connected to, cut or reset.
#[derive(Clone, Debug, Default)]
pub(super) struct Gates(Arc<Mutex<HashMap<SocketAddr, Arc<Gate>>>>);

impl Gates {
    pub(super) fn gate(&self, address: SocketAddr) -> Arc<Gate> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new =
            || Inner { state: State::Open, resets: 0, waiting: HashMap::new(), next_id: OPENING + 1, held: Vec::new() };
        Arc::clone(all.entry(address).or_insert_with(|| Arc::new(Gate(Mutex::new(new())))))
    }

    pub(super) fn set(&self, address: SocketAddr, state: State) {
        self.gate(address).change(|inner| inner.state = state);
    }

    pub(super) fn reset(&self, address: SocketAddr) {
        self.gate(address).change(|inner| inner.resets += 1);
    }
}

/// A connection whose bytes pass only while its gate is open.
pub(super) struct Gated {
    io: Option<BoxIo>,
    gate: Arc<Gate>,
    /// The gate's count of resets when this connection was opened.
    born: u64,
    id: u64,
}

impl Gated {
    pub(super) fn new(io: BoxIo, gate: Arc<Gate>) -> Self {
        let (born, id) = {
            let mut inner = gate.lock();
            inner.next_id += 1;
            (inner.resets, inner.next_id)
        };
        Self { io: Some(io), gate, born, id }
    }

    /// The connection, if bytes may pass now; every caller is woken when the gate changes.
    fn pass(&mut self, context: &Context<'_>) -> Poll<io::Result<&mut BoxIo>> {
        let mut inner = self.gate.lock();
        if inner.resets != self.born {
            drop(inner);
            self.io = None;
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        inner.remember(self.id, context.waker());
        if inner.state == State::Cut {
            return Poll::Pending;
        }
        drop(inner);
        Poll::Ready(self.io.as_mut().ok_or_else(|| io::ErrorKind::ConnectionReset.into()))
    }
}

impl Drop for Gated {
    fn drop(&mut self) {
        let io = self.io.take();
        let mut inner = self.gate.lock();
        inner.waiting.remove(&self.id);
        if inner.state == State::Cut && inner.resets == self.born {
            inner.held.extend(io);
        }
    }
}

macro_rules! pass {
    ($gated:expr, $context:expr) => {
        match $gated.pass($context) {
            Poll::Ready(Ok(io)) => Pin::new(io),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        }
    };
}

impl AsyncRead for Gated {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        pass!(self, cx).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Gated {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        pass!(self, cx).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pass!(self, cx).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pass!(self, cx).poll_shutdown(cx)
    }
}
