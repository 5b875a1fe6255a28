//! A site whose machines become nodes with the user-data that the product renders.

use super::support::{Bench, IMAGE, Kube};
use ferrogate_firstboot::Kubeadm;
use ferrogate_join::{ClusterKind, GatewayPayload, Node, NodeConfiguration, Role, cloud_config::CloudConfig};
use ferrogate_lab::kubeadm::{BundleImage, simulated_bundle, simulated_image, simulated_images};
use ferrogate_maas::request::{Allocate, Deploy};
use ferrogate_model::{
    ClusterId, SystemId,
    allow::AllowRule,
    proxy::ProxySettings,
    release::{Architecture, Artifact, Images, Release},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use std::net::IpAddr;

pub(super) const VERSION: &str = "v1.36.4";
/// Where the bundle is, below `/artifacts/`.
pub(super) const BUNDLE: &str = "kubeadm.tar";
/// What a node says when it is a member of its cluster.
pub(super) const STARTED: &str = "Started ferrogate-kubeadm.service";
/// An address of the site that no machine has.
pub(super) const SHARED: &str = "10.20.0.200";

/// The release's images, as simulated machines have them.
pub(super) fn images() -> Images {
    simulated_images(Release::example().images)
}

/// The bundle without an image, named by its last part.
pub(super) fn bundle_without(without: &str) -> Vec<u8> {
    let images = images();
    let mut kept = BundleImage::all(&images);
    kept.retain(|image| image.image.short_name() != without);
    simulated_bundle(VERSION, &kept)
}

/// A cluster to be, and the site it is to be on.
pub(super) struct Cluster {
    pub(super) bench: Bench,
    pub(super) desired: NodeConfiguration,
    /// Names and addresses that every API server is to have in its certificate.
    pub(super) names: Vec<String>,
}

impl Cluster {
    /// In memory; use it with a paused clock.
    pub(super) async fn memory(kind: ClusterKind) -> Self {
        Self::with_bundle(kind, bundle_without("")).await
    }

    pub(super) async fn with_bundle(kind: ClusterKind, bundle: Vec<u8>) -> Self {
        Self::on(Bench::memory().await, kind, bundle)
    }

    pub(super) async fn sockets(kind: ClusterKind) -> Self {
        Self::on(Bench::sockets().await, kind, bundle_without(""))
    }

    fn on(bench: Bench, kind: ClusterKind, bundle: Vec<u8>) -> Self {
        let file = |name: &str, content: Vec<u8>| {
            let sha256 = ferrogate_files::sha256(&content);
            bench.files.lock().unwrap().insert(format!("/artifacts/{name}"), content);
            Artifact { path: name.to_owned(), sha256, upstream: None }
        };
        let gateway_image = simulated_image(IMAGE).1;
        let architecture = Architecture {
            name: "amd64".to_owned(),
            kubeadm: file(BUNDLE, bundle),
            gateway_image: file("gateway-image.tar", gateway_image),
        };
        let release = Release { images: images(), architectures: vec![architecture], ..Release::example() };
        let spec = json!({
            "control_plane": {"count": 1, "resource_pool": "default"},
            "workers": [{"name": "work", "count": 1, "resource_pool": "default", "labels": {"tier": "front"},
                "taints": ["dedicated=db:NoSchedule"]}],
        });
        let proxy: ferrogate_model::proxy::ProxyUrl = bench.lab.proxy().url().expose_secret().parse().unwrap();
        let desired = NodeConfiguration {
            cluster: ClusterId::new(),
            name: "prod".parse().unwrap(),
            kind,
            spec: serde_json::from_value(spec).unwrap(),
            release,
            materials: bench.materials.clone(),
            artifacts_url: bench.artifacts().parse().unwrap(),
            plane_ca_pem: Some(bench.ca_pem.clone()),
            proxy: ProxySettings {
                https: Some(proxy),
                http: None,
                no_proxy: bench.lab.subnet().to_string().parse().unwrap(),
            },
            gateway: (kind == ClusterKind::Gateway).then(|| GatewayPayload {
                plane_url: "https://plane.example.com".parse().unwrap(),
                allow: vec![AllowRule { host: "10.20.0.0/24".into(), ports: vec![6443] }],
            }),
        };
        Self { bench, desired, names: Vec::new() }
    }

    /// Takes a machine and deploys it as the product would, with changes.
    pub(super) async fn deploy_changed(
        &self,
        name: &str,
        role: &Role,
        change: impl FnOnce(&mut CloudConfig),
    ) -> (SystemId, IpAddr) {
        let machine = self.bench.maas.allocate(&Allocate::default()).await.unwrap();
        let pool = match role {
            Role::Agent(_) => &self.desired.spec.workers[0],
            Role::FirstServer | Role::Server(_) => &self.desired.spec.control_plane,
        };
        let node = Node {
            system_id: &machine.system_id.0,
            name: &name.parse().unwrap(),
            fqdn: &machine.fqdn,
            zone: "default",
            architecture: &machine.architecture,
            address: None,
            pool,
        };
        let token = SecretString::from("enrolment-secret");
        let rendered = Kubeadm.cloud_config(&self.desired, &node, role, &self.names, Some(&token));
        let mut config = rendered.unwrap();
        change(&mut config);
        let what = Deploy { user_data: Some(config.render().into()), ..Deploy::default() };
        self.bench.maas.deploy(&machine.system_id, &what).await.unwrap();
        (machine.system_id.clone(), self.bench.address(&machine.system_id).await)
    }

    pub(super) async fn deploy(&self, name: &str, role: &Role) -> (SystemId, IpAddr) {
        self.deploy_changed(name, role, |_| ()).await
    }

    /// A further server that has joined.
    pub(super) async fn server(&self, name: &str, first: IpAddr) -> SystemId {
        let (machine, _) = self.deploy(name, &Role::Server(first)).await;
        self.bench.until_said(&machine, STARTED).await;
        machine
    }

    /// A first server that is Ready.
    pub(super) async fn first(&self) -> (SystemId, IpAddr, Kube) {
        let (machine, address) = self.deploy("cp-0", &Role::FirstServer).await;
        self.bench.until_said(&machine, STARTED).await;
        let kube = self.bench.admin(address);
        kube.until_ready(&["cp-0"]).await;
        (machine, address, kube)
    }
}

/// Replaces words in a file.
pub(super) fn replace(config: &mut CloudConfig, path: &str, from: &str, to: &str) {
    let file = config.files.iter_mut().find(|file| file.path == path);
    let file = file.unwrap_or_else(|| panic!("there is no {path}"));
    assert!(file.content.contains(from), "{path} has no {from}:\n{}", file.content);
    file.content = file.content.replace(from, to);
}

/// Leaves a file out.
pub(super) fn remove(config: &mut CloudConfig, path: &str) {
    let before = config.files.len();
    config.files.retain(|file| file.path != path);
    assert_eq!(config.files.len() + 1, before, "there is no {path}");
}
