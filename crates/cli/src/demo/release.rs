//! The demo's release: small stand-ins for the binaries that simulated machines cannot run anyway. They travel the way
//! real ones do: from the plane's `/artifacts`, through the proxy, checked by their checksum on the machine.

use crate::exit::Result;
use ferrogate_model::release::{Architecture, Artifact, DistributionKind, Release};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::path::Path;

/// Kubernetes as the simulated nodes report it.
const KUBERNETES: &str = "v1.36.4+k3s1";

fn artifact(folder: &Path, path: String, content: &str) -> Result<Artifact> {
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

/// Writes the stand-ins into the mirror folder and names them.
pub(crate) fn write(mirror: &Path) -> Result<Release> {
    let version = env!("CARGO_PKG_VERSION");
    let k3s = format!("#!/bin/false\nk3s version {KUBERNETES} (a stand-in for simulated machines)\n");
    Ok(Release {
        version: version.to_owned(),
        distribution: DistributionKind::K3s,
        kubernetes: KUBERNETES.to_owned(),
        os_image: "ubuntu/noble".to_owned(),
        gateway_image_ref: format!("docker.io/ferrogate/gateway:{version}"),
        kube_vip_image_ref: None,
        kubeadm: None,
        architectures: vec![Architecture {
            name: "amd64".to_owned(),
            k3s: Some(artifact(mirror, format!("k3s/{KUBERNETES}/amd64/k3s"), &k3s)?),
            k3s_images: Some(artifact(
                mirror,
                format!("k3s/{KUBERNETES}/amd64/images.tar.zst"),
                "a stand-in for k3s's own images\n",
            )?),
            kubeadm: None,
            kube_vip_image: None,
            gateway_image: artifact(
                mirror,
                format!("gateway/{version}/ferrogate-gateway-{version}-amd64.tar"),
                "a stand-in for the gateway's image\n",
            )?,
        }],
    })
}
