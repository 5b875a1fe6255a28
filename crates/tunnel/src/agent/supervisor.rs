//! Keeps one carrier up: dial, serve, dial again.

use super::{
    AgentEnd, Shared,
    dial::{self, Dialled},
};
use crate::{
    carrier::{
        link::{Event, Link, LinkEnd, Pace},
        mux::{End, Mux},
    },
    session::{
        conversation::SessionEnd,
        reconnect::{Ended, Next, Reconnect},
    },
    wire::{
        control::{GoAway, Stats},
        hello::CarrierKind,
    },
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{sync::oneshot, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

/// Streams that may wait for their task; the multiplexer resets more. They never wait long: a task only has to start.
const INBOUND_QUEUED: usize = 1024;

/// Keeps a carrier of this kind up until stopped or revoked.
pub(super) async fn supervise(shared: Arc<Shared>, kind: CarrierKind, stop: CancellationToken) -> AgentEnd {
    let mut policy = Reconnect::default();
    // Carriers that are served: the current one, and older ones that drain.
    let mut carriers = JoinSet::new();
    let mut to_replace: Vec<CancellationToken> = Vec::new();
    if kind != CarrierKind::Control && !wait_for_first(&shared, &stop).await {
        return AgentEnd::Cancelled;
    }
    let end = loop {
        let ended = match dial_or_stop(&shared, kind, &stop).await {
            None => break AgentEnd::Cancelled,
            Some(Ok(dialled)) => {
                policy.connected(Instant::now().into_std());
                let (carrier, replace) = Carrier::new(&shared, kind, &stop);
                let replaced = carrier.replaced.clone();
                let mut task = carriers.spawn(serve(carrier, dialled)).id();
                to_replace.drain(..).for_each(|older| older.cancel());
                let outcome = tokio::select! {
                    within = replace => within.ok(),
                    ended = wait_for(&mut carriers, &mut task) => Some(Err(ended)),
                };
                match outcome {
                    Some(Ok(within)) => {
                        to_replace.push(replaced);
                        let wait = within.mul_f64(rand::random());
                        tracing::debug!(carrier = %kind, ?wait, "replacing a carrier that drains");
                        if stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                            break AgentEnd::Cancelled;
                        }
                        continue;
                    }
                    Some(Err(ended)) => ended,
                    // The carrier's task ended without asking for a replacement: its end is what counts.
                    None => wait_for(&mut carriers, &mut task).await,
                }
            }
            Some(Err(error)) => {
                shared.counters.carriers_failed.fetch_add(1, Ordering::Relaxed);
                let detail = dial::words(&error);
                tracing::warn!(carrier = %kind, error = detail, "could not reach the plane");
                shared.status.send_modify(|status| status.last_error = Some(detail));
                error.ended()
            }
        };
        if stop.is_cancelled() {
            break AgentEnd::Cancelled;
        }
        match policy.ended(Instant::now().into_std(), ended, rand::random()) {
            Next::Stop => {
                tracing::error!("the plane revoked this node; it stops trying to connect");
                shared.status.send_modify(|status| status.revoked = true);
                break AgentEnd::Revoked;
            }
            Next::DialIn(wait) => {
                tracing::debug!(carrier = %kind, ?wait, "dialling again");
                if stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                    break AgentEnd::Cancelled;
                }
            }
        }
    };
    if end == AgentEnd::Cancelled {
        // Each drains by itself, within its deadline.
        while carriers.join_next().await.is_some() {}
    }
    end
}

/// A node that registers must do so on one carrier before the other one dials.
async fn wait_for_first(shared: &Shared, stop: &CancellationToken) -> bool {
    let mut status = shared.status.subscribe();
    let first = status.wait_for(|status| status.registered.is_some());
    stop.run_until_cancelled(first).await.is_some_and(|first| first.is_ok())
}

async fn dial_or_stop(
    shared: &Shared,
    kind: CarrierKind,
    stop: &CancellationToken,
) -> Option<Result<Dialled, dial::DialError>> {
    stop.run_until_cancelled(Box::pin(dial::dial(shared, kind))).await
}

/// Waits for one task of the set; others that end meanwhile had been replaced already.
async fn wait_for(carriers: &mut JoinSet<Ended>, task: &mut tokio::task::Id) -> Ended {
    loop {
        match carriers.join_next_with_id().await {
            Some(Ok((id, ended))) if id == *task => return ended,
            Some(Err(error)) if error.id() == *task => {
                tracing::error!(%error, "a carrier's task panicked");
                return Ended::Lost;
            }
            Some(_) => {}
            None => return Ended::Lost,
        }
    }
}

/// A carrier that is being served.
struct Carrier {
    shared: Arc<Shared>,
    kind: CarrierKind,
    stop: CancellationToken,
    /// Fires when another carrier has taken this one's place.
    replaced: CancellationToken,
    /// Asks for a replacement, within a time.
    replace: Option<oneshot::Sender<Duration>>,
}

