//! The plane's end of the tunnel: accepts carriers, knows which gateway each belongs to, and opens streams on them.

use crate::authenticate::Authenticator;
use async_trait::async_trait;
use ferrogate_model::{Clock, GatewayId, Name, NodeId, Timestamp};
use ferrogate_net::{BoxIo, ConnectError, ConnectFailure, Connector, Target};
use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};
use tokio::sync::broadcast;

/// Limits and times of a hub. The defaults are those of the design.
#[derive(Clone, Debug)]
pub struct HubOptions {
    /// How long a gateway may take from its first byte to a valid proof.
    pub handshake_deadline: Duration,
    /// Handshakes that may be under way at once; more are told to come again.
    pub max_handshakes: usize,
    /// How long a connection waits for a carrier before it fails with `NoCarrier`.
    pub carrier_wait: Duration,
    /// Streams that may be open at once through one gateway.
    pub max_streams: usize,
}

impl Default for HubOptions {
    fn default() -> Self {
        Self {
            handshake_deadline: Duration::from_secs(10),
            max_handshakes: 128,
            carrier_wait: Duration::from_secs(5),
            max_streams: 1024,
        }
    }
}

/// How a node is doing, seen from the hub.
#[derive(Clone, Debug)]
pub struct NodeStatus {
    /// The node.
    pub node_id: NodeId,
    /// Its name.
    pub name: Name,
    /// Since when it has been connected without a gap.
    pub connected_since: Timestamp,
    /// When a byte last came from it.
    pub last_seen: Timestamp,
    /// Carriers that are up.
    pub carriers: usize,
    /// Connections its allow-list refused since its process started.
    pub refusals: u64,
    /// The gateway's version.
    pub version: String,
    /// Streams open now.
    pub streams: usize,
    /// Bytes carried for this connection of the node, both ways.
    pub bytes: u64,
}

/// Why a node is no longer connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DisconnectReason {
    /// The carrier ended or broke; in words.
    Lost(String),
    /// Nothing came from the node for too long.
    Silent,
    /// The node left by itself: it stops or restarts.
    Left,
    /// Another process with the same identity took over.
    Superseded,
    /// The node's key was revoked: it must not come back.
    Revoked,
    /// The plane asked for it; in words.
    Asked(String),
    /// The hub shuts down.
    Shutdown,
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(detail) => write!(f, "the connection was lost: {detail}"),
            Self::Silent => f.write_str("nothing came from the node for too long"),
            Self::Left => f.write_str("the node left"),
            Self::Superseded => f.write_str("a newer process of the same node took over"),
            Self::Revoked => f.write_str("the node was revoked"),
            Self::Asked(detail) => f.write_str(detail),
            Self::Shutdown => f.write_str("the plane shuts down"),
        }
    }
}

/// What happens to nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HubEvent {
    /// A node's first carrier is up.
    Connected {
        /// The gateway.
        gateway: GatewayId,
        /// The node.
        node: NodeId,
    },
    /// A node's last carrier is gone.
    Disconnected {
        /// The gateway.
        gateway: GatewayId,
        /// The node.
        node: NodeId,
        /// Why.
        reason: DisconnectReason,
    },
}

/// What to drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainScope {
    /// One node: it makes new carriers, then leaves the old ones.
    Node(NodeId),
    /// Every node of a gateway.
    Gateway(GatewayId),
    /// Every node, and no new ones are taken: before the plane stops.
    All,
}

/// The plane's end of the tunnel. Clones are the same hub.
#[derive(Clone)]
pub struct Hub {
    options: Arc<HubOptions>,
    events: broadcast::Sender<HubEvent>,
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}

impl Hub {
    /// A hub that nobody is connected to.
    #[must_use]
    pub fn new(options: HubOptions, _authenticator: Arc<dyn Authenticator>, _clock: Arc<dyn Clock>) -> Self {
        Self { options: Arc::new(options), events: broadcast::Sender::new(1024) }
    }

    /// Serves one carrier until it ends: a TLS connection that negotiated [`crate::ALPN`], with its exporter value
    /// (label [`crate::EXPORTER_LABEL`], no context, 32 bytes).
    pub async fn serve(&self, io: BoxIo, _exporter: Option<[u8; 32]>, _peer: SocketAddr) {
        drop(io);
        std::future::ready(()).await;
    }

    /// Serves one carrier that came by a WebSocket: `io` is the connection after the `101` answer to
    /// `GET` [`crate::WEBSOCKET_PATH`] (see [`crate::carrier::websocket::accept`]).
    pub async fn serve_websocket(&self, io: BoxIo, _peer: SocketAddr) {
        drop(io);
        std::future::ready(()).await;
    }

    /// Opens connections through a gateway: small requests and long quiet streams.
    #[must_use]
    pub fn connector(&self, gateway: GatewayId) -> Arc<dyn Connector> {
        Arc::new(GatewayConnector { _hub: self.clone(), gateway })
    }

    /// Opens connections through a gateway that will move much data (more than 1 MiB): they use a carrier of their own,
    /// so that they hold up nothing else.
    #[must_use]
    pub fn bulk_connector(&self, gateway: GatewayId) -> Arc<dyn Connector> {
        Arc::new(GatewayConnector { _hub: self.clone(), gateway })
    }

    /// The connected nodes of a gateway.
    #[must_use]
    pub fn nodes(&self, _gateway: GatewayId) -> Vec<NodeStatus> {
        let _ = &self.options;
        Vec::new()
    }

    /// What happens from now on.
    #[must_use]
    pub fn watch(&self) -> broadcast::Receiver<HubEvent> {
        self.events.subscribe()
    }

    /// Asks nodes to make new carriers first and then to leave the old ones; streams that are open live on.
    pub fn drain(&self, _scope: DrainScope) {}

    /// Ends a node's carriers at once. With [`DisconnectReason::Revoked`] the node is told never to come back.
    pub fn disconnect(&self, _node: NodeId, _reason: DisconnectReason) {}

    /// Ends everything and waits until it has ended.
    pub async fn shutdown(&self) {
        std::future::ready(()).await;
    }
}

#[derive(Debug)]
struct GatewayConnector {
    _hub: Hub,
    gateway: GatewayId,
}

#[async_trait]
impl Connector for GatewayConnector {
    async fn connect(&self, target: &Target, _deadline: Duration) -> Result<BoxIo, ConnectError> {
        Err(ConnectError {
            failure: ConnectFailure::NoCarrier,
            target: target.clone(),
            via: Some(format!("gateway {}", self.gateway)),
            detail: "no node of the gateway is connected".into(),
        })
    }
}
