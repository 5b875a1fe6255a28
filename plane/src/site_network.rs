//! What the plane knows of a site's network: how to open a connection there, and who is connected from there.

use ferrogate_model::{GatewayId, NodeId};
use ferrogate_net::Connector;
use ferrogate_tunnel::{DisconnectReason, Hub, HubEvent, NodeStatus};
use std::{fmt, sync::Arc};
use tokio::sync::broadcast;

/// The way into the sites. Production uses the tunnel's [`Hub`]; tests put a site of their own in its place.
pub trait SiteNetwork: Send + Sync + fmt::Debug + 'static {
    /// Opens connections through a gateway: small requests and long quiet streams.
    fn connector(&self, gateway: GatewayId) -> Arc<dyn Connector>;

    /// The nodes of a gateway that are connected to this replica.
    fn nodes(&self, gateway: GatewayId) -> Vec<NodeStatus>;

    /// Connections and disconnections from now on.
    fn watch(&self) -> broadcast::Receiver<HubEvent>;

    /// Ends a node's connections.
    fn disconnect(&self, node: NodeId, reason: DisconnectReason);
}

impl SiteNetwork for Hub {
    fn connector(&self, gateway: GatewayId) -> Arc<dyn Connector> {
        Self::connector(self, gateway)
    }

    fn nodes(&self, gateway: GatewayId) -> Vec<NodeStatus> {
        Self::nodes(self, gateway)
    }

    fn watch(&self) -> broadcast::Receiver<HubEvent> {
        Self::watch(self)
    }

    fn disconnect(&self, node: NodeId, reason: DisconnectReason) {
        Self::disconnect(self, node, reason);
    }
}
