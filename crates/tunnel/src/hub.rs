//! The plane's end of the tunnel: accepts carriers, knows which gateway each belongs to, and opens streams on them.

mod connector;
mod serve;
mod status;

pub use status::{DisconnectReason, DrainScope, HubEvent, HubOptions, NodeStatus};

use crate::{
    authenticate::Authenticator,
    carrier::{
        mux::{Opener, STREAM_WINDOW},
        websocket,
    },
    session::{
        admission::Admission,
        registry::{CarrierId, Registry, Use},
    },
    wire::hello::CarrierKind,
};
use ferrogate_model::{Clock, GatewayId, NodeId, Timestamp};
use ferrogate_net::{BoxIo, ConnectionLimit, Connector};
use std::{
    collections::HashMap,
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Semaphore, broadcast, mpsc, watch},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Events kept for a watcher that is slow.
const EVENTS_KEPT: usize = 1024;
/// How long a shutdown waits for carriers to say goodbye.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(5);

/// What the hub can do with a carrier.
#[derive(Clone, Debug)]
struct Handle {
    opener: Opener,
    commands: mpsc::Sender<Command>,
}

/// What the hub wants from a carrier's task.
#[derive(Clone, Debug)]
enum Command {
    /// Make the gateway replace it.
    Drain(Duration),
    /// End it.
    End(DisconnectReason),
}

struct Inner {
    options: HubOptions,
    authenticator: Arc<dyn Authenticator>,
    clock: Arc<dyn Clock>,
    registry: Mutex<Registry<Handle>>,
    /// Streams that each gateway may still open.
    budgets: Mutex<HashMap<GatewayId, Arc<Semaphore>>>,
    /// Ticks when a carrier came or went.
    changed: watch::Sender<()>,
    events: broadcast::Sender<HubEvent>,
    admission: Mutex<Admission>,
    handshakes: Arc<ConnectionLimit>,
    draining: AtomicBool,
    stop: CancellationToken,
    serving: TaskTracker,
}

/// The plane's end of the tunnel. Clones are the same hub.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}

