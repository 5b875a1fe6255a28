//! One carrier at the plane: handshake, admission, and its life until the end.

use super::{Command, DisconnectReason, Handle, HubEvent, Inner};
use crate::{
    authenticate::{EnrolRefused, Enrolment},
    carrier::{
        link::{Event, Link, LinkEnd, Pace},
        mux::{End, Mux},
    },
    session::{
        conversation::SessionEnd,
        handshake::{Proven, ServerHandshake, check_known},
        registry::{Arrival, CarrierId, Use},
    },
    wire::{
        control::GoAway,
        frame::{self, FrameError},
        hello::{NONCE_BYTES, NodeClaim, Refusal, RefusalCode, ServerMessage, Welcome},
    },
};
use ferrogate_model::{Explain, GatewayId, Name, NodeId};
use ferrogate_net::{BoxIo, LimitReached};
use ring::rand::SecureRandom;
use std::{net::SocketAddr, sync::atomic::Ordering, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
};

/// How long an answer to a gateway may take to be written.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);
/// When a gateway should come again to a plane that is about to stop: to another replica, or to its successor.
const DRAINING_RETRY: Duration = Duration::from_secs(2);
/// When a gateway should come again to a plane whose store does not answer.
const UNAVAILABLE_RETRY: Duration = Duration::from_secs(5);
/// When a gateway should come again to a plane with too many handshakes under way.
const BUSY_RETRY: Duration = Duration::from_secs(1);
/// Commands that wait for a carrier's task.
const COMMANDS_QUEUED: usize = 8;

/// A handshake that did not succeed.
enum Failed {
    /// The gateway is told why.
    Refused(Refusal),
    /// It is gone, or does not speak the protocol.
    Gone(FrameError),
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<FrameError> for Failed {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Io(_) => Self::Gone(error),
            FrameError::TooLong(_) | FrameError::Malformed(_) | FrameError::Unexpected(_) | FrameError::OutOfTurn => {
                Self::Refused(Refusal::new(RefusalCode::BadHello, error.to_string()))
            }
        }
    }
}

/// Who came in.
struct Accepted {
    proven: Proven,
    gateway: GatewayId,
    node: NodeId,
    name: Name,
}

/// Serves a carrier from its first byte to its last.
pub(super) async fn serve(inner: &Inner, mut io: BoxIo, exporter: Option<[u8; 32]>, peer: SocketAddr) {
    let deadline = inner.options.handshake_deadline;
    let handshake = tokio::select! {
        done = tokio::time::timeout(deadline, handshake(inner, &mut io, exporter, peer)) => done,
        () = inner.stop.cancelled() => return,
    };
    let accepted = match handshake {
        Ok(Ok(accepted)) => accepted,
        Ok(Err(Failed::Refused(refusal))) => {
            tracing::info!(%peer, code = ?refusal.code, message = refusal.message, "refused a gateway node");
            refuse(&mut io, refusal).await;
            return;
        }
        Ok(Err(Failed::Gone(error))) => {
            tracing::debug!(%peer, %error, "a gateway node left during its handshake");
            return;
        }
        Err(_) => {
            tracing::info!(%peer, "a gateway node took too long for its handshake");
            return;
        }
    };
    live(inner, io, accepted, peer).await;
}

async fn refuse(io: &mut BoxIo, refusal: Refusal) {
    let answer = frame::encode(&ServerMessage::Refused(refusal));
    let send = async {
        io.write_all(&answer).await?;
        io.flush().await?;
        io.shutdown().await?;
        // A connection closed with bytes unread is reset, and a reset may overtake the answer.
        let mut rest = [0; 512];
        while io.read(&mut rest).await? > 0 {}
        std::io::Result::Ok(())
    };
    let _ = tokio::time::timeout(ANSWER_DEADLINE, send).await;
}

