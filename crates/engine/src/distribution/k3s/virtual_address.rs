//! The address that several servers share: kube-vip on each of them, of which one at a time answers for it.
//!
//! A DaemonSet rather than a pod of the kubelet's own, because only that may have a service account: it may change its
//! lease and nothing else. It asks the API server beside it, so that a server whose API is gone lets the address go.

use crate::{distribution::API_PORT, manifests::NAMESPACE, yaml::block};
use serde_json::{Value, json};
use std::net::IpAddr;

const NAME: &str = "kube-vip";

/// Name of the manifest file.
pub(super) const FILE: &str = "ferrogate-kube-vip.yaml";

/// What is applied to the cluster.
pub(super) fn manifest(image: &str, address: IpAddr) -> String {
    let labels = json!({"app.kubernetes.io/name": NAME, "app.kubernetes.io/managed-by": "ferrogate"});
    let metadata = json!({"name": NAME, "namespace": NAMESPACE, "labels": labels});
    let objects = [
        json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": NAMESPACE,
                "labels": {
                    "app.kubernetes.io/managed-by": "ferrogate",
                    "pod-security.kubernetes.io/enforce": "privileged",
                },
            },
        }),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": metadata,
            "rules": [{
                "apiGroups": ["coordination.k8s.io"],
                "resources": ["leases"],
                "verbs": ["get", "list", "watch", "create", "update", "patch"],
            }],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": NAME},
            "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}],
        }),
        daemon_set(image, address, &metadata, &labels),
    ];
    objects.iter().map(block).collect::<Vec<_>>().join("---\n")
}

fn daemon_set(image: &str, address: IpAddr, metadata: &Value, labels: &Value) -> Value {
    let length = if address.is_ipv4() { "32" } else { "128" };
    let (address, port) = (address.to_string(), API_PORT.to_string());
    let settings = [
        ("address", address.as_str()),
        ("port", &port),
        ("vip_subnet", length),
        ("vip_arp", "true"),
        ("cp_enable", "true"),
        ("cp_namespace", NAMESPACE),
        ("svc_enable", "false"),
        ("vip_leaderelection", "true"),
        ("vip_leasename", "kube-vip-control-plane"),
        // A server that is cut off is followed by another after that many seconds; slow machines renew in time.
        ("vip_leaseduration", "15"),
        ("vip_renewdeadline", "10"),
        ("vip_retryperiod", "2"),
        // The API server on the same machine; its certificate names this address.
        ("KUBERNETES_SERVICE_HOST", "127.0.0.1"),
        ("KUBERNETES_SERVICE_PORT", &port),
    ];
    let mut environment: Vec<_> = settings.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    environment.push(json!({"name": "vip_nodename", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}));
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": metadata,
        "spec": {
            "selector": {"matchLabels": {"app.kubernetes.io/name": NAME}},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "serviceAccountName": NAME,
                    "hostNetwork": true,
                    "dnsPolicy": "Default",
                    "enableServiceLinks": false,
                    "priorityClassName": "system-node-critical",
                    "nodeSelector": {"node-role.kubernetes.io/control-plane": "true"},
                    "tolerations": [{"operator": "Exists"}],
                    "containers": [{
                        "name": NAME,
                        "image": image,
                        "imagePullPolicy": "IfNotPresent",
                        "args": ["manager"],
                        "env": environment,
                        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
                        "securityContext": {
                            "allowPrivilegeEscalation": false,
                            "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]},
                        },
                    }],
                },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_may_change_its_lease_and_nothing_else() {
        let text = manifest("ghcr.io/kube-vip/kube-vip:v1.0.0", "10.0.0.9".parse().unwrap());
        let objects: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        let kinds: Vec<&str> = objects.iter().filter_map(|object| object["kind"].as_str()).collect();
        assert_eq!(kinds, ["Namespace", "ServiceAccount", "Role", "RoleBinding", "DaemonSet"]);
        assert_eq!(objects[2]["rules"][0]["resources"], json!(["leases"]));
        assert!(!text.contains("cluster-admin") && !text.contains("ClusterRole"));
        let container = &objects[4]["spec"]["template"]["spec"]["containers"][0];
        let environment = container["env"].as_array().unwrap();
        let of = |name: &str| &environment.iter().find(|variable| variable["name"] == name).unwrap()["value"];
        assert_eq!((of("address"), of("port"), of("vip_subnet")), (&json!("10.0.0.9"), &json!("6443"), &json!("32")));
        assert_eq!(container["securityContext"]["capabilities"]["add"], json!(["NET_ADMIN", "NET_RAW"]));
    }
}