impl Hub {
    /// A hub that nobody is connected to.
    #[must_use]
    pub fn new(options: HubOptions, authenticator: Arc<dyn Authenticator>, clock: Arc<dyn Clock>) -> Self {
        let rate = options.handshakes_per_second;
        let admission = Admission::new(rate, rate, Instant::now().into_std());
        let inner = Inner {
            handshakes: ConnectionLimit::new(options.max_handshakes, options.max_handshakes_per_source),
            options,
            authenticator,
            clock,
            registry: Mutex::default(),
            budgets: Mutex::default(),
            changed: watch::Sender::default(),
            events: broadcast::Sender::new(EVENTS_KEPT),
            admission: Mutex::new(admission),
            draining: AtomicBool::new(false),
            stop: CancellationToken::new(),
            serving: TaskTracker::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Serves one carrier until it ends: a TLS connection that negotiated [`crate::ALPN`], with its exporter value
    /// (label [`crate::EXPORTER_LABEL`], no context, 32 bytes). Dropping the future ends the carrier.
    pub async fn serve(&self, io: BoxIo, exporter: Option<[u8; 32]>, peer: SocketAddr) {
        let _serving = self.inner.serving.token();
        Box::pin(serve::serve(&self.inner, io, exporter, peer)).await;
    }

    /// Serves one carrier that came by a WebSocket: `io` is the connection after the `101` answer to
    /// `GET` [`crate::WEBSOCKET_PATH`] (see [`crate::carrier::websocket::accept`]).
    pub async fn serve_websocket(&self, io: BoxIo, peer: SocketAddr) {
        self.serve(websocket::server(io).await, None, peer).await;
    }

    /// Opens connections through a gateway: small requests and long quiet streams.
    #[must_use]
    pub fn connector(&self, gateway: GatewayId) -> Arc<dyn Connector> {
        connector::new(self.inner.clone(), gateway, CarrierKind::Control)
    }

    /// Opens connections through a gateway that will move much data (more than 1 MiB): they use a carrier of their own,
    /// so that they hold up nothing else.
    #[must_use]
    pub fn bulk_connector(&self, gateway: GatewayId) -> Arc<dyn Connector> {
        connector::new(self.inner.clone(), gateway, CarrierKind::Bulk)
    }

    /// The connected nodes of a gateway, by name.
    #[must_use]
    pub fn nodes(&self, gateway: GatewayId) -> Vec<NodeStatus> {
        let (now, instant) = (self.inner.clock.now(), Instant::now().into_std());
        let registry = self.inner.registry();
        let mut nodes: Vec<_> = registry
            .nodes()
            .filter(|(_, node)| node.gateway == gateway)
            .map(|(node_id, node)| {
                let activities = || node.carriers.iter().map(|carrier| carrier.handle.opener.activity());
                let silent = activities()
                    .map(|activity| instant.saturating_duration_since(activity.last_received()))
                    .min()
                    .unwrap_or_default();
                let carried: u64 = activities().map(|activity| activity.bytes().0 + activity.bytes().1).sum();
                NodeStatus {
                    node_id,
                    name: node.name.clone(),
                    connected_since: node.since,
                    last_seen: before(now, silent),
                    carriers: node.carriers.len(),
                    refusals: node.refusals,
                    version: node.version.clone(),
                    streams: activities().map(|activity| activity.streams()).sum(),
                    bytes: node.carried + carried,
                }
            })
            .collect();
        nodes.sort_by(|one, other| one.name.cmp(&other.name));
        nodes
    }

    /// What happens from now on.
    #[must_use]
    pub fn watch(&self) -> broadcast::Receiver<HubEvent> {
        self.inner.events.subscribe()
    }

    /// Asks nodes to make new carriers first and then to leave the old ones; streams that are open live on.
    pub fn drain(&self, scope: DrainScope) {
        if scope == DrainScope::All {
            self.inner.draining.store(true, Ordering::Release);
        }
        let spread = self.inner.options.drain_spread;
        self.inner.command(
            |gateway, _| match scope {
                DrainScope::Gateway(wanted) => wanted == gateway,
                DrainScope::All => true,
            },
            Use::LastResort,
            &Command::Drain(spread),
        );
    }

    /// Ends a node's carriers at once. With [`DisconnectReason::Revoked`] the node is told never to come back.
    pub fn disconnect(&self, node: NodeId, reason: DisconnectReason) {
        self.inner.command(|_, other| other == node, Use::Closed, &Command::End(reason));
    }

    /// Ends everything, and waits (a few seconds at most) until it has ended. No carrier is taken afterwards.
    pub async fn shutdown(&self) {
        self.inner.draining.store(true, Ordering::Release);
        self.inner.stop.cancel();
        self.inner.serving.close();
        if tokio::time::timeout(SHUTDOWN_DEADLINE, self.inner.serving.wait()).await.is_err() {
            tracing::warn!("carriers are still open after the shutdown's deadline");
        }
    }
}

impl Inner {
    fn registry(&self) -> MutexGuard<'_, Registry<Handle>> {
        self.registry.lock().expect("nothing panics while it holds the registry")
    }

    /// The budget of a gateway's streams.
    fn budget(&self, gateway: GatewayId) -> Arc<Semaphore> {
        let options = &self.options;
        let streams = options.max_streams.min(options.max_buffered_bytes / STREAM_WINDOW).max(1);
        let mut budgets = self.budgets.lock().expect("nothing panics while it holds the budgets");
        budgets.entry(gateway).or_insert_with(|| Arc::new(Semaphore::new(streams))).clone()
    }

    fn command(&self, wanted: impl Fn(GatewayId, NodeId) -> bool, usage: Use, command: &Command) {
        let mut registry = self.registry();
        let chosen: Vec<(NodeId, CarrierId, Handle)> = registry
            .nodes()
            .filter(|(id, node)| wanted(node.gateway, *id))
            .flat_map(|(id, node)| node.carriers.iter().map(move |entry| (id, entry.id, entry.handle.clone())))
            .collect();
        for (node, carrier, handle) in chosen {
            registry.set_use(node, carrier, usage);
            // A carrier whose queue is full is being told to go already.
            let _ = handle.commands.try_send(command.clone());
        }
        drop(registry);
        self.changed.send_replace(());
    }
}

fn before(now: Timestamp, ago: Duration) -> Timestamp {
    jiff::SignedDuration::try_from(ago).ok().and_then(|ago| now.checked_sub(ago).ok()).unwrap_or(now)
}
