//! A release that simulated machines can install, and its files.

use ferrogate_lab::kubeadm::{BundleImage, simulated_bundle, simulated_image, simulated_images};
use ferrogate_model::release::{Artifact, Release};
use std::collections::BTreeMap;

/// A release and what the plane hands out for it, by path.
pub(crate) struct Installable {
    pub(crate) release: Release,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

impl Installable {
    pub(crate) fn new() -> Self {
        let mut all = Self { release: Release::example(), files: BTreeMap::new() };
        all.release.images = simulated_images(all.release.images);
        let (_, gateway) = simulated_image(all.release.images.gateway.tagged());
        all.release.architectures[0].gateway_image = all.file("gateway/0.1.0/amd64.tar", gateway);
        let bundle = simulated_bundle(&all.release.kubernetes, &BundleImage::all(&all.release.images));
        all.release.architectures[0].kubeadm = all.file("kubeadm/v1.36.4/amd64/bundle.tar", bundle);
        all
    }

    fn file(&mut self, path: &str, content: Vec<u8>) -> Artifact {
        let sha256 = ferrogate_files::sha256(&content);
        self.files.insert(path.to_owned(), content);
        Artifact { path: path.into(), sha256, upstream: None }
    }
}
