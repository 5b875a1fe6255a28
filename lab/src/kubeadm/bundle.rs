//! A bundle for simulated machines: real archives, in which small files stand for programs and images.

use crate::archive::{self, Entry, What};
use serde_json::json;

/// An image of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BundleImage<'a> {
    /// Name and tag, as pods name it.
    pub name: &'a str,
    /// Whether only servers run it.
    pub of_servers: bool,
}

/// Programs of a bundle, in `/usr/local/bin`.
const PROGRAMS: [&str; 5] = ["kubeadm", "kubectl", "kubelet", "containerd", "ctr"];
/// Where nodes look for the bundle's images.
const IMAGES: &str = "var/lib/ferrogate-node/images";

/// A kubeadm bundle of a version of Kubernetes, such as `v1.36.4`, with these images: an archive that simulated machines
/// unpack as real ones unpack a real bundle. It holds what stands for the programs, and an archive for each image that is
/// named after it.
#[must_use]
pub fn simulated_bundle(version: &str, images: &[BundleImage<'_>]) -> Vec<u8> {
    let folder = |name: &str| Entry { name: name.to_owned(), mode: 0o755, what: What::Folder };
    let mut entries: Vec<Entry> = ["usr", "usr/local", "usr/local/bin"].map(folder).to_vec();
    for program in PROGRAMS {
        let text = format!(
            "#!simulated\nThis file stands for {program} {version} on the simulated machines of Ferrogate's lab.\n"
        );
        let name = format!("usr/local/bin/{program}");
        entries.push(Entry { name, mode: 0o755, what: What::File(text.into_bytes()) });
    }
    for image in images {
        let place = if image.of_servers { "/server" } else { "" };
        let last = image.name.rsplit('/').next().unwrap_or(image.name);
        let file = last.split([':', '@']).next().unwrap_or(last);
        let content = simulated_image(image.name);
        entries.push(Entry { name: format!("{IMAGES}{place}/{file}.tar"), mode: 0o644, what: What::File(content) });
    }
    archive::write(&entries)
}

/// An image archive that simulated machines import as the image of this name and tag, and as no other.
#[must_use]
pub fn simulated_image(name: &str) -> Vec<u8> {
    let manifest = json!([{"Config": "config.json", "RepoTags": [name], "Layers": []}]).to_string();
    archive::write(&[Entry { name: "manifest.json".into(), mode: 0o644, what: What::File(manifest.into_bytes()) }])
}
