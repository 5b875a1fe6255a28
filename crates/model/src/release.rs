//! What a plane installs: a release names the exact Kubernetes, gateway image and operating system, with checksums.

use crate::ImageRef;
use serde::{Deserialize, Serialize};

/// A file that a machine downloads from the plane's `/artifacts` and checks before it uses it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// Path below `/artifacts/`, such as `kubeadm/v1.36.4/amd64/bundle.tar.gz`.
    pub path: String,
    /// SHA-256 of the file, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Where the plane may fetch the file when its mirror folder lacks it; `None` for files that only the plane has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<url::Url>,
}

/// The files of one processor architecture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// MAAS's and our name for it: `amd64` or `arm64`.
    pub name: String,
    /// A packed tar archive of programs, network plugins and container images, for kubeadm.
    pub kubeadm: Artifact,
    /// The gateway's container image as an archive.
    pub gateway_image: Artifact,
}

impl Architecture {
    /// All its files.
    pub fn artifacts(&self) -> impl Iterator<Item = &Artifact> {
        [&self.kubeadm, &self.gateway_image].into_iter()
    }
}

/// The container images of a node. Each is named by its digest, so that a node runs what was released or nothing: no tag is
/// ever looked up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Images {
    /// The gateway, which comes in an archive of its own.
    pub gateway: ImageRef,
    /// The first program of the control plane. The bundle holds this and those below.
    pub kube_apiserver: ImageRef,
    /// The second.
    pub kube_controller_manager: ImageRef,
    /// The third.
    pub kube_scheduler: ImageRef,
    /// What Services are made of on each node.
    pub kube_proxy: ImageRef,
    /// Kubernetes' database.
    pub etcd: ImageRef,
    /// Kubernetes' DNS.
    pub coredns: ImageRef,
    /// What holds a pod's namespaces.
    pub pause: ImageRef,
    /// The pod network.
    pub flannel: ImageRef,
    /// What holds the control plane's shared address.
    pub kube_vip: ImageRef,
}

impl Images {
    /// Those that only servers run.
    pub fn of_servers(&self) -> impl Iterator<Item = &ImageRef> {
        [&self.kube_apiserver, &self.kube_controller_manager, &self.kube_scheduler, &self.etcd, &self.kube_vip]
            .into_iter()
    }

    /// Those of the bundle that every node may run.
    pub fn of_all(&self) -> impl Iterator<Item = &ImageRef> {
        [&self.kube_proxy, &self.coredns, &self.pause, &self.flannel].into_iter()
    }

    /// Those that kubeadm names by itself, from its own version and the tags that it is told.
    fn of_kubeadm(&self) -> [(&'static str, &ImageRef); 6] {
        [
            ("kube-apiserver", &self.kube_apiserver),
            ("kube-controller-manager", &self.kube_controller_manager),
            ("kube-scheduler", &self.kube_scheduler),
            ("kube-proxy", &self.kube_proxy),
            ("etcd", &self.etcd),
            ("coredns/coredns", &self.coredns),
        ]
    }
}

/// One release of the site side: what a gateway or cluster node is made of. Nodes run upstream Kubernetes, set up by kubeadm
/// from a bundle that holds everything on top of a stock operating system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "Document")]
pub struct Release {
    /// The gateway's version, such as `0.1.0`.
    pub version: String,
    /// The version of Kubernetes, such as `v1.36.4`.
    pub kubernetes: String,
    /// The operating system image of MAAS to deploy, as `distro_series` takes it: `ubuntu/noble`.
    pub os_image: String,
    /// The container images.
    pub images: Images,
    /// The files, for each architecture that is supported.
    pub architectures: Vec<Architecture>,
}

/// A release as it is written down.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: String,
    /// What older releases name; read only to say so.
    #[serde(default)]
    distribution: Option<serde::de::IgnoredAny>,
    kubernetes: String,
    os_image: String,
    images: Images,
    architectures: Vec<Architecture>,
}

