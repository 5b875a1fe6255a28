//! Upstream Kubernetes by kubeadm, on a stock operating system. Everything comes in one bundle; what is secret comes in the
//! user-data, so that neither keys nor a way in are ever asked for over the network.

mod configuration;
mod network;
mod pki;
mod steps;
mod virtual_address;

use super::{
    Distribution, EtcdTool, Node, RenderError, Role,
    artifacts::{Fetch, Place, add_node_unit},
    base, gateway,
};
use crate::{
    cloud_config::{CloudConfig, Mode},
    desired::{Desired, Kind},
    manifests,
};
use configuration::Configuration;
use ferrogate_model::release::{Architecture, Artifact};
use secrecy::SecretString;
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

/// The kubeadm distribution.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kubeadm;

impl Distribution for Kubeadm {
    fn cloud_config(
        &self,
        desired: &Desired,
        node: &Node<'_>,
        role: &Role,
        names: &[String],
        enrolment: Option<&SecretString>,
    ) -> Result<CloudConfig, RenderError> {
        let files = base::architecture(desired, node)?;
        let bundle = base::of_release(desired, files.kubeadm.as_ref(), "kubeadm")?;
        let images = base::of_release(desired, desired.release.kubeadm.as_ref(), "kubeadm")?;
        // The plane reserves it before the first server is installed.
        let shared = names.iter().find_map(|name| name.parse::<IpAddr>().ok());
        let configuration = Configuration { desired, images, node, role, names, shared };
        let mut config = base::begin(desired, role);
        configuration.add(&mut config);
        if !matches!(role, Role::Agent(_)) {
            pki::add(&mut config, desired)?;
            if let Some(address) = shared {
                virtual_address::add(&mut config, images, address, role);
            }
        }
        network::add(&mut config, desired);
        if *role == Role::FirstServer {
            add_manifests(&mut config, desired, &images.flannel_image, &configuration.host());
        }
        if desired.kind == Kind::Gateway {
            gateway::add(&mut config, desired, node, enrolment)?;
        }
        steps::add(&mut config, images, role);
        let own_ca = desired.plane_ca_pem.is_some();
        let fetches = fetches(desired, files, bundle, role);
        add_node_unit(&mut config, &desired.artifacts_url, own_ca, &fetches, steps::AFTER_UNPACKING)?;
        Ok(config)
    }

    fn etcd(&self, desired: &Desired) -> Option<EtcdTool> {
        let images = desired.release.kubeadm.as_ref()?;
        let file = |name: &str| format!("{KUBERNETES}/pki/etcd/{name}");
        Some(EtcdTool {
            image: format!("registry.k8s.io/etcd:{}", images.etcd_tag),
            ca: file("ca.crt"),
            certificate: file("healthcheck-client.crt"),
            key: file("healthcheck-client.key"),
        })
    }
}

fn fetches<'a>(desired: &Desired, files: &'a Architecture, bundle: &'a Artifact, role: &Role) -> Vec<Fetch<'a>> {
    // An agent does not spend disk and minutes on programs it never runs.
    let place = Place::Unpack { except: matches!(role, Role::Agent(_)).then_some(SERVER_IMAGES) };
    let mut all = vec![Fetch { artifact: bundle, name: "kubeadm.tar".into(), place }];
    if desired.kind == Kind::Gateway {
        let name = "ferrogate-gateway.tar";
        let place = Place::Install { target: format!("{IMAGES}/{name}"), mode: "0644" };
        all.push(Fetch { artifact: &files.gateway_image, name: name.into(), place });
    }
    all
}

fn add_manifests(config: &mut CloudConfig, desired: &Desired, flannel: &str, api: &str) {
    config.file(&format!("{MANIFESTS}/ferrogate-rbac.yaml"), Mode::Private, manifests::rbac());
    match desired.kind {
        Kind::Gateway => {
            let gateway = manifests::gateway(&desired.release.gateway_image_ref);
            config.file(&format!("{MANIFESTS}/ferrogate-gateway.yaml"), Mode::Private, gateway);
        }
        Kind::Tenant => {
            let flannel = network::flannel(flannel, desired.spec.pod_cidr, api);
            config.file(&format!("{MANIFESTS}/flannel.yaml"), Mode::Private, flannel);
        }
    }
}
