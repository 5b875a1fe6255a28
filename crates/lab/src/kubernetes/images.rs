//! Container images of a node, as the archives they came in.

use crate::machine::Disk;
use serde_json::Value;

/// A tar archive is a row of such blocks.
const BLOCK: usize = 512;

/// What an archive is good for.
#[derive(Debug, PartialEq, Eq)]
enum Archive {
    /// These images.
    Holds(Vec<String>),
    /// Whatever image is asked for: no tar archive, or one of another kind, so that tests need no real archive.
    HoldsAny,
    /// Nothing: this is wrong with it.
    Broken(&'static str),
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
        let archive = disk.read(&path).map_or(Archive::Broken("it cannot be read"), |content| read(&content));
        (path, archive)
    })
}

/// containerd completes short names, so `docker.io/library/x:1` and `x:1` are the same image.
fn same(tag: &str, image: &str) -> bool {
    let short = |name: &str| name.trim_start_matches("docker.io/").trim_start_matches("library/").to_owned();
    short(tag) == short(image)
}

/// Reads a tar archive (POSIX ustar) to its end.
fn read(archive: &[u8]) -> Archive {
    const CUT_OFF: Archive = Archive::Broken("unexpected EOF");
    if archive.is_empty() {
        return Archive::Broken("the file is empty");
    }
    let mut tags = None;
    let mut at = 0;
    while let Some(head) = archive.get(at..at + BLOCK) {
        if head.iter().all(|byte| *byte == 0) {
            return tags.map_or(Archive::HoldsAny, Archive::Holds);
        }
        if head.get(257..262) != Some(b"ustar") {
            return if at == 0 { Archive::HoldsAny } else { Archive::Broken("invalid tar header") };
        }
        let text = |range: std::ops::Range<usize>| {
            let field = &head[range];
            let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
            std::str::from_utf8(&field[..end]).ok()
        };
        let Some(size) = text(124..136).and_then(|size| usize::from_str_radix(size.trim(), 8).ok()) else {
            return Archive::Broken("invalid tar header");
        };
        let start = at + BLOCK;
        let Some(content) = start.checked_add(size).and_then(|end| archive.get(start..end)) else { return CUT_OFF };
        if text(0..100).is_some_and(|name| name.trim_start_matches("./") == "manifest.json") {
            tags = Some(tags_of(content));
        }
        at = start + size.next_multiple_of(BLOCK);
    }
    // A row of blocks that does not end with an empty one has been cut off; what has no such row is no tar archive.
    if at == 0 { Archive::HoldsAny } else { CUT_OFF }
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

    fn tar(name: &str, content: &[u8]) -> Vec<u8> {
        let mut head = vec![0; BLOCK];
        head[..name.len()].copy_from_slice(name.as_bytes());
        head[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        head[257..262].copy_from_slice(b"ustar");
        let mut tar = [head, content.to_vec()].concat();
        tar.resize(tar.len().div_ceil(BLOCK) * BLOCK + 2 * BLOCK, 0);
        tar
    }

    #[test]
    fn an_archive_that_names_its_images_holds_no_others() {
        let disk = Disk::new(None).unwrap();
        assert!(!is_imported(&disk, IMAGES, "ferrogate/gateway:0.1.0"));
        let manifest = br#"[{"RepoTags": ["ferrogate/gateway:0.1.0"]}]"#;
        let archive = [tar("blobs", b"x").split_off(0)[..2 * BLOCK].to_vec(), tar("manifest.json", manifest)].concat();
        disk.write(&format!("{IMAGES}/gateway.tar"), &archive, 0o644).unwrap();
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
        let whole = tar("manifest.json", br#"[{"RepoTags": ["ferrogate/gateway:0.1.0"]}]"#);
        let path = format!("{IMAGES}/gateway.tar");
        for kept in [0, 300, BLOCK, BLOCK + 10, 2 * BLOCK] {
            disk.write(&path, &whole[..kept], 0o644).unwrap();
            // Less than one block is not known as a tar archive, and stands for any image.
            let is_broken = kept != 300;
            assert_eq!(is_imported(&disk, IMAGES, "ferrogate/gateway:0.1.0"), !is_broken, "{kept}");
            assert_eq!(complaints(&disk, IMAGES).len(), usize::from(is_broken), "{kept}");
        }
        assert!(complaints(&disk, IMAGES)[0].contains(&format!("{path}: unexpected EOF")));
        disk.write(&path, &whole, 0o644).unwrap();
        assert!(is_imported(&disk, IMAGES, "ferrogate/gateway:0.1.0"));
        assert_eq!(complaints(&disk, IMAGES), Vec::<String>::new());
    }
}