/// What makes a release one that no node could be made of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum NoRelease {
    /// Releases did so while there were two.
    #[error("a release names no `distribution` any more: all are upstream Kubernetes by kubeadm; take the line out")]
    NamesDistribution,
    /// kubeadm would ask for another image than the bundle holds.
    #[error(
        "kubeadm {kubernetes} asks for {expected}, and the release names {image}: name the image that kubeadm asks for"
    )]
    NotKubeadms {
        /// The version of Kubernetes.
        kubernetes: String,
        /// Name, and tag where it is Kubernetes' version.
        expected: String,
        /// What is named.
        image: ImageRef,
    },
}

impl TryFrom<Document> for Release {
    type Error = NoRelease;

    fn try_from(document: Document) -> Result<Self, NoRelease> {
        let Document { version, distribution, kubernetes, os_image, images, architectures } = document;
        if distribution.is_some() {
            return Err(NoRelease::NamesDistribution);
        }
        for (name, image) in images.of_kubeadm() {
            // etcd and CoreDNS have versions of their own.
            let tag = if name.starts_with("kube-") { kubernetes.as_str() } else { image.tag() };
            let expected = format!("registry.k8s.io/{name}:{tag}");
            if image.tagged() != expected {
                return Err(NoRelease::NotKubeadms { kubernetes, expected, image: image.clone() });
            }
        }
        Ok(Self { version, kubernetes, os_image, images, architectures })
    }
}

impl Release {
    /// A release as documentation and tests show one. Its digests are of nothing.
    ///
    /// # Panics
    /// Never: a test reads it.
    #[must_use]
    pub fn example() -> Self {
        serde_json::from_str(include_str!("release/example.json")).expect("the example is a release")
    }

    /// The files for an architecture as MAAS writes it (`amd64/generic` or `amd64`).
    #[must_use]
    pub fn for_architecture(&self, maas_architecture: &str) -> Option<&Architecture> {
        let name = maas_architecture.split('/').next().unwrap_or_default();
        self.architectures.iter().find(|architecture| architecture.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn example() -> Value {
        serde_json::from_str(include_str!("release/example.json")).unwrap()
    }

    #[test]
    fn a_release_is_read_and_written_back() {
        assert_eq!(serde_json::to_value(Release::example()).unwrap(), example());
        assert_eq!(Release::example().architectures[0].artifacts().count(), 2);
    }

    #[test]
    fn every_image_of_the_bundle_is_counted_once() {
        let images = Release::example().images;
        let all: std::collections::BTreeSet<_> = images.of_servers().chain(images.of_all()).collect();
        let named = serde_json::to_value(&images).unwrap().as_object().unwrap().len();
        assert_eq!(all.len() + 1, named, "all but the gateway's");
    }

    #[test]
    fn a_release_that_says_too_little_or_too_much_is_refused_in_words() {
        let without = |pointer: &str, name: &str| {
            let mut value = example();
            value.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove(name);
            value
        };
        let with = |pointer: &str, name: &str, text: Value| {
            let mut value = example();
            value.pointer_mut(pointer).unwrap()[name] = text;
            value
        };
        let etcd = format!("docker.io/bitnami/etcd:3@sha256:{}", "0".repeat(64));
        for (value, words) in [
            (without("", "images"), "missing field `images`"),
            (without("/images", "kube_vip"), "missing field `kube_vip`"),
            (without("/architectures/0", "kubeadm"), "missing field `kubeadm`"),
            (with("", "distribution", json!("kubeadm")), "a release names no `distribution` any more"),
            (
                with("", "kubernetes", json!("v1.37.0")),
                "kubeadm v1.37.0 asks for registry.k8s.io/kube-apiserver:v1.37.0",
            ),
            (
                with("/images", "etcd", json!(etcd)),
                "asks for registry.k8s.io/etcd:3, and the release names docker.io/bitnami",
            ),
            (
                with("/images", "kube_vip", json!("ghcr.io/kube-vip/kube-vip:v1.0.0")),
                "`ghcr.io/kube-vip/kube-vip:v1.0.0` does not name an image for good",
            ),
        ] {
            let error = serde_json::from_value::<Release>(value).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
