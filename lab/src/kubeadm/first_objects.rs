//! What `kubeadm init` puts into a new cluster once its API answers.

use super::{
    certificates::{ADMINS, load_kubeconfig},
    configuration::{Cluster, Documents, Registration, Timeouts, duration, kubelet_defaults},
    until,
};
use crate::{
    kubernetes::{
        caller::Caller,
        kinds::Kind,
        rbac::{NODE_CLIENT, NODES},
    },
    machine::Machine,
};
use http::Method;
use serde_json::{Value, json};

/// Group of nodes that join.
const JOINING: &str = "system:bootstrappers:kubeadm:default-node-token";
const RBAC: &str = "rbac.authorization.k8s.io";

/// The cluster that is being made.
pub(super) struct FirstObjects<'a> {
    pub(super) machine: &'a Machine,
    pub(super) cluster: &'a Cluster,
    pub(super) name: &'a str,
    pub(super) timeouts: Timeouts,
}

impl FirstObjects<'_> {
    /// Makes them all. Everybody's way to the API is gone, so where it leads nowhere, this ends here.
    pub(super) async fn make(
        &self,
        cluster_document: &Value,
        documents: &Documents,
        init: &Value,
        registration: &Registration,
        skipped: &[String],
    ) -> Result<(), String> {
        let caller = load_kubeconfig(self.machine, "super-admin")?.caller(self.machine.connector())?;
        let is_skipped = |phase: &str| skipped.iter().any(|skipped| skipped == phase);
        let admins = binding("kubeadm:cluster-admins", "cluster-admin", ADMINS);
        until(self.machine, "kubeadm", self.timeouts.control_plane, || Box::pin(apply(&caller, &admins))).await?;
        let caller = load_kubeconfig(self.machine, "admin")?.caller(self.machine.connector())?;
        let kubelet = kubelet_defaults(documents.get("KubeletConfiguration"));
        let mut objects = vec![
            config_map("kubeadm-config", "ClusterConfiguration", &cluster_document.to_string()),
            config_map("kubelet-config", "kubelet", &kubelet.to_string()),
        ];
        for map in ["kubeadm-config", "kubelet-config"] {
            objects.extend(readable(map));
        }
        objects.extend([
            binding("kubeadm:kubelet-bootstrap", "system:node-bootstrapper", JOINING),
            binding("kubeadm:node-autoapprove-bootstrap", NODE_CLIENT, JOINING),
            role_of_nodes(),
            binding("kubeadm:get-nodes", "kubeadm:get-nodes", JOINING),
        ]);
        if !is_skipped("bootstrap-token") {
            objects.extend(self.tokens(init)?);
        }
        if self.cluster.proxy && !is_skipped("addon") && !is_skipped("addon/kube-proxy") {
            objects.extend(self.proxy(documents));
        }
        if let Some(tag) =
            self.cluster.dns_tag.as_ref().filter(|_| !is_skipped("addon") && !is_skipped("addon/coredns"))
        {
            objects.push(dns(tag));
        }
        for object in &objects {
            apply(&caller, object).await?;
        }
        mark(&caller, self.name, registration).await
    }

    /// The token that kubeadm insists on.
    fn tokens(&self, init: &Value) -> Result<Vec<Value>, String> {
        let letters =
            |count: usize| -> String { ferrogate_files::hex(rand::random::<[u8; 16]>()).chars().take(count).collect() };
        let default = json!([{}]);
        let given = if init["bootstrapTokens"].is_array() { &init["bootstrapTokens"] } else { &default };
        let mut made = Vec::new();
        for token in given.as_array().into_iter().flatten() {
            let drawn = format!("{}.{}", letters(6), letters(16));
            let text = token["token"].as_str().unwrap_or(&drawn);
            let (id, secret) = text.split_once('.').ok_or("bootstrapTokens: a token is ID.SECRET")?;
            let lasts = token["ttl"].as_str().unwrap_or("24h0m0s");
            let lasts = duration(lasts).ok_or(format!("bootstrapTokens: ttl `{lasts}` is not a span of time"))?;
            let end = self.machine.clock.now().checked_add(lasts).map_err(|error| error.to_string())?;
            made.push(json!({
                "apiVersion": "v1", "kind": "Secret", "type": "bootstrap.kubernetes.io/token",
                "metadata": {"name": format!("bootstrap-token-{id}"), "namespace": "kube-system"},
                "stringData": {"token-id": id, "token-secret": secret, "expiration": end.to_string(),
                    "usage-bootstrap-authentication": "true", "usage-bootstrap-signing": "true",
                    "auth-extra-groups": JOINING},
            }));
        }
        Ok(made)
    }

    fn proxy(&self, documents: &Documents) -> Vec<Value> {
        let settings = documents.get("KubeProxyConfiguration").cloned().unwrap_or_default();
        let labels = json!({"k8s-app": "kube-proxy"});
        let set = json!({
            "apiVersion": "apps/v1", "kind": "DaemonSet",
            "metadata": {"name": "kube-proxy", "namespace": "kube-system", "labels": labels},
            "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {
                "hostNetwork": true, "priorityClassName": "system-node-critical",
                "tolerations": [{"operator": "Exists"}], "nodeSelector": {"kubernetes.io/os": "linux"},
                "containers": [{"name": "kube-proxy", "image": self.cluster.image("kube-proxy"),
                    "imagePullPolicy": "IfNotPresent", "command": ["/usr/local/bin/kube-proxy",
                        "--config=/var/lib/kube-proxy/config.conf"],
                    "volumeMounts": [{"name": "kube-proxy", "mountPath": "/var/lib/kube-proxy"}]}],
                "volumes": [{"name": "kube-proxy", "configMap": {"name": "kube-proxy"}}],
            }}},
        });
        vec![config_map("kube-proxy", "config.conf", &settings.to_string()), set]
    }
}

