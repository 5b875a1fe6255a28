//! Container images packed without Docker: one layer and its description in an archive that containerd and Docker import. The
//! same input gives the same bytes, and so the same digests.

use crate::error::{BuildError, Context, Result};
use ferrogate_files::sha256;
use ferrogate_model::ImageRef;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

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

/// An image, and what it is called for good.
pub(crate) struct Packed {
    /// Its name with tag and digest.
    pub(crate) image: ImageRef,
    /// The archive.
    pub(crate) archive: Vec<u8>,
}

/// The image as an archive in the layout of the Open Container Initiative (image-spec 1.1, "Image Layout"), which older
/// versions of Docker read too. Its index names it twice: by its tag, and by its digest, because containerd keeps under that
/// name what is asked for by digest.
///
/// # Errors
/// When an entry cannot be packed, such as a path that is too long, or the reference is no name with a tag.
pub(crate) fn image(layer: Layer, description: &Description) -> Result<Packed> {
    let layer = layer.archive.into_inner().context("closing the layer")?;
    let layer_digest = sha256(&layer);
    let labels: serde_json::Map<_, _> =
        description.labels.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into())).collect();
    let config = json!({
        "architecture": architecture(),
        "os": "linux",
        "config": {"Entrypoint": description.entrypoint, "Cmd": description.command, "User": description.user,
            "Env": description.environment, "Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer_digest}")]},
    })
    .to_string();
    let config_digest = sha256(config.as_bytes());
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": blob("application/vnd.oci.image.config.v1+json", &config_digest, config.len()),
        "layers": [blob("application/vnd.oci.image.layer.v1.tar", &layer_digest, layer.len())],
    })
    .to_string();
    let manifest_digest = sha256(manifest.as_bytes());
    let image = ImageRef::new(&description.reference, &manifest_digest)
        .map_err(|error| BuildError::new(format!("packing an image: {error}")))?;
    let named = |name: &str| {
        let mut named = blob(MANIFEST, &manifest_digest, manifest.len());
        named["annotations"] = json!({"io.containerd.image.name": name});
        named["platform"] = json!({"architecture": architecture(), "os": "linux"});
        named
    };
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [named(image.tagged()), named(&image.pinned())],
    })
    .to_string();
    let path = |digest: &str| format!("blobs/sha256/{digest}");
    let of_docker =
        json!([{"Config": path(&config_digest), "RepoTags": [image.tagged()], "Layers": [path(&layer_digest)]}]);
    let mut archive = tar::Builder::new(Vec::with_capacity(layer.len() + (1 << 20)));
    append(&mut archive, "oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    append(&mut archive, "index.json", 0o644, index.as_bytes())?;
    append(&mut archive, "manifest.json", 0o644, of_docker.to_string().as_bytes())?;
    append(&mut archive, &path(&manifest_digest), 0o644, manifest.as_bytes())?;
    append(&mut archive, &path(&config_digest), 0o644, config.as_bytes())?;
    append(&mut archive, &path(&layer_digest), 0o644, &layer)?;
    Ok(Packed { image, archive: archive.into_inner().context("closing the archive")? })
}

/// Names a blob of the archive by what it is and its digest.
fn blob(media_type: &str, digest: &str, size: usize) -> serde_json::Value {
    json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": size})
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn packed() -> Packed {
        let mut layer = Layer::new();
        layer.file("usr/bin/web", 0o755, b"program").unwrap();
        layer.file("usr/bin/other", 0o755, b"program").unwrap();
        layer.link("bin", "usr/bin").unwrap();
        image(layer, &Description { reference: "example.test/web:1".into(), ..Description::default() }).unwrap()
    }

    #[test]
    fn the_same_input_gives_the_same_image() {
        assert_eq!(packed().archive, packed().archive);
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

    /// Every blob is what its digest says, from the name down to the layer, for containerd and for Docker.
    #[test]
    fn everything_is_named_by_its_digest() {
        let packed = packed();
        let mut archive = tar::Archive::new(packed.archive.as_slice());
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
        let read = |path: &str| serde_json::from_slice::<serde_json::Value>(&files[path]).unwrap();
        let of = |blob: &serde_json::Value| {
            let digest = blob["digest"].as_str().unwrap();
            let path = format!("blobs/{}", digest.replace(':', "/"));
            let content = &files[&path];
            assert_eq!(digest, format!("sha256:{}", sha256(content)));
            assert_eq!(blob["size"], content.len());
            path
        };
        let index = read("index.json");
        let named: Vec<_> = index["manifests"].as_array().unwrap().iter().collect();
        let names: Vec<_> = named.iter().map(|one| one["annotations"]["io.containerd.image.name"].clone()).collect();
        assert_eq!(names, ["example.test/web:1", &packed.image.pinned()]);
        assert_eq!(named[0]["digest"], named[1]["digest"]);
        assert_eq!(named[0]["digest"], packed.image.digest());
        let manifest = read(&of(named[0]));
        let (config, layer) = (of(&manifest["config"]), of(&manifest["layers"][0]));
        assert_eq!(read(&config)["rootfs"]["diff_ids"][0], manifest["layers"][0]["digest"], "the layer is not packed");
        let of_docker = read("manifest.json");
        assert_eq!(of_docker[0]["RepoTags"][0], "example.test/web:1");
        assert_eq!(of_docker[0]["Config"], config);
        assert_eq!(of_docker[0]["Layers"][0], layer);
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
