//! Which nodes of a gateway are connected, which are missed, and how that is said everywhere.

use ferrogate_model::Timestamp;
use ferrogate_store::gateway_nodes::GatewayNode;
use ferrogate_tunnel::NodeStatus;
use std::time::Duration;

/// How old a replica's word about a connection may be. Replicas repeat it every few seconds; one that died does not.
const FRESH: Duration = Duration::from_secs(60);

/// Who of a gateway's nodes is connected, to any replica.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NodeConnections {
    /// Names of the nodes that are connected.
    pub(crate) connected: Vec<String>,
    /// Nodes that are registered and not connected, with when they were last heard.
    pub(crate) disconnected: Vec<(String, Option<Timestamp>)>,
    /// How many nodes are wanted beyond those that ever registered.
    pub(crate) unregistered: usize,
}

/// Whether another replica than `replica` holds a node's connection.
pub(crate) fn is_elsewhere(node: &GatewayNode, replica: &str, now: Timestamp) -> bool {
    node.replica.as_deref().is_some_and(|holder| holder != replica)
        && node.last_seen.is_some_and(|seen| Duration::try_from(now.duration_since(seen)).unwrap_or_default() < FRESH)
}

impl NodeConnections {
    /// From the registered `nodes`, those connected `here`, and how many are `wanted`.
    pub(crate) fn of(nodes: &[GatewayNode], here: &[NodeStatus], replica: &str, wanted: u32, now: Timestamp) -> Self {
        let mut found = Self::default();
        for node in nodes {
            let is_here = here.iter().any(|connected| connected.node_id == node.id);
            if is_here || is_elsewhere(node, replica, now) {
                found.connected.push(node.name.clone());
            } else {
                found.disconnected.push((node.name.clone(), node.last_seen));
            }
        }
        found.unregistered = usize::try_from(wanted).unwrap_or(usize::MAX).saturating_sub(nodes.len());
        found
    }

    /// Names of the nodes that are not connected.
    pub(crate) fn disconnected_names(&self) -> Vec<&str> {
        self.disconnected.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// Who is missed, for people; empty where nobody is.
    pub(crate) fn shortfall(&self) -> String {
        let mut parts: Vec<String> = self
            .disconnected
            .iter()
            .map(|(name, seen)| match seen {
                Some(seen) => format!("node {name} is not connected, it was last heard at {seen:.0}"),
                None => format!("node {name} has registered and was never connected"),
            })
            .collect();
        match self.unregistered {
            0 => {}
            1 => parts.push("1 node has not registered yet".to_owned()),
            more => parts.push(format!("{more} nodes have not registered yet")),
        }
        parts.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrogate_model::{GatewayId, NodeId};

    fn node(name: &str, seen: Option<i64>, replica: Option<&str>) -> GatewayNode {
        let at = |second| Timestamp::from_second(second).unwrap();
        GatewayNode {
            id: NodeId::new(),
            gateway: GatewayId::new(),
            name: name.into(),
            public_key: name.into(),
            version: "0.1.0".into(),
            registered: at(0),
            last_seen: seen.map(at),
            revoked: None,
            replica: replica.map(str::to_owned),
        }
    }

    #[test]
    fn who_is_missed_is_named() {
        let now = Timestamp::from_second(1000).unwrap();
        let nodes = [node("a", Some(990), Some("other")), node("b", Some(900), Some("other")), node("c", None, None)];
        let connections = NodeConnections::of(&nodes, &[], "me", 5, now);
        assert_eq!(
            (connections.connected.as_slice(), connections.disconnected_names()),
            (&["a".to_owned()][..], vec!["b", "c"])
        );
        assert_eq!(
            connections.shortfall(),
            "node b is not connected, it was last heard at 1970-01-01T00:15:00Z; node c has registered and was never \
             connected; 2 nodes have not registered yet"
        );
        assert_eq!(NodeConnections::of(&nodes[..1], &[], "me", 1, now).shortfall(), "");
    }
}
