//! What an agent is made of and what it tells.

use crate::{
    allow::{AllowList, Resolver},
    key::NodeKey,
};
use async_trait::async_trait;
use ferrogate_model::{Clock, GatewayId, Name, NodeId};
use ferrogate_net::Connector;
use secrecy::SecretString;
use std::{sync::Arc, time::Duration};

/// How a node tells the plane who it is.
#[derive(Clone, Debug)]
pub enum Identity {
    /// It registered before.
    Known(NodeId),
    /// It registers now.
    Enrol {
        /// The one-time token.
        token: SecretString,
        /// This node's name.
        node_name: Name,
    },
}

/// What one dial toward the plane needs. Read anew for every dial, so that a renewed CA or a fresh token counts at once.
#[derive(Clone)]
pub struct DialMaterial {
    /// Whom to trust. The agent sets the ALPN protocols itself.
    pub tls: Arc<rustls::ClientConfig>,
    /// The node's key.
    pub key: Arc<NodeKey>,
    /// Who the node is.
    pub identity: Identity,
}

/// Where a dial's material comes from, and where a registration is kept.
#[async_trait]
pub trait Credentials: Send + Sync + 'static {
    /// The material for the next dial.
    ///
    /// # Errors
    /// In words, for the log and the status; the agent tries again later.
    async fn load(&self) -> Result<DialMaterial, String>;

    /// Keeps the ids the plane gave to this node. Called after every handshake, before the first stream is served.
    ///
    /// # Errors
    /// In words, for the log; the agent goes on with what [`Self::load`] gives it next.
    async fn registered(&self, gateway: GatewayId, node: NodeId) -> Result<(), String>;
}

/// What an [`Agent`](crate::Agent) is made of.
pub struct AgentOptions {
    /// Base address of the plane; `https`.
    pub plane_url: url::Url,
    /// How the plane is reached; the site's proxy is already inside.
    pub connector: Arc<dyn Connector>,
    /// Trust, key and identity.
    pub credentials: Arc<dyn Credentials>,
    /// How targets in the site are reached, by literal address; never through a proxy.
    pub dialer: Arc<dyn Connector>,
    /// Turns the names of targets into addresses.
    pub resolver: Arc<dyn Resolver>,
    /// What may be reached.
    pub allow: AllowList,
    /// The gateway's version.
    pub version: String,
    /// Where the epoch of this process comes from.
    pub clock: Arc<dyn Clock>,
    /// The epoch is at least this: more than any earlier process of this node had.
    pub epoch_floor: u64,
    /// Streams that may be open at once; more are refused with `Budget`.
    pub max_streams: usize,
    /// How long a stream may stay silent after one side ended.
    pub half_closed: Duration,
    /// How long streams may live on after a stop was asked for.
    pub drain_deadline: Duration,
}

impl AgentOptions {
    /// Streams that may be open at once, unless told otherwise.
    pub const MAX_STREAMS: usize = 1024;
    /// How long a stream may stay silent after one side ended, unless told otherwise.
    pub const HALF_CLOSED: Duration = Duration::from_secs(60);
    /// How long streams may live on after a stop was asked for, unless told otherwise: less than the 30 s that
    /// Kubernetes leaves a pod.
    pub const DRAIN_DEADLINE: Duration = Duration::from_secs(20);
}

/// How the agent is doing.
#[derive(Clone, Debug, Default)]
pub struct AgentStatus {
    /// Whether at least one carrier is up and accepted by the plane.
    pub connected: bool,
    /// Carriers that are up.
    pub carriers: usize,
    /// Why the last dial failed or the last carrier ended; `None` once a later dial succeeded.
    pub last_error: Option<String>,
    /// The ids the plane gave, once known.
    pub registered: Option<(GatewayId, NodeId)>,
    /// Whether the plane said that this node may not come back.
    pub revoked: bool,
}

/// Why an agent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentEnd {
    /// It was told to.
    Cancelled,
    /// The plane revoked this node.
    Revoked,
}
