//! The kubelet: announces its node, renews its lease, runs the pods that are bound to it.

mod node;
pub(crate) mod pods;
mod probe;

use super::{Timing, caller::Caller, objects, registration::Taint};
use crate::machine::Machine;
use http::Method;
use pods::mirror::OwnPods;
use serde_json::{Value, json};
use std::{net::IpAddr, sync::Arc};

/// What the console calls it.
const SOURCE: &str = "kubelet";

/// What a kubelet is started with.
pub(crate) struct Kubelet {
    pub(crate) machine: Arc<Machine>,
    pub(crate) caller: Caller,
    pub(crate) name: String,
    pub(crate) address: IpAddr,
    /// Such as `v1.36.4`.
    pub(crate) version: String,
    /// The folder with the image archives that were imported.
    pub(crate) images: &'static str,
    /// The folder without whose `.conflist` there is no network for pods; `None`: it is built in.
    pub(crate) networks: Option<&'static str>,
    /// What it runs without being told by the API.
    pub(crate) own: OwnPods,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) taints: Vec<Taint>,
    pub(crate) timing: Timing,
}

impl Kubelet {
    /// Works until it is dropped.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut registered = false;
        let mut pods = pods::Pods::new(Arc::clone(&self));
        let mut complained = String::new();
        loop {
            match self.round(&mut pods).await {
                Ok(()) => {
                    if !registered {
                        self.machine.console.say(SOURCE, format!("node {} registered", self.name));
                        registered = true;
                    }
                    complained.clear();
                }
                Err(why) => {
                    if complained != why {
                        self.machine.console.say(SOURCE, &why);
                        complained = why;
                    }
                }
            }
            tokio::time::sleep(self.timing.heartbeat).await;
        }
    }

    /// Posts an event about a pod or this node, for `kubectl describe`.
    async fn event(&self, about: &Value, kind: &str, reason: &str, message: &str) {
        let now = objects::time(self.machine.clock.now());
        let namespace = about["metadata"]["namespace"].as_str().unwrap_or("default");
        let event = json!({"apiVersion": "v1", "kind": "Event",
            "metadata": {"generateName": format!("{}.", about["metadata"]["name"].as_str().unwrap_or("object"))},
            "involvedObject": {"apiVersion": "v1", "kind": about["kind"], "name": about["metadata"]["name"],
                "namespace": about["metadata"]["namespace"], "uid": about["metadata"]["uid"]},
            "type": kind, "reason": reason, "message": message, "count": 1, "firstTimestamp": now, "lastTimestamp": now,
            "source": {"component": "kubelet", "host": self.name}});
        let path = format!("/api/v1/namespaces/{namespace}/events");
        if let Err(failed) = self.caller.call(Method::POST, &path, Some(&event)).await {
            tracing::debug!(why = failed.why, "event not posted");
        }
    }

    async fn round(&self, pods: &mut pods::Pods) -> Result<(), String> {
        self.heartbeat().await?;
        let path = format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{}", self.name);
        let list = self.caller.call(Method::GET, &path, None).await.map_err(|failed| failed.why)?;
        let items = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        pods.sync(items).await;
        pods::mirror::round(self, &self.own, items).await;
        Ok(())
    }

    /// Creates the node or tells that it is well, and renews its lease.
    async fn heartbeat(&self) -> Result<(), String> {
        let path = format!("/api/v1/nodes/{}", self.name);
        let status = json!({"status": self.node_status()});
        match self.caller.call(Method::PATCH, &format!("{path}/status"), Some(&status)).await {
            Ok(node) => self.keep_taints_off(&path, &node).await?,
            Err(failed) if failed.status == Some(404) => {
                let node = self.node();
                let node =
                    self.caller.call(Method::POST, "/api/v1/nodes", Some(&node)).await.map_err(|failed| failed.why)?;
                self.event(&node, "Normal", "Starting", "Starting kubelet.").await;
            }
            Err(failed) => return Err(failed.why),
        }
        let now = format!("{:.6}", self.machine.clock.now());
        let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
        let spec = json!({"holderIdentity": self.name, "leaseDurationSeconds": 40, "renewTime": now});
        let lease = format!("{leases}/{}", self.name);
        let renewed = self.caller.call(Method::PATCH, &lease, Some(&json!({"spec": spec}))).await;
        match renewed {
            Ok(_) => Ok(()),
            Err(failed) if failed.status == Some(404) => {
                let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                    "metadata": {"name": self.name, "namespace": "kube-node-lease"}, "spec": spec});
                self.caller.call(Method::POST, leases, Some(&lease)).await.map(|_| ()).map_err(|failed| failed.why)
            }
            Err(failed) => Err(failed.why),
        }
    }

    /// Takes away the taints that the node controller gave a node that was silent.
    async fn keep_taints_off(&self, path: &str, node: &Value) -> Result<(), String> {
        let taints = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
        let of_silence = |taint: &Value| {
            let key = taint["key"].as_str().unwrap_or_default();
            key == "node.kubernetes.io/unreachable" || key == "node.kubernetes.io/not-ready"
        };
        if !taints.iter().any(of_silence) {
            return Ok(());
        }
        let kept: Vec<Value> = taints.into_iter().filter(|taint| !of_silence(taint)).collect();
        let patch = json!({"spec": {"taints": kept}});
        self.caller.call(Method::PATCH, path, Some(&patch)).await.map(|_| ()).map_err(|failed| failed.why)
    }
}
