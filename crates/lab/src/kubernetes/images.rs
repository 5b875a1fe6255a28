//! Container images of a node, as the archives they came in.

use crate::machine::Disk;
use serde_json::Value;

/// A tar archive is a row of such blocks.
const BLOCK: usize = 512;

/// Whether an archive with this image is in the folder. A tar archive with a `manifest.json` must name the image; any other file
/// that is not empty stands for whatever image is asked for, so that tests need no real archive.
pub(crate) fn is_imported(disk: &Disk, folder: &str, image: &str) -> bool {
    disk.list(folder).iter().any(|name| {
        let Ok(content) = disk.read(&format!("{folder}/{name}")) else { return false };
        match tags(&content) {
            Some(tags) => tags.iter().any(|tag| same(tag, image)),
            None => !content.is_empty(),
        }
    })
}

/// containerd completes short names, so `docker.io/library/x:1` and `x:1` are the same image.
fn same(tag: &str, image: &str) -> bool {
    let short = |name: &str| name.trim_start_matches("docker.io/").trim_start_matches("library/").to_owned();
    short(tag) == short(image)
}

/// The names in a docker archive's manifest; `None` for what is not one.
pub(crate) fn tags(archive: &[u8]) -> Option<Vec<String>> {
    let manifest: Value = serde_json::from_slice(entry(archive, "manifest.json")?).ok()?;
    let images = manifest.as_array()?.iter();
    Some(
        images
            .flat_map(|image| image["RepoTags"].as_array().cloned().unwrap_or_default())
            .filter_map(|tag| tag.as_str().map(str::to_owned))
            .collect(),
    )
}

/// One file of a tar archive (POSIX ustar).
fn entry<'a>(archive: &'a [u8], wanted: &str) -> Option<&'a [u8]> {
    let mut at = 0;
    loop {
        let head = archive.get(at..at + BLOCK)?;
        if head.get(257..262)? != b"ustar" {
            return None;
        }
        let text = |range: std::ops::Range<usize>| {
            let field = &head[range];
            let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
            std::str::from_utf8(&field[..end]).ok()
        };
        let size = usize::from_str_radix(text(124..136)?.trim(), 8).ok()?;
        let start = at + BLOCK;
        if text(0..100)?.trim_start_matches("./") == wanted {
            return archive.get(start..start.checked_add(size)?);
        }
        at = start.checked_add(size.div_ceil(BLOCK).checked_mul(BLOCK)?)?;
    }
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
}
