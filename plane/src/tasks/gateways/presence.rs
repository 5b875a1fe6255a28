//! Who is connected.

use super::event;
use crate::{
    node_connections::{NodeConnections, is_elsewhere},
    tasks::TaskContext,
};
use ferrogate_model::{
    GatewayId, Timestamp,
    state::{GatewayHealth, Severity},
};
use ferrogate_store::{
    StoreError, gateway_nodes,
    gateways::{self, Gateway},
};
use ferrogate_tunnel::DisconnectReason;
use std::{fmt, time::Duration};

/// How often a connection that lasts is written down again.
const REPEAT_EVERY: Duration = Duration::from_secs(10);

/// Who of a gateway's nodes is connected, to any replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Presence {
    /// Who is there and who is missed.
    pub(super) nodes: NodeConnections,
    /// How many nodes are registered.
    registered: usize,
    /// How many are connected to this replica.
    here: usize,
    last_seen: Option<Timestamp>,
    version: Option<String>,
}

/// Writes down which nodes are connected to this replica, and which no longer are. Whoever revokes a node ends the
/// connections of one replica only, and a machine that takes over another's name ends none: what is revoked goes here.
pub(super) async fn write_down(context: &TaskContext, gateway: GatewayId) -> Result<(), StoreError> {
    let connected = context.site_network.nodes(gateway);
    let now = context.now();
    let good = gateway_nodes::list(&context.store, gateway).await?;
    for node in connected.iter().filter(|node| good.iter().all(|known| known.id != node.node_id)) {
        tracing::warn!(%gateway, node = %node.node_id, name = %node.name, "a revoked node was still connected");
        context.site_network.disconnect(node.node_id, DisconnectReason::Revoked);
    }
    for known in good {
        let is_ours = known.replica.as_deref() == Some(&context.replica);
        match connected.iter().find(|node| node.node_id == known.id) {
            Some(node) => {
                let is_old = known.last_seen.is_none_or(|seen| elapsed(seen, now) >= REPEAT_EVERY);
                if !is_ours || is_old || known.version != node.version {
                    gateway_nodes::seen(&context.store, known.id, &node.version, &context.replica, now).await?;
                }
            }
            None if is_ours => gateway_nodes::lost(&context.store, known.id, &context.replica).await?,
            None => {}
        }
    }
    Ok(())
}

/// Whether a gateway that is not connected here is connected to another replica.
pub(in crate::tasks) async fn is_connected_elsewhere(
    context: &TaskContext,
    gateway: GatewayId,
) -> Result<bool, StoreError> {
    let now = context.now();
    let nodes = gateway_nodes::list(&context.store, gateway).await?;
    Ok(nodes.iter().any(|node| is_elsewhere(node, &context.replica, now)))
}

impl Presence {
    pub(super) async fn read(context: &TaskContext, gateway: &Gateway) -> Result<Self, StoreError> {
        let now = context.now();
        let here = context.site_network.nodes(gateway.id);
        let nodes = gateway_nodes::list(&context.store, gateway.id).await?;
        let mut presence = Self {
            nodes: NodeConnections::of(&nodes, &here, &context.replica, gateway.desired_nodes, now),
            registered: nodes.len(),
            here: 0,
            last_seen: nodes.iter().filter_map(|node| node.last_seen).max(),
            version: None,
        };
        for node in nodes {
            let is_here = here.iter().any(|connected| connected.node_id == node.id);
            presence.here += usize::from(is_here);
            if is_here || is_elsewhere(&node, &context.replica, now) {
                let oldest = presence.version.into_iter().chain([node.version]).min();
                presence.version = oldest;
            }
        }
        Ok(presence)
    }

    /// Whether this replica can open connections in the site.
    pub(super) const fn is_here(&self) -> bool {
        self.here > 0
    }

    fn health(&self, desired: u32) -> GatewayHealth {
        let desired = usize::try_from(desired).unwrap_or(usize::MAX);
        match self.nodes.connected.len() {
            0 if self.registered == 0 => GatewayHealth::Unknown,
            0 => GatewayHealth::Unreachable,
            connected if connected >= desired => GatewayHealth::Healthy,
            _ => GatewayHealth::Degraded,
        }
    }

    /// Writes down how the gateway is, and tells when that changed, or when others are missed than at the last look
    /// (`missed_before`, where it is remembered).
    pub(super) async fn judge(
        &self,
        context: &TaskContext,
        gateway: &Gateway,
        missed_before: Option<Vec<String>>,
    ) -> Result<(), StoreError> {
        let health = self.health(gateway.desired_nodes);
        let has_moved =
            gateway.last_seen != self.last_seen || self.version.is_some() && gateway.version != self.version;
        if health != gateway.health || has_moved {
            gateways::set_health(&context.store, gateway.id, health, self.last_seen, self.version.as_deref()).await?;
        }
        let others = health == GatewayHealth::Degraded
            && missed_before
                .is_some_and(|before| before.iter().map(String::as_str).ne(self.nodes.disconnected_names()));
        // A health that was never known, or is not yet, is no news.
        if (health == gateway.health && !others) || health == GatewayHealth::Unknown {
            return Ok(());
        }
        let severity = match health {
            GatewayHealth::Healthy | GatewayHealth::Unknown => Severity::Info,
            GatewayHealth::Degraded => Severity::Warning,
            GatewayHealth::Unreachable => Severity::Error,
        };
        let message = match health {
            GatewayHealth::Unreachable => {
                "no node is connected; clusters keep running, but cannot be changed".to_owned()
            }
            GatewayHealth::Degraded => {
                format!(
                    "{}; the site is reached through {}",
                    self.nodes.shortfall(),
                    self.nodes.connected.join(" and ")
                )
            }
            GatewayHealth::Healthy | GatewayHealth::Unknown => {
                format!("{} of {} nodes are connected", self.nodes.connected.len(), gateway.desired_nodes)
            }
        };
        context.tell(&[event(gateway, severity, health.as_str(), message, context.now())]).await
    }
}

impl fmt::Display for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} registered nodes are connected, {} of them here",
            self.nodes.connected.len(),
            self.registered,
            self.here
        )
    }
}

/// How long ago; nothing where clocks disagree.
fn elapsed(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}
