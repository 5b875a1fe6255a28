//! The demo's release: small stand-ins for the binaries that simulated machines cannot run anyway. They travel the way
//! real ones do: from the plane's `/artifacts`, through the proxy, checked by their checksum on the machine.

use crate::exit::Result;
use ferrogate_lab::kubeadm::{BundleImage, simulated_bundle, simulated_image};
use ferrogate_model::release::{Architecture, Artifact, DistributionKind, KubeadmImages, Release};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::path::Path;

/// Kubernetes as the simulated nodes report it.
const KUBERNETES: &str = "v1.36.4";
/// The same, as k3s names it.
const K3S: &str = "v1.36.4+k3s1";

fn artifact(folder: &Path, path: String, content: &[u8]) -> Result<Artifact> {
    let file = folder.join(&path);
    if let Some(parent) = file.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::write(&file, content)?;
    let sha256 = Sha256::digest(content).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    Ok(Artifact { path, sha256, upstream: None })
}

/// Writes the stand-ins of a distribution into the mirror folder and names them.
pub(crate) fn write(mirror: &Path, distribution: DistributionKind) -> Result<Release> {
    let version = env!("CARGO_PKG_VERSION");
    let gateway_image_ref = format!("docker.io/ferrogate/gateway:{version}");
    let gateway = format!("gateway/{version}/ferrogate-gateway-{version}-amd64.tar");
    let mut files = Architecture {
        name: "amd64".to_owned(),
        k3s: None,
        k3s_images: None,
        kubeadm: None,
        kube_vip_image: None,
        gateway_image: artifact(mirror, gateway, &simulated_image(&gateway_image_ref))?,
    };
    let mut kubeadm = None;
    match distribution {
        DistributionKind::K3s => {
            let k3s = format!("#!/bin/false\nk3s version {K3S} (a stand-in for simulated machines)\n");
            let images = b"a stand-in for k3s's own images\n";
            files.k3s = Some(artifact(mirror, format!("k3s/{K3S}/amd64/k3s"), k3s.as_bytes())?);
            files.k3s_images = Some(artifact(mirror, format!("k3s/{K3S}/amd64/images.tar.zst"), images)?);
        }
        DistributionKind::Kubeadm => {
            let images = images();
            let path = format!("kubeadm/{KUBERNETES}/amd64/bundle.tar");
            files.kubeadm = Some(artifact(mirror, path, &bundle(&images))?);
            kubeadm = Some(images);
        }
    }
    Ok(Release {
        version: version.to_owned(),
        distribution,
        kubernetes: if distribution == DistributionKind::K3s { K3S } else { KUBERNETES }.to_owned(),
        os_image: "ubuntu/noble".to_owned(),
        gateway_image_ref,
        kube_vip_image_ref: None,
        kubeadm,
        architectures: vec![files],
    })
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
