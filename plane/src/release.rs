//! The release a plane carries: Kubernetes from its official publisher, pinned by checksum, and our gateway image, whose
//! checksum is taken from the file that lies beside the plane.

use crate::{files, start_error::StartError};
use ferrogate_model::release::{Architecture, Artifact, DistributionKind, Release};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

/// What is built in. The checksums are those of the publisher's `sha256sum-amd64.txt` and `sha256sum-arm64.txt`.
const BUILT_IN: &str = include_str!("release.json");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BuiltIn {
    kubernetes: String,
    os_image: String,
    gateway_image: String,
    kube_vip_image: String,
    architectures: Vec<BuiltInArchitecture>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BuiltInArchitecture {
    name: String,
    k3s: Artifact,
    k3s_images: Artifact,
}

/// The built-in release, with the gateway images found in `folders`.
///
/// An architecture without a gateway image has an empty checksum for it, see [`has_gateway_image`]: clusters can be built
/// with it, gateways cannot.
///
/// # Errors
/// A gateway image is there but cannot be read.
pub(crate) fn built_in(folders: &[PathBuf]) -> Result<Release, StartError> {
    let built_in: BuiltIn = serde_json::from_str(BUILT_IN).expect("a test reads the built-in release");
    let version = env!("CARGO_PKG_VERSION");
    let mut architectures = Vec::new();
    for BuiltInArchitecture { name, k3s, k3s_images } in built_in.architectures {
        let gateway_image = gateway_image(version, &name, folders)?;
        architectures.push(Architecture {
            k3s: Some(k3s),
            k3s_images: Some(k3s_images),
            kubeadm: None,
            kube_vip_image: kube_vip_image(&built_in.kube_vip_image, &name, folders)?,
            name,
            gateway_image,
        });
    }
    let has_kube_vip = architectures.iter().any(|architecture| architecture.kube_vip_image.is_some());
    Ok(Release {
        version: version.to_owned(),
        distribution: DistributionKind::K3s,
        kubernetes: built_in.kubernetes,
        os_image: built_in.os_image,
        gateway_image_ref: format!("docker.io/{}:{version}", built_in.gateway_image),
        kube_vip_image_ref: has_kube_vip.then_some(built_in.kube_vip_image),
        kubeadm: None,
        architectures,
    })
}

/// Whether this plane can build gateways on machines of this architecture.
pub(crate) fn has_gateway_image(architecture: &Architecture) -> bool {
    !architecture.gateway_image.sha256.is_empty()
}

fn gateway_image(version: &str, architecture: &str, folders: &[PathBuf]) -> Result<Artifact, StartError> {
    let name = format!("ferrogate-gateway-{version}-{architecture}.tar");
    let path = format!("gateway/{version}/{name}");
    for folder in folders {
        for candidate in [folder.join(&path), folder.join(&name)] {
            if candidate.is_file() {
                return Ok(Artifact { path, sha256: sha256_of(&candidate)?, upstream: None });
            }
        }
    }
    Ok(Artifact { path, sha256: String::new(), upstream: None })
}

/// The image that holds the address of several servers, where its archive lies beside the plane: its publisher gives no
/// checksum of an archive that could be built in. Without it several servers share no address.
fn kube_vip_image(image: &str, architecture: &str, folders: &[PathBuf]) -> Result<Option<Artifact>, StartError> {
    let version = image.rsplit(':').next().unwrap_or_default();
    let name = format!("kube-vip-{version}-{architecture}.tar");
    let path = format!("kube-vip/{version}/{name}");
    for folder in folders {
        for candidate in [folder.join(&path), folder.join(&name)] {
            if candidate.is_file() {
                return Ok(Some(Artifact { path, sha256: sha256_of(&candidate)?, upstream: None }));
            }
        }
    }
    Ok(None)
}

/// SHA-256 of a file, as 64 hexadecimal digits.
pub(crate) fn sha256_of(path: &Path) -> Result<String, StartError> {
    let fail = |source| files::failed(path, source);
    let mut file = std::fs::File::open(path).map_err(fail)?;
    let mut hasher = Sha256::new();
    let mut piece = vec![0; 256 * 1024];
    loop {
        let read = file.read(&mut piece).map_err(fail)?;
        if read == 0 {
            return Ok(crate::auth::secret::hex(&hasher.finalize()));
        }
        hasher.update(&piece[..read]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_release_is_whole_and_names_no_image_it_does_not_have() {
        let release = built_in(&[]).unwrap();
        assert_eq!(release.architectures.iter().map(|a| a.name.as_str()).collect::<Vec<_>>(), ["amd64", "arm64"]);
        for architecture in &release.architectures {
            assert!(!has_gateway_image(architecture));
            for artifact in [&architecture.k3s, &architecture.k3s_images].into_iter().flatten() {
                assert!(artifact.sha256.len() == 64 && artifact.sha256.bytes().all(|b| b.is_ascii_hexdigit()));
                assert!(artifact.path.contains(&release.kubernetes), "{}", artifact.path);
                let upstream = artifact.upstream.as_ref().unwrap();
                assert!(upstream.path().contains(&release.kubernetes.replace('+', "%2B")), "{upstream}");
            }
        }
    }

    #[test]
    fn kube_vips_image_is_taken_where_it_lies_in_the_mirror_folder() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!built_in(&[folder.path().to_owned()]).unwrap().can_share_an_address());
        let home = folder.path().join("kube-vip/v1.0.0");
        std::fs::create_dir_all(&home).unwrap();
        std::fs::write(home.join("kube-vip-v1.0.0-amd64.tar"), b"abc").unwrap();
        let release = built_in(&[folder.path().to_owned()]).unwrap();
        assert_eq!(release.kube_vip_image_ref.as_deref(), Some("ghcr.io/kube-vip/kube-vip:v1.0.0"));
        let amd64 = release.for_architecture("amd64").unwrap().kube_vip_image.clone().unwrap();
        assert_eq!(amd64.path, "kube-vip/v1.0.0/kube-vip-v1.0.0-amd64.tar");
        assert!(amd64.sha256.starts_with("ba7816bf"));
    }

    #[test]
    fn a_gateway_image_beside_the_plane_is_taken_with_its_own_checksum() {
        let folder = tempfile::tempdir().unwrap();
        let name = format!("ferrogate-gateway-{}-arm64.tar", env!("CARGO_PKG_VERSION"));
        std::fs::write(folder.path().join(name), b"abc").unwrap();
        let release = built_in(&[folder.path().to_owned()]).unwrap();
        let arm64 = release.for_architecture("arm64/generic").unwrap();
        assert_eq!(arm64.gateway_image.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(!has_gateway_image(release.for_architecture("amd64").unwrap()));
    }
}
