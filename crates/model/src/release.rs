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

/// The files of one processor architecture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// MAAS's and our name for it: `amd64` or `arm64`.
    pub name: String,
    /// The k3s binary.
    pub k3s: Artifact,
    /// k3s's own container images (pause and the like) as an image archive; `None` where the nodes may pull them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub k3s_images: Option<Artifact>,
    /// The gateway's container image as an archive.
    pub gateway_image: Artifact,
}

/// One release of the site side: what a gateway or cluster node is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The gateway's version, such as `0.1.0`.
    pub version: String,
    /// Kubernetes, as the distribution names it: `v1.34.2+k3s1`.
    pub kubernetes: String,
    /// The operating system image of MAAS to deploy, as `distro_series` takes it: `ubuntu/noble`.
    pub os_image: String,
    /// The gateway image's name and tag, as the DaemonSet names it.
    pub gateway_image_ref: String,
    /// The files, for each architecture that is supported.
    pub architectures: Vec<Architecture>,
}

impl Release {
    /// The files for an architecture as MAAS writes it (`amd64/generic` or `amd64`).
    #[must_use]
    pub fn for_architecture(&self, maas_architecture: &str) -> Option<&Architecture> {
        let name = maas_architecture.split('/').next().unwrap_or_default();
        self.architectures.iter().find(|architecture| architecture.name == name)
    }
}
