//! The marks of ownership. The first travels in the allocate call itself, so that no crash can leak a machine; the second
//! (owner data) is readable for people in MAAS and tells which part of the cluster a machine is.

use crate::desired::Desired;
use ferrogate_model::{ClusterId, Name};
use std::collections::BTreeMap;

/// Key of the owner data that holds the cluster's id.
pub const CLUSTER: &str = "ferrogate-cluster";
/// Key of the owner data that holds the cluster's name.
pub const CLUSTER_NAME: &str = "ferrogate-cluster-name";
/// Key of the owner data that holds the pool's name.
pub const POOL: &str = "ferrogate-pool";
/// Key of the owner data that holds the node's name in Kubernetes.
pub const NODE: &str = "ferrogate-node";
/// Key of the owner data that holds the address of the server the machine was told to join.
pub const SERVER: &str = "ferrogate-server";
/// Key of the owner data that says when the machine's node was first ready. A machine that has it is never given back
/// only because it cannot be reached.
pub const JOINED: &str = "ferrogate-joined";

/// What all marks begin with.
const PREFIX: &str = "ferrogate/";

/// The `agent_name` that every machine of a cluster is allocated with.
#[must_use]
pub fn agent_name(cluster: &ClusterId) -> String {
    format!("{PREFIX}{cluster}")
}

/// The cluster that an `agent_name` belongs to; `None` for what is not ours.
#[must_use]
pub fn cluster_of(agent_name: &str) -> Option<ClusterId> {
    agent_name.strip_prefix(PREFIX)?.parse().ok()
}

/// The owner data of a machine, complete but for what comes later.
#[must_use]
pub fn notes(desired: &Desired, pool: &str, node: &str) -> BTreeMap<String, String> {
    [
        (CLUSTER, desired.configuration.cluster.to_string()),
        (CLUSTER_NAME, desired.configuration.name.to_string()),
        (POOL, pool.to_owned()),
        (NODE, node.to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// The name of a cluster's API in the MAAS domain. It holds part of the cluster's id, so that it is nobody else's.
#[must_use]
pub fn endpoint_fqdn(cluster: &ClusterId, name: &Name, domain: &str) -> String {
    let id = cluster.uuid().simple().to_string();
    let short: String = name.as_str().chars().take(40).collect();
    // The last digits are the random ones.
    format!("{}-{}.{domain}", short.trim_end_matches('-'), &id[id.len() - 12..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_back_and_others_are_not_ours() {
        let cluster = ClusterId::new();
        assert_eq!(cluster_of(&agent_name(&cluster)), Some(cluster));
        assert_eq!(cluster_of("juju"), None);
        assert_eq!(cluster_of("ferrogate/gw_0"), None);
    }
}
