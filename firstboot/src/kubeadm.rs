//! Upstream Kubernetes by kubeadm, on a stock operating system. Everything comes in one bundle; what is secret comes in the
//! user-data, so that neither keys nor a way in are ever asked for over the network.

mod configuration;
mod network;
mod pki;
mod steps;
mod virtual_address;

use crate::{
    artifacts::{Fetch, Place, add_node_unit},
    base, gateway, manifests,
};
use configuration::Configuration;
use ferrogate_join::{
    ClusterKind, EtcdTool, Node, NodeConfiguration, NodeSetup, Role, SetupError,
    cloud_config::{self, CloudConfig, Mode},
};
use ferrogate_model::{
    ImageRef,
    release::{Architecture, Images, Release},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::net::IpAddr;

/// Everything of ours that kubeadm reads. The gateway's pod, which sees `/etc/ferrogate`, does not see it.
const HOME: &str = "/var/lib/ferrogate-node";
/// What is put into [`KUBERNETES`] before kubeadm runs, each time: its reset clears that folder.
const SEED: &str = "/var/lib/ferrogate-node/kubernetes";
/// Where kubeadm looks for what is there already.
const KUBERNETES: &str = "/etc/kubernetes";
/// What the first server applies.
const MANIFESTS: &str = "/var/lib/ferrogate-node/manifests";
/// The bundle's images, as archives, until they are imported.
const IMAGES: &str = "/var/lib/ferrogate-node/images";
/// Those of the bundle's images that only servers run, as tar names them.
const SERVER_IMAGES: &str = "var/lib/ferrogate-node/images/server";
/// containerd's socket, as kubeadm and the kubelet name it.
const SOCKET: &str = "unix:///run/containerd/containerd.sock";

/// Sets nodes up by kubeadm.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kubeadm;

impl NodeSetup for Kubeadm {
    fn user_data(
        &self,
        configuration: &NodeConfiguration,
        node: &Node<'_>,
        role: &Role,
        names: &[String],
        enrolment: Option<&SecretString>,
    ) -> Result<SecretString, SetupError> {
        let config = self.cloud_config(configuration, node, role, names, enrolment)?;
        config.user_data().map_err(|bytes| SetupError::TooLong {
            machine: node.fqdn.to_owned(),
            bytes,
            limit: cloud_config::LIMIT,
        })
    }

    fn etcd_tool(&self, release: &Release) -> EtcdTool {
        let file = |name: &str| format!("{KUBERNETES}/pki/etcd/{name}");
        EtcdTool {
            image: release.images.etcd.to_string(),
            ca: file("ca.crt"),
            certificate: file("healthcheck-client.crt"),
            key: file("healthcheck-client.key"),
        }
    }
}

impl Kubeadm {
    /// What cloud-init is asked to do on a machine. `names` are further names and addresses for the API's certificate;
    /// `enrolment` is the one-time token of a gateway node.
    ///
    /// # Errors
    /// [`SetupError`] names what is missing.
    pub fn cloud_config(
        &self,
        configuration: &NodeConfiguration,
        node: &Node<'_>,
        role: &Role,
        names: &[String],
        enrolment: Option<&SecretString>,
    ) -> Result<CloudConfig, SetupError> {
        let files = base::architecture(configuration, node)?;
        let images = &configuration.release.images;
        // The plane reserves it before the first server is installed.
        let shared = names.iter().find_map(|name| name.parse::<IpAddr>().ok());
        let documents = Configuration { configuration, images, node, role, names, shared };
        let mut config = base::begin(configuration, role);
        documents.add(&mut config);
        if !matches!(role, Role::Agent(_)) {
            pki::add(&mut config, configuration)?;
            if let Some(address) = shared {
                virtual_address::add(&mut config, images, address, role);
            }
        }
        network::add(&mut config, configuration);
        if *role == Role::FirstServer {
            add_manifests(&mut config, configuration, images, &documents.host());
        }
        if configuration.kind == ClusterKind::Gateway {
            gateway::add(&mut config, configuration, node, enrolment)?;
        }
        steps::add(&mut config, images, role, shared.is_some());
        let own_ca = configuration.plane_ca_pem.is_some();
        let place = Place::Unpack { without: not_needed(images, configuration.kind, role, shared.is_some()) };
        let mut fetches = vec![Fetch { artifact: &files.kubeadm, name: "kubeadm.tar".into(), place }];
        fetches.extend(gateway_image(configuration, files));
        add_node_unit(&mut config, &configuration.artifacts_url, own_ca, &fetches, &steps::AFTER_UNPACKING)?;
        Ok(config)
    }
}

fn gateway_image<'a>(configuration: &NodeConfiguration, files: &'a Architecture) -> Option<Fetch<'a>> {
    let name = "ferrogate-gateway.tar";
    let place = Place::Install { target: format!("{IMAGES}/{name}"), mode: "0644" };
    (configuration.kind == ClusterKind::Gateway).then(|| Fetch {
        artifact: &files.gateway_image,
        name: name.into(),
        place,
    })
}

/// Images of the bundle that never run on such a node: it does not spend disk and minutes on them.
fn not_needed(images: &Images, kind: ClusterKind, role: &Role, has_shared_address: bool) -> Vec<String> {
    let mut names = Vec::new();
    if matches!(role, Role::Agent(_)) {
        names.push(SERVER_IMAGES.to_owned());
    } else if !has_shared_address {
        names.push(archive(&images.kube_vip));
    }
    if kind == ClusterKind::Gateway {
        names.extend([&images.coredns, &images.flannel, &images.kube_proxy].map(archive));
    }
    names
}

/// An image's archive in the bundle.
fn archive(image: &ImageRef) -> String {
    format!("{}.tar", image.short_name())
}

fn add_manifests(config: &mut CloudConfig, configuration: &NodeConfiguration, images: &Images, api: &str) {
    config.file(&format!("{MANIFESTS}/ferrogate-rbac.yaml"), Mode::Private, manifests::rbac());
    config.file(&format!("{MANIFESTS}/bootstrap-token.yaml"), Mode::Private, bootstrap_token(configuration));
    match configuration.kind {
        ClusterKind::Gateway => {
            let gateway = manifests::gateway(&images.gateway);
            config.file(&format!("{MANIFESTS}/ferrogate-gateway.yaml"), Mode::Private, gateway);
        }
        ClusterKind::Tenant => {
            let flannel = network::flannel(&images.flannel, configuration.spec.pod_cidr, api);
            config.file(&format!("{MANIFESTS}/flannel.yaml"), Mode::Private, flannel);
        }
    }
}

/// The token that nodes join with. It never ends: machines are replaced and added as long as the cluster lives. kubeadm is
/// not told of it, because it writes the tokens it is told of into the journal.
fn bootstrap_token(configuration: &NodeConfiguration) -> String {
    let token = configuration.materials.bootstrap_token();
    let (id, secret) = token.expose_secret().split_once('.').expect("it is made of an id and a secret");
    yaml(&json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "bootstrap.kubernetes.io/token",
        "metadata": {
            "name": format!("bootstrap-token-{id}"),
            "namespace": "kube-system",
            "labels": {"app.kubernetes.io/managed-by": "ferrogate"},
        },
        "stringData": {
            "token-id": id,
            "token-secret": secret,
            "usage-bootstrap-authentication": "true",
            "auth-extra-groups": "system:bootstrappers:kubeadm:default-node-token",
        },
    }))
}

/// A document that kubeadm or Kubernetes reads.
fn yaml(document: &Value) -> String {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    serde_saphyr::to_string_with_options(document, options).expect("what JSON can say can be written")
}
