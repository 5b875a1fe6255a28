//! The node object, as a kubelet announces itself.

use super::Kubelet;
use crate::kubernetes::objects::time;
use serde_json::{Map, Value, json};

impl Kubelet {
    /// The whole object, for a node that is not known yet.
    pub(super) fn node(&self) -> Value {
        let taints: Vec<Value> = self
            .taints
            .iter()
            .map(|taint| json!({"key": taint.key, "value": taint.value, "effect": taint.effect}))
            .collect();
        json!({"apiVersion": "v1", "kind": "Node",
            "metadata": {"name": self.name, "labels": self.node_labels(), "annotations": {}},
            "spec": {"taints": taints}, "status": self.node_status()})
    }

    fn architecture(&self) -> &str {
        self.machine.boot.architecture.split('/').next().unwrap_or("amd64")
    }

    fn node_labels(&self) -> Value {
        let mut labels = Map::new();
        let mut set = |key: &str, value: &str| labels.insert(key.to_owned(), Value::String(value.to_owned()));
        for key in ["kubernetes.io/arch", "beta.kubernetes.io/arch"] {
            set(key, self.architecture());
        }
        for key in ["kubernetes.io/os", "beta.kubernetes.io/os"] {
            set(key, "linux");
        }
        set("kubernetes.io/hostname", &self.name);
        for (key, value) in &self.labels {
            set(key, value);
        }
        Value::Object(labels)
    }

    /// Whether something says how a pod gets its network.
    fn has_network(&self) -> bool {
        let list = |folder| self.machine.disk.list(folder);
        self.networks.is_none_or(|folder| list(folder).iter().any(|name| name.ends_with(".conflist")))
    }

    pub(super) fn node_status(&self) -> Value {
        let now = time(self.machine.clock.now());
        let boot = &self.machine.boot;
        let condition = |kind: &str, status: &str, reason: &str, message: &str| {
            json!({"type": kind, "status": status, "reason": reason, "message": message, "lastHeartbeatTime": now,
                "lastTransitionTime": now})
        };
        let memory = format!("{}Ki", boot.memory_mib * 1024);
        let resources = json!({"cpu": boot.cpu_count.to_string(), "memory": memory, "pods": "110",
            "ephemeral-storage": "60Gi"});
        let release = if boot.image.ends_with("jammy") { "22.04" } else { "24.04" };
        json!({
            "addresses": [{"type": "InternalIP", "address": self.address.to_string()},
                {"type": "Hostname", "address": self.name}],
            "capacity": resources, "allocatable": resources,
            "conditions": [
                condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
                condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
                condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
                if self.has_network() {
                    condition("Ready", "True", "KubeletReady", "kubelet is posting ready status")
                } else {
                    condition("Ready", "False", "KubeletNotReady", "container runtime network not ready: \
                        NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin \
                        not initialized")
                },
            ],
            "nodeInfo": {"architecture": self.architecture(), "operatingSystem": "linux", "kubeletVersion": self.version,
                "kubeProxyVersion": self.version, "containerRuntimeVersion": "containerd://simulated",
                "kernelVersion": "simulated", "osImage": format!("Ubuntu {release} LTS (simulated)"),
                "machineID": boot.system_id.0, "systemUUID": boot.system_id.0, "bootID": boot.system_id.0},
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        })
    }
}
