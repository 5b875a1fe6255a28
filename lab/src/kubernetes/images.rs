//! Container images of a node, as the archives they came in.

use crate::{
    archive::{self, What},
    machine::Disk,
};
use serde_json::Value;

/// Whether an archive with this image is in the folder, whole.
pub(crate) fn is_imported(disk: &Disk, folder: &str, image: &str) -> bool {
    disk.list(folder).into_iter().any(|name| {
        let names = disk.read(&format!("{folder}/{name}")).ok().and_then(|content| tags(&content));
        names.is_some_and(|names| names.iter().any(|tag| same(tag, image)))
    })
}

/// The names of the images in an archive; `None` where it is no whole archive that names some.
pub(crate) fn tags(archive: &[u8]) -> Option<Vec<String>> {
    let entries = archive::read(archive).ok()?;
    match entries.into_iter().find(|entry| entry.name == "manifest.json")?.what {
        What::File(manifest) => Some(tags_of(&manifest)),
        What::Folder | What::Link(_) => None,
    }
}

/// containerd completes short names, so `docker.io/library/x:1` and `x:1` are the same image.
fn same(tag: &str, image: &str) -> bool {
    let short = |name: &str| name.trim_start_matches("docker.io/").trim_start_matches("library/").to_owned();
    short(tag) == short(image)
}

/// The names in a docker archive's manifest; none where it cannot be read.
fn tags_of(manifest: &[u8]) -> Vec<String> {
    let manifest: Value = serde_json::from_slice(manifest).unwrap_or_default();
    let images = manifest.as_array().into_iter().flatten();
    images
        .flat_map(|image| image["RepoTags"].as_array().into_iter().flatten())
        .filter_map(|tag| tag.as_str().map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGES: &str = "/images";

    fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
        let file = |&(name, content): &(&str, &[u8])| archive::Entry {
            name: name.into(),
            mode: 0o644,
            what: What::File(content.to_vec()),
        };
        archive::write(&files.iter().map(file).collect::<Vec<_>>())
    }

    #[test]
    fn an_archive_that_names_its_images_holds_no_others() {
        let disk = Disk::new(None).unwrap();
        assert!(!is_imported(&disk, IMAGES, "ferrogate/gateway:0.1.0"));
        let manifest = br#"[{"RepoTags": ["ferrogate/gateway:0.1.0"]}]"#;
        let image = tar(&[("blobs", b"x"), ("manifest.json", manifest)]);
        disk.write(&format!("{IMAGES}/gateway.tar"), &image, 0o644).unwrap();
        assert!(is_imported(&disk, IMAGES, "docker.io/ferrogate/gateway:0.1.0"));
        assert!(!is_imported(&disk, IMAGES, "ferrogate/gateway:0.2.0"));
        disk.write(&format!("{IMAGES}/gateway.tar"), b"", 0o644).unwrap();
        assert!(!is_imported(&disk, IMAGES, "ferrogate/gateway:0.1.0"));
        disk.write(&format!("{IMAGES}/gateway.tar"), b"no archive", 0o644).unwrap();
        assert!(!is_imported(&disk, IMAGES, "ferrogate/gateway:0.1.0"));
    }

    #[test]
    fn what_a_power_cut_left_of_an_archive_is_no_image() {
        let disk = Disk::new(None).unwrap();
        let whole = tar(&[("manifest.json", br#"[{"RepoTags": ["ferrogate/gateway:0.1.0"]}]"#)]);
        let path = format!("{IMAGES}/gateway.tar");
        for kept in [0, 300, 512, 522, 1024] {
            disk.write(&path, &whole[..kept], 0o644).unwrap();
            assert!(!is_imported(&disk, IMAGES, "ferrogate/gateway:0.1.0"), "{kept}");
        }
        disk.write(&path, &whole, 0o644).unwrap();
        assert!(is_imported(&disk, IMAGES, "ferrogate/gateway:0.1.0"));
    }
}