impl Carrier {
    fn new(
        shared: &Arc<Shared>,
        kind: CarrierKind,
        stop: &CancellationToken,
    ) -> (Self, impl Future<Output = Result<Result<Duration, Ended>, oneshot::error::RecvError>> + use<>) {
        let (replace, asked) = oneshot::channel();
        let carrier = Self {
            shared: shared.clone(),
            kind,
            stop: stop.clone(),
            replaced: CancellationToken::new(),
            replace: Some(replace),
        };
        (carrier, async { asked.await.map(Ok) })
    }
}

/// Counts a carrier in the status while it is up.
struct Up<'a>(&'a Shared);

impl<'a> Up<'a> {
    fn new(shared: &'a Shared, dialled: &Dialled) -> Self {
        shared.counters.carriers_made.fetch_add(1, Ordering::Relaxed);
        shared.status.send_modify(|status| {
            status.carriers += 1;
            status.connected = true;
            status.last_error = None;
            status.registered = Some((dialled.welcome.gateway_id, dialled.welcome.node_id));
        });
        Self(shared)
    }
}

impl Drop for Up<'_> {
    fn drop(&mut self) {
        self.0.status.send_modify(|status| {
            status.carriers -= 1;
            status.connected = status.carriers > 0;
        });
    }
}

async fn serve(mut carrier: Carrier, dialled: Dialled) -> Ended {
    let shared = carrier.shared.clone();
    let up = Up::new(&shared, &dialled);
    let pace = Pace {
        ping_every: Duration::from_millis(dialled.welcome.ping_every_ms.max(100)),
        dead_after: Duration::from_millis(dialled.welcome.dead_after_ms.max(1000)),
    };
    tracing::info!(carrier = %carrier.kind, websocket = dialled.websocket, "connected to the plane");
    let mux = Mux::start(dialled.io, End::Gateway, INBOUND_QUEUED);
    let end = match Link::open(mux, pace, figures(&shared)).await {
        Ok(mut link) => {
            let end = run(&mut carrier, &mut link).await;
            drop(up);
            link.close(&end).await;
            end
        }
        Err(end) => end,
    };
    let detail = words(&end);
    tracing::info!(carrier = %carrier.kind, reason = detail, "a connection to the plane ended");
    if !matches!(end, LinkEnd::Session(SessionEnd::Drained)) {
        shared.status.send_modify(|status| status.last_error = Some(detail));
    }
    match end {
        LinkEnd::Session(SessionEnd::Told(GoAway::Revoked)) => Ended::Revoked,
        LinkEnd::Session(SessionEnd::Told(GoAway::Superseded | GoAway::Disconnected | GoAway::Other)) => {
            Ended::Refused { retry_after: None }
        }
        LinkEnd::Session(_) | LinkEnd::Lost(_) => Ended::Lost,
    }
}

async fn run(carrier: &mut Carrier, link: &mut Link) -> LinkEnd {
    let shared = carrier.shared.clone();
    let mut streams = JoinSet::new();
    let (mut leaving, mut told_replaced) = (false, false);
    loop {
        let refused = shared.streams.refused.notified();
        let event = tokio::select! {
            event = link.next() => event,
            Some(_) = streams.join_next(), if !streams.is_empty() => continue,
            () = refused, if carrier.kind == CarrierKind::Control => {
                link.send_figures(figures(&shared));
                continue;
            }
            () = carrier.stop.cancelled(), if !leaving => {
                leaving = true;
                link.go_away(GoAway::Leaving, Some(shared.options.drain_deadline));
                continue;
            }
            () = carrier.replaced.cancelled(), if !told_replaced => {
                told_replaced = true;
                link.replaced();
                continue;
            }
        };
        match event {
            Event::Inbound(stream) => {
                let server = shared.streams.clone();
                streams.spawn(async move { server.serve(stream).await });
            }
            Event::Replace(within) => {
                if let Some(replace) = carrier.replace.take() {
                    let _ = replace.send(within);
                }
            }
            Event::Avoid | Event::Figures(_) => {}
            Event::Ended(end) => return end,
        }
    }
}

fn figures(shared: &Shared) -> Stats {
    Stats { refusals: shared.counters.refusals() }
}

fn words(end: &LinkEnd) -> String {
    match end {
        LinkEnd::Lost(detail) => detail.clone(),
        LinkEnd::Session(SessionEnd::Silent) => "nothing came from the plane for too long".into(),
        LinkEnd::Session(SessionEnd::Drained) => "it was drained".into(),
        LinkEnd::Session(SessionEnd::Said(_)) => "this gateway left".into(),
        LinkEnd::Session(SessionEnd::Told(reason)) => match reason {
            GoAway::Drain { .. } => "the plane drained it".into(),
            GoAway::Shutdown => "the plane shuts down".into(),
            GoAway::Superseded => "another process with this node's key connected".into(),
            GoAway::Revoked => "the plane revoked this node".into(),
            GoAway::Disconnected | GoAway::Leaving | GoAway::Other => "the plane disconnected this node".into(),
        },
    }
}