async fn handshake(
    inner: &Inner,
    io: &mut BoxIo,
    exporter: Option<[u8; 32]>,
    peer: SocketAddr,
) -> Result<Accepted, Failed> {
    if inner.draining.load(Ordering::Acquire) {
        let refusal = Refusal::new(RefusalCode::Draining, "this plane is about to stop");
        return Err(refusal.retry_after(DRAINING_RETRY).into());
    }
    let busy = |wait| Refusal::new(RefusalCode::Busy, "too many gateways connect at once").retry_after(wait);
    // Before it counts for the rate: whoever has as many as it may takes nothing from others.
    let _permit = inner.handshakes.acquire(peer.ip()).map_err(|reached| match reached {
        LimitReached::Total => busy(BUSY_RETRY),
        LimitReached::Source => {
            let detail = "too many connections from this address are in their handshake at once";
            Refusal::new(RefusalCode::Busy, detail).retry_after(BUSY_RETRY)
        }
    })?;
    let now = tokio::time::Instant::now().into_std();
    inner.admission.lock().expect("nothing panics while it holds the admission").admit(now).map_err(busy)?;

    let mut nonce = [0; NONCE_BYTES];
    ring::rand::SystemRandom::new()
        .fill(&mut nonce)
        .map_err(|_| Refusal::new(RefusalCode::Unavailable, "the plane has no random bytes"))?;
    let mut server = ServerHandshake::new(exporter, nonce);
    let challenge = server.on_hello(frame::read(io).await?)?;
    io.write_all(&frame::encode(&challenge)).await.map_err(FrameError::Io)?;
    io.flush().await.map_err(FrameError::Io)?;
    let proven = server.on_proof(&frame::read(io).await?)?;
    accept(inner, proven).await
}

async fn accept(inner: &Inner, proven: Proven) -> Result<Accepted, Failed> {
    match proven.hello.node.clone() {
        NodeClaim::Known(node) => {
            let known = inner.authenticator.node(node).await.map_err(|error| {
                Refusal::new(RefusalCode::Unavailable, error.to_string()).retry_after(UNAVAILABLE_RETRY)
            })?;
            let known = check_known(&proven, known)?;
            Ok(Accepted { proven, gateway: known.gateway, node, name: known.name })
        }
        NodeClaim::Enrol { token, node_name } => {
            let enrolment = Enrolment {
                token,
                public_key: proven.hello.public_key,
                node_name: node_name.clone(),
                version: proven.hello.version.clone(),
            };
            let (gateway, node) = inner.authenticator.enrol(enrolment).await.map_err(|error| {
                let refusal = |code| Refusal::new(code, error.to_string()).hint(error.hint());
                match error {
                    EnrolRefused::Unavailable(_) => refusal(RefusalCode::Unavailable).retry_after(UNAVAILABLE_RETRY),
                    EnrolRefused::Unknown
                    | EnrolRefused::Expired
                    | EnrolRefused::Used
                    | EnrolRefused::WrongNode
                    | EnrolRefused::GatewayGone => refusal(RefusalCode::EnrolmentRefused),
                }
            })?;
            tracing::info!(%gateway, %node, "registered a gateway node");
            Ok(Accepted { proven, gateway, node, name: node_name })
        }
    }
}

/// A carrier's entry in the registry, removed whatever happens to the carrier's task.
struct Registration<'a> {
    inner: &'a Inner,
    gateway: GatewayId,
    node: NodeId,
    id: CarrierId,
    handle: Handle,
    reason: DisconnectReason,
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        let (read, written) = self.handle.opener.activity().bytes();
        let mut registry = self.inner.registry();
        registry.add_carried(self.node, read + written);
        let last = registry.remove(self.node, self.id);
        drop(registry);
        self.inner.changed.send_replace(());
        if last.is_some() {
            tracing::info!(gateway = %self.gateway, node = %self.node, reason = %self.reason, "a gateway node is gone");
            let reason = self.reason.clone();
            // Nobody may be listening.
            let _ = self.inner.events.send(HubEvent::Disconnected { gateway: self.gateway, node: self.node, reason });
        }
    }
}

async fn live(inner: &Inner, mut io: BoxIo, accepted: Accepted, peer: SocketAddr) {
    let (gateway, node) = (accepted.gateway, accepted.node);
    let hello = &accepted.proven.hello;
    let stale = inner.registry().nodes().any(|(id, present)| id == node && present.epoch > hello.epoch);
    if stale {
        refuse(&mut io, superseded()).await;
        return;
    }
    let pace = Pace { ping_every: inner.options.ping_every, dead_after: inner.options.dead_after };
    let milliseconds = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let welcome = frame::encode(&ServerMessage::Welcome(Welcome {
        protocol: accepted.proven.protocol,
        node_id: node,
        gateway_id: gateway,
        ping_every_ms: milliseconds(pace.ping_every),
        dead_after_ms: milliseconds(pace.dead_after),
    }));
    let send = async {
        io.write_all(&welcome).await?;
        io.flush().await
    };
    if !matches!(tokio::time::timeout(ANSWER_DEADLINE, send).await, Ok(Ok(()))) {
        return;
    }
    // Nothing but the control channel is opened by a gateway; one more permit shows that it tries.
    let mut link = match Link::accept(Mux::start(io, End::Plane, 1), pace).await {
        Ok(link) => link,
        Err(end) => {
            tracing::debug!(%peer, %node, ?end, "a gateway node left before its control channel");
            return;
        }
    };
    let (commands, mut queue) = mpsc::channel(COMMANDS_QUEUED);
    let Some(mut registration) = register(inner, &accepted, Handle { opener: link.opener().clone(), commands }) else {
        link.go_away(GoAway::Superseded, None);
        let end = run_out(&mut link).await;
        link.close(&end).await;
        return;
    };
    // Who revokes a node writes that down and then disconnects what is in the registry: look again now that it is there.
    let again = tokio::time::timeout(inner.options.handshake_deadline, inner.authenticator.node(node)).await;
    if let Ok(Ok(Some(known))) = again
        && known.revoked
    {
        let _ = registration.handle.commands.try_send(Command::End(DisconnectReason::Revoked));
    }
    tracing::debug!(%peer, %gateway, %node, carrier = %hello.carrier, "a carrier is up");
    let (end, reason) = run(&mut link, &mut queue, &registration).await;
    tracing::debug!(%peer, %gateway, %node, carrier = %hello.carrier, %reason, "a carrier ended");
    registration.reason = reason;
    // New streams go elsewhere before this one's end is even told.
    drop(registration);
    link.close(&end).await;
}

