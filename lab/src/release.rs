//! A release for simulated machines: small stand-ins for the programs and images that they cannot run anyway. They travel
//! the way real ones do: from the plane's `/artifacts`, through the proxy, checked by their checksum on the machine.

use crate::kubeadm::{BundleImage, simulated_bundle, simulated_image};
use ferrogate_model::release::{Architecture, Artifact, KubeadmImages, Release};
use std::{collections::BTreeMap, io, path::Path};

/// Kubernetes as the simulated nodes report it.
const KUBERNETES: &str = "v1.36.4";

/// A release, and its files.
#[derive(Clone, Debug)]
pub struct Simulated {
    /// What is installed.
    pub release: Release,
    /// What each file holds, by its path below `/artifacts/`.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Default for Simulated {
    fn default() -> Self {
        Self::new()
    }
}

impl Simulated {
    /// A release of this version of Ferrogate.
    #[must_use]
    pub fn new() -> Self {
        let version = env!("CARGO_PKG_VERSION");
        let gateway_image_ref = format!("docker.io/ferrogate/gateway:{version}");
        let images = images();
        let mut files = BTreeMap::new();
        let mut artifact = |path: String, content: Vec<u8>| {
            let sha256 = ferrogate_files::sha256(&content);
            files.insert(path.clone(), content);
            Artifact { path, sha256, upstream: None }
        };
        let bundle = artifact(format!("kubeadm/{KUBERNETES}/amd64/bundle.tar"), bundle(&images));
        let gateway = format!("gateway/{version}/ferrogate-gateway-{version}-amd64.tar");
        let architecture = Architecture {
            name: "amd64".to_owned(),
            kubeadm: bundle,
            gateway_image: artifact(gateway, simulated_image(&gateway_image_ref)),
        };
        let release = Release {
            version: version.to_owned(),
            kubernetes: KUBERNETES.to_owned(),
            os_image: "ubuntu/noble".to_owned(),
            gateway_image_ref,
            kubeadm: images,
            architectures: vec![architecture],
        };
        Self { release, files }
    }

    /// Writes the files into a mirror folder.
    ///
    /// # Errors
    /// What the system said.
    pub fn write(&self, mirror: &Path) -> io::Result<()> {
        for (path, content) in &self.files {
            let file = mirror.join(path);
            if let Some(parent) = file.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(&file, content)?;
        }
        Ok(())
    }
}

fn images() -> KubeadmImages {
    KubeadmImages {
        etcd_tag: "3.6.8-0".to_owned(),
        coredns_tag: "v1.14.2".to_owned(),
        pause_image: "registry.k8s.io/pause:3.10.2".to_owned(),
        flannel_image: "ghcr.io/flannel-io/flannel:v0.28.10".to_owned(),
        kube_vip_image: "ghcr.io/kube-vip/kube-vip:v1.0.0".to_owned(),
    }
}

/// What a real bundle holds, as stand-ins.
fn bundle(images: &KubeadmImages) -> Vec<u8> {
    let of_kubernetes = |name: &str| format!("registry.k8s.io/{name}:{KUBERNETES}");
    let etcd = format!("registry.k8s.io/etcd:{}", images.etcd_tag);
    let coredns = format!("registry.k8s.io/coredns/coredns:{}", images.coredns_tag);
    let programs = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"].map(of_kubernetes);
    let proxy = of_kubernetes("kube-proxy");
    let of_servers = programs.iter().chain([&etcd, &images.kube_vip_image]);
    let of_all = [&proxy, &coredns, &images.flannel_image, &images.pause_image];
    let all: Vec<BundleImage<'_>> = of_servers
        .map(|name| BundleImage { name, of_servers: true })
        .chain(of_all.map(|name| BundleImage { name, of_servers: false }))
        .collect();
    simulated_bundle(KUBERNETES, &all)
}
