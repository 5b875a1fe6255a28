//! kubeadm's configuration: what the cluster is, and how this node joins it.

use super::{HOME, KUBERNETES, SOCKET, yaml};
use crate::base;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ferrogate_join::{
    ClusterKind, Node, NodeConfiguration, Role,
    cloud_config::{CloudConfig, Mode},
    names::{API_PORT, API_SERVER_NAME},
};
use ferrogate_model::release::Images;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};

/// kubeadm's configuration file; it holds the token that nodes join with.
pub(super) const CONFIG: &str = "/var/lib/ferrogate-node/kubeadm.yaml";
/// The version of the format, the newest that kubeadm 1.31 and later read.
const API: &str = "kubeadm.k8s.io/v1beta4";
/// How long certificates last that kubeadm makes: five years, half of what the authorities have. Nothing renews them but an
/// upgrade.
const CERTIFICATES_LAST: &str = "43800h0m0s";
/// A server on one slow processor starts its four programs within that.
const HEALTHY_WITHIN: &str = "10m0s";
/// An API server that has just started on a slow processor answers within that; kubeadm's own minute is too short for one, and
/// then all of it would begin anew.
const ANSWERED_WITHIN: &str = "5m0s";

/// What is checked before kubeadm does anything, and does not count here. Machines with less than two processors or 1.7 GB
/// are MAAS's to offer and people's to choose; and what a broken-off attempt left is taken up again instead of being refused.
const NOT_CHECKED: [&str; 15] = [
    "NumCPU",
    "Mem",
    "Port-2379",
    "Port-2380",
    "Port-6443",
    "Port-10250",
    "Port-10257",
    "Port-10259",
    "DirAvailable--var-lib-etcd",
    "FileAvailable--etc-kubernetes-kubelet.conf",
    "FileAvailable--etc-kubernetes-bootstrap-kubelet.conf",
    "FileAvailable--etc-kubernetes-manifests-etcd.yaml",
    "FileAvailable--etc-kubernetes-manifests-kube-apiserver.yaml",
    "FileAvailable--etc-kubernetes-manifests-kube-controller-manager.yaml",
    "FileAvailable--etc-kubernetes-manifests-kube-scheduler.yaml",
];

/// Everything the configuration is made of.
pub(super) struct Configuration<'a> {
    pub(super) configuration: &'a NodeConfiguration,
    pub(super) images: &'a Images,
    pub(super) node: &'a Node<'a>,
    pub(super) role: &'a Role,
    pub(super) names: &'a [String],
    /// The address that all servers share, where there is one.
    pub(super) shared: Option<IpAddr>,
}

