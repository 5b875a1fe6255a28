//! Container images packed without Docker: one layer and its description in an archive that containerd and Docker import. The same input gives the same bytes, and so the same checksum.

use crate::error::{Context, Result};
use ferrogate_files::sha256;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;

/// What the registries call the processor we run on: `amd64` or `arm64`.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "amd64",
    }
}

/// SHA-256 of a file, as 64 hexadecimal digits.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn sha256_of(path: &Path) -> Result<String> {
    ferrogate_files::sha256_of(path).with_context(|| format!("reading {}", path.display()))
}

/// A header with fixed time and owner (root).
pub(crate) fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    header
}

fn append(archive: &mut tar::Builder<Vec<u8>>, path: &str, mode: u32, content: &[u8]) -> Result<()> {
    archive
        .append_data(&mut header(tar::EntryType::Regular, mode, content.len() as u64), path, content)
        .with_context(|| format!("packing {path}"))
}

/// The file system of an image. Folders come before what is in them.
pub(crate) struct Layer {
    archive: tar::Builder<Vec<u8>>,
    folders: BTreeSet<String>,
}

impl Layer {
    pub(crate) fn new() -> Self {
        Self { archive: tar::Builder::new(Vec::new()), folders: BTreeSet::new() }
    }

    fn parents(&mut self, path: &str) -> Result<()> {
        for (end, _) in path.match_indices('/') {
            self.folder(&path[..end], 0o755)?;
        }
        Ok(())
    }

    /// A folder, and those it is in; a second time it is left as it is.
    pub(crate) fn folder(&mut self, path: &str, mode: u32) -> Result<()> {
        if self.folders.contains(path) {
            return Ok(());
        }
        self.parents(path)?;
        self.folders.insert(path.to_owned());
        self.archive
            .append_data(&mut header(tar::EntryType::Directory, mode, 0), path, std::io::empty())
            .with_context(|| format!("packing {path}"))
    }

    /// A file, such as `usr/local/bin/etcd`.
    pub(crate) fn file(&mut self, path: &str, mode: u32, content: &[u8]) -> Result<()> {
        self.parents(path)?;
        append(&mut self.archive, path, mode, content)
    }

    /// A symbolic link at `path` that says `target`.
    pub(crate) fn link(&mut self, path: &str, target: &str) -> Result<()> {
        self.parents(path)?;
        self.archive
            .append_link(&mut header(tar::EntryType::Symlink, 0o777, 0), path, target)
            .with_context(|| format!("packing {path}"))
    }
}

/// How an image is run, and under which name it is known.
#[derive(Default)]
pub(crate) struct Description {
    /// The whole name: `registry.k8s.io/pause:3.10.2`.
    pub reference: String,
    pub entrypoint: Vec<String>,
    pub command: Vec<String>,
    /// `user:group` as numbers; root where it is empty.
    pub user: String,
    pub environment: Vec<String>,
    pub labels: Vec<(&'static str, String)>,
}

/// The image as an archive.
///
/// # Errors
/// When an entry cannot be packed, such as a path that is too long.
pub(crate) fn image(layer: Layer, description: &Description) -> Result<Vec<u8>> {
    let layer = layer.archive.into_inner().context("closing the layer")?;
    let labels: serde_json::Map<_, _> =
        description.labels.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into())).collect();
    let config = json!({
        "architecture": architecture(),
        "os": "linux",
        "config": {"Entrypoint": description.entrypoint, "Cmd": description.command, "User": description.user,
            "Env": description.environment, "Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", sha256(&layer))]},
    })
    .to_string()
    .into_bytes();
    let config_name = format!("{}.json", sha256(&config));
    let manifest =
        json!([{"Config": config_name, "RepoTags": [description.reference], "Layers": ["layer.tar"]}]).to_string();
    let mut archive = tar::Builder::new(Vec::with_capacity(layer.len() + (1 << 20)));
    append(&mut archive, "manifest.json", 0o644, manifest.as_bytes())?;
    append(&mut archive, &config_name, 0o644, &config)?;
    append(&mut archive, "layer.tar", 0o644, &layer)?;
    archive.into_inner().context("closing the archive")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn packed() -> Vec<u8> {
        let mut layer = Layer::new();
        layer.file("usr/bin/web", 0o755, b"program").unwrap();
        layer.file("usr/bin/other", 0o755, b"program").unwrap();
        layer.link("bin", "usr/bin").unwrap();
        image(layer, &Description { reference: "example.test/web:1".into(), ..Description::default() }).unwrap()
    }

    #[test]
    fn the_same_input_gives_the_same_image() {
        assert_eq!(packed(), packed());
    }

    /// What was packed yesterday has the same digest today: caches and mirrors go by it.
    #[test]
    fn the_bytes_of_an_image_do_not_change() {
        let mut layer = Layer::new();
        layer.folder("tmp", 0o1777).unwrap();
        layer.file("usr/bin/web", 0o755, b"program").unwrap();
        layer.link("bin", "usr/bin").unwrap();
        let content = layer.archive.into_inner().unwrap();
        assert_eq!(sha256(&content), "4395a684893b312e9e2259bf119522d2154cd3ccc7d8b219f77bdb234ade08ca");
    }

    #[test]
    fn the_description_names_the_layer_by_its_digest() {
        let packed = packed();
        let mut archive = tar::Archive::new(packed.as_slice());
        let files: std::collections::BTreeMap<String, Vec<u8>> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                (entry.path().unwrap().display().to_string(), content)
            })
            .collect();
        let manifest: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
        assert_eq!(manifest[0]["RepoTags"][0], "example.test/web:1");
        let config: serde_json::Value =
            serde_json::from_slice(&files[manifest[0]["Config"].as_str().unwrap()]).unwrap();
        let digest = format!("sha256:{}", sha256(&files["layer.tar"]));
        assert_eq!(config["rootfs"]["diff_ids"][0], digest.as_str());
    }

    #[test]
    fn a_layer_holds_each_folder_once_and_before_its_files() {
        let mut layer = Layer::new();
        layer.file("a/b/one", 0o644, b"").unwrap();
        layer.file("a/b/two", 0o644, b"").unwrap();
        let content = layer.archive.into_inner().unwrap();
        let names: Vec<_> = tar::Archive::new(content.as_slice())
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(names, ["a", "a/b", "a/b/one", "a/b/two"]);
    }
}
