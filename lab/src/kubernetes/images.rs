//! Container images of a node, as the archives they came in.

use crate::{
    archive::{self, What},
    machine::Disk,
};
use serde_json::Value;

/// What an archive is good for.
#[derive(Debug, PartialEq, Eq)]
enum Archive {
    /// These images.
    Holds(Vec<String>),
    /// Whatever image is asked for: no tar archive, or one of another kind, so that tests need no real archive.
    HoldsAny,
    /// Nothing: this is wrong with it.
    Broken(String),
}

/// Whether an archive with this image is in the folder, whole. A tar archive with a `manifest.json` must name the image.
pub(crate) fn is_imported(disk: &Disk, folder: &str, image: &str) -> bool {
    archives(disk, folder).any(|(_, archive)| match archive {
        Archive::Holds(tags) => tags.iter().any(|tag| same(tag, image)),
        Archive::HoldsAny => true,
        Archive::Broken(_) => false,
    })
}

/// A line for each archive of the folder that cannot be imported, such as what a power cut left of one.
pub(crate) fn complaints(disk: &Disk, folder: &str) -> Vec<String> {
    let broken = archives(disk, folder).filter_map(|(path, archive)| match archive {
        Archive::Broken(why) => Some(format!("level=error msg=\"failed to import images from {path}: {why}\"")),
        Archive::Holds(_) | Archive::HoldsAny => None,
    });
    broken.collect()
}

/// The names of the images in an archive; `None` where it is no whole archive that names some.
pub(crate) fn tags(archive: &[u8]) -> Option<Vec<String>> {
    match read(archive) {
        Archive::Holds(tags) => Some(tags),
        Archive::HoldsAny | Archive::Broken(_) => None,
    }
}

fn archives(disk: &Disk, folder: &str) -> impl Iterator<Item = (String, Archive)> {
    disk.list(folder).into_iter().map(move |name| {
        let path = format!("{folder}/{name}");
        let archive =
            disk.read(&path).map_or_else(|error| Archive::Broken(error.to_string()), |content| read(&content));
        (path, archive)
    })
}

/// containerd completes short names, so `docker.io/library/x:1` and `x:1` are the same image.
fn same(tag: &str, image: &str) -> bool {
    let short = |name: &str| name.trim_start_matches("docker.io/").trim_start_matches("library/").to_owned();
    short(tag) == short(image)
}

/// What is in an archive, read to its end.
fn read(content: &[u8]) -> Archive {
    if content.is_empty() {
        return Archive::Broken("the file is empty".into());
    }
    if !archive::is_tar(content) {
        return Archive::HoldsAny;
    }
    let entries = match archive::read(content) {
        Ok(entries) => entries,
        Err(why) => return Archive::Broken(why),
    };
    let manifest = entries.into_iter().find(|entry| entry.name == "manifest.json");
    manifest.map_or(Archive::HoldsAny, |entry| match entry.what {
        What::File(manifest) => Archive::Holds(tags_of(&manifest)),
        What::Folder | What::Link(_) => Archive::Broken("its manifest.json is no file".into()),
    })
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
        disk.write(&format!("{IMAGES}/any.tar"), b"stands for any", 0o644).unwrap();
        assert!(is_imported(&disk, IMAGES, "ferrogate/gateway:0.2.0"));
    }

    #[test]
    fn what_a_power_cut_left_of_an_archive_is_no_image_and_is_named() {
        let disk = Disk::new(None).unwrap();
        let whole = tar(&[("manifest.json", br#"[{"RepoTags": ["ferrogate/gateway:0.1.0"]}]"#)]);
        let path = format!("{IMAGES}/gateway.tar");
        for kept in [0, 300, 512, 522, 1024] {
            disk.write(&path, &whole[..kept], 0o644).unwrap();
            assert!(!is_imported(&disk, IMAGES, "ferrogate/gateway:0.1.0"), "{kept}");
            assert_eq!(complaints(&disk, IMAGES).len(), 1, "{kept}");
        }
        assert!(complaints(&disk, IMAGES)[0].contains(&format!("{path}: Unexpected EOF")));
        disk.write(&path, &whole, 0o644).unwrap();
        assert!(is_imported(&disk, IMAGES, "ferrogate/gateway:0.1.0"));
        assert_eq!(complaints(&disk, IMAGES), Vec::<String>::new());
    }
}
