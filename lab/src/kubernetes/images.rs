//! Container images of a node, as the archives they came in.

use crate::{
    archive::{self, What},
    machine::Disk,
};
use serde_json::Value;
use std::{borrow::Cow, collections::BTreeMap};

/// Whether an archive with this image is in the folder, whole.
pub(crate) fn is_imported(disk: &Disk, folder: &str, image: &str) -> bool {
    let image = kept_as(image);
    disk.list(folder).into_iter().any(|file| {
        let names = disk.read(&format!("{folder}/{file}")).ok().and_then(|content| names(&content));
        names.is_some_and(|names| names.iter().any(|name| *name == image))
    })
}

/// The names under which containerd keeps the images of an archive in the layout of the Open Container Initiative; `None`
/// where it is none, or where something that it names is not in it or not what its digest says.
pub(crate) fn names(archive: &[u8]) -> Option<Vec<String>> {
    let files: BTreeMap<String, Vec<u8>> = archive::read(archive)
        .ok()?
        .into_iter()
        .filter_map(|entry| match entry.what {
            What::File(content) => Some((entry.name, content)),
            What::Folder | What::Link(_) => None,
        })
        .collect();
    files.get("oci-layout")?;
    let index: Value = serde_json::from_slice(files.get("index.json")?).ok()?;
    let mut names = Vec::new();
    for manifest in index["manifests"].as_array()? {
        let digest = manifest["digest"].as_str()?.strip_prefix("sha256:")?;
        let blob = files.get(&format!("blobs/sha256/{digest}"))?;
        if ferrogate_files::sha256(blob) != digest {
            return None;
        }
        names.push(manifest["annotations"]["io.containerd.image.name"].as_str()?.to_owned());
    }
    (!names.is_empty()).then_some(names)
}

/// containerd looks for an image that is asked for by tag and digest under its name and digest.
fn kept_as(image: &str) -> Cow<'_, str> {
    let Some((tagged, digest)) = image.split_once('@') else { return image.into() };
    let path = tagged.rfind('/').map_or(0, |slash| slash + 1);
    let end = tagged[path..].find(':').map_or(tagged.len(), |colon| path + colon);
    format!("{}@{digest}", &tagged[..end]).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubeadm::simulated_image;

    const IMAGES: &str = "/images";
    const GATEWAY: &str = "docker.io/ferrogate/gateway:0.1.0";

    #[test]
    fn an_archive_that_names_its_images_holds_no_others() {
        let disk = Disk::new(None).unwrap();
        let imported = |image: &str| is_imported(&disk, IMAGES, image);
        assert!(!imported(GATEWAY));
        let (image, archive) = simulated_image(GATEWAY);
        disk.write(&format!("{IMAGES}/gateway.tar"), &archive, 0o644).unwrap();
        assert!(imported(GATEWAY));
        assert!(imported(&image.to_string()), "by tag and digest");
        assert!(imported(&image.pinned()), "by digest");
        assert!(!imported("docker.io/ferrogate/gateway:0.2.0"));
        let other = image.to_string().replace(image.digest(), &format!("sha256:{}", "0".repeat(64)));
        assert!(!imported(&other), "the tag alone does not count");
        for wrong in [&b""[..], b"no archive"] {
            disk.write(&format!("{IMAGES}/gateway.tar"), wrong, 0o644).unwrap();
            assert!(!imported(GATEWAY));
        }
    }

    #[test]
    fn what_is_not_what_its_digest_says_is_no_image() {
        let (_, archive) = simulated_image(GATEWAY);
        let mut entries = archive::read(&archive).unwrap();
        let blob = entries.iter_mut().find(|entry| entry.name.starts_with("blobs/")).unwrap();
        blob.what = What::File(b"something else".to_vec());
        assert_eq!(names(&archive::write(&entries)), None);
        assert!(names(&archive).is_some());
    }

    #[test]
    fn what_a_power_cut_left_of_an_archive_is_no_image() {
        let disk = Disk::new(None).unwrap();
        let (_, whole) = simulated_image(GATEWAY);
        let path = format!("{IMAGES}/gateway.tar");
        for kept in (0..whole.len()).step_by(256) {
            disk.write(&path, &whole[..kept], 0o644).unwrap();
            let names = names(&whole[..kept]);
            // Two empty blocks end an archive; without the last of them nothing is missing.
            assert!(names.is_none() || kept + 1024 >= whole.len(), "{kept} of {}: {names:?}", whole.len());
        }
        disk.write(&path, &whole, 0o644).unwrap();
        assert!(is_imported(&disk, IMAGES, GATEWAY));
    }
}
