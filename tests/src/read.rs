//! What programs said, understood: the plane's first words, lists of the command line, `free`, the proxy's log.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use std::collections::BTreeMap;

/// A gateway as `ferrogate get gateways -o json` has it; of its fields those that are asserted on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Gateway {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) health: String,
    #[serde(default)]
    pub(crate) reason: String,
    pub(crate) connected_nodes: u32,
    pub(crate) desired_nodes: u32,
}

/// A cloud account.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) gateway_id: String,
    pub(crate) auto_created: bool,
}

/// A cluster.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Cluster {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) reason: String,
    pub(crate) desired_machines: u32,
    pub(crate) running_machines: u32,
}

/// A machine of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(crate) struct Machine {
    pub(crate) hostname: String,
    pub(crate) cluster: String,
    pub(crate) pool: String,
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) reason: String,
}

/// A Kubernetes node as `kubectl get nodes -o json` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) ready: bool,
    /// Since when it is as it is.
    pub(crate) since: String,
    /// Changes with every boot.
    pub(crate) boot_id: String,
    pub(crate) version: String,
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pod {
    pub(crate) name: String,
    pub(crate) node: String,
    pub(crate) ip: String,
    pub(crate) ready: bool,
    pub(crate) restarts: u64,
}

/// The list of an answer of the command line, `{"items": […]}`.
pub(crate) fn items<T: DeserializeOwned>(json: &Value) -> Result<Vec<T>, String> {
    let items = json.get("items").cloned().ok_or("there are no `items`")?;
    serde_json::from_value(items).map_err(|error| error.to_string())
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn list(json: &Value) -> impl Iterator<Item = &Value> {
    json["items"].as_array().into_iter().flatten()
}

/// The nodes of `kubectl get nodes -o json`, sorted.
pub(crate) fn nodes(json: &Value) -> Vec<Node> {
    let mut nodes: Vec<_> = list(json)
        .map(|node| {
            let conditions = node.pointer("/status/conditions").and_then(Value::as_array);
            let ready = conditions.into_iter().flatten().find(|condition| condition["type"] == "Ready");
            Node {
                name: text(node, "/metadata/name"),
                ready: ready.is_some_and(|ready| ready["status"] == "True"),
                since: ready.map(|ready| text(ready, "/lastTransitionTime")).unwrap_or_default(),
                boot_id: text(node, "/status/nodeInfo/bootID"),
                version: text(node, "/status/nodeInfo/kubeletVersion"),
            }
        })
        .collect();
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    nodes
}

/// The pods of `kubectl get pods -o json`, sorted.
pub(crate) fn pods(json: &Value) -> Vec<Pod> {
    let mut pods: Vec<_> = list(json)
        .map(|pod| {
            let containers: Vec<&Value> =
                pod.pointer("/status/containerStatuses").and_then(Value::as_array).into_iter().flatten().collect();
            Pod {
                name: text(pod, "/metadata/name"),
                node: text(pod, "/spec/nodeName"),
                ip: text(pod, "/status/podIP"),
                ready: !containers.is_empty() && containers.iter().all(|container| container["ready"] == true),
                restarts: containers.iter().filter_map(|container| container["restartCount"].as_u64()).sum(),
            }
        })
        .collect();
    pods.sort_by(|a, b| a.name.cmp(&b.name));
    pods
}

/// The MiB in use, of `free -m`.
pub(crate) fn used_mib(free: &str) -> Option<u64> {
    let line = free.lines().find(|line| line.starts_with("Mem:"))?;
    line.split_whitespace().nth(2)?.parse().ok()
}

/// The MiB of `VmRSS` in a `/proc/PID/status`.
pub(crate) fn rss_mib(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some((kib / 102.4).round() / 10.0)
}

/// What a client of the proxy did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProxyUse {
    /// Tunnels that it got.
    pub(crate) tunnels: u64,
    /// Bytes that came back through them.
    pub(crate) bytes: u64,
    /// Requests that were refused (407 asks for the password and is none of these).
    pub(crate) refused: u64,
}

/// The use of the proxy by client address, of squid's own log format: `time elapsed client code/status bytes method url …`.
/// Only tunnels to this host count.
pub(crate) fn proxy_use(log: &str, host: &str) -> BTreeMap<String, ProxyUse> {
    let mut uses: BTreeMap<String, ProxyUse> = BTreeMap::new();
    for line in log.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let [_, _, client, code, bytes, method, target, ..] = words.as_slice() else { continue };
        if *method != "CONNECT" || target.rsplit_once(':').map_or(*target, |(name, _)| name) != host {
            continue;
        }
        let status = code.rsplit_once('/').map_or("", |(_, status)| status);
        let entry = uses.entry((*client).to_owned()).or_default();
        match status {
            "200" => {
                entry.tunnels += 1;
                entry.bytes += bytes.parse::<u64>().unwrap_or(0);
            }
            "407" => {}
            _ => entry.refused += 1,
        }
    }
    uses
}

/// The other ends in what `ss -Htn state …` lists: `Recv-Q Send-Q local:port peer:port`.
pub(crate) fn peers(ss: &str) -> Vec<String> {
    let peer = |line: &str| {
        let address = line.split_whitespace().nth(3)?.rsplit_once(':')?.0.trim_matches(['[', ']']);
        Some(address.strip_prefix("::ffff:").unwrap_or(address).to_owned())
    };
    ss.lines().filter_map(peer).collect()
}

/// The packets a counter of `nft` has seen, by the rule's comment.
pub(crate) fn packets(ruleset: &str, comment: &str) -> Option<u64> {
    let marked = format!("comment \"{comment}\"");
    let line = ruleset.lines().find(|line| line.contains(&marked))?;
    line.split_once("packets ")?.1.split_whitespace().next()?.parse().ok()
}

/// The names after `would take N of M free:` in the installer's table of checks.
pub(crate) fn would_take(text: &str) -> Vec<String> {
    let Some(rest) = text.lines().find_map(|line| {
        let rest = &line[line.find("would take ")?..];
        Some(rest.split_once("free: ")?.1)
    }) else {
        return Vec::new();
    };
    // `amber-heron (4 CPU, 8192 MiB, 120 GiB, default); brisk-otter (…)`
    rest.split("); ").filter_map(|part| part.split_once(" (")).map(|(name, _)| name.trim().to_owned()).collect()
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
