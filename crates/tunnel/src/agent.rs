//! The gateway's end of the tunnel.

use crate::{allow::AllowList, key::NodeKey};
use async_trait::async_trait;
use ferrogate_model::{Clock, GatewayId, Name, NodeId};
use ferrogate_net::Connector;
use secrecy::SecretString;
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

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

    /// Keeps the ids the plane gave to this node. Called before the first stream is served.
    ///
    /// # Errors
    /// In words, for the log; the agent goes on with the ids in memory.
    async fn registered(&self, gateway: GatewayId, node: NodeId) -> Result<(), String>;
}

/// What an [`Agent`] is made of.
pub struct AgentOptions {
    /// Base address of the plane.
    pub plane_url: url::Url,
    /// How the plane is reached; the site's proxy is already inside.
    pub connector: Arc<dyn Connector>,
    /// Trust, key and identity.
    pub credentials: Arc<dyn Credentials>,
    /// How targets in the site are reached; never through a proxy.
    pub dialer: Arc<dyn Connector>,
    /// What may be reached.
    pub allow: AllowList,
    /// The gateway's version.
    pub version: String,
    /// Where the epoch of this process comes from.
    pub clock: Arc<dyn Clock>,
    /// How long streams may live on after a stop was asked for.
    pub drain_deadline: Duration,
}

/// How the agent is doing.
#[derive(Clone, Debug, Default)]
pub struct AgentStatus {
    /// Whether at least one carrier is up and accepted by the plane.
    pub connected: bool,
    /// Carriers that are up.
    pub carriers: usize,
    /// Why the last dial failed or the last carrier ended; `None` when all carriers are up.
    pub last_error: Option<String>,
    /// The ids the plane gave, once known.
    pub registered: Option<(GatewayId, NodeId)>,
    /// Whether the plane said that this node may not come back.
    pub revoked: bool,
}

/// The gateway's end of the tunnel: keeps two carriers to the plane and serves the streams on them.
pub struct Agent {
    status: watch::Sender<AgentStatus>,
    options: AgentOptions,
}

/// Why an agent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentEnd {
    /// It was told to.
    Cancelled,
    /// The plane revoked this node.
    Revoked,
}

impl Agent {
    /// An agent that has not dialled yet.
    #[must_use]
    pub fn new(options: AgentOptions) -> Self {
        Self { status: watch::Sender::default(), options }
    }

    /// How it is doing, now and later.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<AgentStatus> {
        self.status.subscribe()
    }

    /// Keeps the carriers up until cancelled or revoked. Cancelling drains first.
    pub async fn run(self, cancel: CancellationToken) -> AgentEnd {
        let _ = &self.options;
        cancel.cancelled().await;
        AgentEnd::Cancelled
    }
}
