//! The controllers that one server of a cluster runs: nodes that fall silent, DaemonSets, what is left over.

pub(crate) mod certificates;
mod daemonsets;

use super::{
    datastore::Datastore,
    kinds::Kind,
    objects::{NAMESPACES, Objects, time},
    rbac,
    refusal::Refusal,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// What is remembered between rounds.
pub(crate) struct Controllers {
    store: Arc<Datastore>,
    clock: Arc<dyn ferrogate_model::Clock>,
    node: String,
    grace: Duration,
    /// Each node's last renewal and when it was first seen.
    renewals: BTreeMap<String, (String, Instant)>,
}

impl Controllers {
    pub(crate) fn new(
        store: Arc<Datastore>,
        clock: Arc<dyn ferrogate_model::Clock>,
        node: String,
        grace: Duration,
    ) -> Self {
        Self { store, clock, node, grace, renewals: BTreeMap::new() }
    }

    /// Everything once, if this server does the rounds.
    pub(crate) fn round(&mut self) {
        if !self.store.is_leader(&self.node) {
            self.renewals.clear();
            return;
        }
        let store = Arc::clone(&self.store);
        let objects = Objects { store: &store, now: self.clock.now() };
        let done = self
            .nodes(objects)
            .and_then(|()| daemonsets::round(objects))
            .and_then(|()| left_over(objects))
            .and_then(|()| endpoints(objects));
        if let Err(refusal) = done {
            // A conflict with somebody else's change, or no majority: the next round sees.
            tracing::debug!(?refusal, "a round of the simulated controllers ended early");
        }
    }

    /// Marks nodes that have not renewed their lease.
    fn nodes(&mut self, objects: Objects<'_>) -> Result<(), Refusal> {
        let kind = Kind::plural("nodes");
        let leases = objects.list(Kind::plural("leases"), "kube-node-lease")?;
        let nodes = objects.list(kind, "")?;
        let names: BTreeSet<&str> = nodes.iter().filter_map(|node| node["metadata"]["name"].as_str()).collect();
        self.renewals.retain(|name, _| names.contains(name.as_str()));
        for name in names {
            let lease = leases.iter().find(|lease| lease["metadata"]["name"] == name).unwrap_or(&Value::Null);
            let renewed = lease["spec"]["renewTime"].as_str().unwrap_or_default().to_owned();
            let seen = self.renewals.entry(name.to_owned()).or_insert_with(|| (renewed.clone(), Instant::now()));
            if seen.0 != renewed {
                *seen = (renewed, Instant::now());
            }
            if seen.1.elapsed() > self.grace {
                silent(objects, name)?;
            }
        }
        Ok(())
    }
}

/// What the node controller does to a node that is silent, and to its pods.
fn silent(objects: Objects<'_>, name: &str) -> Result<(), Refusal> {
    let now = time(objects.now);
    objects.modify(Kind::plural("nodes"), "", name, |node| {
        let mut node = node.clone();
        let taints = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
        let unreachable = |taint: &Value| taint["key"] == "node.kubernetes.io/unreachable";
        if taints.iter().any(unreachable) {
            return Ok(node);
        }
        for condition in node["status"]["conditions"].as_array_mut().into_iter().flatten() {
            condition["status"] = "Unknown".into();
            condition["reason"] = "NodeStatusUnknown".into();
            condition["message"] = "Kubelet stopped posting node status.".into();
            condition["lastTransitionTime"] = Value::String(now.clone());
        }
        let mut all = taints;
        for effect in ["NoSchedule", "NoExecute"] {
            all.push(json!({"key": "node.kubernetes.io/unreachable", "effect": effect, "timeAdded": now}));
        }
        node["spec"]["taints"] = Value::Array(all);
        Ok(node)
    })?;
    let pods = Kind::plural("pods");
    for pod in objects.list(pods, "")?.iter().filter(|pod| pod["spec"]["nodeName"] == name) {
        let (namespace, pod) = names(pod);
        objects.modify(pods, &namespace, &pod, |pod| {
            let mut pod = pod.clone();
            for condition in pod["status"]["conditions"].as_array_mut().into_iter().flatten() {
                if condition["type"] == "Ready" {
                    condition["status"] = "False".into();
                }
            }
            Ok(pod)
        })?;
    }
    Ok(())
}

/// Namespace and name of an object.
fn names(object: &Value) -> (String, String) {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}

/// Removes pods of nodes that are gone, and objects whose owners are gone.
fn left_over(objects: Objects<'_>) -> Result<(), Refusal> {
    let pods = Kind::plural("pods");
    let nodes = objects.list(Kind::plural("nodes"), "")?;
    let uids: BTreeSet<String> = objects.store.read(|all, _| {
        all.values().filter_map(|object| object["metadata"]["uid"].as_str().map(str::to_owned)).collect()
    })?;
    for pod in objects.list(pods, "")? {
        let node = &pod["spec"]["nodeName"];
        let homeless = node.is_string() && !nodes.iter().any(|known| known["metadata"]["name"] == *node);
        let owners = pod["metadata"]["ownerReferences"].as_array();
        let orphan = owners.is_some_and(|owners| {
            !owners.is_empty()
                && owners.iter().all(|owner| !owner["uid"].as_str().is_some_and(|uid| uids.contains(uid)))
        });
        let (namespace, name) = names(&pod);
        if homeless {
            objects.delete(pods, &namespace, &name, Some(0))?;
        } else if orphan && pod["metadata"]["deletionTimestamp"].is_null() {
            objects.delete(pods, &namespace, &name, None)?;
        }
    }
    Ok(())
}

/// Keeps the addresses of the API servers in the endpoints of the service `kubernetes`.
fn endpoints(objects: Objects<'_>) -> Result<(), Refusal> {
    let up = objects.store.members_up();
    let nodes = objects.list(Kind::plural("nodes"), "")?;
    let address = |node: &Value| -> Option<IpAddr> {
        let addresses = node["status"]["addresses"].as_array()?;
        addresses.iter().find(|address| address["type"] == "InternalIP")?["address"].as_str()?.parse().ok()
    };
    let servers = nodes.iter().filter(|node| up.iter().any(|name| node["metadata"]["name"] == name.as_str()));
    let addresses: Vec<Value> = servers.filter_map(address).map(|ip| json!({"ip": ip.to_string()})).collect();
    let subsets =
        json!([{"addresses": addresses, "ports": [{"name": "https", "port": super::API_PORT, "protocol": "TCP"}]}]);
    let kind = Kind::plural("endpoints");
    match objects.get(kind, "default", "kubernetes") {
        Ok(there) if there["subsets"] == subsets => Ok(()),
        Ok(_) => objects
            .modify(kind, "default", "kubernetes", |there| {
                let mut there = there.clone();
                there["subsets"] = subsets;
                Ok(there)
            })
            .map(|_| ()),
        Err(_) => {
            objects.create(kind, "default", json!({"metadata": {"name": "kubernetes"}, "subsets": subsets})).map(|_| ())
        }
    }
}

/// What every new cluster has: namespaces, roles, the API's own service.
pub(crate) fn first_objects(objects: Objects<'_>, service_address: &str) -> Result<(), Refusal> {
    let make =
        |plural: &str, namespace: &str, object: Value| match objects.create(Kind::plural(plural), namespace, object) {
            Err(refusal) if refusal.code != 409 => Err(refusal),
            _ => Ok(()),
        };
    for name in NAMESPACES {
        make("namespaces", "", json!({"metadata": {"name": name}}))?;
        make("serviceaccounts", name, json!({"metadata": {"name": "default"}}))?;
    }
    for role in rbac::built_in_roles() {
        make("clusterroles", "", role)?;
    }
    let binding = json!({"metadata": {"name": "cluster-admin"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": rbac::MASTERS}]});
    make("clusterrolebindings", "", binding)?;
    for (name, value) in [("system-node-critical", 2_000_001_000_u32), ("system-cluster-critical", 2_000_000_000)] {
        make("priorityclasses", "", json!({"metadata": {"name": name}, "value": value}))?;
    }
    let service = json!({"metadata": {"name": "kubernetes", "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {"type": "ClusterIP", "clusterIP": service_address, "clusterIPs": [service_address],
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": super::API_PORT}]}});
    make("services", "default", service)
}