fn superseded() -> Refusal {
    let hint = "stop the other machine or process that runs with this node's key";
    Refusal::new(RefusalCode::Superseded, "a newer process of this node is connected").hint(Some(hint.into()))
}

fn register<'a>(inner: &'a Inner, accepted: &Accepted, handle: Handle) -> Option<Registration<'a>> {
    let (gateway, node) = (accepted.gateway, accepted.node);
    let arrival = Arrival {
        gateway,
        node,
        name: accepted.name.clone(),
        version: accepted.proven.hello.version.clone(),
        epoch: accepted.proven.hello.epoch,
        kind: accepted.proven.hello.carrier,
    };
    let admitted = inner.registry().admit(arrival, handle.clone(), inner.clock.now()).ok()?;
    for ended in admitted.ended {
        let _ = ended.commands.try_send(Command::End(DisconnectReason::Superseded));
    }
    inner.changed.send_replace(());
    if admitted.first {
        tracing::info!(%gateway, %node, "a gateway node is connected");
        let _ = inner.events.send(HubEvent::Connected { gateway, node });
    }
    let reason = DisconnectReason::Lost("its task was stopped".into());
    Some(Registration { inner, gateway, node, id: admitted.id, handle, reason })
}

async fn run(
    link: &mut Link,
    queue: &mut mpsc::Receiver<Command>,
    registration: &Registration<'_>,
) -> (LinkEnd, DisconnectReason) {
    let inner = registration.inner;
    let mut said = None;
    let mut left = false;
    let mut stopping = false;
    loop {
        let event = tokio::select! {
            event = link.next() => event,
            Some(command) = queue.recv() => {
                match command {
                    Command::Drain(spread) => {
                        let spread_ms = u64::try_from(spread.as_millis()).unwrap_or(u64::MAX);
                        link.go_away(GoAway::Drain { spread_ms }, None);
                    }
                    Command::End(reason) => {
                        link.go_away(reason.go_away(), None);
                        said.get_or_insert(reason);
                    }
                }
                continue;
            }
            () = inner.stop.cancelled(), if !stopping => {
                stopping = true;
                link.go_away(GoAway::Shutdown, None);
                said.get_or_insert(DisconnectReason::Shutdown);
                continue;
            }
        };
        match event {
            // Dropped, which resets it: gateways open nothing.
            Event::Inbound(stream) => drop(stream),
            Event::Replace(_) => {}
            Event::Avoid => {
                left = true;
                inner.registry().set_use(registration.node, registration.id, Use::Closed);
            }
            Event::Figures(stats) => inner.registry().set_refusals(registration.node, stats.refusals),
            Event::Ended(end) => {
                let reason = match (&end, said) {
                    (_, Some(reason)) => reason,
                    (LinkEnd::Session(SessionEnd::Silent), None) => DisconnectReason::Silent,
                    (LinkEnd::Session(SessionEnd::Drained), None) => DisconnectReason::Left,
                    (LinkEnd::Session(SessionEnd::Told(_) | SessionEnd::Said(_)), None) => DisconnectReason::Left,
                    (LinkEnd::Lost(_), None) if left => DisconnectReason::Left,
                    (LinkEnd::Lost(detail), None) => DisconnectReason::Lost(detail.clone()),
                };
                return (end, reason);
            }
        }
    }
}

/// Lets a carrier that was told to go say its last words.
async fn run_out(link: &mut Link) -> LinkEnd {
    loop {
        if let Event::Ended(end) = link.next().await {
            return end;
        }
    }
}
