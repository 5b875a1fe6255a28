//! The address that several servers share: kube-vip beside each API server, of which one at a time answers for it.

use super::{KUBERNETES, SEED, yaml};
use ferrogate_join::{
    Role,
    cloud_config::{CloudConfig, Mode},
    names::API_PORT,
};
use ferrogate_model::release::Images;
use serde_json::json;
use std::net::IpAddr;

/// What the kubelet of the first server reads once the cluster stands.
const LASTING: &str = "/var/lib/ferrogate-node/kube-vip.yaml";

/// Takes the rights of the first days from the first server's pod. A link, because what it leads to has long been on the
/// disk: a power cut leaves one pod or the other, and never an empty file in whose place nobody would hold the address
/// that this server itself asks at.
pub(super) const LESS_RIGHTS: [&str; 5] =
    ["/usr/bin/ln", "--symbolic", "--force", LASTING, "/etc/kubernetes/manifests/kube-vip.yaml"];

/// Adds it as a static pod of the kubelet.
pub(super) fn add(config: &mut CloudConfig, images: &Images, address: IpAddr, role: &Role) {
    let lasting = pod(images, address, "admin.conf");
    let begins = format!("{SEED}/manifests/kube-vip.yaml");
    if *role == Role::FirstServer {
        // Until kubeadm has granted rights to `admin.conf`, only the other file has any.
        config.file(&begins, Mode::Private, pod(images, address, "super-admin.conf"));
        config.file(LASTING, Mode::Private, lasting);
    } else {
        config.file(&begins, Mode::Private, lasting);
    }
}

/// The pod, which asks Kubernetes with the rights of a file of kubeadm's.
fn pod(images: &Images, address: IpAddr, identity: &str) -> String {
    let identity = format!("{KUBERNETES}/{identity}");
    let length = if address.is_ipv4() { "32" } else { "128" };
    let (address, port) = (address.to_string(), API_PORT.to_string());
    let settings = [
        ("address", address.as_str()),
        ("port", &port),
        ("vip_subnet", length),
        ("vip_arp", "true"),
        ("cp_enable", "true"),
        ("cp_namespace", "kube-system"),
        ("svc_enable", "false"),
        ("vip_leaderelection", "true"),
        ("vip_leasename", "plndr-cp-lock"),
        // A server that is cut off is followed by another after that many seconds; slow machines renew in time.
        ("vip_leaseduration", "15"),
        ("vip_renewdeadline", "10"),
        ("vip_retryperiod", "2"),
    ];
    let mut environment: Vec<_> = settings.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    environment.push(json!({"name": "vip_nodename", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}));
    yaml(&json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "kube-vip",
            "namespace": "kube-system",
            "labels": {"app.kubernetes.io/name": "kube-vip", "app.kubernetes.io/managed-by": "ferrogate"},
        },
        "spec": {
            "hostNetwork": true,
            "priorityClassName": "system-node-critical",
            // It asks the API server beside it by a name that is in every certificate; the shared address may be nowhere.
            "hostAliases": [{"ip": "127.0.0.1", "hostnames": ["kubernetes"]}],
            "containers": [{
                "name": "kube-vip",
                "image": images.kube_vip,
                "imagePullPolicy": "Never",
                "args": ["manager"],
                "env": environment,
                "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
                "securityContext": {"capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]}},
                "volumeMounts": [{"name": "identity", "mountPath": "/etc/kubernetes/admin.conf", "readOnly": true}],
            }],
            "volumes": [{"name": "identity", "hostPath": {"path": identity, "type": "File"}}],
        },
    }))
}
