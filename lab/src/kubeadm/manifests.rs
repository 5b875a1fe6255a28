//! The static pods of a server, as kubeadm writes them.

use super::{MANIFESTS, configuration::Cluster, write};
use crate::machine::Machine;
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};

const PKI: &str = "/etc/kubernetes/pki";

/// Writes those that need no etcd to be written.
pub(super) fn control_plane(machine: &Machine, cluster: &Cluster, at: IpAddr) -> Result<(), String> {
    let pki = |name: &str| format!("{PKI}/{name}");
    let mut arguments: Vec<(String, String)> = [
        ("advertise-address", at.to_string()),
        ("secure-port", crate::kubernetes::API_PORT.to_string()),
        ("allow-privileged", "true".into()),
        ("authorization-mode", "Node,RBAC".into()),
        ("client-ca-file", pki("ca.crt")),
        ("enable-bootstrap-token-auth", "true".into()),
        ("etcd-cafile", pki("etcd/ca.crt")),
        ("etcd-certfile", pki("apiserver-etcd-client.crt")),
        ("etcd-keyfile", pki("apiserver-etcd-client.key")),
        ("etcd-servers", "https://127.0.0.1:2379".into()),
        ("kubelet-client-certificate", pki("apiserver-kubelet-client.crt")),
        ("kubelet-client-key", pki("apiserver-kubelet-client.key")),
        ("proxy-client-cert-file", pki("front-proxy-client.crt")),
        ("proxy-client-key-file", pki("front-proxy-client.key")),
        ("requestheader-client-ca-file", pki("front-proxy-ca.crt")),
        ("service-account-key-file", pki("sa.pub")),
        ("service-account-signing-key-file", pki("sa.key")),
        ("service-cluster-ip-range", cluster.services.to_string()),
        ("tls-cert-file", pki("apiserver.crt")),
        ("tls-private-key-file", pki("apiserver.key")),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec();
    replace(&mut arguments, &cluster.api_arguments);
    put(machine, "kube-apiserver", &cluster.image("kube-apiserver"), &arguments)?;
    let manager = [
        ("kubeconfig", "/etc/kubernetes/controller-manager.conf".to_owned()),
        ("cluster-signing-cert-file", pki("ca.crt")),
        ("cluster-signing-key-file", pki("ca.key")),
        ("cluster-cidr", cluster.pods.to_string()),
        ("allocate-node-cidrs", "true".into()),
        ("leader-elect", "true".into()),
    ]
    .map(|(name, value)| (name.to_owned(), value));
    put(machine, "kube-controller-manager", &cluster.image("kube-controller-manager"), &manager)?;
    let scheduler = [("kubeconfig".to_owned(), "/etc/kubernetes/scheduler.conf".to_owned())];
    put(machine, "kube-scheduler", &cluster.image("kube-scheduler"), &scheduler)
}

/// Writes etcd's: of a new cluster, or beside the members that are there.
pub(super) fn etcd(
    machine: &Machine,
    cluster: &Cluster,
    (node, at): (&str, IpAddr),
    others: &[(String, IpAddr)],
) -> Result<(), String> {
    let peer = |(name, at): (&str, IpAddr)| format!("{name}=https://{}", SocketAddr::new(at, 2380));
    let mut members: Vec<String> = others.iter().map(|(name, at)| peer((name, *at))).collect();
    members.push(peer((node, at)));
    let pki = |name: &str| format!("{PKI}/etcd/{name}");
    let mut arguments: Vec<(String, String)> = [
        ("name", node.to_owned()),
        ("data-dir", super::ETCD_DATA.into()),
        ("advertise-client-urls", format!("https://{}", SocketAddr::new(at, 2379))),
        ("cert-file", pki("server.crt")),
        ("key-file", pki("server.key")),
        ("trusted-ca-file", pki("ca.crt")),
        ("peer-cert-file", pki("peer.crt")),
        ("peer-key-file", pki("peer.key")),
        ("peer-trusted-ca-file", pki("ca.crt")),
        ("initial-cluster", members.join(",")),
        ("initial-cluster-state", if others.is_empty() { "new" } else { "existing" }.into()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec();
    replace(&mut arguments, &cluster.etcd_arguments);
    put(machine, "etcd", &cluster.etcd_image(), &arguments)
}

fn replace(arguments: &mut Vec<(String, String)>, given: &[(String, String)]) {
    for (name, value) in given {
        arguments.retain(|(known, _)| known != name);
        arguments.push((name.clone(), value.clone()));
    }
}

fn put(machine: &Machine, name: &str, image: &str, arguments: &[(String, String)]) -> Result<(), String> {
    let command: Vec<String> = std::iter::once(name.to_owned())
        .chain(arguments.iter().map(|(name, value)| format!("--{name}={value}")))
        .collect();
    let pod: Value = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "kube-system", "labels": {"component": name, "tier": "control-plane"}},
        "spec": {
            "hostNetwork": true,
            "priorityClassName": "system-node-critical",
            "containers": [{"name": name, "image": image, "imagePullPolicy": "IfNotPresent", "command": command}],
        },
    });
    write(machine, &format!("{MANIFESTS}/{name}.yaml"), &format!("{pod:#}\n"), 0o600)
}
