//! What a plane installs: a release names the exact Kubernetes, gateway image and operating system, with checksums.

use serde::{Deserialize, Serialize};

/// A file that a machine downloads from the plane's `/artifacts` and checks before it uses it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// Path below `/artifacts/`, such as `k3s/v1.34.2+k3s1/amd64/k3s`.
    pub path: String,
    /// SHA-256 of the file, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Where the plane may fetch the file when its mirror folder lacks it; `None` for files that only the plane has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<url::Url>,
}

/// How a machine becomes a Kubernetes node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DistributionKind {
    /// k3s: one binary holds everything.
    #[default]
    K3s,
    /// Upstream Kubernetes, set up by kubeadm from a bundle that holds everything on top of a stock operating system.
    Kubeadm,
}

impl DistributionKind {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
    const fn is_default(&self) -> bool {
        matches!(self, Self::K3s)
    }
}

/// The files of one processor architecture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// MAAS's and our name for it: `amd64` or `arm64`.
    pub name: String,
    /// The k3s binary; a release of k3s has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub k3s: Option<Artifact>,
    /// k3s's own container images (pause and the like) as an image archive; `None` where the nodes may pull them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub k3s_images: Option<Artifact>,
    /// A packed tar archive of programs, network plugins and container images; a release of kubeadm has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeadm: Option<Artifact>,
    /// kube-vip's container image as an archive, for k3s; `None` where the nodes may pull it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kube_vip_image: Option<Artifact>,
    /// The gateway's container image as an archive.
    pub gateway_image: Artifact,
}

impl Architecture {
    /// All its files.
    pub fn artifacts(&self) -> impl Iterator<Item = &Artifact> {
        let optional = [&self.k3s, &self.k3s_images, &self.kubeadm, &self.kube_vip_image];
        optional.into_iter().flatten().chain([&self.gateway_image])
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

/// One release of the site side: what a gateway or cluster node is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct Release {
    /// The gateway's version, such as `0.1.0`.
    pub version: String,
    /// How machines become nodes; k3s where nothing is said.
    #[serde(default, skip_serializing_if = "DistributionKind::is_default")]
    pub distribution: DistributionKind,
    /// Kubernetes, as the distribution names it: `v1.34.2+k3s1`, `v1.36.4`.
    pub kubernetes: String,
    /// The operating system image of MAAS to deploy, as `distro_series` takes it: `ubuntu/noble`.
    pub os_image: String,
    /// The gateway image's name and tag, as the DaemonSet names it.
    pub gateway_image_ref: String,
    /// kube-vip's image name and tag, for k3s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kube_vip_image_ref: Option<String>,
    /// What the kubeadm bundle holds; a release of kubeadm has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeadm: Option<KubeadmImages>,
    /// The files, for each architecture that is supported.
    pub architectures: Vec<Architecture>,
}

/// A release that lacks what its distribution needs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("release {release} is one of {distribution} and has no {missing}")]
pub struct IncompleteRelease {
    /// Its version.
    pub release: String,
    /// Its distribution.
    pub distribution: &'static str,
    /// What is missing, and for which architecture.
    pub missing: String,
}

impl Release {
    /// The files for an architecture as MAAS writes it (`amd64/generic` or `amd64`).
    #[must_use]
    pub fn for_architecture(&self, maas_architecture: &str) -> Option<&Architecture> {
        let name = maas_architecture.split('/').next().unwrap_or_default();
        self.architectures.iter().find(|architecture| architecture.name == name)
    }

    /// Whether several servers can share an address: kubeadm's bundle has what holds it, for k3s its image must be named.
    #[must_use]
    pub const fn can_share_an_address(&self) -> bool {
        match self.distribution {
            DistributionKind::Kubeadm => true,
            DistributionKind::K3s => self.kube_vip_image_ref.is_some(),
        }
    }

    /// Whether everything is there that its distribution needs. A release that was read has passed this.
    ///
    /// # Errors
    /// [`IncompleteRelease`] names the first thing that is missing.
    pub fn check(&self) -> Result<(), IncompleteRelease> {
        let (distribution, file) = match self.distribution {
            DistributionKind::K3s => ("k3s", "k3s"),
            DistributionKind::Kubeadm => ("kubeadm", "kubeadm"),
        };
        let missing = |missing: String| IncompleteRelease { release: self.version.clone(), distribution, missing };
        for architecture in &self.architectures {
            let has = match self.distribution {
                DistributionKind::K3s => architecture.k3s.is_some(),
                DistributionKind::Kubeadm => architecture.kubeadm.is_some(),
            };
            if !has {
                return Err(missing(format!("file `{file}` for {}", architecture.name)));
            }
        }
        if self.distribution == DistributionKind::Kubeadm && self.kubeadm.is_none() {
            return Err(missing("`kubeadm` with the names of the bundle's images".into()));
        }
        Ok(())
    }
}

impl Serialize for Release {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Release {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let release = Self::deserialize(deserializer)?;
        release.check().map_err(serde::de::Error::custom)?;
        Ok(release)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn kubeadm() -> Value {
        json!({
            "version": "0.1.0", "distribution": "kubeadm", "kubernetes": "v1.36.4", "os_image": "custom/debian-13",
            "gateway_image_ref": "g:1",
            "kubeadm": {"etcd_tag": "3.6.6-0", "coredns_tag": "v1.13.1", "pause_image": "registry.k8s.io/pause:3.10.1",
                "flannel_image": "ghcr.io/flannel-io/flannel:v0.27.4", "kube_vip_image": "ghcr.io/kube-vip/kube-vip:v1.0.0"},
            "architectures": [{"name": "amd64", "kubeadm": {"path": "b", "sha256": "0"}, "gateway_image": {"path": "g", "sha256": "0"}}],
        })
    }

    #[test]
    fn a_release_of_either_distribution_is_read_and_written_back() {
        let k3s = json!({
            "version": "0.1.0", "kubernetes": "v1.34.2+k3s1", "os_image": "ubuntu/noble", "gateway_image_ref": "g:1",
            "architectures": [{"name": "amd64", "k3s": {"path": "k", "sha256": "0"}, "gateway_image": {"path": "g", "sha256": "0"}}],
        });
        for value in [k3s, kubeadm()] {
            let release: Release = serde_json::from_value(value.clone()).unwrap();
            assert_eq!(serde_json::to_value(&release).unwrap(), value);
            assert_eq!(release.architectures[0].artifacts().count(), 2);
        }
    }

    #[test]
    fn a_release_that_lacks_what_its_distribution_needs_is_refused_in_words() {
        let mut no_images = kubeadm();
        no_images.as_object_mut().unwrap().remove("kubeadm");
        let mut no_bundle = kubeadm();
        no_bundle["architectures"][0].as_object_mut().unwrap().remove("kubeadm");
        let mut no_k3s = kubeadm();
        no_k3s.as_object_mut().unwrap().remove("distribution");
        for (value, words) in [
            (no_images, "one of kubeadm and has no `kubeadm` with the names of the bundle's images"),
            (no_bundle, "one of kubeadm and has no file `kubeadm` for amd64"),
            (no_k3s, "one of k3s and has no file `k3s` for amd64"),
        ] {
            let error = serde_json::from_value::<Release>(value).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
