//! Opens connections through a gateway.

use super::{Handle, Inner};
use crate::{
    carrier::{mux::OpenError, stream::MuxStream},
    session::registry::CarrierId,
    wire::{
        frame,
        hello::CarrierKind,
        open::{OpenRequest, read_answer},
    },
};
use async_trait::async_trait;
use ferrogate_model::{GatewayId, NodeId};
use ferrogate_net::{BoxIo, ConnectError, ConnectFailure, Connector, Target};
use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep},
};

/// The longest host name DNS knows.
const LONGEST_HOST: usize = 253;
/// Of a connection's deadline, the part the gateway does not get: its answer must be here before the deadline.
const ANSWER_SHARE: u32 = 10;

/// How long the answer of one node is waited for where another could be asked: a node that has just lost its power does not
/// say so, and is taken for dead only after some pings.
const PATIENCE: Duration = Duration::from_secs(4);

/// Connections through one gateway.
struct GatewayConnector {
    inner: Arc<Inner>,
    gateway: GatewayId,
    kind: CarrierKind,
}

pub(super) fn new(inner: Arc<Inner>, gateway: GatewayId, kind: CarrierKind) -> Arc<dyn Connector> {
    Arc::new(GatewayConnector { inner, gateway, kind })
}

impl fmt::Debug for GatewayConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayConnector").field("gateway", &self.gateway).field("kind", &self.kind).finish()
    }
}

/// How one try ended without a stream.
enum Tried {
    /// Finally.
    Failed(ConnectFailure, String),
    /// The carrier broke before it answered: nothing has happened at the target that matters, so try another.
    Unanswered(String),
}

#[async_trait]
impl Connector for GatewayConnector {
    async fn connect(&self, target: &Target, deadline: Duration) -> Result<BoxIo, ConnectError> {
        let until = Instant::now() + deadline;
        let fail = |failure, detail: String| ConnectError {
            failure,
            target: target.clone(),
            via: Some(format!("gateway {}", self.gateway)),
            detail,
        };
        if target.host.len() > LONGEST_HOST {
            return Err(fail(ConnectFailure::Dns, "the host name is longer than DNS allows".into()));
        }
        let permit = self.inner.budget(self.gateway).try_acquire_owned().map_err(|_| {
            fail(ConnectFailure::Budget, "as many connections as the gateway may carry are open already".into())
        })?;
        let trace_id = format!("{:016x}", rand::random::<u64>());
        let mut broken: Option<((NodeId, CarrierId), String)> = None;
        for _ in 0..2 {
            let not = broken.as_ref().map(|(id, _)| *id);
            let Some((carrier, handle)) = self.carrier(not, until).await else {
                let detail = broken.map_or_else(|| "no node of the gateway is connected".to_owned(), |(_, why)| why);
                return Err(fail(ConnectFailure::NoCarrier, detail));
            };
            let may_ask_another = not.is_none() && self.inner.registry().has_another(self.gateway, carrier.0);
            let opening = self.open(&handle, target, until, &trace_id);
            let opened = if may_ask_another {
                // Half of what is left at most, so that the other has its time too.
                let patience = PATIENCE.min(until.saturating_duration_since(Instant::now()) / 2);
                let unanswered = |_| Err(Tried::Unanswered(format!("a node did not answer within {patience:?}")));
                tokio::time::timeout(patience, opening).await.unwrap_or_else(unanswered)
            } else {
                opening.await
            };
            match opened {
                Ok(stream) => {
                    tracing::debug!(trace_id, gateway = %self.gateway, %target, "opened a connection");
                    return Ok(Box::new(TunnelStream { stream, stalled: None, _permit: permit }));
                }
                Err(Tried::Failed(failure, detail)) => {
                    tracing::debug!(trace_id, gateway = %self.gateway, %target, ?failure, detail, "opened no connection");
                    return Err(fail(failure, detail));
                }
                Err(Tried::Unanswered(why)) => broken = Some((carrier, why)),
            }
        }
        let why = broken.map(|(_, why)| why).unwrap_or_default();
        Err(fail(ConnectFailure::NoCarrier, format!("the carrier broke before the gateway answered: {why}")))
    }
}

impl GatewayConnector {
    /// The best carrier; waits a little where there is none: gateways reconnect within seconds.
    async fn carrier(&self, not: Option<(NodeId, CarrierId)>, until: Instant) -> Option<((NodeId, CarrierId), Handle)> {
        let patience = until.min(Instant::now() + self.inner.options.carrier_wait);
        let mut changed = self.inner.changed.subscribe();
        loop {
            changed.borrow_and_update();
            let load = |handle: &Handle| handle.opener.activity().streams();
            let picked = self.inner.registry().pick(self.gateway, self.kind, not, load);
            if let Some((node, carrier, handle)) = picked {
                return Some(((node, carrier), handle));
            }
            tokio::time::timeout_at(patience, changed.changed()).await.ok()?.ok()?;
        }
    }

    async fn open(&self, handle: &Handle, target: &Target, until: Instant, trace_id: &str) -> Result<MuxStream, Tried> {
        let left = until.saturating_duration_since(Instant::now());
        let request = OpenRequest::new(target, left - left / ANSWER_SHARE, trace_id.to_owned());
        let open = async {
            let mut stream = handle.opener.open(frame::encode(&request)).await.map_err(|error| match error {
                OpenError::Busy => Tried::Failed(ConnectFailure::Budget, error.to_string()),
                OpenError::Closed => Tried::Unanswered(error.to_string()),
            })?;
            match read_answer(&mut stream).await {
                Ok(Ok(())) => Ok(stream),
                Ok(Err(refused)) => Err(Tried::Failed(refused.code.into(), refused.detail)),
                Err(error) => Err(Tried::Unanswered(error.to_string())),
            }
        };
        tokio::time::timeout_at(until, open).await.unwrap_or_else(|_| {
            Err(Tried::Failed(ConnectFailure::Timeout, "the gateway did not answer in time".into()))
        })
    }
}

/// How long a write may wait on a stream whose other half has ended: the gateway has reaped it by then, and yamux does
/// not tell (it drops such a stream without a word).
const STALLED_LONGEST: Duration = Duration::from_secs(60);

/// A connection through a gateway; gives its part of the budget back when it is dropped.
struct TunnelStream {
    stream: MuxStream,
    stalled: Option<Pin<Box<Sleep>>>,
    _permit: OwnedSemaphorePermit,
}

impl AsyncRead for TunnelStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for TunnelStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buffer);
        if written.is_ready() || !self.stream.read_has_ended() {
            self.stalled = None;
            return written;
        }
        let timer = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(STALLED_LONGEST)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "nothing moved after the other side ended")))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
