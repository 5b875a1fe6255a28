//! Mirror pods: what shows in the API of pods that a node runs by itself.

use super::{Kubelet, container::Outcome, path, tell};
use http::Method;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Annotation of a pod that only mirrors one of a node's own.
pub(super) const MIRROR: &str = "kubernetes.io/config.mirror";

/// The pods that a node runs by itself, by the file they come from; clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnPods(Arc<Mutex<BTreeMap<String, Value>>>);

impl OwnPods {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Value>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn put(&self, file: &str, pod: Value) {
        self.all().insert(file.to_owned(), pod);
    }

    pub(crate) fn remove(&self, file: &str) {
        self.all().remove(file);
    }
}

/// Makes the mirrors agree with what the node runs; `there` is what the API has for it.
pub(in super::super) async fn round(kubelet: &Kubelet, own: &OwnPods, there: &[Value]) {
    let own: Vec<Value> = own.all().values().map(|pod| mirrored(pod, &kubelet.name)).collect();
    let same = |one: &Value, other: &Value| path(one) == path(other);
    for pod in own.iter().filter(|pod| !there.iter().any(|known| same(known, pod))) {
        let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
        let made = kubelet.caller.call(Method::POST, &format!("/api/v1/namespaces/{namespace}/pods"), Some(pod)).await;
        if let Err(failed) = made {
            tracing::debug!(why = failed.why, "mirror pod not made");
            continue;
        }
        let container = &pod["spec"]["containers"][0];
        let containers = json!([{"name": container["name"], "image": container["image"], "ready": true, "restartCount": 0,
            "state": {"running": {}}}]);
        tell(kubelet, pod, &Outcome { phase: "Running", ready: true, containers }).await;
    }
    let is_mirror = |pod: &&Value| pod["metadata"]["annotations"][MIRROR].is_string();
    for pod in there.iter().filter(is_mirror).filter(|pod| !own.iter().any(|known| same(known, pod))) {
        let body = json!({"gracePeriodSeconds": 0});
        if let Err(failed) = kubelet.caller.call(Method::DELETE, &path(pod), Some(&body)).await {
            tracing::debug!(why = failed.why, "mirror pod not removed");
        }
    }
}

fn mirrored(pod: &Value, node: &str) -> Value {
    let mut mirror = pod.clone();
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    mirror["metadata"]["name"] = format!("{name}-{node}").into();
    if mirror["metadata"]["namespace"].is_null() {
        mirror["metadata"]["namespace"] = "default".into();
    }
    mirror["metadata"]["annotations"][MIRROR] = "static".into();
    mirror["spec"]["nodeName"] = node.into();
    mirror
}