impl Configuration<'_> {
    /// Adds kubeadm's configuration, and what a node that joins knows of the cluster.
    pub(super) fn add(&self, config: &mut CloudConfig) {
        let documents = match self.role {
            Role::FirstServer => {
                let mut all = vec![self.init(), self.cluster(), self.kubelet()];
                if self.configuration.kind == ClusterKind::Tenant {
                    all.push(proxy());
                }
                all
            }
            Role::Server(address) | Role::Agent(address) => {
                let kubeconfig = self.discovery(*address);
                config.file(&discovery_file(), Mode::Public, yaml(&kubeconfig));
                vec![self.join()]
            }
        };
        let text = documents.iter().map(yaml).collect::<Vec<_>>().join("---\n");
        config.file(CONFIG, Mode::Private, text);
    }

    fn init(&self) -> Value {
        let mut init = json!({
            "apiVersion": API,
            "kind": "InitConfiguration",
            // kubeadm insists on making a token and shows it in the journal; nodes join with another.
            "bootstrapTokens": [{"ttl": "1m0s"}],
            "skipPhases": ["show-join-command"],
            "nodeRegistration": self.registration(),
            "timeouts": timeouts(),
        });
        if let Some(address) = self.node.address {
            init["localAPIEndpoint"] = json!({"advertiseAddress": address, "bindPort": API_PORT});
        }
        init
    }

    fn join(&self) -> Value {
        let mut join = json!({
            "apiVersion": API,
            "kind": "JoinConfiguration",
            "discovery": {
                "file": {"kubeConfigPath": discovery_file()},
                "tlsBootstrapToken": self.configuration.materials.bootstrap_token().expose_secret(),
            },
            "nodeRegistration": self.registration(),
            "timeouts": timeouts(),
        });
        if matches!(self.role, Role::Server(_)) {
            let mut endpoint = json!({"bindPort": API_PORT});
            if let Some(address) = self.node.address {
                endpoint["advertiseAddress"] = json!(address);
            }
            join["controlPlane"] = json!({"localAPIEndpoint": endpoint});
        }
        join
    }

    fn registration(&self) -> Value {
        let mut arguments = vec![json!({"name": "node-labels", "value": base::labels(self.node).join(",")})];
        if let Some(address) = self.node.address {
            arguments.push(json!({"name": "node-ip", "value": address}));
        }
        json!({
            "name": self.node.name.as_str(),
            "criSocket": SOCKET,
            // All of them came with the bundle.
            "imagePullPolicy": "Never",
            // An empty list, so that servers take pods too.
            "taints": self.node.pool.taints.iter().filter_map(|text| taint(text)).collect::<Vec<_>>(),
            "ignorePreflightErrors": NOT_CHECKED,
            "kubeletExtraArgs": arguments,
        })
    }

    fn cluster(&self) -> Value {
        let (configuration, spec) = (self.configuration, &self.configuration.spec);
        let tenant = configuration.kind == ClusterKind::Tenant;
        let mut arguments = vec![json!({"name": "client-ca-file", "value": format!("{KUBERNETES}/pki/client-ca.crt")})];
        if tenant {
            let file = format!("{KUBERNETES}/pki/encryption.yaml");
            arguments.push(json!({"name": "encryption-provider-config", "value": file}));
        }
        let mut names: Vec<String> =
            [API_SERVER_NAME, self.node.name.as_str(), self.node.fqdn].map(str::to_owned).to_vec();
        names.extend(self.names.iter().filter(|name| !names.contains(name)).cloned().collect::<Vec<_>>());
        json!({
            "apiVersion": API,
            "kind": "ClusterConfiguration",
            "clusterName": configuration.name.as_str(),
            "kubernetesVersion": configuration.release.kubernetes,
            "controlPlaneEndpoint": self.endpoint(),
            "certificateValidityPeriod": CERTIFICATES_LAST,
            // Made in no time even on a slow machine.
            "encryptionAlgorithm": "ECDSA-P256",
            "networking": {"podSubnet": spec.pod_cidr.to_string(), "serviceSubnet": spec.service_cidr.to_string()},
            "apiServer": {"certSANs": names, "extraArgs": arguments},
            "etcd": {"local": {
                "dataDir": "/var/lib/etcd",
                "imageTag": self.images.etcd.tag_and_digest(),
                // Three times the defaults: a member on a busy processor keeps its lead, and losing a server still costs less
                // than the shared address does.
                "extraArgs": [
                    {"name": "heartbeat-interval", "value": "300"},
                    {"name": "election-timeout", "value": "3000"},
                ],
            }},
            // Nothing but the gateway, on the host's network: no DNS and no services.
            "dns": if tenant { json!({"imageTag": self.images.coredns.tag_and_digest()}) } else { json!({"disabled": true}) },
            "proxy": {"disabled": !tenant},
        })
    }

    /// Where the API is for everybody: kubeadm lets no further server join where this is not said at the start.
    fn endpoint(&self) -> String {
        match self.shared.or(self.node.address) {
            Some(address) => SocketAddr::new(address, API_PORT).to_string(),
            None => format!("{}:{API_PORT}", self.host()),
        }
    }

    /// The host that answers there.
    pub(super) fn host(&self) -> String {
        // MAAS's DNS knows every machine.
        self.shared.or(self.node.address).map_or_else(|| self.node.fqdn.to_owned(), |address| address.to_string())
    }

    fn kubelet(&self) -> Value {
        let mut kubelet = json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "cgroupDriver": "systemd",
            // Stock images may have swap; pods do not use it.
            "failSwapOn": false,
            "rotateCertificates": true,
        });
        if self.configuration.kind == ClusterKind::Gateway {
            // The gateway's image comes from no registry; it must not be cleared away on a full disk.
            kubelet["imageGCHighThresholdPercent"] = json!(100);
        }
        kubelet
    }

    /// What a node must know to trust a server: the authority itself, so that no hash and no token vouches for it.
    fn discovery(&self, server: IpAddr) -> Value {
        // A further server may be the first that holds the shared address: a cluster that began with one has nobody for it.
        let shared = self.shared.filter(|_| matches!(self.role, Role::Agent(_)));
        let server = SocketAddr::new(shared.unwrap_or(server), API_PORT);
        let authority = STANDARD.encode(&self.configuration.materials.server_ca.certificate_pem);
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{
                "name": "cluster",
                "cluster": {"server": format!("https://{server}"), "certificate-authority-data": authority},
            }],
            "contexts": [{"name": "discovery", "context": {"cluster": "cluster", "user": "nobody"}}],
            "users": [{"name": "nobody", "user": {}}],
            "current-context": "discovery",
        })
    }
}

fn discovery_file() -> String {
    format!("{HOME}/discovery.conf")
}

fn proxy() -> Value {
    json!({"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration", "mode": "nftables"})
}

fn timeouts() -> Value {
    json!({
        "controlPlaneComponentHealthCheck": HEALTHY_WITHIN,
        "kubeletHealthCheck": HEALTHY_WITHIN,
        "tlsBootstrap": HEALTHY_WITHIN,
        "etcdAPICall": HEALTHY_WITHIN,
        "kubernetesAPICall": ANSWERED_WITHIN,
    })
}

/// `key=value:Effect` or `key:Effect`, as the specification has it.
fn taint(text: &str) -> Option<Value> {
    let (front, effect) = text.rsplit_once(':')?;
    let (key, value) = front.split_once('=').unwrap_or((front, ""));
    Some(json!({"key": key, "value": value, "effect": effect}))
}
