//! A release for simulated machines: small stand-ins for the programs and images that they cannot run anyway. They travel
//! the way real ones do: from the plane's `/artifacts`, through the proxy, checked by their checksum on the machine.

use crate::kubeadm::{BundleImage, simulated_bundle, simulated_image, simulated_images};
use ferrogate_model::release::{Architecture, Artifact, Release};
use std::{collections::BTreeMap, io, path::Path};

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
        let Release { kubernetes, os_image, mut images, .. } = Release::example();
        let (gateway, gateway_archive) = simulated_image(&format!("docker.io/ferrogate/gateway:{version}"));
        images.gateway = gateway;
        let images = simulated_images(images);
        let mut files = BTreeMap::new();
        let mut artifact = |path: String, content: Vec<u8>| {
            let sha256 = ferrogate_files::sha256(&content);
            files.insert(path.clone(), content);
            Artifact { path, sha256, upstream: None }
        };
        let bundle = simulated_bundle(&kubernetes, &BundleImage::all(&images));
        let architecture = Architecture {
            name: "amd64".to_owned(),
            kubeadm: artifact(format!("kubeadm/{kubernetes}/amd64/bundle.tar"), bundle),
            gateway_image: artifact(
                format!("gateway/{version}/ferrogate-gateway-{version}-amd64.tar"),
                gateway_archive,
            ),
        };
        let version = version.to_owned();
        let release = Release { version, kubernetes, os_image, images, architectures: vec![architecture] };
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
