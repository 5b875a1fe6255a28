//! The pods of one node.

mod built_in;
pub(crate) mod container;
mod etcdctl;
pub(crate) mod mirror;
mod virtual_address;
pub(crate) mod volumes;

pub(crate) use built_in::BuiltIn;

use super::Kubelet;
use container::Outcome;
use http::Method;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

/// What runs here, by the pod's uid.
pub(super) struct Pods {
    kubelet: Arc<Kubelet>,
    running: BTreeMap<String, Running>,
}

struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
    /// When the pod is removed even if it has not ended.
    deadline: Option<Instant>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // The machine lost its power, or the pod is gone.
        self.stop.cancel();
        self.task.abort();
    }
}

impl Pods {
    pub(super) fn new(kubelet: Arc<Kubelet>) -> Self {
        Self { kubelet, running: BTreeMap::new() }
    }

    /// Makes what runs agree with the pods that the API has for this node.
    pub(super) async fn sync(&mut self, pods: &[Value]) {
        let uid = |pod: &Value| pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        let logs = &self.kubelet.machine.site.logs;
        self.running.retain(|known, _| {
            let stays = pods.iter().any(|pod| uid(pod) == *known);
            if !stays {
                logs.remove(known);
            }
            stays
        });
        for pod in pods {
            let id = uid(pod);
            if pod["metadata"]["deletionTimestamp"].is_string() {
                self.end(&id, pod).await;
            } else if !self.running.contains_key(&id) && !is_over(pod) {
                let stop = CancellationToken::new();
                let work = container::run(Arc::clone(&self.kubelet), pod.clone(), stop.clone());
                self.running.insert(id, Running { stop, task: tokio::spawn(work), deadline: None });
            }
        }
    }

    /// Asks a pod to end, and removes it from the API once it has, or its time is over. It never waits: the node has to
    /// go on telling that it is well.
    async fn end(&mut self, id: &str, pod: &Value) {
        if let Some(running) = self.running.get_mut(id) {
            running.stop.cancel();
            let grace = pod["metadata"]["deletionGracePeriodSeconds"].as_u64().unwrap_or(30);
            let deadline = *running.deadline.get_or_insert_with(|| Instant::now() + Duration::from_secs(grace));
            if !running.task.is_finished() && Instant::now() < deadline {
                return;
            }
        }
        self.running.remove(id);
        let body = json!({"gracePeriodSeconds": 0});
        if let Err(failed) = self.kubelet.caller.call(Method::DELETE, &path(pod), Some(&body)).await {
            tracing::debug!(why = failed.why, "pod not removed yet");
        }
    }
}

/// Whether a pod has run to its end, or is only the shadow of one that the node runs by itself.
fn is_over(pod: &Value) -> bool {
    let phase = pod["status"]["phase"].as_str().unwrap_or_default();
    matches!(phase, "Succeeded" | "Failed") || pod["metadata"]["annotations"][mirror::MIRROR].is_string()
}

/// The pod's own path in the API.
fn path(pod: &Value) -> String {
    let text = |field: &str| pod["metadata"][field].as_str().unwrap_or_default();
    format!("/api/v1/namespaces/{}/pods/{}", text("namespace"), text("name"))
}

/// Tells the API how a pod is.
async fn tell(kubelet: &Kubelet, pod: &Value, state: &Outcome) {
    let now = crate::kubernetes::objects::time(kubelet.machine.clock.now());
    let condition = |kind: &str, ok: bool| json!({"type": kind, "status": if ok { "True" } else { "False" }, "lastTransitionTime": now});
    let address = kubelet.address.to_string();
    let status = json!({"status": {
        "phase": state.phase, "hostIP": address, "podIP": address, "podIPs": [{"ip": address}], "startTime": now,
        "conditions": [condition("PodScheduled", true), condition("Initialized", true),
            condition("ContainersReady", state.ready), condition("Ready", state.ready)],
        "containerStatuses": state.containers,
    }});
    let path = format!("{}/status", path(pod));
    if let Err(failed) = kubelet.caller.call(Method::PATCH, &path, Some(&status)).await {
        tracing::debug!(why = failed.why, "pod status not told");
    }
}