/// Says of a node that it is a server.
pub(super) async fn mark(caller: &Caller, name: &str, registration: &Registration) -> Result<(), String> {
    let taints: Vec<Value> = registration
        .taints
        .iter()
        .map(|taint| json!({"key": taint.key, "value": taint.value, "effect": taint.effect}))
        .collect();
    let labels = json!({"node-role.kubernetes.io/control-plane": "",
        "node.kubernetes.io/exclude-from-external-load-balancers": ""});
    let patch = json!({"metadata": {"labels": labels}, "spec": {"taints": taints}});
    let path = Kind::plural("nodes").path("", name);
    let done = caller.call(Method::PATCH, &path, Some(&patch)).await;
    done.map(drop).map_err(|failed| format!("[mark-control-plane] {}", failed.why))
}

async fn apply(caller: &Caller, object: &Value) -> Result<(), String> {
    let kind = Kind::of_object(object).ok_or_else(|| format!("{} is not simulated", object["kind"]))?;
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    let path = format!("{}?fieldManager=kubeadm&force=true", kind.path(text("namespace"), text("name")));
    let done = caller.call(Method::PATCH, &path, Some(object)).await;
    done.map(drop).map_err(|failed| format!("{} {}: {}", kind.kind, text("name"), failed.why))
}

fn config_map(name: &str, file: &str, text: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "kube-system"},
        "data": {file: text}})
}

fn binding(name: &str, role: &str, group: &str) -> Value {
    json!({"apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": RBAC, "kind": "Group", "name": group}]})
}

/// Nodes, and those that join, may read a ConfigMap.
fn readable(map: &str) -> [Value; 2] {
    let name = format!("kubeadm:{map}");
    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [map], "verbs": ["get"]}]);
    let metadata = json!({"name": name, "namespace": "kube-system"});
    let group = |group: &str| json!({"apiGroup": RBAC, "kind": "Group", "name": group});
    [
        json!({"apiVersion": format!("{RBAC}/v1"), "kind": "Role", "metadata": metadata, "rules": rules}),
        json!({"apiVersion": format!("{RBAC}/v1"), "kind": "RoleBinding", "metadata": metadata,
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": name}, "subjects": [group(JOINING), group(NODES)]}),
    ]
}

fn role_of_nodes() -> Value {
    json!({"apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRole", "metadata": {"name": "kubeadm:get-nodes"},
        "rules": [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}]})
}

fn dns(tag: &str) -> Value {
    let labels = json!({"k8s-app": "kube-dns"});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "coredns", "namespace": "kube-system", "labels": labels},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
            "spec": {"containers": [{"name": "coredns", "image": format!("registry.k8s.io/coredns/coredns:{tag}")}]}}},
    })
}
