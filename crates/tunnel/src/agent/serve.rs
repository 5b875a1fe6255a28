//! One stream at the gateway: where to, whether that is permitted, dial, copy.

use super::{AgentOptions, figures::Counters};
use crate::{
    allow::{AllowList, NotPermitted, Resolver},
    carrier::stream::MuxStream,
    relay::relay,
    wire::{
        frame,
        open::{OpenRefused, OpenRefusedCode, OpenRequest, answer_connected, answer_refused, answer_seen},
    },
};
use ferrogate_model::fault::chain;
use ferrogate_net::{BoxIo, ConnectError, ConnectFailure, Connector, Target};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{
    sync::{Notify, Semaphore},
    time::Instant,
};

/// How long a stream may take to say where it leads: it says so with its first bytes.
const REQUEST_DEADLINE: Duration = Duration::from_secs(10);
/// The longest a dial may take, whatever the plane asks for.
const DIAL_LONGEST: Duration = Duration::from_secs(60);
/// A dial that takes longer than this acknowledges its stream first: the multiplexer holds back new streams while too
/// many are not acknowledged, and a machine that does not answer must not hold up the others.
const SEEN_AFTER: Duration = Duration::from_millis(20);
/// The longest explanation sent back.
const DETAIL_CHARS: usize = 500;

/// Serves the streams of a gateway; what they share.
pub(super) struct StreamServer {
    dialer: Arc<dyn Connector>,
    resolver: Arc<dyn Resolver>,
    allow: AllowList,
    half_closed: Duration,
    budget: Semaphore,
    counters: Arc<Counters>,
    /// Rings when the allow-list refused something: the plane is told.
    pub(super) refused: Notify,
}

impl StreamServer {
    pub(super) fn new(options: &AgentOptions, counters: Arc<Counters>) -> Self {
        Self {
            dialer: options.dialer.clone(),
            resolver: options.resolver.clone(),
            allow: options.allow.clone(),
            half_closed: options.half_closed,
            budget: Semaphore::new(options.max_streams),
            counters,
            refused: Notify::new(),
        }
    }

    /// Serves one stream to its end.
    pub(super) async fn serve(&self, mut stream: MuxStream) {
        let request = match tokio::time::timeout(REQUEST_DEADLINE, read_request(&mut stream)).await {
            Ok(Ok(request)) => request,
            Ok(Err(error)) => return tracing::debug!(error = chain(&error), "a stream did not say where it leads"),
            Err(_) => return tracing::debug!("a stream did not say in time where it leads"),
        };
        let Ok(_permit) = self.budget.try_acquire() else {
            let detail = "as many connections as this gateway may carry are open already".into();
            return self.refuse(stream, &request, OpenRefused { code: OpenRefusedCode::Budget, detail }).await;
        };
        let mut target = match self.open(&mut stream, &request).await {
            Ok(target) => target,
            Err(refused) => return self.refuse(stream, &request, refused).await,
        };
        self.counters.dialled(None);
        if answer_connected(&mut stream).await.is_err() {
            return;
        }
        let counters = &self.counters;
        counters.streams.fetch_add(1, Ordering::Relaxed);
        let _open = OpenStream(counters);
        let mut counted = Counted { stream, counters };
        match relay(&mut counted, &mut target, self.half_closed).await {
            Ok((to_site, to_plane)) => {
                tracing::debug!(trace_id = request.trace_id, to_site, to_plane, "a stream ended");
            }
            Err(error) => tracing::debug!(trace_id = request.trace_id, %error, "a stream broke"),
        }
    }

    async fn refuse(&self, mut stream: MuxStream, request: &OpenRequest, refused: OpenRefused) {
        self.counters.dialled(Some(refused.code));
        let (trace_id, code) = (&request.trace_id, refused.code);
        if code == OpenRefusedCode::NotAllowed {
            tracing::warn!(trace_id, port = request.port, "refused a target that the allow-list does not permit");
            self.refused.notify_one();
        }
        tracing::debug!(trace_id, target = %request.target(), ?code, detail = refused.detail, "refused a stream");
        let _ = tokio::time::timeout(REQUEST_DEADLINE, answer_refused(&mut stream, &refused)).await;
    }

    /// Dials, and acknowledges the stream where that takes its time.
    async fn open(&self, stream: &mut MuxStream, request: &OpenRequest) -> Result<BoxIo, OpenRefused> {
        let deadline = Duration::from_millis(request.deadline_ms).min(DIAL_LONGEST);
        let target = request.target();
        let mut dial = std::pin::pin!(self.dial(&target, deadline));
        if let Ok(dialled) = tokio::time::timeout(SEEN_AFTER, &mut dial).await {
            return dialled;
        }
        let gone = |_| OpenRefused { code: OpenRefusedCode::Other, detail: "the stream broke".into() };
        answer_seen(stream).await.map_err(gone)?;
        dial.await
    }

    async fn dial(&self, target: &Target, deadline: Duration) -> Result<BoxIo, OpenRefused> {
        let until = Instant::now() + deadline;
        let refused = |code, detail: String| OpenRefused { code, detail: detail.chars().take(DETAIL_CHARS).collect() };
        let addresses = tokio::time::timeout(deadline, self.allow.addresses(target, &*self.resolver))
            .await
            .map_err(|_| refused(OpenRefusedCode::Dns, format!("no answer for the name `{}` in time", target.host)))?
            .map_err(|error| match error {
                NotPermitted::Rule => {
                    refused(OpenRefusedCode::NotAllowed, format!("the gateway's allow-list does not permit {target}"))
                }
                NotPermitted::Name(error) => {
                    refused(OpenRefusedCode::Dns, format!("the name `{}` has no address: {error}", target.host))
                }
            })?;
        let mut last = None;
        for (tried, address) in addresses.iter().enumerate() {
            // What was checked is what is dialled; each address gets its share of the time that is left.
            let literal = Target::new(address.to_string(), target.port);
            let share =
                until.saturating_duration_since(Instant::now()) / u32::try_from(addresses.len() - tried).unwrap_or(1);
            match tokio::time::timeout(share, self.dialer.connect(&literal, share)).await {
                Ok(Ok(connected)) => return Ok(connected),
                Ok(Err(ConnectError { failure, detail, .. })) => last = Some((failure, detail)),
                Err(_) => last = Some((ConnectFailure::Timeout, "no answer in time".into())),
            }
        }
        let (failure, detail) = last.unwrap_or((ConnectFailure::Other, "no address was tried".into()));
        Err(refused((&failure).into(), detail))
    }
}

async fn read_request(stream: &mut MuxStream) -> Result<OpenRequest, frame::FrameError> {
    frame::decode(&frame::read(stream).await?)
}

struct OpenStream<'a>(&'a Counters);

impl Drop for OpenStream<'_> {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream that counts what passes while it passes.
struct Counted<'a> {
    stream: MuxStream,
    counters: &'a Counters,
}

mod counted {
    use super::{Counted, Ordering};
    use std::{
        io,
        pin::Pin,
        task::{Context, Poll, ready},
    };
    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    impl AsyncRead for Counted<'_> {
        fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
            self.counters.to_site.fetch_add((buffer.filled().len() - before) as u64, Ordering::Relaxed);
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Counted<'_> {
        fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
            let count = ready!(Pin::new(&mut self.stream).poll_write(cx, buffer))?;
            self.counters.to_plane.fetch_add(count as u64, Ordering::Relaxed);
            Poll::Ready(Ok(count))
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_shutdown(cx)
        }
    }
}
