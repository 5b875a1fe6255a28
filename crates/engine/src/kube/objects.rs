//! The parts of Kubernetes objects that are read here; everything else in them is passed over.

use ferrogate_model::Timestamp;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Debug, Deserialize)]
pub(super) struct List<T> {
    #[serde(default = "Vec::new")]
    pub(super) items: Vec<T>,
}

/// What every object has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    /// Its name.
    pub name: String,
    /// Its namespace, where it has one.
    pub namespace: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// What it belongs to.
    pub owner_references: Vec<Owner>,
    /// When it was made.
    pub creation_timestamp: Option<Timestamp>,
    /// When its removal was asked for.
    pub deletion_timestamp: Option<Timestamp>,
}

/// What an object belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Owner {
    /// Such as `DaemonSet`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Node {
    /// Name, labels, annotations.
    pub metadata: Metadata,
    /// What it should be.
    pub spec: NodeSpec,
    /// What it is.
    pub status: NodeStatus,
}

/// What a node should be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NodeSpec {
    /// Whether new pods are kept away.
    pub unschedulable: bool,
}

/// What a node is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeStatus {
    /// Its conditions.
    pub conditions: Vec<Condition>,
    /// Its addresses.
    pub addresses: Vec<NodeAddress>,
    /// What runs on it.
    pub node_info: NodeInfo,
}

/// A condition of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Condition {
    /// Such as `Ready`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// In words.
    pub message: String,
}

/// An address of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NodeAddress {
    /// Such as `InternalIP`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The address.
    pub address: String,
}

/// What runs on a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeInfo {
    /// Such as `v1.36.4`.
    pub kubelet_version: String,
    /// Such as `Ubuntu 24.04.1 LTS`.
    pub os_image: String,
}

impl Node {
    /// `Ok` where the node is ready, else why it is not.
    ///
    /// # Errors
    /// The condition's words.
    pub fn ready(&self) -> Result<(), String> {
        match self.status.conditions.iter().find(|condition| condition.kind == "Ready") {
            Some(condition) if condition.status == "True" => Ok(()),
            Some(condition) if condition.message.is_empty() => Err(format!("Ready is {}", condition.status)),
            Some(condition) => Err(condition.message.clone()),
            None => Err("it has not reported its state yet".into()),
        }
    }
}

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Pod {
    /// Name, namespace, owners.
    pub metadata: Metadata,
    /// What it is.
    pub status: PodStatus,
}

/// What a pod is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PodStatus {
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    pub phase: String,
}

impl Pod {
    /// Whether a drain has to move it: not what every node has anyway, nor what the node runs by itself, nor what is over.
    #[must_use]
    pub fn must_leave(&self) -> bool {
        let of_the_node =
            self.metadata.owner_references.iter().any(|owner| owner.kind == "DaemonSet" || owner.kind == "Node");
        let mirror = self.metadata.annotations.contains_key("kubernetes.io/config.mirror");
        let over = matches!(self.status.phase.as_str(), "Succeeded" | "Failed");
        !of_the_node && !mirror && !over
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(value: serde_json::Value) -> Pod {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_drain_leaves_what_belongs_to_the_node() {
        assert!(pod(json!({"metadata": {"name": "a"}, "status": {"phase": "Running"}})).must_leave());
        assert!(pod(json!({"metadata": {"ownerReferences": [{"kind": "ReplicaSet", "name": "r"}]}})).must_leave());
        for stays in [
            json!({"metadata": {"ownerReferences": [{"kind": "DaemonSet", "name": "d"}]}}),
            json!({"metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}}}),
            json!({"status": {"phase": "Succeeded"}}),
        ] {
            assert!(!pod(stays.clone()).must_leave(), "{stays}");
        }
    }

    #[test]
    fn a_node_says_why_it_is_not_ready() {
        let node: Node =
            serde_json::from_value(json!({"metadata": {"name": "n", "creationTimestamp": "2026-11-23T08:00:00Z"},
            "status": {"conditions": [{"type": "Ready", "status": "Unknown", "message": "kubelet stopped posting"}]}}))
            .unwrap();
        assert_eq!(node.ready(), Err("kubelet stopped posting".to_owned()));
        assert!(Node::default().ready().is_err());
    }
}
