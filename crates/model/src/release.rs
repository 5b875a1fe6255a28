//! What a plane installs: a release names the exact Kubernetes, gateway image and operating system, with checksums.

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

/// What a kubeadm bundle holds, as kubeadm and the manifests name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KubeadmImages {
    /// Tag of `registry.k8s.io/etcd`.
    pub etcd_tag: String,
    /// Tag of `registry.k8s.io/coredns/coredns`.
    pub coredns_tag: String,
    /// The image that holds a pod's namespaces, whole: `registry.k8s.io/pause:3.10.1`.
    pub pause_image: String,
    /// The pod network's image, whole.
    pub flannel_image: String,
    /// The image that holds the control plane's shared address, whole.
    pub kube_vip_image: String,
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
    /// The gateway image's name and tag, as the DaemonSet names it.
    pub gateway_image_ref: String,
    /// What the kubeadm bundle holds.
    pub kubeadm: KubeadmImages,
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
    gateway_image_ref: String,
    kubeadm: KubeadmImages,
    architectures: Vec<Architecture>,
}

/// A release that names a distribution, which releases did while there were two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a release names no `distribution` any more: all are upstream Kubernetes by kubeadm; take the line out")]
struct NamesDistribution;

impl TryFrom<Document> for Release {
    type Error = NamesDistribution;

    fn try_from(document: Document) -> Result<Self, NamesDistribution> {
        let Document { version, distribution, kubernetes, os_image, gateway_image_ref, kubeadm, architectures } =
            document;
        match distribution {
            Some(_) => Err(NamesDistribution),
            None => Ok(Self { version, kubernetes, os_image, gateway_image_ref, kubeadm, architectures }),
        }
    }
}

impl Release {
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

    fn kubeadm() -> Value {
        json!({
            "version": "0.1.0", "kubernetes": "v1.36.4", "os_image": "custom/debian-13",
            "gateway_image_ref": "g:1",
            "kubeadm": {"etcd_tag": "3.6.6-0", "coredns_tag": "v1.13.1", "pause_image": "registry.k8s.io/pause:3.10.1",
                "flannel_image": "ghcr.io/flannel-io/flannel:v0.27.4", "kube_vip_image": "ghcr.io/kube-vip/kube-vip:v1.0.0"},
            "architectures": [{"name": "amd64", "kubeadm": {"path": "b", "sha256": "0"}, "gateway_image": {"path": "g", "sha256": "0"}}],
        })
    }

    #[test]
    fn a_release_is_read_and_written_back() {
        let release: Release = serde_json::from_value(kubeadm()).unwrap();
        assert_eq!(serde_json::to_value(&release).unwrap(), kubeadm());
        assert_eq!(release.architectures[0].artifacts().count(), 2);
    }

    #[test]
    fn a_release_that_says_too_little_or_too_much_is_refused_in_words() {
        let mut no_images = kubeadm();
        no_images.as_object_mut().unwrap().remove("kubeadm");
        let mut no_bundle = kubeadm();
        no_bundle["architectures"][0].as_object_mut().unwrap().remove("kubeadm");
        let mut of_two = kubeadm();
        of_two["distribution"] = json!("kubeadm");
        for (value, words) in [
            (no_images, "missing field `kubeadm`"),
            (no_bundle, "missing field `kubeadm`"),
            (of_two, "a release names no `distribution` any more"),
        ] {
            let error = serde_json::from_value::<Release>(value).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
