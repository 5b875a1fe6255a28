//! What a hub is told and what it tells.

use crate::{
    session::conversation::{DEAD_AFTER, PING_EVERY},
    wire::control::GoAway,
};
use ferrogate_model::{GatewayId, Name, NodeId, Timestamp};
use std::{fmt, time::Duration};

/// Limits and times of a hub. The defaults are those of the design.
#[derive(Clone, Debug)]
pub struct HubOptions {
    /// How long a gateway may take from its first byte to a valid proof.
    pub handshake_deadline: Duration,
    /// Handshakes that may be under way at once; more are told to come again.
    pub max_handshakes: usize,
    /// Handshakes that may be under way at once from one address (of IPv6: from one network of 64 bits). A whole site comes
    /// from one, with two connections a node.
    pub max_handshakes_per_source: usize,
    /// How long a connection waits for a carrier before it fails with `NoCarrier`.
    pub carrier_wait: Duration,
    /// Handshakes taken in a second in the long run; more are told when to come again.
    pub handshakes_per_second: u32,
    /// Streams that may be open at once through one gateway; more are refused with `Budget`, never parked.
    pub max_streams: usize,
    /// Bytes that streams of one gateway may hold in this process for readers that stall. Each open stream is charged
    /// its first window of 256 KiB, so this limits the streams too, whichever is less.
    pub max_buffered_bytes: usize,
    /// How often each side sends a ping.
    pub ping_every: Duration,
    /// After how long without a byte a carrier is taken for dead.
    pub dead_after: Duration,
    /// The time over which gateways spread the dials that a drain makes them do.
    pub drain_spread: Duration,
}

impl Default for HubOptions {
    fn default() -> Self {
        Self {
            handshake_deadline: Duration::from_secs(10),
            max_handshakes: 128,
            // Five gateways of three nodes behind one address; who wants to keep others out needs four addresses.
            max_handshakes_per_source: 32,
            carrier_wait: Duration::from_secs(5),
            handshakes_per_second: 200,
            max_streams: 1024,
            max_buffered_bytes: 256 * 1024 * 1024,
            ping_every: PING_EVERY,
            dead_after: DEAD_AFTER,
            drain_spread: Duration::from_secs(5),
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

impl DisconnectReason {
    /// What the gateway is told.
    pub(crate) const fn go_away(&self) -> GoAway {
        match self {
            Self::Superseded => GoAway::Superseded,
            Self::Revoked => GoAway::Revoked,
            Self::Shutdown => GoAway::Shutdown,
            Self::Lost(_) | Self::Silent | Self::Left | Self::Asked(_) => GoAway::Disconnected,
        }
    }
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
    /// Every node of a gateway: each makes new carriers, then leaves the old ones.
    Gateway(GatewayId),
    /// Every node, and no new ones are taken: before the plane stops.
    All,
}
