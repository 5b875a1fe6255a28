//! A release that simulated machines can install, and its files.

use crate::world::release;
use ferrogate_lab::kubeadm::{BundleImage, simulated_bundle, simulated_image};
use ferrogate_model::release::{Artifact, Release};
use std::collections::BTreeMap;

/// A release and what the plane hands out for it, by path.
pub(crate) struct Installable {
    pub(crate) release: Release,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

impl Installable {
    pub(crate) fn new() -> Self {
        let mut all = Self { release: release(), files: BTreeMap::new() };
        all.release.os_image = "ubuntu/noble".into();
        let image = simulated_image(&all.release.gateway_image_ref);
        all.release.architectures[0].gateway_image = all.file("gateway/0.1.0/amd64.tar", image);
        let bundle = bundle(&all.release);
        all.release.architectures[0].kubeadm = all.file("kubeadm/v1.36.4/amd64/bundle.tar", bundle);
        all
    }

    fn file(&mut self, path: &str, content: Vec<u8>) -> Artifact {
        let sha256 = ferrogate_files::sha256(&content);
        self.files.insert(path.to_owned(), content);
        Artifact { path: path.into(), sha256, upstream: None }
    }
}

fn bundle(release: &Release) -> Vec<u8> {
    let images = &release.kubeadm;
    let kubernetes = |name: &str| format!("registry.k8s.io/{name}:{}", release.kubernetes);
    let mut of_servers = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"].map(kubernetes).to_vec();
    of_servers.extend([format!("registry.k8s.io/etcd:{}", images.etcd_tag), images.kube_vip_image.clone()]);
    let coredns = format!("registry.k8s.io/coredns/coredns:{}", images.coredns_tag);
    let of_all = [kubernetes("kube-proxy"), coredns, images.flannel_image.clone(), images.pause_image.clone()];
    let all: Vec<BundleImage<'_>> = of_servers
        .iter()
        .map(|name| BundleImage { name, of_servers: true })
        .chain(of_all.iter().map(|name| BundleImage { name, of_servers: false }))
        .collect();
    simulated_bundle(&release.kubernetes, &all)
}
