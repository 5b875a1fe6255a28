//! A bundle for simulated machines: real archives, in which small files stand for programs and images.

use crate::archive::{self, Entry, What};
use ferrogate_files::sha256;
use ferrogate_model::{ImageRef, release::Images};
use serde_json::json;

/// An image of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BundleImage<'a> {
    /// The image; one of [`simulated_images`], so that its digest is that of the archive.
    pub image: &'a ImageRef,
    /// Whether only servers run it.
    pub of_servers: bool,
}

impl BundleImage<'_> {
    /// Everything that the bundle of a release holds.
    #[must_use]
    pub fn all(images: &Images) -> Vec<BundleImage<'_>> {
        let of_servers = images.of_servers().map(|image| BundleImage { image, of_servers: true });
        of_servers.chain(images.of_all().map(|image| BundleImage { image, of_servers: false })).collect()
    }
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
    for BundleImage { image, of_servers } in images {
        let place = if *of_servers { "/server" } else { "" };
        let content = simulated_image(image.tagged()).1;
        let name = format!("{IMAGES}{place}/{}.tar", image.short_name());
        entries.push(Entry { name, mode: 0o644, what: What::File(content) });
    }
    archive::write(&entries)
}

/// The images of an example release, as simulated machines have them: [`simulated_image`]s.
#[must_use]
pub fn simulated_images(mut images: Images) -> Images {
    for image in [
        &mut images.gateway,
        &mut images.kube_apiserver,
        &mut images.kube_controller_manager,
        &mut images.kube_scheduler,
        &mut images.kube_proxy,
        &mut images.etcd,
        &mut images.coredns,
        &mut images.pause,
        &mut images.flannel,
        &mut images.kube_vip,
    ] {
        *image = simulated_image(image.tagged()).0;
    }
    images
}

/// An image that simulated machines import under this name and tag (`registry.k8s.io/pause:3.10.2`) and by its digest, and
/// its archive: the layout of the Open Container Initiative, with an index, a manifest and nothing below.
///
/// # Panics
/// When that is no name and tag.
#[must_use]
pub fn simulated_image(tagged: &str) -> (ImageRef, Vec<u8>) {
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "annotations": {"org.opencontainers.image.description": format!("stands for {tagged} on simulated machines")},
    })
    .to_string();
    let digest = sha256(manifest.as_bytes());
    let image = ImageRef::new(tagged, &digest).expect("it is given name and tag");
    let named = |name: &str| {
        json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": image.digest(),
            "size": manifest.len(), "annotations": {"io.containerd.image.name": name}})
    };
    let index = json!({"schemaVersion": 2, "manifests": [named(image.tagged()), named(&image.pinned())]}).to_string();
    let file = |name: String, text: String| Entry { name, mode: 0o644, what: What::File(text.into_bytes()) };
    let archive = archive::write(&[
        file("oci-layout".into(), json!({"imageLayoutVersion": "1.0.0"}).to_string()),
        file(format!("blobs/sha256/{digest}"), manifest),
        file("index.json".into(), index),
    ]);
    (image, archive)
}
